"""The models that compete: each takes a history and what is known of the future, and gives a path.

A model is made anew for each series and may keep between origins what is dear to find, such as an order; it never sees
anything behind the origin. Forecasts are of loads, so nothing is below 0.
"""

import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from jobs.forecast.calendars import Clock
from jobs.forecast.regressors import Regressors
from pipeline.controls import forecast
from pipeline.controls.forecast import Floats

MSTL_STEPS = 2_000  #: LOESS over a season of thousands of steps takes seconds
ARIMA_STEPS = 1_000  #: of history: more takes longer and says little of the next hours
TREND_BENDS, TREND_UNTIL = 12, 0.8  #: where the trend may bend: over the first four fifths, as Prophet has it
HARMONICS = (8, 24)  #: of the shorter and of the longer season
RIDGE = 1.0
LOG_FLOOR_RATIO = 0.05  #: of the mean: logarithms of next to nothing are not worth fitting
UNIVERSAL = "seasonal_naive_utc"
NAMES = ("arima", "mstl", "trend", "boosted")  #: beside the naive ones
BLENDED = (forecast.SEASONAL_NAIVE, "arima", "mstl", "trend")  #: models whose mean is one more
BOOSTED_ROWS = 6_000
BOOSTED: Mapping[str, Any] = {"learning_rate": 0.05, "max_iter": 60, "max_leaf_nodes": 8, "min_samples_leaf": 100}


class Past(NamedTuple):
    """What is known at an origin. `first` numbers the first step, counted from the epoch."""

    values: Floats  # gaps are filled
    regressors: Regressors
    first: int
    seasons: tuple[int, ...]  # those that the history holds twice
    season: int  # the one that it repeats itself in best; 1: none
    steps: int  # to be forecast
    clock: Clock | None = None  # that all of it is laid out by; None: UTC does

    @property
    def numbers(self) -> tuple[Floats, Floats]:
        """Numbers of the steps of the past and of the future."""
        every = self.first + np.arange(len(self.values) + self.steps, dtype=np.float64)
        return every[: len(self.values)], every[len(self.values) :]


Model = Callable[[Past], Floats]


def seasonal_naive(past: Past) -> Floats:
    """The last season again."""
    return forecast.seasonal_naive(past.values, past.season, past.steps)


def naive(past: Past) -> Floats:
    """The last value again."""
    return np.full(past.steps, past.values[-1])


def universal(past: Past) -> Floats:
    """The last season again by UTC, whatever clocks show: how much worse it is says what they are worth."""
    if past.clock is None:
        return np.full(past.steps, np.nan)
    path = forecast.seasonal_naive(past.clock.values, past.season, len(past.clock.future))
    return forecast.filled(past.clock.ahead(path), past.season)


class _Logarithm(NamedTuple):
    """Logarithms of a load: what multiplies it is added then."""

    floor: float

    @classmethod
    def of(cls, values: Floats) -> "_Logarithm":
        return cls(max(LOG_FLOOR_RATIO * float(values.mean()), 1e-9))

    def of_values(self, values: Floats) -> Floats:
        return np.asarray(np.log(values + self.floor))

    def back(self, logs: Floats, most: float) -> Floats:
        """Undo; a path that runs away is held at ten times what ever was."""
        return np.maximum(np.exp(np.minimum(logs, np.log(10 * most + self.floor))) - self.floor, 0.0)


