"""Times put from one load to another, against what a plant whose times are known would make bad."""

from math import exp, log
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.odds import Line
from pipeline.controls.shift import CELLS, NEVER, STEP, Shifts, Spread
from tests.naive import capacity as naive

LOADS = tuple(range(20, 61, 2))
SIGMA, SLOPE, HEIGHT = 0.9, 0.5, -1.9  # of log time: its spread, and how it rises with the log of the load
TARGET = 0.99


def spread_of(ratios: Any, weights: Any, is_late: Any = None) -> Spread:
    """Requests by the log of their time over the threshold."""
    cells = np.clip(np.ceil(np.asarray(ratios) / STEP) - 1, -CELLS, CELLS - 1).astype(int)
    cells = cells if is_late is None else np.where(is_late, NEVER, cells)
    keys = np.unique(cells)
    return Spread.of(keys, *([(np.asarray(weights) ** power)[cells == key].sum() for key in keys] for power in (1, 2)))


def plant(rng: np.random.Generator, count: int, ratio: float = 1.0, bend: float = 0.0) -> list[Line | None]:
    """What is told of lognormal times at every load; of the good ones a share is kept."""
    spreads = []
    for load in LOADS:
        times = naive.log_time(load, HEIGHT, SLOPE, bend) + SIGMA * rng.standard_normal(count)
        kept = (times > 0) | (rng.random(count) < ratio)
        spreads.append(spread_of(times[kept], np.where(times[kept] > 0, 1.0, 1 / ratio)))
    return Shifts(LOADS, spreads).lines()


def truth(load: float, bend: float = 0.0) -> float:
    """Log odds of a time over the threshold."""
    share = 1 - NormalDist(naive.log_time(load, HEIGHT, SLOPE, bend), SIGMA).cdf(0)
    return log(share / (1 - share))


@pytest.mark.parametrize("ratio", [1.0, 0.05])
@pytest.mark.parametrize("bend", [0.0, 0.4], ids=["straight", "bent"])
def test_bounds_hold_as_often_as_they_say_whatever_share_is_kept(ratio: float, bend: float) -> None:
    """Of fourteen plants five loads each; what is stated is what it is off by."""
    off = []
    for seed in range(14):
        made = plant(np.random.default_rng(seed), 2_000, ratio, bend)
        for place in (4, 7, 10, 13, 16):
            found = made[place]
            if found is not None:
                off.append((found.log_odds - truth(LOADS[place], bend)) / found.error)
    assert len(off) > 50
    assert np.mean(np.array(off) < 1.645) > 0.9 and np.mean(np.array(off) > -1.645) > 0.9
    assert abs(np.mean(off)) < 0.4 and 0.6 < np.std(off) < 1.25


def test_all_loads_tell_more_than_one_does_by_itself() -> None:
    made = plant(np.random.default_rng(1), 2_000)
    found = made[10]
    assert found is not None
    share = 1 / (1 + exp(-truth(LOADS[10])))
    alone = (1 / (2_000 * share) + 1 / (2_000 * (1 - share))) ** 0.5
    assert found.error < alone / 2.5


def test_what_is_bad_for_another_reason_stays_bad() -> None:
    rng, spreads = np.random.default_rng(2), []
    for load in LOADS:
        times = naive.log_time(load, -5.0, SLOPE, 0.0) + 0.3 * rng.standard_normal(2_000)  # none is ever slow
        spreads.append(spread_of(times, np.ones(2_000), rng.random(2_000) < 0.02))
    found = Shifts(LOADS, spreads).lines()[10]
    assert found is not None and 1 / (1 + exp(found.log_odds)) == pytest.approx(0.98, abs=0.003)


def test_loads_that_differ_by_more_than_how_slow_they_are_tell_nothing_of_each_other() -> None:
    """Greater loads have a tail that smaller ones have not, though most of their requests are as fast."""
    rng, spreads = np.random.default_rng(3), []
    for load in LOADS:
        times = -1.0 + 0.2 * rng.standard_normal(3_000)
        tail = rng.random(3_000) < (0.1 if load > 40 else 0.01)
        spreads.append(spread_of(np.where(tail, 0.5, times), np.ones(3_000)))
    assert Shifts(LOADS, spreads).lines()[10] is None


@pytest.mark.parametrize("loads", [(), (20,), (20, 22, 24, 26)])
def test_of_few_loads_nothing_is_said(loads: tuple[int, ...]) -> None:
    spreads = [spread_of(np.linspace(-2, 1, 400), np.ones(400)) for _ in loads]
    assert Shifts(loads, spreads).lines() == [None] * len(loads)


@given(st.lists(st.floats(-4, 4), min_size=40, max_size=80), st.integers(0, 8))
def test_where_no_load_is_slower_the_share_is_that_of_all(ratios: list[float], place: int) -> None:
    """Nine loads that met the same requests: nothing is to be put anywhere."""
    spread = spread_of(ratios, np.ones(len(ratios)))
    found = Shifts(range(30, 48, 2), [spread] * 9).lines()[place]
    bad = sum(ratio > 0 for ratio in ratios)
    if found is None:
        assert 9 * bad < 6 or bad == len(ratios)
    else:
        assert 1 / (1 + exp(-found.log_odds)) == pytest.approx(bad / len(ratios), abs=1e-6)


def test_a_load_of_which_nothing_is_known_takes_nothing_from_the_others() -> None:
    nothing, spread = Spread.of([], [], []), spread_of(np.linspace(-2, 1, 400), np.ones(400))
    unknown, *known = Shifts((1, *range(30, 48, 2)), [nothing, *[spread] * 9]).lines()
    alone = Shifts(range(30, 48, 2), [spread] * 9).lines()
    assert unknown is None
    for one, other in zip(known, alone, strict=True):
        assert one is not None and other is not None and one == pytest.approx(other, rel=1e-9)


def test_spreads_of_two_variants_add_up() -> None:
    one, two = Spread.of([-CELLS, 3], [2.0, 1.0], [4.0, 1.0]), Spread.of([3, NEVER], [1.0, 5.0], [1.0, 25.0])
    both = one + two
    assert (both.weight[3 + CELLS], both.squares[2 * CELLS], both.weight[0]) == (2.0, 25.0, 2.0)
