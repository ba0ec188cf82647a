"""The classification table against definition 4.4."""

import pytest

from pipeline.sli import METRICS, OUTCOMES, VERDICTS, Case, Kind, Verdict, case_of

E, G, B, C, R, A, J, U, S, M = Verdict
NONE = (E,) * 7  #: of the latencies but e2e
BROKEN = (B, E, C, E, C, C, C, E, E)
#: SHED ATTEMPT RUNNING GOODPUT SERVED TOKENS COST of what was let in and did not end well, was dropped, was turned away
FAILED, DROPPED, TURNED_AWAY = (G, C, C, B, B, S, S), (B, C, E, B, B, S, S), (E, E, *NONE, E, C, E, E, E, E, S)
COMPLETE = (G, *(C,) * 8, G, C, C, J, G, S, S)
STREAM_BROKE, ERRED = (*BROKEN, *FAILED), (B, E, *NONE, *FAILED)
BROKEN_OFF = (E, R, A, E, C, C, C, R, R, E, C, C, U, E, M, S)


@pytest.mark.parametrize(
    ("event", "case", "verdicts"),
    [
        pytest.param(("SUCCESS", "NONE", 200, 0), Case.COMPLETE, COMPLETE, id="2xx complete"),
        pytest.param(("SUCCESS", "NONE", None, 0), Case.COMPLETE, COMPLETE, id="complete, status unknown"),
        pytest.param(("SUCCESS", "TRUNCATED", 200, 0), Case.TRUNCATED, STREAM_BROKE, id="stream breaks under 200"),
        pytest.param(("ERROR", "TRUNCATED", 200, 0), Case.TRUNCATED, STREAM_BROKE, id="stream breaks"),
        pytest.param(("SUCCESS", "NONE", 500, 0), Case.ERROR, ERRED, id="5xx whatever the outcome says"),
        pytest.param(("SUCCESS", "OOM", 200, 0), Case.ERROR, ERRED, id="OOM under 200"),
        pytest.param(("ERROR", "NONE", None, 0), Case.ERROR, ERRED, id="engine crash"),
        pytest.param(("TIMEOUT", "NONE", 504, 0), Case.TIMEOUT, (B, B, *NONE, *FAILED), id="deadline"),
        pytest.param(("CANCELLED", "NONE", 499, 0), Case.CANCELLED, BROKEN_OFF, id="client abort"),
        pytest.param(("SHED", "NONE", 503, 0), Case.SHED, (B, E, *NONE, *DROPPED), id="overload"),
        pytest.param(("SHED", "NONE", 429, -1), Case.SHED_SHEDDABLE, (E, E, *NONE, *DROPPED), id="overload, sheddable"),
        pytest.param(("RATE_LIMITED", "NONE", 429, 0), Case.RATE_LIMITED, TURNED_AWAY, id="tenant quota"),
        pytest.param(("REJECTED", "NONE", 400, 0), Case.REJECTED, TURNED_AWAY, id="other 4xx"),
        pytest.param(("UNKNOWN", "NONE", None, 0), Case.UNKNOWN, TURNED_AWAY, id="unknown to us"),
    ],
)
def test_an_event_has_the_case_and_verdicts_of_the_definition(
    event: tuple[str, str, int | None, int], case: Case, verdicts: tuple[Verdict, ...]
) -> None:
    assert case_of(*event) is case
    assert VERDICTS[case] == verdicts


def test_every_outcome_has_a_case_and_every_case_an_outcome() -> None:
    kinds, statuses, priorities = ("NONE", "TRUNCATED", "OTHER"), (200, 500), (-1, 0)
    found = {case_of(o, k, s, p) for o in OUTCOMES for k in kinds for s in statuses for p in priorities}
    assert found == set(Case)


#: definition 3 and 4.3: what there is to promise
CATALOGUE = {
    "e2e", "throughput_rps", "throughput_tps", "availability", "error_rate", "ttft", "tpot", "concurrency",
    "cost_per_1k_tokens", "ttfo", "queue", "prefill", "decode", "itl_max", "goodput", "shed_rate",
    "retry_amplification",
}  # fmt: skip


def test_the_catalogue_is_that_of_the_definition() -> None:
    assert set(METRICS) == CATALOGUE
    assert {m.kind for m in METRICS.values()} == set(Kind)


def test_a_metric_has_a_threshold_where_there_is_a_value_to_compare() -> None:
    plain = {"error_rate", "availability", "goodput", "shed_rate", "retry_amplification"}
    assert {m.name for m in METRICS.values() if not m.has_threshold} == plain
    assert {m.name for m in METRICS.values() if m.unit == "1"} == plain
    assert {m.name for m in METRICS.values() if m.is_of_slices} == {
        "throughput_rps", "throughput_tps", "cost_per_1k_tokens"
    }  # fmt: skip
