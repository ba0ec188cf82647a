"""Benchmark `soak`: a worker's memory under a steady load, and under an attack by new series.

    series ─── steady ───┬─── every 50th event of a tenant never seen before ───────────────►
                         a quarter of the time

The attack reaches the limits of series and of SLO instances: what is past them is counted as `other`, so memory
stays under a bound that the limits give (`bound_parts`), and every SLO still counts every event once:

    450 MB + (24 KiB x 1.1 + 4 KiB) x limit_instances + 4 KiB x limit_series + 40 B x limit_waiting x partitions
    + queue_bytes + 12 x 8 MiB in front of it + 32 MiB that the store holds + 4 x 24 MiB that it inserts

The partitions are those of slo.counts. Past `limit_series` events have smaller keys, of what SLOs group by: the 4 KiB
of an instance. Not in it: keys of each further schema of producers; batches that inflate past 8 MiB, which are blocks
of that size (limit_batch_bytes); remembered event ids (limit_event_ids).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline import topics
from pipeline.agents.store import STORE_QUEUE_BYTES, THREADS
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import client
from pipeline.transport import FetchSpec
from pipeline.transport.consumer import POLL_BLOCKS
from pipeline.transport.record_blocks import BLOCK_BYTES_MAX
from tests.bench import report
from tests.bench.gauges import GAUGES, gauges
from tests.bench.latency import FACTORS, fresh_site, run_steadily
from tests.bench.paced import PacePlan, Sent
from tests.chaos.readers import TALLIES
from tests.chaos.verdict import difference

#: SLO instances by tenant: what the attack multiplies
BY_TENANT = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: errors-by-tenant}
spec:
  service: chat
  indicator: {metric: error_rate, groupBy: [tenant_id]}
  target: 0.99
  timeWindow: {duration: 30d, isRolling: true}
  alerting: {preset: default}
"""
HEALTH = """
SELECT sum(dead_letters), sum(series_overflow), sum(instances_refused) FROM pipeline_health WHERE stage = 'ingest'
"""
COUNTS = """
SELECT slo, sum(good), sum(bad), sum(excluded) FROM slo_counts{} GROUP BY slo
"""
REQUESTS = "SELECT sum(requests) FROM sli{}"
TIERS = ("", "_1m", "_1h")  # of the views
SLOS = ("errors-by-tenant", *(f"errors-{factor}" for factor in FACTORS))
DRAIN_S = 120.0
#: a worker of 1,000 series under a steady load: libraries 120 MB, modules and compiled kernels 140 MB, connections
BASE_BYTES = 450_000_000
INSTANCE_BYTES, WAITING_BYTES = 24 << 10, 40  #: of a judge: the rings of the widest preset; an entry that waits
SERIES_BYTES = 4 << 10  #: of ingest: keys, labels, places and slots
ROWS_BYTES = 24 << 20  #: of the store: building the rows of the fullest batch


