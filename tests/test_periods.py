"""Calendar windows against an oracle that tries every quarter of an hour; the days on which clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.periods import DAY_US, EPOCH, MICROSECOND, UNITS, Calendar
from tests.naive import periods as naive

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo",
    "Asia/Beirut", "Pacific/Auckland", "America/St_Johns", "Asia/Kathmandu",
)  # fmt: skip
HOUR_US = 3_600_000_000

wall = datetime.fromisoformat
starts = st.builds(
    lambda days, quarters: wall("2000-01-01") + timedelta(days=days, minutes=15 * quarters),
    st.integers(0, 40 * 365),
    st.integers(0, 95),
)
calendars = st.builds(Calendar, st.integers(1, 3), st.sampled_from(sorted(UNITS)), starts, st.sampled_from(ZONES))


def us(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


@settings(max_examples=150)
@given(calendars, st.integers(0, 400 * 96))
def test_the_period_of_an_instant_is_the_oracles(calendar: Calendar, quarters: int) -> None:
    at = calendar.start.replace(tzinfo=UTC) + timedelta(minutes=15 * quarters) - timedelta(days=200)
    expected = naive.period(calendar.start, calendar.count, calendar.unit, calendar.zone, at)
    assert calendar.period(us(at)) == (us(expected[0]), us(expected[1]))


@given(calendars, st.integers(0, 80 * 365 * 86_400 * 10))
def test_every_instant_is_in_one_period_and_periods_follow_one_another(calendar: Calendar, tenths: int) -> None:
    at = tenths * 100_000
    start, end = calendar.period(at)
    assert start <= at < end
    assert end - start <= calendar.longest_us
    assert calendar.period(end)[0] == end
    assert calendar.period(start - 1)[1] == start


@given(calendars, st.integers(-30, 30))
def test_beginnings_never_go_back(calendar: Calendar, k: int) -> None:
    assert calendar.begins(k) <= calendar.begins(k + 1)


@pytest.mark.parametrize(
    ("calendar", "at", "start", "hours"),
    [
        pytest.param(Calendar(1, "M", wall("2026-01-01"), "Europe/Berlin"), "2026-03-15", "2026-02-28T23:00",
                     31 * 24 - 1, id="a month in which clocks are put forward is an hour shorter"),
        pytest.param(Calendar(1, "M", wall("2026-01-01"), "Europe/Berlin"), "2026-10-15", "2026-09-30T22:00",
                     31 * 24 + 1, id="and one in which they are put back an hour longer"),
        pytest.param(Calendar(1, "M", wall("2026-01-31"), "UTC"), "2026-03-01", "2026-02-28T00:00", 31 * 24,
                     id="a month without a 31st begins on its last day, and the next on the 31st again"),
        pytest.param(Calendar(1, "M", wall("2024-01-30"), "UTC"), "2024-03-01", "2024-02-29T00:00", 30 * 24,
                     id="in a leap year on the 29th"),
        pytest.param(Calendar(1, "d", wall("2026-01-01T02:30"), "Europe/Berlin"), "2026-03-29T03:00",
                     "2026-03-29T01:30", 23, id="a time that clocks skip begins as much later"),
        pytest.param(Calendar(1, "d", wall("2026-01-01T02:30"), "Europe/Berlin"), "2026-10-25T02:00",
                     "2026-10-25T00:30", 25, id="a time that comes twice begins at the first"),
        pytest.param(Calendar(1, "d", wall("2018-01-01"), "America/Sao_Paulo"), "2018-11-04T12:00",
                     "2018-11-04T03:00", 23, id="a day without midnight begins at one"),
        pytest.param(Calendar(1, "w", wall("2026-01-05"), "America/New_York"), "2026-03-10", "2026-03-09T04:00",
                     7 * 24, id="a week begins on the weekday of its start"),
        pytest.param(Calendar(1, "Q", wall("2026-01-01"), "UTC"), "2025-12-31", "2025-10-01T00:00", 92 * 24,
                     id="periods reach back before the start"),
        pytest.param(Calendar(1, "Y", wall("2024-02-29"), "UTC"), "2025-03-01", "2025-02-28T00:00", 365 * 24,
                     id="a year from the 29th of February"),
        pytest.param(Calendar(1, "d", wall("2011-12-01"), "Pacific/Apia"), "2011-12-30T11:00",
                     "2011-12-30T10:00", 24, id="a day that a country skips is no period"),
    ],
)  # fmt: skip
def test_periods_by_hand(calendar: Calendar, at: str, start: str, hours: int) -> None:
    begin, end = calendar.period(us(wall(at).replace(tzinfo=UTC)))
    assert EPOCH + begin * MICROSECOND == wall(start).replace(tzinfo=UTC)
    assert (end - begin) / HOUR_US == hours


@pytest.mark.parametrize("zone", ZONES)
def test_no_month_of_forty_years_is_longer_than_the_longest(zone: str) -> None:
    calendar = Calendar(1, "M", wall("2000-01-01"), zone)
    lengths = [b - a for a, b in pairwise(calendar.begins(k) for k in range(480))]
    assert min(lengths) >= 28 * DAY_US - 2 * HOUR_US
    assert max(lengths) <= calendar.longest_us


@given(calendars, st.integers(0, 80 * 365 * 86_400))
def test_the_first_guess_is_so_near_that_centuries_cost_nothing(calendar: Calendar, second: int) -> None:
    at = second * 1_000_000
    guess = calendar._about(at)
    assert calendar.begins(guess - 2) <= at < calendar.begins(guess + 3)
