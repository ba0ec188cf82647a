"""`burnline produce FILE`: a recorded trace into Kafka, at its own pace, compressed or at once.

The shell around jobs.traces. Events keep their distances; by default they are moved in time as a whole, to
end now (or, in real time, to begin now). A worker counts events of any age, but ClickHouse keeps 10 s slices for
8 days and 1 min slices for 40, and an alert is only judged of seconds that the watermark has not passed.
"""

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from jobs.event_sink import EventSink, KafkaEventSink, ListEventSink
from jobs.pacing import Pace, PaceError, parse_speed, parse_time_us, stop_on_interrupt
from jobs.traces import MappingError, Reject, read_events
from jobs.traces.rows import TraceError
from pipeline.encoding import EventColumns
from pipeline.settings import Settings

CHUNK_EVENTS = 20_000
REJECTS_SHOWN = 20
MOVED = ("received_at", "completed_at", "emitted_at")


@dataclass
class ReplayReport:
    """What a replay did."""

    events: int = 0
    rejects: int = 0
    sent: int = 0
    failed: int = 0
    start_us: int = 0  # event time of the first and the last event, as sent
    end_us: int = 0
    elapsed_s: float = 0.0
    stopped: bool = False
    reject_reasons: dict[str, int] = field(default_factory=dict)


def in_order(events: EventColumns) -> EventColumns:
    """Sort by completion, as a live producer would send."""
    return events.take(np.argsort(events["completed_at"], kind="stable"))


def moved(events: EventColumns, by_us: int) -> EventColumns:
    """Move all events in time by as much."""
    shifted = {name: events[name] + by_us for name in MOVED}
    return EventColumns({**events.columns, **shifted})


def replay(
    events: EventColumns,
    sink: EventSink,
    speed: float | None = None,
    on_progress: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> ReplayReport:
    """Send events, which are in the order of completion, each no earlier than it is due."""
    stop = stop or threading.Event()
    report = ReplayReport(events=len(events))
    if len(events):
        at = events["completed_at"]
        report.start_us, report.end_us = int(at[0]), int(at[-1])
        pace = Pace(report.start_us, speed)
        for first, last in _chunks(at, pace.step_us):
            if pace.wait(int(at[last - 1]), stop):
                report.stopped = True
                break
            sink.send(events.take(slice(first, last)))
            if on_progress is not None:
                on_progress(last)
        sink.flush()
        report.elapsed_s = pace.elapsed_s
    report.sent, report.failed = sink.sent, sink.failed
    return report


def _chunks(at: NDArray[np.int64], step_us: int | None) -> list[tuple[int, int]]:
    """Cut into stretches of a step of event time, none larger than CHUNK_EVENTS."""
    edges = np.arange(0, len(at), CHUNK_EVENTS)
    if step_us is not None:
        steps = at // step_us
        edges = np.union1d(edges, np.flatnonzero(steps[1:] != steps[:-1]) + 1)
    cuts = [*edges.tolist(), len(at)]
    return list(pairwise(cuts))


def _shift_us(events: EventColumns, start: str, speed: float | None) -> int:
    """Return how far events are moved: `auto` lets them end now, or begin now in real time."""
    at = events["completed_at"]
    if start == "original" or not len(at):
        return 0
    if start == "auto":
        return parse_time_us("now") - int(at[0] if speed == 1.0 else at[-1])
    return parse_time_us(start) - int(at[0])


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
    try:
        factor = parse_speed(speed)
        events, refused = read_events(file, mapping, limit)
        events = in_order(events)
        events = moved(events, _shift_us(events, start, factor))
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


def _reasons(refused: Sequence[Reject]) -> dict[str, int]:
    """Count rejects by column: reasons hold values, columns are few."""
    return dict(Counter(reject.column or "(row)" for reject in refused))


def _tell(file: Path, refused: Sequence[Reject], target: Path | None) -> None:
    for reject in refused[:REJECTS_SHOWN]:
        column = f"{reject.column}: " if reject.column else ""
        typer.echo(f"{file}:{reject.line}: {column}{reject.reason}", err=True)
    if len(refused) > REJECTS_SHOWN:
        typer.echo(f"... and {len(refused) - REJECTS_SHOWN:,} more rows; --rejects FILE keeps all", err=True)
    if target is not None:
        lines = (json.dumps(asdict(reject)) + "\n" for reject in refused)
        target.write_text("".join(lines), encoding="utf-8")


def _print(report: ReplayReport, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    typer.echo(
        f"{report.sent:,} of {report.events:,} events sent in {report.elapsed_s:,.1f} s, "
        f"{report.rejects:,} rows rejected"
    )
