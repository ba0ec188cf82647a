"""Budgets: what is spent is told once a crossing, of the SLO and of its SLA, as somebody says who asks every second."""

from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import STEPS, AlertPolicy, Kind, Notice, Severity, Watched
from pipeline.blocks import decode, encode
from pipeline.budgets import move
from pipeline.kernels import rings as k
from pipeline.periods import Calendar
from pipeline.slo import Ratio
from pipeline.windows import pack, unpack
from tests.judging import QUICK, T0, Driver, counts, played, preset, slices_of, spec, steady, watched
from tests.naive.budgets import NaiveBudget
from tests.test_judgement import rules_of
from tests.test_windows import state_of

WINDOW = 4_000  #: seconds; longer than every alert window of QUICK


def promised(sla: str | None = "0.9", target: str = "0.95", window: int = WINDOW, **more: str) -> Watched:
    each = watched(policy=QUICK, target=target, window=f"{window}s", **more)
    return replace(each, objective=replace(each.objective, sla_target=Ratio.parse(sla) if sla else None))


def budgets_of(driver, kind="BUDGET"):
    """(second, event, severity, share) of every event of one kind."""
    return [
        (a["window_end"] // 1_000_000, a["event"], a["severity"], a["burn_rate_factor"])
        for a in driver.alerts
        if a["kind"] == kind
    ]


#: seconds, bad of ten events in each; None: no events
spells = st.lists(st.tuples(st.integers(1, 900), st.sampled_from([None, 0, 0, 1, 2, 3, 10])), min_size=1, max_size=7)


def entries_of(plan):
    second, entries = T0, steady(T0, T0 + 1, 10)
    for length, bad in plan:
        entries += steady(second + 1, second + 1 + length, 10 - bad, bad) if bad is not None else []
        second += length
    return [*entries, *steady(second + 1, second + 3, 10)]


def run(each, entries, cut=1_000, crashes=(), **facts):
    """Judge a stream in blocks of so many entries, with crashes after some units."""
    return played(spec(each, **facts), entries, cut, crashes)


@settings(max_examples=20)
@given(spells, st.integers(7, 3_000))
def test_steps_are_those_of_somebody_who_asks_every_second(plan, cut):
    each, entries = promised(), entries_of(plan)
    driver = run(each, entries, cut)
    seconds = {second: (good, bad) for _, _, second, good, bad, _ in entries}
    end = driver.fold.judgement.judged_s
    slow = NaiveBudget(rules_of(each), seconds, set(slices_of(seconds)), T0 - 10, end)
    for kind, target in ((Kind.BUDGET, Fraction("0.95")), (Kind.SLA, Fraction("0.9"))):
        steps = [(Fraction(s.spent.numerator, s.spent.scale), s.severity.name) for s in STEPS[kind]]
        expected = [(*rest, float(share)) for *rest, share in slow.budget(target, WINDOW, steps)]
        assert budgets_of(driver, kind.name) == expected


@settings(max_examples=25)
@given(spells, st.integers(50, 900), st.sets(st.integers(1, 40), max_size=5), st.sampled_from([0, 40]))
def test_a_crash_at_any_unit_tells_the_same_once(plan, cut, crashes, snapshot_s):
    entries = entries_of([(800, 0), (400, 3), *plan])
    calm = run(promised(), entries)
    crashed = run(promised(), entries, cut, crashes, snapshot_us=snapshot_s * 1_000_000)
    told = [[{**alert, "evaluated_at": 0} for alert in driver.alerts] for driver in (calm, crashed)]
    assert told[0] == told[1] != []
    ids = [[dict(record.headers)["ce_id"] for record in driver.alert_records] for driver in (calm, crashed)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])


@pytest.fixture
def spending():
    """A full window of 10 events a second; then 1 of 10 bad, until a tenth of a window of 95 % is bad; then none."""
    return run(promised(), entries_of([(WINDOW, 0), (WINDOW, 1), (WINDOW + 100, 0)]))


