"""Rows as infra/clickhouse/controls/shed_*.sql answer them."""

from typing import Any

from pipeline.controls import class_facts

NOW = 1_800_000_000_000_000
S = 1_000_000


def promise(priority: str = "critical", good: int = 100, bad: int = 0, **more: Any) -> dict[str, Any]:
    labels = {"priority_class": priority, "request_model": "m"} | more.pop("labels", {})
    pinned = dict.fromkeys(("pinned_priority_class", "pinned_objective", "pinned_request_model"), "")
    return {
        "service": "chat", "slo": "ttft", "labels": labels, "target": 0.99, "severity": "NONE",
        "good": good, "bad": bad, "window_good": 9 * good, "window_bad": 9 * bad, "known_until_us": NOW,
        **pinned, **more,
    }  # fmt: skip


def load(priority: str = "critical", requests: int = 100, shed: int = 0, **more: Any) -> dict[str, Any]:
    """Every request that is served is one unit of work."""
    return {
        "service": "chat", "model": "m", "vantage": "GATEWAY", "tenant_id": "acme", "priority_class": priority,
        "requests": requests, "shed": shed, "served": requests - shed, "work": requests - shed, **more,
    }  # fmt: skip


def split(priority: str, objective: str, requests: float, shed: float = 0, **more: Any) -> dict[str, Any]:
    return {
        "service": "chat", "model": "m", "priority_class": priority, "objective": objective, "requests": requests,
        "shed": shed, "served": requests - shed, "queued_s": [], "request_work": [], **more,
    }  # fmt: skip


def endpoints(count: int, variant: str = "") -> dict[str, Any]:
    return {"service": "chat", "model": "m", "variant": variant, "endpoints": count}


def rows(*found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Sort them by the question that they answer."""
    kinds = {"slo": class_facts.PROMISES, "vantage": class_facts.LOAD, "objective": class_facts.SPLIT,
             "endpoints": class_facts.ENDPOINTS}  # fmt: skip
    sorted_rows: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds.values()}
    for row in found:
        sorted_rows[next(kinds[name] for name in kinds if name in row)].append(row)
    return sorted_rows