def bound_parts(settings: Settings) -> dict[str, int]:
    """What a worker that owns everything may have, whoever attacks it: bytes of each limit."""
    return {
        "as it runs": BASE_BYTES,
        "limit_instances": (INSTANCE_BYTES * 11 // 10 + SERIES_BYTES) * settings.limit_instances,
        "limit_series": SERIES_BYTES * settings.limit_series,
        "limit_waiting": WAITING_BYTES * settings.limit_waiting * topics.topics()[topics.COUNTS].partitions,
        "queue_bytes": settings.queue_bytes,
        "in front of it": BLOCK_BYTES_MAX * (POLL_BLOCKS + FetchSpec.queue_blocks),
        "what the store holds": STORE_QUEUE_BYTES,
        "what the store inserts": ROWS_BYTES * THREADS,
    }


def measure_soak(plan: PacePlan, home: Path, data_dir: Path) -> dict[str, Any]:
    """Run steadily and watch the worker's memory; ask ClickHouse what became of the events."""
    with fresh_site(home, data_dir) as settings, _bar(plan, sum(bound_parts(settings).values())) as said:
        (settings.slo_dir / "by_tenant.yaml").write_text(BY_TENANT)
        found: dict[str, Any] = {}
        return soak_on(settings, plan, home, lambda sent: found.update(_found(settings, sent)), said) | found


@contextmanager
def _bar(plan: PacePlan, bound: int) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show on a terminal how far it is and what the worker says; a line a minute elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("soak"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, began_s, lines = bar.add_task("", total=plan.seconds), 0.0, 0

        def said(told: Mapping[str, float]) -> None:
            nonlocal began_s, lines
            began_s = began_s or time.monotonic()
            seconds, words = time.monotonic() - began_s, _words(told, bound)
            bar.update(task, completed=min(seconds, plan.seconds), description=words)
            if not console.is_terminal and seconds >= 60 * lines:
                lines += 1
                console.print(f"{seconds / 60:.0f} of {plan.seconds / 60:.0f} min: {words}", highlight=False)

        yield said


def _words(told: Mapping[str, float], bound: int) -> str:
    if not told:
        return "the worker does not answer"
    return (
        f"{told['rss_bytes'] / 1e6:.0f} MB of {bound / 1e6:.0f}, {told['series']:,.0f} series, "
        f"{told['instances']:,.0f} instances, {told['store_backlog']:,.0f} records wait for the store"
    )


def soak_on(
    settings: Settings,
    plan: PacePlan,
    home: Path,
    look: Callable[[Sent], None] = lambda sent: None,
    said: Callable[[Mapping[str, float]], None] = lambda told: None,
) -> dict[str, Any]:
    """Watch a worker's memory on servers that are there; `said`: is told every second what the worker says."""

    def ask(address: str) -> Mapping[str, float]:
        told = gauges(address)
        said(told)
        return told

    sent, usage = run_steadily(settings, plan, home, look, ask)
    parts = bound_parts(settings)
    seconds, rss = np.array(usage.seconds), np.array(usage.rss_bytes)
    settled = seconds >= seconds[-1] / 2
    slope = float(np.polyfit(seconds[settled], rss[settled], 1)[0]) if settled.sum() > 1 else 0.0
    return {
        "plan": asdict(plan), "events": sent.events, "events_per_s": sent.events / sent.elapsed_s,
        "late_s_max": sent.late_s_max, "intruders": sent.intruders, "seconds": usage.seconds,
        "rss_bytes": usage.rss_bytes, "peak_bytes": usage.peak_bytes, "bound_parts": parts,
        "bound_bytes": sum(parts.values()), "slope_bytes_per_min": slope * 60, "worker_cpu_seconds": usage.cpu,
        "gauges": {name: [told.get(name) for told in usage.told] for name in GAUGES},
    }  # fmt: skip


def wrong(result: dict[str, Any]) -> str:
    """What a soak must not show; the empty string: nothing of it."""
    said = []
    if result["missing"] or result["extra"]:
        said.append(f"{result['missing']:,} missing, {result['extra']:,} extra in all places: {result['differences']}")
    if result["peak_bytes"] > result["bound_bytes"]:
        said.append(f"{result['peak_bytes'] / 1e6:.0f} MB, past the bound of {result['bound_bytes'] / 1e6:.0f} MB")
    return "; ".join(said)


def expected(sent: Sent) -> dict[tuple[str, str], int]:
    """What every SLO has to have counted; of which instance depends on when a limit was reached."""
    tallies = {"good": int(np.sum(sent.good)), "bad": int(np.sum(sent.bad))}
    return {(slo, name): count for slo in SLOS for name, count in tallies.items()}


def _found(settings: Settings, sent: Sent) -> dict[str, Any]:
    """Wait until nothing is missing, or for so long nothing more has come; say what is missing and what is too much."""
    reader, deadline, least = client(settings), 0.0, -1
    try:
        while True:
            differences = {f"counts{tier}": difference(expected(sent), _counts(reader, tier)) for tier in TIERS}
            for tier in TIERS:
                ((requests,),) = reader.execute(REQUESTS.format(tier))
                differences[f"slices{tier}"] = difference({"": sent.events}, {"": requests})
            missing, extra = (
                sum(getattr(each, name) for each in differences.values()) for name in ("missing", "extra")
            )
            if least < 0 or missing < least:
                deadline, least = time.monotonic() + DRAIN_S, missing
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(1.0)
        ((dead_letters, overflow, refused),) = reader.execute(HEALTH)
    finally:
        reader.disconnect()
    return {
        "differences": {place: asdict(each) for place, each in differences.items()}, "missing": missing, "extra": extra,
        "dead_letters": int(dead_letters), "series_overflow": int(overflow), "instances_refused": int(refused),
    }  # fmt: skip


def _counts(reader: Any, tier: str) -> dict[tuple[str, str], int]:
    rows = reader.execute(COUNTS.format(tier))
    return {(slo, name): int(n) for slo, *sums in rows for name, n in zip(TALLIES, sums, strict=True)}


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw over time, one below the other: resident memory and its bound, series and instances, what waits."""
    drawn, (memory, known, behind) = report.figures(
        f"A worker at {result['events_per_s']:,.0f} events/s; {result['intruders']:,} tenants never seen before",
        "minutes", ("resident MB", "known", "records behind"),
    )  # fmt: skip
    minutes, told = [s / 60 for s in result["seconds"]], result["gauges"]
    memory.plot(minutes, [b / 1e6 for b in result["rss_bytes"]], color=report.OURS)
    memory.axhline(result["bound_bytes"] / 1e6, color=report.GOAL, label="bound by the limits")
    for axes, names in (
        (known, ("series", "instances")),
        (behind, ("ingest_backlog", "judge_backlog", "store_backlog")),
    ):
        for name in names:
            values = [float("nan") if value is None else value for value in told[name]]
            axes.plot(minutes, values, label=name.replace("_backlog", ""))
    for axes in (memory, known, behind):
        axes.set_ylim(bottom=0)
        if result["plan"]["attack_from_s"] < result["plan"]["seconds"]:
            axes.axvline(result["plan"]["attack_from_s"] / 60, color=report.THEIRS, linestyle=":")
        axes.legend(frameon=False, loc="upper left")
    report.finish(drawn, path)
