"""Law: the signal `gate` says of every service what the gate says when it is asked; what is unknown has no value."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.controls import gate_files
from pipeline.controls.gate import decide, facts_of
from pipeline.controls.gating import GateSpec, step
from pipeline.controls.signal import UNKNOWN, Signal
from pipeline.controls.table import CONTROLS
from pipeline.spec.problems import Refused
from tests.controls.test_comparison import row as compared_row

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)  # a Tuesday
NOW_US = int(NOW.timestamp()) * 1_000_000
SPEC = GateSpec(policy=gate_files.load(None))


def row(slo: str, service: str = "chat", **changes: Any) -> dict[str, Any]:
    said = {
        "service": service, "slo": slo, "instance": "region=eu", "is_frozen": 0, "coverage_ratio": 1.0,
        "budget_remaining_ratio": 0.8, "burn_window_s": 300, "burn_rate": 0.3, "burn_coverage_ratio": 1.0,
        "severities": [],
    }  # fmt: skip
    return {**said, **changes}


def said(
    *rows: dict[str, Any], slos: tuple[tuple[str, str], ...] = (), judged_s: float = 1.0, comparison: Any = ()
) -> dict[str, Signal]:
    at = NOW - timedelta(seconds=judged_s)
    fresh = [{"asked_at": NOW, "judged_at": at, "event_time": at, "lagging": ""}]
    promised = [{"slo": slo, "service": service} for slo, service in slos]
    answers = {"gate": list(rows), "freshness": fresh, "slos": promised, "comparison": comparison}
    found = step(SPEC, {}, answers, NOW_US)
    return {signal.service: signal for signal in found}


def test_a_change_that_made_it_worse_is_a_reason_as_long_as_it_is_in_force() -> None:
    def state(**more: Any) -> str:
        changed = {"service": "chat", "change_id": "c1", "slo": "errors", "instance": "region=eu", **more}
        return said(row("errors"), comparison=[compared_row((19_000, 1_000), (59_700, 300), **changed)])["chat"].state

    assert state() == "caution"
    assert state(window_eligible=100_000) == "frozen"  # most of a budget of 1,000
    assert state(ended_at=NOW) == state(instance="region=us") == "open"


def test_a_service_is_as_its_worst_instance_and_says_why() -> None:
    found = said(row("errors"), row("ttft", budget_remaining_ratio=-0.2, burn_rate=4.0), row("search", "search"))
    chat, search = found["chat"], found["search"]
    assert (chat.state, chat.value, chat.samples, chat.confidence) == ("frozen", 2.0, 2, 1.0)
    assert chat.reason.startswith("ttft: the error budget is spent")
    assert chat.inputs == {
        "open": 1.0, "caution": 0.0, "frozen": 1.0, "budget_remaining_ratio_min": -0.2, "burn_rate_max": 4.0,
    }  # fmt: skip
    assert (chat.details["rule"], chat.details["slo"], chat.details["is_known"]) == ("budget-spent", "ttft", "true")
    assert (search.state, search.value) == ("open", 0.0)
    assert chat.key == "chat||gate" and chat.watermark_us == NOW_US - 1_000_000
    assert chat.expires_at_us - NOW_US == 120_000_000


def test_it_says_what_the_gate_says_when_it_is_asked() -> None:
    rows = [row("a", severities=["WARNING"]), row("b", burn_window_s=None), row("c", budget_remaining_ratio=0.2)]
    decision = decide(SPEC.policy, [facts_of(each, "") for each in rows], 24 * 60 + 600, ["a", "b", "c", "d"])
    signal = said(*rows, slos=(("d", "chat"),))["chat"]
    assert (signal.state, signal.samples) == (decision.verdict.word, 4)
    assert signal.details["is_known"] == "false" and signal.confidence == 0.5


@pytest.mark.parametrize("judged_s", [1.0, 3600.0])
def test_a_service_of_which_nothing_is_known_has_no_value(judged_s: float) -> None:
    found = said(row("errors"), slos=(("new", "fresh"),), judged_s=judged_s)
    assert (found["fresh"].state, found["fresh"].value) == (UNKNOWN, None)
    assert (found["chat"].state, found["chat"].value) == (("open", 0.0) if judged_s == 1.0 else (UNKNOWN, None))


def test_a_composite_is_about_each_of_its_services() -> None:
    found = said(row("journey", "chat,search", budget_remaining_ratio=0.4), row("errors", "chat"))
    assert set(found) == {"chat", "search"}
    assert {signal.inputs["budget_remaining_ratio_min"] for signal in found.values()} == {0.4}


def test_no_policy_opens_nothing_and_no_answer_says_nothing() -> None:
    at = [{"asked_at": NOW, "judged_at": NOW, "event_time": NOW, "lagging": ""}]
    (signal,) = step(GateSpec(), {}, {"gate": [row("errors")], "freshness": at, "slos": [], "comparison": []}, NOW_US)
    assert signal.state == "frozen"
    assert step(SPEC, {}, {"gate": [row("errors")], "freshness": [], "slos": [], "comparison": []}, NOW_US) == []


def test_a_signal_lives_longer_than_it_takes_to_look_again() -> None:
    with pytest.raises(Refused):
        GateSpec(every_s=60, ttl_s=100)
    asked = CONTROLS[0].ask(CONTROLS[0].spec(), (), NOW_US)
    assert [(each.name, dict(each.values)) for each in asked] == [
        ("gate", {"service": ""}), ("freshness", {}),
        ("comparison", {
            "service": "", "change_id": "", "slo": "", "instance": "", "kinds": ["DEPLOY", "ROLLBACK", "KNOB"],
            "since_s": 86_400.0, "window_s": 3_600.0,
        }),
    ]  # fmt: skip
    uses = set(re.findall(r"{(\w+):", asked[-1].sql))
    assert uses == set(asked[-1].values)
