"""`burnline simulate`: the command around jobs.simulation.

What it needs is imported when it runs, so that other commands start without it.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.pacing import PaceError, stop_on_interrupt
from pipeline.settings import Settings

if TYPE_CHECKING:
    from jobs.event_sink import EventSink
    from jobs.simulation import SimulationReport, SimulationSpec
    from pipeline.slo import Objective


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
    from jobs.event_sink import KafkaEventSink, ListEventSink
    from jobs.fleet import ScenarioError, Truth, load_scenario
    from jobs.simulation import run, scenario_path, spec_of

    options = {"rate": rate, "models": models, "tenants": tenants, "seed": seed, "duration": duration,
               "start": start, "speed": speed}  # fmt: skip
    settings = Settings()
    try:
        spec = spec_of(options, load_scenario(scenario_path(scenario)))
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


def _objectives(settings: Settings) -> "tuple[Objective, ...]":
    """SLOs of the configured directory, if there is one: the truth then has verdicts too."""
    if not settings.slo_dir.is_dir():
        return ()
    from pipeline.spec import load

    return load([settings.slo_dir]).checked().objectives


class _bar:  # noqa: N801  a context manager used as a function
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self, spec: "SimulationSpec") -> None:
        self._spec = spec
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._progress.add_task("simulating", total=spec.duration_us, said="")

    def __enter__(self) -> "Callable[[SimulationReport], None]":
        self._progress.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _show(self, report: "SimulationReport") -> None:
        clock = datetime.fromtimestamp(report.end_us / 1e6, UTC)
        said = f"{clock:%Y-%m-%d %H:%M:%S}  {report.events:,} events  {report.events_per_s:,.0f}/s"
        self._progress.update(self._task, completed=report.end_us - self._spec.start_us, said=said)


def _print(report: "SimulationReport", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    first, last = (datetime.fromtimestamp(us / 1e6, UTC) for us in (report.start_us, report.end_us))
    typer.echo(
        f"{report.events:,} events ({report.bytes / 1e6:,.1f} MB) completed {first:%Y-%m-%d %H:%M:%S} to "
        f"{last:%Y-%m-%d %H:%M:%S} UTC, sent in {report.elapsed_s:,.1f} s: "
        f"{report.events_per_s:,.0f} events/s"
    )
