"""Trying all models on the past of a series, and forecasting with those that proved themselves.

A rolling origin: at each, every model sees the history before it and the changes that were told by then. What is
forecast of the future is made the same way, at the end of the history.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jobs.forecast import candidates
from jobs.forecast.calendars import SIMPLE, Calendar, Clock, clock_of
from jobs.forecast.regressors import Change, Regressors, regressors
from pipeline.controls.forecast import (
    BLEND,
    SEASONAL_NAIVE,
    Backtest,
    Choice,
    Floats,
    Grid,
    Horizon,
    Interval,
    Measured,
    Spread,
    blended,
    choose,
    filled,
    measured,
    origins,
    season_of,
    seasonal_error,
    spread,
)

HOUR, DAY = 3_600, 86_400
HOURS = Grid(
    "hours", HOUR, (Horizon("6h", 6), Horizon("1d", 24), Horizon("3d", 72), Horizon("7d", 168)), (24, 168),
    history=56 * 24, least=3 * 24, origins=28,
)  # fmt: skip
MINUTES = Grid(
    "minutes", 300, (Horizon("5m", 1), Horizon("15m", 3), Horizon("60m", 12)), (288, 2016),
    history=15 * 288, least=2 * 288 + 1, origins=30,
)  # fmt: skip
FIRST_MINUTES = Grid(
    "first minutes", 60, (Horizon("5m", 5), Horizon("15m", 15), Horizon("60m", 60)), (), history=1_440, origins=30
)  #: for what is not seen for three days yet


class Series(NamedTuple):
    """What is forecast: a value a step, nan where nothing was measured."""

    service: str
    model: str
    quantity: str
    unit: str
    start_us: int
    values: Floats
    is_total: bool = False  # of interest is the sum until a horizon, else the value at it


class Outlook(NamedTuple):
    """What is forecast up to a horizon, and what that is worth."""

    horizon: Horizon
    choice: Choice
    spread: Spread | None  # of its errors; None: too few are known
    path: Interval | None  # over the steps of the horizon's band; None: no spread is known
    measured: Measured


@dataclass(frozen=True)
class Tried:
    """A series with all that was found out about it."""

    series: Series
    grid: Grid
    backtest: Backtest
    outlooks: tuple[Outlook, ...]
    coming: tuple[str, ...] = ()  # campaigns and maintenances that the models count with


def tried(
    series: Series, grid: Grid, changes: Sequence[Change] = (), names: Collection[str] = candidates.NAMES,
    calendar: Calendar = SIMPLE,
) -> Tried:  # fmt: skip
    """Try models on a series, choose one for each horizon, and forecast."""
    horizons = grid.within(len(series.values))
    steps = horizons[-1].steps if horizons else 0
    starts = origins(len(series.values), grid, steps) if steps else np.zeros(0, np.int64)
    again_after = max(int(starts[-1] - starts[0]) // 3, 1) if len(starts) else 1
    every = candidates.every(again_after, names)
    actual = np.array([series.values[at : at + steps] for at in starts]).reshape(len(starts), steps)
    paths = {name: np.full_like(actual, np.nan) for name in every}
    for index, at in enumerate(starts):
        past = past_at(series, grid, changes, int(at), steps, calendar)
        for name, model in every.items():
            paths[name][index] = candidates.path_of(model, past)
    paths[BLEND] = blended({name: paths[name] for name in candidates.BLENDED if name in paths})
    backtest = Backtest(starts, actual, paths, _scale(series, grid, starts))
    if not steps:
        return Tried(series, grid, backtest, ())
    past = past_at(series, grid, changes, len(series.values), steps, calendar)
    looked = backtest.cumulated() if series.is_total else backtest
    chosen = {each: choose(looked, grid.band(each)) for each in horizons}
    future = futures({choice.model for choice in chosen.values()}, every, past, series.is_total)
    outlooks = tuple(_outlook(looked, grid, each, choice, future) for each, choice in chosen.items())
    return Tried(series, grid, backtest, outlooks, past.regressors.coming)


def past_at(
    series: Series, grid: Grid, changes: Sequence[Change], at: int, steps: int, calendar: Calendar = SIMPLE
) -> candidates.Past:
    """Return what is known of a series before step `at`, laid out as the site's clock shows it."""
    step_us = grid.step_s * 1_000_000
    known = series.values[:at]
    season = season_of(known, grid.seasons)
    told = [*changes, *calendar.holidays]
    beside = regressors(told, series.start_us, step_us, at, steps, series.start_us + at * step_us)
    held = tuple(each for each in grid.seasons if at >= 2 * each)
    clock = clock_of(calendar.zone, series.start_us, step_us, known, steps)
    if clock is None:
        return candidates.Past(filled(known, season), beside, series.start_us // step_us, held, season, steps)
    values = filled(clock.shown(known), season)
    return candidates.Past(values, _shown(beside, clock), clock.first, held, season, clock.steps, clock)


def _shown(beside: Regressors, clock: Clock) -> Regressors:
    """Lay columns out by a clock; in what it skips they are as before."""
    return Regressors(beside.names, _held(clock.shown(beside.past)), _held(clock.ahead(beside.future)))


def _held(columns: Floats) -> Floats:
    is_known = np.isfinite(columns).all(axis=1)
    before = np.maximum.accumulate(np.where(is_known, np.arange(len(columns)), -1))
    return np.asarray(np.where(before[:, None] >= 0, columns[before], 0.0), np.float64)


def _scale(series: Series, grid: Grid, starts: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> float:
    if not len(starts):
        return float("nan")
    known = series.values[: starts[0]]
    return seasonal_error(known, season_of(known, grid.seasons))


def futures(
    chosen: Collection[str], every: Mapping[str, candidates.Model], past: candidates.Past, is_total: bool
) -> dict[str, Floats]:
    """Forecast with the chosen models; where one of them fails now, seasonal-naive stands in. Of totals, sums."""
    needed = {*chosen, SEASONAL_NAIVE, *(candidates.BLENDED if BLEND in chosen else ())}
    found = {name: candidates.path_of(model, past) for name, model in every.items() if name in needed}
    if BLEND in chosen:
        found[BLEND] = blended({name: found[name] for name in candidates.BLENDED if name in found})
    whole = {name: path if np.isfinite(path).all() else found[SEASONAL_NAIVE] for name, path in found.items()}
    return {name: np.cumsum(path) if is_total else path for name, path in whole.items()}


def _outlook(looked: Backtest, grid: Grid, horizon: Horizon, choice: Choice, future: Mapping[str, Floats]) -> Outlook:
    band = grid.band(horizon)
    known = spread(looked, choice.model, band)
    path = None if known is None else known.around(future[choice.model][band])
    return Outlook(horizon, choice, known, path, measured(looked, choice.model, band))
