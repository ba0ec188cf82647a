"""Throughput and cost judged: slices that are held against a floor or a price, against the slow way to say it."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import timeslices
from pipeline.alerts import Guards
from pipeline.judgement import Judgement
from pipeline.kernels.slices import KEPT_OF_SUMS
from pipeline.slo import Indicator, Ratio, Timeslices
from pipeline.windows import layout, row_bytes
from tests.judging import LONG, QUICK, T0, Driver, blocks_of, counts, on_and_again, spec, steady, steps, watched
from tests.naive.judge import NaiveJudge
from tests.naive.slices import ended, whole_verdicts
from tests.naive.windows import cell_of, window_sum
from tests.test_calendar_windows import noted
from tests.test_judgement import rules_of
from tests.test_windows import state_of

MILLION, PICO = 10**6, 10**12
SERVED = Indicator("throughput_rps", MILLION // 2, at_most=False, offered=MILLION // 2)
TOKENS = Indicator("throughput_tps", MILLION // 3, at_most=False, offered=MILLION // 5)
COST = Indicator("cost_per_1k_tokens", 1000 * PICO, final_attempts_only=False)  # a USD for a token
OF_SUMS = [TOKENS, COST]
INDICATORS = [SERVED, *OF_SUMS]
BY_METRIC = {each.metric: each for each in INDICATORS}


def whole(indicator: Indicator, length: int = 60, **more):
    each = watched(**{"window": "20000s", **more})
    cut = Timeslices(length * MILLION, Ratio(1, 1), is_whole=True)
    return replace(each, objective=replace(each.objective, indicator=indicator, timeslices=cut))


def slow(indicator: Indicator, seconds, length: int = 60):
    """Last second of a slice -> its verdict."""
    scale = 1 if indicator is COST else MILLION
    threshold, offered = Fraction(indicator.threshold, scale), Fraction(indicator.offered, MILLION)
    return whole_verdicts(seconds, length, indicator.metric, threshold, offered)


def enlarged(indicator: Indicator, blocks):
    """Cost in pico-USD, so that it needs all of its bits."""
    for block in blocks if indicator is COST else ():
        block["good"] = block["good"] * PICO
    return blocks


chosen = st.sampled_from(INDICATORS), st.sampled_from((60, 300, 700))


@settings(max_examples=40)
@given(*chosen, steps)
def test_sums_are_those_of_a_dictionary_of_slices(indicator, length, plan) -> None:
    each, seconds = whole(indicator, length, policy=LONG), {}
    judge = Judgement(spec(each))
    for block in enlarged(indicator, blocks_of(plan)):
        judge.observe(block)
        judge.judge()
        noted(seconds, block)
        reading, at = judge.instances.reading(0, judge.coverage), judge.judged_s
        if reading.first_s < 0:
            continue
        known = {last: verdict for last, verdict in slow(indicator, seconds, length).items() if last < at}
        assert reading.sums == [window_sum(known, at, span)[:2] for span in reading.spans_s]
        start = (at - reading.spans_s[-1]) // cell_of(reading.spans_s[-1]) * cell_of(reading.spans_s[-1])
        every = ended(length, max(start, reading.first_s), at)
        assert reading.excluded == max(every - sum(reading.sums[-1]), 0)


@settings(max_examples=25)
@given(*chosen, steps, st.integers(0, 11))
def test_snapshot_restore_continue_equals_continue(indicator, length, plan, cut) -> None:
    blocks = enlarged(indicator, blocks_of(plan))
    on, again = on_and_again(spec(whole(indicator, length, policy=LONG)), blocks, cut)
    assert state_of(again) == state_of(on)


HOUR = T0 - T0 % 3_600


def minutes(*each: tuple[int, int], start=HOUR):
    return [("chat", "", start + 60 * i + 30, good, bad, 0) for i, (good, bad) in enumerate(each)]


def status_of(driver: Driver):
    return tuple(driver.statuses["chat|"][name] for name in ("good", "bad", "excluded"))


@pytest.mark.parametrize(
    ("indicator", "first", "second", "expected"),
    [
        pytest.param(SERVED, (30, 0), (29, 1), (1, 1, 0), id="a floor that is met, and missed under load"),
        pytest.param(SERVED, (29, 0), (0, 0), (0, 0, 2), id="too little was offered to judge"),
        pytest.param(TOKENS, (20, 12), (19, 12), (1, 1, 0), id="tokens, met and missed"),
        pytest.param(TOKENS, (0, 11), (999, 0), (0, 0, 2), id="tokens, of too few requests"),
        pytest.param(COST, (5 * PICO, 5), (5 * PICO + 1, 5), (1, 1, 0), id="a price that is kept, and not"),
        pytest.param(COST, (1, 0), (0, 9), (1, 1, 0), id="cost for nothing, and something for nothing"),
        pytest.param(COST, (3 * 10**18, 3_000_000), (3 * 10**18 + 1, 3_000_000), (1, 1, 0), id="three million USD"),
    ],
)
def test_a_slice_is_held_against_its_threshold(indicator, first, second, expected) -> None:
    driver = Driver(spec(whole(indicator, policy=QUICK)))
    driver.feed(counts(minutes(first, second), newest=HOUR + 122.5))
    assert status_of(driver) == expected


@pytest.mark.parametrize(("indicator", "unit"), [(SERVED, 1), (TOKENS, 1), (COST, PICO)], ids=[*BY_METRIC])
def test_late_events_change_the_verdict_of_their_slice(indicator, unit) -> None:
    driver = Driver(spec(whole(indicator, policy=QUICK)))
    good, bad = (29 * unit, 40) if indicator is not TOKENS else (19, 40)
    missed = indicator is not COST  # which is met with so little cost
    driver.feed(counts(minutes((good, bad)), newest=HOUR + 62.5))
    assert status_of(driver)[:2] == (int(not missed), int(missed))
    late = [("chat", "", HOUR + 3, 1, 0, 0)] if missed else [("chat", "", HOUR + 3, 11 * unit + 1, 0, 0)]
    driver.feed(counts(late, newest=HOUR + 70))
    assert status_of(driver)[:2] == (int(missed), int(not missed))


def test_what_is_later_than_the_slices_that_are_kept_is_counted_and_changes_nothing() -> None:
    driver = Driver(spec(whole(TOKENS, policy=QUICK, window="7d")))
    driver.feed(counts(minutes((99, 20), (99, 20)), newest=HOUR + 60 * KEPT_OF_SUMS + 5))
    driver.feed(counts([("chat", "", HOUR + 1, 0, 9_000, 0), ("chat", "", HOUR + 61, 0, 7, 0)]))
    driver.feed(counts(newest=HOUR + 60 * KEPT_OF_SUMS + 20))
    assert status_of(driver)[:2] == (2, 0)
    assert (driver.fold.counters["events_clipped"], driver.statuses["chat|"]["late"]) == (9_000, 9_007)


def test_a_kept_slice_makes_room_for_a_new_one() -> None:
    driver = Driver(spec(whole(TOKENS, policy=QUICK, window="7d")))
    again = minutes((99, 0), (0, 20), start=HOUR + 60 * KEPT_OF_SUMS)  # tokens alone, where requests were before
    driver.feed(counts([*minutes((99, 20), (99, 20)), *again], newest=HOUR + 60 * KEPT_OF_SUMS + 125))
    assert status_of(driver)[:2] == (2, 1)


def test_a_sum_that_leaves_its_cell_is_counted_and_stays_out_of_target() -> None:
    driver = Driver(spec(whole(COST, policy=QUICK)))
    most = 1 << 62
    driver.feed(counts([("chat", "", HOUR + second, most, 1, 0) for second in range(3)], newest=HOUR + 62.5))
    assert status_of(driver) == (0, 1, 0)
    assert driver.fold.counters["events_clipped"] == 2


@pytest.mark.parametrize("indicator", INDICATORS, ids=[*BY_METRIC])
def test_alerts_are_those_of_the_slow_judge_over_slices(indicator) -> None:
    """Traffic, an incident of a quarter of an hour, and traffic again."""
    guards = Guards(3, 1)
    each = whole(indicator, policy=replace(QUICK, guards=guards), target="0.98", window="7d")
    fine, incident = {"throughput_rps": ((1, 0), (0, 1)), "throughput_tps": ((9, 1), (0, 1))}.get(
        indicator.metric, ((PICO, 9), (10 * PICO, 9))
    )
    entries = [
        *steady(T0 - 8_000, T0, *fine), *steady(T0, T0 + 900, *incident), *steady(T0 + 900, T0 + 9_000, *fine),
    ]  # fmt: skip
    driver = Driver(spec(each))
    driver.feed(counts(entries))
    events = {second: (good, bad, 0) for _, _, second, good, bad, _ in entries}
    rules = rules_of(each)._replace(min_events=guards.min_events, min_bad=guards.min_bad)
    known = {last: verdict[:2] for last, verdict in slow(indicator, events).items()}
    judge = NaiveJudge(rules, known, {s // 10 for s in events}, T0 - 8_000, driver.fold.judgement.judged_s)
    judge.first = T0 - 8_000
    assert driver.told == judge.run()
    assert [event for _, event, _ in driver.told if event != "UPDATED"] == ["FIRED", "RESOLVED"]


def test_another_floor_begins_anew_as_its_slices_are_of_another_kind() -> None:
    driver = Driver(spec(whole(SERVED, policy=QUICK), snapshot_us=0))
    driver.feed(counts(minutes((30, 0), (29, 1)), newest=HOUR + 130))
    assert status_of(driver)[:2] == (1, 1)
    driver.spec = spec(whole(replace(SERVED, threshold=1), policy=QUICK), snapshot_us=0)
    driver.crash()
    driver.feed(counts([("chat", "", HOUR + 131, 1, 0, 0)], newest=HOUR + 190))
    assert status_of(driver)[:2] == (0, 0)


def test_sums_need_no_more_memory_than_counts() -> None:
    alerts, compliance = (300, 3_600), 30 * 86_400
    assert row_bytes(layout(alerts, compliance, False, 60, True)) == row_bytes(layout(alerts, compliance, False, 60))
    assert [timeslices.are_sums(whole(each).objective) for each in INDICATORS] == [False, True, True]
