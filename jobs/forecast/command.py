"""The command around it: what is asked for in, forecasts on the terminal and signals in slo.signals out."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pipeline.commands.screen import harmless, screen
from pipeline.commands.status import Json, ask, print_json, shown
from pipeline.commands.tables import Table
from pipeline.settings import Settings

if TYPE_CHECKING:  # imported when it runs: other commands start without it
    from jobs.forecast.finding import Found
    from pipeline.controls.signal import Signal

TIMES_TTL = 3  #: a signal outlives two runs that fail
QUANTITIES, MODELS = "load,tokens,cost", "arima,mstl,trend,boosted"


def command(
    service: Annotated[str, typer.Option(help="only of this service")] = "",
    model: Annotated[str, typer.Option(help="only of this model")] = "",
    quantity: Annotated[str, typer.Option(help="of load, tokens and cost, those with commas between")] = QUANTITIES,
    most: Annotated[int, typer.Option(min=1, help="services and models, those with the most requests")] = 50,
    budgets: Annotated[int, typer.Option(min=0, help="SLO instances, those with the least budget left")] = 10,
    by: Annotated[str, typer.Option(help="models that are tried beside the naive ones")] = MODELS,
    every_s: Annotated[
        float, typer.Option("--every", min=1, help="seconds between two runs: signals hold for 3")
    ] = 900,
    again_s: Annotated[
        float, typer.Option("--try-every", min=0, help="seconds until all models are tried again; 0: now")
    ] = 86_400,
    plot: Annotated[bool, typer.Option("--plot", help="draw the past and what is forecast; tries all models")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="publish nothing")] = False,
    as_json: Json = False,
) -> None:
    """Forecast load, tokens, cost and budgets, from 5 minutes to a week ahead, and publish that as signals.

    Every model is tried on the past of each series; one is used where it beat last season's values, else these are.
    What was chosen is used for a day, by what is published; budgets are forecast by quick models alone. Days and weeks
    are those of the clock of BURNLINE_SITE_ZONE, and holidays those of BURNLINE_SITE_COUNTRY.

    \b
    burnline forecast --service chat --plot --dry-run
    burnline forecast --every 900              # from a timer, each 15 minutes
    burnline forecast --json --dry-run | jq '.[] | select(.quantity == "budget")'
    """
    quantities, models = _among("--quantity", quantity, QUANTITIES), _among("--by", by, MODELS)
    again_s = 0.0 if plot else again_s
    settings = Settings()
    site = (settings.site_zone, settings.site_country)
    found = _found(service, model, quantities, most, budgets, models, every_s * TIMES_TTL, again_s, *site)
    told = found.told
    if not dry_run:
        from pipeline.publishing import publish

        publish(settings, told)
    if as_json:
        from jobs.forecast.telling import rows

        print_json(rows(told))
        return
    screen().print(table(told))
    if plot:
        from jobs.forecast.drawing import drawn

        for each in found.tried:
            typer.echo(harmless(drawn(each)))
    said = "nothing was published" if dry_run else f"{len(told)} signals are in slo.signals"
    screen().print(f"[dim]{said}[/dim]")


def _among(option: str, text: str, known: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if wrong := [name for name in names if name not in known.split(",")]:
        raise typer.BadParameter(f"{wrong[0]!r} is none of {known.replace(',', ', ')}", param_hint=option)
    return names


def _found(*wanted: Any) -> "Found":
    from pipeline.sinks.clickhouse import Refused, Unavailable

    try:
        from jobs.forecast.calendars import UnknownCountry
        from jobs.forecast.finding import Wanted, find

        with _progress() as progress:
            found = find(ask, Wanted(*wanted), time.time_ns() // 1000, progress)
    except ModuleNotFoundError as error:
        _fail(f"forecasts need {error.name}: pip install 'burnline[forecast]'")
    except (Unavailable, Refused) as error:
        _fail(f"{error}\n  -> `burnline doctor` says what is wrong with the set-up")
    except UnknownCountry as error:
        _fail(str(error))
    if found is None:
        _fail("no data: nothing is stored yet; `burnline doctor` says whether anything is wrong")
    return found


def _fail(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("asking ClickHouse", total=None)
        yield lambda what, done, total: bar.update(
            task, description=harmless(what), completed=done, total=total or None
        )


def table(told: Sequence["Signal"]) -> Table:
    """Lay signals out for people."""
    made = Table(
        "service", "model", "what", "q10", "forecast", "q90", "unit", "by", "MASE", "vs naive", "inside", "why"
    )
    for each in told:
        low, high = (each.inputs.get(name) for name in ("q10", "q90"))
        if each.scope.startswith("budget:"):
            low, high = each.inputs.get("soonest_s"), each.inputs.get("latest_s")
        kind = "seconds" if each.unit == "s" else ""
        made.add_row(
            each.service, each.model or "-", each.scope, shown(low, kind), shown(each.value, kind), shown(high, kind),
            each.unit, each.details.get("model", "-"), _ratio(each, "mase"), _ratio(each, "relative_mae"),
            shown(each.confidence, "percent"), each.reason,
        )  # fmt: skip
    return made


def _ratio(signal: "Signal", name: str) -> str:
    return f"{signal.inputs[name]:.2f}" if name in signal.inputs else "-"
