"""Comparing: what was expected of a rehearsal and did not come, in words.

Pure. Figures are compared to the decimals that the file has; alerts by event, severity and second.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import zip_longest

from pipeline.alerts import Kind
from pipeline.rehearsal.playing import Played, Seen, Told
from pipeline.rehearsal.reading import Expected, Rehearsal, Status, clock, event_text

#: figure of a file -> of a judgement
FIGURES = {
    "complianceRatio": "compliance_ratio", "budgetRemainingRatio": "budget_remaining_ratio",
    "coverageRatio": "coverage_ratio",
}  # fmt: skip


def failures(rehearsal: Rehearsal, played: Played) -> list[str]:
    """Return what differs, a sentence each; empty: the test is passed."""
    found = [] if rehearsal.expected is None else list(_alerts(rehearsal.expected, played.told))
    seen = {each.at_s: each for each in played.seen}
    for status in rehearsal.statuses:
        found += _status(status, seen[status.at_s])
    return found


def _alerts(expected: tuple[Expected, ...], told: tuple[Told, ...]) -> Iterator[str]:
    """Compare kind by kind: burn rates always, others where one of them is expected."""
    for kind in dict.fromkeys([Kind.BURN_RATE.name, *(each.kind for each in expected)]):
        wanted = tuple(each for each in expected if each.kind == kind)
        yield from _of_a_kind(wanted, tuple(each for each in told if each.kind == kind))


def _of_a_kind(expected: tuple[Expected, ...], told: tuple[Told, ...]) -> Iterator[str]:
    for wanted, came in zip_longest(expected, told):
        if came is None:
            yield f"{wanted} did not come"
        elif wanted is None:
            yield f"{said(came)} was not expected"
        elif (wanted.event, wanted.severity) != (came.event, came.severity):
            yield f"expected {wanted}, but {said(came)} came"
        elif not 0 <= came.at_s - wanted.at_s <= wanted.within_s:
            yield f"expected {wanted}, up to {clock(wanted.within_s)} later, but it came at {clock(came.at_s)}"


def said(told: Told) -> str:
    """Write an alert event as a file expects it."""
    return event_text(told.event, told.severity, told.kind, told.at_s)


def _status(status: Status, seen: Seen) -> Iterator[str]:
    at = f"at {clock(status.at_s)}"
    for name, value in (*status.words, *status.counts):
        came = getattr(seen, name)
        if came != value:
            yield f"{at} {name} is {came}, not {value}"
    burns = dict(seen.burn_rates)
    figures = [(name, value, getattr(seen, FIGURES[name])) for name, value in status.figures]
    figures += [(f"the burn rate over {clock(window)}", value, burns.get(window)) for window, value in status.burns]
    for name, value, came in figures:
        if came is None or round(Decimal(repr(came)), _decimals(value)) != Decimal(value):
            yield f"{at} {name} is {'no data' if came is None else f'{came:.9g}'}, not {value}"


def _decimals(value: str) -> int:
    return len(value.partition(".")[2])
