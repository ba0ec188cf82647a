"""Capacity as a signal: what is unknown stays unknown, what is stale is left out, and only load is asked about."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.controls.capacity import CapacitySpec
from pipeline.controls.headroom import ask, is_judged, step
from pipeline.slo import Indicator, Objective, Ratio

SPEC, NOW_US = CapacitySpec(), 1_790_000_000_000_000
TTFT = Objective("it's quick", "chat", Indicator("ttft", 1_000_000), Ratio.parse("0.995"), 86_400_000_000)


def row(load: int, good: float, bad: float, **changes: Any) -> dict[str, Any]:
    requests = good + bad
    return {
        "service": "chat", "model": "m", "variant": "", "least": load, "most": load, "kept": requests, "minutes": 60,
        "requests": requests, "in_flight_sum": load * requests,
        "requests_now": requests, "in_flight_now": 10 * requests,
        "sampled": requests, "sampled_squares": requests, "requests_run": requests,
        "residence_s_sum": requests * (1 + load / 50), "good_kept": [good], "good": [good], "good_squares": [good],
        "bad_kept": [bad], "bad": [bad], "bad_squares": [bad], "watermark": datetime(2026, 9, 21, tzinfo=UTC),
        "age_s": 2.0, "slos": [TTFT.name], "targets": ["0.995"], "spreads": [([], [], [])], **changes,
    }  # fmt: skip


def told(*rows: dict[str, Any]) -> Any:
    (signal,) = step(SPEC, {}, {"capacity": rows}, NOW_US)
    return signal


def test_a_signal_holds_what_there_is_and_what_that_means() -> None:
    signal = told(row(10, 5_000, 1), row(20, 5_000, 1), row(40, 5_000, 300))
    assert (signal.key, signal.state, signal.value, signal.samples) == ("chat|m|capacity", "measured", 20.0, 15_302)
    assert signal.reason == "20 in flight at one endpoint keep every SLO; at 40 it's quick is broken"
    assert signal.inputs == pytest.approx({
        "capacity": 20, "capacity_likely": 20, "broken_at": 40, "peak": 40, "headroom_ratio": 20 / 48 - 1, "now": 10,
        "rps_per_endpoint": 20 / 1.4, "residence_s": 1.4, "sustained_ratio": 24 / 14,
        "burst_2x_s": signal.inputs["burst_2x_s"], "burst_3x_s": signal.inputs["burst_3x_s"],
    })  # fmt: skip
    assert 0 < signal.inputs["burst_3x_s"] < signal.inputs["burst_2x_s"] < 10
    assert signal.details == {"limited_by": "it's quick", "unmet": "", "unknown": ""}
    assert (signal.expires_at_us, signal.watermark_us) == (NOW_US + 900_000_000, 1_789_948_800_000_000)


def test_nothing_is_said_of_now_when_what_is_known_ended_long_ago() -> None:
    inputs = told(row(20, 5_000, 1, age_s=3_600.0)).inputs
    assert inputs["capacity"] == 20 and not {"now", "sustained_ratio", "burst_2x_s"} & set(inputs)


def test_what_is_unknown_or_kept_at_no_load_has_no_value() -> None:
    few, broken = told(row(20, 9, 1)), told(row(20, 5_000, 900))
    assert (few.state, few.value, few.details["unknown"]) == ("unknown", None, TTFT.name)
    assert (broken.state, broken.value, broken.details["unmet"]) == ("unmet", None, TTFT.name)
    assert "capacity" not in few.inputs | broken.inputs


def test_without_slos_there_is_nothing_to_say() -> None:
    assert ask(SPEC, [], NOW_US) == [] and step(SPEC, {}, {"slos": []}, NOW_US) == []


def test_variants_are_told_apart_and_together() -> None:
    slow = row(20, 5_000, 300, variant="slow")
    found = step(SPEC, {}, {"capacity": [row(20, 5_000, 1, variant="fast"), slow]}, NOW_US)
    assert [(each.scope, each.state) for each in found] == [("", "unmet"), ("fast", "at_least"), ("slow", "unmet")]


def test_services_are_asked_of_each_with_its_slos_and_what_is_no_matter_of_load_is_not() -> None:
    metrics = ("concurrency", "retry_amplification", "throughput_rps", "throughput_tps", "cost_per_1k_tokens")
    others = [replace(TTFT, indicator=Indicator(metric, 1)) for metric in metrics]
    other = replace(TTFT, name="e2e", service="batch")
    assert [is_judged(each) for each in (TTFT, replace(TTFT, name="all>part"), *others)] == [True] + [False] * 6
    chat, batch = ask(SPEC, [TTFT, other, *others], NOW_US)
    assert (
        chat.values == {"service": "chat", "window_s": 86_400.0, "now_s": 300.0} and batch.values["service"] == "batch"
    )
    assert "[/*" not in chat.sql and "['it\\'s quick'] AS slos, ['995e-3'] AS targets" in chat.sql
    assert Ratio.parse("995e-3") == TTFT.target
