"""The window of event ids against a dictionary that never forgets."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels.duplicates import CROWDED, DUPLICATE, NEW, WAYS, mark, settle, slots_for, window
from tests.naive import duplicates as naive
from tests.naive.duplicates import Coming

WINDOW_S = 10


def marked(table: Any, records: list[tuple[int, int]], window_s: int = WINDOW_S) -> list[int]:
    """Codes; the count that comes back is theirs."""
    found, now_s = (np.array([record[i] for record in records], kind) for i, kind in enumerate((np.uint64, np.int64)))
    codes = np.full(len(records), 9, np.uint8)
    assert mark(*table, found, now_s, window_s, codes) == (codes == CROWDED).sum()
    return [int(code) for code in codes]


def in_time(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(id, seconds since the one before) -> (hash, second): ids differ in high and low bits."""
    now_s, records = 1, []
    for name, wait_s in steps:
        now_s += wait_s
        records.append((name << 32 | name, now_s))
    return records


STEPS = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 4)), max_size=80)


@given(STEPS)
def test_a_window_that_is_large_enough_finds_exactly_the_duplicates(steps: list[tuple[int, int]]) -> None:
    records = in_time(steps)
    codes = marked(window(400), records)
    assert CROWDED not in codes
    wanted = naive.left_out([Coming(name, second) for name, second in records], WINDOW_S)
    assert [code == DUPLICATE for code in codes] == wanted


@given(STEPS, st.integers(0, 80))
def test_a_window_does_not_depend_on_how_records_are_cut(steps: list[tuple[int, int]], cut: int) -> None:
    records, table = in_time(steps), window(4)
    assert marked(table, records[:cut]) + marked(table, records[cut:]) == marked(window(4), records)


@given(STEPS, st.integers(0, 80), st.integers(0, 20), st.sampled_from([1, 4, 100]))
def test_a_window_filled_from_its_last_seconds_answers_as_one_that_saw_all(
    steps: list[tuple[int, int]], cut: int, more_s: int, ids: int
) -> None:
    """Also where ids have to make room, and also when it is filled from further back than it has to be."""
    records = in_time(steps)
    past, rest = records[:cut], records[cut:]
    whole, anew = window(ids), window(ids)
    marked(whole, past)
    marked(anew, [each for each in past if each[1] >= past[-1][1] - WINDOW_S - more_s])
    assert marked(anew, rest) == marked(whole, rest)


@given(STEPS)
def test_a_window_that_is_too_small_never_takes_a_first_coming_for_a_duplicate(steps: list[tuple[int, int]]) -> None:
    records = [(name * slots_for(1), now_s) for name, now_s in in_time(steps)]  # all in one set
    codes = marked(window(1), records)
    named = naive.left_out([Coming(name, second) for name, second in records], WINDOW_S)
    seen: set[int] = set()
    for (name, _), code, is_duplicate in zip(records, codes, named, strict=True):
        assert code != DUPLICATE or name in seen
        assert code == DUPLICATE or not is_duplicate or CROWDED in codes
        seen.add(name)


@pytest.mark.parametrize(
    ("records", "codes"),
    [
        pytest.param([(4, 1), (4, 11)], [NEW, DUPLICATE], id="at the end of the window"),
        pytest.param([(4, 1), (4, 12)], [NEW, NEW], id="past it"),
        pytest.param([(4, 1), (4, 8), (4, 18)], [NEW, DUPLICATE, DUPLICATE], id="a duplicate renews"),
        pytest.param([(8 * i, 1) for i in range(1, 10)], [NEW] * WAYS + [CROWDED], id="one more than fits"),
        pytest.param([(8 * i, 1) for i in range(1, 9)] + [(72, 12)], [NEW] * (WAYS + 1), id="the old make room"),
        pytest.param(
            [(8 * i, 1) for i in range(1, 9)] + [(8, 1), (72, 1), (8, 1), (16, 1)],
            [NEW] * WAYS + [DUPLICATE, CROWDED, DUPLICATE, CROWDED],
            id="what came least lately makes room first",
        ),
        pytest.param([(0, 1), (0, 1)], [NEW, NEW], id="nothing is no id"),
    ],
)
def test_codes_at_the_edges(records: list[tuple[int, int]], codes: list[int]) -> None:
    assert marked(window(1), records) == codes


def test_an_id_that_could_not_be_counted_is_new_until_it_is() -> None:
    table, id_7 = window(1), np.array([7 << 8], np.uint64)
    assert marked(table, [(7 << 8, 1)]) == [NEW]
    settle(table[0], id_7, np.array([False]))
    assert marked(table, [(7 << 8, 2)]) == [NEW]
    settle(table[0], id_7, np.array([True]))
    assert marked(table, [(7 << 8, 3)]) == [DUPLICATE]
    settle(table[0], np.array([9 << 8], np.uint64), np.array([True]))  # not known: nothing happens
    assert marked(table, [(9 << 8, 3)]) == [NEW]


@pytest.mark.parametrize(("ids", "slots"), [(1, 8), (4, 8), (5, 16), (500_000, 1 << 20), (1 << 20, 1 << 21)])
def test_memory_is_twelve_bytes_for_each_of_twice_as_many_slots(ids: int, slots: int) -> None:
    assert slots_for(ids) == slots and sum(array.nbytes for array in window(ids)) == 12 * slots
