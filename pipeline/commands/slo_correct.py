"""`burnline slo correct`, `withdraw` and `corrections`: time that does not count, put in force, taken back, listed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands import status
from pipeline.commands.screen import screen
from pipeline.commands.slo_output import counted, print_json, print_problems
from pipeline.commands.tables import Table
from pipeline.settings import Settings
from pipeline.spec import SloSet, load, scalars
from pipeline.spec.correction_versions import Step, Version, steps, withdrawn
from pipeline.spec.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST_SQL = """\
SELECT correction, version, is_in_force, state, reason, who, recorded_at, times, selects, length(starts) AS ranges,
       known_until, source
FROM corrections WHERE is_in_force OR {all:UInt8} ORDER BY correction, version"""

Paths = Annotated[
    list[Path] | None,
    typer.Argument(exists=True, help="files of corrections or directories; BURNLINE_SLO_DIR when none is given"),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would become of each, and record nothing")]


def correct(
    paths: Paths = None,
    prune: Annotated[bool, typer.Option("--prune", help="withdraw what is in force and in none of the files")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put the corrections of files in force: rows in ClickHouse, from which views say compliance with and without.

    Workers do so with what is in BURNLINE_SLO_DIR, at each change of it; this is for files elsewhere, and for --prune.
    The second time nothing changes, but that maintenance that recurs is written out further ahead.
    """
    if prune and paths:
        raise typer.BadParameter("looks at all of BURNLINE_SLO_DIR: give no files with it", param_hint="--prune")
    found = _read(paths)
    if found.problems:
        print_problems(found.problems, to_stderr=True)
        raise typer.Exit(1)
    now = datetime.now(UTC)
    with _writer() as (latest, settle):
        if dry_run:
            done = steps(found.corrections, latest(), now, prune)
        else:
            done = settle(lambda known: steps(found.corrections, known, now, prune))
    _print(done, as_json, dry_run)


def withdraw(
    name: Annotated[str, typer.Argument(help="name of the correction")],
    who: Annotated[str, typer.Option(help="who says so")],
    reason: Annotated[str, typer.Option(help="why this time counts again")],
    as_json: Json = False,
) -> None:
    """Withdraw a correction: its time counts again, and its trace stays. Its document alone does not bring it back."""
    for option, text in (("--who", who), ("--reason", reason)):
        try:
            scalars.word(text)
        except Refused as refused:
            raise typer.BadParameter(f"{text!r} {refused.rule} -> {refused.remedy}", param_hint=option) from refused

    def decide(known: Mapping[str, Version]) -> list[Step]:
        last = known.get(name)
        if last is None or not last.is_in_force:
            _fail_unknown(name, last is not None, [each for each in known if known[each].is_in_force])
        return [withdrawn(known[name], who, reason, datetime.now(UTC))]

    with _writer() as (_, settle):
        done = settle(decide)
    _print(done, as_json, False)


def corrections(
    every: Annotated[bool, typer.Option("--all", help="former versions and withdrawn ones too")] = False,
    as_json: Json = False,
) -> None:
    """List the corrections in force: when, of what, why and who says so."""
    found = status.rows(LIST_SQL, all=int(every))
    if as_json:
        status.print_json(found)
        return
    table = Table("correction", "version", "state", "times", "selects", "reason", "who", "recorded", "known until")
    for row in found:
        state = row["state"].lower() if row["is_in_force"] or row["state"] != "APPLIED" else "replaced"
        until = status.shown(row["known_until"]) if row["known_until"] else "-"
        table.add_row(
            row["correction"], str(row["version"]), state, row["times"], row["selects"], row["reason"], row["who"],
            status.shown(row["recorded_at"]), until,
        )  # fmt: skip
    screen().print(table)


def _read(paths: Sequence[Path] | None) -> SloSet:
    """Read files, and those of the settings beside them, so that names of SLOs can be looked up."""
    home = Settings().slo_dir
    if not paths:
        return load([home])
    wanted = [path.resolve() for path in paths]
    found = load(dict.fromkeys([*wanted, home.resolve()] if home.is_dir() else wanted))

    def is_wanted(file: str) -> bool:
        return any(Path(file).is_relative_to(path) for path in wanted)

    return SloSet(
        problems=tuple(each for each in found.problems if is_wanted(each.file)),
        corrections=tuple(each for each in found.corrections if is_wanted(each.source.file)),
    )


@contextmanager
def _writer() -> "Iterator[tuple[Callable[..., Any], Callable[..., Any]]]":
    """Connect as the writer: `latest`, `settle`. Say in a line why that does not go, and exit with 1."""
    from pipeline.sinks import corrections
    from pipeline.sinks.clickhouse import FAILURES, client, translated

    connection = client(Settings())
    try:
        yield partial(corrections.latest, connection), partial(corrections.settle, connection)
    except corrections.Overtaken as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except FAILURES as error:
        typer.echo(f"{translated(error)}\n  -> `burnline doctor` says what is wrong with the set-up", err=True)
        raise typer.Exit(1) from error
    finally:
        connection.disconnect()


def _fail_unknown(name: str, is_known: bool, in_force: Sequence[str]) -> None:
    meant = scalars.nearest(name, in_force)
    known = f"did you mean {meant}?" if meant else f"in force are {scalars.listed(in_force) or 'none'}"
    said = "is withdrawn already" if is_known else f"is no correction; {known}"
    typer.echo(f"{name} {said}", err=True)
    raise typer.Exit(1)


def _print(done: Sequence[Step], as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json([{"correction": each.correction, "what": each.what, **_version(each)} for each in done])
        return
    for each in done:
        typer.echo(f"{each.correction} {each.text}")
    written = counted(sum(each.row is not None for each in done), "version")
    typer.echo(f"{counted(len(done), 'correction')}: {written} {'to record' if dry_run else 'recorded'}")


def _version(step: Step) -> dict[str, Any]:
    """What is recorded of it, for machines."""
    row = step.row
    return {"version": None} if row is None else {"version": row.version, "ranges": len(row.starts)}
