"""Forecasts: which model of a series has earned its use, how wide its interval must be, and how that was measured.

Law: a model is used only where it was closer than the seasonal-naive forecast (the value of a season ago) on origins
that had no part in choosing it; else the seasonal-naive forecast is used, and the reason says so. Intervals are
conformal: as wide as errors of earlier origins were, whatever the model claims; their coverage is measured on later
ones. Time that was not measured is nan: it is neither scored nor calibrated on.

    history ------------------o.....h          an origin: everything before o is known, h steps from o on are forecast
    history ------------------------o.....h    the next one
              chosen on these  | proved on those

Pure. Fits no model, and knows none but the naive ones.
Source: Hyndman, Koehler, "Another look at measures of forecast accuracy", 2006 (MASE); Vovk, Gammerman, Shafer,
"Algorithmic Learning in a Random World", 2005 (split conformal prediction).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[Floats, Floats, Floats]  # q10, q50, q90

SEASONAL_NAIVE, BLEND = "seasonal_naive", "blend"
QUANTILES = (0.1, 0.5, 0.9)
NOMINAL_COVERAGE = QUANTILES[2] - QUANTILES[0]
MARGIN = 0.02  #: a model that is closer by less than this is not worth its trouble
CHOOSING_RATIO = 1 / 2  #: of the origins: as many prove as choose
ORIGINS_LEAST = 6  #: fewer choose nothing
ERRORS_LEAST = 20  #: of earlier origins, or an interval is not measured
FLOOR_RATIO = 0.1  #: of the mean: errors are relative to the forecast, but not of next to nothing


class Horizon(NamedTuple):
    """How far to look, under a name."""

    name: str
    steps: int


@dataclass(frozen=True)
class Grid:
    """Steps in which a series is looked at, and how far ahead in these."""

    name: str
    step_s: int
    horizons: tuple[Horizon, ...]  # ascending
    seasons: tuple[int, ...] = ()  # in steps, ascending
    history: int = 2_000  # steps at the most
    least: int = 30  # steps before the first origin
    origins: int = 24  # at the most

    @property
    def steps(self) -> int:
        """Steps to the farthest horizon."""
        return self.horizons[-1].steps

    def band(self, horizon: Horizon) -> slice:
        """The steps of a path that belong to a horizon: those behind the next nearer one."""
        nearer = [each.steps for each in self.horizons if each.steps < horizon.steps]
        return slice(max(nearer, default=0), horizon.steps)

    def within(self, length: int) -> tuple[Horizon, ...]:
        """The horizons that so long a history can be tried on: with half of it, but no less than `least`, before."""
        room = length - max(self.least, length // 2)
        return tuple(each for each in self.horizons if each.steps + ORIGINS_LEAST <= room)


@dataclass(frozen=True)
class Backtest:
    """What models forecast at past origins, and what came. Shapes: actual and each model's (origin, step)."""

    origins: Ints  # step at which each forecast begins
    actual: Floats  # nan: not measured
    forecasts: Mapping[str, Floats]  # nan: the model gave none
    scale: float  # mean error of the seasonal-naive forecast within the history before the first origin; nan: none

    def cumulated(self) -> "Backtest":
        """The same of totals since the origin."""
        sums = {name: np.cumsum(path, axis=1) for name, path in self.forecasts.items()}
        return Backtest(self.origins, np.cumsum(self.actual, axis=1), sums, math.nan)


class Score(NamedTuple):
    """How close a model was on some origins and steps."""

    mae: float
    mase: float | None  # in mean errors of the seasonal-naive forecast within the history; None: it made none
    relative: float | None  # in those of the seasonal-naive forecast at the same origins and steps; < 1 beats it
    wins: int  # origins at which it was closer
    origins: int


@dataclass(frozen=True)
class Choice:
    """Which model is used, and why."""

    model: str
    reason: str
    is_fallback: bool
    proof: Score | None  # on the origins that chose nothing; None: there were none
    scores: Mapping[str, Score] = field(default_factory=dict)  # of every model, on all origins


class Measured(NamedTuple):
    """What intervals are worth, each made of earlier origins alone."""

    coverage: float | None  # share of what came that lay within q10 .. q90; None: too few origins to tell
    below: float | None  # share that lay below q50
    pinball: float | None  # mean over the three quantiles
    samples: int


# -- the naive forecasts
def seasonal_naive(history: Floats, season: int, steps: int) -> Floats:
    """Repeat the last season; what was not measured in it, from the season before, and so on."""
    known = filled(history, season)
    last = known[-season:] if len(known) >= season else known
    if not len(last):
        return np.full(steps, np.nan)
    return np.asarray(np.resize(last, steps), np.float64)


def filled(history: Floats, season: int) -> Floats:
    """Put the value of a season before where nothing was measured; where there is none, the nearest one."""
    values = np.array(history, np.float64)
    missing = np.flatnonzero(np.isnan(values))
    for at in missing:
        if at >= season:
            values[at] = values[at - season]
    known = np.flatnonzero(~np.isnan(values))
    if len(known) and len(known) < len(values):
        values = values[known[_nearest(known, len(values))]]
    return values


