"""The truth equals a naive recount of the decoded bytes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.fleet import Fleet, FleetSpec, Incident, Truth
from jobs.fleet.truth import LATENCIES
from pipeline.encoding import EventColumns
from pipeline.series import BASE_LABELS, label_text
from pipeline.sli import Case, Verdict
from pipeline.slo import Indicator, Objective, Ratio
from tests.jobs.decoded import decoded
from tests.naive import truth as naive

START_US = 1_760_000_000_000_000
TARGET = Ratio.parse("0.99")


def objective(name: str, service: str, metric: str, threshold_us: int | None = None, **more: Any) -> Objective:
    return Objective(name, service, Indicator(metric, threshold_us, **more), TARGET, 86_400_000_000)


OBJECTIVES = (
    objective("errors", "chat", "error_rate", group_by=("request_model", "region")),
    objective("every-attempt", "chat", "error_rate", final_attempts_only=False),
    objective("whole", "assist", "e2e", 600_000, where=(("operation", ("chat",)),)),
    objective("first", "chat", "ttft", 60_000, group_by=("priority_class",), vantage="GATEWAY"),
    objective("from-the-engine", "chat", "ttft", 60_000, vantage="ENGINE"),
    objective("waiting", "batch", "queue", 100_000, verdicts=((Case.CANCELLED, Verdict.BAD), (Case.SHED, Verdict.BAD))),
    objective("visible", "assist", "ttfo", 200_000, verdicts=((Case.TRUNCATED, Verdict.EXCLUDED),)),
    objective("decoding", "assist", "decode", 400_000),
    objective("stall", "chat", "itl_max", 40_000, final_attempts_only=False),
    objective("goodput", "assist", "goodput", objectives=(("e2e", 900_000), ("tpot", 16_000), ("ttft", 200_000))),
    objective("strict", "assist", "goodput", objectives=(("tpot", 20_000), ("queue", 900_000)), is_strict=True),
    objective("as-asked", "assist", "goodput", objectives=(("tpot", None), ("ttft", None))),
    objective("shed", "chat", "shed_rate"),
    objective("again", "chat", "retry_amplification", final_attempts_only=False),
    objective("crowd", "chat", "concurrency", 20),
    objective("served", "chat", "throughput_rps", 1, at_most=False),
    objective("written", "assist", "throughput_tps", 1, at_most=False),
    objective("paid", "assist", "cost_per_1k_tokens", 1, final_attempts_only=False),
    objective("tokens", "assist", "tpot", 16_000, where=(("stream", ("true",)), ("tenant_id", ("acme", "zen")))),
)


@pytest.fixture(scope="module")
def parts() -> list[EventColumns]:
    """A short bad day, in pieces: errors, overload, retries, impatience."""
    incidents = (
        Incident("a", "errors", 5_000_000, 25_000_000, 0.3, (("request_model", ("llama-3.3-70b",)),)),
        Incident("b", "capacity", 0, 40_000_000, 0.7),
        Incident("c", "errors", 0, 40_000_000, 0.05, failure_kind="TRUNCATED"),
        Incident("d", "latency", 0, 40_000_000, 20, (("service", ("batch", "chat")), ("tenant_id", ("acme",)))),
    )
    fleet = Fleet(FleetSpec(rate=150, tenants=5, incidents=incidents, zero_us=START_US, error_ratio=0.02), seed=7)
    return [fleet.events(START_US + a * 1_000_000, START_US + b * 1_000_000) for a, b in ((0, 13), (13, 27), (27, 41))]


@pytest.fixture(scope="module")
def truth(parts: list[EventColumns]) -> Truth:
    found = Truth(OBJECTIVES)
    for part in parts:
        found.add(part)
    return found


@pytest.fixture(scope="module")
def events(parts: list[EventColumns]) -> list[dict[str, Any]]:
    return [event for part in parts for event in decoded(part)]


def test_counts_of_every_series_and_slice_equal_the_recount(truth: Truth, events: list[dict[str, Any]]) -> None:
    assert naive.LABELS == BASE_LABELS
    mine = {key: {n: c for n, c in counts.items() if c} for key, counts in truth.slices().items()}
    assert mine == {key: {n: c for n, c in counts.items() if c} for key, counts in naive.slices(events).items()}
    assert truth.events == len(events)


@pytest.mark.parametrize("metric", LATENCIES)
def test_sorted_latencies_equal_the_recount(truth: Truth, events: list[dict[str, Any]], metric: str) -> None:
    *_, values = truth.sorted_latencies(metric)
    assert sorted(values.tolist()) == naive.latencies(events, metric)


@pytest.mark.parametrize("metric", LATENCIES)
def test_latencies_of_a_series_and_slice_stand_together_and_sorted(truth: Truth, metric: str) -> None:
    series, slices, values = truth.sorted_latencies(metric)
    rows = list(zip(series.tolist(), slices.tolist(), values.tolist(), strict=True))
    assert rows == sorted(rows) and len(rows) > 100


def selected(event: dict[str, Any], o: Objective) -> bool:
    wanted = dict(o.indicator.where) | {"service": (o.service,)}
    if o.indicator.vantage:
        wanted["vantage"] = (o.indicator.vantage,)
    shown = {n: str(event[n]).lower() if n == "stream" else naive.label(event, n) for n in wanted}
    return all(shown[n] in wanted[n] for n in wanted) and (
        event["final_attempt"] or not o.indicator.final_attempts_only
    )


def test_verdicts_of_every_second_equal_the_recount(truth: Truth, events: list[dict[str, Any]]) -> None:
    expected: dict[Any, Counter[str]] = {}
    for o in OBJECTIVES:
        names = o.indicator.group_by
        for event in events:
            if selected(event, o):
                labels = label_text(names, tuple(naive.label(event, n) for n in names))
                key = o.name, labels, event["completed_at"] // 1_000_000 * 1_000_000
                expected.setdefault(key, Counter()).update(naive.added(event, o.indicator))
    assert truth.verdicts() == {k: (c["good"], c["bad"], c["excluded"]) for k, c in expected.items()}
    judged = {slo: sum((Counter(c) for c in found.values()), Counter()) for slo, found in truth.totals().items()}
    assert set(judged) == {o.name for o in OBJECTIVES} - {"from-the-engine"}
    none = {name for name, counts in judged.items() if min(counts["good"], counts["bad"], counts["excluded"]) == 0}
    assert none == {"again"}  # every attempt is one


def test_parts_in_another_order_make_the_same_truth(parts: list[EventColumns], truth: Truth) -> None:
    other = Truth(OBJECTIVES)
    other.add(EventColumns.concatenate([parts[2], parts[0], parts[1]]))
    assert other.slices() == truth.slices() and other.verdicts() == truth.verdicts()


def test_a_weight_counts_as_so_many_events(parts: list[EventColumns]) -> None:
    weights = np.arange(len(parts[0])) % 3 + 1
    weighted, repeated = Truth(OBJECTIVES), Truth(OBJECTIVES)
    weighted.add(EventColumns({**parts[0].columns, "sample_weight": weights}))
    repeated.add(parts[0].take(np.repeat(np.arange(len(parts[0])), weights)))
    assert weighted.slices() == repeated.slices() and weighted.verdicts() == repeated.verdicts()
    for metric in LATENCIES:
        for a, b in zip(weighted.sorted_latencies(metric), repeated.sorted_latencies(metric), strict=True):
            assert (a == b).all()


def test_what_is_saved_can_be_read_without_us(truth: Truth, tmp_path: Path) -> None:
    truth.save(tmp_path / "truth")
    about = json.loads((tmp_path / "truth/truth.json").read_text())
    with np.load(tmp_path / "truth/slices.npz") as saved:
        complete = saved["counters"][:, about["counters"].index("complete")].sum()
    with np.load(tmp_path / "truth/verdicts.npz") as saved:
        good = int(saved["good_bad_excluded"][:, 0].sum())
    with np.load(tmp_path / "truth/latencies.npz") as saved:
        values = saved["e2e_us.values"]
    assert complete == len(values) == sum(c["complete"] for c in truth.slices().values())
    assert good == sum(c["good"] for labels in about["slos"].values() for c in labels.values())
    assert about["events"] == truth.events and len(about["series"]) == len(truth.series)
