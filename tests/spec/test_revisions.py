"""Revisions: what changes a judgement changes one, and nothing else does."""

import pytest

from tests.spec.samples import GOOD, load_text, spoiled


def _revisions(text: str) -> tuple[str, str]:
    (objective,) = load_text(text).objectives
    return objective.revision, objective.indicator_revision


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: chat-ttft", "name: renamed"),
        ("description: First", "description: Second"),
        ("{team: serving}", "{team: other}"),
        ("tenant_id: [zen, acme]", "tenant_id: [acme, zen]"),
        ("{operation: chat, tenant_id: [zen, acme]}", "{tenant_id: [zen, acme], operation: [chat]}"),
        ("target: 0.99", "target: 0.990"),
        ("threshold: 1s", "threshold: 1000ms"),
        ("threshold: 1s", "threshold: 1.0s"),
        ("duration: 30d", "duration: 720h"),
        ("minCoverage: 0.25", "minCoverage: 0.250"),
        ("consequence: 10 % credit", "consequence: 20 % credit"),
        ("  budgetingMethod: Occurrences\n", ""),
    ],
)
def test_what_judges_nothing_anew_keeps_both_revisions(old: str, new: str) -> None:
    assert _revisions(spoiled((old, new))) == _revisions(GOOD)


def test_the_order_of_pairs_keeps_both_revisions() -> None:
    lines = GOOD.splitlines(keepends=True)
    lines[22], lines[23] = lines[23], lines[22]
    assert _revisions("".join(lines)) == _revisions(GOOD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("target: 0.99\n", "target: 0.98\n"),
        ("duration: 30d", "duration: 28d"),
        ("factor: 14.4", "factor: 14.5"),
        ("severity: critical", "severity: info"),
        ("long: 1h", "long: 2h"),
        ("short: 5m", "short: 6m"),
        ("minEvents: 50", "minEvents: 51"),
        ("minBad: 5", "minBad: 6"),
        ("minCoverage: 0.25", "minCoverage: 0.3"),
        ("margin: 0.2", "margin: 0.3"),
        ("hold: 5m", "hold: 6m"),
        ("sla: {target: 0.95", "sla: {target: 0.96"),
    ],
)
def test_what_judges_anew_changes_the_revision_and_keeps_that_of_counts(old: str, new: str) -> None:
    before, after = _revisions(GOOD), _revisions(spoiled((old, new)))
    assert after[0] != before[0]
    assert after[1] == before[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("metric: ttft", "metric: e2e"),
        ("op: lte", "op: lt"),
        ("op: lte", "op: gte"),
        ("threshold: 1s", "threshold: 2s"),
        ("operation: chat", "operation: text"),
        ("[zen, acme]", "[zen]"),
        ("[request_model, region]", "[region, request_model]"),
        ("    vantage: GATEWAY\n", ""),
        ("attempts: all", "attempts: final"),
        ("service: chat", "service: batch"),
    ],
)
def test_what_counts_anew_changes_both_revisions(old: str, new: str) -> None:
    before, after = _revisions(GOOD), _revisions(spoiled((old, new)))
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_revisions_are_the_same_on_every_machine_and_day() -> None:
    """Stored counts are found by these; a change here orphans them."""
    assert _revisions(GOOD) == ("d5fd1d3d7baf", "1dbfa613ebc6")
