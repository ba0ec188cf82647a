"""The closed loop in short: our recommendation keeps what a CPU threshold loses, and does not go to and fro."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.loop import PlantSpec, noisy, ramp, run, steady, surge
from jobs.loop.advised import Advised
from jobs.loop.loads import Rates
from jobs.loop.rivals import CpuThreshold, Reactive, per_replica
from jobs.loop.scores import Score, score
from jobs.loop.yesterday import Yesterday

PLANT = PlantSpec()
SURGE = surge(from_s=600, for_s=900, seconds=2_400)
RAMP = ramp(up_s=1_200, hold_s=300)[:3_600]


def lived(rates: Rates, who: Advised | CpuThreshold | Reactive, seed: int = 1) -> Score:
    return score(run(PLANT, noisy(rates, seed), seed, [who], 6))


@pytest.mark.parametrize("rates", [SURGE, RAMP], ids=["surge", "ramp"])
def test_it_loses_fewer_minutes_than_a_cpu_threshold_and_turns_less_often_than_a_reactive_one(rates: Rates) -> None:
    ours, cpu = lived(rates, Advised(PLANT)), lived(rates, CpuThreshold())
    assert ours.minutes_lost <= 4
    assert cpu.minutes_lost >= 3 * ours.minutes_lost + 10
    reactive = lived(rates, Reactive(PLANT.knee))
    assert ours.minutes_lost <= reactive.minutes_lost
    assert ours.flaps <= min(reactive.flaps, 1)


def test_a_capacity_that_is_a_tenth_wrong_costs_little() -> None:
    for ratio in (0.9, 1.1):
        assert lived(SURGE, Advised(PLANT, capacity_ratio=ratio)).minutes_lost <= 5


def test_what_was_so_the_day_before_is_ready_when_it_comes() -> None:
    before, that = noisy(surge(from_s=540, seconds=2_400), 11), noisy(surge(from_s=660, seconds=2_400), 12)
    foreseen = lived(SURGE, Advised(PLANT, forecast=Yesterday(before, that)))
    blind = lived(SURGE, Advised(PLANT))
    assert foreseen.minutes_lost < blind.minutes_lost
    assert foreseen.minutes_lost <= 1


def test_nothing_is_scaled_in_while_telemetry_is_away() -> None:
    """The load falls while nobody sees it: replicas stay until it is seen again, and then go."""
    who = Advised(PLANT)
    rates = noisy(steady(30, 2_400), 3)
    rates[500:] /= 6
    of = run(PLANT, rates, 3, [who], 12, blackouts=[(500, 1_300)]).history
    held = [each for each in who.told if each.state == "held"]
    assert len(held) > 30
    assert {each.value for each in held} == {held[0].value}
    assert of.ready[505:1_300].min() >= held[0].value
    assert of.ready[-1] < of.ready[1_299] / 2
    assert all("behind now" in each.reason for each in held)


@given(st.integers(1, 500), st.integers(1, 500))
def test_what_stands_between_the_number_and_the_replicas(value: int, current: int) -> None:
    """The HPA's tolerance, as docs/scaling.md has it: 0 is exact, and a target of 0.9 never gives too few."""
    assert per_replica(value, 1, current, tolerance=0) == value
    assert value <= per_replica(value, 0.9, current) <= value / 0.81 + 1
    assert per_replica(12, 1, 11) == 11, "a step of one that is swallowed"


def test_lead_times_are_learnt_from_the_replicas_that_came() -> None:
    who = Advised(PLANT)
    run(PLANT, noisy(RAMP, 1), 1, [who], 6)
    leads = [each.inputs["lead_s"] for each in who.told if "lead_s" in each.inputs]
    assert leads[0] == who.spec.lead_time_s + who.spec.every_s
    assert leads[-1] == pytest.approx(PLANT.cold_start_p95_s + who.spec.every_s, rel=0.25)
