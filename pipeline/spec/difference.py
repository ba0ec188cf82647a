"""Difference: what a change of SLO files does to counts, budgets and alerts, before it is made.

Pure, and static: it says what follows from the files. What the change would have done to past alerts needs
history, and is not said here. SLOs are the same when they have the same name.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from pipeline import slo as formulas
from pipeline import timeslices
from pipeline.slo import Ratio, Timeslices
from pipeline.spec import thresholds
from pipeline.spec.classification import policy_text
from pipeline.spec.detection import timings
from pipeline.spec.explanation import ERROR_RATIOS, chosen_values, percent, together, window_text
from pipeline.spec.scalars import duration_text, fraction, written
from pipeline.spec.slos import Slo, SloSet

ANEW = "counts begin anew, as what is counted changes: until they are replayed, the window has no history"
RECOUNTED = "counts begin anew, as they are of another kind; stored ones are kept"
KEPT = "counts and history are kept: only the judgement changes"
RENAMED = "a name is part of every key: counts, alerts and history begin anew under the new one"
REMOVED = "it is judged no more, and an open alert of it is resolved with that reason"
ADDED = "it is judged from the first event after the change on"
OPEN_ALERTS = "an open alert stays open, and is judged by what is new"


class Change(NamedTuple):
    """One thing that differs."""

    what: str
    before: str
    after: str
    meaning: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.before or 'none'} -> {self.after or 'none'}{self.meaning and f' ({self.meaning})'}"


class Difference(NamedTuple):
    """One SLO that differs: changed, added, removed or renamed."""

    name: str
    kind: str
    meaning: str
    changes: tuple[Change, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it by name, for machines."""
        return {**self._asdict(), "changes": [change._asdict() for change in self.changes]}


def differences(old: SloSet, new: SloSet) -> list[Difference]:
    """Return what differs, by name; equal SLOs are left out."""
    before, after = old.told, new.told
    gone, come = set(before) - set(after), set(after) - set(before)
    renamed = list(_renamed(before, after, gone, come))
    moved = {name for pair in renamed for name in pair}
    found = [Difference(f"{was} -> {now}", "renamed", RENAMED) for was, now in renamed]
    found += [Difference(name, "removed", REMOVED) for name in gone - moved]
    found += [Difference(name, "added", ADDED) for name in come - moved]
    for name in set(before) & set(after):
        changes = tuple(_changes(before[name], after[name]))
        if changes:
            found.append(Difference(name, "changed", _meaning(before[name], after[name]), changes))
    return sorted(found)


def _renamed(
    before: dict[str, Slo], after: dict[str, Slo], gone: set[str], come: set[str]
) -> Iterator[tuple[str, str]]:
    """Pairs of names with the same sense; each name once."""
    free = sorted(come)
    for was in sorted(gone):
        now = next((name for name in free if after[name].objective.revision == before[was].objective.revision), None)
        if now is not None:
            free.remove(now)
            yield was, now


def _meaning(old: Slo, new: Slo) -> str:
    if old.objective.indicator_revision != new.objective.indicator_revision:
        return f"{ANEW}; {OPEN_ALERTS}"
    if timeslices.form(old.objective) != timeslices.form(new.objective):
        return f"{RECOUNTED}; {OPEN_ALERTS}"
    if old.objective.revision != new.objective.revision:
        return f"{KEPT}; {OPEN_ALERTS}"
    return "nothing is judged otherwise"


def _changes(old: Slo, new: Slo) -> Iterator[Change]:
    for what, before, after in zip(WHAT, _texts(old), _texts(new), strict=True):
        if before != after:
            yield Change(what, before, after, _kept(old, new, what))
    yield from _budgets(old, new)
    yield from _pairs(old, new)
    yield from _detection(old, new)


def _kept(old: Slo, new: Slo, what: str) -> str:
    """Say what compliance and budget begin with, where slices are counted, or one of the windows is a calendar's."""
    if old.objective.indicator_revision != new.objective.indicator_revision:
        return ""
    if what == "budgeting":
        return "counts of another kind: compliance, budget and windows that alert begin anew"
    if what != "window" or timeslices.form(old.objective) != timeslices.form(new.objective):
        return ""
    was, now = (slo.objective.calendar is not None for slo in (old, new))
    if was and not now:
        return "compliance and budget begin anew"
    if was and now:
        return "a period that began before the present one keeps what that counted, a later one begins anew"
    return "the period begins with what the window knows of it" if now else ""


