"""`burnline simulate`: the fleet, at a pace, into Kafka, with the exact truth beside.

The shell around jobs.fleet: it has the clock and the producer, the fleet has neither.
"""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.event_sink import EventSink, KafkaEventSink, ListEventSink
from jobs.fleet import Fleet, FleetSpec, Scenario, ScenarioError, Truth, load_scenario
from jobs.fleet.catalogue import MODELS
from jobs.fleet.incidents import duration_us
from jobs.pacing import Pace, PaceError, parse_speed, parse_time_us, stop_on_interrupt
from pipeline.settings import Settings
from pipeline.slo import Objective
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


def _spec(options: dict[str, Any], scenario: Scenario) -> SimulationSpec:
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


def simulate(
    rate: Annotated[float | None, typer.Option(help="events a second, averaged over a day [default: 1000]")] = None,
    models: Annotated[str | None, typer.Option(help="how many of the catalogue, or names with commas")] = None,
    tenants: Annotated[int | None, typer.Option(help="how many [default: 20]", min=1)] = None,
    seed: Annotated[int, typer.Option(help="same seed, same events")] = 0,
    scenario: Annotated[str, typer.Option(help="a scenario file, or the name of a shipped one")] = "healthy",
    start: Annotated[str | None, typer.Option(help="event time to begin at [default: so that it ends now]")] = None,
    duration: Annotated[str | None, typer.Option(help="of event time: 10m, 1h30m [default: until Ctrl-C]")] = None,
    speed: Annotated[str, typer.Option(help="real, full, or compressed: x60")] = "real",
    truth: Annotated[Path | None, typer.Option(help="write the exact truth into this directory")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="make events, send nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")] = False,
) -> None:
    """Simulate an inference fleet: seeded traffic and incidents into Kafka."""
    options = {"rate": rate, "models": models, "tenants": tenants, "seed": seed, "duration": duration,
               "start": start, "speed": speed}  # fmt: skip
    settings = Settings()
    try:
        spec = _spec(options, load_scenario(scenario_path(scenario)))
    except (ScenarioError, PaceError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    known = Truth(_objectives(settings)) if truth else None
    sink: EventSink = ListEventSink(keep=False) if dry_run else KafkaEventSink(settings)
    with stop_on_interrupt() as stop, _bar(spec) as show:
        report = run(spec, sink, known, show, stop)
    if known and truth:
        known.save(truth)
    _print(report, as_json)
    if report.failed:
        lost = getattr(sink, "first_error", "")
        typer.echo(f"{report.failed:,} events were not delivered: {lost}", err=True)
        raise typer.Exit(1)


def _objectives(settings: Settings) -> tuple[Objective, ...]:
    """SLOs of the configured directory, if there is one: the truth then has verdicts too."""
    if not settings.slo_dir.is_dir():
        return ()
    from pipeline.spec import load

    return load([settings.slo_dir]).checked().objectives


class _bar:  # noqa: N801  a context manager used as a function
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self, spec: SimulationSpec) -> None:
        self._spec = spec
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._progress.add_task("simulating", total=spec.duration_us, said="")

    def __enter__(self) -> Callable[[SimulationReport], None]:
        self._progress.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _show(self, report: SimulationReport) -> None:
        clock = datetime.fromtimestamp(report.end_us / 1e6, UTC)
        said = f"{clock:%Y-%m-%d %H:%M:%S}  {report.events:,} events  {report.events_per_s:,.0f}/s"
        self._progress.update(self._task, completed=report.end_us - self._spec.start_us, said=said)


def _print(report: SimulationReport, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    first, last = (datetime.fromtimestamp(us / 1e6, UTC) for us in (report.start_us, report.end_us))
    typer.echo(
        f"{report.events:,} events ({report.bytes / 1e6:,.1f} MB) completed {first:%Y-%m-%d %H:%M:%S} to "
        f"{last:%Y-%m-%d %H:%M:%S} UTC, sent in {report.elapsed_s:,.1f} s: "
        f"{report.events_per_s:,.0f} events/s"
    )
