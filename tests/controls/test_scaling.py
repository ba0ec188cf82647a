"""Law: enough for the load when a new replica would be ready; never fewer on what is not known; not to and fro."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.controls.capacity import AT_LEAST
from pipeline.controls.files import load
from pipeline.controls.pooling import step
from pipeline.controls.scaling import COLD_STARTS_EVERY_US, NAME, PoolSpec, ScaleSpec, ask, lead_s, recommend
from pipeline.controls.scaling_facts import COLD_STARTS, Facts
from pipeline.controls.signal import Signal
from pipeline.controls.table import CONTROLS
from pipeline.spec.problems import Refused
from tests.naive import scaling as naive

SPEC = ScaleSpec()
NOW_US = 1_800_000_000_000_000
RPS = 4.0  #: that a replica bears
CALM = Facts("chat", "m", "", 3.0, NOW_US - 3_000_000, (8.0,) * 30, ready=3.0, waiting=0.0, cold_start_s=90.0)


def told(name: str, value: float | None, scope: str = "", ttl_s: float = 120.0, **more: Any) -> Signal:
    return Signal(
        service="chat", model="m", name=name, scope=scope, value=value,
        state=more.pop("state", "unknown" if value is None else "told"),
        unit="", reason="", evaluated_at_us=more.pop("at_us", NOW_US), confidence=more.pop("confidence", None),
        expires_at_us=NOW_US + round(ttl_s * 1e6), **more,
    )  # fmt: skip


def before(value: float, ago_s: float = 3_600, went: str = "out", **details: str) -> Signal:
    at = {"changed_at_us": str(NOW_US - round(ago_s * 1e6)), "went": went}
    return told(NAME, value, details={**at, **details})


CAPACITY = told("capacity", 20.0, inputs={"rps_per_endpoint": RPS}, confidence=0.9)


def said(facts: Facts, *previous: Signal, spec: ScaleSpec = SPEC, capacity: Signal | None = CAPACITY) -> Signal:
    known = [*previous, *([capacity] if capacity else [])]
    return recommend(spec, {each.key: each for each in known}, facts, NOW_US)


RISING = tuple(20.0 - n / 5 for n in range(30))  #: 0.02 requests/s more each second
QUEUE = CALM._replace(waiting=240.0)
BURNING = CALM._replace(burn_rate=3.0, burn_slo="ttft", burn_window_s=300)
FORECAST = told("forecast", 18.0, "load:5m", inputs={"q90": 24.0, "horizon_s": 300.0, "step_s": 300.0})
SURE = told("forecast", 40.0, "load:15m", inputs={"q90": 41.0, "horizon_s": 900.0, "step_s": 300.0})
#: told of ten minutes ago: what 5 minutes on was is past, and 15 minutes on is in 5
LAST_RUN = told("forecast", 90.0, "load:5m", inputs={"horizon_s": 300.0, "at_s": NOW_US / 1e6 - 300})
SOON = told("forecast", 10.0, "load:15m", inputs={"q90": 36.0, "horizon_s": 900.0, "at_s": NOW_US / 1e6 + 300})
LATER = told("forecast", 10.0, "load:15m", inputs={"q90": 36.0, "horizon_s": 900.0, "step_s": 300.0})


@pytest.mark.parametrize(
    ("facts", "previous", "state", "value", "by"),
    [
        pytest.param(CALM, [], "steady", 3, "load", id="at first what is needed: 1.2 x 8 / 4"),
        pytest.param(CALM._replace(ready=5.0), [], "calming", 5, "load", id="at first no fewer than serve"),
        pytest.param(CALM._replace(ready=None), [], "steady", 3, "load", id="at first, no replicas known"),
        pytest.param(CALM, [before(3)], "steady", 3, "load", id="enough"),
        pytest.param(CALM, [before(2)], "out", 3, "load", id="too few"),
        pytest.param(CALM._replace(loads=(10.4,) * 30), [before(3)], "steady", 3, "load", id="hardly too few: 3.12"),
        pytest.param(CALM._replace(loads=(45.0, 44.0, *[8.0] * 28)), [before(3)], "out", 13, "load", id="a surge"),
        pytest.param(CALM._replace(loads=RISING), [before(3)], "out", 7, "trend", id="a rise, at the lead time"),
        pytest.param(QUEUE, [before(3)], "out", 4, "queue", id="a queue, to be gone within a minute: (9.6 + 4) / 4"),
        pytest.param(CALM, [before(3), FORECAST], "out", 6, "forecast", id="what a forecast fears: 24 / 4"),
        pytest.param(CALM, [before(3), FORECAST, LATER], "out", 9, "forecast", id="and for the step after it: 36 / 4"),
        pytest.param(CALM, [before(3), told("forecast", 90.0, "load:1m", inputs={"horizon_s": 60.0})], "steady", 3,
                     "load", id="a forecast of what comes before a replica could"),
        pytest.param(CALM, [before(3), LAST_RUN], "steady", 3, "load", id="a forecast of what is past by now"),
        pytest.param(CALM, [before(3), LAST_RUN, SOON], "out", 9, "forecast", id="or of what is soon"),
        pytest.param(CALM, [before(3), FORECAST, SURE], "out", 12, "forecast", id="or expects: 1.2 x 40 / 4"),
        pytest.param(BURNING, [before(3)], "out", 4, "latency", id="latency burns: 1.2 x the 3 that serve"),
        pytest.param(BURNING, [before(3, 200)], "steady", 3, "load", id="latency burns from before the last change"),
        pytest.param(BURNING._replace(burn_rate=0.9), [before(3)], "steady", 3, "load", id="burns within budget"),
        pytest.param(CALM, [before(9)], "in", 5, "load", id="far too many: half of them at once"),
        pytest.param(CALM, [before(4)], "in", 3, "load", id="one too many"),
        pytest.param(CALM._replace(loads=(*[8.0] * 24, *[16.0] * 6)), [before(9)], "in", 6, "load", id="as the peak"),
        pytest.param(CALM, [before(9, 500)], "calming", 9, "load", id="too soon after more were asked for"),
        pytest.param(CALM, [before(9, 50, "in")], "calming", 9, "load", id="too soon after fewer were"),
        pytest.param(CALM, [before(9, 70, "in")], "in", 5, "load", id="not too soon after fewer were"),
        pytest.param(BURNING, [before(9, 3600)], "calming", 9, "load", id="not while latency burns"),
        pytest.param(QUEUE, [before(9)], "calming", 9, "queue", id="not while requests wait"),
        pytest.param(CALM, [before(9), FORECAST], "in", 7, "forecast", id="not below what a forecast fears"),
        pytest.param(CALM._replace(loads=(0.0,) * 30), [before(2)], "in", 1, "load", id="no load: the least"),
    ],
)  # fmt: skip
def test_what_is_recommended(facts: Facts, previous: list[Signal], state: str, value: int, by: str) -> None:
    signal = said(facts, *previous)
    assert (signal.state, signal.value) == (state, value)
    if signal.state in ("out", "steady") and not (previous and previous[0].value == value):
        assert signal.details["by"] == by
    assert f"{value} replica" in signal.reason
    assert signal.expires_at_us == NOW_US + 120_000_000


STALE = CALM._replace(age_s=61.0, loads=(0.0,) * 30)


@pytest.mark.parametrize(
    ("facts", "capacity", "value", "why"),
    [
        pytest.param(STALE, CAPACITY, 9, "1 min 1 s behind now", id="stale"),
        pytest.param(STALE._replace(age_s=1e9), CAPACITY, 9, "for ever", id="nothing was ever known"),
        pytest.param(STALE._replace(age_s=901.0, day_most=14), CAPACITY, 14, "15 min ago", id="blind: the day's most"),
        pytest.param(STALE._replace(age_s=901.0, day_most=2), CAPACITY, 9, "15 min ago", id="blind, never fewer"),
        pytest.param(CALM, None, 9, "no capacity", id="no capacity"),
        pytest.param(CALM, told("capacity", None), 9, "no capacity", id="an unknown capacity"),
        pytest.param(CALM, told("capacity", 20.0, inputs={}), 9, "no capacity", id="a capacity without a rate"),
        pytest.param(CALM, told("capacity", 20.0, ttl_s=-0.0, at_us=NOW_US - 9, inputs={"rps_per_endpoint": RPS}), 9,
                     "no capacity", id="an expired capacity"),
    ],
)  # fmt: skip
def test_what_is_not_known_never_makes_fewer(facts: Facts, capacity: Signal | None, value: int, why: str) -> None:
    signal = said(facts, before(9), capacity=capacity)
    assert (signal.state, signal.value, signal.confidence) == ("held", value, 0.0)
    assert why in signal.reason
    unsaid = said(facts, capacity=capacity)
    assert (unsaid.state, unsaid.value) == ("unknown", None)


UNASKED = CALM._replace(missing=("queues",), waiting=None)


@pytest.mark.parametrize(
    ("facts", "previous", "state", "value"),
    [
        pytest.param(UNASKED, [before(9)], "calming", 9, id="never fewer"),
        pytest.param(UNASKED, [before(2)], "out", 3, id="what is known asks for more"),
        pytest.param(UNASKED, [before(3)], "steady", 3, id="or for as many"),
        pytest.param(UNASKED._replace(age_s=901.0), [before(9)], "held", 9, id="blind, and the day is not known"),
        pytest.param(UNASKED, [], "unknown", None, id="at first it may be far too few"),
    ],
)
def test_of_a_question_without_an_answer_the_rest_is_told_and_that_it_is_missing(
    facts: Facts, previous: list[Signal], state: str, value: float | None
) -> None:
    signal = said(facts, *previous)
    assert (signal.state, signal.value) == (state, value)
    assert ("about queues there was no answer in time" in signal.reason) == (state != "held")


def test_only_what_is_served_is_needed_to_say_anything() -> None:
    asked = {each.name: each.is_needed for each in ask(SPEC, (), 0)}
    assert [name for name, is_needed in asked.items() if is_needed] == ["scale"] and len(asked) == 7


LOADS = st.lists(st.floats(0, 500), min_size=30, max_size=30).map(tuple)
FACTS = st.builds(
    Facts, st.just("chat"), st.just("m"), st.just(""), st.sampled_from((1.0, 59.0, 61.0)), st.just(NOW_US), LOADS,
    waiting=st.none() | st.floats(0, 1e4), ready=st.none() | st.integers(0, 200).map(float),
    cold_start_s=st.none() | st.floats(0, 3_000), burn_rate=st.none() | st.floats(0, 100), burn_slo=st.just("ttft"),
    burn_window_s=st.just(300), missing=st.sampled_from(((), ("queues",))),
)  # fmt: skip
LAST = st.none() | st.builds(
    before, st.integers(1, 300).map(float), st.sampled_from((10.0, 100.0, 700.0)), st.sampled_from(("in", "out"))
)


@given(FACTS, LAST, st.floats(0.1, 50))
def test_it_is_enough_and_says_so(facts: Facts, last: Signal | None, rps: float) -> None:
    capacity = told("capacity", 20.0, inputs={"rps_per_endpoint": rps})
    signal = said(facts, *([last] if last else []), capacity=capacity)
    least = naive.least(facts.loads[:6], facts.waiting or 0.0, rps)
    if signal.state == "unknown":
        assert last is None
        assert facts.age_s > 60 or facts.missing
        return
    assert signal.value is not None
    assert signal.value == int(signal.value)
    assert 1 <= signal.value <= 1_000
    if facts.age_s <= 60:
        assert signal.value * 1.05 >= min(least, 1_000) - 1e-6
    is_blind = facts.age_s > 60 or facts.missing != ()
    if last is not None and last.value is not None and (is_blind or (facts.burn_rate or 0) >= 1):
        assert signal.value >= last.value
    assert str(int(signal.value)) in signal.reason.replace(",", "")
    assert signal.confidence is not None
    assert 0 <= signal.confidence <= 1


@settings(max_examples=20)
@given(st.lists(st.floats(0.93, 1.07), min_size=400, max_size=400), st.floats(2, 200))
def test_a_load_that_wanders_is_not_followed_to_and_fro(noise: list[float], level: float) -> None:
    """Whatever wanders by 7 % around a level is answered by one number, once it was seen for some minutes."""
    loads, signals, last = [level * each for each in noise], list[Signal](), list[Signal]()
    for at in range(30, 400, 2):
        facts = CALM._replace(loads=tuple(loads[at - 30 : at][::-1]), ready=None)
        now_us = NOW_US + at * 10_000_000
        capacity = replace(CAPACITY, expires_at_us=now_us + 1)
        known = {each.key: each for each in (*last, capacity)}
        last = [recommend(SPEC, known, facts._replace(known_at_us=now_us), now_us)]
        signals += last
    values = [each.value for each in signals if each.value is not None]
    rises = [later > earlier for earlier, later in pairwise(values) if later != earlier]
    assert sum(first != second for first, second in pairwise(rises)) <= 1
    assert max(values) <= math.ceil(1.25 * 1.2 * level / RPS) + 1


def test_what_was_borne_so_far_is_no_reason_to_have_more_than_bore_it() -> None:
    """Else each day's replicas would be more than those of the day before, for having had less to bear."""
    at_least = told("capacity", 20.0, inputs={"rps_per_endpoint": RPS}, confidence=0.9, state=AT_LEAST)
    full = CALM._replace(loads=(12.0,) * 30)
    same = said(full, before(3), capacity=at_least)
    assert (same.state, same.value) == ("steady", 3)
    assert "was seen to bear 4 requests/s" in same.reason
    assert said(full, before(3)).value == 4


