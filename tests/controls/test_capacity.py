"""Capacity: its bounds hold the truth as often as they say, and its knees are the simulator's."""

from typing import Any

import numpy as np
import pytest

from jobs.fleet import FleetSpec
from jobs.fleet.catalogue import MODELS, WORKLOADS
from pipeline.controls.capacity import (
    AT_LEAST,
    MEASURED,
    UNKNOWN,
    UNMET,
    CapacitySpec,
    Load,
    capacities,
    capacity_of,
    held,
    intervals,
    peak,
)
from pipeline.controls.odds import Counts, Tally
from pipeline.slo import Indicator, Objective, Ratio
from pipeline.spec.problems import Refused
from tests.capacity_plant import events_of, rows, stretches
from tests.naive import capacity as naive

SPEC, TARGET = CapacitySpec(), Ratio.parse("0.99")
LLAMA = MODELS[0]
CHAT = next(each for each in WORKLOADS if (each.service, each.model) == ("chat", LLAMA.name))
ONLY_LLAMA = (("request_model", (LLAMA.name,)),)


def counts(kept: float, each: float = 1.0) -> Counts:
    return Counts(kept, kept * each, kept * each * each)


def tally(good: float, bad: float, each: float = 1.0) -> Tally:
    return Tally(counts(good, each), counts(bad), counts(good + bad))


def load(least: int, good: float, bad: float, minutes: int = 9, requests: float = 100.0, **slos: Tally) -> Load:
    found = slos or {"slo": tally(good, bad)}
    return Load(least, least, minutes, requests, least * requests, 0, 0, 0, 0, found)


PASS, FAIL, UNCLEAR, FEW = (5_000, 5), (5_000, 500), (5_000, 51), (9, 0)


@pytest.mark.parametrize(
    ("bins", "state", "kept_at", "broken_at"),
    [
        pytest.param([PASS, PASS, FAIL], MEASURED, 20, 30, id="kept, then broken"),
        pytest.param([PASS, UNCLEAR, FAIL], MEASURED, 10, 30, id="between the two it is not clear"),
        pytest.param([PASS, PASS, FEW], AT_LEAST, 20, None, id="too few events of the greatest load"),
        pytest.param([FAIL, PASS, FAIL], MEASURED, 20, 30, id="an incident at a low load limits nothing"),
        pytest.param([FAIL, FAIL, FAIL], UNMET, None, 10, id="kept at no load"),
        pytest.param([FEW, FEW, FEW], UNKNOWN, None, None, id="too few events of every load"),
    ],
)
def test_capacity_is_the_highest_bin_that_is_kept_for_sure(
    bins: list[tuple[int, int]], state: str, kept_at: int | None, broken_at: int | None
) -> None:
    loads = [load(10 * number, *each) for number, each in enumerate(bins, 1)]
    found = held(SPEC, loads, "slo", TARGET)
    assert (found.state, found.kept_at, found.broken_at) == (state, kept_at, broken_at)


def test_a_load_that_was_met_for_a_minute_says_nothing() -> None:
    assert held(SPEC, [load(10, *PASS), load(20, *FAIL, minutes=2)], "slo", TARGET).state == AT_LEAST


def test_that_a_request_alone_is_served_well_says_nothing() -> None:
    assert held(SPEC, [load(0, *PASS)], "slo", TARGET).state == UNKNOWN
    alone = capacity_of(SPEC, ("s", "m", ""), [load(0, *PASS)], {"slo": TARGET})
    assert (alone.state, alone.in_flight) == (UNKNOWN, None)
    assert held(SPEC, [load(0, *PASS), load(10, *FAIL)], "slo", TARGET).state == MEASURED


def test_bins_of_few_events_speak_together_with_those_above() -> None:
    """Each has too few to be sure of 99 %; 21 and 22 have enough together, which bounds 21."""
    alone, some = (200, 0), CapacitySpec(reach_ratio=0.0)
    loads = [load(21, *alone), load(22, *alone)]
    assert held(some, loads, "slo", TARGET).state == UNKNOWN
    assert held(SPEC, loads, "slo", TARGET).kept_at == 21
    assert held(SPEC, [load(21, *alone), load(40, *alone)], "slo", TARGET).state == UNKNOWN


def test_the_slo_that_breaks_first_limits_all_and_one_that_is_broken_alike_at_all_loads_does_not() -> None:
    both = {"a": tally(5_000, 5), "b": tally(5_000, 5), "c": tally(5_000, 900), "d": tally(5_000, 900)}
    loads = [
        load(10, 0, 0, **both), load(20, 0, 0, **both | {"b": tally(5_000, 500), "d": tally(5_000, 1_500)}),
        load(30, 0, 0, **both | {"a": tally(5_000, 500), "b": tally(5_000, 900), "d": tally(5_000, 2_500)}),
    ]  # fmt: skip
    found = capacity_of(SPEC, ("s", "m", ""), loads, dict.fromkeys("ab", TARGET))
    assert (found.in_flight, found.broken_at, found.limited_by, found.state) == (10, 20, "b", MEASURED)
    found = capacity_of(SPEC, ("s", "m", ""), loads, dict.fromkeys("abc", TARGET))
    assert (found.in_flight, found.limited_by, found.state, found.named(UNMET)) == (10, "b", UNMET, ["c"])
    found = capacity_of(SPEC, ("s", "m", ""), loads, dict.fromkeys("abd", TARGET))
    assert (found.in_flight, found.likely, found.state, found.named(UNMET)) == (None, None, UNMET, ["d"])
    assert found.broken_at == 10


