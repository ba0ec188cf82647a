"""Shares of bad events from a sample: bounds are missed as often as they say, of one load and of several on a line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.odds import NOTHING, Counts, Tally, bounds, line, wilson

Z = 1.6448536269514722  #: of 95 %, one-sided


def counts(kept: float, each: float = 1.0) -> Counts:
    return Counts(kept, kept * each, kept * each * each)


def tally(good: float, bad: float, each: float = 1.0) -> Tally:
    return Tally(counts(good, each), counts(bad), counts(good + bad))


def test_all_events_kept_is_wilson_as_it_stands_in_books() -> None:
    """Of 10 in 100, 95 % two-sided, the interval is 0.0552 to 0.1744 (Wilson's form without correction)."""
    assert wilson(0.1, 100, 1.959964) == pytest.approx((0.05523, 0.17437), abs=1e-5)
    low, high = wilson(0.1, 100, Z)
    assert bounds(tally(90, 10), 1.0, Z) == pytest.approx((1 - high, 1 - low, 0.9))


@pytest.mark.parametrize("ratio", [1.0, 0.1, 0.01])
@pytest.mark.parametrize(("requests", "share"), [(20_000, 0.01), (3_000, 0.05)])
def test_each_bound_is_missed_as_often_as_it_says(ratio: float, requests: int, share: float) -> None:
    """Bad ones are all kept, of the others a share: 2,000 times over, within what such a count can say."""
    random = np.random.default_rng(3)
    bad = random.binomial(requests, share, 2_000)
    good = random.binomial(requests - bad, ratio)
    found = [bounds(tally(int(g), int(b), 1 / ratio), 1 / ratio, Z) for g, b in zip(good, bad, strict=True)]
    least = np.mean([each.least > 1 - share for each in found if each])
    most = np.mean([each.most < 1 - share for each in found if each])
    assert 0.03 < least < 0.07 and 0.03 < most < 0.07


@given(st.integers(0, 10_000), st.integers(0, 1_000), st.sampled_from((1.0, 10.0, 100.0)))
def test_bounds_are_around_what_was_seen_and_more_bad_ones_lower_both(good: int, bad: int, each: float) -> None:
    found = bounds(tally(good, bad, each), each, Z)
    worse = bounds(tally(good, bad + 1, each), each, Z)
    if not good + bad:
        assert found is None
        return
    assert found is not None and worse is not None
    assert 0 <= found.least <= good * each / (good * each + bad) + 1e-12
    assert good * each / (good * each + bad) - 1e-12 <= found.most <= 1
    assert worse.least <= found.least and worse.most <= found.most


def test_bad_ones_alone_say_nothing_when_no_good_one_is_ever_kept() -> None:
    assert bounds(tally(0, 500), 0.0, Z) is None
    assert bounds(Tally(), 1.0, Z) is None


def test_a_producer_that_sends_one_in_a_hundred_tells_as_much_as_it_sent() -> None:
    """Weights of all events alike change nothing: 300 events that stand for 30,000 are 300 events."""
    every, sampled = counts(300), Counts(300, 30_000, 3_000_000)
    assert bounds(Tally(sampled, NOTHING, sampled), 0.0, Z) == bounds(Tally(every, NOTHING, every), 0.0, Z)


@pytest.mark.parametrize("ratio", [1.0, 0.05])
@pytest.mark.parametrize(("height", "slope"), [(-4.6, 6.0), (-4.6, 2.0), (-3.0, 20.0)])
def test_a_line_bounds_the_truth_as_often_as_it_says(ratio: float, height: float, slope: float) -> None:
    """Seven loads around one, of 3,000 requests each, bad by a logistic line; 600 times over."""
    random, places = np.random.default_rng(11), np.linspace(-0.3, 0.3, 7)
    shares = 1 / (1 + np.exp(-(height + slope * places)))
    truth = 1 - 1 / (1 + np.exp(-height))
    missed = np.zeros(2)
    for _ in range(600):
        bad = random.binomial(3_000, shares)
        good = random.binomial(3_000 - bad, ratio)
        seen = [tally(int(g), int(b), 1 / ratio) for g, b in zip(good, bad, strict=True)]
        fitted = line(zip(places.tolist(), seen, strict=True), 1 / ratio)
        assert fitted is not None
        found = fitted.bounds(Z)
        missed += found.least > truth, found.most < truth
    assert (missed / 600 > 0.02).all() and (missed / 600 < 0.08).all()


def test_a_line_is_surer_than_the_one_load_and_agrees_with_it() -> None:
    seen = [(x / 10, tally(2_000, bad)) for x, bad in ((-3, 5), (-2, 9), (-1, 14), (0, 25), (1, 42), (2, 70), (3, 110))]
    fitted, alone = line(seen, 1.0), bounds(seen[3][1], 1.0, Z)
    assert fitted is not None and alone is not None
    assert fitted.compliance == pytest.approx(2_000 / 2_025, abs=0.001)
    assert alone.least < fitted.bounds(Z).least < fitted.compliance < fitted.bounds(Z).most < alone.most


def test_a_line_rises_or_there_is_none() -> None:
    assert line([(-0.2, tally(900, 100)), (0.0, tally(950, 50)), (0.2, tally(990, 10))], 1.0) is None
    assert line([(0.0, tally(900, 0)), (0.2, tally(900, 0))], 1.0) is None
    assert line([(0.0, tally(0, 9)), (0.2, tally(0, 9))], 1.0) is None
    assert line([(0.0, tally(90, 10))], 1.0) is None


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=8), st.floats(1e-3, 1e4))
def test_whatever_was_seen_a_line_bounds_between_nothing_and_all(seen: list[tuple[int, int]], each: float) -> None:
    fitted = line([(place / 10, tally(good, bad, each)) for place, (good, bad) in enumerate(seen)], each)
    if fitted is not None:
        found = fitted.bounds(Z)
        assert 0 <= found.least <= fitted.compliance <= found.most <= 1
