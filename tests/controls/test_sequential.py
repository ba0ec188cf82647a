"""Law: bounds hold at every look; the bet is the oracle's; what is swapped is mirrored."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.controls.sequential import Interval, Pair, Sample, bet, dispersion
from tests.naive import comparison as naive

ALPHA = 0.05
FEW = st.builds(Sample, st.integers(0, 60), st.integers(0, 12))
MANY = st.builds(Sample, st.integers(1, 200_000), st.integers(0, 2_000))
EXPECTED = st.sampled_from((0.001, 0.05, 0.5, 0.99))


def pair(before: Sample, after: Sample, expected: float = 0.01, spread: float = 1.0) -> Pair:
    return Pair(*(bet(each, expected, spread) for each in (before, after)))


@given(FEW, FEW, EXPECTED, st.sampled_from((-0.5, -0.1, 0.0, 0.02, 0.25)))
def test_a_bet_grows_as_the_oracle_s(before: Sample, after: Sample, expected: float, difference: float) -> None:
    found = pair(before, after, expected).against_difference(difference)
    wanted = naive.grown_least(before, after, expected, difference)
    assert found <= wanted + 1e-6  # a grid misses the least by a little
    assert found == pytest.approx(wanted, abs=0.05)


@given(MANY, MANY, EXPECTED, st.sampled_from((0.001, 0.05)))
def test_bounds_end_where_the_bet_is_won_and_hold_what_was_seen(
    before: Sample, after: Sample, expected: float, alpha: float
) -> None:
    found = pair(before, after, expected)
    least, most = found.difference_within(alpha)
    seen = after.bad / after.eligible - before.bad / before.eligible
    assert -1 <= least <= seen <= most <= 1
    for edge in (least, most):
        assert abs(edge) == 1 or found.against_difference(edge) >= -log(alpha)  # rather too far out
        assert found.against_difference(edge + (seen - edge) * 0.001) < -log(alpha)
    assert (found.p_value <= alpha) == (not least < 0 < most)
    low, high = found.ratio_within(alpha)
    assert (high is None) == (before.bad == 0) and (low == 0) == (after.bad == 0)
    assert (low > 1 or (high is not None and high < 1)) == (found.p_value <= alpha)


@given(MANY, MANY, EXPECTED)
def test_what_is_swapped_is_mirrored(before: Sample, after: Sample, expected: float) -> None:
    plain = pair(before, after, expected).difference_within(ALPHA)
    sides = pair(after, before, expected).difference_within(ALPHA)
    words = pair(Sample(*before[::-1]), Sample(*after[::-1]), 1 - expected).difference_within(ALPHA)
    for each in (sides, words):
        assert (-each.most, -each.least) == pytest.approx(plain, rel=1e-4, abs=1e-6)


@given(MANY, MANY)
def test_who_wants_to_be_surer_gets_wider_bounds_and_so_does_who_knows_of_bursts(before: Sample, after: Sample) -> None:
    def width(found: Interval) -> float:
        return found.most - found.least

    plain = pair(before, after)
    assert width(plain.difference_within(0.001)) >= width(plain.difference_within(0.05))
    if before.bad and after.bad:
        burst = pair(before, after, spread=4.0)
        assert width(burst.difference_within(ALPHA)) >= width(plain.difference_within(ALPHA)) - 1e-9


def test_nothing_seen_says_nothing() -> None:
    found = pair(Sample(0, 0), Sample(0, 0))
    assert found.p_value == 1.0 and found.difference_within(ALPHA) == Interval(-1.0, 1.0)


# -- looking every minute, in a simulation
LOOKS, RUNS = 60, 400


def walks(seed: int, shares: tuple[float, float], per_minute: int) -> NDArray[np.int64]:
    """Bad events by run, side and minute, added up; as many events in each minute."""
    random = np.random.default_rng(seed)
    sides = [random.binomial(per_minute, share, (RUNS, LOOKS)) for share in shares]
    return np.cumsum(np.stack(sides, axis=1), axis=2)


def first_looks(bad: NDArray[np.int64], per_minute: int, alpha: float) -> list[int]:
    """At which look each run was told that there is a difference; LOOKS: at none. Before the change all is known."""
    found = []
    for run in bad:
        was = int(run[0, -1])
        before = Sample(LOOKS * per_minute - was, was)
        looks = (pair(before, Sample((n + 1) * per_minute - int(b), int(b))) for n, b in enumerate(run[1]))
        found.append(next((n for n, each in enumerate(looks) if each.p_value <= alpha), LOOKS))
    return found


@pytest.mark.parametrize("share", [0.002, 0.01, 0.2])
def test_who_looks_each_minute_errs_no_more_often_than_alpha(share: float) -> None:
    bad = walks(7, (share, share), 500)
    told = [look for look in first_looks(bad, 500, ALPHA) if look < LOOKS]
    assert len(told) <= ALPHA * RUNS


def test_a_test_that_is_made_for_one_look_errs_far_more_often_so_the_simulation_tells_them_apart() -> None:
    bad = walks(7, (0.01, 0.01), 500)
    events = 500 * np.arange(1, LOOKS + 1)
    before, after = bad[:, 0, -1:] / events[-1], bad[:, 1] / events
    pooled = (bad[:, 0, -1:] + bad[:, 1]) / (events[-1] + events)
    z = (after - before) / np.sqrt(pooled * (1 - pooled) * (1 / events[-1] + 1 / events))
    assert (np.abs(z) > 1.96).any(axis=1).mean() > 3 * ALPHA


def test_a_real_effect_is_found_and_a_greater_one_sooner() -> None:
    doubled, fivefold = (first_looks(walks(7, (0.01, share), 500), 500, ALPHA) for share in (0.02, 0.05))
    assert sum(look < LOOKS for look in doubled) >= 0.95 * RUNS
    assert sum(look < 5 for look in fivefold) >= 0.95 * RUNS
    assert np.median(fivefold) < np.median(doubled) < 30


def test_bounds_hold_the_true_difference_at_all_looks_at_once() -> None:
    shares, missed = (0.01, 0.013), 0
    for run in walks(11, shares, 500)[:100]:
        before = Sample(30_000 - int(run[0, -1]), int(run[0, -1]))
        looks = (pair(before, Sample(500 * (n + 1) - int(b), int(b))) for n, b in enumerate(run[1]))
        missed += any(each.against_difference(shares[1] - shares[0]) >= -log(ALPHA) for each in looks)
    assert missed <= ALPHA * 100


# -- bursts
def test_events_that_come_in_bursts_tell_less() -> None:
    """Each bad minute has ten times what it would have alone: the variance is about ten times as great."""
    random = np.random.default_rng(3)
    bad = 10 * random.binomial(100, 0.01, 2_000)
    sample = Sample(2_000 * 1_000 - int(bad.sum()), int(bad.sum()))
    assert dispersion(sample, 2_000, float((bad**2 / 1_000).sum())) == pytest.approx(10, rel=0.1)
    alone = random.binomial(1_000, 0.01, 2_000)
    sample = Sample(2_000 * 1_000 - int(alone.sum()), int(alone.sum()))
    assert dispersion(sample, 2_000, float((alone**2 / 1_000).sum())) == pytest.approx(1, abs=0.1)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50)), min_size=1, max_size=30))
def test_dispersion_is_pearson_s_and_never_less_than_one(minutes: list[tuple[int, int]]) -> None:
    seen = [each for each in minutes if sum(each)]
    sample = Sample(sum(good for good, _ in seen), sum(bad for _, bad in seen))
    found = dispersion(sample, len(seen), sum(bad * bad / (good + bad) for good, bad in seen))
    assert found >= 1
    assume(len(seen) > 1 and sample.good and sample.bad)
    ratio = sample.bad / sample.eligible
    terms = [((bad - (good + bad) * ratio) / sqrt((good + bad) * ratio * (1 - ratio))) ** 2 for good, bad in seen]
    assert found == pytest.approx(max(sum(terms) / (len(seen) - 1), 1.0))


def test_who_looks_each_minute_at_bursts_errs_no_more_often_once_it_is_known_how_they_come() -> None:
    random, runs, wrong = np.random.default_rng(5), 100, {"alone": 0, "bursts": 0}
    for _ in range(runs):
        bad = 5 * random.poisson(2, (2, LOOKS))  # of a thousand a minute, on both sides
        before = Sample(1_000 * LOOKS - int(bad[0].sum()), int(bad[0].sum()))
        spread = dispersion(before, LOOKS, float((bad[0] ** 2 / 1_000).sum()))
        looks = [Sample(1_000 * (n + 1) - int(b), int(b)) for n, b in enumerate(np.cumsum(bad[1]))]
        for name, each in (("alone", 1.0), ("bursts", spread)):
            wrong[name] += any(pair(before, after, spread=each).p_value <= ALPHA for after in looks)
    assert wrong["bursts"] <= ALPHA * runs < 3 * ALPHA * runs < wrong["alone"]
