"""The command around `feeding`: options in, a progress bar, a table or JSON out."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.pacing import PaceError, parse_time_us, stop_on_interrupt
from pipeline.settings import Settings
from pipeline.topics import EVENTS, topic_name

if TYPE_CHECKING:  # imported when it runs: other commands start without it
    from jobs.drain.feeding import Report
    from jobs.drain.letters import Choice


def command(
    reason: Annotated[
        list[str] | None,
        typer.Option(help="only letters of this reason, a word of the view dead_letters; may be repeated"),
    ] = None,
    since: Annotated[str | None, typer.Option(help="only letters put aside then or later; ISO 8601, UTC")] = None,
    until: Annotated[str | None, typer.Option(help="only letters put aside before")] = None,
    topic: Annotated[
        str | None, typer.Option(help="only letters that came from this topic; this site's inference.events when unset")
    ] = None,
    max_redrives: Annotated[
        int, typer.Option(min=1, help="leave a letter that was fed again so many times and could not be used")
    ] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count by reason, feed nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Feed dead letters into inference.events again, after a fix. Each exactly once, however often this runs."""
    from confluent_kafka import KafkaException

    from jobs.drain.feeding import DrainFailed, said
    from jobs.drain.letters import Choice
    from pipeline.dead_letters import REASONS

    settings = Settings()
    names = sorted(name for name, _ in REASONS.values())
    if unknown := sorted(set(reason or ()) - set(names)):
        raise typer.BadParameter(f"{', '.join(unknown)}: use some of {', '.join(names)}", param_hint="--reason")
    try:
        since_ms, until_ms = (None if text is None else parse_time_us(text) // 1000 for text in (since, until))
    except PaceError as error:
        raise typer.BadParameter(str(error)) from error
    choice = Choice(
        topic or topic_name(settings, EVENTS),
        frozenset(reason or ()),
        since_ms or 0,
        1 << 62 if until_ms is None else until_ms,
        max_redrives,
    )
    try:
        report = _run(settings, choice, dry_run)
    except (DrainFailed, KafkaException) as error:
        why = said(error.args[0]) if isinstance(error, KafkaException) else str(error)
        typer.echo(f"burnline drain-dead-letters: {why}", err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps(vars(report) | {"dry_run": dry_run}) if as_json else in_words(report, dry_run))
    if report.stopped:
        raise typer.Exit(1)


def _run(settings: Settings, choice: "Choice", dry_run: bool) -> "Report":
    from jobs.drain.feeding import Drain

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with stop_on_interrupt() as stop, Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("looking", total=None)
        drain = Drain(
            settings,
            choice,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )
        return drain.run(stop, dry_run)


def in_words(report: "Report", dry_run: bool) -> str:
    """Say what was done, a line each."""
    verb, fed = ("would be fed again", report.by_reason.total()) if dry_run else ("fed again", report.fed)
    lines = [f"{fed:,} of {report.letters:,} letters {verb}" + (", then stopped as asked" if report.stopped else "")]
    lines += [f"  {reason}: {count:,}" for reason, count in report.by_reason.most_common()]
    lines += [f"left, {why}: {count:,}" for why, count in sorted(report.left.items())]
    return "\n".join(lines)
