"""A simulation: the fleet, at a pace, into a sink, with the exact truth beside.

The shell around jobs.fleet: it has the clock, the fleet has none. The command is jobs.simulate.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.event_sink import EventSink
from jobs.fleet import Fleet, FleetSpec, Scenario, Truth
from jobs.fleet.catalogue import MODELS
from jobs.fleet.incidents import duration_us
from jobs.pacing import Pace, PaceError, parse_speed, parse_time_us
from schemas import HOME

CHUNK_EVENTS = 20_000  #: at full speed; a paced run sends every tenth of a second


@dataclass(frozen=True)
class SimulationSpec:
    """A run. With a compressed or full speed, pick `start_us` so that event time ends no later than now."""

    fleet: FleetSpec
    seed: int
    start_us: int
    duration_us: int | None = None  # None: until stopped
    speed: float | None = 1.0  # None: full


@dataclass
class SimulationReport:
    """What a run did."""

    events: int = 0
    bytes: int = 0
    failed: int = 0
    start_us: int = 0
    end_us: int = 0  # events completed in [start_us, end_us) were sent
    elapsed_s: float = 0.0
    events_per_s: float = 0.0
    stopped: bool = False


def run(
    spec: SimulationSpec,
    sink: EventSink,
    truth: Truth | None = None,
    on_progress: Callable[[SimulationReport], None] | None = None,
    stop: threading.Event | None = None,
) -> SimulationReport:
    """Send the fleet's events to a sink; return once they have all arrived, or when told to stop.

    Law: the sink has exactly the events of [report.start_us, report.end_us), and so has the truth.
    """
    stop = stop or threading.Event()
    fleet, pace = Fleet(spec.fleet, spec.seed), Pace(spec.start_us, spec.speed)
    step_us = pace.step_us or _full_speed_step_us(spec.fleet, fleet.cell_us)
    end_us = None if spec.duration_us is None else spec.start_us + spec.duration_us
    report = SimulationReport(start_us=spec.start_us, end_us=spec.start_us)
    at = spec.start_us
    while end_us is None or at < end_us:
        until = _next_edge(at, step_us) if end_us is None else min(_next_edge(at, step_us), end_us)
        events = fleet.events(at, until)
        if pace.wait(until, stop):
            report.stopped = True
            break
        sink.send(events)
        if truth is not None:
            truth.add(events)
        at = until
        _count(report, sink, at, pace)
        if on_progress is not None:
            on_progress(report)
    sink.flush()
    _count(report, sink, at, pace)
    return report


def _next_edge(at: int, step_us: int) -> int:
    """Return the next multiple of the step: whole cells are drawn once."""
    return (at // step_us + 1) * step_us


def _full_speed_step_us(fleet: FleetSpec, cell_us: int) -> int:
    return max(int(CHUNK_EVENTS / fleet.rate * 1e6) // cell_us, 1) * cell_us


def _count(report: SimulationReport, sink: EventSink, at: int, pace: Pace) -> None:
    report.events, report.bytes, report.failed, report.end_us = sink.sent, sink.sent_bytes, sink.failed, at
    report.elapsed_s = pace.elapsed_s
    report.events_per_s = report.events / max(report.elapsed_s, 1e-9)


def scenario_path(name: str) -> Path:
    """Find a scenario: a file, or the name of a shipped one."""
    given = Path(name)
    return given if given.suffix in {".yaml", ".yml"} else HOME / "scenarios" / f"{name}.yaml"


def spec_of(options: dict[str, Any], scenario: Scenario) -> SimulationSpec:
    """Options over the scenario file over defaults."""
    asked = scenario.fleet
    count = options["models"] or asked.get("models") or len(MODELS)
    names = [m.name for m in MODELS][: int(count)] if str(count).isdigit() else _listed(count)
    length = duration_us(options["duration"]) if options["duration"] else scenario.duration_us
    speed = parse_speed(options["speed"])
    now = parse_time_us("now")
    started = parse_time_us(options["start"]) if options["start"] else now - (length or 0) * (speed != 1.0)
    if speed != 1.0 and length is None:
        raise PaceError("compressed and full speed need a --duration")
    if speed != 1.0 and started + (length or 0) > now + 1_000_000:
        raise PaceError("event time would end in the future; choose an earlier --start or a shorter --duration")
    fleet = FleetSpec(
        rate=float(options["rate"] or asked.get("rate") or 1000.0),
        models=tuple(names),
        tenants=int(options["tenants"] or asked.get("tenants") or 20),
        incidents=scenario.incidents,
        zero_us=started,
    )
    return SimulationSpec(fleet, options["seed"], started, length, speed)


def _listed(names: Any) -> list[str]:
    return names.split(",") if isinstance(names, str) else list(names)