def test_steps_come_when_the_arithmetic_says(spending):
    """Bad events are 0.1 a tenth; 5 % may be bad: half of the budget is spent after a quarter of the window."""
    told = [(second - T0 - WINDOW, *rest) for second, *rest in budgets_of(spending)]
    up, down = told[:4], told[4:]
    for (second, *rest), (share, event, severity) in zip(
        up,
        [(0.5, "FIRED", "INFO"), (0.75, "UPDATED", "INFO"), (0.9, "UPDATED", "WARNING"), (1.0, "UPDATED", "WARNING")],
        strict=True,
    ):
        assert rest == [event, severity, share]
        assert 0 <= second - share * WINDOW / 2 <= 20
    # 100 % is left under 90 %; half of the budget, and with it everything, under 45 %
    for (second, *rest), (share, event, severity, left) in zip(
        down,
        [(0.9, "UPDATED", "WARNING", 0.9), (0.75, "UPDATED", "INFO", 0.81), (0.5, "UPDATED", "INFO", 0.675),
         (0.5, "RESOLVED", "INFO", 0.45)],
        strict=True,
    ):  # fmt: skip
        assert rest == [event, severity, share]
        assert 0 <= second - (2 * WINDOW - left * WINDOW / 2) <= 20


def test_an_sla_is_at_risk_by_its_own_budget(spending):
    """Of 90 % a tenth may be bad: three quarters of that come with three quarters of the window; all, just not."""
    told = [(second - T0 - WINDOW, *rest) for second, *rest in budgets_of(spending, "SLA")]
    assert [rest for _, *rest in told] == [["FIRED", "WARNING", 0.75], ["RESOLVED", "WARNING", 0.75]]
    assert 0 <= told[0][0] - 0.75 * WINDOW <= 20
    fired = next(alert for alert in spending.alerts if alert["kind"] == "SLA")
    assert fired["target"] == 0.9
    assert 0.24 < fired["budget_remaining_ratio"] <= 0.25


def test_the_event_says_what_it_is_and_how_long_the_rest_lasts(spending):
    fired = next(alert for alert in spending.alerts if alert["kind"] == "BUDGET")
    assert (fired["dedup_key"], fired["instance"], fired["target"]) == ("chat||budget", "", 0.95)
    assert (fired["long_window_s"], fired["short_window_s"]) == (WINDOW, WINDOW)
    assert fired["sequence"] == fired["started_at"] // 1_000_000
    assert 0.5 <= fired["long_burn_rate"] < 0.51
    rate, left = fired["exhaustion_burn_rate"], fired["budget_remaining_ratio"]
    assert 0.5 < rate < 0.6, "of the last hour: 1,000 s of it burnt at 2x"
    assert fired["time_to_exhaustion_s"] == pytest.approx(left * WINDOW / rate)
    lasting = f"at the {rate:.4g}x of the last 1 h the rest lasts {fired['time_to_exhaustion_s'] / 60:.1f} min"
    assert fired["reason"] == f"info: 50% or more of the error budget of 4000 s is spent; {lasting}"
    told = [(alert["kind"], dict(record.headers)["ce_type"]) for alert, record in
            zip(spending.alerts, spending.alert_records, strict=True)]  # fmt: skip
    assert {kind: type_.decode() for kind, type_ in reversed(told)} == {
        "BURN_RATE": "slo.burnrate.fired.v1", "BUDGET": "slo.budget.fired.v1", "SLA": "sla.at_risk.fired.v1",
    }  # fmt: skip
    mine = [alert for alert in spending.alerts if alert["kind"] == "BUDGET"]
    assert {alert["started_at"] for alert in mine} == {fired["started_at"]}, "one alert from first to last"
    last = mine[-1]
    assert last["reason"] == "info is over: less than 50% of the error budget of 4000 s is spent"


