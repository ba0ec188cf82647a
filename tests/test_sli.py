"""The classification table against definition 4.4."""

import pytest

from pipeline.sli import METRICS, METRICS_LATER, OUTCOMES, VERDICTS, Case, Kind, Verdict, case_of

E, G, B, C, R, A = Verdict
NONE = (E,) * 7  #: of the latencies but e2e
BROKEN = (B, E, C, E, C, C, C, E, E)


@pytest.mark.parametrize(
    ("event", "case", "verdicts"),
    [
        pytest.param(("SUCCESS", "NONE", 200, 0), Case.COMPLETE, (G, *(C,) * 8), id="2xx complete"),
        pytest.param(("SUCCESS", "NONE", None, 0), Case.COMPLETE, (G, *(C,) * 8), id="complete, status unknown"),
        pytest.param(("SUCCESS", "TRUNCATED", 200, 0), Case.TRUNCATED, BROKEN, id="stream breaks under 200"),
        pytest.param(("ERROR", "TRUNCATED", 200, 0), Case.TRUNCATED, BROKEN, id="stream breaks"),
        pytest.param(("SUCCESS", "NONE", 500, 0), Case.ERROR, (B, E, *NONE), id="5xx whatever the outcome says"),
        pytest.param(("SUCCESS", "OOM", 200, 0), Case.ERROR, (B, E, *NONE), id="OOM under 200"),
        pytest.param(("ERROR", "NONE", None, 0), Case.ERROR, (B, E, *NONE), id="engine crash"),
        pytest.param(("TIMEOUT", "NONE", 504, 0), Case.TIMEOUT, (B, B, *NONE), id="deadline"),
        pytest.param(("CANCELLED", "NONE", 499, 0), Case.CANCELLED, (E, R, A, E, C, C, C, R, R), id="client abort"),
        pytest.param(("SHED", "NONE", 503, 0), Case.SHED, (B, E, *NONE), id="overload"),
        pytest.param(("SHED", "NONE", 429, -1), Case.SHED_SHEDDABLE, (E, E, *NONE), id="overload, sheddable"),
        pytest.param(("RATE_LIMITED", "NONE", 429, 0), Case.RATE_LIMITED, (E, E, *NONE), id="tenant quota"),
        pytest.param(("REJECTED", "NONE", 400, 0), Case.REJECTED, (E, E, *NONE), id="other 4xx"),
        pytest.param(("UNKNOWN", "NONE", None, 0), Case.UNKNOWN, (E, E, *NONE), id="unknown to us"),
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


def test_the_catalogue_names_each_metric_once() -> None:
    assert not set(METRICS) & set(METRICS_LATER)
    assert {m.kind for m in METRICS.values()} == set(Kind)
    assert {m.name for m in METRICS.values() if not m.has_threshold} == {"error_rate", "availability"}
