"""When a budget will be spent: by forecasts of what will be eligible and what will be bad, hour by hour.

A rolling window forgets as it goes on, so a budget comes back too; a calendar's begins anew at its end, and nothing is
said past it. What is bad is forecast as a total: its q90 spends the budget soonest, its q10 latest.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from jobs.forecast.asking import Budget
from jobs.forecast.calendars import SIMPLE, Calendar
from jobs.forecast.candidates import NAMES
from jobs.forecast.regressors import Change
from jobs.forecast.trying import HOURS, Series, Tried, tried
from pipeline.controls.forecast import QUANTILES, Floats, exhausted_in

HOUR_S = 3_600


class Spending(NamedTuple):
    """When a budget will be spent, in seconds from the last known hour on; None: not within what can be foreseen."""

    budget: Budget
    bad: Tried
    foreseen_s: int
    soonest_s: int | None
    likely_s: int | None
    latest_s: int | None

    @property
    def state(self) -> str:
        """`spent`, `exhausts`, `at_risk` or `holds`; `unknown`: nothing can be foreseen."""
        if not self.foreseen_s:
            return "unknown"
        if self.likely_s == 0:
            return "spent"
        return "exhausts" if self.likely_s is not None else "at_risk" if self.soonest_s is not None else "holds"


def spending(
    budget: Budget, changes: Sequence[Change], names: Collection[str] = NAMES, calendar: Calendar = SIMPLE
) -> Spending:
    """Forecast when a budget will be spent."""
    start_us = budget.start_hour * HOUR_S * 1_000_000
    of = (budget.service, f"{budget.slo} {budget.instance}".strip())
    beside = (HOURS, changes, names, calendar)
    eligible = tried(Series(*of, "eligible", "events", start_us, budget.eligible, True), *beside)
    bad = tried(Series(*of, "bad", "events", start_us, budget.bad, True), *beside)
    paths, offered = cumulated(bad), cumulated(eligible)
    if paths is None or offered is None:
        return Spending(budget, bad, 0, None, None, None)
    ahead = min(len(paths[0]), len(offered[0]), len(paths[0]) if budget.left is None else budget.left)
    spent = [
        _spent_in(budget, np.diff(path[:ahead], prepend=0.0), np.diff(offered[1][:ahead], prepend=0.0))
        for path in paths
    ]
    latest, likely, soonest = (None if each < 0 else each * HOUR_S for each in spent)
    return Spending(budget, bad, ahead * HOUR_S, soonest, likely, latest)


def cumulated(found: Tried) -> list[Floats] | None:
    """Join bands of totals to paths of q10, q50 and q90 that never fall; None: some band has no interval."""
    bands = [each.path for each in found.outlooks]
    if not bands or any(band is None for band in bands):
        return None
    joined = [np.concatenate([band[index] for band in bands if band is not None]) for index in range(len(QUANTILES))]
    return [np.maximum.accumulate(path) for path in joined]


def _spent_in(budget: Budget, bad: Floats, eligible: Floats) -> int:
    counted = budget.in_window if budget.window is None else budget.window
    first = max(len(budget.bad) - counted, 0)  # a window that has just begun counts nothing, not all
    past = budget.eligible[first:], budget.bad[first:]
    return exhausted_in(past, (eligible, bad), budget.window, budget.target)
