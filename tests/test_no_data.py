"""No-data alerts against a second-by-second reading of the slices; once an SLO, through crashes and any cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import AlertPolicy
from pipeline.bindings import route
from tests.judging import QUICK, T0, Driver, counts, slices_of, spec, steady, watched
from tests.naive.no_data import no_data

REACH, HOLD = 30, 60

#: seconds of traffic, then of silence
spells = st.lists(st.tuples(st.integers(1, 200), st.sampled_from([0, 100, 290, 299, 310, 320, 350, 1_000])), max_size=8)


def blocks_of(plan, wait=37):
    """Blocks of one source through spells; silence is told every so many seconds."""
    second, blocks = T0, []
    for traffic, silence in plan:
        blocks.append(counts(steady(second, second + traffic, 10), flushed=second + traffic - T0))
        second += traffic
        for idle in range(wait, silence + 1, wait):
            blocks.append(counts(idle=idle, flushed=second + idle - T0))
        second += silence
    return blocks


def run(blocks, cut=1, crashes=(), **facts):
    driver = Driver(spec(watched(policy=QUICK), snapshot_us=facts.get("snapshot_us", 5_000_000)))
    driver.send(*blocks)
    units = 0
    while driver.position < len(driver.log):
        driver.unit(cut)
        units += 1
        if units in crashes:
            driver.crash()
    return driver


@settings(max_examples=60)
@given(spells, st.integers(1, 40))
def test_alerts_are_those_of_somebody_who_asks_every_second(plan, cut):
    plan = [(5, 0), *plan]
    driver = run(blocks_of(plan), cut)
    seconds, second = [], T0
    for traffic, silence in plan:
        seconds += range(second, second + traffic)
        second += traffic + silence
    expected = no_data(set(slices_of(seconds)), REACH, driver.fold.judgement.judged_s, HOLD)
    assert [(second, event) for second, event, _ in driver.told_of("NO_DATA")] == expected


@settings(max_examples=40)
@given(spells, st.integers(1, 10), st.sets(st.integers(1, 60), max_size=5), st.sampled_from([1, 40]))
def test_a_crash_at_any_unit_tells_the_same_once(plan, cut, crashes, snapshot_s):
    blocks = blocks_of([(100, 400), *plan, (100, 0)])
    calm, crashed = run(blocks), run(blocks, cut, crashes, snapshot_us=snapshot_s * 1_000_000)
    told = [[{**alert, "evaluated_at": 0} for alert in driver.alerts] for driver in (calm, crashed)]
    assert told[0] == told[1] != []
    ids = [[dict(record.headers)["ce_id"] for record in driver.alert_records] for driver in (calm, crashed)]
    assert ids[0] == ids[1]


@pytest.fixture
def silent():
    """Silence from second 100 on, then data again."""
    return run([*blocks_of([(100, 500), (200, 0)])])


def test_it_fires_when_a_slice_is_unmeasured_and_resolves_after_the_hold(silent):
    first_back = -(-600 // 10) * 10
    fired, resolved = silent.told_of("NO_DATA")
    assert fired[1:] == ("FIRED", "CRITICAL"), "as severe as the worst pair"
    assert 400 < fired[0] - T0 <= 420
    assert resolved[1:] == ("RESOLVED", "CRITICAL")
    assert 0 < resolved[0] - T0 - first_back - HOLD <= 20


def test_the_event_says_what_it_is(silent):
    fired, resolved = silent.alerts
    assert (fired["kind"], fired["dedup_key"], fired["instance"]) == ("NO_DATA", "chat||no-data", "")
    assert (fired["long_good"], fired["long_bad"]) == (0, 0)
    assert fired["long_burn_rate"] is fired["short_burn_rate"] is None
    assert fired["budget_remaining_ratio"] is None and fired["provisional"]
    assert fired["sequence"] == fired["started_at"] // 1_000_000 == resolved["started_at"] // 1_000_000
    assert "nothing is judged from 2023-11-14 22:20:10 UTC on" in fired["reason"]
    assert "events come again" in resolved["reason"]
    types = [dict(record.headers)["ce_type"] for record in silent.alert_records]
    assert types == [b"slo.nodata.fired.v1", b"slo.nodata.resolved.v1"]
    assert silent.alert_records[0].key == b"chat||no-data"


def test_many_instances_have_one_alert():
    entries = [("chat", f"m={i}", T0 + i, 5, 0, 0) for i in range(300)]
    driver = run([counts(entries), counts(idle=1_000)])
    assert len(driver.told_of("NO_DATA")) == 1
    assert len(driver.fold.judgement.instances.known) == 300


def test_exactly_one_judge_partition_tells_of_an_slo():
    names = [f"slo-{i}" for i in range(20)]
    told = {}
    for partition in range(4):
        driver = Driver(spec(*(watched(name=name, policy=QUICK) for name in names)), partition, 4)
        driver.feed(counts([("slo-3", "", T0, 1, 0, 0)] if partition == 1 else [], newest=T0 + 0.5, slices=[T0 // 10]))
        driver.feed(counts(idle=1_000))
        told[partition] = [alert["slo"] for alert in driver.alerts]
    assert sorted(name for mine in told.values() for name in mine) == sorted(names)
    assert all(route(name, 4) == partition for partition, mine in told.items() for name in mine)


def test_before_the_first_event_nothing_is_missed():
    driver = Driver(spec(watched(policy=QUICK)))
    for moment in range(10, 2_000, 10):
        driver.feed(counts(idle=moment, flushed=moment))
    assert driver.alerts == []
    driver.feed(counts([("chat", "", T0 + 1, 1, 0, 0)], flushed=2_000))
    driver.feed(counts(steady(T0 + 2, T0 + 60, 1), flushed=2_060))
    assert driver.alerts == [], "the slice before the first event was never measured, and does not count"


def test_an_slo_without_pairs_has_no_alert():
    driver = Driver(spec(watched(policy=AlertPolicy(()))))
    driver.feed(counts(steady(T0, T0 + 10, 1)))
    driver.feed(counts(idle=1_000))
    assert driver.alerts == []


def test_an_slo_that_is_new_during_a_silence_is_told_of_too():
    driver = run([counts(steady(T0, T0 + 10, 1)), counts(idle=1_000)], snapshot_us=0)
    driver.spec = spec(watched(policy=QUICK), watched(name="new", policy=QUICK))
    driver.crash()
    driver.feed(counts(idle=1_100))
    assert [alert["slo"] for alert in driver.alerts] == ["chat", "new"]


def test_state_of_an_older_version_is_taken_over():
    driver = run([counts(steady(T0, T0 + 1_000, 1))], snapshot_us=0)
    driver.crash()
    driver.unit()
    driver.fold.judgement.no_data.restore({"is_heard": True, "alerts": {}}, T0)
    driver.feed(counts(idle=1_000))
    assert [event for _, event, _ in driver.told_of("NO_DATA")] == ["FIRED"]
