"""Alert events and contexts that tests of notifications share: one night of one SLO."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipeline.delivery.context import Change, Context
from pipeline.delivery.notification import AlertEvent


def at_us(text: str) -> int:
    """A moment of that night: 03:04:05."""
    return int(datetime.fromisoformat(f"2026-01-02T{text}+00:00").astimezone(UTC).timestamp()) * 1_000_000


FIRED_US = at_us("03:04:05")


def event(**changes: Any) -> AlertEvent:
    """An alert event; unless told, the critical burn-rate alert as it fires."""
    columns = {
        "dedup_key": "chat-ttft|region=eu", "sequence": FIRED_US // 1_000_000, "kind": "BURN_RATE", "slo": "chat-ttft",
        "revision": "r1", "instance": "region=eu", "service": "chat", "labels": {"region": "eu"}, "event": "FIRED",
        "severity": "CRITICAL", "metric": "ttft", "target": 0.99, "burn_rate_factor": 10.0, "long_window_s": 3_600,
        "short_window_s": 300, "long_good": 94_800, "long_bad": 11_234, "short_good": 5_100, "short_bad": 3_400,
        "long_burn_rate": 11_234 / 106_034 * 100, "short_burn_rate": 40.0, "budget_remaining_ratio": 0.43,
        "time_to_exhaustion_s": 47_100.0, "exhaustion_burn_rate": 10.6, "started_at": FIRED_US, "window_end": FIRED_US,
        "watermark": FIRED_US, "evaluated_at": FIRED_US + 2_100_000, "late_ratio": 0.0, "provisional": False,
        "exemplar_trace_ids": ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7a3ce929d0e0e4736"],
        "runbook": "https://runbooks.example/chat-ttft",
        "reason": "critical: the budget burns at 10x or more over 1 h and 5 min: 10.6x over 1 h, 40x over 5 min",
    }  # fmt: skip
    return AlertEvent.of(columns | changes)


def over(until: str, why: str, **changes: Any) -> AlertEvent:
    """The same, resolved."""
    end = at_us(until)
    said = {"event": "RESOLVED", "window_end": end, "watermark": end, "exemplar_trace_ids": []}
    return event(**{**said, "reason": f"critical is over: {why}", **changes})


def silent(**changes: Any) -> AlertEvent:
    """A no-data alert."""
    nothing = dict.fromkeys(("long_good", "long_bad", "short_good", "short_bad"), 0)
    unknown = dict.fromkeys(
        ("long_burn_rate", "short_burn_rate", "budget_remaining_ratio", "time_to_exhaustion_s", "exhaustion_burn_rate")
    )
    said = {"kind": "NO_DATA", "dedup_key": "chat-ttft|no-data", "instance": "", "labels": {}, "provisional": True}
    return event(**{**nothing, **unknown, **said, "exemplar_trace_ids": [], **changes})


def ours(kind: str, reason: str, labels: dict[str, str], severity: str = "WARNING", **changes: Any) -> AlertEvent:
    """An alert on Burnline itself, which counts nothing."""
    numbers = ("target", "burn_rate_factor", "long_window_s", "short_window_s")
    nothing = dict.fromkeys((*numbers, "long_good", "long_bad", "short_good", "short_bad"), 0)
    unknown = dict.fromkeys(
        ("long_burn_rate", "short_burn_rate", "budget_remaining_ratio", "time_to_exhaustion_s", "exhaustion_burn_rate")
    )
    instance = ",".join(f"{name}={value}" for name, value in labels.items())
    said = {"kind": kind, "slo": "burnline", "service": "burnline", "instance": instance, "labels": labels,
            "dedup_key": f"burnline|{instance}|{kind.lower()}", "metric": "", "severity": severity,
            "reason": reason, "runbook": None, "exemplar_trace_ids": []}  # fmt: skip
    return event(**{**nothing, **unknown, **said, **changes})


def exceeded(**changes: Any) -> AlertEvent:
    """A tenant that takes more than it is given."""
    said = {
        "kind": "QUOTA", "slo": "tokens-a-day", "dedup_key": "tokens-a-day|tenant_id=acme|quota", "metric": "tokens",
        "instance": "tenant_id=acme", "labels": {"tenant_id": "acme"}, "severity": "WARNING", "target": 5_000_000.0,
        "long_window_s": 86_400, "long_good": 5_000_000, "long_bad": 210_345, "burn_rate_factor": 0.0,
        "reason": "warning: the quota is exceeded", "runbook": None, "exemplar_trace_ids": [],
    }  # fmt: skip
    return event(**{**said, **changes})


def spent(kind: str, step: float, severity: str, left: float, **changes: Any) -> AlertEvent:
    """An alert of a budget."""
    target = 0.99 if kind == "BUDGET" else 0.95
    good = 9_000_000
    bad = round(good * (1 - left) * (1 - target) / (1 - (1 - left) * (1 - target)))
    span = {"long_window_s": 30 * 86_400, "short_window_s": 30 * 86_400, "target": target, "burn_rate_factor": step}
    sums = {"long_good": good, "long_bad": bad, "short_good": good, "short_bad": bad}
    burns = {"long_burn_rate": 1 - left, "short_burn_rate": 1 - left, "budget_remaining_ratio": left}
    said = {"kind": kind, "severity": severity, "dedup_key": f"chat-ttft|region=eu|{kind.lower()}"}
    return event(**{**span, **sums, **burns, **said, "exemplar_trace_ids": [], **changes})


KNOWN = Context(
    promise="99 % of chat requests have ttft of at most 1s, over 30d",
    description="First token of streamed chat within a second",
    policy="No deploys of chat until a tenth of the budget is back.\nAsk the owner for exceptions.",
    consequence="10 % credit",
    owner="serving",
    is_counted=True,
    hit=(
        "variant=v2: 9,870 of 11,234 failures (88 %), of 21 % of the requests",
        "tenant_id=acme: 4,500 of 11,234 failures (40 %), of 12 % of the requests",
    ),
    changes=(Change(at_us("02:58:11"), "first requests of variant=v2"),),
)
SLICED = replace(KNOWN, promise="in 99 % of slices of 1m 95 % of chat requests do not fail, over 30d", noun="slices")
