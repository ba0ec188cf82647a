"""`burnline slo`: validate, lint, show, test, compare and write SLO files; correct time that does not count.

Exit codes: 0 nothing wrong, 1 problems (of `lint`, warnings too; of `test`, failures), 2 usage.
"""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from pipeline.commands.seen import seen
from pipeline.commands.slo_correct import correct, corrections, withdraw
from pipeline.commands.slo_diff import diff, schema
from pipeline.commands.slo_output import counted, print_json, print_problems
from pipeline.commands.slo_plot import detection_plot
from pipeline.commands.slo_rehearse import test
from pipeline.commands.status import rows
from pipeline.commands.tables import Table
from pipeline.settings import Settings
from pipeline.sli import METRICS
from pipeline.spec import Problem, Slo, SloSet, load, parse, presets, scalars
from pipeline.spec.detection import bad_share, budget_spent, exhaustion_s, firing_ratio
from pipeline.spec.explanation import explained, percent, story, told_timings
from pipeline.spec.lint import lint as warnings_of
from pipeline.spec.problems import Refused
from pipeline.spec.scalars import duration_text, fraction, written
from pipeline.spec.seen import unseen
from pipeline.spec.template import template

app = typer.Typer(no_args_is_help=True, help="Check, explain, test, compare and write SLO files; correct.")
for command in (test, diff, schema, correct, withdraw, corrections):
    app.command()(command)

