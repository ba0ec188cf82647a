"""What the fold makes of one event for metrics of several values, of attempts and of sums, case by case.

Every event of every kind is judged against the oracle in tests/test_ingest.py.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.kernels.verdicts import GREATEST_OWN_MS
from pipeline.sli import OUTCOMES, Case, Verdict
from pipeline.slo import Indicator, Objective, Ratio
from tests.compiled import KERNELS
from tests.event_samples import OF_ALL_SORTS, objectives
from tests.ingest_reading import block_of, framed
from tests.naive import events as naive

#: a streamed reply of four tokens: the first after 400 ms, 100 ms each, 700 ms in all
EVENT: dict[str, Any] = {
    "event_id": "e", "request_id": "r", "emitted_at": 0, "service": "alone", "request_model": "m",
    "received_at": 0, "completed_at": 5_000_000, "e2e_us": 700_000, "ttft_us": 400_000, "output_tokens": 4,
    "outcome": "SUCCESS", "attempt": 1, "cost_picousd": None, "stream": True,
}  # fmt: skip
READ = naive.read(naive.write(EVENT)) or {}  #: with every field
LIMITS = Indicator("goodput", objectives=(("e2e", 700_000), ("tpot", 100_000), ("ttft", 400_000)))
STRICT = Indicator("goodput", objectives=LIMITS.objectives, is_strict=True)
ASKED = Indicator("goodput", objectives=(("tpot", None), ("ttft", None)))
SHED, RETRIES = Indicator("shed_rate"), Indicator("retry_amplification", final_attempts_only=False)
RUNNING = Indicator("concurrency", 64)
SERVED = Indicator("throughput_rps", 1, at_most=False)
TOKENS = Indicator("throughput_tps", 1, at_most=False)
COST = Indicator("cost_per_1k_tokens", 1, final_attempts_only=False)
GOOD, BAD, LEFT_OUT, NOTHING = (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)
REPLY = {"stream": False, "ttft_us": None}  # not streamed
MUTE = {"stream": True, "ttft_us": None}  # streamed, and nothing came


LENIENT = Indicator("goodput", objectives=LIMITS.objectives, verdicts=((Case.SHED_SHEDDABLE, Verdict.EXCLUDED),))
MINE = (LIMITS, STRICT, ASKED, SHED, RETRIES, RUNNING, SERVED, TOKENS, COST, LENIENT, *OF_ALL_SORTS.values())


@pytest.fixture(scope="module")
def fold() -> EventFold:
    """With the columns and labels of the fold of tests/test_ingest.py, so that both are compiled once."""
    mine = [Objective(str(i), "alone", each, Ratio(9, 10), 86_400_000_000) for i, each in enumerate(MINE)]
    return EventFold(FoldSpec(), (*objectives(), *mine), SINGLE_OBJECT, KERNELS)


def counted(fold: EventFold, indicator: Indicator, event: dict[str, Any]) -> tuple[int, int, int]:
    """(good, bad, excluded) that one event adds."""
    fold.add(block_of(framed([event])))
    columns, name = fold.take(), str(MINE.index(indicator))
    places = [place for place, each in enumerate(fold.bindings.instances) if each.slo == name]
    mine = [int(place) in places for place in columns.instance_place]
    good, bad, excluded = (int(column[mine].sum()) for column in (columns.good, columns.bad, columns.excluded))
    return good, bad, excluded


@pytest.mark.parametrize(
    ("indicator", "changed", "expected"),
    [
        pytest.param(LIMITS, {}, GOOD, id="within all of its objectives"),
        pytest.param(LIMITS, {"e2e_us": 700_001}, BAD, id="over one of them"),
        pytest.param(LIMITS, {"ttft_us": 400_001}, BAD, id="over another"),
        pytest.param(LIMITS, {"decode_us": 300_001}, BAD, id="over the last, by a third of a microsecond a token"),
        pytest.param(LIMITS, REPLY, GOOD, id="what does not apply is passed over"),
        pytest.param(STRICT, {}, GOOD, id="strict, with all values"),
        pytest.param(STRICT, REPLY, BAD, id="strict, without a first token"),
        pytest.param(STRICT, {"output_tokens": 1}, BAD, id="strict, of one token"),
        pytest.param(LIMITS, {"outcome": "SHED"}, BAD, id="dropping raises no goodput"),
        pytest.param(LIMITS, {"outcome": "SHED", "priority": -1}, BAD, id="nor does dropping what may be dropped"),
        pytest.param(LIMITS, {"outcome": "TIMEOUT"}, BAD, id="a deadline"),
        pytest.param(LIMITS, {"failure_kind": "TRUNCATED"}, BAD, id="a stream that broke in time"),
        pytest.param(LIMITS, {"outcome": "RATE_LIMITED"}, LEFT_OUT, id="over the tenant's quota"),
        pytest.param(LIMITS, {"outcome": "CANCELLED"}, LEFT_OUT, id="broken off in time"),
        pytest.param(LIMITS, {"outcome": "CANCELLED", "e2e_us": 700_001}, BAD, id="broken off too late"),
        pytest.param(LIMITS, {"outcome": "CANCELLED", "ttft_us": 400_001}, BAD, id="broken off after a late token"),
        pytest.param(LIMITS, {"outcome": "CANCELLED", **MUTE}, BAD, id="broken off, waiting for a token too long"),
        pytest.param(LIMITS, {"outcome": "CANCELLED", **REPLY}, LEFT_OUT, id="broken off, waiting for no token"),
        pytest.param(STRICT, {"outcome": "CANCELLED", **MUTE, "e2e_us": 400_000}, LEFT_OUT, id="broken off before"),
        pytest.param(LENIENT, {"outcome": "SHED", "priority": -1}, LEFT_OUT, id="a policy goes first"),
        pytest.param(LENIENT, {"outcome": "SHED"}, BAD, id="and no further"),
        pytest.param(LIMITS, {"final_attempt": False}, NOTHING, id="an attempt that was retried"),
        pytest.param(LIMITS, {"sample_weight": 7}, (7, 0, 0), id="for seven"),
        pytest.param(ASKED, {"slo_ttft_ms": 400, "slo_tpot_ms": 100}, GOOD, id="as asked"),
        pytest.param(ASKED, {"slo_ttft_ms": 399, "slo_tpot_ms": 100}, BAD, id="later than asked"),
        pytest.param(ASKED, {"slo_ttft_ms": 400, "slo_tpot_ms": 99}, BAD, id="slower than asked"),
        pytest.param(ASKED, {}, GOOD, id="nothing asked"),
        pytest.param(ASKED, {"slo_ttft_ms": 0, "slo_tpot_ms": -1}, GOOD, id="nothing that could be asked"),
        pytest.param(ASKED, {"slo_ttft_ms": GREATEST_OWN_MS + 1, "ttft_us": 1000 * GREATEST_OWN_MS + 1}, BAD,
                     id="an hour is the most to ask for"),
        pytest.param(SHED, {"outcome": "SHED"}, BAD, id="shed"),
        pytest.param(SHED, {"outcome": "ERROR"}, GOOD, id="failed, but let in"),
        pytest.param(SHED, {"outcome": "REJECTED"}, LEFT_OUT, id="turned away for another reason"),
        pytest.param(RETRIES, {}, GOOD, id="a first attempt"),
        pytest.param(RETRIES, {"attempt": 2, "outcome": "RATE_LIMITED"}, BAD, id="one more, whatever became of it"),
        pytest.param(RUNNING, {"adm_running": 64}, GOOD, id="at the limit"),
        pytest.param(RUNNING, {"adm_running": 65, "outcome": "ERROR"}, BAD, id="over it, whatever became of it"),
        pytest.param(RUNNING, {}, LEFT_OUT, id="nobody looked"),
        pytest.param(RUNNING, {"adm_running": 65, "outcome": "SHED"}, LEFT_OUT, id="not let in"),
        pytest.param(SERVED, {}, GOOD, id="served"),
        pytest.param(SERVED, {"outcome": "SHED", "priority": -1}, BAD, id="offered, and not served"),
        pytest.param(TOKENS, {"sample_weight": 10}, (40, 10, 0), id="forty tokens of ten requests"),
        pytest.param(TOKENS, {"outcome": "CANCELLED"}, (4, 0, 0), id="tokens of nobody who waits"),
        pytest.param(TOKENS, {"outcome": "CANCELLED", "output_tokens": None}, LEFT_OUT, id="nobody, and nothing"),
        pytest.param(TOKENS, {"outcome": "SHED", "output_tokens": None}, BAD, id="offered, without a token"),
        pytest.param(TOKENS, {"outcome": "REJECTED"}, LEFT_OUT, id="not offered at all"),
        pytest.param(COST, {"cost_picousd": 5_000}, (5_000, 4, 0), id="cost, and what it bought"),
        pytest.param(COST, {"cost_picousd": 5_000, "outcome": "ERROR", "final_attempt": False, "output_tokens": None},
                     (5_000, 0, 0), id="what failed and was retried costs too"),
        pytest.param(COST, {"output_tokens": 0}, LEFT_OUT, id="nothing, for nothing"),
    ],
)  # fmt: skip
def test_an_event_counts_as_the_definition_says(
    fold: EventFold, indicator: Indicator, changed: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    assert counted(fold, indicator, EVENT | changed) == expected


def test_sums_stop_at_the_most_that_two_of_fit_into_64_bits_and_it_is_counted(fold: EventFold) -> None:
    """Of one series, and of two that are one instance."""
    dear = EVENT | {"cost_picousd": 1 << 53, "output_tokens": 0}
    fold.add(block_of(framed([dear] * 513)))
    fold.add(block_of(framed([dear | {"request_model": "another"}] * 512)))
    columns, name = fold.take(), str(MINE.index(COST))
    places = [place for place, each in enumerate(fold.bindings.instances) if each.slo == name]
    mine = [int(place) in places for place in columns.instance_place]
    assert (columns.good[mine].tolist(), columns.bad[mine].tolist()) == ([1 << 62], [0])
    assert columns.clipped == 1 + 1


@settings(max_examples=10 if config.DISABLE_JIT else 50)
@given(
    st.sampled_from([*OF_ALL_SORTS]), st.sampled_from(OUTCOMES), st.sampled_from(("NONE", "OOM", "TRUNCATED")),
    st.sampled_from((-1, 0)), st.fixed_dictionaries({
        name: st.none() | st.sampled_from((0, 1, 127, 128, 129, 1_000_000, 1_000_001, 2_000_001))
        for name in ("ttft_us", "queue_us", "decode_us", "itl_max_us", "slo_ttft_ms", "slo_tpot_ms", "adm_running")
    }),
    st.sampled_from((None, 0, 1, 2, 1_001)),
)  # fmt: skip
def test_objectives_are_met_as_the_oracle_says(fold, name, outcome, failure, priority, values, tokens) -> None:
    indicator = OF_ALL_SORTS[name]
    event = READ | values | {"outcome": outcome, "failure_kind": failure, "priority": priority, "vantage": "GATEWAY"}
    event["output_tokens"] = tokens
    expected = naive.tally(event, indicator)
    found = counted(fold, indicator, event)
    assert found == tuple(expected.get(each, 0) for each in ("good", "bad", "excluded"))