def test_the_status_says_what_is_left_of_the_sla_and_which_rate_is_assumed():
    status = run(promised(), entries_of([(WINDOW, 0), (1_200, 1)])).statuses["chat|"]
    assert (status["sla_target"], status["exhaustion_window_s"]) == (0.9, 3_600)
    assert status["sla_budget_remaining_ratio"] > status["budget_remaining_ratio"] > 0
    assert (status["budget_alert_ratio"], status["sla_alert_ratio"]) == (0.5, None)
    expected = status["budget_remaining_ratio"] * WINDOW / status["exhaustion_burn_rate"]
    assert status["time_to_exhaustion_s"] == pytest.approx(expected)
    none = run(promised(sla=None), entries_of([(50, 1)])).statuses["chat|"]
    assert none["sla_target"] is none["sla_budget_remaining_ratio"] is None


def test_a_young_instance_is_judged_against_its_full_expected_traffic():
    """Everything fails in the first minutes of a window of 4,000 s: 5 % of it are 200 s."""
    told = budgets_of(run(promised(sla=None), entries_of([(300, 10)])))
    assert [(event, share) for _, event, _, share in told] == [
        ("FIRED", 0.5), ("UPDATED", 0.75), ("UPDATED", 0.9), ("UPDATED", 1.0),
    ]  # fmt: skip
    assert all(0 <= second - T0 - share * 0.05 * WINDOW <= 3 for second, *_, share in told)


@pytest.mark.parametrize("cut", [1, 5_000])
def test_a_step_that_time_alone_takes_is_told_at_the_same_second_however_units_are_cut(cut):
    """100 bad of 3,605 reach half of 5 % after 3,605 s of silence, and are asked at the end of that slice."""
    silent = ("chat", "m=silent", T0, 3_505, 100, 0)
    driver = run(promised(sla=None), [silent, *steady(T0 + 1, T0 + 3_650, 10, labels="m=clock")], cut)
    (fired,) = budgets_of(driver)
    assert fired == (T0 + 3_610, "FIRED", "INFO", 0.5)


def test_an_outage_spends_the_43_minutes_of_a_month_at_99_9_percent():
    """Half of 43.2 min after 21 min 36 s, and so on: of an SLO that is two hours old, as of an old one."""
    outage = [*steady(T0 - 7_200, T0, 10), *steady(T0, T0 + 2_700, 0, 10)]
    told = budgets_of(run(watched(policy=preset("default")), outage))
    assert [(event, severity, share) for _, event, severity, share in told] == [
        ("FIRED", "INFO", 0.5), ("UPDATED", "INFO", 0.75), ("UPDATED", "WARNING", 0.9), ("UPDATED", "WARNING", 1.0),
    ]  # fmt: skip
    assert all(0 <= second - T0 - share * 2_592 <= 1 for second, *_, share in told)


def test_a_jump_over_several_steps_tells_the_last():
    entries = [*steady(T0, T0 + 3_000, 10), ("chat", "", T0 + 3_000, 0, 5_000, 0), *steady(T0 + 3_001, T0 + 3_005, 1)]
    assert [rest for _, *rest in budgets_of(run(promised(sla=None), entries))] == [["FIRED", "WARNING", 1.0]]


def test_without_pairs_nobody_is_told():
    each = promised()
    silent = Watched(each.objective, AlertPolicy(()))
    assert run(silent, entries_of([(1_000, 10)])).alerts == []


def restarted(driver, *each):
    driver.spec = spec(*each, snapshot_us=0)
    driver.crash()
    driver.feed(counts(steady(T0 + 1_003, T0 + 1_010, 10, slo=each[0].objective.name)))
    return [alert for alert in driver.alerts if alert["event"] == "RESOLVED"]


@pytest.fixture
def open_():
    driver = run(promised(), entries_of([(500, 0), (500, 10)]), snapshot_us=0)
    assert {kind: budgets_of(driver, kind)[-1][3] for kind in ("BUDGET", "SLA")} == {"BUDGET": 1.0, "SLA": 1.0}
    return driver


