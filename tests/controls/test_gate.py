"""Law: the first rule that holds decides, the worst instance for all; what is worse, or unknown, never opens."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.alerts import Severity
from pipeline.controls.gate import (
    DAY,
    UNKNOWN,
    Decision,
    Facts,
    Policy,
    Rule,
    Span,
    Verdict,
    clock,
    decide,
    facts_of,
    minute_of_week,
    promised,
)
from pipeline.controls.gate_files import parse
from schemas import HOME
from tests.naive import gate as naive

DEFAULT = parse("default.yaml", (HOME / "gate" / "default.yaml").read_bytes())
WEEK = 7 * DAY
TUESDAY, FRIDAY = DAY + 10 * 60, 4 * DAY + 17 * 60
WELL = Facts("chat-ttft", "region=eu", 0.8, 0.3, 300, 1.0, 1.0)

RATIOS = st.sampled_from((-2.0, -0.01, 0.0, 0.1, 0.25, 0.5, 1.0))
BURNS = st.sampled_from((0.0, 0.5, 1.0, 2.0, 10.0))
SPENT = st.sampled_from((0.0, 0.1, 0.2, 3.0))
FACTS = st.builds(
    Facts, st.sampled_from("ab"), st.sampled_from(("", "region=eu")), st.none() | RATIOS, st.none() | BURNS,
    st.sampled_from((None, 300, 300)), st.none() | st.sampled_from((0.0, 0.49, 0.5, 1.0)), st.none() | RATIOS.map(abs),
    st.sampled_from(Severity), st.booleans(), st.sampled_from(("", "", "nothing has been judged for 3 d")),
    st.just("vllm 0.9.1"), st.none() | SPENT,
)  # fmt: skip
SPANS = st.tuples(st.integers(0, WEEK - 1), st.integers(1, WEEK)).map(lambda each: Span(each[0], each[0] + each[1]))
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "budget_at_most": RATIOS, "burn_at_least": BURNS, "coverage_at_most": RATIOS.map(abs),
        "alert_at_least": st.sampled_from((Severity.INFO, Severity.WARNING, Severity.CRITICAL)),
        "change_spent_at_least": SPENT,
        "during": st.lists(SPANS, min_size=1, max_size=2).map(tuple),
    },
)  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Tables as files may have them: the strictest rules first, the last one without conditions."""
    verdicts = sorted(draw(st.lists(st.sampled_from(Verdict), min_size=1, max_size=6)), reverse=True)
    conditions = [*(draw(CONDITIONS.filter(bool)) for _ in verdicts[1:]), {}]
    rules = [Rule(f"r{i}", v, "why", **c) for i, (v, c) in enumerate(zip(verdicts, conditions, strict=True))]
    return Policy(tuple(rules), draw(st.sampled_from((Verdict.CAUTION, Verdict.FROZEN))))


def plain_rule(rule: Rule) -> dict[str, Any]:
    """A rule as the oracle has it."""
    numbers = {"budget": rule.budget_at_most, "burn": rule.burn_at_least, "coverage": rule.coverage_at_most,
               "change_spent": rule.change_spent_at_least,
               "alert": None if rule.alert_at_least is None else int(rule.alert_at_least)}  # fmt: skip
    minutes = {minute for span in rule.during for minute in range(*span)}
    found = {name: each for name, each in numbers.items() if each is not None}
    return {"name": rule.name, "verdict": int(rule.verdict), **found, **({"minutes": minutes} if rule.during else {})}


def plain_facts(facts: Facts) -> dict[str, Any]:
    return {"budget": facts.budget_remaining_ratio, "burn": facts.burn_rate, "burn_coverage": facts.burn_coverage_ratio,
            "coverage": facts.coverage_ratio, "alert": int(facts.alert), "is_frozen": facts.is_frozen,
            "is_stale": bool(facts.staleness), "has_burn_window": facts.burn_window_s is not None,
            "change_spent": facts.change_spent_ratio}  # fmt: skip


@given(policies(), st.lists(FACTS, max_size=4), st.integers(0, WEEK - 1))
def test_a_decision_is_the_oracle_s(policy: Policy, facts: list[Facts], minute: int) -> None:
    rules = [plain_rule(rule) for rule in policy.rules]
    wanted = [naive.verdict_of(rules, int(policy.unknown), plain_facts(each), minute) for each in facts]
    found = decide(policy, facts, minute)
    assert found.verdict == naive.worst([verdict for verdict, _ in wanted], int(policy.unknown))
    if facts:
        assert sorted((int(r.verdict), r.rule, r.slo, r.instance) for r in found.reasons) == sorted(
            (*each, facts[i].slo, facts[i].instance) for i, each in enumerate(wanted)
        )
        assert found.is_known == ("unknown" not in [name for _, name in wanted])


@given(policies(), FACTS, st.integers(0, WEEK - 1))
def test_every_instance_gets_a_verdict_and_a_reason_in_words(policy: Policy, facts: Facts, minute: int) -> None:
    (reason,) = decide(policy, [facts], minute).reasons
    assert reason.text and reason.rule in {UNKNOWN, *(rule.name for rule in policy.rules)}


