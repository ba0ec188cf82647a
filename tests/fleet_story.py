"""A small fleet in a real ClickHouse, with names of its own: what commands and dashboards that read views show."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.database import insert

NOW = datetime.now(UTC)
MINUTE = NOW.replace(second=0, microsecond=0) - timedelta(minutes=8)
WINDOW = timedelta(days=30)
AHEAD = NOW + timedelta(hours=9)  #: judged so far ahead of the story that it does not grow stale while tests run


def judged(client: Any, slo: str, instance: str, good: int, bad: int, **changes: Any) -> None:
    """A judgement that stays fresh: 99 % over 30 days, burning over five minutes as it does over all of it."""
    eligible = good + bad
    spent = 100 * bad / eligible if eligible else None
    row = {
        "slo": slo, "instance": instance, "revision": "r1", "service": f"{slo}-service", "counts_revision": "r1",
        "labels": dict(pair.split("=") for pair in instance.split(",") if pair), "target": 0.99,
        "window_us": int(WINDOW.total_seconds()) * 1_000_000, "watermark": NOW, "window_start": NOW - WINDOW,
        "window_end": NOW, "judged_at": AHEAD, "state": "OK", "severity": "NONE", "good": good, "bad": bad,
        "excluded": 0, "compliance_ratio": good / eligible if eligible else None, "coverage_ratio": 1.0,
        "budget_events": eligible / 100, "budget_remaining_ratio": None if spent is None else 1 - spent,
        "budget_minutes": 432.0, "time_to_exhaustion_s": 7200.0 if bad else None,
        "exhaustion_burn_rate": spent, "exhaustion_window_s": 86_400, "windows_s": [300, 3_600],
        "windows_good": [good, good], "windows_bad": [bad, bad], "windows_coverage_ratio": [1.0, 1.0],
        "windows_burn_rate": [spent, spent], "late": 0,
    }  # fmt: skip
    insert(client, "statuses", **(row | changes))


def counted(client: Any, slo: str, instance: str, good: int, bad: int, at: datetime = MINUTE, tier: str = "1m") -> None:
    """Counts of one slice of a tier."""
    row = {"slo": slo, "revision": "r1", "instance": instance, "slice_start": at, "good": good, "bad": bad}
    insert(client, f"counts_{tier}", **row)


def burning_fleet(client: Any, name: str) -> None:
    """One instance pages, one is well, one has had nothing."""
    judged(client, name, "region=eu", 800, 200, state="FIRING", severity="CRITICAL", window_end=AHEAD)
    judged(client, name, "region=us", 999, 1)
    judged(client, name, "region=ap", 0, 0)
    counted(client, name, "region=eu", 80, 20)
