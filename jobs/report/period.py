"""Periods of reports: a month, a quarter, a year, some days, in a time zone. Half open, in whole seconds.

Pure. A number of days ends where the data ends, at the last whole hour: the clock on the wall says nothing here.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.periods import EPOCH, Calendar

HOUR_S, DAY_S = 3_600, 86_400
DAYS_MOST = 800  #: counts are kept for so long
FORMS = "2026-10, 2026-Q4, 2026, 30d, 12h or 2026-10-05/2026-10-12"
_FORMS = re.compile(
    r"(?P<days>[1-9]\d{0,3})d|(?P<hours>[1-9]\d{0,3})h|(?P<year>\d{4})(?:-(?P<month>0[1-9]|1[0-2])|-Q(?P<quarter>[1-4]))?"
    r"|(?P<first>\d{4}-\d\d-\d\d)/(?P<last>\d{4}-\d\d-\d\d)"
)


class PeriodError(ValueError):
    """No period; the message says what one looks like."""


@dataclass(frozen=True)
class Period:
    """[start_s, end_s), seconds since the epoch."""

    text: str
    start_s: int
    end_s: int
    zone: str

    @property
    def length_s(self) -> int:
        return self.end_s - self.start_s

    @property
    def step(self) -> str:
        """How finely history is told: by the hour or by the day."""
        return "hour" if self.length_s <= 3 * DAY_S else "day"

    def moment(self, second: int) -> str:
        """Write a moment in the period's own time zone."""
        return f"{EPOCH.fromtimestamp(second, ZoneInfo(self.zone)):%Y-%m-%d %H:%M}"

    @property
    def said(self) -> str:
        """From when until when."""
        return f"{self.moment(self.start_s)} to {self.moment(self.end_s)} {self.zone}"


def period_of(text: str, zone: str, data_end_s: int) -> Period:
    """Read a period.

    Raises: PeriodError.
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PeriodError(f"{zone!r} is no time zone: write one such as Europe/Berlin") from error
    found = _FORMS.fullmatch(text)
    if found is None:
        raise PeriodError(f"{text!r} is no period: write {FORMS}")
    start_s, end_s = _ends(found, zone, data_end_s // HOUR_S * HOUR_S)
    if not 0 < end_s - start_s <= DAYS_MOST * DAY_S:
        raise PeriodError(f"{text!r} is empty, or longer than the {DAYS_MOST} days for which counts are kept")
    return Period(text, start_s, end_s, zone)


def _ends(found: re.Match[str], zone: str, data_end_s: int) -> tuple[int, int]:
    if found["days"]:
        return data_end_s - int(found["days"]) * DAY_S, data_end_s
    if found["hours"]:
        return data_end_s - int(found["hours"]) * HOUR_S, data_end_s
    try:
        if found["first"]:
            return _midnight(found["first"], zone), _midnight(found["last"], zone)
        unit, month = ("Q", 3 * int(found["quarter"]) - 2) if found["quarter"] else ("M", int(found["month"] or 0))
        begin = datetime.fromisoformat(f"{found['year']}-{month or 1:02}-01")
        calendar = Calendar(1, unit if month else "Y", begin, zone)
        return calendar.begins(0) // 1_000_000, calendar.begins(1) // 1_000_000
    except (ValueError, OverflowError) as error:
        raise PeriodError(f"{found[0]!r} has a day that does not exist: {error}") from error


def _midnight(day: str, zone: str) -> int:
    """The first instant of a day on the wall clock of a zone."""
    begin = datetime.fromisoformat(day)
    return Calendar(1, "d", begin, zone).begins(0) // 1_000_000


def length_words(seconds: float) -> str:
    """Say how long something was: 3:05 h, 12 min."""
    whole = timedelta(seconds=round(seconds))
    minutes = whole // timedelta(minutes=1)
    return f"{minutes // 60}:{minutes % 60:02} h" if minutes >= 60 else f"{minutes} min"