def _nearest(known: Ints, length: int) -> Ints:
    """For each place the index, in `known`, of the known place before it; of the first, where there is none."""
    return np.maximum(np.searchsorted(known, np.arange(length), side="right") - 1, 0)


def season_of(history: Floats, seasons: tuple[int, ...]) -> int:
    """The season in which the history repeats itself best, of those that it holds twice; 1: it holds none twice."""
    held = [season for season in seasons if len(history) >= 2 * season]
    errors = {season: seasonal_error(history, season) for season in held}
    return min(held, key=lambda season: (math.isnan(errors[season]), errors[season]), default=1)


def seasonal_error(history: Floats, season: int) -> float:
    """Mean absolute difference between a value and that of a season before; nan: there are no two."""
    differences = np.abs(history[season:] - history[:-season])
    return float(np.nanmean(differences)) if np.isfinite(differences).any() else math.nan


def blended(paths: Mapping[str, Floats]) -> Floats:
    """The mean of several models' forecasts; of those that gave one. It is often closer than each of them."""
    every = np.stack(list(paths.values()))
    is_known = np.isfinite(every)
    count = is_known.sum(axis=0)
    sums = np.where(is_known, every, 0.0).sum(axis=0)
    return np.asarray(np.where(count > 0, sums / np.maximum(count, 1), np.nan), np.float64)


