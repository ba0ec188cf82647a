"""Verdicts of slices against fractions; the rest of the kernel is judged in tests/test_timeslices.py."""

from fractions import Fraction
from math import floor
from typing import NamedTuple

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit

from pipeline.kernels import slices as k
from pipeline.kernels.slices import UNIT, _verdict

MOST = (1 << 32) - 1
counts = st.integers(0, 200) | st.integers(0, MOST)


class Target(NamedTuple):
    """The part of a plan that a verdict asks."""

    slice_target: int
    slice_scale: int
    slice_rule: int = k.SHARE
    slice_offered: int = 0
    slice_s: int = 60


@njit
def verdict(plan, slot):
    return _verdict(plan, slot.ctypes.data)


def of(target: Target, good: int, bad: int) -> tuple[int, int]:
    width = np.uint32 if target.slice_rule < k.TOKENS else np.int64
    return verdict(target, np.array([good, bad], width).view(np.uint32))


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


RATES = st.integers(1, 10**14)
sums = st.integers(0, 200) | st.integers(0, 1 << 62)


@given(st.sampled_from((k.SERVED, k.TOKENS)), counts, counts, RATES, st.integers(0, 10**14), st.integers(1, 86_400))
@example(k.SERVED, 600, 0, 10_000_000, 0, 60)
@example(k.SERVED, 599, 1, 10_000_000, 0, 60)
@example(k.SERVED, 599, 0, 10_000_000, 0, 60)
@example(k.TOKENS, 0, 0, 10_000_000, 1, 60)
@example(k.TOKENS, MOST, 60, 10_000_000, 0, 60)
def test_a_throughput_is_judged_where_enough_is_offered(rule, good, bad, floor, more, length):
    offered = floor + more if rule == k.SERVED else more + 1
    load = good + bad if rule == k.SERVED else bad
    expected = (0, 0)
    if Fraction(load, length) >= Fraction(offered, 10**6):
        expected = (1, 0) if Fraction(good, length) >= Fraction(floor, 10**6) else (0, 1)
    assert of(Target(floor, 10**6, rule, offered, length), good, bad) == expected


@given(sums, sums, st.integers(1, 10**18))
@example(2_000_000_000, 1_000, 2_000_000_000)
@example(2_000_000_001, 1_000, 2_000_000_000)
@example(1, 0, 10**18)
@example(0, 0, 1)
@example(1 << 62, 1 << 62, 1_000)
def test_cost_is_held_against_the_tokens_it_bought(picousd, tokens, threshold):
    """Cost without tokens is out of target at any price; nothing at all has no verdict."""
    expected = (0, 0)
    if picousd or tokens:
        expected = (1, 0) if tokens and Fraction(1000 * picousd, tokens) <= threshold else (0, 1)
    assert of(Target(threshold, 1000, k.COST), picousd, tokens) == expected