def harmonics(numbers: Floats, season: int, count: int) -> Floats:
    """Sines and cosines of a season. Shapes: numbers (step,) -> (step, 2 count)."""
    angles = 2 * np.pi * np.outer(numbers / season, np.arange(1, min(count, (season - 1) // 2) + 1))
    return np.hstack([np.sin(angles), np.cos(angles)])


class Arima:
    """What harmonics and regressors do not explain of the logarithms, as an ARIMA process: SARIMA for long seasons.

    Source: Hyndman, Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, 10.5.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._fitted: Any = None

    def __call__(self, past: Past) -> Floats:
        from statsforecast.models import AutoARIMA

        as_log, length = _Logarithm.of(past.values), len(past.values)
        logs = as_log.of_values(past.values)
        explained = _explained(logs, np.hstack(_seasons_and_regressors(past)))
        left = (logs - explained[:length])[-ARIMA_STEPS:]
        if self._fitted is None:
            self._fitted = AutoARIMA(season_length=1, approximation=True).fit(left)
            path = self._fitted.predict(past.steps)["mean"]
        else:
            path = self._fitted.forward(left, past.steps)["mean"]
        return as_log.back(explained[length:] + np.asarray(path, np.float64), float(past.values.max()))


def mstl(past: Past) -> Floats:
    """Seasons taken out by LOESS, the rest by exponential smoothing of whichever kind fits best.

    Source: Bandara, Hyndman, Bergmeir, "MSTL: a seasonal-trend decomposition algorithm", 2021.
    """
    from statsforecast.models import MSTL, AutoETS

    values, rest = past.values[-MSTL_STEPS:], AutoETS(model="ZZN")
    seasons = [season for season in past.seasons if len(values) >= 2 * season]
    model = MSTL(season_length=seasons, trend_forecaster=rest) if seasons else rest
    return np.maximum(np.asarray(model.forecast(values, past.steps)["mean"], np.float64), 0.0)


def trend(past: Past) -> Floats:
    """A bending trend, seasons as harmonics and regressors, added in logarithms: Prophet's model, fitted by ridge.

    Source: Taylor, Letham, "Forecasting at scale", 2017.
    """
    as_log, length = _Logarithm.of(past.values), len(past.values)
    since = np.arange(length + past.steps) / length
    bends = np.maximum(since[:, None] - np.linspace(0, TREND_UNTIL, TREND_BENDS), 0.0)
    logs = as_log.of_values(past.values)
    explained = _explained(logs, np.hstack([bends, *_seasons_and_regressors(past)]))
    return as_log.back(explained[length:], float(past.values.max()))


def _seasons_and_regressors(past: Past) -> list[Floats]:
    numbers = np.concatenate(past.numbers)
    seasons = [harmonics(numbers, season, count) for season, count in zip(past.seasons, HARMONICS, strict=False)]
    return [*seasons, np.vstack([past.regressors.past, past.regressors.future])]


def _explained(logs: Floats, columns: Floats) -> Floats:
    """What columns, which go on into the future, explain of logarithms: of the past and of the future."""
    from sklearn.linear_model import Ridge

    length = len(logs)
    if not columns.shape[1]:
        return np.full(len(columns), logs.mean())
    scaled = (columns - columns[:length].mean(axis=0)) / np.maximum(columns[:length].std(axis=0), 1e-9)
    return np.asarray(Ridge(alpha=RIDGE).fit(scaled[:length], logs).predict(scaled), np.float64)


class Boosted:
    """Boosted trees on what differs from last season: by recent level, place in the season and regressors."""

    def __init__(self, again_after: int) -> None:
        """`again_after`: steps after which it is fitted anew."""
        self._again_after = again_after
        self._fitted: Any = None
        self._at = 0

    def __call__(self, past: Past) -> Floats:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        length, before = len(past.values), _reach(past)
        end = past.first + length
        now = _rows(past, np.array([length]))
        with threadpool_limits(1):
            if self._is_old(end, now.features.shape[1]):
                apart = max(1, (length - before - past.steps) * past.steps // BOOSTED_ROWS)
                starts = np.arange(length - past.steps, before - 1, -apart)
                if len(starts) * past.steps < 10 * BOOSTED["min_samples_leaf"]:
                    return np.full(past.steps, np.nan)
                seen = _rows(past, starts)
                model = HistGradientBoostingRegressor(random_state=0, early_stopping=False, **BOOSTED)
                self._fitted, self._at = model.fit(seen.features, (seen.targets - seen.usual) / seen.levels), end
            return np.asarray(np.maximum(now.usual + self._fitted.predict(now.features) * now.levels, 0.0))

    def _is_old(self, end: int, columns: int) -> bool:
        fitted = self._fitted
        return fitted is None or end - self._at >= self._again_after or bool(fitted.n_features_in_ != columns)


class _Rows(NamedTuple):
    """Starts and steps ahead, flat."""

    features: Floats
    levels: Floats  # recent means, which all else is measured in
    usual: Floats  # the value a season before
    targets: Floats  # nan behind the end


def _lagged(past: Past) -> int:
    """The season whose values trees look back at: the best one, if the history has enough of them to learn from."""
    has_room = len(past.values) >= 3 * past.season + past.steps
    return past.season if has_room or not past.seasons else past.seasons[0]


def _reach(past: Past) -> int:
    """Steps before a start that its features look at."""
    season = _lagged(past)
    lags = -(-past.steps // season) * season if season > 1 else past.steps
    return max(lags + season, 2 * season, 12) + 12


def _rows(past: Past, starts: Any) -> _Rows:
    season, values = _lagged(past), past.values
    padded = np.concatenate([values, np.full(past.steps, np.nan)])
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ahead = np.arange(past.steps)
    target = starts[:, None] + ahead
    lag = (ahead // season + 1) * season if season > 1 else ahead + 1
    span = season if season > 1 else min(60, _reach(past) - 12)
    level = np.maximum((sums[starts] - sums[starts - span]) / span, 1e-9 + 0.01 * values.mean())
    usual = padded[target - lag] if season > 1 else np.broadcast_to(level[:, None], target.shape)
    per_start = [values[starts - 1], *((sums[starts] - sums[starts - n]) / n for n in (3, 12))]
    if season > 1:
        per_start += [(sums[starts - season] - sums[starts - season - n]) / n for n in (1, 3, 12)]
        per_start += [(sums[starts - season] - sums[starts - 2 * season]) / season]
    wide = [np.broadcast_to((each / level)[:, None], target.shape) for each in per_start]
    wide += [usual / level[:, None], np.broadcast_to(ahead, target.shape)]
    if season > 1:
        wide += [padded[target - lag - season] / level[:, None]]
        wide += [(past.first + target) % each / each for each in past.seasons]
    columns = np.vstack([past.regressors.past, past.regressors.future])
    wide += [place for column in columns.T for place in (column[target], column[target - lag])]
    levels = np.broadcast_to(level[:, None], target.shape).ravel()
    features = np.stack([each.ravel() for each in wide], axis=1).astype(np.float64)
    return _Rows(features, levels, usual.ravel(), padded[target].ravel())


def every(again_after: int, names: Collection[str]) -> dict[str, Model]:
    """Make models for one series; the naive ones are always among them."""
    made: dict[str, Model] = {
        forecast.SEASONAL_NAIVE: seasonal_naive, UNIVERSAL: universal, "naive": naive, "arima": Arima(), "mstl": mstl,
        "trend": trend, "boosted": Boosted(again_after),
    }  # fmt: skip
    return {name: model for name, model in made.items() if name in names or name not in NAMES}


def path_of(model: Model, past: Past) -> Floats:
    """Run a model; one that cannot be fitted to this history gives no forecast, and so is not chosen.

    Its path is over the steps of UTC, whatever the clock has shown.
    """
    path = _path(model, past)
    return path if past.clock is None else past.clock.back(past.values, path)


def _path(model: Model, past: Past) -> Floats:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            path = model(past)
        except (ValueError, ArithmeticError, IndexError, np.linalg.LinAlgError, ZeroDivisionError):
            return np.full(past.steps, np.nan)
    return path if path.shape == (past.steps,) else np.full(past.steps, np.nan)
