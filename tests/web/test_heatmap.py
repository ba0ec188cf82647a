"""Heat maps: sketches read bin by bin, against a writer that shares no code with the reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.web.heatmap import Bins, bins_of, heat_map
from tests.naive.charts import count_between
from tests.naive.states import state_of

BINS = st.dictionaries(st.integers(0, 1_179), st.integers(1, 10_000), max_size=80)
COLUMNS = st.lists(st.one_of(st.none(), BINS), max_size=6)


@given(BINS)
def test_a_state_is_read_as_it_was_written(bins: dict[int, int]) -> None:
    found = bins_of(state_of(bins.items()))
    assert found.counts == {index - 1: count for index, count in bins.items() if index}
    assert found.below == bins.get(0, 0)


@given(st.binary(max_size=100))
def test_what_is_no_sketch_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="sketch"):
        bins_of(data)


@given(BINS, st.integers(1, 10))
def test_half_a_sketch_is_refused(bins: dict[int, int], missing: int) -> None:
    with pytest.raises(ValueError, match="sketch"):
        bins_of(state_of(bins.items())[:-missing])


@given(COLUMNS)
def test_every_count_is_in_one_row_between_the_right_edges(columns: list[dict[int, int] | None]) -> None:
    read = [None if bins is None else bins_of(state_of(bins.items())) for bins in columns]
    found = heat_map(read)
    assert len(found.edges_us) <= 49 and found.edges_us == sorted(found.edges_us)
    for bins, counts in zip(columns, found.counts, strict=True):
        if not bins:
            assert counts is None
            continue
        assert counts is not None and sum(counts) == sum(bins.values())
        keys = [index - 1 for index, count in bins.items() if index for _ in range(min(count, 3))]
        for row, (low, high) in enumerate(zip(found.edges_us, found.edges_us[1:], strict=False)):
            between = count_between(keys, low, high)
            assert (counts[row] > 0) == (between > 0 or (row == 0 and 0 in bins))


def test_nothing_makes_an_empty_map() -> None:
    assert heat_map([None, Bins({})]) == ([], [None, None])
