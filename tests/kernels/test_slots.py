"""Slots: every (series, second) has one, whatever the order of events; against dictionaries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import slots as k
from pipeline.kernels.bits import address_of
from pipeline.kernels.reasons import MORE_KEYS, MORE_SLOTS

SERIES, SIZE = 4, 128


class Memory:
    """The words and arrays that `enter` works on, for SERIES series of 1 to SERIES rules each."""

    def __init__(self) -> None:
        self.words = np.zeros(k.FOLD_WORDS, np.int64)
        self.lanes = np.full((SERIES, k.LANE_BYTES // 8), -1, np.int64)
        self.fine, self.coarse = np.zeros((SIZE, k.FINE_BYTES // 8), np.int64), np.zeros((SIZE, 2), np.int64)
        self.tables, self.rules = np.zeros((2, 2 * SIZE), np.int32), np.arange(1, SERIES + 1, dtype=np.int32)
        self.words[k.TABLE_MASK] = 2 * SIZE - 1
        named = {k.FINE_SLOTS: self.fine, k.COARSE_SLOTS: self.coarse, k.BINDING_COUNT: self.rules}
        for word, array in (named | {k.FINE_TABLE: self.tables[0], k.COARSE_TABLE: self.tables[1]}).items():
            self.words[word] = address_of(array)

    def enter(self, series: int, second: int) -> tuple[int, int]:
        """Bring the lane there, as the fold does; return its coarse slot and tally offset."""
        if self.lanes[series, 0] != second:
            k.enter(address_of(self.words), address_of(self.lanes[series]), series, second)
        assert self.lanes[series, 0] == second
        return divmod(int(self.lanes[series, 2]), 1 << k.TALLY_BITS)


@given(st.lists(st.tuples(st.integers(0, SERIES - 1), st.integers(0, 25)), max_size=SIZE))
def test_each_second_of_a_series_has_its_own_tallies_and_each_slice_its_counters(visits: list[tuple[int, int]]) -> None:
    memory = Memory()
    tallies: dict[tuple[int, int], int] = {}
    slices: dict[tuple[int, int], int] = {}
    used = 0
    for series, second in visits:
        if (series, second) not in tallies:
            tallies[series, second] = used
            used += 3 * (series + 1)
        coarse = slices.setdefault((series, second // k.SLICE_S), len(slices))
        assert memory.enter(series, second) == (coarse, tallies[series, second])
    assert memory.words[[k.FINE_COUNT, k.COARSE_COUNT, k.TALLY_USED]].tolist() == [len(tallies), len(slices), used]
    assert memory.fine[: len(tallies), :2].tolist() == [list(key) for key in tallies]
    assert memory.coarse[: len(slices)].tolist() == [list(key) for key in slices]


@pytest.mark.parametrize(
    ("short", "expected"),
    [
        ({}, 0),
        ({k.FINE_CAPACITY: k.BATCH - 1}, MORE_SLOTS),
        ({k.COARSE_CAPACITY: k.BATCH - 1}, MORE_SLOTS),
        ({k.TALLY_CAPACITY: 3 * k.BATCH - 1}, MORE_SLOTS),
        ({k.SKETCH_CAPACITY: 3 * k.BATCH - 1}, MORE_KEYS),
        ({k.WEIGHTED_CAPACITY: 3 * k.BATCH - 1}, MORE_KEYS),
    ],
    ids=["room", "fine slots", "coarse slots", "tallies", "sketch keys", "weighted inserts"],
)
def test_a_batch_is_begun_only_with_room_for_all_of_it(short: dict[int, int], expected: int) -> None:
    words = np.zeros(k.FOLD_WORDS, np.int64)
    capacities = (k.FINE_CAPACITY, k.COARSE_CAPACITY, k.TALLY_CAPACITY, k.SKETCH_CAPACITY, k.WEIGHTED_CAPACITY)
    words[list(capacities)] = 100 * k.BATCH
    words[k.BINDINGS_MOST] = 1
    for word, value in short.items():
        words[word] = value
    assert k.room_left(address_of(words)) == expected
