"""Law: a state is byte for byte what ClickHouse's quantilesDDState makes of the values behind the bins."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedded import EmbeddedClickHouse
from pipeline.kernels.ddsketch import BINS, TABLE, TOP_BIN, bins_of
from pipeline.kernels.states import BIN_BYTES, FIXED_BYTES, encode_states
from tests.naive.states import bin_of, state_of

Entry = Sequence[tuple[int, int]]  # (bin, count), bins ascending


def encode(rows: Sequence[Sequence[Entry]]) -> list[bytes]:
    """States of rows of entries, the entries laid out backwards so that `order` matters."""
    entries = [entry for row in rows for entry in row]
    laid_out = entries[::-1]
    order = np.arange(len(entries), dtype=np.int64)[::-1].copy()
    row_starts = np.cumsum([0, *map(len, rows)])
    bin_starts = np.cumsum([0, *map(len, laid_out)])
    pairs = np.array([pair for entry in laid_out for pair in entry], np.int64).reshape(-1, 2)
    bins, counts = pairs[:, 0].copy(), pairs[:, 1].copy()
    out = np.full(len(rows) * FIXED_BYTES + len(bins) * BIN_BYTES + 1, 0xAB, np.uint8)
    offsets, dense = np.empty(len(rows) + 1, np.int64), np.zeros(BINS, np.int64)
    encode_states(row_starts, order, bin_starts, bins, counts, dense, out, offsets)
    assert out[-1] == 0xAB, "the bound on the length is too small"
    assert not dense.any(), "the scratch row must come back zeroed"
    return [out[a:b].tobytes() for a, b in pairwise(offsets)]


def entry_of(values: np.ndarray) -> Entry:
    """The kernel's own bins of values."""
    bins = np.empty(values.size, np.int64)
    bins_of(values.astype(np.float64), TABLE, bins)
    return sorted(Counter(bins.tolist()).items())


ENTRIES = st.dictionaries(st.integers(0, TOP_BIN), st.integers(1, 2**40), max_size=40).map(lambda d: sorted(d.items()))


@given(st.lists(st.lists(ENTRIES, max_size=4), max_size=5))
def test_states_are_those_of_the_entries_added_up(rows: list[list[Entry]]) -> None:
    assert encode(rows) == [state_of(pair for entry in row for pair in entry) for row in rows]


@pytest.mark.parametrize(
    "bins",
    [
        pytest.param([], id="empty"),
        pytest.param([(0, 7)], id="only below a microsecond"),
        pytest.param([(1, 1)], id="key zero"),
        pytest.param([(TOP_BIN, 3)], id="the top bin"),
        pytest.param([(10, 1), (12, 1), (13, 1), (14, 1), (15, 1)], id="one hole in four: contiguous"),
        pytest.param([(10, 1), (12, 1), (13, 1), (14, 1)], id="one hole in three: sparse"),
        pytest.param([(j, 1) for j in range(BINS - 10)], id="every bin"),
        pytest.param([(j, 1) for j in range(1, BINS - 10, 2)], id="every second bin"),
    ],
)
def test_the_store_is_chosen_as_clickhouse_chooses(bins: Entry) -> None:
    assert encode([[bins]]) == [state_of(bins)]


@given(st.floats(0, 2.0**34 - 1))
def test_the_kernel_and_the_paper_agree_on_bins(value: float) -> None:
    if value >= 1 and abs(np.log(value) / np.log(1.01 / 0.99) % 1 - 0.5) > 0.499:
        return  # within rounding of a boundary either side is right for the logarithm itself
    assert [j for j, _ in entry_of(np.array([value]))] == [bin_of(value)]


def _value_sets() -> list[np.ndarray]:
    """Thousands of sets of microseconds: every shape a slice can have."""
    rng = np.random.default_rng(20_251)
    top = 2.0**34 - 1
    sets = [np.array([]), np.zeros(5), np.array([1.0]), np.array([top]), np.array([0.0, 1.0, top])]
    for i in range(2500):
        size = int(rng.integers(1, 200))
        spread = rng.uniform(0.02, 2.5)
        values = np.floor(np.exp(rng.normal(rng.uniform(3, 16), spread, size)))
        values[rng.random(size) < (i % 4 == 0) * 0.2] = 0.0
        sets.append(np.minimum(values, top))
    return sets


@pytest.mark.servers
def test_clickhouse_makes_the_same_bytes_of_the_raw_values(clickhouse: EmbeddedClickHouse) -> None:
    sets = _value_sets()
    with clickhouse.client() as client:
        rows = client.execute(
            "SELECT hex(arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', x)) FROM sets ORDER BY i",
            external_tables=[{
                "name": "sets",
                "structure": [("i", "UInt32"), ("x", "Array(Float64)")],
                "data": [{"i": i, "x": values.tolist()} for i, values in enumerate(sets)],
            }],
        )  # fmt: skip
    ours = encode([[entry_of(values)] for values in sets])
    assert [state.hex().upper() for state in ours] == [row[0] for row in rows]
