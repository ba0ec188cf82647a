"""Laws: advice expires and is not given on what is stale; its state is the signal; shed is told beside compliance."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.class_facts import cut_above
from pipeline.controls.classes import DEFAULT, ClassRule
from pipeline.controls.limiter import LimitSpec
from pipeline.controls.shedding import SheddingSpec, Tier, ask, step
from pipeline.controls.signal import Signal, key_of
from pipeline.slo import Indicator, Objective, Ratio, Timeslices
from pipeline.spec.problems import Refused
from tests.controls.shed_rows import NOW, S, endpoints, load, promise, rows, split

SPEC = SheddingSpec(window_s=10.0)
OVERLOAD = (
    promise(bad=40), promise("standard"), promise("sheddable"), load(requests=100), load("standard", 100),
    load("sheddable", 200),
)  # fmt: skip
Published = dict[str, Signal]


def told(
    *found: dict[str, Any], spec: SheddingSpec = SPEC, previous: Published | None = None, now_us: int = NOW
) -> dict[str, Signal]:
    """What a step says of the model, by scope."""
    return {each.scope: each for each in step(spec, previous or {}, rows(*found), now_us) if each.model == "m"}


def published(signals: dict[str, Signal]) -> Published:
    return {each.key: each for each in signals.values()}


def test_while_nothing_burns_nobody_is_shed() -> None:
    signals = told(promise(), promise("sheddable"), load(), load("sheddable"))
    assert {scope: (each.state, each.value) for scope, each in signals.items()} == {
        "": ("ok", 0.0), "CRITICAL": ("admit", 0.0), "LOW": ("admit", 0.0)
    }  # fmt: skip
    assert signals[""].reason == "nothing burns"


def test_when_a_class_burns_those_below_it_are_shed_from_the_least_worth_on() -> None:
    signals = told(*OVERLOAD)
    overall = signals[""]
    assert (overall.state, overall.value, overall.unit) == ("shed", 1.0, "classes")
    assert overall.inputs["limit_work_s"] == 20.0  # half of 40 that were served
    assert {scope: each.value for scope, each in signals.items() if scope} == {
        "CRITICAL": 0.0, "HIGH_FAST": 0.0, "LOW": 1.0
    }  # fmt: skip
    assert overall.details["classes"] == "LOW"
    assert overall.details["shed_below_priority"] == "0"
    assert overall.details["protects"] == "CRITICAL"
    assert overall.reason == "ttft of CRITICAL burns at 28.6x: shed 100% of LOW"


def test_every_advice_expires() -> None:
    assert {each.expires_at_us - NOW for each in told(*OVERLOAD).values()} == {60 * S}


def test_the_signal_that_was_published_last_is_all_the_state_there_is() -> None:
    first = published(told(*OVERLOAD))
    calm = [{**row, "bad": 0} if "slo" in row else row for row in OVERLOAD]
    calm = [{**row, "known_until_us": NOW + 30 * S} if "slo" in row else row for row in calm]
    kept = told(*calm, previous=first, now_us=NOW + 30 * S)
    assert kept[""].inputs["limit_work_s"] == 20.0
    assert kept["LOW"].value == 1.0
    assert kept[""].reason == "the limit holds: shed 100% of LOW"
    forgotten = told(*[{**row, "known_until_us": NOW + 61 * S} if "slo" in row else row for row in calm],
                     previous=first, now_us=NOW + 61 * S)  # fmt: skip
    assert forgotten[""].state == "ok"  # the advice has expired, and with it the limit


def test_nothing_is_advised_on_what_is_stale() -> None:
    first = published(told(*OVERLOAD))
    assert told(*OVERLOAD, previous=first, now_us=NOW + 31 * S) == {}  # it is left to expire
    late = told(*OVERLOAD, previous=first, now_us=NOW + 61 * S)
    assert {scope: (each.state, each.value) for scope, each in late.items()} == {"": ("unknown", None)}


def test_what_nobody_promised_to_any_class_is_not_advised_on() -> None:
    assert told(promise(labels={"priority_class": ""}), load()) == {}
    assert step(SPEC, {}, {"slos": []}, NOW) == []


def test_instances_of_an_slo_are_summed_before_anything_is_divided() -> None:
    """25 of 1,000 burn at 2.5x, though one region of 100 burns at 25x."""
    signals = told(promise(good=75, bad=25, labels={"region": "eu"}), promise(good=900), load(), load("sheddable"))
    assert signals["CRITICAL"].inputs["burn_rate"] == pytest.approx(2.5)
    assert signals[""].state == "ok"


def test_the_vantage_that_reports_most_counts() -> None:
    signals = told(promise(), load(requests=100), load(requests=90, vantage="ENGINE"))
    assert signals[""].samples == 100


def test_what_is_shed_is_told_beside_compliance_and_never_makes_it_better() -> None:
    """Latency excludes what is shed: of 100 requests, 50 shed and 50 served in time, all that were served are good."""
    signals = told(promise(), promise("sheddable", good=50), load(), load("sheddable", 100, shed=50))
    found = signals["LOW"].inputs
    assert (found["compliance_ratio"], found["shed_ratio"], found["with_shed_ratio"]) == (1.0, 0.5, 0.5)
    assert "50.0% of its requests were shed" in signals["LOW"].reason


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_compliance_with_what_is_shed_is_never_above_compliance(good: int, bad: int, shed: int) -> None:
    found = told(promise("sheddable", good=good, bad=bad), load("sheddable", good + bad + shed, shed))["LOW"].inputs
    assert found.get("with_shed_ratio", 0.0) <= found.get("compliance_ratio", 0.0) or good + bad == 0


def test_a_priority_that_makes_several_classes_is_split_as_kept_events_say() -> None:
    found = told(
        promise(), load("standard", 100, shed=20), split("standard", "throughput", 30, shed=10),
        split("standard", "", 70),
    )  # fmt: skip
    assert found["HIGH_SLOW"].inputs["offered_rps"] == pytest.approx(3.0)
    assert found["HIGH_SLOW"].inputs["shed_rps"] == pytest.approx(2.0)
    assert found["HIGH_FAST"].inputs["shed_rps"] == 0.0
    assert {found["HIGH_SLOW"].details["load"], found["HIGH_FAST"].details["load"]} == {"estimated"}
    assert told(promise(), load("standard"))["HIGH_FAST"].details["load"] == "exact"


def test_what_a_selector_pins_makes_a_class_as_labels_do() -> None:
    pinned = promise(labels={}, pinned_priority_class="sheddable", pinned_request_model="m")
    assert "LOW" in told({**pinned, "labels": {}})


def test_an_slo_of_all_models_speaks_for_all_of_them_together() -> None:
    mixed = promise(bad=40)
    del mixed["labels"]["request_model"]
    found = step(SPEC, {}, rows(mixed, load(), load("sheddable", model="other")), NOW)
    assert {each.model for each in found} == {""}
    assert {each.scope: each.value for each in found}["LOW"] == 1.0


MILD = replace(SPEC, limit=LimitSpec(first_cut_ratio=0.1))
HALVES = (split("standard", "throughput", 1), split("standard", "", 1))


@pytest.mark.parametrize(
    ("found", "spec", "below"),
    [
        pytest.param(OVERLOAD, SPEC, "0", id="sheddable alone"),
        pytest.param((promise(bad=99, good=1), load(requests=400), load("standard"), load("sheddable")), SPEC, "1",
                     id="both"),
        pytest.param((promise(), load("sheddable")), SPEC, "", id="nobody"),
        pytest.param((promise(bad=40), load(), load("standard", 200), *HALVES), MILD, "",
                     id="one class of a priority and not the other"),
    ],
)  # fmt: skip
def test_a_priority_separates_what_is_shed_only_where_it_can(
    found: tuple[dict[str, Any], ...], spec: SheddingSpec, below: str
) -> None:
    assert told(*found, spec=spec)[""].details["shed_below_priority"] == below


def raised(*found: dict[str, Any], published: Published) -> float:
    """The limit after half a minute of calm, of one of 20 that is in force."""
    later = NOW + 30 * S
    calm = [{**row, "bad": 0, "known_until_us": later} if "slo" in row else row for row in (*OVERLOAD, *found)]
    first = {each.key: each for each in told(*OVERLOAD).values()}
    first[key_of("chat", "m", "shed")].details["calm_since"] = str(NOW)  # type: ignore[index]
    return told(*calm, previous=first | published, now_us=later)[""].inputs["limit_work_s"]


def test_near_the_measured_capacity_of_all_endpoints_a_limit_rises_slowly() -> None:
    capacity = Signal(
        service="chat", model="m", name="capacity", scope="v2", state="measured", value=17.0, unit="", reason="",
        evaluated_at_us=NOW, expires_at_us=NOW + 60 * S, inputs={"rps_per_endpoint": 3.0},
    )  # fmt: skip
    unsure = replace(capacity, state="at_least")
    slow, fast = pytest.approx(20.08), pytest.approx(21.2)
    assert raised(endpoints(7, "v2"), published={capacity.key: capacity}) == slow  # 21
    assert raised(endpoints(14, "v2"), published={capacity.key: capacity}) == fast  # 42
    assert raised(endpoints(7, "v2"), published={unsure.key: unsure}) == fast
    assert raised(endpoints(7, "v2"), endpoints(7, "v3"), published={capacity.key: capacity}) == fast  # v3: not known


def test_a_class_that_is_shed_in_part_is_shed_by_the_policy() -> None:
    ages = [float(tenth) for tenth in range(11)]
    low = (load("sheddable", 150, tenant_id="free"), load("sheddable", 150, tenant_id="paid"))
    found = (promise(bad=40), load(), *low, split("sheddable", "batch", 300, queued_s=ages, request_work=ages))
    plain = told(*found)["LOW"]  # 40 are offered and half is let in: 10 of CRITICAL, 10 of 30
    assert plain.value == 0.67
    assert not {"queued_s_most", "work_most"} & set(plain.inputs)
    assert told(*found, spec=replace(SPEC, policy="queue_age"))["LOW"].inputs["queued_s_most"] == 3.5
    assert told(*found, spec=replace(SPEC, policy="cost"))["LOW"].inputs["work_most"] == 3.5
    tiers = replace(SPEC, policy="tier", tiers=(Tier("free", ("free",)),))
    assert told(*found, spec=tiers)["LOW"].details["tiers"] == "free=1.00,=0.34"


def test_a_cut_sheds_no_more_than_the_share() -> None:
    points = [(1.0, 5.0), (2.0, 5.0), (9.0, 5.0), (10.0, 5.0)]
    assert [cut_above(points, share) for share in (0.0, 0.25, 0.5, 1.0)] == [10.0, 9.0, 2.0, 1.0]
    assert cut_above([], 0.5) is None


def objective(name: str, metric: str = "ttft", **more: Any) -> Objective:
    slices = more.pop("timeslices", None)
    return Objective(name, "chat", Indicator(metric, 1_000_000, **more), Ratio(99, 100), 1, timeslices=slices)


def test_slos_are_asked_that_speak_for_a_class() -> None:
    all_of_them = [
        objective("by-class", group_by=("request_model", "priority_class")),
        objective("pinned", where=(("priority_class", ("critical",)), ("request_model", ("m",)))),
        objective("named"),
        objective("mixed", group_by=("request_model",)),
        objective("either", where=(("priority_class", ("critical", "standard")),)),
        objective("of-slices", group_by=("priority_class",), timeslices=Timeslices(60_000_000)),
        objective("shed", "shed_rate", group_by=("priority_class",)),
    ]
    spec = replace(SPEC, classes=(ClassRule("CRITICAL", slo=("named",)), *DEFAULT))
    first, *others = ask(spec, all_of_them, NOW)
    assert first.values["slos"] == ["by-class", "pinned", "named"]
    assert first.values["priority_classes"] == ["", "critical", ""]
    assert first.values["models"] == ["", "m", ""]
    assert [each.name for each in others] == ["shed_load", "shed_split", "shed_endpoints"]
    assert ask(SPEC, all_of_them[2:3], NOW) == []


@pytest.mark.parametrize(
    "changes", [{"policy": "luck"}, {"policy": "tier"}, {"ttl_s": 9.0}, {"window_s": 15.0}, {"window_s": 0.0}]
)
def test_specs_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        SheddingSpec(**changes)
