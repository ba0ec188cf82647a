"""Calendar periods the slow way: nominal wall-clock starts one by one, found by trying every quarter of an hour."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

QUARTER = timedelta(minutes=15)
MONTHS = {"M": 1, "Q": 3, "Y": 12}
DAYS = {"d": 1, "w": 7}
LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def nominal(start: datetime, count: int, unit: str, k: int) -> datetime:
    """The wall-clock time at which period k is to begin."""
    if unit in DAYS:
        return start + timedelta(days=DAYS[unit] * count * k)
    year, month = start.year, start.month
    for _ in range(abs(MONTHS[unit] * count * k)):
        month += 1 if k > 0 else -1
        if month == 13:
            year, month = year + 1, 1
        if month == 0:
            year, month = year - 1, 12
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    last = 29 if month == 2 and is_leap else LENGTHS[month - 1]
    return start.replace(year=year, month=month, day=min(start.day, last))


@cache  # who walks from the same start asks for the same beginnings again
def begins(wanted: datetime, zone: str) -> datetime:
    """The first instant at which a clock in the zone shows it; if none does, as much after the gap as it is into it."""
    tz = ZoneInfo(zone)
    at = wanted.replace(tzinfo=UTC) - timedelta(hours=27)
    shown = at.astimezone(tz).replace(tzinfo=None)
    while True:
        following = at + QUARTER
        then = following.astimezone(tz).replace(tzinfo=None)
        if shown == wanted:
            return at
        if shown < wanted < then:  # the clock was put forward over it
            return following + (wanted - (shown + QUARTER))
        at, shown = following, then


def period(start: datetime, count: int, unit: str, zone: str, at: datetime) -> tuple[datetime, datetime]:
    """The period that holds an instant, by walking from `start`."""
    k = 0
    while begins(nominal(start, count, unit, k), zone) > at:
        k -= 1
    while begins(nominal(start, count, unit, k + 1), zone) <= at:
        k += 1
    return begins(nominal(start, count, unit, k), zone), begins(nominal(start, count, unit, k + 1), zone)
