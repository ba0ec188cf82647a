"""The fleet: the same events however time is cut, sound in themselves, and sick where an incident says so."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.fleet import Fleet, FleetSpec, Incident, load_scenario
from jobs.fleet.endings import SHOWN, Ending
from jobs.fleet.load import DAY_US, Layout
from pipeline.encoding import NULL, EventColumns, EventEncoder
from pipeline.sli import OUTCOMES
from schemas import HOME
from tests.jobs.decoded import decoded

START_US = 1_760_000_000_000_000
MINUTE_US = 60_000_000


def incident(kind: str, amount: float, start_m: float = 0, end_m: float = 10, **more: Any) -> Incident:
    return Incident("i", kind, round(start_m * MINUTE_US), round(end_m * MINUTE_US), amount, **more)


TROUBLED = FleetSpec(
    rate=60, tenants=4, zero_us=START_US, error_ratio=0.02,
    incidents=(incident("errors", 0.3, 0.2, 0.7), incident("traffic", 3, 0.1, 0.5)),
)  # fmt: skip


def bytes_of(events: EventColumns) -> list[bytes]:
    return EventEncoder().encode(events).records()


def words_of(events: EventColumns, name: str) -> np.ndarray:
    column = events[name]
    return np.array([*column.words, ""])[column.codes]


@settings(max_examples=15)
@given(st.lists(st.integers(0, 90_000_000), max_size=5))
def test_events_are_the_same_however_time_is_cut(cuts: list[int]) -> None:
    edges = [START_US, *(START_US + cut for cut in sorted(cuts)), START_US + 90_000_000]
    fleet = Fleet(TROUBLED, seed=5)
    pieces = [bytes_of(fleet.events(a, b)) for a, b in pairwise(edges)]
    whole = bytes_of(Fleet(TROUBLED, seed=5).events(edges[0], edges[-1]))
    assert [record for piece in pieces for record in piece] == whole


def test_another_seed_gives_other_events() -> None:
    one, other = (bytes_of(Fleet(TROUBLED, seed).events(START_US, START_US + MINUTE_US)) for seed in (1, 2))
    assert one and other and not set(one) & set(other)


def test_events_come_in_the_order_of_their_completion_and_within_the_stretch() -> None:
    at = Fleet(TROUBLED).events(START_US, START_US + MINUTE_US)["completed_at"]
    assert at[0] >= START_US and at[-1] < START_US + MINUTE_US and (np.diff(at) >= 0).all()


def test_every_event_is_sound_in_itself() -> None:
    overloaded = replace(TROUBLED, rate=200.0, incidents=(*TROUBLED.incidents, incident("capacity", 0.9)))
    events = decoded(Fleet(overloaded).events(START_US, START_US + 2 * MINUTE_US))
    assert len({event["event_id"] for event in events}) == len(events)
    for event in events:
        assert event["received_at"] + event["e2e_us"] == event["completed_at"] < event["emitted_at"], event
        assert 0 <= event["cached_input_tokens"] <= event["input_tokens"], event
        assert 0 <= event["reasoning_output_tokens"] <= event["output_tokens"], event
        assert event["event_id"][14] == "7", "UUIDv7"
        if not event["stream"]:
            assert event["ttft_us"] is None and event["decode_us"] is None, event
        if event["ttft_us"] is not None:
            assert 0 < event["ttft_us"] <= (event["ttfo_us"] or event["e2e_us"]) <= event["e2e_us"], event
            assert event["ttft_us"] + event["decode_us"] == event["e2e_us"], event
            assert (event["itl_max_us"] or 0) <= event["decode_us"], event
        if event["outcome"] in ("SHED", "RATE_LIMITED", "REJECTED"):
            assert event["cost_picousd"] == event["output_tokens"] == 0 and event["endpoint_id"] is None, event


def test_attempts_of_a_request_follow_one_another_and_only_the_last_is_final() -> None:
    events = decoded(Fleet(TROUBLED, 3).events(START_US - 2 * MINUTE_US, START_US + 6 * MINUTE_US))
    requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        requests[event["request_id"]].append(event)
    inside = [
        r for r in requests.values() if START_US < r[0]["completed_at"] < START_US + MINUTE_US and r[0]["attempt"] == 1
    ]
    for attempts in inside:
        assert [a["attempt"] for a in attempts] == list(range(1, len(attempts) + 1))
        assert [a["final_attempt"] for a in attempts] == [False] * (len(attempts) - 1) + [True]
        for before, after in pairwise(attempts):
            assert before["completed_at"] < after["received_at"] and before["outcome"] == "ERROR"
            same = ("tenant_id", "request_model", "region", "trace_id", "input_tokens", "stream")
            assert [before[name] for name in same] == [after[name] for name in same]
    assert {len(attempts) for attempts in inside} == {1, 2, 3}


def test_the_rate_is_the_mean_over_a_day() -> None:
    times = START_US // DAY_US * DAY_US + np.arange(0, DAY_US, 30_000_000)
    arrivals = Layout(FleetSpec(rate=1000), 0).conditions(times).arrivals.sum(axis=0)
    assert arrivals.mean() == pytest.approx(1000, rel=0.03)
    assert arrivals.max() > 1.15 * arrivals.mean() > 1.15 * arrivals.min()


def test_a_healthy_fleet_fails_less_than_one_request_in_a_thousand_and_starts_most_within_a_second() -> None:
    events = Fleet(FleetSpec(rate=20_000)).events(START_US, START_US + 5_000_000)
    outcomes = Counter(OUTCOMES[o] for o in events["outcome"].tolist())
    assert outcomes["ERROR"] + outcomes["TIMEOUT"] + outcomes["SHED"] < 0.0008 * len(events)
    ttft = events["ttft_us"][events["ttft_us"] != NULL]
    assert np.quantile(ttft, 0.995) < 1_000_000


def test_every_ending_occurs_and_says_what_the_table_says() -> None:
    spec = replace(
        TROUBLED, rate=20_000.0, error_ratio=0.05,
        incidents=(incident("traffic", 1.5), incident("capacity", 0.7),
                   incident("errors", 0.01, failure_kind="TIMEOUT")),
    )  # fmt: skip
    events = Fleet(spec).events(START_US, START_US + 8_000_000)
    distinct = np.stack([events["outcome"], events["failure_kind"], events["finish_reason"].codes])
    events = decoded(events.take(np.unique(distinct, axis=1, return_index=True)[1]))
    names = ("outcome", "http_status", "failure_kind", "error_type", "drop_reason", "finish_reason")
    table = {tuple(getattr(shown, name) for name in names) for shown in SHOWN.values()}
    assert {tuple(event[name] for name in names) for event in events} == table
    assert set(SHOWN) == set(Ending)
    assert {event["outcome"] for event in events} == set(OUTCOMES)


def error_ratio(events: EventColumns, chosen: np.ndarray) -> float:
    return float((events["outcome"][chosen] == OUTCOMES.index("ERROR")).mean())


def test_an_error_burst_hits_its_model_at_its_ratio_while_it_lasts_and_nobody_else() -> None:
    burst = load_scenario(HOME / "scenarios/error-burst.yaml").incidents
    fleet = Fleet(FleetSpec(rate=2000, zero_us=START_US, incidents=burst))
    before, during, after = (
        fleet.events(START_US + m * MINUTE_US, START_US + m * MINUTE_US + 10_000_000) for m in (9, 15, 21)
    )
    hit = (words_of(during, "request_model") == "llama-3.3-70b") & (during["attempt"] == 1) & during["final_attempt"]
    assert error_ratio(during, hit) == pytest.approx(0.15, abs=0.015)
    assert error_ratio(during, words_of(during, "request_model") != "llama-3.3-70b") < 0.002
    for calm in (before, after):
        assert error_ratio(calm, np.ones(len(calm), bool)) < 0.002
    at = during["completed_at"][hit & (during["outcome"] == OUTCOMES.index("ERROR"))]
    assert at.min() >= START_US + 10 * MINUTE_US


def test_an_incident_begins_and_ends_on_the_microsecond() -> None:
    edge = incident("errors", 1.0, 1, 2)
    spec = FleetSpec(rate=500, zero_us=START_US, incidents=(edge,), retry_ratio=0.0, error_ratio=0.0)
    events = Fleet(spec).events(START_US, START_US + 3 * MINUTE_US)
    since = events["completed_at"] - START_US
    inside = (since >= edge.start_us) & (since < edge.end_us)
    failed = events["outcome"] == OUTCOMES.index("ERROR")
    assert not failed[~inside].any() and failed[inside].mean() > 0.99  # the rest ran into a client's patience


def test_an_outage_recovers_gradually_and_cold() -> None:
    outage = incident("outage", 1.0, 1, 2, where=(("region", ("us-east",)),), recovers_us=2 * MINUTE_US)
    fleet = Fleet(FleetSpec(rate=500, zero_us=START_US, incidents=(outage,)))
    events = fleet.events(START_US, START_US + 5 * MINUTE_US)
    minute = (events["completed_at"] - START_US) // MINUTE_US
    east = words_of(events, "region") == "us-east"
    down = [error_ratio(events, east & (minute == m)) for m in range(5)]
    cold = [float(events["cold_start"][east & (minute == m)].mean()) for m in range(5)]
    assert down[0] < 0.01 and down[1] > 0.99 and down[1] > down[2] > down[3] > 0.1 and down[4] < 0.01
    assert min(cold[2:4]) > 20 * max(cold[0], 0.001) and cold[4] < 0.01
    assert error_ratio(events, ~east) < 0.01


def test_a_latency_regression_slows_what_it_names() -> None:
    slow = incident("latency", 3.0, where=(("request_model", ("gpt-oss-120b",)), ("variant", ("mi300x-bf16-tp1",))))
    events, calm = (
        Fleet(FleetSpec(rate=3000, zero_us=START_US, incidents=i)).events(START_US, START_US + 10_000_000)
        for i in ((slow,), ())
    )
    for variant, factor in (("mi300x-bf16-tp1", 3.0), ("h100-mxfp4-tp1", 1.0)):
        medians = []
        for e in (events, calm):
            chosen = (words_of(e, "request_model") == "gpt-oss-120b") & (words_of(e, "variant") == variant)
            medians.append(np.median(e["ttft_us"][chosen & (e["ttft_us"] != NULL)]))
        assert medians[0] / medians[1] == pytest.approx(factor, rel=0.1)


def test_tokens_take_longer_and_requests_wait_and_are_shed_as_load_grows() -> None:
    factors, waits, shed = [], [], []
    for load in (1.0, 1.5, 2.0, 4.0):
        spec = FleetSpec(rate=1000, zero_us=START_US, incidents=(incident("traffic", load),))
        state = Layout(spec, 0).conditions(np.array([START_US + 1]))
        factors.append(state.token_factor.mean())
        waits.append(state.wait_us.mean())
        shed.append(state.shed_ratio.mean())
    assert factors == sorted(factors) and waits == sorted(waits) and shed == sorted(shed)
    assert shed[0] == 0 and shed[-1] > 0.15 and waits[-1] > 100 * waits[0]


def test_the_full_fleet_has_hundreds_of_series() -> None:
    events = Fleet(FleetSpec(rate=20_000, tenants=25)).events(START_US, START_US + 5_000_000)
    labels = ("service", "request_model", "tenant_id", "region", "operation", "variant")
    series = set(zip(*(words_of(events, name).tolist() for name in labels), strict=True))
    assert 900 < len(series) <= 7 * 3 * 2 * 25


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"models": ("gpt-5",)}, id="unknown model"),
        pytest.param({"models": ()}, id="no model"),
        pytest.param({"rate": 0}, id="no rate"),
        pytest.param({"tenants": 0}, id="no tenant"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=r"models|rate"):
        FleetSpec(**options)