# -- scores
def origins(length: int, grid: Grid, steps: int) -> Ints:
    """The steps at which forecasts of the past begin: evenly apart, the last one ends with the data."""
    last, first = length - steps, max(grid.least, length // 2)
    if last < first:
        return np.zeros(0, np.int64)
    apart = max(1, (last - first) // max(grid.origins - 1, 1))
    return np.arange(last, first - 1, -apart, dtype=np.int64)[: grid.origins][::-1].copy()


def score(backtest: Backtest, model: str, band: slice, some: slice = slice(None)) -> Score | None:
    """Say how close a model was; None: nothing was measured, or the model did not forecast all of it."""
    actual = backtest.actual[some, band]
    mine = np.abs(actual - backtest.forecasts[model][some, band])
    rival = np.abs(actual - backtest.forecasts[SEASONAL_NAIVE][some, band])
    is_known = np.isfinite(actual) & np.isfinite(rival)
    if not is_known.any() or not np.isfinite(mine[is_known]).all():
        return None
    mae, rival_mae = float(mine[is_known].mean()), float(rival[is_known].mean())
    sums = np.where(is_known, mine, 0).sum(axis=1), np.where(is_known, rival, 0).sum(axis=1)
    return Score(
        mae,
        mae / backtest.scale if backtest.scale > 0 else None,
        mae / rival_mae if rival_mae > 0 else None,
        int((sums[0] < sums[1]).sum()),
        int(is_known.any(axis=1).sum()),
    )


def choose(backtest: Backtest, band: slice) -> Choice:
    """Choose a model on the earlier origins, and prove it on the later ones; or fall back."""
    count = len(backtest.origins)
    every = _scores(backtest, band, slice(None))
    if count < ORIGINS_LEAST or SEASONAL_NAIVE not in every:
        return _fallback(f"only {count} forecasts of the past can be compared", None, every)
    cut = round(count * CHOOSING_RATIO)
    early, late = slice(0, cut), slice(cut, None)
    rivals = {name: each for name, each in _scores(backtest, band, early).items() if name in every}
    rivals.pop(SEASONAL_NAIVE, None)
    if not rivals:
        return _fallback("no other model could be tried", None, every)
    best = min(rivals, key=lambda name: (rivals[name].mae, name))
    found, proof = rivals[best].relative, score(backtest, best, band, late)
    if found is None or found > 1 - MARGIN:
        return _fallback(f"the closest model, {best}, was off by {_times(found)}", proof, every)
    if proof is None or proof.relative is None or proof.relative >= 1:
        missed = _times(proof.relative if proof else None)
        return _fallback(f"{best} was chosen, but on later origins off by {missed}", proof, every)
    reason = f"{best} was off by {_times(proof.relative)} on {proof.origins} origins that had no part in choosing it"
    return Choice(best, reason, False, proof, every)


def _scores(backtest: Backtest, band: slice, some: slice) -> dict[str, Score]:
    scores = {name: score(backtest, name, band, some) for name in backtest.forecasts}
    return {name: each for name, each in scores.items() if each is not None}


def _fallback(why: str, proof: Score | None, every: Mapping[str, Score]) -> Choice:
    return Choice(SEASONAL_NAIVE, f"seasonal-naive is used: {why}", True, proof, every)


def _times(relative: float | None) -> str:
    return "as much as seasonal-naive" if relative is None else f"{relative:.2f} times as much as seasonal-naive"


# -- intervals
def offsets(errors: Floats, worth: int) -> tuple[float, float]:
    """Return how far q10 and q90 lie from a forecast whose errors were these: conformal, for so few as there are.

    With n independent errors the next one lies below the ceil((n + 1) q)-th smallest with a probability of at least q.
    Errors that are not independent are `worth` fewer.
    """
    ordered, n = np.sort(errors), len(errors)
    share = min(math.ceil((worth + 1) * QUANTILES[2]) / worth, 1.0)
    outermost = max(math.ceil(share * n - 1e-9), 1)
    return float(ordered[n - outermost]), float(ordered[outermost - 1])


def worth(starts: Ints, steps: int, errors: int) -> int:
    """How many independent errors these are worth, of forecasts of so many steps, begun at these starts.

    Errors of one forecast, and of forecasts that overlap, say more than one error and less than each for itself: the
    geometric mean of both. As many as there are gave intervals of a week that held 69 % of what came instead of 80 %,
    as many as do not overlap ones that held 95 %; the mean gave 79 % (three seeds of a simulated season).
    """
    apart, free = 0, -1
    for start in starts:
        if start >= free:
            apart, free = apart + 1, int(start) + steps
    return max(round(math.sqrt(apart * errors)), 1)


class Spread(NamedTuple):
    """How far q10 and q90 lie from a forecast, in units of itself, or of `floor` where it is less."""

    low: float
    high: float
    floor: float

    def around(self, path: Floats) -> Interval:
        """Return q10, q50 and q90. Nothing is below 0.

        q50 is the forecast that was scored, as far as the others let it: moved by the median of past errors it was off
        by 4 % more, over 40 series and horizons of the benchmark.
        """
        width = np.maximum(np.abs(path), self.floor)
        low, high = np.maximum(path + self.low * width, 0.0), np.maximum(path + self.high * width, 0.0)
        return low, np.clip(path, low, high), high


def spread(backtest: Backtest, model: str, band: slice, some: Ints | slice = slice(None)) -> Spread | None:
    """Return how far quantiles lie from a model's forecasts in a band, by its errors at some origins.

    None: too few errors are known.
    """
    actual, path = backtest.actual[some, band], backtest.forecasts[model][some, band]
    floor = _floor(backtest.actual[some])
    errors = (actual - path) / np.maximum(np.abs(path), floor)
    errors = errors[np.isfinite(errors)]
    if len(errors) < ERRORS_LEAST:
        return None
    independent = worth(backtest.origins[some], band.indices(backtest.actual.shape[1])[1], len(errors))
    return Spread(*offsets(errors, independent), floor)


def _floor(actual: Floats) -> float:
    mean = float(np.nanmean(np.abs(actual))) if np.isfinite(actual).any() else 0.0
    return max(FLOOR_RATIO * mean, 1e-12)


def measured(backtest: Backtest, model: str, band: slice) -> Measured:
    """Measure intervals as they would have been made: at each origin of the errors that were known by then."""
    inside = below = loss = 0.0
    samples, last = 0, band.indices(backtest.actual.shape[1])[1]
    for index, origin in enumerate(backtest.origins):
        made = spread(backtest, model, band, np.flatnonzero(backtest.origins + last <= origin))
        path, actual = backtest.forecasts[model][index, band], backtest.actual[index, band]
        is_known = np.isfinite(actual) & np.isfinite(path)
        if made is None or not is_known.any():
            continue
        actual = actual[is_known]
        quantiles = made.around(path[is_known])
        inside += float(((quantiles[0] <= actual) & (actual <= quantiles[2])).sum())
        below += float((actual < quantiles[1]).sum())
        loss += sum(float(pinball(actual, each, q).sum()) for each, q in zip(quantiles, QUANTILES, strict=True)) / 3
        samples += len(actual)
    if not samples:
        return Measured(None, None, None, 0)
    return Measured(inside / samples, below / samples, loss / samples, samples)


def pinball(actual: Floats, forecast: Floats, quantile: float) -> Floats:
    """The loss that a quantile is the least of: q (y - f) where y is above, (1 - q) (f - y) where it is below."""
    above = actual - forecast
    return np.asarray(np.maximum(quantile * above, (quantile - 1) * above), np.float64)


# -- budgets
def exhausted_in(past: tuple[Floats, Floats], future: tuple[Floats, Floats], window: int | None, target: float) -> int:
    """Return after how many future steps a budget is spent: 0: it is; -1: not within the forecast.

    `past` and `future` are eligible and bad events a step. The window rolls over the last `window` steps; None: it
    began with the past and does not end before the forecast does.
    """
    eligible, bad = (np.cumsum(np.concatenate([[0.0], *both])) for both in zip(past, future, strict=True))
    ends = np.arange(len(past[0]), len(eligible))
    starts = np.maximum(ends - window, 0) if window else np.zeros_like(ends)
    spent = bad[ends] - bad[starts]
    budget = (1 - target) * (eligible[ends] - eligible[starts])
    is_spent = (spent > 0) & (spent >= budget)
    return int(np.argmax(is_spent)) if is_spent.any() else -1