def test_an_slo_that_is_gone_resolves_its_budgets(open_):
    resolved = restarted(open_, watched(name="other", policy=QUICK))
    assert sorted(each["kind"] for each in resolved) == ["BUDGET", "BURN_RATE", "SLA"]
    assert {each["reason"].partition(": ")[2] for each in resolved} == {"the SLO was removed"}


def test_an_sla_that_is_gone_resolves_its_budget_only(open_):
    (resolved,) = restarted(open_, promised(sla=None, revision="r2"))
    assert (resolved["kind"], resolved["reason"]) == ("SLA", "critical is over: the SLO has no SLA any more")


def test_an_sla_that_is_gone_resolves_once_however_often_the_judge_begins_anew(open_):
    """Seconds that nobody measured judge no budget, and every restart reads what the last snapshot held."""
    open_.spec = spec(promised(sla=None), snapshot_us=0)
    for second in range(3):
        open_.crash()
        open_.feed(counts([], newest=T0 + 1_002 + second))
    assert [a["event"] for a in open_.alerts if a["kind"] == "SLA"].count("RESOLVED") == 1


def test_a_new_target_is_judged_anew(open_):
    resolved = restarted(open_, promised(sla="0.2", target="0.3", revision="r2"))
    assert sorted(each["kind"] for each in resolved) == ["BUDGET", "SLA"]


def test_an_instance_with_an_open_budget_does_not_expire():
    driver = Driver(spec(promised(), snapshot_us=0))
    driver.feed(counts(steady(T0, T0 + 500, 0, 10, labels="m=old")))
    driver.feed(counts(steady(T0 + 500, T0 + 20_000, 10, labels="m=new")))
    of_old = [a["event"] for a in driver.alerts if a["instance"] == "m=old" and a["kind"] == "BUDGET"]
    assert of_old[-1] == "RESOLVED"
    assert b"chat|m=old" not in driver.state


def test_a_budget_of_a_calendar_is_told_of_once_a_period():
    """A day of 4 % allowed: 57.6 min. An hour of outage spends it; midnight brings a new one."""
    midnight = 1_700_006_400  # 2023-11-15 00:00 UTC
    calendar = Calendar(1, "d", datetime.fromisoformat("2023-01-01"), "UTC")
    each = promised(sla=None, target="0.96")
    each = replace(each, objective=replace(each.objective, calendar=calendar, window_us=calendar.longest_us))
    nights = (
        entry
        for begin in (midnight, midnight + 86_400)
        for entry in (*steady(begin, begin + 3_600, 0, 1), *steady(begin + 3_600, begin + 86_400, 1))
    )
    told = [(second - midnight, event, share) for second, event, _, share in budgets_of(run(each, list(nights)))]
    day = [(0.5, "FIRED"), (0.75, "UPDATED"), (0.9, "UPDATED"), (1.0, "UPDATED")]
    assert [(share, event) for _, event, share in told if event != "RESOLVED"] == [*day, *day]
    ends = [second for second, event, _ in told if event == "RESOLVED"]
    assert ends[0] == 86_400, "at midnight"


# -- when a window is edited


LIVED = 20_000  #: seconds; longer than any window here


def edited(window, other, is_of_before=False):
    """An SLO that lived through all of a window, one event of ten bad in the last 4,000 s; then it has another.

    `is_of_before`: its state is of a version that did not say how far cells reach.
    """
    driver = run(promised(window=window), entries_of([(LIVED - 4_000, 0), (4_000, 1)]), snapshot_us=0)
    driver.alerts.clear()
    if is_of_before:
        forget_reach(driver)
    driver.spec = spec(promised(window=other, revision="r2"), snapshot_us=0)
    driver.crash()
    return driver


def forget_reach(driver):
    state = decode("judge_state", driver.state[b"chat|"])
    facts, arrays = unpack(state["payload"])
    del arrays["reach"]
    driver.state[b"chat|"] = encode("judge_state", {**state, "payload": pack(facts, arrays)})


