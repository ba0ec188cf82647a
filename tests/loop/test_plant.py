"""The plant: nobody is lost, the same seed gives the same, and its knee is where it says."""

import numpy as np
import pytest

from jobs.loop import CLASSES, ClassSpec, Orders, PlantSpec, Seen, noisy, ramp, run, steady, surge
from jobs.loop.rivals import CpuThreshold, Fixed, Reactive
from jobs.loop.scores import flaps, lost_minutes, score

PLANT = PlantSpec()
SHORT = surge(rps=12, from_s=200, for_s=200, seconds=600)


class Shedder:
    """Turns away a share of a class, from a second on."""

    every_s = 100

    def __init__(self, name: str, share: float) -> None:
        self.order = Orders(shed={name: share})

    def __call__(self, seen: Seen) -> Orders:
        return self.order if seen.at_s >= 100 else Orders()


class Watcher:
    """Keeps what it is told."""

    every_s = 10

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def __call__(self, seen: Seen) -> Orders:
        self.seen.append(seen)
        return Orders()


@pytest.mark.parametrize("replicas", [2, 6], ids=["a queue that people leave", "enough"])
def test_everybody_who_came_is_somewhere(replicas: int) -> None:
    of = run(PLANT, SHORT, 1, [Shedder("LOW", 0.5), Reactive(12.0)], replicas).history
    ended = of.good.sum() + of.bad.sum() + of.shed.sum()
    assert of.offered.sum() == ended + of.waiting[-1] + of.running[-1]
    assert (of.gave_up <= of.bad).all()
    assert of.completed.sum() == of.good.sum() + of.bad.sum() - of.gave_up.sum()
    assert 0.4 < of.shed[100:, 3].sum() / of.offered[100:, 3].sum() < 0.6
    assert of.shed[:, :3].sum() == 0
    assert (of.running <= (of.ready + of.draining) * PLANT.batch_most).all()


def test_the_same_seed_brings_the_same_requests_whoever_decides() -> None:
    one, two, other = (
        run(PLANT, SHORT, seed, [who], 4) for seed, who in ((1, Fixed(4)), (1, Reactive(9.0)), (2, Fixed(4)))
    )
    again = run(PLANT, SHORT, 1, [Fixed(4)], 4)
    assert (one.history.offered == two.history.offered).all()
    assert (one.history.good == again.history.good).all()
    assert (one.history.offered != other.history.offered).any()


@pytest.mark.parametrize(("share_of_knee", "keeps"), [(0.9, True), (1.1, False)])
def test_the_knee_is_where_it_is_said_to_be(share_of_knee: float, keeps: bool) -> None:
    """A tenth below, every class keeps its target; a tenth above the strictest does not."""
    replicas = 8
    in_flight = PLANT.knee * share_of_knee
    rates = steady(replicas * in_flight / PLANT.service_s(in_flight), 1_200)
    of = run(PLANT, rates, 3, [], replicas).history
    good, bad = (each[120:, 1].sum() for each in (of.good, of.bad))
    assert (good / (good + bad) >= CLASSES[1].target) == keeps
    assert of.running[300:].mean() / replicas == pytest.approx(in_flight, rel=0.06)
    assert of.cpu_ratio[300:].mean() == pytest.approx(PLANT.cpu_ratio(in_flight), rel=0.05)


def test_without_objectives_the_batch_is_the_limit() -> None:
    assert PlantSpec(classes=(ClassSpec("any", 1.0, 0),)).knee == PLANT.batch_most