Paths = Annotated[
    list[Path] | None,
    typer.Argument(exists=True, help="SLO files or directories of them; BURNLINE_SLO_DIR when none is given"),
]
SloOption = Annotated[
    list[Path] | None,
    typer.Option("--slo", exists=True, help="SLO file or directory; BURNLINE_SLO_DIR when not given"),
]
ErrorRatios = Annotated[
    list[str] | None,
    typer.Option("--error-ratio", help="share of bad requests to tell times for, such as 0.15; repeatable"),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")]


def read(paths: Sequence[Path] | None) -> SloSet:
    """Load the files named, or those of the settings."""
    return load(paths or [Settings().slo_dir])


@app.command()
def validate(paths: Paths = None, as_json: Json = False) -> None:
    """Check SLO files: every problem at once, each with its place, its rule and what to do."""
    found = read(paths)
    if as_json:
        print_json(_checked(found, []))
    else:
        print_problems(found.problems)
        print_problems(found.unmeasured, "note: ")
        typer.echo(_summary(found, counted(len(found.problems), "problem")), err=bool(found.problems))
    if found.problems:
        raise typer.Exit(1)


@app.command()
def lint(
    paths: Paths = None,
    against_seen: Annotated[
        bool,
        typer.Option("--seen", help="also warn of services, labels and metrics that no event of the last days had"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check SLO files, and warn of what works but is likely to disappoint."""
    found = read(paths)
    warnings = warnings_of(found)
    if against_seen:
        warnings += unseen(found, seen(lambda sql: [tuple(row.values()) for row in rows(sql)]))
    if as_json:
        print_json(_checked(found, warnings))
    else:
        print_problems(found.problems)
        print_problems(warnings, "warning: ")
        told = f"{counted(len(found.problems), 'problem')}, {counted(len(warnings), 'warning')}"
        typer.echo(_summary(found, told), err=bool(found.problems or warnings))
    if found.problems or warnings:
        raise typer.Exit(1)


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="name of an SLO; all of them when not given")] = None,
    slo: SloOption = None,
    error_ratio: ErrorRatios = None,
    as_json: Json = False,
) -> None:
    """Explain SLOs: budget, windows and factors in force, and how long alerts take to fire and to clear."""
    ratios = [_error_ratio(text) for text in error_ratio or ()]
    found = read(slo)
    if found.problems:
        print_problems(found.problems, to_stderr=True)
        raise typer.Exit(1)
    if name is not None and name not in found.told:
        _fail_unknown(name, found)
    chosen = tuple(found.told.values()) if name is None else (found.told[name],)
    if as_json:
        print_json([explained(each, ratios) for each in chosen])
        return
    print_problems(found.unmeasured if name is None else (), "note: ", to_stderr=True)
    console = Console()
    for each in chosen:
        console.rule(each.name, align="left")
        console.print("\n".join(story(each)), markup=False, highlight=False)
        console.print(_pairs_table(each), _timings_table(each, ratios))
        console.print(detection_plot(each, console.width), markup=False, highlight=False)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="name of the SLO, such as chat-ttft")],
    metric: Annotated[str, typer.Option(help=f"one of {', '.join(METRICS)}")] = "error_rate",
    service: Annotated[str, typer.Option(help="service of the events")] = "chat",
    target: Annotated[str, typer.Option(help="ratio such as 0.99; typical for the metric when not given")] = "",
    threshold: Annotated[str, typer.Option(help="with a unit, such as 500ms; typical when not given")] = "",
    team: Annotated[str, typer.Option(help="who answers for it")] = "",
    output: Annotated[Path | None, typer.Option(help="file to write; SLO_DIR/NAME.yaml when not given")] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="print the file, write nothing")] = False,
    as_json: Json = False,
) -> None:
    """Write a commented SLO file to start from. Never overwrites."""
    _check("NAME", name, scalars.name)
    _check("--metric", metric, scalars.metric)
    _check("--service", service, scalars.word)
    _check("--target", target, scalars.target, may_be_empty=True)
    _check("--threshold", threshold, scalars.duration, may_be_empty=True)
    _check("--team", team, scalars.word, may_be_empty=True)
    text = template(name, metric, service, target, threshold, team)
    for problem in parse({"": text.encode()}, presets()).problems:  # right alone, wrong together
        raise typer.BadParameter(f"{problem.path} {problem.value}: {problem.rule} -> {problem.remedy}")
    if stdout:
        typer.echo(json.dumps({"text": text}) if as_json else text, nl=as_json)
        return
    path = output or Settings().slo_dir / f"{name}.yaml"
    _write_new(path, text)
    if as_json:
        print_json({"file": str(path)})
    else:
        typer.echo(f"wrote {path}; read it with `burnline slo show {name} --slo {path}`")


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        typer.echo(f"{path} was not written: {error.strerror}", err=True)
        raise typer.Exit(1) from error


def _check(option: str, text: str, reader: scalars.Read, may_be_empty: bool = False) -> None:
    if not text and may_be_empty:
        return
    try:
        reader(text)
    except Refused as refused:
        raise typer.BadParameter(f"{text!r} {refused.rule} -> {refused.remedy}", param_hint=option) from refused


def _error_ratio(text: str) -> Fraction:
    _check("--error-ratio", text, scalars.share)
    ratio = fraction(scalars.share(text))
    if not ratio:
        raise typer.BadParameter("0 never fires anything", param_hint="--error-ratio")
    return ratio


def _fail_unknown(name: str, found: SloSet) -> NoReturn:
    elsewhere = [problem for problem in found.unmeasured if problem.value == name]
    if elsewhere:
        print_problems(elsewhere, to_stderr=True)
        raise typer.Exit(1)
    meant = scalars.nearest(name, found.told)
    known = f"did you mean {meant}?" if meant else f"there are {scalars.listed(found.told)}"
    typer.echo(f"no SLO is named {name}; {known}", err=True)
    raise typer.Exit(1)


def _pairs_table(slo: Slo) -> Table:
    table = Table(title=f"Window pairs, {slo.preset or 'its own'}", title_justify="left")
    for column in ("severity", "burn rate", "long and", "short", "share of bad", "budget spent"):
        table.add_column(column, justify="left" if column == "severity" else "right")
    for pair in slo.policy.pairs:
        needed = firing_ratio(slo.objective.target, pair)
        spent = budget_spent(pair, slo.objective.window_us)
        table.add_row(
            pair.severity.name.lower(), f">= {written(fraction(pair.factor))}", duration_text(pair.long_us),
            duration_text(pair.short_us), f">= {percent(needed)}", f"{float(spent):.2%}",
        )  # fmt: skip
    return table


def _timings_table(slo: Slo, error_ratios: Sequence[Fraction]) -> Table:
    table = Table(title="Fires after / clears after", title_justify="left")
    table.add_column("bad", justify="right")
    for pair in slo.policy.pairs:
        table.add_column(f"{pair.severity.name.lower()} {written(fraction(pair.factor))}x", justify="right")
    table.add_column("budget gone", justify="right")
    for timing in told_timings(slo, error_ratios):
        cells = (
            "never" if fires is None or clears is None else f"{_seconds(fires)} / {_seconds(clears)}"
            for fires, clears in zip(timing.detection_s, timing.reset_s, strict=True)
        )
        table.add_row(percent(timing.error_ratio), *cells, _gone(slo, timing.error_ratio))
    return table


def _gone(slo: Slo, error_ratio: Fraction) -> str:
    """Say how long a whole budget lasts, and at which burn rate."""
    share = bad_share(slo.objective.timeslices, error_ratio)
    if not share:
        return "never"
    seconds = exhaustion_s(slo.objective.target, slo.objective.window_us, share)
    rate = float(share / (1 - fraction(slo.objective.target)))
    return f"{_seconds(seconds)} at {rate:,.3g}x"


def _seconds(seconds: int) -> str:
    return duration_text(seconds * 1_000_000)


def _summary(found: SloSet, told: str) -> str:
    files = {slo.source.file for slo in found.slos} | {each.file for each in (*found.problems, *found.unmeasured)}
    others = f", {counted(found.others, 'other OpenSLO object')}" if found.others else ""
    others += f", {counted(len(found.corrections), 'correction')}" if found.corrections else ""
    others += f", {counted(len(found.composites), 'composite')}" if found.composites else ""
    files |= {each.source.file for each in found.corrections} | {each.source.file for each in found.composites}
    return f"{counted(len(found.slos), 'good SLO')} in {counted(len(files), 'file')}{others}: {told}"


def _checked(found: SloSet, warnings: Sequence[Problem]) -> dict[str, Any]:
    return {
        "ok": not found.problems,
        "slos": [{"name": slo.name, "file": slo.source.file, "line": slo.source.line} for slo in found.told.values()],
        "problems": [problem.as_dict() for problem in found.problems],
        "warnings": [warning.as_dict() for warning in warnings],
        "unmeasured": [problem.as_dict() for problem in found.unmeasured],
        "corrections": [{"name": c.name, "file": c.source.file, "line": c.source.line} for c in found.corrections],
    }
