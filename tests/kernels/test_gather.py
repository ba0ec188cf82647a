"""Sketch keys to sparse bins, against a Counter; the fold as a whole is tested in tests/test_ingest.py."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import gather
from pipeline.kernels import slots as k
from pipeline.kernels.bits import address_of
from pipeline.kernels.counts import METRIC_BITS
from pipeline.kernels.ddsketch import BINS, TOP_BIN


def code(slot: int, metric: int, index: int) -> int:
    return slot << METRIC_BITS | metric * BINS + index


KEY = st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, TOP_BIN))


@given(
    st.lists(KEY, max_size=80),
    st.lists(st.tuples(KEY, st.integers(2, 1 << 40)), max_size=20),
    st.permutations(range(6)),
)
def test_bins_of_equal_ranks_are_one_and_ascend(
    plain: list[tuple[int, int, int]], heavy: list[tuple[tuple[int, int, int], int]], order: list[int]
) -> None:
    ranks = np.array(order, np.int64) // 2  # two slots share a slice
    words = np.zeros(k.FOLD_WORDS, np.int64)
    keys = np.array([code(*key) for key in plain] or [0], np.uint32)
    weighted = np.array([(code(*key), weight) for key, weight in heavy] or [(0, 0)], np.int64)
    words[[k.SKETCH_KEYS, k.SKETCH_USED]] = address_of(keys), len(plain)
    words[[k.WEIGHTED, k.WEIGHTED_USED]] = address_of(weighted), len(heavy)
    words[k.COARSE_COUNT] = 6
    total = len(plain) + len(heavy)
    lengths, used = np.zeros((3, 3), np.int64), np.zeros(3, np.int64)
    bins, counts = np.zeros((2, 3, total), np.int64)
    row = np.zeros(1 << METRIC_BITS, np.int64)
    gather.sketch_columns(
        address_of(words),
        ranks,
        *np.zeros((2, 4), np.int64),
        np.zeros(len(plain), np.uint16),
        np.zeros((len(heavy), 2), np.int64),
        row,
        lengths,
        bins,
        counts,
        used,
    )
    wanted: Counter[tuple[int, int, int]] = Counter((int(ranks[s]), m, b) for s, m, b in plain)
    for (s, m, b), weight in heavy:
        wanted[int(ranks[s]), m, b] += weight
    for metric in range(3):
        expected = sorted((rank, index, n) for (rank, m, index), n in wanted.items() if m == metric)
        assert used[metric] == len(expected)
        assert bins[metric, : used[metric]].tolist() == [index for _, index, _ in expected]
        assert counts[metric, : used[metric]].tolist() == [n for _, _, n in expected]
        assert lengths[metric].tolist() == [sum(rank == r for rank, _, _ in expected) for r in range(3)]
    assert not row.any()  # as it was lent
