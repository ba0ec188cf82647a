"""Timeslices judged: verdicts of slices in every window, their ratios, what is late; against the slow way to say it."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import timeslices
from pipeline.alerts import Guards
from pipeline.judgement import Judgement
from pipeline.kernels.slices import KEPT, UNIT
from pipeline.periods import Calendar
from pipeline.slo import Ratio, Timeslices
from pipeline.windows import layout, row_bytes
from tests.judging import (
    LONG,
    QUICK,
    T0,
    Driver,
    blocks_of,
    brought_back,
    counts,
    on_and_again,
    preset,
    spec,
    steady,
    steps,
    watched,
)
from tests.naive.judge import NaiveJudge
from tests.naive.slices import ended, verdicts
from tests.naive.windows import cell_of, period_of, sum_between, window_sum
from tests.test_calendar_windows import noted, wall
from tests.test_judgement import rules_of
from tests.test_windows import state_of

BY_TARGET = [Ratio(19, 20), Ratio(1, 2), Ratio(1, 1), None]
CALENDARS = [
    None,
    Calendar(1, "d", wall("2023-11-14T22:30"), "UTC"),
    Calendar(1, "d", wall("2023-11-15"), "Asia/Kolkata"),
]


def sliced(length: int, share: Ratio | None, calendar: Calendar | None = None, **more):
    each = watched(**{"window": "20000s", **more})
    objective = replace(each.objective, timeslices=Timeslices(length * 1_000_000, share), calendar=calendar)
    if calendar is not None:
        objective = replace(objective, window_us=calendar.longest_us)
    return replace(each, objective=objective)


def exact(target: Ratio | None) -> Fraction | None:
    return None if target is None else Fraction(target.numerator, target.scale)


slos = st.builds(
    lambda *chosen: sliced(*chosen, policy=LONG),
    st.sampled_from((60, 300, 700, 3_600)), st.sampled_from(BY_TARGET), st.sampled_from(CALENDARS),
)  # fmt: skip


@settings(max_examples=50)
@given(slos, steps)
def test_sums_are_those_of_a_dictionary_of_slices(each, plan) -> None:
    objective, seconds = each.objective, {}
    length, target = timeslices.length_s(objective), exact(objective.timeslices.target)
    judge = Judgement(spec(each))
    for block in blocks_of(plan):
        judge.observe(block)
        judge.judge()
        noted(seconds, block)
        reading, at = judge.instances.reading(0, judge.coverage), judge.judged_s
        if reading.first_s < 0:
            continue
        known = {last: verdict for last, verdict in verdicts(seconds, length, target).items() if last < at}
        calendar, span = objective.calendar, reading.spans_s[-1]
        start = (at - span) // cell_of(span) * cell_of(span)
        if calendar is not None:
            start, _ = period_of(calendar.start, calendar.count, calendar.unit, calendar.zone, at)
        expected = [window_sum(known, at, span) for span in reading.spans_s[:-1]]
        expected.append(sum_between(known, start, at))
        assert reading.sums == [(good, bad) for good, bad, _ in expected]
        every = ended(length, max(start, reading.first_s), at) * timeslices.parts(objective)
        assert reading.excluded == max(every - sum(reading.sums[-1]), 0)


@settings(max_examples=40)
@given(slos, steps, st.integers(0, 11))
def test_snapshot_restore_continue_equals_continue(each, plan, cut) -> None:
    on, again = on_and_again(spec(each), blocks_of(plan), cut)
    assert state_of(again) == state_of(on)


def test_an_untouched_instance_restores_from_an_old_entry_with_its_slice_closed() -> None:
    rules = spec(sliced(60, Ratio(1, 2), policy=LONG))
    judge = Judgement(rules)
    judge.observe(counts([("chat", "m=a", T0, 0, 5, 0), ("chat", "m=b", T0, 5, 0, 0)], newest=T0 + 5))
    judge.judge()
    for row in judge.instances.known:
        judge.instances.snapshot(row, 0, rules.framing)
    judge.observe(counts(steady(T0 + 5, T0 + 200, 1, labels="m=a")))
    judge.judge()
    assert len(judge.instances.touched()) == 2, "a slice that closes is news"
    old = [judge.instances.snapshot(row, 0, rules.framing) for row in judge.instances.known]
    judge.observe(counts(steady(T0 + 200, T0 + 2_000, 1, labels="m=a")))
    judge.judge()
    row_a, row_b = judge.instances.rows.values()
    assert judge.instances.touched() == [row_a]
    entries = [judge.instances.snapshot(row_a, 0, rules.framing), old[1]]
    again = brought_back(judge, rules, entries)
    assert state_of(again) == state_of(judge)
    assert judge.instances.reading(row_b, judge.coverage).sums[-1] == (1, 0)


# -- what a slice is


HOUR = T0 - T0 % 3_600  #: slices of a minute begin with it


def status_of(driver: Driver):
    status = driver.statuses["chat|"]
    return status["good"], status["bad"], status["excluded"]


def minutes(*each: tuple[int, int], start=HOUR):
    """An entry in the middle of each minute."""
    return [("chat", "", start + 60 * i + 30, good, bad, 0) for i, (good, bad) in enumerate(each)]


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        pytest.param(95, 5, (1, 0, 0), id="just in target"),
        pytest.param(94, 5, (0, 1, 0), id="just not"),
        pytest.param(0, 7, (0, 1, 0), id="all bad"),
        pytest.param(0, 0, (0, 0, 1), id="nothing was eligible"),
    ],
)
def test_a_slice_is_good_or_bad_as_a_whole(good: int, bad: int, expected) -> None:
    driver = Driver(spec(sliced(60, Ratio(19, 20), policy=QUICK)))
    driver.feed(counts(minutes((good, bad)), newest=HOUR + 62.5))
    assert status_of(driver) == expected


def test_a_slice_counts_when_it_has_ended_and_not_before() -> None:
    driver = Driver(spec(sliced(60, Ratio(19, 20), policy=QUICK)))
    driver.feed(counts(minutes((5, 0)), newest=HOUR + 61.9))
    assert driver.fold.judgement.instances.reading(0, driver.fold.judgement.coverage).sums[-1] == (0, 0)
    driver.feed(counts(newest=HOUR + 62.1))
    assert status_of(driver) == (1, 0, 0)


def test_of_ratios_the_mean_is_kept_whatever_the_traffic() -> None:
    driver = Driver(spec(sliced(60, None, policy=QUICK)))
    driver.feed(counts(minutes((1, 0), (500, 500), (0, 0), (1, 2)), newest=HOUR + 242.5))
    good, bad, excluded = status_of(driver)
    assert (good, bad, excluded) == (1_833_333, 1_166_667, UNIT)
    assert driver.statuses["chat|"]["compliance_ratio"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_late_events_change_the_verdict_of_their_slice() -> None:
    driver = Driver(spec(sliced(60, Ratio(19, 20), policy=QUICK)))
    driver.feed(counts(minutes((95, 5), (0, 0), (95, 5)), newest=HOUR + 200))
    assert status_of(driver) == (2, 0, 1)
    driver.feed(counts([("chat", "", HOUR + 3, 0, 1, 0), ("chat", "", HOUR + 61, 3, 0, 0)], newest=HOUR + 210))
    assert status_of(driver) == (2, 1, 0)
    driver.feed(counts([("chat", "", HOUR + 4, 19, 0, 0)], newest=HOUR + 220))
    assert status_of(driver) == (3, 0, 0)
    assert driver.statuses["chat|"]["late"] == 23


def test_what_is_later_than_the_slices_that_are_kept_is_counted_and_changes_nothing() -> None:
    driver = Driver(spec(sliced(60, Ratio(19, 20), policy=QUICK, window="7d")))
    driver.feed(counts(minutes((9, 0), (9, 0)), newest=HOUR + 60 * KEPT + 5))
    driver.feed(counts([("chat", "", HOUR + 1, 0, 9, 0), ("chat", "", HOUR + 61, 0, 9, 0)]))
    driver.feed(counts(newest=HOUR + 60 * KEPT + 20))
    assert status_of(driver)[:2] == (1, 1)
    assert (driver.fold.counters["events_clipped"], driver.statuses["chat|"]["late"]) == (9, 18)


def test_a_kept_slice_makes_room_for_a_new_one() -> None:
    driver = Driver(spec(sliced(60, Ratio(19, 20), policy=QUICK, window="7d")))
    early, after = minutes((0, 9), (9, 0)), minutes((9, 0), (0, 9), start=HOUR + 60 * KEPT)
    driver.feed(counts([*early, *after], newest=HOUR + 60 * KEPT + 125))
    assert status_of(driver)[:2] == (2, 2)
    late = [("chat", "", HOUR + 60 * KEPT + 1, 9, 0, 0), ("chat", "", HOUR + 60 * KEPT + 61, 0, 9, 0)]
    driver.feed(counts(late, newest=HOUR + 60 * KEPT + 130))
    assert status_of(driver)[:2] == (2, 2)


@pytest.mark.parametrize("calendar", [None, Calendar(1, "M", wall("2026-01-01"), "Europe/Berlin")])
@pytest.mark.parametrize(("target", "error"), [(Ratio(19, 20), 20), (None, 40)], ids=["whole", "by ratio"])
def test_alerts_are_those_of_the_slow_judge_over_slices(target, error, calendar) -> None:
    guards = Guards(3, 1)
    each = sliced(60, target, calendar, policy=replace(QUICK, guards=guards), target="0.98", window="7d")
    entries = [
        *steady(T0 - 8_000, T0, 100), *steady(T0, T0 + 900, 100 - error, error), *steady(T0 + 900, T0 + 9_000, 100),
    ]  # fmt: skip
    driver = Driver(spec(each))
    driver.feed(counts(entries))
    events = {second: (good, bad, 0) for _, _, second, good, bad, _ in entries}
    parts = timeslices.parts(each.objective)
    rules = rules_of(each)._replace(min_events=guards.min_events * parts, min_bad=guards.min_bad * parts)
    known = {last: verdict[:2] for last, verdict in verdicts(events, 60, exact(target)).items()}
    slow = NaiveJudge(rules, known, {s // 10 for s in events}, T0 - 8_000, driver.fold.judgement.judged_s)
    slow.first = T0 - 8_000
    assert driver.told == slow.run()
    assert [event for _, event, _ in driver.told if event != "UPDATED"] == ["FIRED", "RESOLVED"]


def test_another_way_to_count_begins_anew_and_keeps_the_open_alert() -> None:
    driver = Driver(spec(watched(policy=QUICK), snapshot_us=0))
    driver.feed(counts([*steady(T0, T0 + 700, 100), *steady(T0 + 700, T0 + 800, 0, 100)]))
    for each in (sliced(60, Ratio(1, 2), policy=QUICK), sliced(60, Ratio(2, 3), policy=QUICK)):
        driver.spec = spec(each, snapshot_us=0)
        driver.crash()
        begin = driver.fold.judgement.judged_s or 0
        driver.feed(counts(newest=T0 + 810))
        assert status_of(driver) == (0, 0, 0)
        assert driver.statuses["chat|"]["severity"] == "CRITICAL"
        assert begin == 0


# -- what is stated


@pytest.mark.parametrize("is_calendar", [False, True])
@pytest.mark.parametrize(("name", "most"), [("default", 19_500), ("workbook", 24_200)])
def test_an_instance_stays_under_its_stated_memory(name: str, most: int, is_calendar: bool) -> None:
    spans = [us // 1_000_000 for pair in preset(name).pairs for us in (pair.long_us, pair.short_us)]
    assert row_bytes(layout(spans, 2_592_000, is_calendar, 60)) < most


def test_a_slice_of_a_second_by_its_ratio_fits_into_a_cell() -> None:
    assert 3_600 * UNIT < 1 << 32
