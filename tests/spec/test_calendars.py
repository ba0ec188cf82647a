"""Time in a file, to the letter: windows, calendars, time zones, slices. Nothing here needs to be judged yet."""

import pytest

from pipeline.alerts import Guards
from pipeline.slo import Ratio, Timeslices
from pipeline.spec import calendars, parse, presets
from tests.spec.samples import SHORT, spoiled

DATE = "startTime: 2026-01-01"


def faults(window: str, more: str = "") -> list[str]:
    text = spoiled(("{duration: 30d}", window), text=SHORT) + more
    found = parse({"f": text.encode()}, presets())
    return [f"{problem.path.removeprefix('spec.')}  {problem.rule}  -> {problem.remedy}" for problem in found.problems]


@pytest.mark.parametrize("duration", ["7d", "2w", "1M", "1Q", "12M", "1Y", "1y", "366d"])
@pytest.mark.parametrize("start", ["2026-01-01", "2026-01-31 09:30:00", "2026-01-01T00:00", "1999-12-31"])
def test_calendars_that_are_good(duration: str, start: str) -> None:
    assert faults(f"{{duration: {duration}, calendar: {{startTime: '{start}', timeZone: Asia/Kathmandu}}}}") == []


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("{duration: 1M, isRolling: false}",
         ["timeWindow.duration  months differ in length  -> write days, such as 30d, or calendar: "
          "{startTime: 2026-01-01, timeZone: UTC}",
          "timeWindow.isRolling  needs a calendar  -> write calendar: {startTime: 2026-01-01, timeZone: UTC}, or "
          "isRolling: true"]),
        ("{duration: 2Y}",
         ["timeWindow.duration  years differ in length  -> write days, such as 365d, or calendar: "
          "{startTime: 2026-01-01, timeZone: UTC}"]),
        ("{duration: 1M, isRolling: true, calendar: {startTime: 2026-01-01, timeZone: UTC}}",
         ["timeWindow.isRolling  contradicts calendar  -> write isRolling: false, or remove calendar"]),
        ("{duration: 12h, calendar: {startTime: 2026-01-01, timeZone: UTC}}",
         ["timeWindow.duration  must be whole days, weeks, months, quarters or years of a calendar  -> write 1M"]),
        ("{duration: 2Y, calendar: {startTime: 2026-01-01, timeZone: UTC}}",
         ["timeWindow.duration  must be at most 366d, 12M, 4Q or 1Y  -> write 1Y or less"]),
        ("{duration: 1M, calendar: {timeZone: UTC}}",
         ["timeWindow.calendar.startTime  is missing  -> write startTime: 2026-01-01"]),
        (f"{{duration: 1M, calendar: {{{DATE}, timeZone: berlin}}}}",
         ["timeWindow.calendar.timeZone  must be a time zone of the IANA database  -> did you mean Europe/Berlin?"]),
        (f"{{duration: 1M, calendar: {{{DATE}, timeZone: ../../etc/passwd}}}}",
         ["timeWindow.calendar.timeZone  must be a time zone of the IANA database"
          "  -> write UTC, or one such as Europe/Berlin"]),
        ("{duration: 1M, calendar: {startTime: 2026-02-30, timeZone: UTC}}",
         ["timeWindow.calendar.startTime  is no date that exists: day is out of range for month"
          "  -> write 2026-01-01 or 2026-01-01 00:00:00"]),
        ("{duration: 1M, calendar: {startTime: '2026-01-01T00:00:00Z', timeZone: UTC}}",
         ["timeWindow.calendar.startTime  must be a date, or a date and a time of day, of the years 1970 to 2199"
          "  -> remove the offset: timeZone says it"]),
        ("{duration: 1M, calendar: {startTime: 1826-01-01, timeZone: UTC}}",
         ["timeWindow.calendar.startTime  must be a date, or a date and a time of day, of the years 1970 to 2199"
          "  -> write 2026-01-01"]),
    ],
)  # fmt: skip
def test_calendars_that_are_not(window: str, expected: list[str]) -> None:
    assert faults(window) == expected


WINDOW = "{duration: 30d}"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("budgetingMethod: Timeslices", [
            "timeSliceTarget  is missing: Timeslices judges slices  -> write timeSliceTarget: 0.95",
            "timeSliceWindow  is missing: Timeslices judges slices  -> write timeSliceWindow: 1m"]),
        ("budgetingMethod: RatioTimeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 0.9", [
            "timeSliceTarget  must not be given: RatioTimeslices takes none"
            "  -> remove it, or write budgetingMethod: Timeslices"]),
        ("budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 1.5", [
            "timeSliceTarget  must be a ratio in (0, 1]  -> write a share such as 0.95"]),
        ("budgetingMethod: RatioTimeslices\n  timeSliceWindow: 40d", [
            "timeSliceWindow  must be shorter than the window and divide it, 30d  -> write 1m"]),
        ("budgetingMethod: RatioTimeslices\n  timeSliceWindow: 7m", [
            "timeSliceWindow  must be shorter than the window and divide it, 30d  -> write 1m"]),
        ("budgetingMethod: RatioTimeslices\n  timeSliceWindow: 10m\n"
         "  alerting: {pairs: [{severity: info, factor: 2, long: 1h, short: 5m}]}", [
            "alerting.pairs[0].short  must not be shorter than timeSliceWindow, 10m"
            "  -> write 10m or more, or a shorter timeSliceWindow"]),
        ("budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 1", []),
    ],
)  # fmt: skip
def test_slices(more: str, expected: list[str]) -> None:
    assert faults(WINDOW, f"  {more}\n") == expected


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        (None, Guards(30, 3)),
        (Timeslices(60_000_000, Ratio(19, 20)), Guards(30, 1)),
        (Timeslices(300_000_000, Ratio(19, 20)), Guards(6, 1)),
        (Timeslices(300_000_000), Guards(6, 0)),
        (Timeslices(3_600_000_000, Ratio(1, 1)), Guards(1, 1)),
    ],
)
def test_slices_are_evidence_as_such(slices: Timeslices | None, expected: Guards) -> None:
    assert calendars.guards(slices, 3_600_000_000) == expected
