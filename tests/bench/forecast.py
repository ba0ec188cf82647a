"""Benchmark `forecast`: which models beat last season's values, where, and whether intervals hold what they say.

Each series is forecast from rolling origins by every model, as `burnline forecast` does it: chosen on the earlier
origins, proved on the later ones. Real: arrivals of azure-llm-2023, an hour of 2023-11-16, which has no season, by the
minute and by ten seconds. Simulated, by seed: the demo's fleet (days alone); weeks of days with a trend, bursts and a
level that wanders; the same with sales that were announced and a deploy; by the clock of Berlin, over the change to
summer time, and over the holidays of spring, each with and without that being told; a walk that nobody can foresee. The
week behind the history is known here, so what is forecast of it is scored too.
"""

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from csv import DictReader
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from jobs.fleet.load import FleetSpec, Layout
from jobs.forecast.calendars import SIMPLE, Calendar, calendar_of
from jobs.forecast.regressors import Change
from jobs.forecast.trying import FIRST_MINUTES, HOURS, MINUTES, Outlook, Series, Tried, tried
from pipeline.controls.forecast import NOMINAL_COVERAGE, Floats, Grid, Horizon
from tests.bench import report

DATA = Path(__file__).parents[3] / "shared" / "data" / "azure-llm-2023"
HOUR, DAY = 3_600, 86_400
START_S = 1_760_313_600  #: Monday, 13 October 2025
TENS = Grid("ten seconds", 10, (Horizon("1m", 6), Horizon("5m", 30), Horizon("10m", 60)), origins=30)
SHOWN = "week, seed 1"  #: the series that is drawn
COLOURS = {
    "naive": "#b8b8b8", "arima": "#1b6ca8", "mstl": "#3d9970", "trend": "#c98b2b", "boosted": "#8e5ea2",
    "blend": "#c0392b",
}  # fmt: skip


class Case(NamedTuple):
    """A series, the grid it is tried on, and what came behind it; empty: nobody knows."""

    name: str
    grid: Grid
    values: Floats
    start_s: int = START_S
    comes: Floats = np.zeros(0)
    changes: tuple[Change, ...] = ()
    calendar: Calendar = SIMPLE


def azure(kind: str, step_s: int) -> Case | None:
    """Arrivals a second by step; the first and the last step are not whole."""
    path = DATA / f"AzureLLMInferenceTrace_{kind}.csv.gz"
    if not path.exists():
        return None
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        times = np.array([row["TIMESTAMP"][:26] for row in DictReader(lines)], "datetime64[us]").astype(np.int64)
    steps = times // (step_s * 1_000_000)
    first = int(steps.min()) + 1
    counts = np.bincount(steps[steps >= first] - first)[:-1] / step_s
    return Case(f"azure {kind}", FIRST_MINUTES if step_s == 60 else TENS, counts.astype(np.float64), first * step_s)


