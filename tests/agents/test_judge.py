"""Law: a judge that goes on under other SLOs is one that was restarted under them, and forgets nothing it said."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.judge import Succession, instances_of_one
from pipeline.alerts import AlertPolicy, Watched
from pipeline.judgement import PARTITION_KEY, JudgeFold
from tests.judging import LONG, QUICK, T0, Driver, blocks_of, counts, spec, steady, steps, watched

Change = Callable[[Driver, tuple[Watched, ...]], None]


def hand_over(driver: Driver, each: tuple[Watched, ...]) -> None:
    """Other SLOs, without a restart."""
    driver.spec = spec(*each)
    driver.fold = driver.fold.succeeded(driver.spec)
    driver.unit()


def restart(driver: Driver, each: tuple[Watched, ...]) -> None:
    """Other SLOs, from what the topics kept."""
    driver.spec = spec(*each)
    driver.crash()


CHANGES = pytest.mark.parametrize("change", [hand_over, restart])


def burning(*each: Watched) -> Driver:
    """A judge whose SLO `chat` has an open alert, written to its state."""
    driver = Driver(spec(*each, snapshot_us=0))
    driver.feed(counts([*steady(T0, T0 + 700, 100), *steady(T0 + 700, T0 + 800, 0, 100)]))
    assert [told[1] for told in driver.told] == ["FIRED"]
    return driver


def without(columns: dict[str, Any], *names: str) -> dict[str, Any]:
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in columns.items()}
    return {name: value for name, value in plain.items() if name not in names}


def said(driver: Driver) -> tuple[Any, Any]:
    """All alerts and the last statuses, but for processing times."""
    alerts = [without(alert, "evaluated_at") for alert in driver.alerts]
    return alerts, {key: without(status, "judged_at") for key, status in driver.statuses.items()}


@given(plan=steps, turns=st.sets(st.integers(0, 11)), crashes=st.sets(st.integers(0, 11)))
def test_turning_to_the_same_slos_changes_nothing(plan: Any, turns: set[int], crashes: set[int]) -> None:
    each = watched(policy=LONG, target="0.95", window="9000s")
    plain, turning = Driver(spec(each)), Driver(spec(each))
    for number, block in enumerate(blocks_of(plan)):
        plain.feed(block)
        if number in turns:
            turning.fold = turning.fold.succeeded(spec(each))
        turning.feed(block)
        if number in turns & crashes:
            turning.crash()
    end = sum(gap for gap, _ in plan) + T0 + 1
    for driver in (plain, turning):  # a last entry, so that both have a reason to write the status at the end
        driver.feed(counts(steady(end, end + 1, 1), newest=end + 10))
    assert said(turning) == said(plain)


def test_a_unit_after_the_turn_is_a_snapshot_with_everything_that_was_not_written_yet() -> None:
    driver = Driver(spec(watched(policy=QUICK)))
    driver.feed(counts(steady(T0, T0 + 50, 3, 1)))
    driver.feed(counts(steady(T0 + 50, T0 + 55, 3, 1)))
    assert driver.committed < driver.position
    hand_over(driver, (watched(policy=QUICK), watched(name="other", policy=QUICK)))
    assert driver.committed == driver.position
    driver.crash()
    driver.feed(counts(steady(T0 + 55, T0 + 60, 3, 1)))
    status = driver.statuses["chat|"]
    assert (status["good"], status["bad"]) == (3 * 57, 57)


@pytest.mark.parametrize(
    ("other", "bad"),
    [
        pytest.param(watched(policy=QUICK, target="0.5", revision="r2"), 10_000, id="another target keeps counts"),
        pytest.param(watched(policy=QUICK, window="7d", revision="r2"), 10_000, id="another window keeps counts"),
        pytest.param(watched(policy=LONG, revision="r2"), 10_000, id="another policy keeps counts"),
        pytest.param(
            watched(policy=QUICK, revision="r2", indicator_revision="i2"), 0, id="another indicator starts anew"
        ),
    ],
)
@CHANGES
def test_what_an_edit_keeps(change: Change, other: Watched, bad: int) -> None:
    driver = burning(watched(policy=QUICK))
    change(driver, (other,))
    driver.feed(counts(steady(T0 + 800, T0 + 900, 100), revision=other.objective.indicator_revision))
    status = driver.statuses["chat|"]
    assert (status["bad"], status["revision"]) == (bad, "r2")


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        pytest.param(watched(name="other", policy=QUICK), "critical is over: the SLO was removed", id="removed"),
        pytest.param(
            watched(policy=AlertPolicy(()), revision="r2"),
            "critical is over: the SLO has no alert policy any more",
            id="alerts no more",
        ),
    ],
)
@CHANGES
def test_an_alert_that_nobody_judges_any_more_is_resolved_with_the_reason(
    change: Change, left: Watched, reason: str
) -> None:
    driver = burning(watched(policy=QUICK))
    fired = driver.alerts[-1]
    change(driver, (left,))
    driver.feed(counts(steady(T0 + 800, T0 + 900, 100, slo=left.objective.name)))
    resolved = driver.alerts[-1]
    assert (resolved["event"], resolved["reason"]) == ("RESOLVED", reason)
    assert resolved["sequence"] > fired["sequence"]
    same = ("dedup_key", "slo", "instance", "severity", "started_at", "long_bad", "runbook")
    assert [resolved[name] for name in same] == [fired[name] for name in same]
    driver.crash()
    driver.feed(counts(steady(T0 + 900, T0 + 1_000, 100, slo=left.objective.name)))
    assert len(driver.alerts) == 2


@CHANGES
def test_a_removed_slo_takes_its_judgement_and_its_state_along(change: Change) -> None:
    driver = burning(watched(policy=QUICK), watched(name="other", policy=QUICK))
    driver.feed(counts(steady(T0 + 800, T0 + 810, 1, slo="other")))
    change(driver, (watched(name="other", policy=QUICK),))
    driver.feed(counts(steady(T0 + 810, T0 + 900, 1, slo="other")))
    assert set(driver.statuses) == {"other|"}
    assert set(driver.state) == {b"other|", PARTITION_KEY.encode()}


def test_an_slo_that_comes_back_starts_anew() -> None:
    both = watched(policy=QUICK), watched(name="other", policy=QUICK)
    driver = burning(*both)
    hand_over(driver, both[1:])
    driver.feed(counts([*steady(T0 + 800, T0 + 850, 1), *steady(T0 + 800, T0 + 850, 1, slo="other")]))
    hand_over(driver, both)
    driver.feed(counts([*steady(T0 + 850, T0 + 900, 1), *steady(T0 + 850, T0 + 900, 1, slo="other")]))
    assert {key: (s["good"], s["bad"]) for key, s in driver.statuses.items()} == {
        "chat|": (47, 0), "other|": (97, 0),
    }  # fmt: skip


@CHANGES
def test_a_no_data_alert_of_a_removed_slo_is_resolved(change: Change) -> None:
    driver = Driver(spec(watched(policy=QUICK), watched(name="other", policy=QUICK), snapshot_us=0))
    driver.feed(counts(steady(T0, T0 + 20, 1)))
    silent = counts(newest=T0 + 20, idle=3_600, flushed=3_620)
    driver.feed(silent)
    assert [each[1] for each in driver.told_of("NO_DATA")] == ["FIRED", "FIRED"]
    change(driver, (watched(name="other", policy=QUICK),))
    driver.feed(counts(newest=T0 + 20, idle=3_601, flushed=3_621))
    resolved = [alert for alert in driver.alerts if alert["event"] == "RESOLVED"]
    assert [(alert["slo"], alert["reason"]) for alert in resolved] == [
        ("chat", "critical is over: the SLO was removed")
    ]


@pytest.mark.parametrize("before", [0, 1])
def test_a_judge_that_has_judged_nothing_yet_can_turn(before: int) -> None:
    driver = burning(watched(policy=QUICK))
    driver.crash()
    for _ in range(before):
        driver.unit()
    hand_over(driver, (watched(policy=QUICK, target="0.5", revision="r2"),))
    assert driver.statuses["chat|"]["bad"] == 9_700


def test_a_judge_without_any_state_can_turn() -> None:
    driver = Driver(spec(watched(policy=QUICK)))
    driver.unit()
    hand_over(driver, (watched(name="other", policy=QUICK),))
    driver.feed(counts(steady(T0, T0 + 10, 1, slo="other")))
    assert set(driver.statuses) == {"other|"}


def test_a_successor_takes_over_between_two_units() -> None:
    fold = Succession(spec(watched()))
    first = fold.now
    fold.next = spec(watched(target="0.5"))
    assert fold.now is first
    driver = Driver(fold.next)
    driver.fold = fold  # type: ignore[assignment]
    driver.feed(counts(steady(T0, T0 + 10, 1)))
    second = fold.now
    driver.feed(counts(steady(T0 + 10, T0 + 20, 1)))
    assert isinstance(second, JudgeFold)
    assert fold.now is second is not first
    assert driver.statuses["chat|"]["target"] == 0.5


@pytest.mark.parametrize(
    ("limit", "partitions", "most"),
    [(10_000, 4, 2_750), (10_000, 1, 11_000), (500, 4, 500), (1, 8, 1), (2_000, 8, 1_000)],
)
def test_a_partition_may_judge_its_share_of_all_instances(limit: int, partitions: int, most: int) -> None:
    assert instances_of_one(limit, partitions) == most
    assert partitions * most >= limit


def test_what_was_refused_and_what_did_not_fit_is_still_counted_after_the_turn() -> None:
    driver = Driver(spec(watched(policy=QUICK), limit_instances=1))
    driver.feed(counts([*steady(T0, T0 + 20, 3), *steady(T0, T0 + 20, 3, labels="region=eu")]))
    driver.feed(counts([("chat", "", T0 + 20, 1 << 33, 0, 0)]))
    driver.feed(counts(steady(T0 + 21, T0 + 30, 1)))
    names = ("instances_refused", "events_clipped", "entries_unknown")
    before = {name: driver.fold.counters[name] for name in names}
    assert before["instances_refused"] == 1
    assert before["events_clipped"] > 0
    driver.spec = spec(watched(policy=LONG), limit_instances=1)
    driver.fold = driver.fold.succeeded(driver.spec)
    driver.unit()
    after = {name: driver.fold.counters[name] for name in names}
    assert after.pop("events_clipped") >= before.pop("events_clipped")  # wider cells add up what was clipped, and more
    assert after == before
