"""`burnline forecast`: what is asked, what was known when, which model is used, what is told; on a real ClickHouse."""

import math
from dataclasses import replace

import numpy as np
import pytest

from jobs.forecast import asking, candidates
from jobs.forecast.drawing import drawn
from jobs.forecast.regressors import Change, none, regressors
from jobs.forecast.spending import Spending, cumulated, spending
from jobs.forecast.telling import budget_signal, signals
from jobs.forecast.trying import HOURS, Series, Tried, past_at, tried
from pipeline.blocks import decode, encode
from pipeline.controls.forecast import SEASONAL_NAIVE, Floats, Grid, Horizon
from pipeline.controls.signal import SCHEMA, Signal

HOUR_US = 3_600_000_000
START_US = 1_760_000_400_000_000 // HOUR_US * HOUR_US
TRIED = ("trend",)  #: quick, and knows seasons and regressors
DAYS = Grid("days", 3600, (Horizon("6h", 6), Horizon("1d", 24)), (24,), history=720, least=72, origins=9)


def season(hours: int, seed: int = 1, rate: float = 100.0, spread: float = 0.02) -> Floats:
    """A day that repeats itself, growing, with noise."""
    at = np.arange(hours)
    noise = np.exp(spread * np.random.default_rng(seed).standard_normal(hours))
    return np.asarray(rate * (1.5 + np.cos(2 * np.pi * at / 24)) * (1 + at / 400) * noise)


def series(values: Floats, quantity: str = "load", is_total: bool = False) -> Series:
    return Series("chat", "m", quantity, "requests/s", START_US, values, is_total)


@pytest.fixture(scope="module")
def growing() -> Tried:
    return tried(series(season(360)), DAYS, (), TRIED)


# -- what was known when
def change(kind: str, name: str, at_h: float, until_h: float | None = None, told_h: float = 0.0) -> Change:
    until_us = None if until_h is None else START_US + round(until_h * HOUR_US)
    return Change(kind, name, START_US + round(at_h * HOUR_US), until_us, START_US + round(told_h * HOUR_US))


def columns(*changes: Change, known_h: float = 100.0) -> dict[str, list[float]]:
    found = regressors(changes, START_US, HOUR_US, 100, 20, START_US + round(known_h * HOUR_US))
    every = np.vstack([found.past, found.future])
    return dict(zip(found.names, every.T.tolist(), strict=True))


def test_a_campaign_covers_its_share_of_each_step_and_comes_again_under_its_name() -> None:
    found = columns(change("NOTE", "sale", 10.5, 13), change("NOTE", "sale", 110, 112.25))
    (column,) = found.values()
    assert list(found) == ["note:sale"]
    assert {at: each for at, each in enumerate(column) if each} == {10: 0.5, 11: 1, 12: 1, 110: 1, 111: 1, 112: 0.25}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        pytest.param([change("NOTE", "sale", 110, 112)], [], id="a first campaign: nobody knows its effect"),
        pytest.param([change("NOTE", "sale", 10, 20, told_h=101)], [], id="told after the forecast was made"),
        pytest.param([change("NOTE", "sale", 10, 20, told_h=100)], ["note:sale"], id="told just before"),
        pytest.param([change("MAINTENANCE", "db", 10, 20)], ["maintenance:db"], id="maintenance"),
        pytest.param([change("NOTE", "a thought", 10)], [], id="a note that does not end is no campaign"),
        pytest.param([change("DEPLOY", "v2", 50)], ["deploy@"], id="a deploy with history on both sides"),
        pytest.param([change("DEPLOY", "v2", 99.5)], [], id="a deploy just now: nobody knows its effect"),
        pytest.param([change("DEPLOY", "v2", 110)], [], id="a deploy to come"),
        pytest.param([change("SCALE", "up", 50)], [], id="more replicas bring no more requests"),
        pytest.param(
            [change("DEPLOY", str(at), at) for at in range(10, 90, 10)],
            ["deploy@"] * 3,
            id="of deploys the newest three",
        ),
    ],
)
def test_a_change_has_a_column_when_it_was_known_and_its_effect_can_be_learned(
    changes: list[Change], names: list[str]
) -> None:
    found = list(columns(*changes))
    assert [name.split("@")[0] + "@" if "@" in name else name for name in found] == names


def test_a_deploy_is_one_from_its_step_on() -> None:
    (column,) = columns(change("DEPLOY", "v2", 50)).values()
    assert column == [0.0] * 50 + [1.0] * 70


