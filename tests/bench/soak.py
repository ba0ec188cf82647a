"""Benchmark `soak`: a worker's memory under a steady load, and under an attack by new series.

    series ─── steady ───┬─── every 50th event of a tenant never seen before ───────────────►
                         a quarter of the time

The attack reaches the limits of series and of SLO instances: what is past them is counted as `other`, so memory
stays under a bound that the limits give, and every event is still counted.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.settings import Settings
from tests.bench.latency import fresh_site, run_steadily
from tests.bench.paced import PacePlan

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
SELECT sum(events), sum(dead_letters), sum(series_overflow), sum(instances_refused)
FROM burnline.pipeline_health WHERE stage = 'ingest'
"""
STORED = "SELECT sum(requests) FROM burnline.sli_1h"


def measure_soak(plan: PacePlan, home: Path, data_dir: Path) -> dict[str, Any]:
    """Run steadily and watch the worker's memory; ask ClickHouse at the end what became of the events."""
    with fresh_site(home, data_dir) as settings:
        (settings.slo_dir / "by_tenant.yaml").write_text(BY_TENANT)
        result = soak_on(settings, plan, home)
        return {**result, **_found(settings)}


def soak_on(settings: Settings, plan: PacePlan, home: Path) -> dict[str, Any]:
    """Watch a worker's memory on servers that are there."""
    sent, usage = run_steadily(settings, plan, home)
    seconds, rss = np.array(usage.seconds), np.array(usage.rss_bytes)
    settled = seconds >= seconds[-1] / 2
    slope = float(np.polyfit(seconds[settled], rss[settled], 1)[0]) if settled.sum() > 1 else 0.0
    return {
        "plan": asdict(plan), "events": sent.events, "events_per_s": sent.events / sent.elapsed_s,
        "late_s_max": sent.late_s_max, "intruders": sent.intruders, "seconds": usage.seconds,
        "rss_bytes": usage.rss_bytes, "peak_bytes": usage.peak_bytes, "slope_bytes_per_min": slope * 60,
        "worker_cpu_seconds": usage.cpu,
    }  # fmt: skip


def _found(settings: Settings) -> dict[str, int]:
    from pipeline.sinks.clickhouse import client

    reader = client(settings)
    try:
        events, dead_letters, overflow, refused = reader.execute(HEALTH)[0]
        stored = reader.execute(STORED)[0][0]
    finally:
        reader.disconnect()
    return {
        "counted": int(events), "stored": int(stored), "dead_letters": int(dead_letters),
        "series_overflow": int(overflow), "instances_refused": int(refused),
    }  # fmt: skip
