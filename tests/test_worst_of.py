"""The worst of slices: a composite's slice is as good as its worst member, whatever the cut, crashes and lateness."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import AlertPolicy, ClearRule, Composed, Guards, Severity, WindowPair
from pipeline.judgement import JudgeSpec
from pipeline.kernels import rings as k
from pipeline.slo import PART, Ratio, Timeslices
from tests.journeys import clocked, entries_of, stretches_of
from tests.judging import T0, counts, played, slices_of, steady, watched
from tests.naive.judge import NaiveJudge
from tests.naive.worst_of import worst_of
from tests.test_judgement import rules_of

LENGTH, WINDOW = 20, 4_000  #: seconds
SHARE = Ratio(8, 10)
POLICY = AlertPolicy(
    (
        WindowPair(Severity.CRITICAL, Ratio(10, 1), 600_000_000, 60_000_000),
        WindowPair(Severity.WARNING, Ratio(2, 1), 3_600_000_000, 400_000_000),
    ),
    Guards(5, 1),
    ClearRule(),
)


def journey(members: str = "ab") -> Composed:
    def sliced(name: str, target: Ratio):
        each = watched(name, target="0.95", policy=POLICY, window=f"{WINDOW}s")
        return replace(each, objective=replace(each.objective, timeslices=Timeslices(LENGTH * 1_000_000, target)))

    parts = tuple(sliced(f"journey{PART}{member}", SHARE).objective for member in members)
    return Composed(sliced("journey", Ratio(1, 1)), parts, (1,) * len(members))


def run(entries, cut=10_000, crashes=(), **facts):
    return played(JudgeSpec((), (journey("abc"),), **facts), entries, cut, crashes)


def members_of(entries):
    return [
        {e[2]: e[3:5] for e in entries if e[0] == f"journey{PART}{member}"} for member in "abc"
    ]  # fmt: skip


#: of one member: seconds, bad of ten events in each; None: no events
spells = st.lists(st.tuples(st.integers(1, 500), st.sampled_from([None, 0, 0, 1, 2, 3, 10])), min_size=1, max_size=5)
journeys = st.lists(spells, min_size=1, max_size=3)


def entries_of_plans(plans):
    return clocked(entries_of(*(stretches_of(plan) for plan in plans)), 60)


@settings(max_examples=30)
@given(journeys, st.integers(20, 3_000))
def test_its_slices_are_judged_like_those_of_somebody_who_looks_at_each(plans, cut):
    entries = entries_of_plans(plans)
    driver = run(entries, cut)
    end = driver.fold.judgement.judged_s
    slices = worst_of(members_of(entries), LENGTH, Fraction(8, 10), end)
    slow = NaiveJudge(
        rules_of(journey().watched), slices, set(slices_of(e[2] for e in entries)), min(slices) - LENGTH, end
    )
    slow.first = min(slices) // LENGTH * LENGTH
    assert driver.told == slow.run()
    status = driver.statuses["journey|"]
    assert (status["good"], status["bad"]) == slow.counts(end, WINDOW)


@settings(max_examples=20)
@given(journeys, st.integers(30, 900), st.sets(st.integers(1, 40), max_size=5), st.sampled_from([0, 40]))
def test_a_crash_at_any_unit_tells_the_same_once(plans, cut, crashes, snapshot_s):
    entries = entries_of_plans([[(300, 0), (500, 10)], *plans])
    calm, crashed = run(entries), run(entries, cut, crashes, snapshot_us=snapshot_s * 1_000_000)
    told = [[{**alert, "evaluated_at": 0} for alert in driver.alerts] for driver in (calm, crashed)]
    assert told[0] == told[1] != []
    ids = [[dict(record.headers)["ce_id"] for record in driver.alert_records] for driver in (calm, crashed)]
    assert ids[0] == ids[1]
    assert calm.statuses.keys() == crashed.statuses.keys() == {"journey|"}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([(9, 1), (8, 2)], (5, 0), id="both at their share"),
        pytest.param([(10, 0), (7, 3)], (0, 5), id="one under it"),
        pytest.param([(10, 0), (0, 0)], (5, 0), id="one without events is neither good nor bad"),
        pytest.param([(0, 0), (0, 1)], (0, 5), id="one bad event in all"),
    ],
)
def test_a_slice_is_as_good_as_its_worst_member(parts, expected):
    entries = [entry for entry in entries_of(*([(0, 119, *numbers)] for numbers in parts)) if sum(entry[3:])]
    driver = run([*entries, *steady(T0 + 119, T0 + 123, 0, 0, f"journey{PART}a")])
    status = driver.statuses["journey|"]
    assert driver.fold.judgement.judged_s == T0 + 120
    good, bad = expected
    assert (status["good"], status["bad"]) == (good + bool(good), bad + bool(bad))
    assert status["compliance_ratio"] == (1.0 if good else 0.0)
    assert status["window_us"] == WINDOW * 1_000_000


def test_what_comes_late_changes_the_verdict_of_its_slice():
    driver = run(entries_of([(0, 200, 10, 0)], [(0, 200, 10, 0)]))
    assert (driver.statuses["journey|"]["good"], driver.statuses["journey|"]["bad"]) == (9, 0)
    driver.feed(counts([(f"journey{PART}b", "", T0 + 45, 0, 500, 0)], newest=T0 + 200.5))
    driver.feed(counts(steady(T0 + 200, T0 + 230, 10, slo=f"journey{PART}a")))
    assert (driver.statuses["journey|"]["good"], driver.statuses["journey|"]["bad"]) == (10, 1)
    driver.feed(counts([(f"journey{PART}b", "", T0 + 46, 9_000, 0, 0)], newest=T0 + 230.5))
    driver.feed(counts(steady(T0 + 230, T0 + 235, 10, slo=f"journey{PART}a")))
    assert (driver.statuses["journey|"]["good"], driver.statuses["journey|"]["bad"]) == (11, 0)
    assert np.all(driver.fold.judgement.instances.bank.lost == 0)


def test_events_and_late_ones_are_those_of_its_members():
    """A late event counts once, whether it changes a verdict, falls into the open slice, or behind all that is kept."""
    driver = run(entries_of([(0, 205, 10, 0)], [(0, 205, 9, 1)]))
    status, words = driver.statuses["journey|"], driver.fold.judgement.instances.words
    rows = driver.fold.judgement.instances.rows
    assert status["late"] == 0
    judged_s = driver.fold.judgement.judged_s
    ended_s = judged_s // LENGTH * LENGTH
    assert words(rows["journey", ""])[k.TOTAL] == 20 * (ended_s - T0)
    b = f"journey{PART}b"
    late = [(b, "", T0 + 45, 0, 500, 2), (b, "", T0 + 46, 3, 0, 0), (b, "", judged_s - 1, 1, 0, 0)]
    late.append((b, "", T0 - 400 * LENGTH, 7, 0, 0))
    driver.feed(counts(late, newest=T0 + 205.5))
    driver.feed(counts(steady(T0 + 205, T0 + 230, 10, slo=f"journey{PART}a")))
    assert driver.statuses["journey|"]["late"] == 513
    driver.crash()
    driver.unit()
    driver.feed(counts(steady(T0 + 230, T0 + 255, 10, slo=f"journey{PART}a")))
    assert driver.statuses["journey|"]["late"] == 513
    words, rows = driver.fold.judgement.instances.words, driver.fold.judgement.instances.rows
    ended_s = driver.fold.judgement.judged_s // LENGTH * LENGTH
    assert words(rows["journey", ""])[k.TOTAL] == 20 * 205 + 513 + 10 * (ended_s - T0 - 205)
