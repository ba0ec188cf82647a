"""Forecasts: what is used must have beaten last season's values, and intervals hold as often as they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls import forecast
from pipeline.controls.forecast import (
    NOMINAL_COVERAGE,
    SEASONAL_NAIVE,
    Backtest,
    Floats,
    Grid,
    Horizon,
    choose,
    exhausted_in,
    measured,
    offsets,
    origins,
    score,
    seasonal_naive,
    spread,
)
from tests.naive import forecast as oracle

ALL = slice(None)
counts = st.integers(0, 1_000).map(float)


def backtest(actual: Floats, **paths: Floats) -> Backtest:
    starts = np.arange(len(actual), dtype=np.int64) * actual.shape[1] + 100
    return Backtest(starts, actual, paths, 1.0)


def noisy(seed: int, *shape: int, level: float = 100.0, spread: float = 10.0) -> Floats:
    return level + spread * np.random.default_rng(seed).standard_normal(shape)


@given(st.lists(counts, min_size=1, max_size=40), st.integers(1, 12), st.integers(1, 30))
def test_seasonal_naive_repeats_the_newest_value_of_the_same_place_in_the_season(
    history: list[float], season: int, steps: int
) -> None:
    season = min(season, len(history))
    assert seasonal_naive(np.array(history), season, steps).tolist() == oracle.seasonal_naive(history, season, steps)


def test_what_was_not_measured_is_taken_from_the_season_before() -> None:
    history = np.array([1.0, 2.0, 3.0, 4.0, math.nan, math.nan])
    assert seasonal_naive(history, 2, 3).tolist() == [3.0, 4.0, 3.0]
    assert seasonal_naive(np.array([math.nan, 5.0, math.nan]), 3, 3).tolist() == [5.0, 5.0, 5.0]
    assert np.isnan(seasonal_naive(np.array([]), 3, 2)).all()


def test_the_season_is_the_one_that_the_history_repeats_itself_in_best_and_holds_twice() -> None:
    week = np.tile([1.0, 1.0, 1.0, 1.0, 1.0, 5.0, 5.0], 6)
    assert forecast.season_of(week, (2, 7)) == 7
    assert forecast.season_of(week[:13], (2, 7)) == 2
    assert forecast.season_of(week[:3], (2, 7)) == 1


@given(st.lists(st.lists(counts | st.just(math.nan), min_size=3, max_size=3), min_size=1, max_size=8), st.data())
def test_scores_are_mean_errors_of_what_was_measured(actual: list[list[float]], data: st.DataObject) -> None:
    path = st.lists(st.lists(counts, min_size=3, max_size=3), min_size=len(actual), max_size=len(actual))
    mine, rival = data.draw(path), data.draw(path)
    found = score(backtest(np.array(actual), mine=np.array(mine), seasonal_naive=np.array(rival)), "mine", ALL)
    expected, least = oracle.mean_error(actual, mine), oracle.mean_error(actual, rival)
    if expected is None or least is None:
        assert found is None
        return
    assert found is not None
    assert found.mae == found.mase == pytest.approx(expected)
    assert found.relative == (pytest.approx(expected / least) if least else None)


def test_a_model_that_gave_no_forecast_of_something_measured_has_no_score() -> None:
    actual = noisy(1, 9, 4)
    silent = actual.copy()
    silent[2, 1] = math.nan
    tried = backtest(actual, seasonal_naive=actual + 1, silent=silent)
    assert score(tried, "silent", ALL) is None
    assert choose(tried, ALL).is_fallback


@pytest.mark.parametrize(
    ("early", "late", "model", "is_fallback"),
    [
        pytest.param(0.5, 0.5, "rival", False, id="closer on both"),
        pytest.param(0.5, 1.5, SEASONAL_NAIVE, True, id="closer only where it was chosen"),
        pytest.param(0.99, 0.5, SEASONAL_NAIVE, True, id="not closer by enough where it was chosen"),
        pytest.param(1.5, 0.5, SEASONAL_NAIVE, True, id="closer only where nothing was chosen"),
    ],
)
def test_a_model_is_used_only_when_it_proves_itself_on_origins_that_had_no_part_in_choosing_it(
    early: float, late: float, model: str, is_fallback: bool
) -> None:
    actual = noisy(2, 12, 4)
    off = np.repeat([early, late], [6, 6])[:, None] * 10
    choice = choose(backtest(actual, seasonal_naive=actual + 10, rival=actual + off, worse=actual + 30), ALL)
    assert (choice.model, choice.is_fallback) == (model, is_fallback)
    assert choice.proof is not None
    assert choice.proof.relative == pytest.approx(late)
    assert ("seasonal-naive is used" in choice.reason) == is_fallback
    assert choice.scores["worse"].relative == pytest.approx(3)


def test_too_few_origins_choose_nothing() -> None:
    actual = noisy(3, 5, 4)
    choice = choose(backtest(actual, seasonal_naive=actual + 10, rival=actual), ALL)
    assert choice.is_fallback
    assert choice.reason == "seasonal-naive is used: only 5 forecasts of the past can be compared"


@given(st.lists(st.integers(-1_000, 1_000).map(float), min_size=1, max_size=60))
def test_offsets_are_conformal_quantiles(errors: list[float]) -> None:
    assert offsets(np.array(errors), len(errors)) == (oracle.lower(errors, 0.1), oracle.upper(errors, 0.9))


@pytest.mark.parametrize("seed", range(3))
def test_intervals_of_exchangeable_errors_hold_as_often_as_they_say(seed: int) -> None:
    actual = noisy(seed, 200, 6)
    found = measured(backtest(actual, steady=np.full_like(actual, 100.0)), "steady", ALL)
    assert found.samples > 1_000
    assert found.coverage is not None
    assert NOMINAL_COVERAGE - 0.03 <= found.coverage <= NOMINAL_COVERAGE + 0.08  # sooner too wide than too narrow
    assert found.below == pytest.approx(0.5, abs=0.05)


def test_intervals_do_not_believe_a_model_that_is_always_off() -> None:
    actual = noisy(4, 60, 6)
    tried = backtest(actual, low=np.full_like(actual, 50.0))
    made = spread(tried, "low", ALL)
    assert made is not None
    low, middle, high = made.around(np.full(6, 50.0))
    assert (low > 80).all() and (high < 120).all()
    assert (middle == low).all()  # what the model says itself never came


def test_intervals_are_measured_with_errors_that_were_known_at_the_origin_alone() -> None:
    """Three forecasts that overlap miss by far: of none of them the end is known when the next one is made."""
    actual = noisy(5, 14, 6)
    actual[11:] += 1_000
    starts = 100 + 2 * np.arange(14, dtype=np.int64)
    steady = {"steady": np.full_like(actual, 100.0)}
    every = measured(Backtest(starts, actual, steady, 1.0), "steady", ALL)
    before = measured(Backtest(starts[:11], actual[:11], {"steady": steady["steady"][:11]}, 1.0), "steady", ALL)
    assert every.coverage is not None and before.coverage is not None
    assert every.samples == before.samples + 18
    assert every.coverage * every.samples == pytest.approx(before.coverage * before.samples)


def test_errors_of_forecasts_that_overlap_are_worth_fewer() -> None:
    starts = np.arange(0, 60, 6, dtype=np.int64)
    assert forecast.worth(starts, 6, 60) == round(math.sqrt(10 * 60))
    assert forecast.worth(starts, 60, 60) == round(math.sqrt(1 * 60))
    assert forecast.worth(starts[:1], 6, 1) == 1
    few, many = (offsets(np.arange(100.0), each) for each in (5, 100))
    assert (few, many) == ((0, 99), (9, 90))


def test_few_errors_tell_no_interval_and_nothing_is_forecast_below_zero() -> None:
    actual = noisy(6, 3, 4)
    assert spread(backtest(actual, steady=actual + 1), "steady", ALL) is None
    assert measured(backtest(actual, steady=actual + 1), "steady", ALL).coverage is None
    wide = noisy(6, 40, 4, level=5.0, spread=20.0)
    made = spread(backtest(wide, steady=np.full_like(wide, 5.0)), "steady", ALL)
    assert made is not None
    assert (made.around(np.full(4, 5.0))[0] == 0).all()
    assert made.around(np.zeros(4))[2].min() > 0  # of next to nothing errors are not in proportion


def test_totals_are_what_has_come_since_the_origin() -> None:
    actual = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, math.nan]])
    summed = backtest(actual, seasonal_naive=np.ones((2, 3))).cumulated()
    assert summed.actual[0].tolist() == [1, 3, 6]
    assert np.isnan(summed.actual[1, 2])
    assert summed.forecasts[SEASONAL_NAIVE].tolist() == [[1, 2, 3], [1, 2, 3]]
    found = score(summed, SEASONAL_NAIVE, ALL)
    assert found is not None
    assert (found.mase, found.relative) == (None, 1)


def test_horizons_are_bands_and_those_too_far_for_the_history_are_left_out() -> None:
    grid = Grid("g", 60, (Horizon("5m", 5), Horizon("15m", 15), Horizon("60m", 60)), least=20)
    assert [grid.band(each) for each in grid.horizons] == [slice(0, 5), slice(5, 15), slice(15, 60)]
    assert [each.name for each in grid.within(60)] == ["5m", "15m"]
    assert grid.within(20) == ()


@given(st.integers(1, 300), st.integers(1, 40))
def test_origins_have_enough_history_before_and_what_came_behind_them(length: int, steps: int) -> None:
    grid = Grid("g", 60, (Horizon("x", steps),), least=20, origins=10)
    found = origins(length, grid, steps)
    assert len(found) <= 10
    assert (found >= 20).all() and (found >= length // 2).all() and (found + steps <= length).all()
    assert (np.diff(found) > 0).all()
    assert not len(found) or found[-1] == length - steps
    assert len(found) or length - steps < max(20, length // 2)


@given(st.lists(st.tuples(counts, st.integers(0, 20).map(float)), min_size=2, max_size=30), st.data())
def test_a_budget_is_spent_when_what_is_bad_in_the_window_reaches_it(
    steps: list[tuple[float, float]], data: st.DataObject
) -> None:
    bad = [each for _, each in steps]
    eligible = [good + each for good, each in steps]
    known = data.draw(st.integers(0, len(steps) - 1))
    window = data.draw(st.none() | st.integers(1, 20))
    target = data.draw(st.sampled_from([0.5, 0.9, 0.99]))
    past = np.array(eligible[:known]), np.array(bad[:known])
    future = np.array(eligible[known:]), np.array(bad[known:])
    found = exhausted_in(past, future, window, target)
    assert found == oracle.exhausted_in(eligible, bad, known, window, target)
