"""Benchmark `latency`: a worker with all three steps under a steady load, in real time.

    event completes ─► sent ─► appended ─► counted (unit) ─► judged (watermark: grace) ─► alert appended
    '-------------------------------- delay --------------------------------------------'

The event that makes an alert due is the first with which the bad events of the long window that ends at the next
full second reach the factor. Its tick's sending began before its append, so a delay is never shown too small.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import blocks, topics
from pipeline.commands.children import Worker
from pipeline.embedded.site import Site
from pipeline.settings import Settings
from tests.bench import processes, topic
from tests.bench.ingest import ends, read_values
from tests.bench.paced import PacePlan, Sent

LONG_S, SHORT_S = 60, 5
TARGET, FACTORS = 0.99, (5, 10, 20)  # due 3, 6 and 12 s after a model turns bad
BASE_S = 75.0  #: of good events first: the long window is full

SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {{name: errors-{factor}}}
spec:
  service: chat
  indicator: {{metric: error_rate, groupBy: [request_model]}}
  target: {target}
  timeWindow: {{duration: 1h, isRolling: true}}
  alerting:
    pairs:
      - {{severity: critical, factor: {factor}, long: {long}s, short: {short}s}}
"""


@dataclass(frozen=True)
class Delay:
    """One alert that fired."""

    slo: str
    model: int
    due_ms: int  # the event that made it due began to be sent
    window_end_ms: int
    appended_ms: int

    @property
    def after_event_s(self) -> float:
        return (self.appended_ms - self.due_ms) / 1000

    @property
    def after_window_s(self) -> float:
        return (self.appended_ms - self.window_end_ms) / 1000


@contextmanager
def fresh_site(home: Path, data_dir: Path) -> Iterator[Settings]:
    """Both servers, for one benchmark; give the settings of a worker on them."""
    site = Site(home / "site", slo_dir=write_slos(home / "slo"))
    try:
        site.kafka.start()
        topic.create(Settings(kafka_brokers=site.kafka.brokers))  # before the site creates its own
        site.start()
        yield site.settings.model_copy(update={"data_dir": data_dir.resolve()})
    finally:
        site.stop()


def write_slos(directory: Path) -> Path:
    """Write SLOs that become due one after the other."""
    directory.mkdir(parents=True)
    for factor in FACTORS:
        text = SLO.format(factor=factor, target=TARGET, long=LONG_S, short=SHORT_S)
        (directory / f"errors-{factor}.yaml").write_text(text)
    return directory


def run_steadily(
    settings: Settings,
    plan: PacePlan,
    home: Path,
    look: Callable[[Sent], None] = lambda sent: None,
    ask: Callable[[str], Mapping[str, float]] = lambda address: {},
) -> tuple[Sent, processes.Usage]:
    """Run a worker under watch, and a producer beside it until that is done; then `look`, before the worker stops.

    `ask`: called every second with the worker's address; what it says is kept with the usage.
    """
    plan = replace(plan, brokers=settings.kafka_brokers, topic=topics.topic_name(settings, topics.EVENTS))
    wanted, out = home / "plan.json", home / "sent.json"
    wanted.write_text(json.dumps(asdict(plan)))
    worker = Worker(settings, home / "worker.log")
    try:
        address = worker.ready()["http"]
        watch = processes.Watch(worker.process.pid, every_s=1.0, tell=lambda: ask(address))
        with processes.module("tests.bench.paced", wanted, out) as producer:
            processes.finished(producer, plan.seconds * 1.5 + 120)
        time.sleep(plan.settle_s)
        sent = Sent(**json.loads(out.read_text()))
        look(sent)
        usage = watch.stop()
        if worker.process.poll() is not None:
            raise RuntimeError(f"the worker ended:\n{worker.log.read_text()[-2000:]}")
    finally:
        worker.stop()
    return sent, usage


def measure_latency(plan: PacePlan, home: Path, data_dir: Path) -> dict[str, Any]:
    """Let models turn bad one after the other, and time the alerts."""
    with fresh_site(home, data_dir) as settings:
        sent, usage = run_steadily(settings, plan, home)
        found = read_values(settings, topics.ALERTS, [0] * len(ends(settings, topics.ALERTS)))
    delays, unexplained = delays_of(sent, [(stamp, blocks.decode("burn_rate_alert", value)) for stamp, value in found])
    after_event = [delay.after_event_s for delay in delays]
    return {
        "plan": asdict(plan), "events": sent.events, "events_per_s": sent.events / sent.elapsed_s,
        "late_s_max": sent.late_s_max, "expected_alerts": plan.models * len(FACTORS), "alerts": len(delays),
        "unexplained_alerts": unexplained, "after_event_s": after_event,
        "after_window_end_s": [delay.after_window_s for delay in delays],
        "p50_s": _quantile(after_event, 0.5), "p99_s": _quantile(after_event, 0.99),
        "worker_cpu_seconds": usage.cpu, "worker_peak_bytes": usage.peak_bytes,
    }  # fmt: skip


def _quantile(values: list[float], q: float) -> float | None:
    return sorted(values)[int(q * (len(values) - 1))] if values else None


def delays_of(sent: Sent, alerts: list[tuple[int, dict[str, Any]]]) -> tuple[list[Delay], int]:
    """Match fired alerts with the ticks that made them due; and count alerts no tick accounts for."""
    at_us = np.array(sent.event_us)
    good, bad = np.array(sent.good), np.array(sent.bad)
    delays, unexplained = [], 0
    for stamp_ms, alert in alerts:
        if (alert["kind"], alert["event"]) != ("BURN_RATE", "FIRED"):
            continue
        model = int(alert["labels"]["request_model"].removeprefix("model-"))
        factor, end_us = alert["burn_rate_factor"], alert["window_end"]
        tick = due_tick(at_us, good[:, model], bad[:, model], factor, end_us)
        if tick is None:
            unexplained += 1
        else:
            delays.append(Delay(alert["slo"], model, int(at_us[tick] // 1000), end_us // 1000, stamp_ms))
    return delays, unexplained


def due_tick(
    at_us: NDArray[np.int64], good: NDArray[np.int64], bad: NDArray[np.int64], factor: float, end_us: int
) -> int | None:
    """The tick with which the long window that ends at `end_us` first reaches the factor; None: it never does."""
    inside = np.flatnonzero((at_us >= end_us - LONG_S * 1_000_000) & (at_us < end_us))
    if not len(inside):
        return None
    badly = np.cumsum(bad[inside])
    burns = badly >= factor * (1 - TARGET) * (badly + np.cumsum(good[inside])) - 1e-6
    # From where on it stays so: the first ticks of a window may be bad by chance.
    last_quiet = np.flatnonzero(~burns)
    first = int(last_quiet[-1]) + 1 if len(last_quiet) else 0
    return int(inside[first]) if first < len(inside) else None
