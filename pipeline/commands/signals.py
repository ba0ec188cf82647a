"""`burnline signals`: what controls publish for scalers, routers and pipelines, and what of it has expired."""

import time
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Group

from pipeline.commands.screen import screen
from pipeline.commands.status import Json, Seen, ask, or_exit, print_json, question, watching
from pipeline.commands.tables import Table
from pipeline.controls.signal import NAMES, UNKNOWN
from pipeline.delivery.words_figures import lasting

COLUMNS = ("service", "model", "signal", "scope", "says", "value", "why", "decided", "holds")
NOTHING = "[dim]no signal: no control has published one that fits; `burnline doctor` says what is wrong[/dim]"


def signals(
    service: Annotated[str, typer.Argument(help="of this service; of all when left out")] = "",
    model: Annotated[str, typer.Option(help="of this model, and what is said of all models of its service")] = "",
    name: Annotated[str, typer.Option(help=f"only these: {', '.join(NAMES)}")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="look again and again, until Ctrl-C")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.5, help="seconds between two looks of --watch")] = 2.0,
    as_json: Json = False,
) -> None:
    """What controls say now: capacity, scaling, forecasts, shedding, quotas, gates, cost. Burnline acts on none of it.

    A signal is in force until it expires; what has expired says nothing any more, and is dim. A value that is not known
    is null, never 0.

    \b
    burnline signals                       all that is published
    burnline signals chat --model llama    of one model, and of its service
    burnline signals --name scale --watch  again and again, until Ctrl-C
    burnline signals chat --json | jq '.[] | select(.is_expired | not) | {name, state, value}'
    """
    if name and name not in NAMES:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(NAMES)}", param_hint="--name")
    look = partial(_look, service, model, name)
    with or_exit():
        if watch:
            watching(look, partial(time.sleep, every_s), as_json, page)
            return
        found = look()
    print_json(found.rows) if as_json else screen().print(page(found))


def _look(service: str, model: str, name: str) -> Seen:
    return Seen(ask(question("signals"), service=service, model=model, name=name))


def page(seen: Seen) -> Group:
    """Lay out rows of the view signals for people."""
    if not seen.rows:
        return Group(NOTHING)
    table = Table(*COLUMNS, spare=("decided", "holds", "scope"))
    for row in seen.rows:
        table.add_row(*_cells(row), style="dim" if row["is_expired"] or row["state"] == UNKNOWN else "")
    return Group(table)


def _cells(row: dict[str, Any]) -> list[str]:
    left_s = (row["expires_at"] - row["evaluated_at"]).total_seconds() - row["age_s"]
    said = row["state"].replace("_", " ")
    unit = f"({row['unit']})" if row["unit"][:1].isdigit() else row["unit"]  # a legend: 0 open, 1 caution, 2 frozen
    value = "-" if row["value"] is None else f"{row['value']:,.4g} {unit}".strip()
    return [
        row["service"], row["model"] or "all", row["name"], row["scope"] or "-", said, value, row["reason"],
        f"{lasting(row['age_s'])} ago", "expired" if row["is_expired"] else lasting(max(left_s, 0.0)),
    ]  # fmt: skip
