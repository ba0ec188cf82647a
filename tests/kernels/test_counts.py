"""The fold's own tables; what it counts is tested in tests/test_ingest.py, against an oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import counts as k
from pipeline.kernels.bits import address_of
from pipeline.kernels.reasons import MORE_KEYS, MORE_SLOTS

SIZE = 32


def table_of(entries: dict[int, int], size: int) -> np.ndarray:
    """An open-addressing table with linear probing, filled by rehash itself one entry after another."""
    table = np.zeros((size, 2), np.int64)
    for key, slot in entries.items():
        one = np.array([[key + 1, slot]], np.int64)
        k.rehash(address_of(one), 1, address_of(table), size - 1)
    return table


@given(st.dictionaries(st.integers(0, (1 << 60) - 1), st.integers(0, 1 << 40), max_size=SIZE // 2))
def test_rehashing_keeps_every_entry_once(entries: dict[int, int]) -> None:
    table = table_of(entries, SIZE)
    larger = np.zeros((2 * SIZE, 2), np.int64)
    k.rehash(address_of(table), SIZE, address_of(larger), 2 * SIZE - 1)
    for each in (table, larger):
        used = each[each[:, 0] != 0]
        assert {int(key) - 1: int(slot) for key, slot in used} == entries
        assert len(used) == len(entries)


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
