"""Benchmark `alerting`: how long after the event that makes an alert due it is known, and how long Prometheus takes.

    due: both windows reach the factor ─► alert in slo.alerts ─► Alertmanager has it
                                       '─► scrape ─► evaluation: Prometheus' alert is active

One stream, one machine, one run: models turn bad one after the other, each is an SLO instance of three SLOs. Due is
told from what was sent, and the same for both. Loads: idle, as much as asked, and with the worker killed (-9) in the
middle and started again at once.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import blocks, topics
from pipeline.commands.children import Worker
from pipeline.settings import Settings
from tests.bench import prometheus, report
from tests.bench.alertmanager import Held, manager
from tests.bench.ingest import ends, read_values
from tests.bench.latency import FACTORS, SLO, TARGET, fresh_site
from tests.bench.paced import PacePlan, Sent
from tests.bench.processes import finished, module

LONG_S, SHORT_S = 120, 60  #: the short one holds four scrapes, as Prometheus' documentation asks for
BASE_S = LONG_S + 15.0  #: of good events first: the long window is full
AFTER_S = 75.0  #: for the last alerts, Prometheus' too
GOAL_S = 1.0  #: behind the end of its second and grace, P99 to slo.alerts
GOAL_TIMES = 10  #: faster than Prometheus


@dataclass(frozen=True)
class Load:
    """One run."""

    name: str
    rate: int
    is_killed: bool = False


@dataclass(frozen=True)
class Delay:
    """One alert that was due; seconds until others knew it, None: they never did."""

    slo: str
    model: int
    due_ms: int
    topic_s: float | None
    alertmanager_s: float | None
    prometheus_s: float | None
    is_in_crash: bool = False

    def behind_s(self, grace_s: float) -> float | None:
        """Seconds in slo.alerts behind the moment at which the definition lets it be judged.

        event that makes it due ─► its second ends ─► grace ─► this moment ─► alert in slo.alerts
        """
        judged_ms = (self.due_ms // 1000 + 1) * 1000 + round(grace_s * 1000)
        return None if self.topic_s is None else (self.due_ms - judged_ms) / 1000 + self.topic_s


def specs() -> list[prometheus.RuleSpec]:
    return [prometheus.RuleSpec(f"errors-{factor}", TARGET, factor, (LONG_S, SHORT_S)) for factor in FACTORS]


def measure(loads: list[Load], models: int, every_s: float, home: Path, data_dir: Path) -> dict[str, Any]:
    """Run every load on servers of its own."""
    runs = []
    for load in loads:
        plan = PacePlan(
            "", "", load.rate, BASE_S + models * every_s + AFTER_S, models, bad_from_s=BASE_S, bad_every_s=every_s
        )
        runs.append(run(load, plan, home / load.name, data_dir))
    return {"loads": runs, "goal_s": GOAL_S, "long_s": LONG_S, "short_s": SHORT_S, "factors": FACTORS}


def run(load: Load, plan: PacePlan, home: Path, data_dir: Path) -> dict[str, Any]:
    """Time the alerts of one load."""
    with fresh_site(home, data_dir) as settings:
        write_slos(settings.slo_dir)
        port = prometheus.free_port()
        with (
            prometheus.beside(specs(), port, home / "prometheus") as watched,
            manager(home / "alertmanager") as held,
        ):
            told = {"alertmanager_url": held.url, "receivers_allow": "127.0.0.0/8"} if held.url else {}
            served = settings.model_copy(update=told)
            sent, crash = send(served, replace(plan, metrics_port=port), home, load.is_killed)
        found = read_values(settings, topics.ALERTS, [0] * len(ends(settings, topics.ALERTS)))
        grace_s = settings.grace_s
    alerts = [(stamp, blocks.decode("burn_rate_alert", value)) for stamp, value in found]
    return result(load, sent, delays(sent, alerts, held, watched, crash), crash, grace_s)


def write_slos(directory: Path) -> None:
    for factor in FACTORS:
        text = SLO.format(factor=factor, target=TARGET, long=LONG_S, short=SHORT_S)
        (directory / f"errors-{factor}.yaml").write_text(text)


def send(settings: Settings, plan: PacePlan, home: Path, is_killed: bool) -> tuple[Sent, tuple[int, int] | None]:
    """Send the whole plan beside a worker; say between which milliseconds there was none, if it was killed."""
    plan = replace(plan, brokers=settings.kafka_brokers, topic=topics.topic_name(settings, topics.EVENTS))
    wanted, out = home / "plan.json", home / "sent.json"
    wanted.write_text(json.dumps(asdict(plan)))
    worker, crash = Worker(settings, home / "worker.log"), None
    try:
        worker.ready()
        with module("tests.bench.paced", wanted, out) as producer:
            if is_killed:
                time.sleep(plan.bad_from_s + plan.models * plan.bad_every_s / 2)
                killed_ms = time.time_ns() // 1_000_000
                worker.kill()
                worker = Worker(settings, home / "worker-2.log")
                worker.ready()
                crash = killed_ms, time.time_ns() // 1_000_000
            finished(producer, plan.seconds * 1.5 + 120)
        time.sleep(plan.settle_s)
        if worker.process.poll() is not None:
            raise RuntimeError(f"the worker ended:\n{worker.log.read_text()[-2000:]}")
    finally:
        worker.stop()
    return Sent(**json.loads(out.read_text())), crash


def due_tick(at_us: NDArray[np.int64], good: NDArray[np.int64], bad: NDArray[np.int64], factor: float) -> int | None:
    """The tick from which on both windows that end with it burn at the factor; None: they never do."""
    burns = np.ones(len(at_us), np.bool_)
    for window_s in (LONG_S, SHORT_S):
        start = np.searchsorted(at_us, at_us - window_s * 1_000_000, side="right")
        badly, every = (np.concatenate([[0], np.cumsum(column)]) for column in (bad, good + bad))
        ends_at = np.arange(1, len(at_us) + 1)
        allowed = factor * (1 - TARGET) * (every[ends_at] - every[start])
        burns &= (badly[ends_at] - badly[start] >= allowed - 1e-6) & (allowed > 0)
    quiet = np.flatnonzero(~burns)
    first = int(quiet[-1]) + 1 if len(quiet) else 0
    return first if first < len(at_us) else None


def delays(
    sent: Sent, alerts: list[tuple[int, dict[str, Any]]], held: Held, watched: prometheus.Watched,
    crash: tuple[int, int] | None,
) -> list[Delay]:  # fmt: skip
    """Match what was due with what was told."""
    at_us, good, bad = np.array(sent.event_us), np.array(sent.good), np.array(sent.bad)
    told: dict[tuple[str, str], int] = {}
    for stamp_ms, alert in alerts:
        if (alert["kind"], alert["event"]) == ("BURN_RATE", "FIRED"):
            told.setdefault((alert["slo"], alert["labels"]["request_model"]), stamp_ms)
    found = []
    for spec in specs():
        for model in range(good.shape[1]):
            tick = due_tick(at_us, good[:, model], bad[:, model], spec.factor)
            if tick is not None:
                key, due_ms = (spec.name, f"model-{model:02d}"), int(at_us[tick] // 1000)
                is_in_crash = crash is not None and crash[0] - 3_000 <= due_ms <= crash[1]
                topic_s, held_s, active_s = (
                    _after(at.get(key), due_ms) for at in (told, held.at_ms, watched.active_ms)
                )
                found.append(Delay(spec.name, model, due_ms, topic_s, held_s, active_s, is_in_crash))
    return found


#: who knows of an alert
SYSTEMS = ("topic", "alertmanager", "prometheus")


def _after(at_ms: int | None, due_ms: int) -> float | None:
    return None if at_ms is None else (at_ms - due_ms) / 1000


def quantile(values: list[float], q: float) -> float | None:
    return sorted(values)[int(q * (len(values) - 1))] if values else None


def result(load: Load, sent: Sent, found: list[Delay], crash: tuple[int, int] | None, grace_s: float) -> dict[str, Any]:
    """Sum up a load."""
    said: dict[str, Any] = {
        "load": load.name, "asked_per_s": load.rate, "events": sent.events, "late_s_max": sent.late_s_max,
        "events_per_s": sent.events / sent.elapsed_s if sent.elapsed_s else 0.0, "due": len(found), "grace_s": grace_s,
        "crash_s": None if crash is None else (crash[1] - crash[0]) / 1000,
    }  # fmt: skip
    for name in SYSTEMS:
        said[name] = _quantiles(getattr(each, f"{name}_s") for each in found)
    said["in_crash"] = _quantiles(each.topic_s for each in found if each.is_in_crash)
    said["behind"] = _quantiles(each.behind_s(grace_s) for each in found)
    return said


def _quantiles(seconds: Iterable[float | None]) -> dict[str, Any]:
    known = [each for each in seconds if each is not None]
    return {"seconds": known, "p50_s": quantile(known, 0.5), "p99_s": quantile(known, 0.99)}


def rows(measured: dict[str, Any]) -> list[list[str]]:
    """The table's rows."""
    told = []
    for load in measured["loads"]:
        ours, theirs = load["topic"], load["prometheus"]
        name = f"{load['load']}, {load['events_per_s']:,.0f} events/s"
        faster = f"{theirs['p50_s'] / ours['p50_s']:.0f} x" if ours["p50_s"] and theirs["p50_s"] else "-"
        counts = f"{', '.join(str(len(load[system]['seconds'])) for system in SYSTEMS)} of {load['due']}"
        percentiles = (load[system][q] for system in ("behind", *SYSTEMS) for q in ("p50_s", "p99_s"))
        told.append([name, *map(_shown, percentiles), faster, counts])
        if load["in_crash"]["seconds"]:
            of, name = load["in_crash"], f"  due in the {load['crash_s']:.1f} s without a worker"
            told.append(
                [name, "", "", _shown(of["p50_s"]), _shown(of["p99_s"]), "", "", "", "", "", str(len(of["seconds"]))]
            )
    return told


def _shown(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"


STYLES = ("-", "--", ":")
COLOURS = (
    ("topic", "slo.alerts", report.OURS),
    ("alertmanager", "Alertmanager", "#2e8b57"),
    ("prometheus", "Prometheus", report.GOAL),
)


def plot(measured: dict[str, Any], path: Path) -> None:
    """Draw how many alerts are known after how long: ours and Prometheus', a style a load."""
    loads = measured["loads"]
    drawn, axes = report.figure("Alerts known after they are due", "seconds, logarithmic", "share of alerts")
    for style, load in zip(STYLES, loads, strict=False):
        for name, label, colour in COLOURS:
            seconds = sorted(load[name]["seconds"])
            shares = [(i + 1) / load["due"] for i in range(len(seconds))]
            axes.step(seconds, shares, where="post", linestyle=style, color=colour, label=f"{label}, {load['load']}")
    if loads:
        goal = loads[0]["grace_s"] + 1 + measured["goal_s"]
        axes.axvline(goal, color=report.THEIRS, label=f"a second, grace and {measured['goal_s']:g} s")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    report.finish(drawn, path)