# -- models
@pytest.mark.parametrize("name", [SEASONAL_NAIVE, "naive", *candidates.NAMES])
def test_every_model_forecasts_a_day_of_a_growing_season_from_its_past_alone(name: str) -> None:
    """Of a quiet season every model that knows seasons is near; and what lies behind the origin is not looked at."""
    values = season(240)
    changed = values.copy()
    changed[216:] *= 10
    path, other = (
        candidates.path_of(candidates.every(100, [name])[name], past_at(series(each), DAYS, (), 216, 24))
        for each in (values, changed)
    )
    assert path.tolist() == other.tolist()
    off = np.abs(path - values[216:]).mean() / values[216:].mean()
    assert off < {"naive": 2}.get(name, 0.08)
    assert (path >= 0).all()


def test_a_model_that_cannot_be_fitted_gives_no_forecast() -> None:
    def broken(past: candidates.Past) -> Floats:
        raise ValueError("too few")

    past = past_at(series(season(100)), DAYS, (), 100, 6)
    assert np.isnan(candidates.path_of(broken, past)).all()
    assert np.isnan(candidates.path_of(lambda _: np.zeros(3), past)).all()
    few = candidates.Past(np.ones(20), none(20, 6), 0, (), 1, 6)
    assert np.isnan(candidates.path_of(candidates.every(1, ["boosted"])["boosted"], few)).all()


def test_the_trend_learns_what_a_campaign_does_and_counts_with_the_next_one() -> None:
    values = season(240)
    values[100:112] *= 2
    sales = [change("NOTE", "sale", 100, 112), change("NOTE", "sale", 240, 252)]
    with_it, without = (candidates.trend(past_at(series(values), DAYS, known, 240, 24)) for known in (sales, sales[:1]))
    assert with_it[:12].sum() / without[:12].sum() == pytest.approx(2, rel=0.1)
    assert with_it[12:] == pytest.approx(without[12:], rel=0.02)


# -- trying
def test_the_model_that_knows_of_the_growth_beats_last_season_and_its_interval_holds_what_comes(growing: Tried) -> None:
    assert [each.choice.model for each in growing.outlooks] == ["trend", "trend"]
    comes = season(384)[360:]
    for outlook in growing.outlooks:
        assert outlook.choice.proof is not None and outlook.choice.proof.relative is not None
        assert outlook.choice.proof.relative < 0.8
        assert outlook.path is not None
        low, middle, high = (each for each in outlook.path)
        actual = comes[DAYS.band(outlook.horizon)]
        assert ((low <= actual) & (actual <= high)).mean() > 0.6
        assert (low <= middle).all() and (middle <= high).all()


def test_where_nothing_can_be_known_last_season_is_used_and_says_so() -> None:
    noise = np.tile(np.random.default_rng(3).gamma(1, 100, 24), 15)  # a day that repeats itself to the digit
    found = tried(series(noise), DAYS, (), TRIED)
    assert {each.choice.model for each in found.outlooks} == {SEASONAL_NAIVE}
    assert all("seasonal-naive is used: " in each.choice.reason for each in found.outlooks)
    (told, *_) = signals(found, START_US, 60)
    assert (told.state, told.inputs["relative_mae"], told.details["model"]) == ("fallback", 1.0, SEASONAL_NAIVE)


def test_time_that_was_not_measured_is_neither_zero_nor_an_error() -> None:
    values = season(360, spread=0.0)
    values[340:352] = math.nan
    found = tried(series(values), DAYS, (), TRIED)
    for outlook in found.outlooks:
        assert outlook.path is not None
        assert outlook.path[1].min() > 50
        assert outlook.choice.scores["trend"].mae < 15


def test_totals_are_forecast_as_sums_until_the_horizon(growing: Tried) -> None:
    found = tried(series(season(360), "tokens", is_total=True), DAYS, (), TRIED)
    (_, day) = found.outlooks
    assert day.path is not None
    low, middle, high = (float(each[-1]) for each in day.path)
    comes = season(384)[360:].sum()
    assert low <= middle <= high
    assert middle == pytest.approx(comes, rel=0.03)
    spread, widest = (high - low) / middle, growing.outlooks[1].path
    assert widest is not None
    assert spread < float((widest[2][-1] - widest[0][-1]) / widest[1][-1])  # noise averages out


