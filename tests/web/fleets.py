"""Fleets in memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.standing import Freshness
from pipeline.web.fleet import Instance, Snapshot

NOW = datetime(2026, 11, 26, 5, 40, tzinfo=UTC)


def instance(slo: str, region: str = "eu", **changes: Any) -> Instance:
    """An SLO instance that is well, judged just now, but for what is changed."""
    row = {
        "slo": slo, "instance": f"region={region}", "labels": {"region": region}, "service": "chat", "revision": "r1",
        "target": 0.99, "window_start": NOW - timedelta(days=30), "window_end": NOW, "judged_at": NOW, "good": 999,
        "bad": 1, "excluded": 0, "compliance_ratio": 0.999, "coverage_ratio": 1.0, "state": "OK", "severity": "NONE",
        "budget_remaining_ratio": 0.9, "budget_minutes": 432.0, "time_to_exhaustion_s": None,
        "exhaustion_burn_rate": None, "sla_target": None, "sla_budget_remaining_ratio": None,
        "windows": [(300, 0.1, 1.0), (3600, 0.2, 1.0)], "late": 0,
    }  # fmt: skip
    return Instance(**(row | changes))


def snapshot(*rows: Instance, as_of: datetime = NOW, **more: Any) -> Snapshot:
    """A fleet as it is asked for at a moment, by a ClickHouse that has the same clock."""
    judged_at, event_time = (
        max((getattr(row, name) for row in rows), default=None) for name in ("judged_at", "window_end")
    )
    fresh = Freshness(as_of, judged_at, event_time, "")
    return Snapshot(rows, as_of, "SELECT 1", fresh, fresh.staleness(0), **more)
