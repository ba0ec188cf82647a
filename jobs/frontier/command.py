"""The command around it: rows of ClickHouse in, a table, JSON or a plot out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.screen import screen
from pipeline.commands.status import Json, print_json, rows, shown
from pipeline.commands.tables import Table
from pipeline.commands.usable import spec_of

if TYPE_CHECKING:  # imported when it runs: other commands start without it
    from pipeline.controls.frontier import FrontierSpec, Measure, Placed

COLOURS = {"on_frontier": "green", "dominated": "red", "undecided": "yellow", "breaking": "red", "thin": "dim"}


def command(
    service: Annotated[str, typer.Argument(help="which service; without it, all")] = "",
    model: Annotated[str, typer.Option(help="only of this model")] = "",
    latency: Annotated[str, typer.Option(help="whose P99 is compared: e2e, ttft or tpot; as the controls do")] = "",
    window: Annotated[str, typer.Option(help="look at so much time until now, such as 30d; as the controls do")] = "",
    plot: Annotated[
        Path | None, typer.Option(help="draw it into this file, .svg or .png; of several, numbered")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which configurations of each model and class nobody beats in cost, P99 and throughput.

    A configuration is a variant in an epoch of its knobs (`burnline change add --epoch`). Only what had enough traffic
    and keeps its objectives counts; what may be luck is called undecided. Of what runs: what the one who beats it would
    save, and what the next stricter and the next looser objective would cost.

    \b
    burnline frontier chat --plot frontier.svg
    burnline frontier chat --latency ttft --window 30d
    burnline frontier --json | jq '.[] | select(.is_running and .state == "dominated") | .saving_usd_a_month'
    """
    from pipeline.controls.frontier import groups, placed
    from pipeline.controls.placing import NAME, history_of
    from pipeline.controls.questions import files

    spec = _spec(service, latency, window)
    (question,) = files(NAME)(spec, [], 0)
    answer = [row for row in rows(question.sql, **question.values) if model in {"", row["model"]}]
    found = {group: placed(some, spec) for group, some in groups(map(history_of, answer)).items()}
    if plot is not None:
        _plots(found, spec, plot)
    if as_json:
        print_json([row for some in found.values() for row in told(some, spec)])
        return
    screen().print(*(_table(group, some, spec) for group, some in found.items()), sep="\n")
    if not found:
        screen().print("[dim]no data: no whole hour without a change was served[/dim]")


def _spec(service: str, latency: str, window: str) -> "FrontierSpec":
    """What the controls of this site look at, with options over it."""
    from pipeline.controls.files import seconds
    from pipeline.controls.frontier import FrontierSpec
    from pipeline.controls.placing import NAME
    from pipeline.spec.problems import Refused

    found = spec_of(NAME)
    assert isinstance(found, FrontierSpec)
    try:
        window_s = seconds(window) if window else found.window_s
        return replace(found, service=service, latency=latency or found.latency, window_s=window_s)
    except Refused as refused:
        raise typer.BadParameter(f"{refused.rule} -> {refused.remedy}", param_hint="--latency, --window") from refused


def told(found: "Sequence[Placed]", spec: "FrontierSpec") -> list[dict[str, Any]]:
    """One group as JSON says it; None: not known."""
    from pipeline.controls.frontier import is_running, steps
    from pipeline.controls.placing import figures, reason

    points = [each.point for each in found]
    rows_told = []
    for each in found:
        walk, config = steps(found, each), each.point.config
        rows_told.append({
            **config._asdict(), "state": each.state, "confidence": each.confidence, "basis": each.basis,
            "is_running": is_running(each.point, points, spec), "requests": each.point.requests,
            "beaten_by": each.by.label if each.by else None, "saving_ratio": each.saving_ratio,
            "cost_interval": _interval(each.point.cost), "p99_us_interval": _interval(each.point.p99_us),
            **figures(each, walk), "reason": reason(each, walk),
        })  # fmt: skip
    return rows_told


def _interval(measure: "Measure | None") -> list[float] | None:
    """Where a figure surely lies; None: nobody knows."""
    from math import isfinite

    return list(measure.span) if measure and isfinite(measure.error) else None


def _table(group: tuple[str, str, str], found: "Sequence[Placed]", spec: "FrontierSpec") -> Table:
    title = f"{' '.join(part for part in group if part)}: cost is {found[0].basis}"
    table = Table("configuration", "", "state", title=title, title_justify="left")
    for name in ("sure", "for 1k tokens", f"P99 {spec.latency}", "tokens/GPU s", "kept", "requests", "saves"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for row in told(found, spec):
        colour = COLOURS[row["state"]]
        table.add_row(
            f"{row['variant'] or 'default'}{'@' if row['epoch'] else ''}{row['epoch']}",
            "runs" if row["is_running"] else "", f"[{colour}]{row['state']}[/{colour}]",
            shown(row["confidence"], "percent"), _usd(row, "usd_per_1k_tokens"),
            shown(row.get("p99_us", 0) / 1000 if "p99_us" in row else None, "milliseconds"),
            shown(row.get("tokens_per_gpu_s")), shown(row.get("compliance_ratio"), "percent"),
            f"{row['requests']:,}", shown(row["saving_ratio"], "percent") if row["saving_ratio"] > 0 else "-",
            row["reason"],
        )  # fmt: skip
    return table


def _usd(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:.4g} USD" if name in row else shown(None)


def _plots(found: "Mapping[tuple[str, str, str], Sequence[Placed]]", spec: "FrontierSpec", path: Path) -> None:
    """Write one file a group."""
    try:
        from jobs.frontier.drawing import figure

        for number, (group, some) in enumerate(found.items(), 1):
            name = path if len(found) == 1 else path.with_stem(f"{path.stem}-{number}")
            title = " ".join(part for part in group if part).replace("$", r"\$")
            figure(some, title, spec.latency).savefig(name, metadata={"Date": None} if name.suffix == ".svg" else None)
            typer.echo(str(name), err=True)
    except ModuleNotFoundError as error:
        typer.echo(f"plots need {error.name}: pip install 'burnline[report]'", err=True)
        raise typer.Exit(1) from error
    except (OSError, ValueError) as error:
        typer.echo(f"{path} cannot be written: {error}", err=True)
        raise typer.Exit(1) from error
