"""Recurrence: when a span of wall-clock time comes again, by a rule of RFC 5545, and the instants that it is.

    from 02:00 to 04:00, Europe/Berlin, FREQ=WEEKLY;BYDAY=SU       every Sunday, by the clock on the wall

Pure: the rules of a zone are data. Both ends are times of the wall clock, so on the days clocks are put forward or
back a span is as long as the clocks make it (RFC 5545 would keep its length). A time that comes twice is the first
of the two; one that never comes is as much later as the clock was put forward; of a span that is lost in such a gap
the length counts. Days come from dateutil; at most one a day, at the time of day of the first.

Law: instants of a span are those of `pipeline.periods.Calendar` for its ends.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from pipeline.periods import EPOCH
from pipeline.spec.calendars import YEARS
from pipeline.spec.problems import Refused
from pipeline.spec.scalars import listed, nearest, one_of

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
#: parts of a rule that choose days; a time of day is that of `from`
DAYS = ("BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "BYWEEKNO", "BYYEARDAY", "WKST")
PARTS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", *DAYS)
INTERVAL_MAX = 366
COUNT_MAX = 10_000
FIRST_WITHIN = timedelta(days=9 * 366)  # a 29th of February may be eight years away
DAY_LENGTH = timedelta(days=1)

FIRST = EPOCH
LAST = EPOCH.replace(year=YEARS[1] + 1)
_START, _END = FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)
_NUMBER = re.compile(r"[1-9]\d{0,4}", re.ASCII)
_UNTIL = re.compile(r"\d{8}(T\d{6})?", re.ASCII)
_VALUE = re.compile(r"[A-Z0-9,+-]{1,200}", re.ASCII)


@dataclass(frozen=True)
class Rule:
    """Which days, after the first: what dateutil reads, and what bounds it."""

    days: str  # the parts without COUNT and UNTIL
    count: int | None = None
    until: datetime | None = None  # wall clock, included

    def starts(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """Times on the wall clock from the first on, up to `last`, included."""
        end = last if self.until is None else min(self.until, last)
        found = rrulestr(self.days, dtstart=first).replace(until=end)
        return islice(found, self.count) if self.count else iter(found)

    def __str__(self) -> str:
        bounds = [f"COUNT={self.count}"] if self.count else []
        bounds += [f"UNTIL={self.until:%Y%m%dT%H%M%S}"] if self.until else []
        return ";".join((self.days, *bounds))


def rule(value: str) -> Rule:
    """Read the parts of a recurrence rule, as in RFC 5545, without its property name.

    Raises: Refused for what is none, or comes more than once a day.
    """
    parts: dict[str, str] = {}
    for piece in value.removeprefix("RRULE:").split(";"):
        name, equals, text = piece.partition("=")
        if not equals or name in parts or not _VALUE.fullmatch(text):
            remedy = "write FREQ=WEEKLY;BYDAY=SU, or other parts of RFC 5545"
            raise Refused("must be NAME=VALUE parts with ; between them, each name once", remedy)
        parts[name] = text
    unknown = next((name for name in parts if name not in PARTS), None)
    if unknown is not None:
        meant = nearest(unknown, PARTS)
        remedy = (
            "remove it: the time of day is that of from" if unknown.startswith(("BYHOUR", "BYMIN", "BYSEC")) else ""
        )
        remedy = remedy or (f"did you mean {meant}?" if meant else f"known are {listed(PARTS)}")
        raise Refused(f"has a part {unknown} that is not known", remedy)
    if "FREQ" not in parts:
        raise Refused("must say FREQ", "write FREQ=WEEKLY first")
    one_of(FREQUENCIES)(parts["FREQ"])
    count, until = _count(parts), _until(parts)
    days = ";".join(f"{name}={text}" for name, text in parts.items())
    try:
        rrulestr(days, dtstart=_START)
    except ValueError as error:
        raise Refused(f"is no rule: {error}", "write FREQ=WEEKLY;BYDAY=SU, or other parts of RFC 5545") from error
    return Rule(days, count, until)


def _count(parts: dict[str, str]) -> int | None:
    """Take COUNT out of the parts, and look at INTERVAL."""
    for name, most in (("INTERVAL", INTERVAL_MAX), ("COUNT", COUNT_MAX)):
        if name in parts and not (_NUMBER.fullmatch(parts[name]) and int(parts[name]) <= most):
            raise Refused(f"must have {name} of 1 to {most}", f"write {name}=1")
    count = parts.pop("COUNT", None)
    if count is not None and "UNTIL" in parts:
        raise Refused("must not have both COUNT and UNTIL", "remove one of them")
    return None if count is None else int(count)


def _until(parts: dict[str, str]) -> datetime | None:
    """Take UNTIL out of the parts; a date alone includes its day."""
    text = parts.pop("UNTIL", None)
    if text is None:
        return None
    match = _UNTIL.fullmatch(text)
    if match is None:
        remedy = "remove Z: timeZone says it" if text.endswith("Z") else "write UNTIL=20261231"
        raise Refused("must have UNTIL as a wall-clock time, as 20261231 or 20261231T235959", remedy)
    try:
        return datetime.fromisoformat(text if match[1] else f"{text}T235959")
    except ValueError as error:
        raise Refused(f"has an UNTIL that does not exist: {error}", "write UNTIL=20261231") from error


def instant(local: datetime, zone: str) -> datetime:
    """Return the instant of a time on a zone's wall clock."""
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


Range = tuple[datetime, datetime]  # instants, half open


@dataclass(frozen=True)
class Span:
    """A span on the wall clock of a zone, once or again and again."""

    start: datetime
    end: datetime
    zone: str
    rule: Rule | None = None
    exceptions: tuple[datetime, ...] = ()  # starts that do not count

    def starts(self, until: datetime) -> Iterator[datetime]:
        """Starts on the wall clock, in order, of all that begins before an instant, and perhaps some more."""
        if self.rule is None:
            yield self.start
            return
        local = until.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        last = min(local, _END) + DAY_LENGTH
        yield from (each for each in self.rule.starts(self.start, last) if each not in self.exceptions)

    def ranges(self, since: datetime = FIRST, until: datetime = LAST) -> tuple[Range, ...]:
        """Return all that reaches into [since, until)."""
        found = (self._range(start) for start in self.starts(until))
        return tuple(sorted(each for each in found if each[1] > since and each[0] < until))

    def _range(self, local: datetime) -> Range:
        start, end = instant(local, self.zone), instant(local + (self.end - self.start), self.zone)
        return start, end if end > start else start + (self.end - self.start)
