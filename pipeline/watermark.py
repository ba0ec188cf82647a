"""The event clock of a judge partition: watermark, measured slices, entries that wait.

Pure, and a function of the blocks alone: which blocks came, not when.

Watermark: min over source partitions of how far each vouches, minus grace; it never goes back, and it holds until
every source partition has been heard from. An active one vouches for its own greatest event time. An idle one, read
to its end and silent for `idle_us`, was silent at one moment, and says nothing of what came to it since: it vouches
for the greatest event time that any partition had told `idle_us` before that moment, and for as much more as passed
in silence. So the first partition that gets history at full speed moves nothing until the others have spoken again,
a long silence of all moves the clock as fast as time goes by, and the order in which partitions are heard does not
matter.
Law: if event time goes by at least as fast as the time of the append, up to grace within a partition and beyond
`idle_us` across partitions, no event is late. Moments are those of the workers' clocks, compared within `idle_us`: a
host that is behind holds the clock, it makes nothing late.

Measured: a slice of 10 s is measured when an event of any series falls into it, or fell into one of the
`silence_us` before it. A service without traffic in a living stream is measured and empty; a dead one is not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.rings import SLICE_S

UNHEARD = -1
MOST_STEPS = 1_000  #: of the greatest event time that are remembered


@dataclass
class SourceClock:
    """What every source partition said last, and by when which greatest event time was known."""

    grace_us: int
    idle_us: int
    watermark_us: int | None = None

    def __post_init__(self) -> None:
        self.event_us: list[int | None] = []
        self.silent_us: list[int] = []
        self.flushed_us: list[int] = []
        self.steps: list[tuple[int, int]] = []  # (moment, greatest event time told by then), both ascending

    def observe(self, partition: int, partitions: int, event_us: int | None, silent_us: int, flushed_us: int) -> None:
        """Take the facts of one unit of one source partition, frozen at the moment `flushed_us`."""
        missing = max(partitions, partition + 1) - len(self.event_us)
        if missing > 0:
            self.event_us += [None] * missing
            self.silent_us += [UNHEARD] * missing
            self.flushed_us += [0] * missing
        if flushed_us < self.flushed_us[partition] - self.idle_us:
            self._step_back(flushed_us)
        self.silent_us[partition], self.flushed_us[partition] = silent_us, flushed_us
        known = self.event_us[partition]
        if event_us is not None and (known is None or event_us > known):
            self.event_us[partition] = event_us
            self._remember(flushed_us, event_us)
        reached = self._reached()
        if reached is not None and (self.watermark_us is None or reached > self.watermark_us):
            self.watermark_us = reached

    def hurry(self, second: int) -> None:
        """Pass a second though somebody may still speak of it."""
        self.watermark_us = max(self.watermark_us or 0, second * 1_000_000)

    def _remember(self, flushed_us: int, event_us: int) -> None:
        """Keep a new greatest event time, and of the others those that an idle partition may still vouch for."""
        at = bisect_right(self.steps, flushed_us, key=lambda step: step[0])
        if at and self.steps[at - 1][1] >= event_us:
            return
        stop = bisect_right(self.steps, event_us, lo=at, key=lambda step: step[1])
        self.steps[at:stop] = [(flushed_us, event_us)]
        oldest = bisect_right(self.steps, min(self.flushed_us) - self.idle_us, key=lambda step: step[0])
        del self.steps[: max(oldest - 1, 0)]
        if len(self.steps) > MOST_STEPS:
            del self.steps[1:-1:2]  # who asks for one gets an older one: the clock is behind, never ahead

    def _step_back(self, flushed_us: int) -> None:
        """A host's clock was set back: what is known was known by now at the latest."""
        at = bisect_left(self.steps, flushed_us, key=lambda step: step[0])
        self.steps[at:] = [(flushed_us, event_us) for _, event_us in self.steps[-1:] if at < len(self.steps)]

    def _reached(self) -> int | None:
        if UNHEARD in self.silent_us:
            return None
        vouched = [self._vouched(partition) for partition in range(len(self.event_us))]
        known = [event_us for event_us in vouched if event_us is not None]
        return min(known) - self.grace_us if len(known) == len(vouched) else None

    def _vouched(self, partition: int) -> int | None:
        """Event time up to which a partition has told everything; None: it cannot say."""
        silent_us, flushed_us = self.silent_us[partition], self.flushed_us[partition]
        if silent_us < self.idle_us:
            return self.event_us[partition]
        at = bisect_right(self.steps, flushed_us - self.idle_us, key=lambda step: step[0])
        if at == 0:
            return None
        moment_us, event_us = self.steps[at - 1]
        return event_us + min(flushed_us - moment_us, silent_us)

    def snapshot(self) -> dict[str, Any]:
        return {
            "watermark_us": self.watermark_us, "event_us": self.event_us, "silent_us": self.silent_us,
            "flushed_us": self.flushed_us, "steps": self.steps,
        }  # fmt: skip

    def restore(self, facts: dict[str, Any]) -> None:
        """Take what `snapshot` gave; of version 0.1.0, which knew no moments, as if all was told long ago."""
        self.watermark_us = facts["watermark_us"]
        self.event_us, self.silent_us = facts["event_us"], facts["silent_us"]
        self.flushed_us = facts.get("flushed_us", [0] * len(self.event_us))
        long_ago = [(0, event_us) for event_us in self.event_us if event_us is not None]
        self.steps = [(moment, event_us) for moment, event_us in facts.get("steps", sorted(long_ago)[-1:])]

    @property
    def second(self) -> int | None:
        """The last second that the watermark has passed: windows may end here."""
        return None if self.watermark_us is None else self.watermark_us // 1_000_000

    @property
    def unjudged_us(self) -> int | None:
        """How far the newest event time seen is ahead of the watermark; None: nothing was seen."""
        seen = [event_us for event_us in self.event_us if event_us is not None]
        return None if self.watermark_us is None or not seen else max(max(seen) - self.watermark_us, 0)


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

    def flags(self, start: int, end: int) -> NDArray[np.bool_]:
        """Whether each slice of [start, end) was measured; all of them are settled and not yet forgotten."""
        flags: NDArray[np.bool_] = np.diff(self.counts[start - self.base : end - self.base + 1]) == 1
        return flags

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
    """Entries of seconds that the watermark has not passed: at most one a row and second, and what came just now.

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
            self._sum()

    def _sum(self) -> None:
        self.chunks = [_summed(np.concatenate(self.chunks))]

    def is_over(self, limit: int) -> bool:
        """Whether more rows and seconds wait than may; the same however they came."""
        if len(self) > limit:
            self._sum()
        return len(self) > limit

    def halving_second(self, limit: int) -> int:
        """The second from which on half of the limit waits, or less; asked when it is over."""
        seconds = self.everything()[:, 1]
        return int(seconds[len(seconds) - limit // 2 - 1]) + 1

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


def _summed(entries: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add up the entries of one row and second."""
    key = entries[:, 1] << 32 | entries[:, 0]
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    return np.column_stack((entries[order[first], :2], np.add.reduceat(entries[order, 2:], first)))
