"""What a change does: to counts, budget, windows and alerts, by name."""

import pytest

from pipeline.spec.detection import detection_s
from pipeline.spec.difference import ADDED, ANEW, KEPT, RECOUNTED, REMOVED, RENAMED, Difference, differences
from pipeline.spec.explanation import ERROR_RATIOS
from tests.spec.samples import GOOD, SHORT, load_text, spoiled


def between(old: str, new: str) -> list[Difference]:
    return differences(load_text(old).checked(), load_text(new).checked())


def said(old: str, new: str) -> list[str]:
    (found,) = between(old, new)
    return [str(change) for change in found.changes]


def test_nothing_differs_from_itself() -> None:
    assert between(GOOD, GOOD) == []
    assert between(GOOD, spoiled(("target: 0.99\n", "target: 0.990\n"), ("threshold: 1s", "threshold: 1000ms"))) == []


def test_a_target_changes_the_budget_and_how_soon_alerts_come() -> None:
    found = said(SHORT, spoiled(("0.999", "0.9985"), text=SHORT))
    assert found[:2] == [
        "target: 99.9 % -> 99.85 % (1.5 times the budget: the same failures burn 0.666 times as fast)",
        "budget: 1,000.0 bad in a million requests, 43.2 min -> 1,500.0 bad in a million requests, 64.8 min",
    ]
    assert "first alert at 100 % bad: after 36s -> after 54s (later, or never)" in found
    assert "first alert at 0.2 % bad: after 1d -> never (later, or never)" in found


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("duration: 30d", "duration: 7d", "window: 30d -> 7d"),
        ("threshold: 1s", "threshold: 1500ms", "good when: at most 1s -> at most 1s500ms"),
        ("tenant_id: [zen, acme]", "tenant_id: {not: zen}",
         "where: operation chat and tenant_id zen or acme -> operation chat and tenant_id not zen"),
        ("[request_model, region]", "[region]", "groupBy: request_model, region -> region"),
        ("attempts: all", "attempts: final", "attempts: all -> final"),
        ("attempts: all", "attempts: all\n    policy: {cancelled: bad}", "classification: none -> cancelled bad"),
        ("minBad: 5", "minBad: 1",
         "evidence to fire: 50 events, 5 bad, 25 % coverage -> 50 events, 1 bad, 25 % coverage"),
        ("hold: 5m", "hold: 1m", "clears: 20 % under the factor for 5m -> 20 % under the factor for 1m"),
        ("factor: 14.4", "factor: 10", "window pair: critical 14.4x over 1h and 5m -> none"),
        ("factor: 14.4", "factor: 10", "window pair: none -> critical 10x over 1h and 5m"),
        ("factor: 14.4", "factor: 10", "first alert at 100 % bad: after 8m39s -> after 6m (sooner)"),
        ("consequence: 10 %", "consequence: 20 %", "SLA: 95 %, or 10 % credit -> 95 %, or 20 % credit"),
        ("{team: serving}", "{team: other}", "owner: serving -> other"),
        ("  sla: {target: 0.95, consequence: 10 % credit}\n", "", "SLA: 95 %, or 10 % credit -> none"),
    ],
)  # fmt: skip
def test_each_change_is_said_once(old: str, new: str, sentence: str) -> None:
    assert said(GOOD, spoiled((old, new))).count(sentence) == 1


@pytest.mark.parametrize(
    ("old", "new", "meaning"),
    [
        ("threshold: 1s", "threshold: 2s", ANEW),
        ("minBad: 5", "minBad: 1", KEPT),
        ("First token", "Token", "nothing is judged otherwise"),
    ],
)
def test_what_becomes_of_counts_is_said(old: str, new: str, meaning: str) -> None:
    (found,) = between(GOOD, spoiled((old, new)))
    assert found.meaning.startswith(meaning)


CALENDAR = "{duration: 1M, calendar: {startTime: 2026-01-01, timeZone: Europe/Berlin}}"
WEEKS = "{duration: 2w, calendar: {startTime: 2026-01-05 06:00, timeZone: UTC}}"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("{duration: 30d}", CALENDAR,
         "window: 30d -> each month of Europe/Berlin, from 2026-01-01 on "
         "(the period begins with what the window knows of it)"),
        (CALENDAR, "{duration: 30d}",
         "window: each month of Europe/Berlin, from 2026-01-01 on -> 30d (compliance and budget begin anew)"),
        (CALENDAR, WEEKS,
         "window: each month of Europe/Berlin, from 2026-01-01 on -> each 2 weeks of UTC, from 2026-01-05 06:00:00 on "
         "(a period that began before the present one keeps what that counted, a later one begins anew)"),
    ],
)  # fmt: skip
def test_what_a_calendar_begins_with_is_said(old: str, new: str, sentence: str) -> None:
    before, after = (spoiled(("{duration: 30d}", window), text=SHORT) for window in (old, new))
    assert said(before, after)[0] == sentence


SLICES = "  budgetingMethod: Timeslices\n  timeSliceWindow: 1m\n  timeSliceTarget: 0.95\n"


def test_another_way_to_count_is_said_with_what_it_costs() -> None:
    (found,) = between(SHORT, SHORT + SLICES)
    assert found.meaning.startswith(RECOUNTED)
    assert str(found.changes[0]) == (
        "budgeting: by requests -> by slices of 1m with 95 % good "
        "(counts of another kind: compliance, budget and windows that alert begin anew)"
    )
    ratios = "  budgetingMethod: RatioTimeslices\n  timeSliceWindow: 5m\n"
    assert "budgeting: by the ratios of slices of 5m -> by requests" in said(SHORT + ratios, SHORT)[0]


def test_added_removed_and_renamed_slos() -> None:
    assert between(SHORT, GOOD) == [
        Difference("chat-ttft", "added", ADDED), Difference("short", "removed", REMOVED),
    ]  # fmt: skip
    assert between(SHORT, spoiled(("name: short", "name: brief"), text=SHORT)) == [
        Difference("short -> brief", "renamed", RENAMED)
    ]


def test_first_alerts_are_those_of_the_detection_arithmetic() -> None:
    new = spoiled(("factor: 14.4", "factor: 50"))
    (slo,) = load_text(new).slos
    for ratio in ERROR_RATIOS:
        times = [detection_s(slo.objective.target, pair, ratio) for pair in slo.policy.pairs]
        expected = min((time for time in times if time is not None), default=None)
        lines = [line for line in said(GOOD, new) if line.startswith(f"first alert at {float(ratio * 100):g} % bad:")]
        assert all(("never (" in line) == (expected is None) for line in lines)


def test_machines_get_the_same() -> None:
    (found,) = between(GOOD, spoiled(("minBad: 5", "minBad: 1")))
    told = found.as_dict()
    assert told["kind"] == "changed"
    assert told["changes"][0]["what"] == "evidence to fire"
