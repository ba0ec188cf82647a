"""`burnline slo test`: streams in a file through the real judge, and what was expected of them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.slo_output import counted, print_json, print_problems
from pipeline.settings import Settings
from pipeline.spec import SloSet, load, presets
from pipeline.spec.document import BYTES_MAX

if TYPE_CHECKING:  # the judge and its kernels, imported when a test runs: other commands start without them
    from pipeline.rehearsal import Played, Rehearsal, Suite


def test(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="files of tests")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Test SLOs: event series in, the alerts and the status they must give out, judged as a worker would."""
    results = [(file, _suite(file)) for file in files]
    told = [_told(file, rehearsal) for file, suite in results for rehearsal in suite.rehearsals]
    problems = [problem for _, suite in results for problem in suite.problems]
    is_ok = not problems and all(each["ok"] for each in told)
    if as_json:
        print_json({"ok": is_ok, "tests": told, "problems": [problem.as_dict() for problem in problems]})
    else:
        print_problems(problems)
        for each in told:
            _print(each)
        failed = sum(not each["ok"] for each in told)
        typer.echo(f"{counted(len(told), 'test')}: {counted(failed, 'failure')}, {counted(len(problems), 'problem')}")
    if not is_ok:
        raise typer.Exit(1)


def _suite(file: Path) -> "Suite":
    """Read a file of tests; the SLO files it names are beside it, and those of the settings when it names none."""
    from pipeline.rehearsal import read

    def find(names: tuple[str, ...]) -> SloSet:
        return load([file.parent / name for name in names] or [Settings().slo_dir])

    with file.open("rb") as stream:
        return read(str(file), stream.read(BYTES_MAX + 1), presets(), find)


def _told(file: Path, rehearsal: "Rehearsal") -> dict[str, Any]:
    from pipeline.rehearsal import failures, play

    played = play(rehearsal)
    differing = failures(rehearsal, played)
    return {
        "file": str(file), "name": rehearsal.name, "slo": rehearsal.watched.objective.name, "ok": not differing,
        "failures": differing, "alerts": [asdict(each) for each in played.told],
        "status": [{**asdict(each), "burn_rates": dict(each.burn_rates)} for each in played.seen],
        "came": _came(played),
    }  # fmt: skip


def _came(played: "Played") -> list[str]:
    from pipeline.rehearsal.comparing import said

    return [said(each) for each in played.told]


def _print(told: dict[str, Any]) -> None:
    typer.echo(f"{'ok  ' if told['ok'] else 'FAIL'}  {told['name']}")
    for failure in told["failures"]:
        typer.echo(f"      {failure}")
    if not told["ok"]:
        typer.echo(f"      what came: {', '.join(told['came']) or 'no alert'}")
