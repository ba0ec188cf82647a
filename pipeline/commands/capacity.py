"""`burnline capacity`: how many requests in flight an endpoint takes while every SLO keeps its target.

Asked of the events that are kept whole, judged by the SLO files that are here: it needs ClickHouse and no worker.
"""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.screen import harmless, screen
from pipeline.commands.status import Json, ask, or_exit, print_json, shown
from pipeline.commands.tables import Table
from pipeline.commands.usable import spec_of, usable
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.controls.capacity import Capacity, CapacitySpec
    from pipeline.controls.signal import Signal
    from pipeline.slo import Objective

COLOURS = {"measured": "green", "at_least": "cyan", "unmet": "red", "unknown": "dim"}


def capacity(
    service: Annotated[str | None, typer.Argument(help="which service; without it, all that SLOs are about")] = None,
    model: Annotated[str, typer.Option(help="only of this model")] = "",
    variant: Annotated[str, typer.Option(help="only of this variant")] = "",
    window: Annotated[str, typer.Option(help="look at so much time until now, such as 6h; as the controls do")] = "",
    bins: Annotated[bool, typer.Option("--bins", help="show what every load does to every SLO")] = False,
    as_json: Json = False,
) -> None:
    """Say how many requests in flight one endpoint takes while every SLO keeps its target, and what room is left.

    Of each service, model and variant: the highest load at which the lower bound of every SLO's compliance is at its
    target. measured: a greater load breaks one; at_least: no greater load was met; unmet: some SLO is kept at no load;
    unknown: too few events are kept whole (BURNLINE_EVENTS_ARCHIVE), or producers do not send adm_running.

    \b
    burnline capacity
    burnline capacity chat --model llama-3.3-70b --bins
    burnline capacity --json | jq '.[] | select(.inputs.headroom_ratio < 0) | .model'
    """
    from pipeline.controls.capacity import capacities
    from pipeline.controls.headroom import NAME, step

    spec, objectives = _spec(window), _objectives(service)
    found, missing = _rows(spec, objectives)
    found = [row for row in found if model in {"", row["model"]} and variant in {"", row["variant"]}]
    signals = [] if bins else step(spec, {}, {NAME: found}, time.time_ns() // 1000)
    if bins:
        _bins(spec, found, [each for each in capacities(spec, found) if variant in {"", each.variant}], as_json)
    elif as_json:
        print_json([each.columns for each in signals])
    else:
        screen().print(_table(signals) if signals else "[dim]no data: no event that is kept has adm_running[/dim]")
    for part, why in missing.items():
        typer.echo(harmless(f"of {part} nothing is known: {why}"), err=True)
    if missing:
        raise typer.Exit(1)


def _rows(spec: "CapacitySpec", objectives: "list[Objective]") -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Ask of every service; return what is answered, and why of a service nothing is, while others are answered.

    Raises: typer.Exit with 1, after saying why, when nothing is answered.
    """
    from pipeline.controls.headroom import NAME
    from pipeline.controls.headroom import ask as questions
    from pipeline.controls.questions import answers

    missing: dict[str, str] = {}
    with or_exit():
        found = answers(
            questions(spec, objectives, 0), lambda each: ask(each.sql, **each.values),
            lambda part, error: missing.update({part: str(error)}),
        )  # fmt: skip
    return [dict(row) for row in found.get(NAME, ())], missing


def _spec(window: str) -> "CapacitySpec":
    """What the controls of this site look at, over a window of one's own."""
    from dataclasses import replace

    from pipeline.controls.capacity import CapacitySpec
    from pipeline.controls.files import seconds
    from pipeline.controls.headroom import NAME
    from pipeline.spec.problems import Refused

    found = spec_of(NAME)
    assert isinstance(found, CapacitySpec)
    try:
        return replace(found, window_s=seconds(window)) if window else found
    except Refused as refused:
        raise typer.BadParameter(f"{window!r} {refused.rule} -> {refused.remedy}", param_hint="--window") from refused


def _objectives(service: str | None) -> "list[Objective]":
    from pipeline.controls.headroom import is_judged
    from pipeline.spec import load

    home = Settings().slo_dir
    with usable(f"the SLOs of {home}"):
        known = [each.objective for each in load([home]).checked().told.values()] if home.is_dir() else []
    found = [each for each in known if is_judged(each) and service in {None, each.service}]
    if not found:
        about = f"about {service!r}" if service else "that judges single requests"
        services = ", ".join(dict.fromkeys(each.service for each in known)) or "none"
        raise typer.BadParameter(f"no SLO of {home} is {about} -> set BURNLINE_SLO_DIR; services: {services}")
    return found


def _table(signals: "list[Signal]") -> Table:
    table = Table("service", "model", "variant", "state", title="in flight at one endpoint", title_justify="left")
    for name in ("capacity", "likely", "broken at", "peak", "headroom", "now", "most load", "2x lasts", "requests/s"):
        table.add_column(name, justify="right")
    table.add_column("limited by")
    for each in signals:
        told, colour = each.inputs, COLOURS[each.state]
        most, lasts = told.get("sustained_ratio"), told.get("burst_2x_s")
        forever = "for ever" if most is not None and most >= 2 else shown(None)
        table.add_row(
            each.service, each.model, each.scope or "any", f"[{colour}]{each.state}[/{colour}]",
            *(shown(_whole(told.get(name))) for name in ("capacity", "capacity_likely", "broken_at", "peak")),
            shown(told.get("headroom_ratio"), "percent"), shown(told.get("now")), shown(most, "factor"),
            forever if lasts is None else f"{lasts:,.1f} s", shown(told.get("rps_per_endpoint")),
            each.details["limited_by"] or each.details["unmet"] or "-",
        )  # fmt: skip
    return table


def _whole(figure: float | None) -> int | None:
    return None if figure is None else round(figure)


def _bins(spec: "CapacitySpec", found: list[dict[str, Any]], told: "list[Capacity]", as_json: bool) -> None:
    """Show every bin of every SLO: its interval of compliance."""
    from pipeline.controls.capacity import intervals

    listed = [
        {"service": each.service, "model": each.model, "variant": each.variant, **row}
        for each in told
        for row in intervals(spec, found, (each.service, each.model, each.variant))
    ]
    if as_json:
        print_json(listed)
        return
    table = Table("model", "variant", "SLO", "target")
    for name in ("in flight", "events", "compliance at least", "at most"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in listed:
        word = "kept" if row["least"] >= row["target"] else "broken" if row["most"] < row["target"] else ""
        colour = {"kept": "green", "broken": "red"}.get(word)
        table.add_row(
            row["model"], row["variant"] or "any", row["slo"], f"{row['target']:.3%}",
            f"{row['in_flight_least']}-{row['in_flight_most']}", f"{row['kept']:,.0f}", f"{row['least']:.3%}",
            f"{row['most']:.3%}", f"[{colour}]{word}[/{colour}]" if colour else word,
        )  # fmt: skip
    screen().print(table)
