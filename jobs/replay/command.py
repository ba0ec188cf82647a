"""The command around `swapping`: a range in, a progress bar, a table or JSON out."""

import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from jobs.pacing import PaceError, parse_time_us, stop_on_interrupt
from pipeline.commands.tables import Table
from pipeline.settings import Settings

if TYPE_CHECKING:  # imported when it runs: other commands start sooner
    from collections.abc import Callable

    from jobs.replay.swapping import Report
    from pipeline.records import RecordBlock

HOUR_US = 3_600_000_000


def whole_hours(start: str, end: str, now_us: int) -> tuple[int, int]:
    """Read a range and widen it to whole hours, of which the coarsest table is made.

    Raises: PaceError.
    """
    from_us, to_us = parse_time_us(start) // HOUR_US * HOUR_US, -(-parse_time_us(end) // HOUR_US) * HOUR_US
    if from_us >= to_us:
        raise PaceError("--to must be later than --from")
    if to_us > now_us:
        raise PaceError(
            f"--to, widened to the whole hour {in_words(to_us)}, is not over yet: what still comes cannot be compared"
        )
    return from_us, to_us


def command(
    start: Annotated[str, typer.Option("--from", help="begin of the range, event time; ISO 8601, UTC")],
    end: Annotated[str, typer.Option("--to", help="end of the range; it is widened to whole hours")],
    apply: Annotated[bool, typer.Option("--apply", help="replace what differs by what was recomputed")] = False,
    wait_s: Annotated[float, typer.Option(help="how long to wait for the store to be as far as the log")] = 120.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be read, recompute nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Recompute a range of event time from the log and compare it with what is stored; swap only with --apply."""
    from jobs.replay.source import ReplayFailed
    from pipeline.app import SetupFailed
    from pipeline.commands.worker import compile_kernels
    from pipeline.sinks.clickhouse import FAILURES, Refused, Unavailable, said

    try:
        from_us, to_us = whole_hours(start, end, time.time_ns() // 1000)
    except PaceError as error:
        raise typer.BadParameter(str(error)) from error
    settings = Settings()
    try:
        compile_kernels(settings)
        answer = run(settings, from_us, to_us, apply, wait_s, dry_run)
    except (ReplayFailed, SetupFailed, Unavailable, Refused) as error:
        typer.echo(f"burnline replay: {error}", err=True)
        raise typer.Exit(1) from error
    except FAILURES as error:
        typer.echo(f"burnline replay: {said(error)}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(answer if isinstance(answer, dict) else as_object(answer)))
    elif isinstance(answer, dict):
        typer.echo("\n".join(f"{name}: {value}" for name, value in answer.items()))
    else:
        show(answer)


def run(
    settings: Settings, from_us: int, to_us: int, apply: bool, wait_s: float, dry_run: bool,
    rewrite: "Callable[[RecordBlock], RecordBlock] | None" = None,
    check: "Callable[[Report], None]" = lambda report: None,
) -> "Report | dict[str, Any]":  # fmt: skip
    """Replay with a progress bar.

    `rewrite`: what to make of blocks before they count; `check` raises ReplayFailed for what must not be swapped.
    """
    import asyncio

    from jobs.replay.swapping import Replay
    from pipeline.app import parts_of

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with stop_on_interrupt() as stop, Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("looking", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        replay = Replay(parts_of(settings), from_us, to_us, progress, rewrite)
        try:
            if dry_run:
                spans = asyncio.run(replay.spans())
                return {"from": in_words(from_us), "to": in_words(to_us), "dry_run": True, "offsets": spans}
            report = asyncio.run(replay.compare(wait_s, stop))
            check(report)
            return asyncio.run(replay.swap(wait_s, stop)) if apply and not report.is_equal else report
        finally:
            replay.close()


def in_words(moment_us: int) -> str:
    return f"{datetime.fromtimestamp(moment_us / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}"


def as_object(report: "Report") -> dict[str, Any]:
    """The report for machines."""
    found = asdict(report)
    times = {"from": in_words(found.pop("from_us")), "to": in_words(found.pop("to_us"))}
    return {**times, "is_equal": report.is_equal, **found}


def show(report: "Report") -> None:
    """The report for people."""
    console = Console()
    title = f"{in_words(report.from_us)} to {in_words(report.to_us)}: {report.records:,} records read"
    table = Table("table", "slices", "different", "missing", "extra", "stored", "recomputed", title=title)
    for each in report.tables:
        sums = (
            ", ".join(f"{name} {n:,}" for name, n in list(side.items())[:3]) for side in (each.stored, each.recomputed)
        )
        numbers = (each.slices, each.different, each.missing, each.extra)
        table.add_row(each.table, *(f"{n:,}" for n in numbers), *sums)
    console.print(table)
    for each in report.tables:
        for example in each.examples[:3]:
            console.print(f"{each.table}: {', '.join(example)}", markup=False)
    if report.swapped:
        console.print(f"swapped, and equal now: {', '.join(report.swapped)}")
    elif report.is_equal:
        console.print("what is stored is what the log gives; nothing to swap")
    else:
        console.print("nothing was changed; --apply replaces what differs")
