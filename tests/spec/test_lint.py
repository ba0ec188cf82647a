"""Warnings: each rule has a file that calls it, and the shipped examples call none."""

import pytest

import schemas
from pipeline.spec import load
from pipeline.spec.lint import MANY_VALUES, lint
from tests.spec.samples import GOOD, SHORT, load_text, spoiled


def _warnings(text: str) -> list[tuple[str, str]]:
    found = load_text(text)
    assert found.problems == ()
    return [(f"{w.line}:{w.column} {w.path}", w.rule) for w in lint(found)]


def test_the_good_file_has_no_warning() -> None:
    assert _warnings(GOOD) == []


def test_the_shipped_examples_are_good_and_without_a_warning() -> None:
    found = load([schemas.HOME / "slo"])
    assert found.problems == ()
    assert lint(found) == []
    assert 6 <= len(found.slos) <= 18
    assert {slo.objective.indicator.metric for slo in found.slos} == {
        "error_rate", "availability", "e2e", "ttft", "tpot", "goodput", "shed_rate", "retry_amplification",
        "concurrency", "throughput_rps", "throughput_tps", "cost_per_1k_tokens",
    }  # fmt: skip


#: id, what is replaced by what in GOOD, where the warning is, what it says
DISAPPOINTMENTS = [
    ("no owner", "  labels: {team: serving}\n", "",
     "4:3 metadata.labels", "names no owner"),
    ("no runbook", "annotations: {runbook", "annotations: {book",
     "6:16 metadata.annotations", "names no runbook"),
    ("no description", "  description: First token of streamed chat within a second\n", "",
     "8:3 spec.description", "is missing"),
    ("as many instances as replicas", "[request_model, region]", "[endpoint_id]",
     "15:14 spec.indicator.groupBy", MANY_VALUES),
    ("grouped by a constant", "[request_model, region]", "[operation]",
     "15:14 spec.indicator.groupBy", "has one value only here"),
    ("hardly reachable", "target: 0.99\n", "target: 0.999999\n",
     "18:11 spec.target", "leaves 2.5 s of outage in 30d"),
    ("slow is good", "op: lte", "op: gte",
     "12:9 spec.indicator.op", "counts slow requests as good"),
    ("nearly total outage", "factor: 14.4", "factor: 60",
     "22:5 spec.alerting", "fires only when 60 % of requests are bad"),
    ("never ends", "factor: 2,", "factor: 0.5,",
     "22:5 spec.alerting", "fires although the budget lasts the whole window"),
    ("after the fact", "long: 1d", "long: 15d",
     "22:5 spec.alerting", "fires when the budget is already gone"),
    ("an SLA as strict as the SLO", "target: 0.95", "target: 0.99",
     "27:17 spec.sla.target", "equals the SLO's target: the SLO warns of nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "place", "rule"), [pytest.param(*row[1:], id=row[0]) for row in DISAPPOINTMENTS]
)
def test_what_is_likely_to_disappoint_is_a_warning(old: str, new: str, place: str, rule: str) -> None:
    assert _warnings(spoiled((old, new))) == [(place, rule)]


def test_named_tenants_may_be_grouped_by() -> None:
    assert _warnings(spoiled(("[request_model, region]", "[tenant_id]"))) == []


def test_the_same_pair_twice_is_a_warning() -> None:
    pair = "      - {severity: warning, factor: 2, long: 1d, short: 2h}\n"
    assert _warnings(spoiled((pair, pair * 2))) == [("22:5 spec.alerting", "has the same pair twice")]


def test_two_names_for_one_question_are_a_warning() -> None:
    text = f"{GOOD}---\n{spoiled(('name: chat-ttft', 'name: twin'))}"
    assert _warnings(text) == [("32:9 metadata.name", "asks for the same as chat-ttft (f.yaml:1)")]


def test_a_short_file_is_told_what_is_missing() -> None:
    assert [path for path, _ in _warnings(SHORT)] == [
        "3:11 metadata.labels", "3:11 metadata.annotations", "5:3 spec.description",
    ]  # fmt: skip
