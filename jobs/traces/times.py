"""Times as traces write them -> microseconds since the epoch. Pure; UTC unless the text says otherwise."""

import re
from datetime import UTC, datetime, timedelta, timezone

from pipeline.periods import EPOCH, in_zone, us_of

_SCALES_US = {"unix_s": 1_000_000, "unix_ms": 1_000, "unix_us": 1, "relative_s": 1_000_000}
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s*(Z|UTC|[+-]\d\d:?\d\d)?",
    re.IGNORECASE,
)


class TimeError(ValueError):
    """A time that cannot be read."""


def read_time_us(value: object, written: str) -> int:
    """Read one time; digits past the microsecond are cut off, so that order is kept.

    Raises: TimeError.
    """
    if isinstance(value, datetime):
        return us_of(in_zone(value))
    if written == "iso":
        return _iso_us(str(value))
    try:
        return round(float(str(value)) * _SCALES_US[written])
    except (ValueError, OverflowError):
        raise TimeError(f"{value!r} is no number") from None


def _iso_us(text: str) -> int:
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise TimeError(f"{text!r} is no time such as 2026-01-31 12:00:00.123")
    *calendar, fraction, zone = match.groups()
    try:
        moment = datetime(*map(int, calendar), tzinfo=_zone(zone))  # type: ignore[arg-type, misc]
    except ValueError:
        raise TimeError(f"{text!r} is not in the calendar") from None
    seconds = (moment - EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in {"Z", "UTC"}:
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