def test_what_is_found_of_a_capacity() -> None:
    by_little = told("capacity", 20.0, inputs={"residence_s": 5.0})
    assert said(CALM, before(3), capacity=by_little).inputs["rps_per_replica"] == 4
    variant = CALM._replace(scope="a100")
    assert said(variant).state == "steady", "a variant of which nothing is known bears what the model does"
    own = told("capacity", 5.0, "a100", inputs={"rps_per_endpoint": 1.0})
    assert recommend(SPEC, {each.key: each for each in (CAPACITY, own)}, variant, NOW_US).value == 10


def test_a_variant_gets_its_share_of_a_forecast() -> None:
    assert said(CALM._replace(share=0.5), before(3), FORECAST).inputs["forecast_rps_q90"] == 12


def test_lead_times_are_measured_or_said_to_be_assumed() -> None:
    assert lead_s(SPEC, CALM) == 105
    assert lead_s(SPEC, CALM._replace(cold_start_s=None)) == 195
    assert lead_s(SPEC, CALM._replace(cold_start_s=99_999.0)) == 1_800
    measured = said(CALM._replace(accelerator="h100"), before(2))
    assert "cold start of h100" in measured.reason
    assert measured.details["cold_start_p95_s"] == "90"
    assumed = said(CALM._replace(cold_start_s=None), before(2))
    assert "no cold start was measured" in assumed.reason
    assert (assumed.confidence or 0) < (measured.confidence or 0)


