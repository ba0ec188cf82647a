"""Oracle of ingest: events one by one into dictionaries."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.naive import events as naive
from tests.naive.sketch import bin_of

BASE = (
    "service",
    "request_model",
    "tenant_id",
    "region",
    "operation",
    "priority_class",
    "variant",
    "vantage",
)


@dataclass
class Totals:
    """What a set of events adds."""

    counts: dict[tuple[str, str, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    slices: dict[tuple[tuple[str, ...], int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    bins: dict[tuple[tuple[str, ...], int, str], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    refused: Counter[str] = field(default_factory=Counter)
    clamped: int = 0
    latest: int | None = None


def add(totals: Totals, event: Any, append_ms: int, objectives: Any) -> None:
    """Add one event that decoded, or the refusal of it."""
    why = naive.refused(event)
    if why:
        totals.refused[why] += 1
        return
    at = event["completed_at"]
    if append_ms >= 0 and at > append_ms * 1000 + 5_000_000:
        at = append_ms * 1000
        totals.clamped += 1
    totals.latest = max(totals.latest or 0, at)
    weight = event["sample_weight"]
    key = tuple(naive.label(event, name) for name in BASE), at // 10_000_000 * 10
    counters = totals.slices[key]
    counters[naive.outcome_counter(event)] += weight
    counters["retries"] += weight * (event["attempt"] > 1)
    counters["cold_starts"] += weight * event["cold_start"]
    for name in ("input_tokens", "output_tokens", "cost_picousd", "gpu_us"):
        counters[name] += weight * (event[name] or 0)
    for metric, value in naive.shown(event).items():
        totals.bins[*key, metric][bin_of(value)] += weight
    for objective in objectives:
        if matches(objective, event):
            names = objective.indicator.group_by
            text = ",".join(f"{n}={escaped(naive.label(event, n))}" for n in names)
            for verdict, count in naive.tally(event, objective.indicator).items():
                totals.counts[objective.name, text, at // 1_000_000][verdict] += weight * count


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def matches(objective: Any, event: Any) -> bool:
    i = objective.indicator
    return (
        event["service"] == objective.service
        and (i.vantage is None or event["vantage"] == i.vantage)
        and all(naive.label(event, name) in accepted for name, accepted in i.where)
        and (event["final_attempt"] or not i.final_attempts_only)
    )
