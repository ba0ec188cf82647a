"""`burnline produce FILE`: a recorded trace into Kafka, at its own pace, compressed or at once.

The command around jobs.playback. By default events are moved in time as a whole, to end now (or, in real time, to
begin now). A worker counts events of any age, but ClickHouse keeps 10 s slices for 8 days and 1 min slices for 40, and
an alert is only judged of seconds that the watermark has not passed.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from jobs.pacing import PaceError, parse_speed, stop_on_interrupt
from pipeline.settings import Settings

if TYPE_CHECKING:
    from jobs.event_sink import EventSink
    from jobs.playback import ReplayReport
    from jobs.traces import Reject

REJECTS_SHOWN = 20


def produce(
    file: Annotated[
        Path,
        typer.Argument(help="CSV or JSON lines (also .gz), Avro or Parquet", exists=True, dir_okay=False),
    ],
    mapping: Annotated[str, typer.Option(help="a mapping file, or the name of a shipped one")],
    speed: Annotated[str, typer.Option(help="real, a factor such as 60, or max")] = "max",
    start: Annotated[
        str,
        typer.Option(
            help="time of the first event; auto: so that the last one is now; original: as recorded, which may be "
            "older than what ClickHouse keeps (10 s slices: 8 days)"
        ),
    ] = "auto",
    limit: Annotated[int | None, typer.Option(help="at most so many events", min=0)] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="write rejected rows' line, column and reason, as JSON lines")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read and map, send nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Replay a recorded trace into Kafka through a mapping file."""
    from jobs.event_sink import KafkaEventSink, ListEventSink
    from jobs.playback import in_order, moved, replay, shift_us
    from jobs.traces import MappingError, read_events
    from jobs.traces.rows import TraceError

    try:
        factor = parse_speed(speed)
        events, refused = read_events(file, mapping, limit)
        events = in_order(events)
        events = moved(events, shift_us(events, start, factor))
    except (MappingError, PaceError) as error:
        raise typer.BadParameter(str(error)) from error
    except TraceError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    sink: EventSink = ListEventSink(keep=False) if dry_run else KafkaEventSink(Settings())
    with (
        stop_on_interrupt() as stop,
        Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar,
    ):
        task = bar.add_task(file.name, total=len(events))
        report = replay(events, sink, None if dry_run else factor, lambda n: bar.update(task, completed=n), stop)
    report.rejects, report.reject_reasons = len(refused), _reasons(refused)
    _tell(file, refused, rejects)
    _print(report, as_json)
    if report.failed:
        typer.echo(f"{report.failed:,} events were not delivered: {getattr(sink, 'first_error', '')}", err=True)
    if report.failed or (refused and not len(events)):
        raise typer.Exit(1)


def _reasons(refused: "Sequence[Reject]") -> dict[str, int]:
    """Count rejects by column: reasons hold values, columns are few."""
    return dict(Counter(reject.column or "(row)" for reject in refused))


def _tell(file: Path, refused: "Sequence[Reject]", target: Path | None) -> None:
    for reject in refused[:REJECTS_SHOWN]:
        column = f"{reject.column}: " if reject.column else ""
        typer.echo(f"{file}:{reject.line}: {column}{reject.reason}", err=True)
    if len(refused) > REJECTS_SHOWN:
        typer.echo(f"... and {len(refused) - REJECTS_SHOWN:,} more rows; --rejects FILE keeps all", err=True)
    if target is not None:
        lines = (json.dumps(asdict(reject)) + "\n" for reject in refused)
        target.write_text("".join(lines), encoding="utf-8")


def _print(report: "ReplayReport", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    typer.echo(
        f"{report.sent:,} of {report.events:,} events sent in {report.elapsed_s:,.1f} s, "
        f"{report.rejects:,} rows rejected"
    )
