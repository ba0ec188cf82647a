"""The kernel's tables against sli.case_of over the whole product, and verdicts against definition 4.4 and policies."""

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bindings import own_verdicts, rule_of
from pipeline.kernels import classify
from pipeline.kernels.classify import NULL
from pipeline.sli import (
    BETWEEN_TOKENS,
    FAILURE_KINDS,
    FIELD_OF,
    LEFT_TO_DECIDE,
    METRICS,
    OUTCOMES,
    SUMS,
    VERDICTS,
    Case,
    Kind,
    Verdict,
    case_of,
)
from pipeline.slo import Indicator
from pipeline.spec.classification import CASES as POLICY_CASES
from pipeline.unit import CASES, VERDICT_TABLE
from tests.naive.events import judged

STATUSES = (None, 0, 200, 429, 499, 500, 503, 599)
PRODUCT = list(product(range(len(OUTCOMES)), range(len(FAILURE_KINDS)), STATUSES, (-1, 0, 1)))


def test_every_combination_has_the_case_of_the_table() -> None:
    outcomes, kinds, statuses, priorities = zip(*PRODUCT, strict=True)
    out = np.empty(len(PRODUCT), np.int64)
    http = np.array([NULL if s is None else s for s in statuses], np.int64)
    classify.cases_of(np.array(outcomes), np.array(kinds), http, np.array(priorities), CASES, out)
    assert [int(x) for x in out] == [case_of(OUTCOMES[o], FAILURE_KINDS[k], s, p) for o, k, s, p in PRODUCT]


def test_the_table_of_verdicts_is_total() -> None:
    assert set(VERDICTS) == set(Case) and {len(v) for v in VERDICTS.values()} == {len(Kind)}


def test_codes_of_the_kernel_are_those_of_the_tables() -> None:
    assert tuple(Verdict) == (
        classify.EXCLUDED,
        classify.GOOD,
        classify.BAD,
        classify.COMPARE,
        classify.CENSORED,
        Verdict.AWAITED,
        classify.JOINT,
        classify.UNFINISHED,
        classify.SUM,
        classify.AMOUNT,
    )
    assert tuple(Kind) == tuple(getattr(classify, kind.name) for kind in Kind)
    assert Verdict.AWAITED not in {left for both in LEFT_TO_DECIDE.values() for left in both}  # the kernel knows none
    assert FAILURE_KINDS[classify.FAILURE_NONE] == "NONE"
    assert FAILURE_KINDS[classify.FAILURE_TRUNCATED] == "TRUNCATED"


EVENT: dict[str, Any] = {
    "e2e_us": 100,
    "ttft_us": 40,
    "decode_us": None,
    "queue_us": 40,
    "itl_max_us": 20,
    "output_tokens": 4,
    **dict.fromkeys(("ttfo_us", "prefill_us"), 30),
    "http_status": None,
    "adm_running": 40,
    "attempt": 1,
    "stream": True,
}
NAMES = ["excluded", "good", "bad"]
FEWER = list(product(range(len(OUTCOMES)), range(len(FAILURE_KINDS)), (None, 200, 499, 500), (-1, 0)))
packed = cache(own_verdicts)


def found(event: dict[str, Any], indicator: Indicator) -> str:
    """What the kernel says, given the event's value for the metric as the fold finds it."""
    case = case_of(event["outcome"], event["failure_kind"], event["http_status"], event["priority"])
    value, scale, known, kind = event["e2e_us"], 1, True, METRICS[indicator.metric].kind
    if indicator.metric == "ttft" and event["ttft_us"] is None:
        known = False  # and the value what elapsed
    elif indicator.metric == "ttft":
        value = event["ttft_us"]
    elif kind in FIELD_OF:
        value, few = event[FIELD_OF[kind]] or 0, kind in BETWEEN_TOKENS and event["output_tokens"] in {0, 1}
        known = event[FIELD_OF[kind]] is not None and not few
    elif indicator.metric == "retry_amplification":
        value = event["attempt"]
    elif indicator.metric == "tpot":
        value, scale, known = 60, 3, event["ttft_us"] is not None and (event["output_tokens"] or 0) >= 2
    state = int(classify.moved(packed(indicator), int(case), int(VERDICT_TABLE[case, int(known), kind])))
    _, threshold, at_least, *_ = rule_of(indicator)
    verdict = classify.verdict_of(state, value, scale, threshold, at_least)
    return NAMES[int(verdict)]


@pytest.mark.parametrize("at_most", [True, False])
@pytest.mark.parametrize("threshold", [19, 20, 39, 40, 99, 100, 101])
@pytest.mark.parametrize(
    "missing", [(), ("ttft_us", "queue_us"), ("output_tokens",)], ids=["all", "neither ttft nor queue", "no tokens"]
)
def test_verdicts_follow_the_definition_line_by_line(at_most: bool, threshold: int, missing: tuple[str, ...]) -> None:
    """Every outcome, failure and kind of status for every metric, with values on both sides of the threshold."""
    metrics = ("error_rate", "e2e", "ttft", "tpot", "queue", "itl_max", "concurrency")  # one of those that go alike
    indicators = [Indicator(metric, threshold, at_most) for metric in metrics]
    for (o, f, s, p), indicator in product(FEWER, indicators):
        event = {**EVENT, **dict.fromkeys(missing), "outcome": OUTCOMES[o], "failure_kind": FAILURE_KINDS[f]}
        event |= {"http_status": s, "priority": p}
        assert found(event, indicator) == judged(event, indicator)


#: those of one value; others are in test_verdicts.py
ONE_VALUE = [m.name for m in METRICS.values() if m.kind not in {Kind.GOODPUT, *SUMS}]
FEW = {"attempt": 2, "output_tokens": 1, "decode_us": 99, "ttfo_us": 41, "prefill_us": 39}
POLICIES = st.dictionaries(st.sampled_from([*POLICY_CASES.values()]), st.sampled_from([Verdict.BAD, Verdict.EXCLUDED]))


@settings(max_examples=40)
@given(POLICIES, st.sampled_from(ONE_VALUE), st.booleans(), st.sampled_from([{}, {"ttft_us": None}, FEW]))
def test_a_policy_moves_its_cases_and_no_other(
    policy: dict[Case, Verdict], metric: str, at_most: bool, changed: dict[str, Any]
) -> None:
    usual = Indicator(metric, 40, at_most) if METRICS[metric].has_threshold else Indicator(metric)
    own = replace(usual, verdicts=tuple(sorted(policy.items())))
    for o, f, p in product(OUTCOMES, ("NONE", "OOM", "TRUNCATED"), (-1, 0)):
        event = {**EVENT, **changed, "outcome": o, "failure_kind": f, "priority": p}
        moved = policy.get(case_of(o, f, None, p))
        assert found(event, own) == judged(event, own)
        assert found(event, own) == (found(event, usual) if moved is None else moved.name.lower())


def test_policies_of_all_cases_fit_in_a_rule() -> None:
    assert classify.OWN_BITS * len(Case) < 63
    assert Verdict.BAD + 1 < 1 << classify.OWN_BITS
