"""What forecasts are made of, asked of ClickHouse: loads by step, changes, budgets, and how far all that is known.

Law: a step in which nothing happened is 0, and one in which nothing was measured is nan. The two look the same where
they are stored; silence of everything where there was traffic a day before is taken for the second.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.forecast.regressors import Change
from jobs.forecast.trying import DAY, HOURS, MINUTES, Series
from pipeline.controls.forecast import Floats, Grid
from pipeline.controls.questions import sql_of
from pipeline.controls.signal import Signal

Ask = Callable[..., list[dict[str, Any]]]
Row = Mapping[str, Any]
SILENT_REQUESTS = 20  #: so many were to be expected, and none came: nothing was measured
QUANTITIES = {
    "load": ("requests", "requests/s", False),
    "tokens": ("tokens", "tokens", True),
    "cost": ("cost", "USD", True),
}  #: name -> column, unit, whether it adds up until a horizon
USD = 1e12  #: pico-USD


class Known(NamedTuple):
    """How far everything is stored, in event time, and how old that is."""

    until_s: int
    age_s: float


@dataclass(frozen=True)
class Budget:
    """An SLO instance, and what was counted of it each hour."""

    slo: str
    instance: str
    service: str
    target: float
    window: int | None  # hours that a rolling window has; None: one of a calendar
    left: int | None  # hours until the period of a calendar ends
    start_hour: int  # of the counts
    eligible: Floats
    bad: Floats
    remaining_ratio: float
    in_window: int  # of the last hours of the counts


def sql(name: str) -> str:
    """Return the SQL of a file."""
    return sql_of(f"controls/forecast_{name}")


def known(ask: Ask) -> Known | None:
    """Ask how far everything is known; None: nothing is."""
    (row,) = ask(sql("known"))
    return None if row["known_s"] is None else Known(row["known_s"], row["age_s"])


def loads(ask: Ask, grid: Grid, until_s: int) -> list[dict[str, Any]]:
    """Ask for the loads of every service and model on a grid; of several vantages, of the one that reports most."""
    tier = "sli_1h" if grid.step_s % 3600 == 0 else "sli_1m"
    end = until_s // grid.step_s
    start = end - grid.history
    found = ask(sql("load"), tier=tier, step_s=grid.step_s, start_s=start * grid.step_s, end_s=end * grid.step_s)
    most: dict[tuple[str, str], dict[str, Any]] = {}
    for row in found:  # the greatest come first
        most.setdefault((row["service"], row["model"]), row)
    return list(most.values())


def changes(ask: Ask, start_s: int) -> dict[str, list[Change]]:
    """Ask for the changes of every service."""
    found: dict[str, list[Change]] = defaultdict(list)
    for row in ask(sql("changes"), start_s=start_s):
        found[row["service"]].append(
            Change(row["kind"], row["name"], row["at_us"], row["until_us"], row["told_us"], row["model"])
        )
    return found


def last(ask: Ask) -> dict[str, Signal]:
    """Ask for the forecasts that were published last, by their keys."""
    found = [Signal.read(row) for row in ask(sql("last"))]
    return {each.key: each for each in found}


def series(
    rows: Sequence[Row], chosen: Iterable[Row], grid: Grid, until_s: int, quantities: Iterable[str]
) -> Iterator[Series]:
    """Lay the chosen of all rows out on the grid, each from its first whole step on."""
    start = until_s // grid.step_s - grid.history
    silent = silence(_laid(rows, "requests", start, grid.history), max(DAY // grid.step_s, 1))
    for row in chosen:
        seen_from = min(row["steps"]) + 1 - start  # what it began in was not whole
        for quantity in quantities:
            column, unit, is_total = QUANTITIES[quantity]
            values = _laid([row], column, start, grid.history)
            if values.any():  # what is never told, such as a cost, is not 0
                values = values / (grid.step_s if quantity == "load" else USD if quantity == "cost" else 1.0)
                values[silent] = np.nan
                start_us = (start + seen_from) * grid.step_s * 1_000_000
                yield Series(row["service"], row["model"], quantity, unit, start_us, values[seen_from:], is_total)


def is_young(row: Row, until_s: int) -> bool:
    """Tell whether there are no days of a series to look back on: the nearest horizons then want steps of a minute."""
    return until_s // MINUTES.step_s - int(min(row["steps"])) < MINUTES.least + 3 * MINUTES.steps


def _laid(rows: Iterable[Row], column: str, start: int, length: int) -> Floats:
    values = np.zeros(length)
    for row in rows:
        np.add.at(values, np.array(row["steps"], np.int64) - start, np.array(row[column], np.float64))
    return values


def silence(requests: Floats, day: int) -> NDArray[np.bool_]:
    """Tell where nothing at all was measured: nothing came, where as many steps whole days before had a good deal."""
    is_silent = np.zeros(len(requests), np.bool_)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], requests == 0, [0]]).astype(np.int8)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        before = math.ceil((end - start) / day) * day
        usual = requests[start - before : end - before].sum() if start >= before else requests.mean() * (end - start)
        is_silent[start:end] = usual >= SILENT_REQUESTS
    return is_silent


def budgets(ask: Ask, until_s: int, service: str, most: int) -> list[Budget]:
    """Ask for the SLO instances that have the least of their budgets left."""
    end = until_s // 3600
    start = end - HOURS.history
    rows = ask(sql("budgets"), start_s=start * 3600, end_s=end * 3600, service=service, most=most)
    return [_budget(row, start) for row in rows]


def _budget(row: Row, start: int) -> Budget:
    first = max(min(row["steps"]), start)
    end = start + HOURS.history
    good, bad = (_laid([row], name, first, end - first) for name in ("good", "bad"))
    spanned_s = row["window_end_s"] - row["window_start_s"]
    is_rolling = abs(spanned_s - row["window_s"]) < 60
    left = None if is_rolling else max((row["window_start_s"] + row["window_s"] - end * 3600) // 3600, 0)
    return Budget(
        row["slo"], row["instance"], row["service"], row["target"],
        math.ceil(row["window_s"] / 3600) if is_rolling else None, left, first, good + bad, bad, row["remaining_ratio"],
        min(math.ceil((end * 3600 - row["window_start_s"]) / 3600), end - first),
    )  # fmt: skip
