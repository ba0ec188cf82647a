"""The kernel's tables against sli.case_of over the whole product, and verdicts against definition 4.4."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from pipeline.kernels import classify
from pipeline.kernels.classify import NULL
from pipeline.sli import FAILURE_KINDS, METRICS, OUTCOMES, VERDICTS, Case, Kind, Verdict, case_of
from pipeline.unit import CASES, VERDICT_TABLE
from tests.naive.events import judge

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
    )
    assert tuple(Kind) == (classify.ERRORS, classify.E2E, classify.TTFT, classify.TPOT)
    assert FAILURE_KINDS[classify.FAILURE_NONE] == "NONE"
    assert FAILURE_KINDS[classify.FAILURE_TRUNCATED] == "TRUNCATED"


EVENT: dict[str, Any] = {
    "e2e_us": 100,
    "ttft_us": 40,
    "decode_us": None,
    "output_tokens": 4,
    "http_status": None,
}


@pytest.mark.parametrize("at_most", [True, False])
@pytest.mark.parametrize("threshold", [19, 20, 39, 40, 99, 100, 101])
@pytest.mark.parametrize("missing", [(), ("ttft_us",), ("output_tokens",)], ids=["all", "no ttft", "no tokens"])
def test_verdicts_follow_the_definition_line_by_line(at_most: bool, threshold: int, missing: tuple[str, ...]) -> None:
    """Every outcome, failure and status for every metric, with values on both sides of the threshold."""
    names = ["EXCLUDED", "GOOD", "BAD"]
    for (o, f, s, p), metric in product(PRODUCT, ("error_rate", "e2e", "ttft", "tpot")):
        event = {**EVENT, **dict.fromkeys(missing), "outcome": OUTCOMES[o], "failure_kind": FAILURE_KINDS[f]}
        event |= {"http_status": s, "priority": p}
        kind = METRICS[metric].kind
        case = case_of(OUTCOMES[o], FAILURE_KINDS[f], s, p)
        value, scale, known = 100, 1, True
        if kind == Kind.TTFT:
            value, known = event["ttft_us"] or 0, event["ttft_us"] is not None
        elif kind == Kind.TPOT:
            value, scale, known = 60, 3, not missing
        state = int(VERDICT_TABLE[case, int(known), kind])
        found = classify.verdict_of(state, value, scale, threshold, int(at_most) - 1, 100)
        assert names[int(found)].lower() == judge(event, metric, threshold, at_most)
