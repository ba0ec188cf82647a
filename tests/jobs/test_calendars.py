"""Clocks and holidays of a site: what a clock shows is what repeats itself, and a holiday is known beforehand."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.forecast import candidates
from jobs.forecast.calendars import Calendar, UnknownCountry, calendar_of, clock_of
from jobs.forecast.finding import site_calendar
from jobs.forecast.trying import Series, past_at, tried
from pipeline.controls.forecast import SEASONAL_NAIVE, Floats, Grid, Horizon, season_of
from tests.naive import forecast as naive

HOUR_US = 3_600_000_000
DAYS = Grid("days", 3600, (Horizon("6h", 6), Horizon("1d", 24)), (24,), history=720, least=72, origins=9)
CHANGES = {
    "forward in Berlin": datetime(2026, 3, 29, 1, tzinfo=UTC), "back in Berlin": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "by half an hour": datetime(2026, 4, 4, 15, tzinfo=UTC),
}  # fmt: skip
ZONES = {"by half an hour": "Australia/Lord_Howe"}


def series_of(start: datetime, values: Floats) -> Series:
    return Series("chat", "m", "load", "requests/s", round(start.timestamp() * 1e6), values)


@settings(max_examples=60)
@given(
    st.sampled_from([*CHANGES][:2]), st.integers(49, 200), st.integers(-30, 30), st.integers(1, 48), st.integers(0, 9)
)
def test_last_season_is_that_of_the_clock_on_either_side_of_every_change(
    change: str, history: int, until_h: int, steps: int, seed: int
) -> None:
    """`until_h`: hours from the change to the origin."""
    start = CHANGES[change] + timedelta(hours=until_h - history)
    values = np.random.default_rng(seed).integers(1, 100, history).astype(np.float64)
    past = past_at(series_of(start, values), DAYS, (), history, steps, Calendar("Europe/Berlin"))
    found = candidates.path_of(candidates.seasonal_naive, past)
    assert len(found) == steps
    hours = season_of(values, DAYS.seasons)
    assert hours == 24
    assert found.tolist() == naive.same_hour(start, values.tolist(), "Europe/Berlin", 1, steps)


@pytest.mark.parametrize("step_s", [60, 300, 3_600])
@pytest.mark.parametrize("change", CHANGES)
def test_every_step_comes_back_from_the_clock_at_its_place(change: str, step_s: int) -> None:
    """But one that the clock shows twice, whose two values are their mean."""
    zone, steps = ZONES.get(change, "Europe/Berlin"), 6 * 3_600 // step_s
    for before in range(0, steps, max(steps // 5, 1)):
        start = CHANGES[change] - timedelta(seconds=step_s * (before + 40))
        past, future = np.arange(40.0), np.arange(100.0, 100 + steps)
        clock = clock_of(zone, round(start.timestamp() * 1e6), step_s * 1_000_000, past, steps)
        assert clock is not None
        back = clock.back(clock.shown(past), clock.ahead(future))
        every = np.concatenate([past, future])
        shown = [(start + timedelta(seconds=step_s * at)).astimezone(ZoneInfo(zone)) for at in range(len(every))]
        texts = [f"{int(at.replace(tzinfo=UTC).timestamp()) // step_s}" for at in shown]
        for at in range(steps):
            same = [n for n, text in enumerate(texts) if text == texts[40 + at]]
            known = [n for n in same if n < 40]  # what the past has shown is not forecast again
            if not known and clock.future[at] < clock.past.max():  # nor what lies before it, and was not seen
                assert np.isnan(back[at])
            else:
                assert back[at] == pytest.approx(every[known or same].mean())


def test_where_no_clock_changes_forecasts_are_those_of_utc() -> None:
    at = np.arange(240)
    values = 100 * (1.5 + np.cos(2 * np.pi * at / 24)) * (1 + at / 400)
    series = series_of(datetime(2026, 6, 1, tzinfo=UTC), values)
    for name in (SEASONAL_NAIVE, "trend", candidates.UNIVERSAL):
        here, there = (
            candidates.path_of(candidates.every(99, [name])[name], past_at(series, DAYS, (), 216, 24, Calendar(zone)))
            for zone in ("UTC", "Europe/Berlin")
        )
        if name != candidates.UNIVERSAL:
            assert there == pytest.approx(here, rel=1e-6)
    assert there.tolist() == values[192:216].tolist()


def night_and_day(start: datetime, hours: int, zone: str, dips: tuple[date, ...] = (), seed: int = 1) -> Floats:
    """Load by the clock: many by day, few by night, a tenth on some days; with noise."""
    shown = [(start + timedelta(hours=at)).astimezone(ZoneInfo(zone)) for at in range(hours)]
    rates = [(100.0 if 8 <= at.hour < 20 else 20.0) * (0.1 if at.date() in dips else 1.0) for at in shown]
    return np.asarray(rates * np.exp(0.03 * np.random.default_rng(seed).standard_normal(hours)))


def test_the_backtest_says_what_the_clock_is_worth_and_uses_it() -> None:
    start = CHANGES["forward in Berlin"] - timedelta(days=14)
    series = series_of(start, night_and_day(start, 18 * 24, "Europe/Berlin"))
    knows, knows_not = (
        tried(series, replace(DAYS, origins=12), (), ("trend",), Calendar(zone)) for zone in ("Europe/Berlin", "UTC")
    )
    for outlook, other in zip(knows.outlooks, knows_not.outlooks, strict=True):
        scores = outlook.choice.scores
        assert scores[candidates.UNIVERSAL].mae > 1.2 * scores[SEASONAL_NAIVE].mae
        assert scores[SEASONAL_NAIVE].mae < 0.9 * other.choice.scores[SEASONAL_NAIVE].mae
        assert candidates.UNIVERSAL not in other.choice.scores, "by UTC it is the same"
    wrong = tried(series, replace(DAYS, origins=12), (), ("trend",), Calendar("America/New_York"))
    assert wrong.outlooks[0].choice.scores[SEASONAL_NAIVE].mae >= scores[SEASONAL_NAIVE].mae


# -- holidays
def test_holidays_are_days_of_the_site_from_midnight_to_midnight_and_always_known() -> None:
    calendar = calendar_of("Europe/Berlin", "DE-BW", date(2026, 3, 1), date(2026, 6, 7))
    found = {datetime.fromtimestamp(each.at_us / 1e6, ZoneInfo("Europe/Berlin")): each for each in calendar.holidays}
    assert {"2026-04-03", "2026-04-06", "2026-06-04"} <= {f"{at:%Y-%m-%d}" for at in found}
    assert {f"{at:%H:%M}" for at in found} == {"00:00"}
    assert {each.told_us for each in found.values()} == {0}
    assert {each.until_us - each.at_us for each in found.values() if each.until_us} == {24 * HOUR_US}
    assert calendar_of("UTC", "", date(2026, 3, 1), date(2026, 6, 7)) == Calendar()
    for wrong in ("XX", "DE-ZZ"):
        with pytest.raises(UnknownCountry, match="SITE_COUNTRY"):
            calendar_of("UTC", wrong, date(2026, 3, 1), date(2026, 6, 7))


def test_a_holiday_that_has_begun_at_the_site_is_known_though_it_is_still_yesterday_in_utc() -> None:
    until_s = round(datetime(2026, 12, 24, 22, tzinfo=UTC).timestamp())  # a week ahead it is 11:00 of 1 January there
    days = [datetime.fromtimestamp(each.at_us / 1e6, ZoneInfo("Pacific/Auckland")).date()
            for each in site_calendar("Pacific/Auckland", "NZ", until_s).holidays]  # fmt: skip
    assert date(2027, 1, 1) in days and date(2027, 1, 2) not in days


def test_a_holiday_is_forecast_from_what_the_last_ones_did() -> None:
    """From before Good Friday up to Labour Day, which is forecast."""
    start = datetime(2026, 3, 30, tzinfo=UTC)
    dips = (date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 1))
    hours = 31 * 24 + 22  # to 1 May, 0:00 in Berlin
    series = series_of(start, night_and_day(start, hours, "Europe/Berlin", dips))
    calendar = calendar_of("Europe/Berlin", "DE", date(2026, 3, 30), date(2026, 5, 3))
    told, untold = (
        candidates.path_of(candidates.trend, past_at(series, DAYS, (), hours, 24, each))
        for each in (calendar, calendar._replace(holidays=()))
    )
    comes = night_and_day(start, hours + 24, "Europe/Berlin", dips)[hours:]
    assert np.abs(told - comes).mean() < 0.25 * np.abs(untold - comes).mean()
    assert past_at(series, DAYS, (), hours, 24, calendar).regressors.coming == ("holiday:DE",)
