"""Calendar windows in a file: what `timeWindow` may say, read and checked together.

Pure. `duration` is read last: 30d is a length when the window rolls, and 30 days of a calendar beside one.
"""

import re
from datetime import date, datetime
from functools import cache
from zoneinfo import available_timezones

from pipeline.alerts import Guards
from pipeline.periods import UNITS, Calendar
from pipeline.sli import METRICS
from pipeline.slo import Ratio, Timeslices
from pipeline.spec import scalars
from pipeline.spec.problems import Refused
from pipeline.spec.reading import Reading
from pipeline.spec.scalars import UNITS_US, duration_text, nearest

WINDOW = "spec.timeWindow"
DURATION = f"{WINDOW}.duration"
CALENDAR = f"{WINDOW}.calendar"
WHOLE = Ratio(1, 1)
METHODS = ("Occurrences", "Timeslices", "RatioTimeslices")
YEARS = (1970, 2199)
LOCAL_TIME = "must be a date, or a date and a time of day, of the years 1970 to 2199"

_PERIOD = re.compile(r"([1-9]\d{0,2})([dwMQyY])", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?", re.ASCII)


def duration(value: str) -> str:
    """Read a length or periods of a calendar, whichever it may be: the text, once it is one of them.

    Raises: Refused.
    """
    if not _PERIOD.fullmatch(value):
        scalars.window(value)
    return value


def local_time(value: str) -> datetime:
    """Read a wall-clock time.

    Raises: Refused for anything else; for a time with an offset, as the zone says it.
    """
    if not _LOCAL.fullmatch(value):
        is_offset = re.fullmatch(rf"{_LOCAL.pattern}(Z|[+-]\d\d:?\d\d)", value, re.ASCII)
        remedy = "remove the offset: timeZone says it" if is_offset else "write 2026-01-01 or 2026-01-01 00:00:00"
        raise Refused(LOCAL_TIME, remedy)
    try:
        read = datetime.fromisoformat(value)
    except ValueError as error:
        raise Refused(f"is no date that exists: {error}", "write 2026-01-01 or 2026-01-01 00:00:00") from error
    if not YEARS[0] <= read.year <= YEARS[1]:
        raise Refused(LOCAL_TIME, f"write {date(2026, read.month, min(read.day, 28))}")
    return read


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone(value: str) -> str:
    """Read a name of the time zone database.

    Raises: Refused.
    """
    if value in _zones():
        return value
    meant = next((known for known in sorted(_zones()) if known.rpartition("/")[2].lower() == value.lower()), "")
    meant = meant or nearest(value, sorted(_zones()))
    rule = "must be a time zone of the IANA database"
    raise Refused(rule, f"did you mean {meant}?" if meant else "write UTC, or one such as Europe/Berlin")


def read_calendar(reading: Reading) -> Calendar | None:
    """Return the calendar of a window; None when it rolls, or when something of it is wrong."""
    start, name = reading.get(f"{CALENDAR}.startTime"), reading.get(f"{CALENDAR}.timeZone")
    match = _PERIOD.fullmatch(reading.get(DURATION, ""))
    if start is None or name is None or match is None:
        return None
    made = Calendar(int(match[1]), _unit(match), start, name)
    return made if made.longest_us <= scalars.WINDOW_US_MAX + UNITS_US["d"] else None


def _unit(match: re.Match[str]) -> str:
    """The unit of a period; a year may be written either way."""
    return {"y": "Y"}.get(match[2], match[2])


def window_us(reading: Reading) -> int | None:
    """Return the length of the window, the longest of a calendar's; None when it is missing or wrong."""
    calendar = read_calendar(reading)
    if calendar is not None:
        return calendar.longest_us
    try:
        return None if reading.is_given(CALENDAR) else scalars.window(reading.get(DURATION, ""))
    except Refused:
        return None


def timeslices(reading: Reading) -> Timeslices | None:
    """Return how time is cut; None for occurrences, or when something of it is wrong."""
    slice_us, method = reading.get("spec.timeSliceWindow"), reading.get("spec.budgetingMethod")
    if slice_us is None or method not in METHODS[1:]:
        return None
    is_whole = is_of_slices(reading)
    return Timeslices(slice_us, WHOLE if is_whole else reading.get("spec.timeSliceTarget"), is_whole)


def is_of_slices(reading: Reading) -> bool:
    """Tell whether the metric is of slices as a whole: there is no share of a slice to ask for."""
    metric = METRICS.get(reading.get("spec.indicator.metric", ""))
    return metric is not None and metric.is_of_slices


def guards(slices: Timeslices | None, long_us: int) -> Guards:
    """Least evidence where a file asks for none; `long_us`: the shortest long window.

    A slice is evidence as such, and a window has few: half of them are enough, and one that is bad.
    """
    plain = Guards()
    if slices is None:
        return plain
    most = max(long_us // slices.slice_us // 2, 1)
    return Guards(min(plain.min_events, most), 0 if slices.target is None else 1, plain.min_coverage)


def check_window(reading: Reading) -> None:
    """Say of a window whether it rolls or follows a calendar, and that the duration goes with that."""
    rolls, path = reading.get(f"{WINDOW}.isRolling"), f"{WINDOW}.isRolling"
    if reading.is_given(CALENDAR) and rolls:
        reading.refuse(path, "contradicts calendar", "write isRolling: false, or remove calendar")
    if not reading.is_given(CALENDAR) and rolls is False:
        remedy = "write calendar: {startTime: 2026-01-01, timeZone: UTC}, or isRolling: true"
        reading.refuse(path, "needs a calendar", remedy)
    text = reading.get(DURATION)
    if text is None:
        return
    if reading.is_given(CALENDAR):
        _check_period(reading, text)
    else:
        _check_length(reading, text)


def _check_period(reading: Reading, text: str) -> None:
    match = _PERIOD.fullmatch(text)
    if match is None:
        reading.refuse(DURATION, "must be whole days, weeks, months, quarters or years of a calendar", "write 1M")
        return
    months, days = (part * int(match[1]) for part in UNITS[_unit(match)])
    if months > 12 or days > 366:
        reading.refuse(DURATION, "must be at most 366d, 12M, 4Q or 1Y", "write 1Y or less")


def _check_length(reading: Reading, text: str) -> None:
    try:
        scalars.window(text)
    except Refused as refused:
        remedy = f"{refused.remedy}, or calendar: {{startTime: 2026-01-01, timeZone: UTC}}"
        is_calendar = _PERIOD.fullmatch(text) is not None and "differ" in refused.rule
        reading.refuse(DURATION, refused.rule, remedy if is_calendar else refused.remedy)


def check_budgeting(reading: Reading) -> None:
    """Say of each method which of timeSliceWindow and timeSliceTarget it takes."""
    method = reading.get("spec.budgetingMethod", METHODS[0])
    for path, methods, example in (
        ("spec.timeSliceWindow", METHODS[1:], "1m"),
        ("spec.timeSliceTarget", METHODS[1:2], "0.95"),
    ):
        key = path.rpartition(".")[2]
        if key == "timeSliceTarget" and is_of_slices(reading):
            if reading.get(path, WHOLE) != WHOLE:
                name = reading.get("spec.indicator.metric")
                reading.refuse(path, f"must be 1, or not given: {name} is of a slice as a whole", "remove it")
        elif method in methods and not reading.is_given(path):
            place = reading.at("spec.budgetingMethod")
            reading.refuse(path, f"is missing: {method} judges slices", f"write {key}: {example}", place)
        elif method not in methods and reading.is_given(path):
            reading.refuse(path, f"must not be given: {method} takes none", f"remove it, or {_instead(methods)}")


def _instead(methods: tuple[str, ...]) -> str:
    return f"write budgetingMethod: {' or '.join(methods)}"


def holds_slices(reading: Reading, slice_us: int, length_us: int) -> bool:
    """Whether a window holds a slice; a rolling one, whole slices."""
    return slice_us <= length_us and (read_calendar(reading) is not None or length_us % slice_us == 0)


def check_slices_fit(reading: Reading) -> None:
    """A window, and every window that alerts, must hold at least one slice; a rolling one, whole slices."""
    slice_us, length_us = reading.get("spec.timeSliceWindow"), window_us(reading)
    if slice_us is None or length_us is None:
        return
    said = duration_text(slice_us)
    if not holds_slices(reading, slice_us, length_us):
        rule = f"must be shorter than the window and divide it, {reading.get(DURATION)}"
        reading.refuse("spec.timeSliceWindow", rule, "write 1m")
    for index in range(reading.lengths.get("spec.alerting.pairs", 0)):
        for key in ("long", "short"):
            path = f"spec.alerting.pairs[{index}].{key}"
            alert_us = reading.get(path)
            if alert_us is not None and alert_us < slice_us:
                rule = f"must not be shorter than timeSliceWindow, {said}"
                reading.refuse(path, rule, f"write {said} or more, or a shorter timeSliceWindow")