def lived_by(driver):
    judgement = driver.fold.judgement
    return judgement.instances.reading(0, judgement.coverage).lived(-1)


@pytest.mark.parametrize(
    ("window", "other", "known"),
    [
        pytest.param(7_000, 8_000, 7_000, id="cells of another size: as far as the former reached"),
        pytest.param(2_000, 7_000, 3_600, id="a longer window: as far as an alert window reached"),
        pytest.param(4_000, 7_000, 4_000, id="a longer window: as far as the shorter reached"),
        pytest.param(7_000, 4_000, 7_000, id="a shorter window: all is known"),
        pytest.param(4_000, 4_000, 7_000, id="the same window: all is known"),
    ],
)
def test_a_window_is_lived_through_as_far_as_its_events_are_known(window, other, known):
    driver = edited(window, other)
    begin = driver.fold.judgement.judged_s or T0 + LIVED
    for second in range(begin, begin + 600, 200):
        driver.feed(counts(steady(second, second + 200, 9, 1), newest=second + 202.5))
        passed = driver.fold.judgement.judged_s - begin
        assert 0 <= lived_by(driver) - min(known + passed, other) < 20
        before = state_of(driver.fold.judgement)
        driver.crash()
        driver.unit()
        assert state_of(driver.fold.judgement) == before


def test_a_handful_of_events_does_not_spend_a_window_of_which_no_more_is_known():
    """All that was counted is gone, and with it what was open; 600 s of 8,000 spend 2 x 600 / 8,000 of the budget."""
    driver = edited(7_000, 8_000, is_of_before=True)
    driver.feed(counts(steady(T0 + LIVED + 4, T0 + LIVED + 604, 9, 1)))
    assert [(event, share) for _, event, _, share in budgets_of(driver)] == [("RESOLVED", 1.0)]
    assert budgets_of(driver, "SLA") == []


def test_what_a_window_with_other_cells_knows_stays_spent():
    """The same edit, of a state that says how far its cells reach: 4,000 s of a tenth bad are still there."""
    driver = edited(7_000, 8_000)
    driver.feed(counts(steady(T0 + LIVED + 4, T0 + LIVED + 604, 9, 1)))
    assert budgets_of(driver) == []
    assert driver.statuses["chat|"]["bad"] == pytest.approx(4_600, abs=40)


def test_what_is_known_of_a_longer_window_spends_its_part_of_it():
    """A tenth of 4,000 s is bad, of 7,000 s: 4 / 7 of twice the budget. The event says what was judged."""
    driver = edited(4_000, 7_000)
    driver.feed(counts([], newest=T0 + LIVED + 20))
    (told,) = (alert for alert in driver.alerts if alert["kind"] == "SLA")
    assert (told["event"], told["long_burn_rate"]) == ("RESOLVED", pytest.approx(4 / 7, rel=0.01))
    assert [share for *_, share in budgets_of(driver)] == []


def test_a_state_of_before_says_nothing_of_what_is_known_and_is_taken_for_whole():
    driver = run(promised(), entries_of([(LIVED, 1)]), snapshot_us=0)
    forget_reach(driver)
    before = lived_by(driver)
    driver.crash()
    driver.feed(counts([], newest=T0))
    assert lived_by(driver) == before == WINDOW


@pytest.mark.parametrize(("before", "after"), product(range(5), range(5)))
def test_the_notice_follows_from_the_steps(before, after):
    told = move(before, after)
    assert (told is None) == (before == after)
    assert (told is Notice.FIRED) == (before == 0 < after)
    assert (told is Notice.RESOLVED) == (after == 0 < before)


def test_the_tables_fit_the_kernel_and_rise():
    assert (len(STEPS[Kind.BUDGET]), len(STEPS[Kind.SLA])) == (k.BUDGET_STEPS, k.SLA_STEPS)
    for steps in STEPS.values():
        assert list(steps) == sorted(steps, key=lambda step: (step.severity, float(step.spent)))
        assert steps[0].severity is not Severity.NONE
