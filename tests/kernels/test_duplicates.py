"""The window of event ids against a dictionary that never forgets."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels.duplicates import CROWDED, DUPLICATE, NEW, WAYS, mark, slots_for, window
from tests.naive import duplicates as naive

WINDOW_S = 10


def marked(table: Any, records: list[tuple[int, int]], window_s: int = WINDOW_S) -> list[int]:
    """Codes; the counts that come back are those of the codes."""
    found, now_s = (np.array([record[i] for record in records], kind) for i, kind in enumerate((np.uint64, np.int64)))
    codes = np.full(len(records), 9, np.uint8)
    counts = mark(*table, found, now_s, window_s, codes)
    assert counts == ((codes == DUPLICATE).sum(), (codes == CROWDED).sum())
    return [int(code) for code in codes]


def in_time(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(id, seconds since the one before) -> (hash, second): ids differ in high and low bits."""
    now_s, records = 1, []
    for name, wait_s in steps:
        now_s += wait_s
        records.append((name << 32 | name, now_s))
    return records


STEPS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), max_size=80)


@given(STEPS)
def test_a_window_that_is_large_enough_finds_exactly_the_duplicates(steps: list[tuple[int, int]]) -> None:
    records = in_time(steps)
    codes = marked(window(400), records)
    assert CROWDED not in codes
    assert [code == DUPLICATE for code in codes] == naive.duplicates(records, WINDOW_S)


@given(STEPS, st.integers(0, 80))
def test_a_window_does_not_depend_on_how_records_are_cut(steps: list[tuple[int, int]], cut: int) -> None:
    records, table = in_time(steps), window(4)
    assert marked(table, records[:cut]) + marked(table, records[cut:]) == marked(window(4), records)


@given(STEPS)
def test_a_window_that_is_too_small_never_takes_a_first_coming_for_a_duplicate(steps: list[tuple[int, int]]) -> None:
    records = [(name * slots_for(1), now_s) for name, now_s in in_time(steps)]  # all in one set
    codes, named = marked(window(1), records), naive.duplicates(records, WINDOW_S)
    seen: set[int] = set()
    for (name, _), code, is_duplicate in zip(records, codes, named, strict=True):
        assert code != DUPLICATE or name in seen
        assert code == DUPLICATE or not is_duplicate or CROWDED in codes
        seen.add(name)


@pytest.mark.parametrize(
    ("records", "codes"),
    [
        pytest.param([(5, 1), (5, 11)], [NEW, DUPLICATE], id="at the end of the window"),
        pytest.param([(5, 1), (5, 12)], [NEW, NEW], id="past it"),
        pytest.param([(5, 1), (5, 8), (5, 12)], [NEW, DUPLICATE, NEW], id="a duplicate does not renew"),
        pytest.param([(8 * i, 1) for i in range(WAYS)] + [(64, 1)], [NEW] * WAYS + [CROWDED], id="one more than fits"),
        pytest.param([(8 * i, 1) for i in range(WAYS)] + [(64, 12)], [NEW] * (WAYS + 1), id="the old make room"),
        pytest.param(
            [(8 * i, i + 1) for i in range(WAYS)] + [(64, 8), (8, 8), (0, 8)],
            [NEW] * WAYS + [CROWDED, DUPLICATE, CROWDED],
            id="the oldest makes room first",
        ),
        pytest.param([(0, 1), (0, 1)], [NEW, DUPLICATE], id="the hash zero is a hash"),
    ],
)
def test_codes_at_the_edges(records: list[tuple[int, int]], codes: list[int]) -> None:
    assert marked(window(1), records) == codes


@pytest.mark.parametrize(("ids", "slots"), [(1, 8), (4, 8), (5, 16), (500_000, 1 << 20), (1 << 20, 1 << 21)])
def test_memory_is_twelve_bytes_for_each_of_twice_as_many_slots(ids: int, slots: int) -> None:
    assert slots_for(ids) == slots and sum(array.nbytes for array in window(ids)) == 12 * slots