def test_an_slo_that_is_broken_at_the_only_load_there_was_may_be_kept_at_smaller_ones() -> None:
    loads = [load(10, 0, 0, a=tally(5_000, 5), b=tally(10, 900))]
    found = capacity_of(SPEC, ("s", "m", ""), loads, dict.fromkeys("ab", TARGET))
    assert (found.in_flight, found.state) == (None, UNMET)


def test_the_peak_is_what_nearly_all_requests_met_at_most() -> None:
    loads = [load(10, *PASS, requests=900), load(20, *PASS, requests=95), load(30, *PASS, requests=5)]
    assert [peak(loads, share) for share in (0.5, 0.9, 0.99, 1.0)] == [10, 10, 20, 30]
    found = capacity_of(SPEC, ("s", "m", ""), loads, {"slo": TARGET})
    assert found.headroom_ratio == pytest.approx(30 / (1.2 * 20) - 1)


@pytest.mark.parametrize("wrong", [{"confidence_ratio": 1.0}, {"confidence_ratio": 0.2}, {"ttl_s": 300.0}])
def test_a_spec_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        CapacitySpec(**wrong)


# -- against the simulator
@pytest.fixture(scope="module")
def plant() -> Any:
    """A fleet that is bought too small, looked at for ten seconds forty times a day: loads from a third to all."""
    return events_of(FleetSpec(rate=400, models=(LLAMA.name,), utilisation=0.9), 1, stretches(40, 10))


@pytest.mark.parametrize("ratio", [1.0, 0.01], ids=["all kept", "1 % kept"])
@pytest.mark.parametrize(("variant", "threshold_us"), [(0, 30_000), (0, 33_000), (1, 40_000)])
def test_capacity_is_within_a_tenth_of_the_true_knee(plant: Any, variant: int, threshold_us: int, ratio: float) -> None:
    slo = Objective("tpot", "chat", Indicator("tpot", threshold_us, where=ONLY_LLAMA), TARGET, 86_400_000_000)
    true = naive.tpot_knee(LLAMA, LLAMA.variants[variant], threshold_us, 0.99)
    found = {each.variant: each for each in capacities(SPEC, rows(plant, [slo], ratio))}
    measured = found[LLAMA.variants[variant].name]
    assert measured.state == MEASURED and measured.in_flight is not None and measured.broken_at is not None
    assert abs(measured.in_flight / true - 1) < 0.1 and measured.likely is not None
    assert measured.in_flight <= measured.likely <= measured.broken_at
    assert abs(measured.likely / true - 1) < 0.1
    assert measured.in_flight <= true + 1 and measured.broken_at > true - 1


@pytest.mark.parametrize("ratio", [1.0, 0.1], ids=["all kept", "10 % kept"])
def test_of_first_tokens_what_is_likely_is_near_the_true_knee_and_the_interval_holds_it(
    plant: Any, ratio: float
) -> None:
    """A tenth more load is 3 % more time: verdicts alone say much less of it."""
    true = 55.0
    limit = round(float(np.quantile(naive.drawn(CHAT, LLAMA, 1.0, true, "ttft"), 0.99)))
    where = (*ONLY_LLAMA, ("operation", ("chat",)), ("stream", ("true",)))
    slo = Objective("first", "chat", Indicator("ttft", limit, where=where), TARGET, 86_400_000_000)
    asked = rows(plant, [slo], ratio)
    blind = [{**row, "spreads": [([], [], [])]} for row in asked]
    by_times, by_verdicts = (
        next(each for each in capacities(SPEC, some) if each.variant == LLAMA.variants[0].name)
        for some in (asked, blind)
    )
    assert by_times.state == MEASURED and by_times.likely and by_times.in_flight and by_times.broken_at
    assert abs(by_times.likely / true - 1) < 0.1
    assert by_times.in_flight <= true + 1 and by_times.broken_at >= true - 1
    assert by_verdicts.likely is None or abs(by_times.likely - true) <= abs(by_verdicts.likely - true)


def test_intervals_tell_of_every_load_that_an_slo_was_met_at(plant: Any) -> None:
    slo = Objective("tpot", "chat", Indicator("tpot", 30_000, where=ONLY_LLAMA), TARGET, 86_400_000_000)
    told = intervals(SPEC, rows(plant, [slo], 1.0), ("chat", LLAMA.name, LLAMA.variants[0].name))
    assert told[0]["least"] > 0.99 and told[-1]["most"] < 0.5
    assert all(each["in_flight_least"] <= each["in_flight_most"] for each in told)