WORSE = {
    "budget_remaining_ratio": RATIOS.map(lambda each: -each),
    "burn_rate": BURNS,
    "coverage_ratio": RATIOS.map(lambda each: -abs(each)),
    "burn_coverage_ratio": st.sampled_from((0.0, -0.03, -0.49, -0.5, -1.0)),
    "alert": st.sampled_from(Severity),
    "change_spent_ratio": SPENT,
}


@pytest.mark.parametrize("name", WORSE)
@given(policy=policies(), facts=FACTS, minute=st.integers(0, WEEK - 1), data=st.data())
def test_what_is_worse_never_opens(name: str, policy: Policy, facts: Facts, minute: int, data: Any) -> None:
    """Less budget, more burn, less coverage, a worse alert, a costlier change: the verdict stays, or gets stricter."""
    mild, bad = sorted(data.draw(st.tuples(WORSE[name], WORSE[name])))
    sign = -1 if name.endswith("_ratio") and name != "change_spent_ratio" else 1
    before, after = (facts._replace(**{name: each if name == "alert" else sign * each}) for each in (mild, bad))
    assert decide(policy, [after], minute).verdict >= decide(policy, [before], minute).verdict


@given(policies(), st.lists(FACTS, min_size=1, max_size=3), FACTS, st.integers(0, WEEK - 1))
def test_one_instance_more_never_opens(policy: Policy, facts: list[Facts], more: Facts, minute: int) -> None:
    assert decide(policy, [*facts, more], minute).verdict >= decide(policy, facts, minute).verdict


@given(policies(), FACTS, st.sampled_from(("budget", "burn", "few", "frozen", "stale")), st.integers(0, WEEK - 1))
def test_what_is_unknown_is_never_open(policy: Policy, facts: Facts, what: str, minute: int) -> None:
    unknown = {
        "budget": {"budget_remaining_ratio": None}, "burn": {"burn_rate": None, "burn_coverage_ratio": 0.0},
        "few": {"burn_coverage_ratio": 0.03}, "frozen": {"is_frozen": True}, "stale": {"staleness": "a backlog"},
    }[what]  # fmt: skip
    found = decide(policy, [facts._replace(**unknown)], minute)
    assert found.verdict >= policy.unknown
    assert found.verdict > policy.unknown or not found.is_known


@given(policies(), st.lists(FACTS, max_size=3), st.sets(st.sampled_from("abc")), st.integers(0, WEEK - 1))
def test_an_slo_that_was_never_judged_is_unknown(
    policy: Policy, facts: list[Facts], known: set[str], minute: int
) -> None:
    before, after = decide(policy, facts, minute), decide(policy, facts, minute, known)
    never = known - {each.slo for each in facts}
    if facts and not never:
        assert after == before
    if never:
        assert {each.slo for each in after.reasons if each.text == "it has never been judged"} == never
        assert after.verdict >= max(policy.unknown, before.verdict) and not after.is_known


def test_an_slo_is_about_each_of_the_services_of_its_members() -> None:
    services = {"a": "chat", "b": "search", "both": "chat,search", "c": "chatter"}
    assert promised(services, "chat") == {"a", "both"}
    assert promised(services, "chat,search") == set()


def first(decision: Decision) -> tuple[str, str, str]:
    reason = decision.reasons[0]
    return decision.verdict.word, reason.rule, reason.text


