"""Finding all that is wanted: asks for what it takes, and forecasts series by series."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from jobs.forecast import asking
from jobs.forecast.calendars import Calendar, calendar_of
from jobs.forecast.renewing import renewed
from jobs.forecast.spending import Spending, spending
from jobs.forecast.telling import budget_signal, signals
from jobs.forecast.trying import FIRST_MINUTES, HOURS, MINUTES, Series, Tried, tried
from pipeline.controls.forecast import Grid
from pipeline.controls.signal import Signal

QUICK = ("trend",)  #: models for budgets, of which an SLO has one for each of its instances
STALE_S = 120.0  #: what is known so long ago says nothing of the next minutes


class Wanted(NamedTuple):
    """What is to be forecast, and how long that holds."""

    service: str
    model: str
    quantities: tuple[str, ...]
    most: int  # series of each grid
    budgets: int
    models: tuple[str, ...]
    ttl_s: float
    again_s: float  # models that were chosen so long ago are tried again
    zone: str = "UTC"  # of the site
    country: str = ""  # whose holidays it has; empty: none


class Found(NamedTuple):
    """What was forecast."""

    told: list[Signal]
    tried: list[Tried]
    budgets: list[Spending]


def find(ask: asking.Ask, wanted: Wanted, now_us: int, progress: Callable[[str, int, int], None]) -> Found | None:
    """Forecast. `progress` is told of what, how much of it is done, and of how much. None: nothing is stored."""
    known = asking.known(ask)
    if known is None:
        return None
    calendar = site_calendar(wanted.zone, wanted.country, known.until_s)
    changes = asking.changes(ask, known.until_s - HOURS.history * HOURS.step_s)
    last = asking.last(ask) if wanted.again_s > 0 else {}
    work = list(_series(ask, wanted, known))
    owed = asking.budgets(ask, known.until_s, wanted.service, wanted.budgets) if wanted.budgets else []
    found = Found([], [], [])
    for index, (series, grid) in enumerate(work):
        progress(f"{series.service} {series.model} {series.quantity}, {grid.name}", index, len(work) + len(owed))
        mine = [each for each in changes.get(series.service, ()) if each.model in {"", series.model}]
        told = renewed(series, grid, mine, last, wanted.again_s, now_us, wanted.ttl_s, calendar)
        if told is None:
            found.tried.append(tried(series, grid, mine, wanted.models, calendar))
            told = list(signals(found.tried[-1], now_us, wanted.ttl_s))
        found.told.extend(told)
    quick = tuple(name for name in wanted.models if name in QUICK)
    for index, budget in enumerate(owed, len(work)):
        progress(f"budget of {budget.slo} {budget.instance}", index, len(work) + len(owed))
        found.budgets.append(spending(budget, changes.get(budget.service, ()), quick, calendar))
        found.told.append(budget_signal(found.budgets[-1], now_us, wanted.ttl_s))
    return found


def site_calendar(zone: str, country: str, until_s: int) -> Calendar:
    """The site's calendar over all that is looked back at, and ahead to: days are the site's own."""
    reach_s = (until_s - HOURS.history * HOURS.step_s, until_s + HOURS.steps * HOURS.step_s)
    first, last = (datetime.fromtimestamp(each, ZoneInfo(zone)).date() for each in reach_s)
    return calendar_of(zone, country, first, last)


def _series(ask: asking.Ask, wanted: Wanted, known: asking.Known) -> Iterator[tuple[Series, Grid]]:
    for grid in (MINUTES, FIRST_MINUTES, HOURS):
        if grid is not HOURS and known.age_s > STALE_S:
            continue
        rows = asking.loads(ask, grid, known.until_s)
        chosen = [row for row in rows if _is_wanted(row, wanted)][: wanted.most]
        if grid is MINUTES:
            young = {(row["service"], row["model"]) for row in chosen if asking.is_young(row, known.until_s)}
        if grid is not HOURS:
            chosen = [row for row in chosen if ((row["service"], row["model"]) in young) == (grid is FIRST_MINUTES)]
        for series in asking.series(rows, chosen, grid, known.until_s, wanted.quantities):
            yield series, grid


def _is_wanted(row: Mapping[str, Any], wanted: Wanted) -> bool:
    return wanted.service in {"", row["service"]} and wanted.model in {"", row["model"]}
