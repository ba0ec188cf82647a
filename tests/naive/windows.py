"""Windows, slowly: a dictionary of seconds and the law in one line."""

from collections.abc import Iterable
from datetime import UTC, datetime

from tests.naive import periods


def cell_of(span: int) -> int:
    if span <= 5 * 60:
        return 1
    if span <= 2 * 3600:
        return 10
    return 300 if span <= 3 * 86400 else 3600


def window_sum(seconds: dict[int, tuple[int, int, int]], end: int, span: int) -> tuple[int, int, int]:
    """Sum (good, bad, excluded) over [end - span rounded down to its cell, end)."""
    return sum_between(seconds, (end - span) // cell_of(span) * cell_of(span), end)


def sum_between(seconds: dict[int, tuple[int, int, int]], start: int, end: int) -> tuple[int, int, int]:
    """Sum (good, bad, excluded) over [start, end)."""
    inside = [counts for second, counts in seconds.items() if start <= second < end]
    return tuple(sum(column) for column in zip(*inside, strict=True)) if inside else (0, 0, 0)  # type: ignore[return-value]


def period_of(start: datetime, count: int, unit: str, zone: str, second: int) -> tuple[int, int]:
    """(first second, end) of the calendar's period that holds a second."""
    begin, end = periods.period(start, count, unit, zone, datetime.fromtimestamp(second, UTC))
    return int(begin.timestamp()), int(end.timestamp())


def is_measured(slice_id: int, slices_with_events: Iterable[int], reach: int) -> bool:
    """An event in the slice, or in one of the `reach` before it."""
    return any(each <= slice_id <= each + reach for each in slices_with_events)
