"""Calendar windows: days, weeks, months, quarters and years that begin at a wall-clock time in a time zone.

Pure: the rules of the zone are data. Period k begins k lengths after `start` on the wall clock; a month that
has no such day begins on its last. A wall-clock time that comes twice is the first of the two; one that never
comes is as much later as the clock was put forward (RFC 5545, 3.3.5).

    Mar 1           Mar 29 02:00 -> 03:00          Apr 1        Europe/Berlin
    |<---------------- 31 d - 1 h ---------------->|

Law: end of k == start of k + 1; every instant is in exactly one period that is not empty.
"""

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAY_US = 86_400_000_000
SECOND_US = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

#: unit -> (months, days) of one
UNITS = {"d": (0, 1), "w": (0, 7), "M": (1, 0), "Q": (3, 0), "Y": (12, 0)}
#: most that clocks are put forward and back within a period, both together
_CLOCKS_US = 3 * 3_600_000_000


def us_of(moment: datetime) -> int:
    """Microseconds of the epoch. `moment` has a time zone."""
    return (moment - EPOCH) // MICROSECOND


def in_zone(moment: datetime) -> datetime:
    """A moment as people write it: in UTC where no time zone is said."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Calendar:
    """Periods of `count` units, one of which begins at `start`, a wall-clock time in `zone`."""

    count: int
    unit: str  # of UNITS
    start: datetime  # naive
    zone: str

    @property
    def longest_us(self) -> int:
        """A length that no period exceeds."""
        months, days = (part * self.count for part in UNITS[self.unit])
        leap_days = -(-months // 12) if months % 12 == 0 else 0
        whole = months // 12 * 365 + leap_days + 31 * (months % 12) + days
        return whole * DAY_US + _CLOCKS_US

    def begins(self, k: int) -> int:
        """Return the microsecond since the epoch at which period k begins."""
        local = _later(self.start, *(part * self.count * k for part in UNITS[self.unit]))
        return us_of(local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC))

    def period(self, at_us: int) -> tuple[int, int]:
        """Return (start, end) of the period that holds an instant, half open.

        Raises: OverflowError outside of the years 1 to 9999.
        """
        k = self._about(at_us)
        while self.begins(k) > at_us:
            k -= 1
        while self.begins(k + 1) <= at_us:
            k += 1
        return self.begins(k), self.begins(k + 1)

    def period_s(self, at_s: int) -> tuple[int, int]:
        """Return (start, end) in seconds of the period that holds a second."""
        start, end = self.period(at_s * SECOND_US)
        return start // SECOND_US, end // SECOND_US

    def _about(self, at_us: int) -> int:
        """Return a k that is right, or wrong by one or two."""
        local = (EPOCH + at_us * MICROSECOND).astimezone(ZoneInfo(self.zone))
        months, days = (part * self.count for part in UNITS[self.unit])
        if days:
            return (local.replace(tzinfo=None) - self.start).days // days
        return ((local.year - self.start.year) * 12 + local.month - self.start.month) // months


class Turns:
    """Which period each of some calendars is in as seconds pass, and when the next begins."""

    def __init__(self, calendars: Iterable[Calendar]) -> None:
        self.now: dict[Calendar, tuple[int, int]] = dict.fromkeys(calendars, (0, 0))

    def move(self, at_s: int) -> list[Calendar]:
        """Go to a second; return the calendars that are in another period there."""
        turned = [each for each, (start, end) in self.now.items() if not start <= at_s < end]
        self.now.update((each, each.period_s(at_s)) for each in turned)
        return turned

    def next_s(self, until: int) -> int:
        """Return the second at which the next of them begins another period; `until` if that is sooner."""
        return min([until, *(end for _, end in self.now.values())])


def _later(start: datetime, months: int, days: int) -> datetime:
    years, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + years, month + 1
    if not 1 <= year <= 9999:
        raise OverflowError(f"year {year} is out of range")
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1])) + timedelta(days)
