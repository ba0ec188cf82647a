"""The demo's course: servers, a worker, a day of history, an incident, a summary."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.live import Live

from jobs.demo import show
from jobs.demo.watch import SeenAlert, Watch
from jobs.event_sink import KafkaEventSink
from jobs.fleet import FleetSpec, load_scenario
from jobs.simulation import SimulationReport, SimulationSpec, run, scenario_path
from pipeline.commands.children import Worker, environment
from pipeline.embedded.site import Site
from pipeline.settings import Settings
from schemas import HOME

Seen = TypeVar("Seen")

MINUTE_US = 60_000_000
HISTORY_US = 24 * 60 * MINUTE_US
LIVE_US = 40 * MINUTE_US  #: as long as the scenario: 10 minutes healthy, 10 of incident, 20 of recovery
SPEED = 60.0
TENANTS = 1  #: few: a day of 10 s slices has a row for each series and slice
INCIDENT_SLO = "chat-errors"
PATIENCE_S = 60.0  #: a slow machine takes its time; what does not move for so long does not come

STORED_SQL = "SELECT sum(requests) FROM burnline.sli_1h"

SUMMARY = {
    "Compliance, error budget, and the burn rate over a day": (
        "SELECT slo, instance, bad, compliance_ratio AS compliance, target, budget_remaining_ratio AS budget_left,\n"
        "       exhaustion_burn_rate AS burn_rate\n"
        "FROM burnline.compliance INNER JOIN burnline.error_budget USING (slo, instance) ORDER BY slo, instance"
    ),
    "Latency by model over the whole day, from the sketches: P50, P95, P99": (
        "SELECT request_model, sum(requests) AS requests,\n"
        "       arrayMap(us -> if(isNaN(us), NULL, round(us / 1e6, 3)),\n"
        "                quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(ttft_state)) AS ttft_s,\n"
        "       arrayMap(us -> if(isNaN(us), NULL, round(us / 1e6, 3)),\n"
        "                quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(e2e_state)) AS e2e_s\n"
        "FROM burnline.sli_1h GROUP BY request_model ORDER BY request_model"
    ),
}


class DemoFailed(RuntimeError):
    """Something the demo promises did not happen."""


def play(console: Console, data_dir: Path, rate: float, seed: int, keep: bool) -> None:
    live_start_us = (time.time_ns() // 1000 - LIVE_US) // MINUTE_US * MINUTE_US
    incidents = load_scenario(scenario_path("error-burst")).incidents
    fleet = FleetSpec(rate=rate, tenants=TENANTS, incidents=incidents, zero_us=live_start_us)
    history = SimulationSpec(fleet, seed, live_start_us - HISTORY_US, HISTORY_US, None)
    with console.status("Starting Apache Kafka and ClickHouse, compiling kernels (cached from then on)"):
        warming = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "worker", "--warm"], env=_environment(data_dir)
        )
        site = Site(data_dir, slo_dir=HOME / "demo").start()
    try:
        _say_addresses(console, site)
        report = _produce_history(console, site.settings, history)
        with console.status("Waiting for the compiler"):
            if warming.wait():
                raise DemoFailed(f"kernels did not compile: exit code {warming.returncode}")
        workers = [_worker(site.settings, data_dir, steps) for steps in ("ingest,judge", "store,control")]
        try:
            addresses = [worker.ready()["http"] for worker in workers]
            _judge(console, site, workers, history, report)
            if keep:
                console.print(f"The same in a browser: [bold]{addresses[-1]}/[/bold]\nUp until Ctrl-C.")
                _go_on(site.settings, history)
            console.print("`burnline demo --keep` stays up at the end, with all of this in a browser.")
        finally:
            for worker in workers:
                worker.stop()
    except KeyboardInterrupt:
        console.print("Stopping.")
    finally:
        warming.kill()
        site.stop()


def _worker(settings: Settings, data_dir: Path, steps: str) -> Worker:
    """One process for what must be fast, one for ClickHouse: two cores are all the demo asks for."""
    return Worker(settings.model_copy(update={"steps": steps}), data_dir / "log" / f"{steps.replace(',', '-')}.log")


def _environment(data_dir: Path) -> dict[str, str]:
    return environment(Settings(data_dir=data_dir, slo_dir=HOME / "demo"))


def _say_addresses(console: Console, site: Site) -> None:
    for name, value in site.addresses.items():
        console.print(f"  [dim]{name.replace('_', ' '):>32}[/dim]  {value}", highlight=False, soft_wrap=True)


def _produce_history(console: Console, settings: Settings, history: SimulationSpec) -> SimulationReport:
    """Fill Kafka with a day of the fleet before the worker starts, so that its speed is seen alone."""
    with (
        console.status("Simulating a day of the fleet into Kafka") as status,
        KafkaEventSink(settings) as sink,
    ):
        report = run(
            history,
            sink,
            on_progress=lambda r: status.update(f"Simulating a day of the fleet into Kafka: {r.events:,} events"),
        )
    if report.failed:
        raise DemoFailed(f"{report.failed:,} events did not reach Kafka: {sink.first_error}")
    console.print(f"A day of the fleet is in Kafka: {report.events:,} events, {report.bytes / 1e6:,.0f} MB.")
    return report


def _judge(
    console: Console,
    site: Site,
    workers: list[Worker],
    history: SimulationSpec,
    produced: SimulationReport,
) -> None:
    watch = Watch(site.settings)
    try:
        _drain_history(console, watch, workers, produced.events)
        began, total = _play_live(console, watch, site.settings, history)
        _settle(watch, produced.events + total, history.start_us + HISTORY_US + LIVE_US)
        delays = {
            (a.record["dedup_key"], a.record["sequence"]): _delay_s(a, began, history.start_us + HISTORY_US)
            for a in watch.alerts
        }
        _summarise(console, site, watch, delays, produced.events + total)
        _check(watch)
    finally:
        watch.close()


def _drain_history(console: Console, watch: Watch, workers: list[Worker], events: int) -> None:
    with Live(console=console, refresh_per_second=8, transient=True) as view:
        while watch.ingested < events:
            watch.poll(0.1)
            view.update(show.live("A day of history through the pipeline, at full speed", events, watch))
            for worker in workers:
                if worker.process.poll() is not None:
                    raise DemoFailed(f"a worker ended; its log is {worker.log}")
    elapsed_s = max(watch.last_ms - watch.first_ms, 1) / 1000
    console.print(
        f"[bold]Counted {events:,} events in {elapsed_s:.1f} s: {events / elapsed_s:,.0f} events/s[/bold] "
        "(Avro decode, SLOs, sketches, transactions; one process, everything else on the same cores)."
    )


def _play_live(console: Console, watch: Watch, settings: Settings, history: SimulationSpec) -> tuple[float, int]:
    """Play the scenario compressed; return when it began on the wall, and how many events it had."""
    spec = replace(history, start_us=history.start_us + HISTORY_US, duration_us=LIVE_US, speed=SPEED)
    reports: list[SimulationReport] = []
    began = time.time()

    def produce() -> None:
        with KafkaEventSink(settings) as sink:
            reports.append(run(spec, sink, on_progress=lambda r: reports.append(replace(r))))

    with _running(produce) as alive, Live(console=console, refresh_per_second=8, transient=True) as view:
        while alive():
            watch.poll(0.1)
            minutes = (time.time() - began) * SPEED / 60
            view.update(show.live(_phase(minutes), reports[-1].events if reports else 0, watch))
    return began, reports[-1].events


def _go_on(settings: Settings, history: SimulationSpec) -> None:
    """Let the fleet live on in real time, until Ctrl-C: the page of a fleet that is silent shows nothing of now."""
    now_us = time.time_ns() // 1_000_000_000 * 1_000_000
    with KafkaEventSink(settings) as sink:
        run(replace(history, start_us=now_us, duration_us=None, speed=1.0), sink)


def _phase(minutes: float) -> str:
    what = "healthy" if minutes < 10 else "INCIDENT: 15 % errors on llama-3.3-70b" if minutes < 20 else "recovery"
    return f"Time compressed {SPEED:.0f}x: a minute of the fleet passes each second. {what}, minute {minutes:.0f} of 40"


@contextmanager
def _running(work: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    thread = threading.Thread(target=work, name="simulator", daemon=True)
    thread.start()
    yield thread.is_alive
    thread.join()


def patiently(look: Callable[[], Seen], is_done: Callable[[Seen], bool], patience_s: float = PATIENCE_S) -> Seen:
    """Look until it is done, or until nothing has moved for too long; return what was seen last."""
    last, moved_s = look(), time.monotonic()
    while not is_done(last) and time.monotonic() - moved_s < patience_s:
        seen = look()
        if seen != last:
            last, moved_s = seen, time.monotonic()
    return last


def _settle(watch: Watch, events: int, end_us: int) -> None:
    def look() -> tuple[int, int, int]:
        watch.poll(0.2)
        return watch.ingested, min(watch.watermark_us, end_us), len(watch.fired("RESOLVED"))

    patiently(look, lambda seen: seen[0] >= events and seen[2] > 0)


def _delay_s(alert: SeenAlert, began: float, live_start_us: int) -> float:
    """Wall time from the event at which the alert was due to the alert in its topic."""
    due = began + (alert.record["window_end"] - live_start_us) / 1e6 / SPEED
    return float(alert.appended_ms / 1000 - due)


def _summarise(console: Console, site: Site, watch: Watch, delays: dict[tuple[str, int], float], events: int) -> None:
    client = site.clickhouse.client("burnline_reader")
    _wait_stored(client, events)
    console.print(show.alert_table(watch.alerts, delays))
    for title, sql in SUMMARY.items():
        rows, columns = client.execute(sql, with_column_types=True)
        console.print(show.sql_table(title, [name for name, _ in columns], rows))
        console.print(f"[dim]{sql};[/dim]\n", highlight=False)
    client.disconnect()


def _wait_stored(client: Any, events: int) -> None:
    def look() -> int:
        time.sleep(0.25)
        return int(client.execute(STORED_SQL)[0][0])

    if (stored := patiently(look, lambda seen: seen == events)) != events:
        raise DemoFailed(f"ClickHouse has {stored:,} requests of {events:,}, and no more for {PATIENCE_S:.0f} s")


def _check(watch: Watch) -> None:
    """The incident's alert fired and cleared, and nothing else is left firing.

    Raises: DemoFailed.
    """
    keys = {alert.record["dedup_key"] for alert in watch.fired("FIRED") if alert.record["slo"] == INCIDENT_SLO}
    if not keys:
        raise DemoFailed(f"the incident did not fire an alert of {INCIDENT_SLO}")
    if not keys <= {alert.record["dedup_key"] for alert in watch.fired("RESOLVED")}:
        raise DemoFailed(f"the alert of {INCIDENT_SLO} fired and did not clear")