def test_cold_starts_take_as_long_as_their_law_says() -> None:
    class Up:
        every_s = 5

        def __call__(self, seen: Seen) -> Orders:
            return Orders(replicas=1 + min(seen.at_s // 5 * 4, 400))

    took_s = run(PLANT, steady(1, 800), 5, [Up()], 1).cold_starts_s
    assert len(took_s) == 400
    assert np.quantile(took_s, 0.95) == pytest.approx(PLANT.cold_start_p95_s, rel=0.1)
    assert np.median(took_s) == pytest.approx(PLANT.cold_start_s, rel=0.1)


def test_nothing_is_seen_of_the_future_nor_while_telemetry_is_away() -> None:
    watcher = Watcher()
    whole = run(PLANT, SHORT, 1, [watcher], 4, blackouts=[(300, 400)], lag_s=5).history
    for seen in watcher.seen:
        assert len(seen.history.running) == len(seen.history.offered) == seen.known_s
        assert seen.known_s == (294 if 300 <= seen.at_s < 400 else max(seen.at_s - 5, 0))
        assert (seen.history.good == whole.good[: seen.known_s]).all()
    late = watcher.seen[-1]
    assert late.offered_rps(60) == pytest.approx(whole.offered[late.known_s - 60 : late.known_s].sum() / 60)
    good, bad, shed = late.counts("LOW", 60)
    assert (good + bad, shed) == (int((whole.good + whole.bad)[late.known_s - 60 : late.known_s, 3].sum()), 0)
    assert (late.ready, late.current, late.age_s) == (4, 4, 5)
    assert late.service_s() == pytest.approx(PLANT.service_s(late.running / 4), rel=0.1)


def test_a_minute_is_lost_when_a_class_loses_it() -> None:
    run_ = run(PLANT, SHORT, 1, [Shedder("HIGH_SLOW", 0.5)], 8)
    scored = score(run_)
    assert scored.minutes == 10
    assert scored.minutes_lost_by_class["HIGH_SLOW"] >= 8, "what is shed is bad"
    free = replace_priority("HIGH_SLOW", -1)
    assert score(run(free, SHORT, 1, [Shedder("HIGH_SLOW", 0.5)], 8)).minutes_lost_by_class["HIGH_SLOW"] < 8
    assert scored.gpu_hours == pytest.approx(8 * 2 * 600 / 3600)
    assert lost_minutes(run_.history, CLASSES[2]).sum() == scored.minutes_lost_by_class["HIGH_SLOW"]


def replace_priority(name: str, priority: int) -> PlantSpec:
    changed = (
        ClassSpec(each.name, each.share, priority if each.name == name else each.priority, each.ttft_s, each.tpot_s)
        for each in CLASSES
    )
    return PlantSpec(classes=tuple(changed))


def test_orders_that_take_each_other_back_soon_are_flaps() -> None:
    assert flaps(((0, 5), (100, 6), (200, 5), (5_000, 6), (5_100, 7))) == 1
    assert flaps(((0, 5), (100, 6), (900, 5))) == 0
    assert flaps(()) == 0


def test_the_rivals_decide_as_kubernetes_does() -> None:
    """By hand: half too busy; the same while half are not ready; within a tenth; half as busy; at most twice."""
    watcher = Watcher()
    run(PLANT, steady(12, 100), 1, [watcher], 4)
    seen = watcher.seen[-1]
    usage = seen.cpu_ratio()
    assert CpuThreshold(usage / 1.5).wanted(seen) == 6
    half_ready = Seen(seen.at_s, seen.known_s, seen.history, (), 8)
    assert CpuThreshold(usage / 1.5).wanted(half_ready) == 8, "pods that start count as idle: 0.75 of the target"
    assert CpuThreshold(usage / 1.09).wanted(seen) == 4
    down = CpuThreshold(usage * 2)
    assert [down(Seen(at, seen.known_s, seen.history, (), 4)).replicas for at in (0, 299)] == [2, 2]
    held = Reactive(seen.running / 4)
    assert held(seen).replicas == 4
    in_flight = seen.running + seen.waiting
    assert Reactive(in_flight / 30)(seen).replicas == 8, "at most 100 % more at once"
    few = Reactive(in_flight / 2.0)
    assert few(Seen(0, seen.known_s, seen.history, (), 4)).replicas == 2


def test_loads_have_the_shape_that_they_are_called_by() -> None:
    up = ramp()
    assert (up[0], up.max(), up[-1]) == (10, 50, 10)
    wandering = noisy(steady(20, 3_000), 7)
    assert wandering.mean() == pytest.approx(20, rel=0.05)
    assert 0.03 < wandering.std() / 20 < 0.15
