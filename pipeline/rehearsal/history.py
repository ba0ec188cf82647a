"""History: stored counts of SLO instances through the real judge, under old and under new rules.

Pure. What is stored is a slice of ten seconds; its counts are spread evenly over its seconds, so an alert is told up to
ten seconds from when it came, or would have. Minutes in which nothing at all was counted are silence, as a worker takes
it. The period is played with a lead before it, so that no alert window begins empty; only its own alerts are told.

    |<-- lead: the longest alert window -->|<-- period -->|
    first                                  since          until

Law: the rules that were in force tell the alerts that were told, within a slice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import slo as formulas
from pipeline.alerts import Composed, Kind, Watched
from pipeline.rehearsal.notation import Ints
from pipeline.rehearsal.playing import Told, play
from pipeline.rehearsal.reading import Rehearsal, Status
from pipeline.rehearsal.streams import Stream, together
from pipeline.spec import Slo

SLICE_S = 10
MINUTE_S = 60
KEPT_S = 39 * 86_400  #: slices of ten seconds are kept for 40 days
PERIOD_S_MAX = 35 * 86_400


class Period(NamedTuple):
    """What is played and what is told, in epoch seconds; ends are whole minutes."""

    first: int
    since: int
    until: int


@dataclass(frozen=True)
class Counted:
    """Stored counts of one instance. Shapes: all (n,), slices in any order."""

    instance: str
    slice_start_s: Ints
    good: Ints
    bad: Ints
    excluded: Ints


def nothing_of(instance: str) -> Counted:
    """An instance of which nothing was counted."""
    return Counted(instance, *(np.zeros(0, np.int64),) * 4)


class Sums(NamedTuple):
    """Counts of one instance over one compliance window."""

    good: int
    bad: int


class Rules(NamedTuple):
    """What one set of rules makes of the history of an instance."""

    sums: Sums
    compliance_ratio: float | None
    budget_remaining_ratio: float | None
    is_met: bool | None  # None: no data
    alerts: tuple[Told, ...] | None  # seconds since the epoch; None: not played


def period_of(slos: tuple[Slo, ...], until: int) -> Period:
    """Choose what to play so that the longest window is told of, as far as it is stored."""
    window_s = max(min(each.objective.window_us // 1_000_000, PERIOD_S_MAX) for each in slos)
    longest_s = max(pair.long_us // 1_000_000 for each in slos for pair in each.policy.pairs)
    until = until // MINUTE_S * MINUTE_S
    since = until - window_s
    return Period(max(since - longest_s, until - KEPT_S) // MINUTE_S * MINUTE_S, since, until)


def rules(slo: Slo, sums: Sums, told: tuple[Told, ...] | None) -> Rules:
    """Judge sums by a target, exactly."""
    target, (good, bad) = slo.objective.target, sums
    kept = formulas.compliance_ratio(good, bad)
    allowed = (target.scale - target.numerator) * (good + bad)
    return Rules(
        sums, kept, formulas.budget_remaining_ratio(target, good, bad),
        None if kept is None else bad * target.scale <= allowed, told,
    )  # fmt: skip


class Judged(NamedTuple):
    """What the judge makes of the history of an instance."""

    alerts: tuple[Told, ...] = ()  # seconds since the epoch
    sums: Sums = Sums(0, 0)  # of the compliance window, as far as it was played: of what the SLO counts


def judged(watched: Watched, counted: Counted, measured: NDArray[np.int64], period: Period) -> Judged:
    """Judge the period. `measured`: starts of the minutes in which anything was counted."""
    return _judged(watched, None, [counted], measured, period)


def judged_together(
    composed: Composed, counted: Sequence[Counted], measured: NDArray[np.int64], period: Period
) -> Judged:
    """Judge a composite by what was counted for it of each member, in the order of its parts."""
    return _judged(composed.watched, composed, counted, measured, period)


def _judged(
    watched: Watched, composed: Composed | None, counted: Sequence[Counted], measured: NDArray[np.int64], period: Period
) -> Judged:
    begins = min(int(each.slice_start_s.min(initial=period.until)) for each in counted)
    first = max(period.first, begins // MINUTE_S * MINUTE_S)
    if first >= period.until:
        return Judged()  # an instance is there from its first count on
    streams = tuple(_stream(each, measured, first, period.until) for each in counted)
    last, members = Status(period.until - first, (), (), (), ()), streams if composed else ()
    stream = together(streams)
    played = play(Rehearsal(counted[0].instance, watched, stream, None, (last,), first, composed, members))
    burning = (each for each in played.told if each.kind == Kind.BURN_RATE.name)
    told = (replace(each, at_s=each.at_s + first) for each in burning)
    inside = tuple(each for each in told if period.since < each.at_s <= period.until)
    return Judged(inside, Sums(played.seen[0].good, played.seen[0].bad))


def _stream(counted: Counted, measured: NDArray[np.int64], first: int, until: int) -> Stream:
    """Lay slices out by the second, from `first` on."""
    seconds = until - first
    chosen = (counted.slice_start_s >= first) & (counted.slice_start_s < until)
    places = (counted.slice_start_s[chosen] - first) // SLICE_S
    good, bad, excluded = (
        _spread(places, column[chosen], seconds) for column in (counted.good, counted.bad, counted.excluded)
    )
    is_heard = np.zeros(seconds // MINUTE_S, np.bool_)
    is_heard[(measured[(measured >= first) & (measured < until)] - first) // MINUTE_S] = True
    return Stream(0, good, bad, excluded, np.arange(seconds), np.repeat(is_heard, MINUTE_S))


def _spread(places: NDArray[np.int64], counts: NDArray[np.int64], seconds: int) -> Ints:
    """Spread each slice's counts evenly over its seconds: they add up to it."""
    slices = np.zeros(seconds // SLICE_S, np.int64)
    np.add.at(slices, places, counts)
    steps = np.arange(SLICE_S + 1, dtype=np.int64)
    spread: Ints = np.diff(slices[:, None] * steps // SLICE_S, axis=1).reshape(-1)
    return spread
