"""Composites: a weighted mean of members, exact, whoever reads what in which order, and however often it starts."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import STEPS, AlertPolicy, Composed, Kind, Severity, Watched, WindowPair
from pipeline.bindings import counts_partition, route
from pipeline.judgement import JudgeSpec
from pipeline.slo import PART, Ratio
from tests.journeys import clocked, entries_of, stretches_of
from tests.judging import QUICK, T0, Driver, counts, played, slices_of, steady, watched
from tests.naive.composites import NaiveMean
from tests.test_judgement import rules_of

WINDOW = 4_000  #: seconds
#: shorter windows, so that a life of minutes goes through all there is
SWIFT_WINDOW = 700
SWIFT = AlertPolicy(
    (
        WindowPair(Severity.CRITICAL, Ratio(10, 1), 120_000_000, 30_000_000),
        WindowPair(Severity.WARNING, Ratio(2, 1), 400_000_000, 60_000_000),
    )
)


def composed(weights=(2, 1), target: str = "0.95", policy: AlertPolicy = QUICK, **more) -> Composed:
    """A composite `journey` over members a, b, c ..., as many as there are weights."""
    name, window = more.pop("name", "journey"), f"{SWIFT_WINDOW if policy is SWIFT else WINDOW}s"
    whole = watched(name, target=target, policy=policy, window=window, **more)
    if "sla" in more:
        whole = replace(whole, objective=replace(whole.objective, sla_target=Ratio.parse(more["sla"])))
    members = "abcdefgh"[: len(weights)]
    parts = [watched(f"{name}{PART}{member}", target=target, window=window).objective for member in members]
    return Composed(whole, tuple(parts), tuple(weights))


def spec(*each: Composed, members: tuple[Watched, ...] = (), **more) -> JudgeSpec:
    return JudgeSpec(members, each, **more)


def plain(status):
    """A judgement but for processing time."""
    lists = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in status.items()}
    return {**lists, "judged_at": 0}


#: of one part: seconds, bad of ten events in each; None: no events
spells = st.lists(st.tuples(st.integers(1, 200), st.sampled_from([None, 0, 0, 1, 3, 10])), min_size=1, max_size=5)
journeys = st.lists(spells, min_size=2, max_size=3)


@settings(max_examples=30)
@given(journeys, st.lists(st.integers(1, 7), min_size=3, max_size=3), st.integers(20, 1_000))
def test_it_alerts_as_somebody_who_asks_every_second_with_fractions(plans, weights, cut):
    weights = weights[: len(plans)]
    entries = clocked(entries_of(*(stretches_of(plan) for plan in plans)))
    driver = played(spec(composed(weights, policy=SWIFT)), entries, cut)
    parts = [
        (Fraction(weight), {e[2]: e[3:5] for e in entries if e[0] == f"journey{PART}{member}"})
        for weight, member in zip(weights, "abc", strict=False)
    ]
    whole = composed(weights, policy=SWIFT).watched
    end = driver.fold.judgement.judged_s
    slow = NaiveMean(rules_of(whole), parts, set(slices_of(e[2] for e in entries)), min(e[2] for e in entries) - 1, end)
    assert driver.told == slow.run()
    steps = [(Fraction(s.spent.numerator, s.spent.scale), s.severity.name) for s in STEPS[Kind.BUDGET]]
    assert driver.told_of("BUDGET") == [each[:3] for each in slow.budget(Fraction("0.95"), SWIFT_WINDOW, steps)]


@settings(max_examples=20)
@given(journeys, st.integers(30, 900), st.sets(st.integers(1, 40), max_size=5), st.sampled_from([0, 40]))
def test_a_crash_at_any_unit_tells_the_same_once(plans, cut, crashes, snapshot_s):
    bad = [[(0, 100, 10, 0), (100, 300, 0, 10)], *(stretches_of(plan) for plan in plans)]
    entries, each = clocked(entries_of(*bad)), composed((2, 1, 1, 3)[: len(bad)], sla="0.9", policy=SWIFT)
    calm = played(spec(each), entries)
    crashed = played(spec(each, snapshot_us=snapshot_s * 1_000_000), entries, cut, crashes)
    told = [[{**alert, "evaluated_at": 0} for alert in driver.alerts] for driver in (calm, crashed)]
    assert told[0] == told[1] != []
    ids = [[dict(record.headers)["ce_id"] for record in driver.alert_records] for driver in (calm, crashed)]
    assert ids[0] == ids[1]
    names = calm.statuses.keys() | crashed.statuses.keys()
    assert names == {"journey|"}, "parts have no judgement of their own"
    assert plain(calm.statuses["journey|"]) == plain(crashed.statuses["journey|"])


def test_the_mean_is_weighted_and_members_without_traffic_are_left_out():
    """2 x 10 % and 1 x 40 % bad: 20 %. A third member had no event: it is neither good nor bad."""
    (status,) = played(spec(composed((2, 1, 5))), entries_of([(0, 900, 9, 1)], [(0, 900, 3, 2)])).statuses.values()
    assert status["compliance_ratio"] == pytest.approx(0.8)
    assert (status["slo"], status["instance"], status["good"] + status["bad"]) == ("journey", "", 15 * 897)
    assert status["budget_remaining_ratio"] == pytest.approx(1 - 0.2 / 0.05)
    burn = {600: 4.0, 60: 4.0}
    shown = dict(zip(status["windows_s"], status["windows_burn_rate"], strict=True))
    assert {span: shown[span] for span in burn} == pytest.approx(burn)


def test_one_broken_member_of_two_is_half_of_a_mean_however_little_traffic_it_has():
    """The member with a hundredth of the traffic fails: pooled, that were 1 %; the mean is 50 %."""
    broken = entries_of([(0, 2_700, 100, 0)], [(0, 2_000, 1, 0), (2_000, 2_700, 0, 1)])
    driver = played(spec(composed((1, 1))), clocked(broken))
    assert driver.told[0] == (T0 + 2_600, "FIRED", "CRITICAL"), "half of the mean, over 600 s: 10x of 5 %"
    fired = next(alert for alert in driver.alerts if alert["kind"] == "BURN_RATE")
    assert (fired["slo"], fired["dedup_key"], fired["long_burn_rate"]) == ("journey", "journey|", 10.0)
    assert (fired["long_good"], fired["long_bad"]) == (60_000, 600), "evidence is of all events together"
    assert fired["reason"].endswith("10x over 10 min, 10x over 1 min")


def test_the_boundary_is_exact():
    """10x of 5 % is 1/2: of 1/3 and 2/3 bad exactly that, and not of one event less."""
    exact = entries_of([(0, 3_000, 3, 0), (3_000, 3_602, 2, 1)], [(0, 3_000, 3, 0), (3_000, 3_602, 1, 2)])
    assert "CRITICAL" in {severity for *_, severity in played(spec(composed((1, 1))), clocked(exact)).told}
    less = [e if e[2] != T0 + 3_400 or not e[0].endswith("b") else (*e[:3], 2, 1, 0) for e in exact]
    assert "CRITICAL" not in {severity for *_, severity in played(spec(composed((1, 1))), clocked(less)).told}


def test_within_the_margin_it_holds_on_through_a_restart():
    """10x of 5 % fires; then 19 of 20 of one member are bad: 9.5x, not yet under 9x."""
    stretches = [(0, 1_000, 20, 0), (1_000, 1_650, 0, 20), (1_650, 1_950, 1, 19)]
    entries = entries_of(stretches, [(0, 1_950, 20, 0)])
    driver = Driver(spec(composed((1, 1)), snapshot_us=0))
    driver.feed(counts([entry for entry in entries if entry[2] < T0 + 1_750]))
    driver.crash()
    driver.feed(counts([entry for entry in entries if entry[2] >= T0 + 1_750]))
    assert [each[1:] for each in driver.told] == [("FIRED", "CRITICAL")]
    assert driver.statuses["journey|"]["state"] == "FIRING"


def test_traces_are_of_all_members_in_turn():
    driver = Driver(spec(composed((1, 1))))
    driver.feed(counts(entries_of([(0, 1_000, 10, 0)], [(0, 1_000, 10, 0)])))
    bad = entries_of([(1_000, 1_700, 0, 10)], [(1_000, 1_700, 0, 10)])
    traces = [(f"journey{PART}{part}", "", f"{part}{number}") for part in "ab" for number in range(4)]
    driver.feed(counts([entry for entry in bad if entry[2] < T0 + 1_050], exemplars=traces))
    driver.feed(counts([entry for entry in bad if entry[2] >= T0 + 1_050]))
    fired = next(alert for alert in driver.alerts if alert["kind"] == "BURN_RATE")
    assert fired["exemplar_trace_ids"] == ["a0", "b0", "a1", "b1", "a2"]


def test_a_silence_freezes_it():
    entries = entries_of([(0, 1_000, 10, 0), (1_000, 1_900, 0, 10)], [(0, 1_900, 10, 0)])
    driver = Driver(spec(composed((1, 1))))
    driver.feed(counts(entries))
    assert driver.told[-1][1:] == ("FIRED", "CRITICAL")
    driver.feed(counts(idle=3_000, flushed=3_000))
    assert "RESOLVED" not in {event for _, event, _ in driver.told}
    assert driver.statuses["journey|"]["state"] == "FROZEN"


def test_parts_are_counted_where_their_composite_is():
    for partitions in (1, 3, 16, 64):
        found = {counts_partition(f"journey{PART}{member}", "", partitions) for member in "abc"}
        assert found == {counts_partition("journey", "", partitions)} == {route("journey|", partitions)}
    assert counts_partition("chat", "m=a", 64) == route("chat|m=a", 64)


def test_it_stands_beside_slos_and_other_composites():
    chat = watched(policy=QUICK)
    other = composed((1, 1), name="other")
    entries = [
        *entries_of([(0, 1_000, 10, 0)], [(0, 1_000, 10, 0)]),
        *entries_of([(0, 1_000, 1, 9)], [(0, 1_000, 1, 9)], name="other"),
        *steady(T0, T0 + 1_000, 10),
    ]
    entries.sort(key=lambda entry: entry[2])
    driver = played(spec(composed((1, 1)), other, members=(chat,)), entries)
    assert set(driver.statuses) == {"chat|", "journey|", "other|"}
    assert {alert["slo"] for alert in driver.alerts} == {"other"}


@pytest.fixture
def burning():
    driver = Driver(spec(composed((1, 1), sla="0.9"), snapshot_us=0))
    driver.feed(counts(entries_of([(0, 1_000, 10, 0), (1_000, 1_900, 0, 10)], [(0, 1_900, 10, 0)])))
    assert {alert["kind"] for alert in driver.alerts} >= {"BURN_RATE", "BUDGET"}
    return driver


def restarted(driver, *each, members=()):
    driver.spec = spec(*each, members=members, snapshot_us=0)
    driver.crash()
    return driver


def test_a_composite_that_is_gone_is_resolved_and_its_judgement_withdrawn(burning):
    driver = restarted(burning, members=(watched(policy=QUICK),))
    before = len(driver.alerts)
    driver.feed(counts(steady(T0 + 1_900, T0 + 1_910, 1)))
    resolved = driver.alerts[before:]
    assert {(alert["slo"], alert["event"]) for alert in resolved} == {("journey", "RESOLVED")}
    assert all("the SLO was removed" in alert["reason"] for alert in resolved)
    assert "journey|" not in driver.statuses


def test_a_new_member_comes_without_history_and_open_alerts_stay_open(burning):
    told = list(burning.told)
    driver = restarted(burning, composed((1, 1, 1), revision="r2"))
    driver.feed(counts(entries_of([(1_900, 2_000, 0, 10)], [(1_900, 2_000, 10, 0)], [(1_900, 2_000, 10, 0)])))
    assert driver.told[: len(told)] == told
    assert driver.statuses["journey|"]["severity"] != "NONE"


def test_an_open_composite_whose_members_are_counted_anew_is_resolved_once_whoever_reads_it_next(burning):
    """Nothing comes for its parts any more, and all that is known is what each unit wrote."""
    each, chat = composed((1, 1), sla="0.9", revision="r2"), watched(policy=QUICK)
    parts = tuple(replace(part, indicator_revision="i2") for part in each.parts)
    burning.spec = spec(replace(each, parts=parts), members=(chat,), snapshot_us=0)
    burning.fold = burning.fold.succeeded(burning.spec)
    before = len(burning.alerts)
    for begin in range(T0 + 1_900, T0 + 2_500, 100):
        burning.feed(counts(steady(begin, begin + 100, 1)))
        burning.crash()
    told = [(alert["kind"], alert["event"]) for alert in burning.alerts[before:]]
    assert sorted(told) == [(kind, "RESOLVED") for kind in ("BUDGET", "BURN_RATE", "SLA")]
    assert burning.statuses["journey|"]["state"] == "OK"


def test_a_longer_window_is_judged_of_what_is_known_of_it():
    """A handful of events does not spend 14,000 s of which no cell was kept; an outage of 1,000 s, 7 %, does."""
    driver = Driver(spec(composed((1, 1)), snapshot_us=0))
    driver.feed(counts(entries_of([(0, 15_000, 10, 0)], [(0, 15_000, 10, 0)])))
    each = composed((1, 1), revision="r2")
    whole, *parts = (replace(one, window_us=14_000_000_000) for one in (each.watched.objective, *each.parts))
    driver = restarted(driver, Composed(replace(each.watched, objective=whole), tuple(parts), each.weights))
    driver.feed(counts(entries_of([(15_000, 15_060, 9, 1)], [(15_000, 15_060, 9, 1)])))
    assert driver.told_of("BUDGET") == []
    driver.feed(counts(entries_of(*[[(15_060, 16_060, 0, 10)]] * 2)))
    shares = [alert["burn_rate_factor"] for alert in driver.alerts if alert["kind"] == "BUDGET"]
    assert shares == [0.5, 0.75, 0.9, 1.0]


def test_an_open_composite_keeps_its_parts():
    driver = Driver(spec(composed((1, 1)), members=(watched(policy=QUICK, window=f"{WINDOW}s"),), snapshot_us=0))
    driver.feed(counts(entries_of([(0, 500, 0, 10)], [(0, 500, 0, 10)])))
    assert driver.told[-1][1] == "FIRED"
    driver.feed(counts(steady(T0 + 500, T0 + 20_000, 10)))
    assert driver.told_of("BUDGET")[-1][1] == driver.told[-1][1] == "RESOLVED"
    driver.feed(counts(steady(T0 + 20_000, T0 + 30_000, 10)))
    assert not [key for key in driver.state if PART.encode() in key]