# -- what is told
def test_signals_tell_the_forecast_its_worth_and_what_is_unknown(growing: Tried) -> None:
    now_us = START_US + 360 * HOUR_US + 5
    found = list(signals(growing, now_us, 900))
    assert [each.scope for each in found] == ["load:6h", "load:1d"]
    near = found[0]
    assert (near.service, near.model, near.name, near.state, near.unit) == (
        "chat",
        "m",
        "forecast",
        "forecast",
        "requests/s",
    )
    assert near.inputs["q10"] <= near.inputs["q50"] <= near.inputs["q90"]
    assert growing.outlooks[0].path is not None
    assert near.value == near.inputs["q50"] == growing.outlooks[0].path[1][-1]
    assert near.inputs["at_s"] == START_US / 1e6 + 366 * 3600
    assert near.watermark_us == START_US + 360 * HOUR_US
    assert 0 < near.inputs["relative_mae"] < 1
    assert near.expires_at_us - near.evaluated_at_us == 900_000_000
    assert Signal.read(decode(SCHEMA, encode(SCHEMA, near.columns))) == near  # as the topic holds it
    assert float(near.details["rival:naive"]) > 1
    short = tried(series(season(80)), DAYS, (), TRIED)
    assert [(each.state, each.value) for each in signals(short, now_us, 900)] == [("unknown", None)] * 2


def test_a_forecast_is_drawn(growing: Tried) -> None:
    picture = drawn(growing)
    assert "chat m: load in requests/s" in picture
    assert max(map(len, picture.splitlines())) <= 110
    assert drawn(tried(series(season(60)), DAYS, (), TRIED)) == ""


# -- budgets
def budget(bad_an_hour: float, window: int | None = 240, left: int | None = None, hours: int = 480) -> asking.Budget:
    eligible = np.full(hours, 1_000.0)
    bad = np.full(hours, bad_an_hour) + np.tile([0.0, 1.0], hours // 2)
    return asking.Budget("ttft", "region=eu", "chat", 0.99, window, left, START_US // HOUR_US, eligible, bad, 0.5, 240)


def month_begun(hours: int = 10) -> asking.Budget:
    found = replace(budget(8.5), window=None, in_window=hours, left=100)
    found.bad[:100] += 900
    return found


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look two days ahead, on few origins: weeks take weeks of history."""
    quick = replace(HOURS, horizons=HOURS.horizons[:2], origins=9, least=240, seasons=(24,))
    monkeypatch.setattr("jobs.forecast.spending.HOURS", quick)


@pytest.mark.parametrize(
    ("found", "state", "likely_s"),
    [
        pytest.param(budget(2), "holds", None, id="a quarter of the budget is spent, evenly"),
        pytest.param(budget(12), "spent", 0, id="more is bad than may be"),
        pytest.param(month_begun(), "holds", None, id="last month it was spent, this one has just begun"),
        pytest.param(month_begun(0), "holds", None, id="last month it was spent, this one begins within this hour"),
    ],
)
@pytest.mark.usefixtures("soon")
def test_a_budget_lasts_as_long_as_what_is_forecast_to_be_bad_lets_it(
    found: asking.Budget, state: str, likely_s: int | None
) -> None:
    said = spending(found, (), ())
    assert (said.state, said.likely_s) == (state, likely_s)
    told = budget_signal(said, START_US, 900)
    assert (told.state, told.value, told.scope) == (state, likely_s, "budget:ttft:region=eu")


@pytest.mark.usefixtures("soon")
def test_an_incident_that_goes_on_spends_the_budget_within_hours() -> None:
    """10 an hour may be bad of 240 hours: 2400. 2160 are spent, an hour adds 61 and the window forgets 9."""
    spent = budget(8.5, hours=480)
    spent.bad[:] = 9.0
    spent.bad[-30:] = 61.0 + np.tile([0.0, 1.0], 15)
    spent.bad[-240:-30] = (2160 - spent.bad[-30:].sum()) / 210
    said = spending(spent, (), ())
    assert said.state == "exhausts"
    assert said.soonest_s is not None and said.likely_s is not None
    assert 0 < said.soonest_s <= said.likely_s <= 8 * 3600


def test_paths_of_totals_never_fall_and_a_band_without_interval_leaves_none(growing: Tried) -> None:
    near, far = growing.outlooks
    falling = (np.array([3.0, 2.0]), np.array([4.0, 5.0]), np.array([6.0, 5.5]))
    made = replace(growing, outlooks=(near._replace(path=falling), far._replace(path=falling)))
    joined = cumulated(made)
    assert joined is not None
    assert [path.tolist() for path in joined] == [[3, 3, 3, 3], [4, 5, 5, 5], [6, 6, 6, 6]]
    assert cumulated(replace(made, outlooks=(near, far._replace(path=None)))) is None


def test_too_little_history_says_nothing_of_a_budget() -> None:
    said = spending(budget(5, hours=48), (), ())
    assert said.state == budget_signal(said, START_US, 900).state == "unknown"
    assert isinstance(said, Spending)
