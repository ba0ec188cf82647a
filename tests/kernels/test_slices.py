"""Verdicts of slices against fractions; the rest of the kernel is judged in tests/test_timeslices.py."""

from fractions import Fraction
from math import floor
from typing import NamedTuple

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit

from pipeline.kernels.slices import UNIT, _verdict

MOST = (1 << 32) - 1
counts = st.integers(0, 200) | st.integers(0, MOST)


class Target(NamedTuple):
    """The part of a plan that a verdict asks."""

    slice_target: int
    slice_scale: int


@njit
def verdict(plan, slot):
    return _verdict(plan, slot.ctypes.data)


def of(target: Target, good: int, bad: int) -> tuple[int, int]:
    return verdict(target, np.array([good, bad], np.uint32))


@given(counts, counts, st.integers(1, 1_000), st.integers(0, 999))
@example(19, 1, 20, 1)
@example(0, 0, 1, 0)
@example(MOST, MOST, 2, 1)
def test_a_slice_is_good_when_its_share_is_at_least_the_target(good, bad, scale, short):
    target = Fraction(max(scale - short, 1), scale)
    expected = (0, 0)
    if good + bad:
        expected = (1, 0) if Fraction(good, good + bad) >= target else (0, 1)
    assert of(Target(target.numerator, target.denominator), good, bad) == expected


@given(counts, counts)
@example(1, 2)
@example(MOST, 0)
@example(1, 1_999_999)
def test_a_ratio_is_kept_to_the_nearest_millionth(good, bad):
    share, rest = of(Target(0, 0), good, bad)
    assert share + rest == (UNIT if good + bad else 0)
    if good + bad:
        assert share == floor(Fraction(good * UNIT, good + bad) + Fraction(1, 2))
