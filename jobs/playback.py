"""A recorded trace played into a sink: its events in order, moved in time as a whole, each no earlier than it is due.

The shell around jobs.traces: it has the clock. The command is jobs.produce.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jobs.event_sink import EventSink
from jobs.pacing import Pace, parse_time_us
from pipeline.encoding import EventColumns

CHUNK_EVENTS = 20_000
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


def shift_us(events: EventColumns, start: str, speed: float | None) -> int:
    """Return how far events are moved: `auto` lets them end now, or begin now in real time."""
    at = events["completed_at"]
    if start == "original" or not len(at):
        return 0
    if start == "auto":
        return parse_time_us("now") - int(at[0] if speed == 1.0 else at[-1])
    return parse_time_us(start) - int(at[0])
