"""`burnline slo diff` and `burnline slo schema`: what a change of files does, and what editors need to know."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.slo_output import counted, print_json, print_problems
from pipeline.spec import load, presets
from pipeline.spec.difference import differences
from pipeline.spec.json_schema import json_schema, written

Place = Annotated[Path, typer.Argument(exists=True, help="SLO file or directory")]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")]


def diff(old: Place, new: Place, as_json: Json = False) -> None:
    """Say what a change of SLO files does to counts, budgets, windows and alerts."""
    before, after = load([old]), load([new])
    problems = (*before.problems, *after.problems)
    if problems:
        print_problems(problems, to_stderr=True)
        raise typer.Exit(1)
    found = differences(before, after)
    if as_json:
        print_json({"differences": [each.as_dict() for each in found]})
        return
    for each in found:
        typer.echo(f"{each.name}: {each.kind}: {each.meaning}")
        for change in each.changes:
            typer.echo(f"  {change}")
    typer.echo(f"{counted(len(found), 'SLO')} differ{'s' if len(found) == 1 else ''}")


def schema(as_json: Json = False) -> None:
    """Print the JSON schema of SLO files, for editors; it is shipped as schemas/slo.schema.json."""
    if as_json:
        print_json(json_schema(presets()))
    else:
        typer.echo(written(presets()), nl=False)
