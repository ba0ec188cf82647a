"""Which events are kept whole: those that are bad for some SLO instance, and of the others a share.

Law: whether an event is kept depends on its place in the log and on the SLOs alone, so that whoever folds it again
     keeps the same; with a greater share all that a smaller one keeps is kept too. Only of a flood of bad events in one
     unit is a share kept, and those whose traces alerts may name. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.bits import address_of
from pipeline.kernels.event_columns import choose, copy_spans
from pipeline.records import RecordBlock


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """How many events are kept whole that no SLO instance counts as bad."""

    ratio: float  # 1: all of them
    most_bytes: int  # of one event; what is longer is not kept
    most_bad: int = 1_000  # of a unit; of more, a share


@dataclass
class Sample:
    """What one unit keeps of its events, until it is taken. Without a spec: nothing."""

    spec: SampleSpec | None
    _values: list[bytes] = field(default_factory=list)
    _columns: list[tuple[NDArray[Any], ...]] = field(default_factory=list)
    _bad: int = 0

    def add(self, block: RecordBlock, codes: NDArray[np.uint8], is_bad: NDArray[np.uint8]) -> None:
        """Keep events of a block; `codes`: what became of each record, `is_bad`: see kernels.verdicts.NOTED."""
        if self.spec is None:
            return
        ratio, bad = self.spec.ratio, int(np.count_nonzero(is_bad))
        ratio_of_bad = max(min((self.spec.most_bad - self._bad) / max(bad, 1), 1.0), ratio, 0.0)
        offsets, starts, sizes = map(np.ascontiguousarray, (block.offset, block.value_start, block.value_length))
        chosen = np.empty(len(block), np.int64)
        columns = (address_of(each) for each in (offsets, sizes, codes, is_bad))
        parts = _part(ratio), _part(ratio_of_bad)
        chosen = chosen[: choose(*columns, block.partition, *parts, self.spec.most_bytes, chosen)]
        if not len(chosen):
            return
        is_bad = is_bad[chosen] != 0
        self._bad += int(is_bad.sum())
        lengths = sizes[chosen].astype(np.int64)
        out = np.empty(int(lengths.sum()) + 8, np.uint8)
        used = copy_spans(address_of(block.buffer), address_of(starts), address_of(sizes), chosen, out)
        self._values.append(out[:used].tobytes())
        ratios = np.where(is_bad, ratio_of_bad, ratio)
        self._columns.append((lengths, offsets[chosen], block.append_time_ms[chosen], is_bad, ratios))

    def take(self, most_bytes: int) -> list[Mapping[str, Any]]:
        """Return what was kept, as columns of slo_slice in pieces of at most so many bytes, and begin anew."""
        if self.spec is None or not self._values:
            return []
        values = b"".join(self._values)
        lengths, offsets, append_ms, is_bad, ratios = (
            np.concatenate(each) for each in zip(*self._columns, strict=True)
        )
        self.forget()
        ends = np.append(0, np.cumsum(lengths))
        return [
            {
                "event_values": values[ends[a] : ends[b]], "event_lengths": lengths[a:b],
                "event_offsets": offsets[a:b], "event_append_ms": append_ms[a:b],
                "event_is_bad": is_bad[a:b].astype(np.int64), "event_ratios": ratios[a:b],
            }
            for a, b in cuts(lengths, 0, most_bytes)
        ]  # fmt: skip

    def forget(self) -> None:
        """Begin anew."""
        self._values, self._columns, self._bad = [], [], 0


def _part(ratio: float) -> int:
    """A share of all hashes."""
    return round(ratio * (1 << 53))


def cuts(sizes: NDArray[np.int64], start: int, limit: int) -> list[tuple[int, int]]:
    """Ranges of entries of at most `limit` bytes, at least one entry each; one empty range for none."""
    ends = np.cumsum(sizes)
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < len(sizes) or not ranges:
        before = int(ends[at - 1]) if at else 0
        stop = max(int(np.searchsorted(ends, before + limit, "right")), min(at + 1, len(sizes)))
        ranges.append((start + at, start + stop))
        at = stop
    return ranges
