"""Recount of decoded events: one at a time, with the rules of definition 4.4 spelt out once more."""

from collections import Counter, defaultdict
from typing import Any

LABELS = (
    "service",
    "request_model",
    "tenant_id",
    "region",
    "operation",
    "priority_class",
    "variant",
    "vantage",
)


def priority_class(event: dict[str, Any]) -> str:
    return "sheddable" if event["priority"] < 0 else "standard" if event["priority"] == 0 else "critical"


def label(event: dict[str, Any], name: str) -> str:
    return priority_class(event) if name == "priority_class" else event[name] or ""


def case(event: dict[str, Any]) -> str:
    outcome = event["outcome"]
    failed = event["failure_kind"] != "NONE" or (event["http_status"] or 0) >= 500
    if outcome == "SUCCESS" and not failed:
        return "complete"
    if outcome in ("SUCCESS", "ERROR"):
        return "truncated" if event["failure_kind"] == "TRUNCATED" else "error"
    if outcome == "SHED" and event["priority"] < 0:
        return "shed_sheddable"
    return str(outcome.lower())


def tpot_us(event: dict[str, Any]) -> float | None:
    if event["ttft_us"] is None or (event["output_tokens"] or 0) < 2:
        return None
    decode = event["decode_us"] if event["decode_us"] is not None else event["e2e_us"] - event["ttft_us"]
    return float(decode) / (event["output_tokens"] - 1) if decode >= 0 else None


def slices(events: list[dict[str, Any]]) -> dict[Any, Counter[str]]:
    """(label values, start of the slice) -> counts that are not 0."""
    found: dict[Any, Counter[str]] = defaultdict(Counter)
    for event in events:
        counts = found[tuple(label(event, n) for n in LABELS), event["completed_at"] // 10_000_000 * 10_000_000]
        counts[case(event)] += 1
        counts["retries"] += event["attempt"] > 1
        counts["cold_starts"] += event["cold_start"]
        for name in ("input_tokens", "output_tokens", "cost_picousd", "gpu_us"):
            counts[name] += event[name] or 0
    return found


def latencies(events: list[dict[str, Any]], metric: str) -> list[float]:
    """Values that a sketch of the metric shows, sorted."""
    values = []
    for event in events:
        what = case(event)
        if metric == "e2e_us" and what == "complete":
            values.append(event["e2e_us"])
        if metric == "ttft_us" and what in ("complete", "truncated", "cancelled"):
            values.append(event["ttft_us"])
        if metric == "tpot_us" and what == "complete":
            values.append(tpot_us(event))
    return sorted(value for value in values if value is not None)


def added(event: dict[str, Any], indicator: Any) -> dict[str, int]:
    """What one event adds to good, bad and excluded, whatever the metric."""
    what, tokens = case(event), event["output_tokens"] or 0
    if indicator.metric == "cost_per_1k_tokens":
        cost = event["cost_picousd"] or 0
        return {"good": cost, "bad": tokens, "excluded": int(cost == tokens == 0)}
    if indicator.metric == "throughput_tps":
        if what in ("unknown", "rate_limited", "rejected") or (what == "cancelled" and tokens == 0):
            return {"excluded": 1}
        return {"good": tokens, "bad": int(what != "cancelled")}
    policy = {case.name.lower(): said.name.lower() for case, said in indicator.verdicts}
    if indicator.metric == "goodput":
        return {goodput(event, indicator): 1}
    return {judged(event, indicator.metric, indicator.threshold or 0, policy): 1}


def goodput(event: dict[str, Any], indicator: Any) -> str:
    """Judge one event by several objectives."""
    what = case(event)
    if what not in ("complete", "cancelled"):
        return "excluded" if what in ("unknown", "rate_limited", "rejected") else "bad"
    for metric, limit_us in indicator.objectives:
        asked_ms = event[f"slo_{metric}_ms"] if limit_us is None else None
        if limit_us is None and not asked_ms:
            continue
        found = verdict(event, metric, limit_us if limit_us is not None else asked_ms * 1000)
        if found == "bad" or (found == "excluded" and what == "complete" and indicator.is_strict):
            return "bad"
    return "good" if what == "complete" else "excluded"


def verdict(event: dict[str, Any], metric: str, threshold_us: int) -> str:  # noqa: PLR0911 - a metric a line
    """Judge one event for one metric, `value <= threshold`."""
    what = case(event)
    if metric == "retry_amplification":
        return "good" if event["attempt"] == 1 else "bad"
    if metric in ("shed_rate", "throughput_rps"):
        others = "good" if metric == "shed_rate" else "bad"
        known = {"complete": "good", "shed": "bad", "shed_sheddable": "bad"}
        return known.get(what, others if what in ("error", "truncated", "timeout") else "excluded")
    if metric == "concurrency":
        let_in = what in ("complete", "error", "truncated", "timeout", "cancelled")
        running = event["adm_running"] if let_in else None
        return "excluded" if running is None else "good" if running <= threshold_us else "bad"
    if what in ("unknown", "shed_sheddable", "rate_limited", "rejected"):
        return "excluded"
    if metric == "error_rate":
        return {"complete": "good", "cancelled": "excluded"}.get(what, "bad")
    if metric == "e2e":
        fast = event["e2e_us"] <= threshold_us
        by_case = {"complete": "good" if fast else "bad", "cancelled": "excluded" if fast else "bad"}
        return {**by_case, "timeout": "bad"}.get(what, "excluded")
    if metric == "ttft":
        if what in ("complete", "truncated", "cancelled") and event["ttft_us"] is not None:
            return "good" if event["ttft_us"] <= threshold_us else "bad"
        is_late = what == "cancelled" and event["stream"] and event["e2e_us"] > threshold_us
        return "bad" if is_late else "excluded"
    if metric in ("ttfo", "queue", "prefill"):
        over = what in ("complete", "truncated", "cancelled")
        value = event[f"{metric}_us"] if over else None
    elif metric in ("decode", "itl_max"):
        ends = what == "complete" or (what == "cancelled" and (event[f"{metric}_us"] or 0) > threshold_us)
        value = event[f"{metric}_us"] if ends and event["output_tokens"] not in (0, 1) else None
    else:
        value = tpot_us(event) if what == "complete" else None
    return "excluded" if value is None else "good" if value <= threshold_us else "bad"


def judged(event: dict[str, Any], metric: str, threshold_us: int, policy: dict[str, str]) -> str:
    """The same by an SLO's own policy, and by the definition where it says nothing."""
    return policy.get(case(event)) or verdict(event, metric, threshold_us)
