"""Bins against the logarithm, and the error they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import ddsketch
from tests.naive import sketch as naive

VALUES = st.one_of(st.integers(0, 1 << 36).map(float), st.floats(0, 2.0**36), st.floats(1, 1e5))


def bins_of(values: list[float]) -> list[int]:
    out = np.empty(len(values), np.int64)
    ddsketch.bins_of(np.array(values), ddsketch.TABLE, out)
    return [int(x) for x in out]


@given(st.lists(VALUES, max_size=30))
def test_a_bin_is_the_floor_of_the_logarithm(values: list[float]) -> None:
    assert bins_of(values) == [naive.bin_of(v) for v in values]


@given(st.lists(VALUES.filter(lambda v: 1 <= v < 2.0**34), max_size=30))
def test_the_middle_of_a_bin_is_within_one_percent(values: list[float]) -> None:
    for value, index in zip(values, bins_of(values), strict=True):
        assert abs(naive.middle_of(index) - value) <= value * (ddsketch.ALPHA + 1e-12)


def test_every_boundary_is_exact_on_both_sides() -> None:
    """The neighbours of gamma^k, for every k that has a bin: where a table could be off by one."""
    edges = [naive.GAMMA**k for k in range(1, ddsketch.TOP_BIN)]
    near = [x for e in edges for x in (math.nextafter(e, 0), e, math.nextafter(e, math.inf))]
    assert bins_of(near) == [naive.bin_of(v) for v in near]


@pytest.mark.parametrize(
    ("value", "index"),
    [(0.0, 0), (0.999, 0), (1.0, 1), (2.0**34, ddsketch.TOP_BIN), (2.0**60, ddsketch.TOP_BIN)],
)
def test_ends_of_the_range(value: float, index: int) -> None:
    assert bins_of([value]) == [index]


def test_a_row_of_bins_holds_every_bin() -> None:
    assert ddsketch.TOP_BIN < ddsketch.BINS and 3 * ddsketch.BINS <= 4096
