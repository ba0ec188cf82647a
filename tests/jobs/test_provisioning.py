"""Too much or too little: verdicts as a table, and that nobody who breaks a promise is told to save."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.report.document import markdown
from jobs.report.findings import report_of
from jobs.report.provisioning import ELSEWHERE, OVER, RIGHT, UNDER, UNKNOWN, Provision, blocks, provisions
from tests.jobs.test_report import OCTOBER, Gathered

SERVICE = "chat"
USD = 10**12
#: 10 USD an hour for replicas, 6 of them for nothing; 2 USD an hour metered
MONEY = {
    "service": SERVICE, "metered_picousd": 20 * USD, "paid_picousd": 100 * USD, "idle_picousd": 60 * USD,
    "split_picousd": 100 * USD, "hours": 10, "paid_hours": 10,
}  # fmt: skip
MONTH_USD = 7_300


def findings(good: int, bad: int) -> Any:
    """One SLO of 99 % with these counts."""
    promised = [{"slo": "s", "service": SERVICE, "target": 0.99, "sla_target": None, "instance": "", "labels": {}}]
    totals = {("s", ""): {"good": good, "bad": bad, "minutes": 60}}
    gathered = Gathered(OCTOBER.end_s, promised, {"s": "REQUESTS"}, totals, {"s": 1}, {}, [], [], {}, {}, {})
    return report_of(gathered, OCTOBER, {}).findings


def capacity(headroom: float | None) -> dict[str, Any]:
    inputs = {} if headroom is None else {"headroom_ratio": headroom}
    return {"service": SERVICE, "model": "m", "name": "capacity", "scope": "", "state": "measured", "value": 8.0,
            "inputs": inputs, "details": {}}  # fmt: skip


def frontier(state: str, value: float = 0.0, **inputs: float) -> dict[str, Any]:
    known = {"usd_per_1k_tokens": 0.004, "usd_an_hour": 10.0, **inputs}
    details = {"beaten_by": "b@2", "stricter": "fast", "looser": "slow", "latency": "e2e"}
    return {"service": SERVICE, "model": "m", "name": "frontier", "scope": "standard/v", "state": state, "value": value,
            "inputs": known, "details": details}  # fmt: skip


KEPT, SPENT, BROKEN = (1_000, 1), (991, 9), (900, 100)
ROOM, TIGHT = capacity(1.0), capacity(-0.2)
BEATEN = frontier("dominated", 0.3)
SLOWER = frontier("on_frontier", looser_usd_per_1k_tokens=0.003, looser_p99_us=900_000.0)
FASTER = frontier("breaking", stricter_usd_per_1k_tokens=0.005)


@pytest.mark.parametrize(
    ("counts", "signals", "verdict", "worth"),
    [
        pytest.param(KEPT, [ROOM], OVER, [0.5 * MONTH_USD], id="twice the replicas that it needs"),
        pytest.param(KEPT, [BEATEN], OVER, [0.3 * MONTH_USD], id="what runs is beaten"),
        pytest.param(KEPT, [SLOWER], OVER, [0.25 * MONTH_USD], id="budget for a slower one"),
        pytest.param(KEPT, [SLOWER, ROOM], OVER, [0.5 * MONTH_USD, 0.25 * MONTH_USD], id="the most worth first"),
        pytest.param(KEPT, [capacity(0.02)], RIGHT, [], id="no room worth a change"),
        pytest.param(KEPT, [frontier("undecided", 0.3)], RIGHT, [], id="what may be luck"),
        pytest.param(KEPT, [], RIGHT, [], id="nothing is known of load"),
        pytest.param(SPENT, [ROOM, BEATEN, SLOWER], RIGHT, [], id="no budget to spare"),
        pytest.param(BROKEN, [TIGHT], UNDER, [-0.25 * MONTH_USD], id="too few replicas"),
        pytest.param(BROKEN, [ROOM, FASTER], UNDER, [-0.25 * MONTH_USD], id="too slow a configuration"),
        pytest.param(BROKEN, [ROOM, BEATEN], ELSEWHERE, [None], id="it is not load"),
        pytest.param(BROKEN, [], ELSEWHERE, [None], id="nobody knows whether it is load"),
        pytest.param((0, 0), [ROOM], UNKNOWN, [], id="no data"),
    ],
)
def test_what_a_service_should_do(
    counts: tuple[int, int], signals: list[dict[str, Any]], verdict: str, worth: list[float | None]
) -> None:
    (found,) = provisions(findings(*counts), [MONEY], signals)
    assert found.verdict == verdict
    assert [step.usd_a_month for step in found.steps] == [each and pytest.approx(each) for each in worth]
    assert (found.paid_usd, found.metered_usd, found.idle_ratio) == (MONTH_USD, 1_460, 0.6)


some_signals = st.lists(
    st.one_of(
        st.builds(capacity, st.none() | st.floats(-0.9, 5)),
        st.builds(
            frontier, st.sampled_from(["on_frontier", "dominated", "undecided", "breaking"]), st.floats(0, 1),
            looser_usd_per_1k_tokens=st.floats(0.0001, 1), stricter_usd_per_1k_tokens=st.floats(0.005, 1),
        ),
    ),
    max_size=4,
)  # fmt: skip


@given(st.integers(0, 1_000), st.integers(0, 100), some_signals)
def test_who_breaks_a_promise_never_saves_and_who_keeps_them_never_buys(
    good: int, bad: int, signals: list[dict[str, Any]]
) -> None:
    (found,) = provisions(findings(good, bad), [MONEY], signals)
    is_broken = bad * 100 > good + bad
    assert bool(found.broken) == is_broken
    for step in found.steps:
        assert (step.usd_a_month or 0) <= 0 if is_broken else (step.usd_a_month or 0) > 0
    assert (found.verdict in {UNDER, ELSEWHERE}) == is_broken


def test_the_section_says_what_is_not_known() -> None:
    (unknown,) = provisions(findings(*KEPT), [], [])
    text = markdown(blocks([unknown]))
    assert (
        "What this costs is not known" in text and "| chat | right | 90 % | no data | no data | no data | - |" in text
    )
    (found,) = provisions(findings(*KEPT), [MONEY], [ROOM])
    text = markdown(blocks([found]))
    assert "7,300 USD | 60 % | 1,460 USD | +3,650 USD" in text and "saves 3,650 USD a month." in text
    (short,) = provisions(findings(*BROKEN), [MONEY], [TIGHT])
    assert "costs 1,825 USD a month." in markdown(blocks([short]))
    assert list(blocks([])) == [] and isinstance(short, Provision)
