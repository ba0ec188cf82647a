"""Streams: what is counted second by second, when it is heard of, and whether anybody reports at all.

Pure. Second 0 is where the stream of a file begins; history has negative seconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.rehearsal.notation import Ints, Rate, evenly, spread

NOTHING = Rate(Fraction(0), Fraction(0))
COUNTS = ("good", "bad", "excluded")


@dataclass(frozen=True)
class Stretch:
    """So many seconds of the same."""

    seconds: int
    rate: Rate
    bad: Rate
    excluded: Rate
    every: int = 1  # only in each so manieth second
    late_s: int = 0
    is_silent: bool = False


@dataclass(frozen=True)
class Stream:
    """Counts by second, from second `first` on. Shapes: all (n,)."""

    first: int
    good: Ints
    bad: Ints
    excluded: Ints
    heard_at: Ints  # second at which the counts of each second arrive
    is_heard: NDArray[np.bool_]  # whether anybody reports

    @property
    def end(self) -> int:
        return self.first + len(self.good)

    @property
    def seconds(self) -> Ints:
        return np.arange(self.first, self.end)

    @cached_property
    def is_prompt(self) -> bool:
        """Whether everything is heard at once: then nothing hangs on when it is judged, but for silence."""
        return bool((self.heard_at == self.seconds).all())

    def arrivals(self, start: int, end: int) -> Ints:
        """Return the places of the seconds that are heard in [start, end), and have counts."""
        if not self.is_prompt:
            return np.flatnonzero((self.heard_at >= start) & (self.heard_at < end) & (self.counts > 0))
        first = max(start - self.first, 0)
        return first + np.flatnonzero(self.counts[first : max(end - self.first, 0)])

    @cached_property
    def counts(self) -> Ints:
        return self.good + self.bad + self.excluded


def of_stretches(stretches: Iterable[Stretch], first: int) -> Stream:
    """Lay stretches out one after another."""
    laid = list(stretches)
    lengths = [each.seconds for each in laid]
    counted = [_counts(each) for each in laid]
    good, bad, excluded = (_joined([part[column] for part in counted]) for column in range(3))
    late = np.repeat(np.array([each.late_s for each in laid], np.int64), lengths)
    heard = np.repeat(np.array([not each.is_silent for each in laid], np.bool_), lengths)
    return Stream(first, good, bad, excluded, np.arange(first, first + len(late)) + late, heard)


def _counts(stretch: Stretch) -> tuple[Ints, Ints, Ints]:
    kept = np.arange(stretch.seconds) % stretch.every == 0
    every, bad, excluded = (evenly(r, stretch.seconds) * kept for r in (stretch.rate, stretch.bad, stretch.excluded))
    return np.maximum(every - bad - excluded, 0), bad, excluded


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts])


Samples = tuple[int | None, ...]


def of_series(counts: tuple[Samples, Samples, Samples], interval_s: int) -> Stream:
    """Lay series of good, bad and excluded out; where none has a sample nobody reports."""
    good, bad, excluded = (spread(each, interval_s) for each in counts)
    silent = [all(each is None for each in samples) for samples in zip(*counts, strict=True)]
    heard = np.repeat(~np.array(silent, np.bool_), interval_s)
    return Stream(0, good, bad, excluded, np.arange(len(heard)), heard)


def together(streams: Sequence[Stream]) -> Stream:
    """Add up streams of the same seconds: somebody reports where any does."""
    good, bad, excluded = (np.sum([getattr(each, name) for each in streams], axis=0) for name in COUNTS)
    heard_at = np.max([each.heard_at for each in streams], axis=0)
    return Stream(streams[0].first, good, bad, excluded, heard_at, np.any([each.is_heard for each in streams], axis=0))


def after(history: Stream, stream: Stream) -> Stream:
    """Put history before a stream that begins at second 0."""
    pairs = (
        (getattr(history, name), getattr(stream, name)) for name in ("good", "bad", "excluded", "heard_at", "is_heard")
    )
    good, bad, excluded, heard_at, is_heard = (np.concatenate(pair) for pair in pairs)
    return Stream(history.first, good, bad, excluded, heard_at, is_heard)