def test_limits_hold_whatever_is_needed() -> None:
    spec = ScaleSpec(pools=(PoolSpec("chat", "m", 2, 5), PoolSpec("chat", "", 7, 7)))
    flood, quiet = CALM._replace(loads=(900.0,) * 30), CALM._replace(loads=(0.0,) * 30, ready=0.0)
    assert said(flood, before(3), spec=spec).value == 5
    assert said(quiet, spec=spec).value == 2
    assert said(CALM._replace(model="n"), spec=spec, capacity=None).state == "unknown"
    assert (said(CALM, before(9), spec=spec).value, said(CALM, before(1), spec=spec).value) == (5, 2)
    other = replace(CAPACITY, model="n")
    assert recommend(spec, {other.key: other}, CALM._replace(model="n"), NOW_US).value == 7


def test_what_changed_last_is_remembered_in_the_signal() -> None:
    first = said(QUEUE, before(3))
    assert (first.details["went"], first.details["changed_at_us"], first.details["by"]) == ("out", str(NOW_US), "queue")
    again = said(CALM, first)
    assert {name: again.details[name] for name in ("went", "changed_at_us", "by")} == {
        name: first.details[name] for name in ("went", "changed_at_us", "by")
    }


def test_cold_starts_are_asked_for_now_and_then_and_remembered() -> None:
    asked = [each.name for each in ask(SPEC, (), COLD_STARTS_EVERY_US)]
    assert COLD_STARTS in asked
    others = [each.name for each in ask(SPEC, (), COLD_STARTS_EVERY_US // 2)]
    assert COLD_STARTS not in others
    assert set(others) < set(asked)


@pytest.mark.parametrize(
    "wrong", [{"ttl_s": 20.0}, {"headroom": 0.9}, {"calm_s": 10.0}, {"window_s": 5.0, "calm_s": 60.0}, {"drain_s": 0.0}]
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Refused):
        ScaleSpec(**wrong)


def test_the_shipped_file_says_what_the_defaults_are() -> None:
    assert load(None, {each.name: each.spec for each in CONTROLS})[NAME] == SPEC


def test_a_step_without_traffic_says_nothing() -> None:
    assert step(SPEC, {}, {"scale": [], "slos": []}, NOW_US) == []
