"""A unit: the memory one unit's fold fills, and what comes out of it as columns.

Law: split anywhere. Folding records in any order, in any number of units, gives columns whose sums are the
     same. Memory grows with what came and is given back after a burst. Pure.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bindings import Bindings, kinds_needed
from pipeline.kernels import counts, gather, verdicts
from pipeline.kernels import slots as k
from pipeline.kernels.bits import address_of
from pipeline.kernels.ddsketch import TABLE
from pipeline.kernels.reasons import MORE_KEYS, MORE_SLOTS
from pipeline.sli import FAILURE_KINDS, LEFT_TO_DECIDE, OUTCOMES, VERDICTS, Case, Kind, case_of

SKETCHES = ("e2e", "ttft", "tpot")  #: order of the rows of bins in a sketch key
MOST_SLOTS = 1 << 20  #: a sketch key has 20 bits for its slot; with more the unit has to be taken
FEWEST_SLOTS = 1 << 12
#: outcome counter of each case, in the order of pipeline.ingest.SLICE_COUNTERS
OUTCOME_COUNTERS = {
    Case.COMPLETE: 0, Case.TRUNCATED: 1, Case.ERROR: 1, Case.TIMEOUT: 2, Case.CANCELLED: 3, Case.SHED: 4,
    Case.SHED_SHEDDABLE: 4, Case.RATE_LIMITED: 5, Case.REJECTED: 6, Case.UNKNOWN: 7,
}  # fmt: skip


def case_table() -> NDArray[np.uint8]:
    """sli.case_of for every index that classify.case_index can make."""
    table = np.zeros(len(OUTCOMES) * 8, np.uint8)
    for i, outcome in enumerate(OUTCOMES):
        for rest in range(8):
            failed, truncated, sheddable = rest >> 2 & 1, rest >> 1 & 1, rest & 1
            kind = FAILURE_KINDS[5] if truncated else "NONE"
            status = 500 if failed and not truncated else None
            table[i * 8 + rest] = case_of(outcome, kind, status, -sheddable)
    return table


def verdict_table() -> NDArray[np.uint8]:
    """sli.VERDICTS as kernels.verdicts wants it: what is left to decide once it is known whether there is a value.

    Shapes: (case, value unknown / known, kind), with the case's outcome counter in the last place.
    """
    table = np.zeros((len(Case), 2, verdicts.KNOWN_BYTES), np.uint8)
    for case, meant in VERDICTS.items():
        table[case, :, : len(Kind)] = np.transpose([LEFT_TO_DECIDE[verdict] for verdict in meant])
        table[case, 0, verdicts.CASE_COUNTER] = OUTCOME_COUNTERS[case]
    return table


CASES, VERDICT_TABLE = case_table(), verdict_table()


@dataclass(frozen=True)
class Places:
    """Where instances and series are written: the order of a unit's columns. Equal places are summed.

    Shapes: instances (instance,), series (series,) u32.
    """

    instances: NDArray[np.uint32]
    series: NDArray[np.uint32]


@dataclass(frozen=True)
class SketchRuns:
    """Sparse bins of one metric, slice after slice.

    Shapes: lengths (slice,) i64; bins (bin,) i64 ascending in a slice; counts (bin,) i64.
    """

    lengths: NDArray[np.int64]
    bins: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class UnitColumns:
    """What a unit adds, ascending by (place, second) and by (place, cell).

    Shapes: instance_place, second, good, bad, excluded (count,) i64; series_place, cell (slice,) i64;
            counters (14, slice) i64.
    """

    instance_place: NDArray[np.int64]
    second: NDArray[np.int64]
    good: NDArray[np.int64]
    bad: NDArray[np.int64]
    excluded: NDArray[np.int64]
    series_place: NDArray[np.int64]
    cell: NDArray[np.int64]
    counters: NDArray[np.int64]
    sketches: dict[str, SketchRuns]
    event_time_us_max: int | None
    clamped: int
    clipped: int


class UnitState:
    """Arrays behind the fold's words; `words` is what kernels get."""

    def __init__(self, bindings: Bindings, most_slots: int = MOST_SLOTS) -> None:
        """Hold up to `most_slots` (series, second)."""
        self.bindings, self.most_slots = bindings, most_slots
        self.words = np.zeros(k.FOLD_WORDS, np.int64)
        self.address = address_of(self.words)
        self._values = np.ones((len(Kind), verdicts.VALUE_BYTES // 8), np.int64)
        self._lanes = np.zeros((0, 4), np.int64)
        self._exemplars = np.zeros((verdicts.NOTED_MOST, 2), np.int64)
        self._exemplars_of = np.zeros(0, np.uint8)
        self._row = np.zeros(1 << counts.METRIC_BITS, np.int64)
        constants = {
            k.CASES: CASES,
            k.VERDICTS: VERDICT_TABLE,
            k.BIN_TABLE: TABLE,
            k.VALUES: self._values,
            k.EXEMPLARS: self._exemplars,
        }
        for word, array in constants.items():
            self.words[word] = address_of(array)
        self.words[k.BIN_TABLE_SIZE] = TABLE.size
        self.words[k.KINDS_NEEDED] = kinds_needed(bindings.objectives)
        self._allot(FEWEST_SLOTS)

    def _allot(self, slots: int) -> None:
        """Take fresh memory for `slots` slots of each kind and what goes with them."""
        self._slots = slots
        self._fine_table, self._coarse_table = np.zeros((2, 2 * slots), np.int32)
        self._fine = np.zeros(slots * k.FINE_BYTES, np.uint8)
        self._coarse = np.zeros(slots * k.COARSE_BYTES, np.uint8)
        self._counters = np.zeros((slots, counts.COUNTER_COUNT), np.int64)
        self._tallies = np.zeros(3 * max(slots, k.BATCH) * (self.bindings.most + 1), np.int64)
        self._keys = np.zeros(4 * slots, np.uint32)
        self._weighted = np.zeros((4 * k.BATCH, 2), np.int64)
        self._clear()
        self._publish()

    def _clear(self) -> None:
        counted = [
            k.FINE_COUNT,
            k.FINE_TABLED,
            k.COARSE_COUNT,
            k.COARSE_TABLED,
            k.TALLY_USED,
            k.SKETCH_USED,
            k.WEIGHTED_USED,
            k.CLAMPED,
            k.CLIPPED,
        ]
        self.words[counted] = 0
        self.words[k.EVENT_TIME_MAX] = -1
        self._exemplars_of[:] = 0
        self._lanes[:, :2] = -1

    def _publish(self) -> None:
        """Write addresses and sizes of our own arrays into the words: they have moved."""
        addresses: dict[int, Any] = {
            k.FINE_TABLE: self._fine_table, k.COARSE_TABLE: self._coarse_table, k.FINE_SLOTS: self._fine,
            k.COARSE_SLOTS: self._coarse, k.COUNTERS: self._counters, k.TALLIES: self._tallies,
            k.SKETCH_KEYS: self._keys, k.WEIGHTED: self._weighted,
        }  # fmt: skip
        numbers = {
            k.TABLE_MASK: 2 * self._slots - 1,
            k.FINE_CAPACITY: min(self._slots, self.most_slots),
            k.COARSE_CAPACITY: min(self._slots, self.most_slots),
            k.TALLY_CAPACITY: self._tallies.size,
            k.SKETCH_CAPACITY: self._keys.size,
            k.WEIGHTED_CAPACITY: len(self._weighted),
        }
        for word, array in addresses.items():
            self.words[word] = address_of(array)
        for word, number in numbers.items():
            self.words[word] = number

    def bind(self, series_of_key: NDArray[np.int32], is_bad: NDArray[np.uint8], future_us: int, age_us: int) -> None:
        """Write what is not ours into the words: bindings may have grown since the last call.

        Shapes: is_bad (record,) u8, set where a record of the block is bad for some instance.
        """
        b = self.bindings
        if len(b.labels) > len(self._lanes):
            lanes = np.full((len(b.programs), 4), -1, np.int64)
            lanes[: len(self._lanes)] = self._lanes
            self._lanes = lanes
        self._lanes[:, 3] = b.programs
        if len(b.instances) > len(self._exemplars_of):
            self._exemplars_of = np.append(self._exemplars_of, np.zeros(len(b.instances), np.uint8))
        self._held = {  # alive while kernels use their addresses
            k.SERIES_OF_KEY: series_of_key, k.BINDING_START: b.starts, k.BINDING_COUNT: b.counts, k.INSTANCES: b.bound,
            k.RULES: b.rules, k.LANES: self._lanes, k.EXEMPLARS_OF: self._exemplars_of,
            k.BAD_RECORDS: is_bad,
        }  # fmt: skip
        for word, array in self._held.items():
            self.words[word] = address_of(array)
        self.words[k.BINDINGS_MOST], self.words[k.FUTURE_US], self.words[k.AGE_US] = b.most, future_us, age_us

    def take_exemplars(self) -> list[tuple[int, int]]:
        """Return records of the last block that are bad, each with the instance it is bad for; forget them."""
        used = int(self.words[k.EXEMPLARS_USED])
        self.words[k.EXEMPLARS_USED] = 0
        return [(record, instance) for record, instance in self._exemplars[:used].tolist()]

    @property
    def is_full(self) -> bool:
        """A unit with the most slots there may be must be taken before it goes on."""
        return bool(self.words[k.FINE_COUNT] + k.BATCH > self.most_slots)

    def grow(self, short: int) -> None:
        """Make room for what `room_left` found short."""
        if short == MORE_KEYS:
            if self.words[k.SKETCH_USED] + 3 * k.BATCH > self._keys.size:
                self._keys = _twice(self._keys)
            if self.words[k.WEIGHTED_USED] + 3 * k.BATCH > len(self._weighted):
                self._weighted = _twice(self._weighted)
        elif short == MORE_SLOTS:
            tallies = int(self.words[k.TALLY_USED]) + 3 * k.BATCH * self.bindings.most
            if tallies > self._tallies.size:
                spare = max(self._tallies.size, tallies)
                self._tallies = np.concatenate([self._tallies, np.zeros(spare, np.int64)])
            if max(self.words[k.FINE_COUNT], self.words[k.COARSE_COUNT]) + k.BATCH > self._slots:
                self._more_slots()
        self._publish()

    def _more_slots(self) -> None:
        self._slots *= 2
        self._fine, self._coarse = _twice(self._fine), _twice(self._coarse)
        self._counters = _twice(self._counters)
        self._fine_table, self._coarse_table = np.zeros((2, 2 * self._slots), np.int32)
        self.words[[k.FINE_TABLED, k.COARSE_TABLED]] = 0

    def take(self, places: Places) -> UnitColumns:
        """Return the unit's columns and start an empty one."""
        tallies, slices = self._tally_columns(places), self._slice_columns(places)
        latest = int(self.words[k.EVENT_TIME_MAX])
        extent: tuple[Any, ...] = (latest if latest >= 0 else None, *self.words[[k.CLAMPED, k.CLIPPED]].tolist())
        self._allot_again()
        return UnitColumns(*tallies, *slices, *extent)

    def _allot_again(self) -> None:
        """Clear what was used; after a burst give its memory back."""
        used = max(int(self.words[k.FINE_COUNT]), FEWEST_SLOTS)
        if self._slots > 8 * used:
            self._allot(max(FEWEST_SLOTS, self._slots // 4))
            return
        if self.words[k.FINE_TABLED] or self.words[k.COARSE_TABLED]:
            self._fine_table[:], self._coarse_table[:] = 0, 0
        self._counters[: self.words[k.COARSE_COUNT]] = 0
        self._tallies[: self.words[k.TALLY_USED]] = 0
        self._clear()

    def _tally_columns(self, places: Places) -> tuple[Any, ...]:
        lines = int(self.words[k.TALLY_USED]) // 3
        table = np.zeros(2 << max(lines, 1).bit_length(), np.int64)
        keys, sums = np.empty(lines, np.uint64), np.empty((lines, 3), np.int64)
        used = gather.tally_sums(self.address, places.instances, table, len(table) - 1, keys, sums)
        order = np.argsort(keys[:used])
        excluded, good, bad = np.ascontiguousarray(sums[order].T)
        return *_halves(keys[order]), good, bad, excluded

    def _slice_columns(self, places: Places) -> tuple[Any, ...]:
        keys = np.empty(int(self.words[k.COARSE_COUNT]), np.uint64)
        gather.slice_keys(self.address, places.series, keys)
        distinct, ranks = np.unique(keys, return_inverse=True)
        ranks = ranks.astype(np.int64, copy=False)
        counters = np.zeros((counts.COUNTER_COUNT, len(distinct)), np.int64)
        gather.slice_sums(self.address, ranks, counters)
        return *_halves(distinct), counters, self._sketch_runs(ranks, len(distinct))

    def _sketch_runs(self, ranks: NDArray[np.int64], slices: int) -> dict[str, SketchRuns]:
        plain, heavy = int(self.words[k.SKETCH_USED]), int(self.words[k.WEIGHTED_USED])
        cursors = np.zeros((2, slices + 1), np.int64)
        lengths, used = np.zeros((3, slices), np.int64), np.zeros(3, np.int64)
        bins, counts = np.empty((2, 3, plain + heavy), np.int64)
        gather.sketch_columns(
            self.address,
            ranks,
            cursors[0],
            cursors[1],
            np.empty(plain, np.uint16),
            np.empty((heavy, 2), np.int64),
            self._row,
            lengths,
            bins,
            counts,
            used,
        )
        return {
            name: SketchRuns(lengths[i], bins[i, : used[i]], counts[i, : used[i]]) for i, name in enumerate(SKETCHES)
        }


def _halves(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split place << 32 | time."""
    return (keys >> np.uint64(32)).astype(np.int64), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _twice(array: NDArray[Any]) -> NDArray[Any]:
    """The same array with as much again behind it, zeroed."""
    return np.concatenate([array, np.zeros_like(array)])
