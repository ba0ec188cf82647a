"""Forecast scores, intervals and spent budgets, number by number, as their definitions say."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def seasonal_naive(history: Sequence[float], season: int, steps: int) -> list[float]:
    """Each forecast is the newest value that lies whole seasons before it."""
    found = []
    for ahead in range(steps):
        at = len(history) + ahead
        while at >= len(history):
            at -= season
        found.append(history[at])
    return found


def same_hour(start: datetime, history: Sequence[float], zone: str, days: int, steps: int) -> list[float]:
    """Each hour is as the newest known one that the same clock showed at the same time, whole multiples of days before.

    What the clock shows twice counts by its mean; what it skipped on that day is as so many days before that.
    """
    shown: dict[datetime, list[float]] = {}
    for at, value in enumerate(history):
        clock = (start + timedelta(hours=at)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        shown.setdefault(clock, []).append(value)
    found = []
    for ahead in range(steps):
        at = start + timedelta(hours=len(history) + ahead)
        clock = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if clock not in shown:
            clock -= timedelta(days=days)
        while clock not in shown:
            clock -= timedelta(days=days)
        found.append(sum(shown[clock]) / len(shown[clock]))
    return found


def mean_error(actual: Sequence[Sequence[float]], forecast: Sequence[Sequence[float]]) -> float | None:
    """The mean absolute error of what was measured."""
    errors = [
        abs(a - f)
        for each, path in zip(actual, forecast, strict=True)
        for a, f in zip(each, path, strict=True)
        if not math.isnan(a)
    ]
    return sum(errors) / len(errors) if errors else None


def upper(errors: Sequence[float], quantile: float) -> float:
    """The least error that at least ceil((n + 1) q) of them do not pass; past the last one there is none."""
    needed = min(math.ceil((len(errors) + 1) * quantile), len(errors))
    return min(each for each in errors if sum(other <= each for other in errors) >= needed)


def lower(errors: Sequence[float], quantile: float) -> float:
    """The same from below."""
    return -upper([-each for each in errors], 1 - quantile)


def exhausted_in(eligible: Sequence[float], bad: Sequence[float], known: int, window: int | None, target: float) -> int:
    """After how many steps behind the known ones a window's budget is spent; -1: never."""
    for ahead in range(len(eligible) - known + 1):
        end = known + ahead
        start = 0 if window is None else max(end - window, 0)
        spent, offered = sum(bad[start:end]), sum(eligible[start:end])
        if spent > 0 and spent >= (1 - target) * offered:
            return ahead
    return -1
