"""Products compared in 128 bits, against Python's integers."""

from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from pipeline.kernels.wide import at_least

big = st.integers(0, (1 << 63) - 1)


@njit
def compare(x, a, y, b):
    return at_least(x, a, y, b)


@given(big, big, big, big)
def test_products_are_compared_in_128_bits(x, a, y, b):
    assert compare(x, a, y, b) == (x * a >= y * b)


@given(st.integers(1, (1 << 31)), st.integers(1, (1 << 31)))
def test_near_ties_of_products_are_told_apart(x, a):
    assert compare(x, a, a, x)
    assert not compare(x, a, a * x + 1, 1)
