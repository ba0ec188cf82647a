"""Oracle of corrections: event by event, minute by minute, without intervals, joins or tiers."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


class Cut(NamedTuple):
    """A correction: ranges of epoch seconds, half open, and what an instance's labels must be."""

    name: str
    ranges: tuple[tuple[int, int], ...]
    where: Mapping[str, tuple[str, ...]]

    def is_about(self, names: Mapping[str, str]) -> bool:
        for label, values in self.where.items():  # noqa: SIM110 - an oracle is written out
            if label not in names or names[label] not in values:
                return False
        return True


class Sums(NamedTuple):
    """What an instance comes to over its window."""

    good: int
    bad: int
    excluded: int


def window(window_s: int, end_s: int) -> tuple[int, int]:
    """Return the whole minutes of a rolling window: from the cell that the judge begins with."""
    cell = HOUR_S if window_s > 3 * DAY_S else 5 * MINUTE_S if window_s > 2 * HOUR_S else MINUTE_S
    return (end_s - window_s) // cell * cell, end_s // MINUTE_S * MINUTE_S


def left_out(cuts: Iterable[Cut], names: Mapping[str, str], since: int, until: int) -> dict[int, set[str]]:
    """Minute -> corrections that leave it out."""
    found: dict[int, set[str]] = {}
    for cut in cuts:
        if not cut.is_about(names):
            continue
        for minute in range(since, until, MINUTE_S):
            if any(start <= minute < end for start, end in cut.ranges):
                found.setdefault(minute, set()).add(cut.name)
    return found


def sums(counts: Iterable[tuple[int, int, int, int]], since: int, until: int, minutes: Iterable[int] = ()) -> Sums:
    """Add (second, good, bad, excluded) of a window up, without some minutes."""
    gone, total = set(minutes), [0, 0, 0]
    for second, *parts in counts:
        if since <= second < until and second // MINUTE_S * MINUTE_S not in gone:
            total = [a + b for a, b in zip(total, parts, strict=True)]
    return Sums(*total)