@pytest.mark.parametrize(
    ("facts", "minute", "expected"),
    [
        pytest.param(
            WELL, TUESDAY,
            ("open", "otherwise", "nothing speaks against it: 80 % of the budget left; burns at 0.3x over 5 min"),
            id="all is well",
        ),
        pytest.param(
            WELL._replace(alert=Severity.CRITICAL), TUESDAY,
            ("frozen", "critical-alert", "what burns is mended first: a critical alert is open"), id="it pages",
        ),
        pytest.param(
            WELL._replace(budget_remaining_ratio=0.0), TUESDAY,
            ("frozen", "budget-spent", "the error budget is spent, so only what restores it may go out: "
             "0 % of the budget left"), id="exactly spent",
        ),
        pytest.param(
            WELL._replace(alert=Severity.WARNING), TUESDAY,
            ("caution", "open-alert", "somebody is at work on it: a warning alert is open"), id="a ticket",
        ),
        pytest.param(
            WELL._replace(burn_rate=2.0), TUESDAY,
            ("caution", "burning", "the budget burns now: burns at 2x over 5 min"), id="exactly at the factor",
        ),
        pytest.param(
            WELL._replace(budget_remaining_ratio=0.25), TUESDAY,
            ("caution", "little-budget", "little of the error budget is left: 25 % of the budget left"), id="a quarter",
        ),
        pytest.param(
            WELL._replace(change="vllm 0.9.1", change_spent_ratio=0.2), TUESDAY,
            ("frozen", "costly-change", "what was changed last is taken back first: "
             "'vllm 0.9.1' made it worse, for 20 % of the budget so far"), id="a change cost much",
        ),
        pytest.param(
            WELL._replace(change="vllm 0.9.1", change_spent_ratio=0.004), TUESDAY,
            ("caution", "bad-change", "the last change may have to be taken back: "
             "'vllm 0.9.1' made it worse, for 0.4 % of the budget so far"), id="a change made it worse",
        ),
        pytest.param(
            WELL._replace(coverage_ratio=0.05), TUESDAY,
            ("caution", "gaps", "too little is measured to tell a bad change from a good one: "
             "5 % of its window has data"), id="gaps",
        ),
        pytest.param(
            WELL._replace(budget_remaining_ratio=0.5), FRIDAY,
            ("caution", "weekend", "half of the budget is spent, and few people are there: 50 % of the budget left; "
             "it is Fri 17:00"), id="Friday evening",
        ),
        pytest.param(
            WELL._replace(budget_remaining_ratio=0.5), FRIDAY - 61,
            ("open", "otherwise", "nothing speaks against it: 50 % of the budget left; burns at 0.3x over 5 min"),
            id="Friday before four",
        ),
        pytest.param(
            WELL._replace(burn_rate=None), TUESDAY,
            ("open", "otherwise", "nothing speaks against it: 80 % of the budget left"),
            id="nobody asked anything for five minutes, and that is known",
        ),
        pytest.param(
            WELL._replace(burn_rate=None, burn_coverage_ratio=0.0), TUESDAY,
            ("caution", UNKNOWN, "no data of the last 5 min"), id="a silent source",
        ),
        pytest.param(
            WELL._replace(budget_remaining_ratio=None, staleness="nothing has been judged for 10 min"), TUESDAY,
            ("caution", UNKNOWN, "nothing has been judged for 10 min; no data: nothing was eligible in its window"),
            id="nobody judges",
        ),
        pytest.param(
            WELL._replace(burn_rate=3.0, staleness="nothing has been judged for 3 d"), TUESDAY,
            ("caution", UNKNOWN, "the budget burns now: burns at 3x over 5 min; nothing has been judged for 3 d"),
            id="a rule of caution is not sure of what is not of now",
        ),
        pytest.param(
            WELL._replace(burn_coverage_ratio=0.03), TUESDAY,
            ("caution", UNKNOWN, "data of only 3 % of the last 5 min"), id="hardly anything was measured",
        ),
        pytest.param(
            WELL._replace(alert=Severity.CRITICAL, is_frozen=True), TUESDAY,
            ("frozen", "critical-alert", "what burns is mended first: a critical alert is open; too little data to "
             "judge it"), id="what is known decides where it is stricter",
        ),
    ],
)  # fmt: skip
def test_the_default_policy(facts: Facts, minute: int, expected: tuple[str, str, str]) -> None:
    assert first(decide(DEFAULT, [facts], minute)) == expected


def test_the_worst_instance_decides_and_comes_first_and_every_reason_is_listed() -> None:
    spent, burning = WELL._replace(slo="b", budget_remaining_ratio=-1.0), WELL._replace(slo="c", burn_rate=3.0)
    found = decide(DEFAULT, [WELL, burning, spent], TUESDAY)
    assert found.verdict is Verdict.FROZEN
    assert [(reason.slo, reason.verdict.word) for reason in found.reasons] == [
        ("b", "frozen"), ("c", "caution"), ("chat-ttft", "open"),
    ]  # fmt: skip


def test_a_service_without_any_judgement_is_unknown() -> None:
    assert first(decide(DEFAULT, [], TUESDAY)) == ("caution", UNKNOWN, "no SLO of it has ever been judged")


@pytest.mark.parametrize(
    ("at", "zone", "text"),
    [
        pytest.param(datetime(2026, 11, 27, 15, 5, tzinfo=UTC), "UTC", "Fri 15:05", id="UTC"),
        pytest.param(datetime(2026, 11, 27, 15, 5, tzinfo=UTC), "Europe/Berlin", "Fri 16:05", id="winter"),
        pytest.param(datetime(2026, 7, 31, 14, 5, tzinfo=UTC), "Europe/Berlin", "Fri 16:05", id="summer"),
        pytest.param(datetime(2026, 11, 29, 23, 30, tzinfo=UTC), "Asia/Kolkata", "Mon 05:00", id="a new week begins"),
    ],
)
def test_the_week_is_that_of_the_policy_s_time_zone(at: datetime, zone: str, text: str) -> None:
    assert clock(minute_of_week(at, zone)) == text


ROW = {
    "slo": "chat-ttft", "instance": "region=eu", "is_frozen": 0, "coverage_ratio": 1.0, "budget_remaining_ratio": 0.8,
    "burn_window_s": 300, "burn_rate": 0.3, "burn_coverage_ratio": 1.0, "severities": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {}, id="all is well"),
        pytest.param(
            {"severities": ["WARNING", "CRITICAL", "INFO"]}, {"alert": Severity.CRITICAL}, id="the worst alert"
        ),
        pytest.param({"is_frozen": 1}, {"is_frozen": True}, id="frozen"),
    ],
)
def test_a_row_is_facts(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert facts_of({**ROW, **changes}, "") == WELL._replace(**expected)
    assert facts_of({**ROW, **changes}, "a backlog").staleness == "a backlog"
