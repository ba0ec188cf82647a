"""`burnline slo diff` and `burnline slo schema`: what a change of files does, and what editors need to know."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.slo_output import counted, print_json, print_problems
from pipeline.spec import load, presets
from pipeline.spec.json_schema import json_schema, written

Place = Annotated[Path, typer.Argument(exists=True, help="SLO file or directory")]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")]


def diff(
    old: Place,
    new: Place,
    history: Annotated[
        bool, typer.Option("--history", help="ask ClickHouse what the last window comes to under old and new rules")
    ] = False,
    instances: Annotated[
        int, typer.Option(min=1, max=1000, help="with --history: how many instances to play for alerts, worst first")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Say what a change of SLO files does to counts, budgets, windows and alerts; with --history, would have done."""
    from pipeline.spec.difference import differences  # it asks what the judge's kernels keep

    before, after = load([old]), load([new])
    problems = (*before.problems, *after.problems)
    if problems:
        print_problems(problems, to_stderr=True)
        raise typer.Exit(1)
    found = differences(before, after)
    told = []
    if history:
        from pipeline.commands.slo_history import answers, print_answers

        told = answers(before, after, found, instances)
    if as_json:
        past = {"history": [each.as_dict() for each in told]} if history else {}
        print_json({"differences": [each.as_dict() for each in found], **past})
        return
    for each in found:
        typer.echo(f"{each.name}: {each.kind}: {each.meaning}")
        for change in each.changes:
            typer.echo(f"  {change}")
    typer.echo(f"{counted(len(found), 'SLO')} differ{'s' if len(found) == 1 else ''}")
    if history:
        print_answers(told)


def schema(as_json: Json = False) -> None:
    """Print the JSON schema of SLO files, for editors; it is shipped as schemas/slo.schema.json."""
    if as_json:
        print_json(json_schema(presets()))
    else:
        typer.echo(written(presets()), nl=False)