def fleet(step_s: int, steps: int, ahead: int, grid: Grid, seed: int = 1) -> Case:
    """Arrivals at the chat service of the demo's fleet."""
    layout = Layout(FleetSpec(rate=200.0), seed)
    chosen = [number for number, pool in enumerate(layout.pools) if pool.workload.service == "chat"]
    slots = np.arange((steps + ahead) * step_s // 300, dtype=np.int64)  # a sample each 5 min
    rates = layout.conditions((START_S + slots * 300 + 150) * 1_000_000).arrivals[chosen].sum(axis=0)
    wide = rates.reshape(steps + ahead, -1).mean(axis=1)
    counts = np.random.default_rng(seed).poisson(wide * step_s) / step_s
    return Case("fleet", grid, counts[:steps], comes=counts[steps:])


def week(
    step_s: int, steps: int, ahead: int, grid: Grid, seed: int, factors: Floats | None = None,
    clock_s: "np.ndarray[Any, Any] | None" = None, free: "np.ndarray[Any, Any] | None" = None,
) -> Case:  # fmt: skip
    """Days and weekends, 0.3 % more each day, bursts of 6 %, and a level that wanders within 8 % over a day or two.

    `clock_s`: what a clock shows at each step; `free`: holidays, which are as weekends.
    """
    rng = np.random.default_rng(seed)
    at = START_S + np.arange(steps + ahead) * step_s
    shown = at if clock_s is None else clock_s
    turn = 2 * np.pi * (shown / DAY - 0.6)
    day = 1 + 0.5 * np.cos(turn) + 0.15 * np.cos(2 * turn)
    is_free = (shown // DAY + 3) % 7 >= 5
    weekend = np.where(is_free if free is None else is_free | free, 0.55, 1.0)
    stays = np.exp(-step_s / (36 * HOUR))
    level = np.zeros(len(at))
    for index, shock in enumerate(rng.standard_normal(len(at) - 1) * 0.08 * np.sqrt(1 - stays**2), 1):
        level[index] = stays * level[index - 1] + shock
    burst = 0.06 * rng.standard_normal(len(at))
    rates = 40 * day * weekend * (1 + 0.003 * (at - START_S) / DAY) * np.exp(level + burst)
    rates = rates if factors is None else rates * factors
    counts = rng.poisson(rates * step_s) / step_s
    return Case(f"week, seed {seed}", grid, counts[:steps], comes=counts[steps:])


def sales(seed: int, is_told: bool) -> Case:
    """The week with a sale of half a day each nine days, half as much again, and a deploy that brings a fifth more."""
    steps, ahead = HOURS.history, HOURS.steps
    factors, changes = np.ones(steps + ahead), []
    for number, start in enumerate(range(60, steps + ahead, 9 * 24)):
        factors[start : start + 12] *= 1.5
        at_us = (START_S + start * HOUR) * 1_000_000
        until_us, told_us = at_us + 12 * HOUR * 1_000_000, at_us - 14 * DAY * 1_000_000
        changes.append(Change("NOTE", "sale", at_us, until_us, told_us, f"{number}"))
    deployed = steps // 2
    factors[deployed:] *= 1.2
    at_us = (START_S + deployed * HOUR) * 1_000_000
    changes.append(Change("DEPLOY", "v2", at_us, None, at_us))
    made = week(HOUR, steps, ahead, HOURS, seed, factors)
    name = "sales, told" if is_told else "sales, untold"
    return made._replace(name=name, changes=tuple(changes) if is_told else ())


def berlin(name: str, monday: date, seed: int, is_told: bool) -> Case:
    """The week by the clock of Berlin, from a Monday on; holidays are as weekends."""
    zone, days = ZoneInfo("Europe/Berlin"), (HOURS.history + HOURS.steps) // 24
    calendar = calendar_of(zone.key, "DE", monday, monday + timedelta(days=days))
    start_s = int(datetime.combine(monday, time(), UTC).timestamp())
    at = start_s + np.arange(HOURS.history + HOURS.steps) * HOUR
    shown = at + np.array([datetime.fromtimestamp(each, zone).utcoffset() for each in at.tolist()], "m8[s]").astype(int)
    free = np.zeros(len(at), np.bool_)
    for each in calendar.holidays:
        free |= (each.at_us <= at * 1_000_000) & (at * 1_000_000 < (each.until_us or 0))
    made = week(HOUR, HOURS.history, HOURS.steps, HOURS, seed, clock_s=shown, free=free)
    told = calendar if is_told else SIMPLE
    return made._replace(name=f"{name}, {'told' if is_told else 'untold'}", start_s=start_s, calendar=told)


def walk(seed: int) -> Case:
    """A level that goes up or down by 5 % an hour, whatever it was."""
    rng = np.random.default_rng(seed)
    steps = HOURS.history + HOURS.steps
    values = 100 * np.exp(np.cumsum(0.05 * rng.standard_normal(steps)))
    return Case("walk", HOURS, values[: HOURS.history], comes=values[HOURS.history :])


def cases() -> Iterator[Case]:
    """Every series; those of a trace when it is there."""
    for kind in ("conv", "code"):
        yield from filter(None, (azure(kind, 60), azure(kind, 10)))
    hours, minutes = (HOUR, HOURS.history, HOURS.steps, HOURS), (300, MINUTES.history, MINUTES.steps, MINUTES)
    yield fleet(*minutes)
    yield fleet(*hours)
    yield week(*minutes, 1)
    for seed in (1, 2):
        yield week(*hours, seed)
    yield sales(4, is_told=False)
    yield sales(4, is_told=True)
    for is_told in (False, True):
        yield berlin("summer time", date(2026, 2, 9), 6, is_told)  # begins 48 days later
    for is_told in (False, True):
        yield berlin("holidays", date(2026, 3, 30), 7, is_told)  # Easter, May Day, Ascension; Whit Monday comes
    yield walk(5)


def measure(only: str = "", told: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Try every model on every series."""
    found, drawn = [], {}
    for case in cases():
        if only in case.name:
            told(f"{case.name}, {case.grid.name}")
            made = tried(
                Series("", case.name, "load", "requests/s", case.start_s * 1_000_000, case.values),
                case.grid,
                case.changes,
                calendar=case.calendar,
            )
            found += [_told(case, made, outlook) for outlook in made.outlooks]
            if case.name == SHOWN and case.grid is HOURS:
                drawn = _drawn(case, made)
    return {"forecasts": found, "drawn": drawn, "nominal_coverage": NOMINAL_COVERAGE}


def _told(case: Case, made: Tried, outlook: Outlook) -> dict[str, Any]:
    choice, worth = outlook.choice, outlook.measured
    return {
        "series": case.name, "grid": case.grid.name, "horizon": outlook.horizon.name, "winner": choice.model,
        "is_fallback": choice.is_fallback, "reason": choice.reason, "origins": len(made.backtest.origins),
        "proved": choice.proof.relative if choice.proof and not choice.is_fallback else None,
        "mase": {name: each.mase for name, each in choice.scores.items()},
        "relative": {name: each.relative for name, each in choice.scores.items()},
        "coverage": worth.coverage, "samples": worth.samples, **_against(case, made, outlook),
    }  # fmt: skip


def _against(case: Case, made: Tried, outlook: Outlook) -> dict[str, Any]:
    """What was forecast of the future against what came of it."""
    band = made.grid.band(outlook.horizon)
    actual = case.comes[band]
    if outlook.path is None or not len(actual):
        return {"came": None, "came_inside": None}
    low, middle, high = outlook.path
    season = _season(case, made, len(case.comes))[band]
    rival = float(np.abs(actual - season).mean())
    return {
        "came": float(np.abs(actual - middle).mean()) / rival if rival else None,
        "came_inside": float(((low <= actual) & (actual <= high)).mean()),
    }


def _season(case: Case, made: Tried, steps: int) -> Floats:
    from pipeline.controls.forecast import season_of, seasonal_naive

    return seasonal_naive(case.values, season_of(case.values, made.grid.seasons), steps)


def _drawn(case: Case, made: Tried) -> dict[str, Any]:
    bands = [each.path for each in made.outlooks if each.path is not None]
    paths = [np.concatenate([band[index] for band in bands]).tolist() for index in range(3)]
    past = case.values[-10 * 24 :].tolist()
    season = _season(case, made, len(case.comes)).tolist()
    return {"past": past, "came": case.comes.tolist(), "paths": paths, "season": season}


COLUMNS = ["", "ahead", *COLOURS, "used", "proved", "MASE", "inside"]


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """Lay the table out: errors of each model in those of last season's values, by all origins."""
    return [
        [
            label(each), each["horizon"], *(_two(each["relative"].get(name)) for name in COLOURS),
            "last season" if each["is_fallback"] else each["winner"], _two(each["proved"]),
            _two(each["mase"].get(each["winner"])),
            _percent(each["coverage"]),
        ]
        for each in result["forecasts"]
    ]  # fmt: skip


def label(found: Mapping[str, Any]) -> str:
    """Name a series and its steps."""
    step_s = {grid.name: grid.step_s for grid in (TENS, FIRST_MINUTES, MINUTES, HOURS)}[found["grid"]]
    step = f"{step_s} s" if step_s < 60 else f"{step_s // 60} min" if step_s < HOUR else "1 h"
    return f"{found['series']}, {step}".replace(" ", "\N{NO-BREAK SPACE}")


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def wrong(result: Mapping[str, Any]) -> str:
    """Say which series is forecast by a model that did not beat last season's values."""
    bad = [
        f"{each['series']} {each['horizon']}"
        for each in result["forecasts"]
        if not each["is_fallback"] and not (each["proved"] is not None and each["proved"] < 1)
    ]
    return f"used without proof: {', '.join(bad)}" if bad else ""


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Draw errors of each model, coverage, and one forecast with what came."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    height = 0.24 * len(result["forecasts"])
    drawn = pyplot.figure(figsize=(11, height + 4.4), layout="constrained")
    grid = drawn.add_gridspec(2, 2, height_ratios=(height, 3.6), width_ratios=(3, 1))
    left = drawn.add_subplot(grid[0, 0])
    _plot_errors(left, result["forecasts"])
    _plot_coverage(drawn.add_subplot(grid[0, 1], sharey=left), result["forecasts"])
    if result["drawn"]:
        _plot_forecast(drawn.add_subplot(grid[1, :]), result["drawn"])
    report.finish(drawn, path)


def _plot_errors(axes: Any, found: Sequence[Mapping[str, Any]]) -> None:
    places = np.arange(len(found))[::-1]
    for name, colour in COLOURS.items():
        errors = [each["relative"].get(name) or np.nan for each in found]
        axes.scatter(np.clip(errors, 0.2, 2.0), places, s=16, color=colour, label=name, zorder=2)
    used = [1.0 if each["is_fallback"] else each["relative"][each["winner"]] for each in found]
    axes.scatter(used, places, s=70, facecolors="none", edgecolors="black", label="used", zorder=3)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_yticks(places, [f"{label(each)}, {each['horizon']} ahead" for each in found], fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(0.19, 2.1)
    axes.set_xticks([0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0], ["0.2", "0.3", "0.5", "0.7", "1", "1.4", "2 or more"])
    axes.minorticks_off()
    axes.grid(axis="y", color="#eeeeee", zorder=0)
    axes.set_xlabel("error on rolling origins, in errors of last season's values")
    axes.set_title("Forecasts: left of 1 is closer than last season again", loc="left")
    axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.07), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _plot_coverage(axes: Any, found: Sequence[Mapping[str, Any]]) -> None:
    places = np.arange(len(found))[::-1]
    shares = [np.nan if each["coverage"] is None else each["coverage"] for each in found]
    axes.axvline(NOMINAL_COVERAGE, color=report.GOAL, linewidth=0.8)
    axes.scatter(shares, places, s=18, color=report.OURS)
    axes.tick_params(labelleft=False)
    axes.set_xlim(0, 1.05)
    axes.set_xlabel("within q10 .. q90; 0.8 is meant")
    axes.set_title("Coverage", loc="left")
    axes.grid(axis="y", color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)


def _plot_forecast(axes: Any, drawn: Mapping[str, Any]) -> None:
    before, low = np.arange(-len(drawn["past"]), 0) / 24, drawn["paths"][0]
    after = np.arange(len(low)) / 24
    axes.plot(before, drawn["past"], color="#555555", linewidth=0.9)
    axes.fill_between(after, low, drawn["paths"][2], color=report.OURS, alpha=0.25, linewidth=0, label="q10 .. q90")
    axes.plot(after, drawn["paths"][1], color=report.OURS, linewidth=1.4, label="q50")
    axes.plot(after, drawn["season"][: len(low)], color=report.THEIRS, linewidth=1.0, label="last season again")
    axes.plot(after, drawn["came"][: len(low)], color="#555555", linewidth=0.9, label="what was, and came")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("days from the forecast on")
    axes.set_ylabel("requests/s")
    axes.set_title(f"{SHOWN}: a week ahead, by the hour", loc="left")
    axes.legend(fontsize=7, loc="upper left", ncols=4, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
