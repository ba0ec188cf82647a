"""Rules of recurrence against days counted on the fingers, and instants against the clock's own arithmetic."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.spec.problems import Refused
from pipeline.spec.recurrence import Span, rule

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
DAY = timedelta(days=1)
FIRST = datetime.fromisoformat("2024-01-01")


def days_of(first: date, last: date, interval: int, weekdays: set[int] | None) -> list[date]:
    """Every day, one by one: each `interval`th; or of each `interval`th week, from Monday on, some weekdays."""
    found, monday = [], first - first.weekday() * DAY
    day = first
    while day <= last:
        nth = (day - first).days if weekdays is None else (day - monday).days // 7
        if nth % interval == 0 and (weekdays is None or day.weekday() in weekdays):
            found.append(day)
        day += DAY
    return found


@settings(max_examples=60)
@given(
    start=st.datetimes(FIRST, FIRST + 1_400 * DAY),
    minutes=st.integers(1, 3_000), zone=st.sampled_from(ZONES), interval=st.integers(1, 5),
    weekdays=st.none() | st.sets(st.integers(0, 6), min_size=1), count=st.none() | st.integers(1, 40),
)  # fmt: skip
def test_days_and_instants_are_those_of_a_calendar_and_a_clock(
    start: datetime, minutes: int, zone: str, interval: int, weekdays: set[int] | None, count: int | None
) -> None:
    start = start.replace(second=0, microsecond=0, fold=0)  # a file says no fold
    text = f"FREQ={'WEEKLY' if weekdays else 'DAILY'};INTERVAL={interval}"
    text += f";BYDAY={','.join(DAYS[each] for each in sorted(weekdays))}" if weekdays else ""
    text += f";COUNT={count}" if count else ""
    until = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=400)
    span = Span(start, start + timedelta(minutes=minutes), zone, rule(text))
    days = days_of(start.date(), start.date() + timedelta(days=403), interval, weekdays)[:count]
    expected = []
    for day in days:
        local = datetime.combine(day, start.time())
        begins, ends = (
            at.replace(tzinfo=ZoneInfo(zone)).timestamp() for at in (local, local + (span.end - span.start))
        )
        if begins < until.timestamp():
            expected.append((begins, ends if ends > begins else begins + minutes * 60))
    found = [(begins.timestamp(), ends.timestamp()) for begins, ends in span.ranges(until=until)]
    assert found == sorted(expected)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("FREQ=MONTHLY;BYDAY=1SU", ["2026-01-04", "2026-02-01", "2026-03-01"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29", "2032-02-29", "2036-02-29"]),
    ],
)
def test_rules_of_the_standard_are_read(text: str, days: list[str]) -> None:
    first = datetime.fromisoformat(days[0])
    starts = rule(text).starts(first, first + timedelta(days=3_660))
    assert [f"{next(starts):%Y-%m-%d}" for _ in days] == days


def test_a_rule_is_written_as_it_is_read() -> None:
    for text in ("FREQ=WEEKLY;BYDAY=SU", "FREQ=DAILY;COUNT=3", "FREQ=DAILY;UNTIL=20260301T020000"):
        assert str(rule(text)) == text


@pytest.mark.parametrize("text", ["", ";", "FREQ", "FREQ=", "FREQ=WEEKLY;", "FREQ=WEEKLY;FREQ=DAILY", "DTSTART=1"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        rule(text)
