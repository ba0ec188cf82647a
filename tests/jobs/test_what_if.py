"""What an objective would cost, of the simulated fleet whose knees are known: its replicas are within the range."""

from fractions import Fraction
from math import ceil, exp
from statistics import NormalDist
from typing import Any

import pytest

from jobs.cost.what_if import Outcome, objective_of, outcomes, replica_hours
from jobs.fleet import FleetSpec
from jobs.fleet.catalogue import MODELS, WORKLOADS
from pipeline.controls.capacity import CapacitySpec
from pipeline.controls.cost import HEADROOM, MONTH_H, GpuPrice, PriceList, Range
from pipeline.slo import Ratio
from pipeline.spec.problems import Refused, SpecError
from tests.capacity_plant import events_of, rows, stretches
from tests.naive import capacity as naive

SERVICE = "assist"
WORKLOAD = next(each for each in WORKLOADS if (each.service, each.model) == (SERVICE, "qwen2.5-32b"))
MODEL = next(each for each in MODELS if each.name == WORKLOAD.model)
PEAK = Range(900.0, 1_000.0, 1_100.0)
HOURS = {(MODEL.name, variant.name): 5 * 10**12 for variant in MODEL.variants}


@pytest.fixture(scope="module")
def fleet() -> Any:
    return events_of(FleetSpec(rate=800.0, models=(MODEL.name,), utilisation=0.9), 1, stretches(24, 8.0))


def planned(fleet: Any, limit_us: int, ratio: float) -> dict[str, Outcome]:
    """What keeping a time per token takes, of each variant."""
    objective = objective_of(SERVICE, "tpot", f"{limit_us}us", "0.99")
    asked = rows(fleet, [objective], ratio)
    found = outcomes(CapacitySpec(), objective, ("tpot", f"{limit_us}us", "0.99"), asked, {MODEL.name: PEAK}, HOURS)
    return {each.variant: each for each in found}


def limit_at(share: float) -> int:
    """The time per token that the faster variant just keeps at a share of a full batch."""
    slowest = exp(naive.TOKEN_SIGMA * NormalDist().inv_cdf(0.99))
    return round(MODEL.tpot_us * slowest * (1 + MODEL.batching_cost * share))


@pytest.mark.parametrize("ratio", [1.0, 0.1], ids=["all events are kept", "a tenth of the good ones is"])
def test_the_replicas_that_the_fleet_truly_needs_are_within_the_range(fleet: Any, ratio: float) -> None:
    limit_us = limit_at(0.5)
    found = planned(fleet, limit_us, ratio)
    for variant in MODEL.variants:
        each = found[variant.name]
        knee = naive.tpot_knee(MODEL, variant, limit_us, 0.99)
        lasting_us = naive.drawn(WORKLOAD, MODEL, variant.slowdown, knee, "e2e").mean()
        needed = ceil(Fraction(PEAK.likely) * HEADROOM / Fraction(knee / lasting_us * 1e6))
        assert each.state == "measured" and each.plan is not None and not each.plan.is_least
        assert each.plan.replicas.least <= needed <= each.plan.replicas.most
        assert each.plan.replicas.likely == pytest.approx(needed, rel=0.1)
        assert each.plan.month.likely == each.plan.replicas.likely * 5 * 10**12 * MONTH_H


def test_a_stricter_objective_costs_more(fleet: Any) -> None:
    prices = [planned(fleet, limit_at(share), 1.0)["h100-fp8-tp2"].plan for share in (0.3, 0.5, 0.6)]
    months = [each.month.likely for each in prices if each is not None]
    assert len(months) == 3 and months == sorted(months, reverse=True) and months[0] > months[-1]


def test_an_objective_that_no_load_keeps_has_no_plan_and_says_so(fleet: Any) -> None:
    each = planned(fleet, 1_000, 1.0)["h100-fp8-tp2"]
    assert each.state in {"unmet", "unknown"} and each.in_flight is None and each.plan is None
    assert each.told["replicas"] is None and each.told["usd_a_month"] is None


def test_an_hour_of_a_replica_is_what_snapshots_say_else_what_is_listed() -> None:
    row = {"model": "m", "its_variant": "a", "gpus": 2, "hour_picousd": 3, "its_accelerator": "h100"}
    unpriced = {**row, "its_variant": "b", "hour_picousd": None}
    unheard = {**row, "its_variant": "c", "hour_picousd": None, "its_accelerator": None}
    prices = PriceList("v", accelerators=(GpuPrice("h100", 10),), overhead=Ratio(5, 10))
    assert replica_hours([row, unpriced, unheard], prices, 0) == {("m", "a"): 9, ("m", "b"): 30}


@pytest.mark.parametrize(
    ("metric", "threshold", "target"),
    [("ttft", "", "0.99"), ("speed", "1s", "0.99"), ("ttft", "1", "0.99"), ("ttft", "1s", "99")],
)
def test_what_is_no_objective_is_refused(metric: str, threshold: str, target: str) -> None:
    with pytest.raises(SpecError):
        objective_of(SERVICE, metric, threshold, target)


@pytest.mark.parametrize(("metric", "threshold"), [("concurrency", "100"), ("retry_amplification", "")])
def test_an_objective_that_says_nothing_of_what_a_load_does_is_refused(metric: str, threshold: str) -> None:
    with pytest.raises(Refused, match="says nothing of what a load does"):
        objective_of(SERVICE, metric, threshold, "0.99")