#: what is compared as text, in the order of `_texts`
WHAT = (
    "service", "metric", "good when", "where", "groupBy", "vantage", "attempts", "classification", "budgeting",
    "window", "members", "evidence to fire", "clears", "SLA", "description", "owner", "runbook",
)  # fmt: skip


def _texts(slo: Slo) -> tuple[str, ...]:
    objective, indicator, policy = slo.objective, slo.objective.indicator, slo.policy
    guards, clear = policy.guards, policy.clear
    return (
        objective.service, indicator.metric, thresholds.text_of(indicator),
        " and ".join(f"{label} {chosen_values(accepted)}" for label, accepted in indicator.where),
        ", ".join(indicator.group_by), indicator.vantage or "any",
        "final" if indicator.final_attempts_only else "all",
        policy_text(indicator.verdicts),
        _budgeting(objective.timeslices),
        window_text(objective), together(slo) if slo.members else "",
        f"{guards.min_events} events, {guards.min_bad} bad, {percent(fraction(guards.min_coverage))} coverage",
        f"{percent(fraction(clear.margin))} under the factor for {duration_text(clear.hold_us)}",
        f"{percent(fraction(slo.sla.target))}, or {slo.sla.consequence}" if slo.sla else "",
        slo.description, slo.owner, slo.runbook,
    )  # fmt: skip


def _budgeting(slices: Timeslices | None) -> str:
    if slices is None:
        return "by requests"
    said = duration_text(slices.slice_us)
    if slices.is_whole:
        return f"by slices of {said}"
    if slices.target is None:
        return f"by the ratios of slices of {said}"
    return f"by slices of {said} with {percent(fraction(slices.target))} good"


def _budgets(old: Slo, new: Slo) -> Iterator[Change]:
    (before, before_us), (after, after_us) = ((o.target, o.window_us) for o in (old.objective, new.objective))
    if (before, before_us) != (after, after_us):
        meaning = ""
        if before != after:
            ratio = (1 - fraction(after)) / (1 - fraction(before))
            times = f"{written(ratio, 3)} times the budget"
            meaning = f"{times}: the same failures burn {written(1 / ratio, 3)} times as fast"
            yield Change("target", percent(fraction(before)), percent(fraction(after)), meaning)
        yield Change("budget", _budget(before, before_us), _budget(after, after_us))


def _budget(target: Ratio, window_us: int) -> str:
    events, minutes = formulas.budget_events(target, 1_000_000), formulas.budget_minutes(target, window_us)
    return f"{events:,.1f} bad in a million requests, {minutes:,.1f} min"


def _pairs(old: Slo, new: Slo) -> Iterator[Change]:
    before, after = ([_pair_text(pair) for pair in slo.policy.pairs] for slo in (old, new))
    for text in before:
        if text not in after:
            yield Change("window pair", text, "")
    for text in after:
        if text not in before:
            yield Change("window pair", "", text)


def _pair_text(pair: Any) -> str:
    windows = f"{duration_text(pair.long_us)} and {duration_text(pair.short_us)}"
    return f"{pair.severity.name.lower()} {written(fraction(pair.factor))}x over {windows}"


def _detection(old: Slo, new: Slo) -> Iterator[Change]:
    """How soon the first alert comes, at every error ratio where that changes."""
    for ratio in ERROR_RATIOS:
        before, after = _first(old, ratio), _first(new, ratio)
        if before != after:
            sooner = before is None or (after is not None and after < before)
            words = "sooner" if sooner else "later, or never"
            yield Change(f"first alert at {percent(ratio)} bad", _after(before), _after(after), words)


def _first(slo: Slo, ratio: Fraction) -> int | None:
    (timing,) = timings(slo.objective.target, slo.policy, (ratio,), slo.objective.timeslices)
    return min((time for time in timing.detection_s if time is not None), default=None)


def _after(seconds: int | None) -> str:
    return "never" if seconds is None else f"after {duration_text(seconds * 1_000_000)}"
