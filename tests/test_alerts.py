"""The alert machine: its table, and stories told second by second."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import (
    PHASES,
    TRANSITIONS,
    Action,
    Alert,
    ClearRule,
    Judged,
    Notice,
    Observed,
    Severity,
    State,
    observe,
    step,
)  # fmt: skip
from pipeline.slo import Ratio

NONE, WARNING, CRITICAL = Severity.NONE, Severity.WARNING, Severity.CRITICAL
HOLD = 60


def test_the_table_is_total():
    assert set(TRANSITIONS) == {(*phase, observed) for phase, observed in product(PHASES, Observed)}


@pytest.mark.parametrize("key", TRANSITIONS, ids=str)
def test_transitions_lead_to_phases(key):
    _, is_open, _ = key
    state, action = TRANSITIONS[key]
    opens = action in {Action.RAISE, Action.EASE} or (is_open and action is not Action.RESOLVE)
    assert (state, opens) in PHASES


def test_nothing_fires_or_resolves_unmeasured():
    for phase in PHASES:
        assert TRANSITIONS[*phase, Observed.UNMEASURED] == (State.FROZEN, Action.NOTHING)


def story(*seconds):
    """Tell the seconds (second, level, suspect, unmeasured) to a new alert; return states and notices."""
    alert, states, told = Alert(), [], []
    for second, level, *flags in seconds:
        alert, notice = step(alert, Judged(second, level, *flags), HOLD)
        states.append(alert.state)
        if notice is not None:
            told.append((second, notice, alert.severity))
    return states, told


@pytest.mark.parametrize(
    ("seconds", "last", "told"),
    [
        pytest.param([(1, NONE)], State.OK, [], id="quiet"),
        pytest.param([(1, NONE, True)], State.PENDING, [], id="burning on too little evidence"),
        pytest.param([(1, NONE, False, True)], State.FROZEN, [], id="too little measured"),
        pytest.param([(5, CRITICAL)], State.FIRING, [(5, Notice.FIRED, CRITICAL)], id="fires"),
        pytest.param(
            [(5, WARNING), (9, CRITICAL)],
            State.FIRING,
            [(5, Notice.FIRED, WARNING), (9, Notice.UPDATED, CRITICAL)],
            id="escalation updates the same alert",
        ),
        pytest.param(
            [(5, CRITICAL), (70, NONE), (130, NONE)],
            State.OK,
            [(5, Notice.FIRED, CRITICAL), (130, Notice.RESOLVED, NONE)],
            id="resolves after the hold time",
        ),
        pytest.param(
            [(5, CRITICAL), (70, NONE, True), (130, NONE, True)],
            State.PENDING,
            [(5, Notice.FIRED, CRITICAL), (130, Notice.RESOLVED, NONE)],
            id="resolves into suspicion",
        ),
        pytest.param(
            [(5, CRITICAL), (70, NONE), (129, NONE)],
            State.RECOVERING,
            [(5, Notice.FIRED, CRITICAL)],
            id="not a second before",
        ),
        pytest.param(
            [(5, CRITICAL), (70, NONE), (100, CRITICAL), (110, NONE), (169, NONE)],
            State.RECOVERING,
            [(5, Notice.FIRED, CRITICAL)],
            id="a flap within the hold time is silent and begins it anew",
        ),
        pytest.param(
            [(5, CRITICAL), (70, WARNING), (130, WARNING)],
            State.FIRING,
            [(5, Notice.FIRED, CRITICAL), (130, Notice.UPDATED, WARNING)],
            id="eases to what still burns",
        ),
        pytest.param(
            [(5, CRITICAL), (70, NONE, False, True), (500, NONE, False, True)],
            State.FROZEN,
            [(5, Notice.FIRED, CRITICAL)],
            id="never resolves on silence",
        ),
        pytest.param(
            [(5, CRITICAL), (70, NONE), (80, NONE, False, True), (500, NONE), (559, NONE), (560, NONE)],
            State.OK,
            [(5, Notice.FIRED, CRITICAL), (560, Notice.RESOLVED, NONE)],
            id="after a freeze the hold time begins anew",
        ),
        pytest.param(
            [(5, CRITICAL), (70, NONE, False, True), (500, CRITICAL)],
            State.FIRING,
            [(5, Notice.FIRED, CRITICAL)],
            id="after a freeze an open alert does not fire twice",
        ),
    ],
)
def test_story(seconds, last, told):
    states, said = story(*seconds)
    assert states[-1] is last
    assert said == told


judged = st.tuples(st.sampled_from(Severity), st.booleans(), st.booleans())


@settings(max_examples=500)
@given(st.lists(judged, max_size=30), st.integers(0, 5))
def test_asking_only_at_changes_and_wake_ups_tells_the_same(seconds, hold):
    every, seldom, last = Alert(), Alert(), None
    told_every, told_seldom = [], []
    stretched = [each for each in seconds for _ in range(4)]
    for second, each in enumerate(stretched):
        every, notice = step(every, Judged(second, *each), hold)
        told_every += [(second, notice)] if notice is not None else []
        wake = seldom.wake_s(hold)
        if each != last or (wake is not None and second >= wake):
            seldom, notice = step(seldom, Judged(second, *each), hold)
            told_seldom += [(second, notice)] if notice is not None else []
        last = each
    assert told_every == told_seldom
    assert every == seldom


@given(st.lists(judged, max_size=40))
def test_every_alert_fires_once_before_it_resolves(seconds):
    told = story(*((7 * i, *each) for i, each in enumerate(seconds)))[1]
    is_open = False
    for _, notice, _ in told:
        assert (notice is Notice.FIRED) != is_open
        is_open = notice is not Notice.RESOLVED


def test_suspicion_does_not_hold_an_open_alert():
    alert = Alert(State.RECOVERING, CRITICAL, NONE, since_s=0)
    assert observe(alert, Judged(10, NONE, True), HOLD) is Observed.QUIET
    assert observe(alert, Judged(60, NONE, True), HOLD) is Observed.CLEARED


def test_clear_rule():
    rule = ClearRule(Ratio.parse("0.1"), 1_500_000)
    assert rule.hold_s == 2
    assert float(rule.factor(Ratio.parse("14.4"))) == pytest.approx(12.96)
