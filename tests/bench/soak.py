"""Benchmark `soak`: a worker's memory under a steady load, and under an attack by new series.

    series ─── steady ───┬─── every 50th event of a tenant never seen before ───────────────►
                         a quarter of the time

The attack reaches the limits of series and of SLO instances: what is past them is counted as `other`, so memory
stays under a bound that the limits give, and every SLO still counts every event once.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.agents.store import STORE_QUEUE_BYTES
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import client
from tests.bench.latency import FACTORS, fresh_site, run_steadily
from tests.bench.paced import PacePlan, Sent
from tests.bench.report import GOALS
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
#: what bounds a worker's memory: a site of 1,000 series, each SLO instance and each series that the limits let in, and
#: what waits in front of ingest and of the store
INSTANCE_BYTES, SERIES_BYTES = 24 << 10, 4 << 10


def bound_bytes(settings: Settings) -> int:
    """The most memory that a worker may have, whoever attacks it."""
    instances, series = settings.limit_instances * 11 // 10, settings.limit_series
    queues = settings.queue_bytes + STORE_QUEUE_BYTES
    return GOALS["rss_mb"] * 1_000_000 + INSTANCE_BYTES * instances + SERIES_BYTES * series + queues


def measure_soak(plan: PacePlan, home: Path, data_dir: Path) -> dict[str, Any]:
    """Run steadily and watch the worker's memory; ask ClickHouse what became of the events."""
    with fresh_site(home, data_dir) as settings:
        (settings.slo_dir / "by_tenant.yaml").write_text(BY_TENANT)
        found: dict[str, Any] = {}
        return soak_on(settings, plan, home, lambda sent: found.update(_found(settings, sent))) | found


def soak_on(
    settings: Settings, plan: PacePlan, home: Path, look: Callable[[Sent], None] = lambda sent: None
) -> dict[str, Any]:
    """Watch a worker's memory on servers that are there."""
    sent, usage = run_steadily(settings, plan, home, look)
    seconds, rss = np.array(usage.seconds), np.array(usage.rss_bytes)
    settled = seconds >= seconds[-1] / 2
    slope = float(np.polyfit(seconds[settled], rss[settled], 1)[0]) if settled.sum() > 1 else 0.0
    return {
        "plan": asdict(plan), "events": sent.events, "events_per_s": sent.events / sent.elapsed_s,
        "late_s_max": sent.late_s_max, "intruders": sent.intruders, "seconds": usage.seconds,
        "rss_bytes": usage.rss_bytes, "peak_bytes": usage.peak_bytes, "bound_bytes": bound_bytes(settings),
        "slope_bytes_per_min": slope * 60, "worker_cpu_seconds": usage.cpu,
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
