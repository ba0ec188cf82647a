"""Who is judged: limits, expiry, and what becomes of instances and open alerts when SLO files change."""

from dataclasses import replace

import pytest

from pipeline.instances import Unmeasured, tables
from pipeline.judgement import PARTITION_KEY
from pipeline.slo import Ratio
from tests.judging import QUICK, T0, Driver, counts, spec, steady, watched


def test_entries_of_other_revisions_and_unknown_slos_are_counted_and_skipped():
    driver = Driver(spec())
    driver.feed(counts(steady(T0, T0 + 10, 1), revision="i0"), counts(steady(T0, T0 + 10, 1, slo="gone")))
    assert driver.fold.counters["entries_unknown"] == 20
    assert driver.fold.counters["instances"] == 0


def test_instances_past_the_limit_are_refused_and_counted():
    driver = Driver(spec(limit_instances=2))
    driver.feed(counts([("chat", f"m={i}", T0 + i, 1, 0, 0) for i in range(5)], newest=T0 + 60))
    assert (driver.fold.counters["instances"], driver.fold.counters["instances_refused"]) == (2, 3)


def test_a_lower_limit_refuses_nobody_who_was_judged_before():
    groups = [("chat", f"m={i}") for i in range(5)]
    driver = Driver(spec(watched(policy=QUICK), snapshot_us=0))
    calm = [(*each, T0 + s, 100, 0, 0) for s in range(700) for each in groups]
    bad = [(*each, T0 + s, 0, 100, 0) for s in range(700, 800) for each in groups]
    driver.feed(counts([*calm, *bad]))
    assert [each[1] for each in driver.told] == ["FIRED"] * 5
    driver.spec = spec(watched(policy=QUICK), snapshot_us=0, limit_instances=1)
    driver.crash()
    driver.feed(
        counts([(*each, T0 + s, 100, 0, 0) for s in range(800, 1_600) for each in [*groups, ("chat", "m=new")]])
    )
    assert [each[1] for each in driver.told].count("RESOLVED") == 5
    assert driver.fold.counters["instances"] == 5


def test_an_instance_without_events_for_its_windows_expires_with_a_tombstone():
    driver = Driver(spec(watched(policy=QUICK, window="3600s"), snapshot_us=0))
    driver.feed(counts(steady(T0, T0 + 10, 1, labels="m=old")))
    driver.feed(counts(steady(T0 + 10, T0 + 9_000, 1, labels="m=new")))
    assert set(driver.state) == {b"chat|m=new", PARTITION_KEY.encode()}
    driver.feed(counts(steady(T0 + 9_000, T0 + 9_010, 1, labels="m=old")))
    assert driver.statuses["chat|m=old"]["good"] == 7


def restarted(driver, *each):
    """The same topics under another spec."""
    driver.spec = spec(*each, snapshot_us=0)
    driver.crash()
    return driver


@pytest.fixture
def burning():
    driver = Driver(spec(watched(policy=QUICK), snapshot_us=0))
    driver.feed(counts([*steady(T0, T0 + 700, 100), *steady(T0 + 700, T0 + 800, 0, 100)]))
    assert [each[1] for each in driver.told] == ["FIRED"]
    return driver


def test_an_slo_that_is_gone_leaves_tombstones(burning):
    driver = restarted(burning, watched(name="other", policy=QUICK))
    driver.feed(counts(steady(T0 + 800, T0 + 810, 1, slo="other")))
    assert set(driver.state) == {b"other|", PARTITION_KEY.encode()}


def test_a_new_policy_keeps_counts_and_judges_the_open_alert_anew(burning):
    driver = restarted(burning, watched(policy=QUICK, target="0.5", revision="r2"))
    driver.feed(counts(steady(T0 + 800, T0 + 900, 100)))
    assert [each[1] for each in driver.told] == ["FIRED", "RESOLVED"]
    assert driver.statuses["chat|"]["bad"] == 10_000


def test_a_new_indicator_starts_counting_anew_and_still_resolves(burning):
    driver = restarted(burning, watched(policy=QUICK, revision="r2", indicator_revision="i2"))
    driver.feed(counts(steady(T0 + 800, T0 + 900, 100), revision="i2"))
    assert [each[1] for each in driver.told] == ["FIRED", "RESOLVED"]
    assert driver.statuses["chat|"]["bad"] == 0


def test_thresholds_that_do_not_fit_are_refused():
    target = Ratio(10**15 - 1, 10**15)
    each = watched(policy=QUICK)
    with pytest.raises(ValueError, match="too many digits"):
        tables([replace(each, objective=replace(each.objective, target=target))])


WINDOWS = {(300, 0): (3, 30), (2_592_000, 0): (1_000, 259_200)}


@pytest.mark.parametrize(
    ("name", "missing", "slices", "at", "is_news"),
    [
        pytest.param((300, 0), 3, 30, 1_000, False, id="nothing else"),
        pytest.param((300, 0), 4, 30, 1, True, id="a slice of a short window, at once"),
        pytest.param((2_592_000, 0), 999, 259_200, 59, False, id="a slice of a month, too soon"),
        pytest.param((2_592_000, 0), 999, 259_200, 60, True, id="a slice of a month, by and by"),
        pytest.param((2_592_000, 0), 3_592, 259_200, 1, True, id="a hundredth of a month, at once"),
        pytest.param((2_592_000, 0), 3_591, 259_200, 1, False, id="less than a hundredth, too soon"),
        pytest.param((300, 0), 2, 30, 59, False, id="less is missing of a short window, too soon"),
        pytest.param((300, 0), 2, 30, 60, True, id="less is missing of a short window, by and by"),
        pytest.param((9, 99), 0, 0, 1, True, id="another window"),
    ],
)
def test_statuses_tell_of_unmeasured_time_at_once_when_it_is_much(
    name: tuple[int, int], missing: int, slices: int, at: int, is_news: bool
) -> None:
    told = Unmeasured()
    assert told.is_news(WINDOWS, 0), "the first time"
    assert told.is_news(WINDOWS | {name: (missing, slices)}, at) == is_news
    assert not told.is_news(told.told, at + 1_000), "it is told"


def test_a_window_that_just_began_is_no_news_for_ever() -> None:
    told = Unmeasured()
    assert told.is_news({(0, 9): (0, 0)}, 0)
    assert not told.is_news({(0, 9): (0, 0)}, 1_000)
