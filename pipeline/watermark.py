"""The event clock of a judge partition: watermark, measured slices, entries that wait.

Pure, and a function of the blocks alone: which blocks came, not when.

Watermark: min over active source partitions of their greatest event time, minus grace; it never goes back,
and it holds until every source partition has been heard from. A partition read to its end and silent for
`idle_us` does not hold it up; when all are, the clock goes on with their silence: newest event time + least
silence - grace.

Measured: a slice of 10 s is measured when an event of any series falls into it, or fell into one of the
`silence_us` before it. A service without traffic in a living stream is measured and empty; a dead one is not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.rings import SLICE_S

UNHEARD = -1


@dataclass
class SourceClock:
    """Greatest event time and silence of every source partition."""

    grace_us: int
    idle_us: int
    watermark_us: int | None = None

    def __post_init__(self) -> None:
        self.event_us: list[int | None] = []
        self.silent_us: list[int] = []

    def observe(self, partition: int, partitions: int, event_us: int | None, silent_us: int) -> None:
        """Take the facts of one unit of one source partition."""
        missing = max(partitions, partition + 1) - len(self.event_us)
        if missing > 0:
            self.event_us += [None] * missing
            self.silent_us += [UNHEARD] * missing
        known = self.event_us[partition]
        if event_us is not None and (known is None or event_us > known):
            self.event_us[partition] = event_us
        self.silent_us[partition] = silent_us
        reached = self._reached()
        if reached is not None and (self.watermark_us is None or reached > self.watermark_us):
            self.watermark_us = reached

    def _reached(self) -> int | None:
        if UNHEARD in self.silent_us:
            return None
        pairs = zip(self.event_us, self.silent_us, strict=True)
        active = [event for event, silent in pairs if silent < self.idle_us]
        known = [event for event in self.event_us if event is not None]
        if not known or None in active:
            return None
        if not active:
            return max(known) + min(self.silent_us) - self.grace_us
        return min(event for event in active if event is not None) - self.grace_us

    @property
    def second(self) -> int | None:
        """The last second that the watermark has passed: windows may end here."""
        return None if self.watermark_us is None else self.watermark_us // 1_000_000


class Coverage:
    """Which slices were measured, as running counts over the last `keep` slices.

    Slices before `end` are settled. Shapes: counts (n + 1,) i64, counts[i] = measured of [base, base + i).
    """

    def __init__(self, silence_us: int, keep: int) -> None:
        self.reach = silence_us // (SLICE_S * 1_000_000) + 1  # slices one event vouches for, its own included
        self.keep = keep
        self.base = self.end = 0
        self.until = 0  # slices before it, from `end` on, are vouched for already
        self.counts = np.zeros(1, np.int64)
        self.ahead: set[int] = set()

    def start(self, end: int) -> None:
        """Begin: nothing before slice `end` will be asked for."""
        self.base = self.end = end

    def observe(self, slices: Iterable[int]) -> None:
        """Note slices that hold an event; late ones mend the counts."""
        for each in slices:
            if each >= self.end:
                self.ahead.add(each)
            else:
                self._mend(each)

    def _mend(self, late: int) -> None:
        self.until = max(self.until, late + self.reach)
        first = max(late, self.base) - self.base
        last = min(late + self.reach, self.end) - self.base
        measured = np.diff(self.counts)
        if first < last and not measured[first:last].all():
            measured[first:last] = 1
            np.cumsum(measured, out=self.counts[1:])

    def settle(self, end: int) -> None:
        """Decide every slice before `end`: the watermark has passed it."""
        if end <= self.end:
            return
        measured = np.zeros(end - self.end, np.int64)
        measured[: max(self.until - self.end, 0)] = 1
        for each in sorted(s for s in self.ahead if s < end):
            measured[each - self.end : each - self.end + self.reach] = 1
            self.until = max(self.until, each + self.reach)
            self.ahead.discard(each)
        self.counts = np.concatenate([self.counts, self.counts[-1] + np.cumsum(measured)])
        self.end = end

    def trim(self) -> None:
        """Forget slices that no window reaches; called when all seconds before `end` are judged."""
        surplus = self.end - self.base - self.keep
        if surplus > self.keep // 8 + 64:
            self.counts = self.counts[surplus:] - self.counts[surplus]
            self.base += surplus

    def measured(self, span_s: int, at: int) -> tuple[int, int]:
        """(measured, expected) slices of the window that ends at second `at`."""
        expected = -(-span_s // SLICE_S)
        end = min(at // SLICE_S, self.end) - self.base
        start = max(at // SLICE_S - expected - self.base, 0)
        return int(self.counts[max(end, 0)] - self.counts[min(start, len(self.counts) - 1)]), expected

    def snapshot(self) -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
        facts = {"base": self.base, "end": self.end, "until": self.until}
        ahead = np.array(sorted(self.ahead), np.int64)
        return facts, {"measured": np.packbits(np.diff(self.counts).astype(np.uint8)), "ahead": ahead}

    def restore(self, facts: dict[str, int], measured: NDArray[np.uint8], ahead: NDArray[np.int64]) -> None:
        self.base, self.end, self.until = facts["base"], facts["end"], facts["until"]
        bits = np.unpackbits(measured, count=self.end - self.base)
        self.counts = np.concatenate([[0], np.cumsum(bits, dtype=np.int64)])
        self.ahead = {int(each) for each in ahead}


class Waiting:
    """Entries of seconds that the watermark has not passed.

    Shapes: chunks of (entry, 5) i64 row, second, good, bad, excluded, by second in a chunk.
    """

    MOST_CHUNKS = 64

    def __init__(self) -> None:
        self.chunks: list[NDArray[np.int64]] = []

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def add(self, entries: NDArray[np.int64]) -> None:
        if not len(entries):
            return
        self.chunks.append(_by_second(entries))
        if len(self.chunks) > self.MOST_CHUNKS:
            self.chunks = [_by_second(np.concatenate(self.chunks))]

    def earliest(self) -> int | None:
        return min((int(chunk[0, 1]) for chunk in self.chunks), default=None)

    def take(self, until: int) -> NDArray[np.int64]:
        """Hand over the entries of seconds before `until`, by second."""
        cuts = [int(np.searchsorted(chunk[:, 1], until)) for chunk in self.chunks]
        parts = [chunk[:cut] for chunk, cut in zip(self.chunks, cuts, strict=True) if cut]
        self.chunks = [c[cut:] for c, cut in zip(self.chunks, cuts, strict=True) if cut < len(c)]
        return _by_second(np.concatenate([np.zeros((0, 5), np.int64), *parts]))

    def everything(self) -> NDArray[np.int64]:
        """Copy all that waits, by second."""
        return _by_second(np.concatenate([np.zeros((0, 5), np.int64), *self.chunks]))


def _by_second(entries: NDArray[np.int64]) -> NDArray[np.int64]:
    if (entries[1:, 1] >= entries[:-1, 1]).all():
        return entries
    return entries[np.argsort(entries[:, 1], kind="stable")]
