"""Incidents: triggered once, updated while open, resolved once; nothing lost that was held back, or by a crash."""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.alerts import Notice, Severity
from pipeline.delivery.incidents import (
    MEMORY_US,
    GroupingSpec,
    Incidents,
    acknowledgement,
    after,
    announced,
    entries,
    restore,
    taken,
    wanted,
)
from pipeline.delivery.notification import Action, AlertEvent, Incident, Notification
from tests.delivery.told import event
from tests.naive.incidents import Believed, true

EACH, SERVICE = GroupingSpec(), GroupingSpec(("service",))
S = 1_000_000
NOBODY: Callable[[AlertEvent, bool], bool] = lambda _event, _is_told: False  # noqa: E731


class Death(Enum):
    """Behind which step a worker dies."""

    NEVER = "never"
    BEFORE = "before anything is written"
    ANNOUNCED = "it is written what will be told"
    SENT = "it is told"


class Receiver:
    """The pure parts as the deliverer drives them, with a topic that is a list."""

    def __init__(self, grouping: GroupingSpec = EACH) -> None:
        self.grouping, self.state, self.believed = grouping, Incidents(), Believed()
        self.topic: list[tuple[str, bytes | None]] = []
        self.told: list[Notification] = []

    def hear(self, said: AlertEvent, now_us: int, is_held: Any = NOBODY, dies: Death = Death.NEVER) -> None:
        """Take an event; whoever dies on the way is made anew, and has not committed that it read the event."""
        incident = taken(self.state, self.grouping, said, {**said.labels, "service": said.service}, now_us)
        if incident is not None:
            self._tell(incident, now_us, is_held, dies)
        if dies is not Death.NEVER:
            self.believed.has_doubts = True
            self.restart()

    def look(self, now_us: int, is_held: Any = NOBODY) -> None:
        for incident in list(self.state.by_key.values()):
            self._tell(incident, now_us, is_held, Death.NEVER)

    def _tell(self, incident: Incident, now_us: int, is_held: Any, dies: Death) -> None:
        notification = wanted(incident, is_held, self.grouping, now_us)
        if dies is Death.BEFORE:
            return
        if notification is not None:
            self._commit(announced(incident, notification))
            if dies is Death.ANNOUNCED:
                return
            self.told.append(notification)
            self.believed.hear(notification)
            incident = after(self.state.by_key[incident.key], notification, now_us)
        if dies is not Death.SENT:
            self._commit(incident)

    def _commit(self, incident: Incident) -> None:
        self.topic += entries(self.state.by_key.get(incident.key), incident).items()
        self.state.put(incident)

    def restart(self) -> None:
        self.state = Incidents()
        for name, entry in self.topic:
            restore(self.state, name, entry)


def fired(at: int, severity: str = "CRITICAL", **changes: Any) -> AlertEvent:
    """An event at second `at`."""
    times = {"sequence": at, "started_at": at * S, "window_end": at * S, "evaluated_at": at * S}
    return event(severity=severity, **{**times, **changes})


def of(name: str, at: int, notice: str = "FIRED", severity: str = "CRITICAL", service: str = "chat") -> AlertEvent:
    return fired(at, severity, dedup_key=name, slo=name, event=notice, service=service, labels={})


def test_escalation_updates_the_same_incident() -> None:
    receiver = Receiver(SERVICE)
    receiver.hear(of("a", 1, severity="WARNING"), S)
    receiver.hear(of("a", 2, "UPDATED"), 2 * S)
    receiver.hear(of("a", 3, "RESOLVED"), 3 * S)
    said = [(each.action, each.severity, each.was, each.key) for each in receiver.told]
    key = "burnline|service=chat"
    assert said == [
        (Action.TRIGGER, Severity.WARNING, Severity.NONE, key),
        (Action.UPDATE, Severity.CRITICAL, Severity.WARNING, key),
        (Action.RESOLVE, Severity.CRITICAL, Severity.CRITICAL, key),
    ]


def test_alerts_of_a_service_are_one_page_and_over_when_the_last_is() -> None:
    receiver = Receiver(SERVICE)
    for at, (name, notice) in enumerate((("a", "FIRED"), ("b", "FIRED"), ("a", "RESOLVED"), ("b", "RESOLVED")), 1):
        receiver.hear(of(name, at, notice), at * S)
    assert [each.action for each in receiver.told] == [Action.TRIGGER, Action.UPDATE, Action.UPDATE, Action.RESOLVE]
    assert receiver.believed.pages == 1
    assert [sorted(each.slo for each in said.open) for said in receiver.told] == [["a"], ["a", "b"], ["b"], []]


def test_alone_an_incident_has_the_alerts_own_key() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S)
    assert receiver.told[0].key == "a"


def test_two_sites_with_one_receiver_have_keys_of_their_own() -> None:
    for grouping, key in ((EACH, "a"), (SERVICE, "burnline|service=chat"), (GroupingSpec(()), "burnline")):
        receiver = Receiver(replace(grouping, site="eu.pager"))
        receiver.hear(of("a", 1), S)
        assert receiver.told[0].key == f"eu.pager|{key}"


def test_what_is_held_back_is_told_when_it_is_no_more() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S, lambda _event, _told: True)
    receiver.look(2 * S, lambda _event, _told: True)
    assert receiver.told == []
    receiver.look(3 * S)
    receiver.look(4 * S)
    assert [each.action for each in receiver.told] == [Action.TRIGGER]


def test_what_fired_and_cleared_while_it_was_held_back_is_never_told() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S, lambda _event, _told: True)
    receiver.hear(of("a", 2, "RESOLVED"), 2 * S)
    receiver.look(3 * S)
    assert receiver.told == []


def test_other_news_of_an_incident_let_out_nothing_that_is_held_back() -> None:
    receiver = Receiver(SERVICE)
    worse = lambda said, is_told: is_told and said.slo == "a"  # noqa: E731
    receiver.hear(of("a", 1, severity="WARNING"), S)
    receiver.hear(of("a", 2, "UPDATED"), 2 * S, worse)
    receiver.hear(of("b", 3, severity="INFO"), 3 * S, worse)
    update = receiver.told[-1]
    assert update.severity is Severity.WARNING
    assert [(each.slo, each.severity, each.sequence) for each in update.open] == [
        ("a", Severity.WARNING, 1),
        ("b", Severity.INFO, 3),
    ]
    receiver.look(4 * S)
    assert [(each.action, each.severity) for each in receiver.told[2:]] == [(Action.UPDATE, Severity.CRITICAL)]


def test_what_an_older_release_wrote_is_read() -> None:
    columns = event().columns
    del columns["runbook"], columns["reason"]
    assert AlertEvent.of(columns) == event(runbook=None, reason="")


def test_who_was_told_of_the_beginning_is_told_of_the_end_though_it_is_held_back() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S)
    receiver.hear(of("a", 2, "UPDATED", "WARNING"), 2 * S, lambda _event, _told: True)
    assert len(receiver.told) == 1
    receiver.hear(of("a", 3, "RESOLVED"), 3 * S, lambda _event, _told: True)
    assert [each.action for each in receiver.told] == [Action.TRIGGER, Action.RESOLVE]


def test_a_first_notification_waits_for_others_to_join() -> None:
    receiver = Receiver(replace(SERVICE, wait_us=10 * S))
    receiver.hear(of("a", 1), S)
    receiver.hear(of("b", 5), 5 * S)
    receiver.look(11 * S - 1)
    assert receiver.told == []
    receiver.look(11 * S)
    assert [sorted(each.slo for each in said.open) for said in receiver.told] == [["a", "b"]]


def test_an_incident_that_begins_anew_waits_anew() -> None:
    receiver = Receiver(replace(SERVICE, wait_us=10 * S))
    receiver.hear(of("a", 1), S)
    receiver.look(20 * S)
    receiver.hear(of("a", 21, "RESOLVED"), 21 * S)
    receiver.hear(of("a", 100), 100 * S)
    receiver.look(110 * S - 1)
    assert [each.action for each in receiver.told] == [Action.TRIGGER, Action.RESOLVE]
    receiver.look(110 * S)
    assert [each.action for each in receiver.told] == [Action.TRIGGER, Action.RESOLVE, Action.TRIGGER]


def test_updates_that_are_no_worse_come_together_and_worse_ones_at_once() -> None:
    receiver = Receiver(replace(SERVICE, interval_us=60 * S))
    for at, name in enumerate("abc", 1):
        receiver.hear(of(name, at, severity="WARNING"), at * S)
    assert len(receiver.told) == 1
    receiver.hear(of("d", 4), 4 * S)
    assert [len(each.open) for each in receiver.told] == [1, 4]
    receiver.hear(of("e", 5), 5 * S)
    receiver.look(64 * S - 1)
    assert len(receiver.told) == 2
    receiver.look(64 * S)
    assert [len(each.open) for each in receiver.told] == [1, 4, 5]


def test_an_event_that_comes_again_changes_nothing_even_when_it_is_over() -> None:
    receiver = Receiver()
    story = [of("a", 1), of("a", 2, "UPDATED", "WARNING"), of("a", 3, "RESOLVED")]
    for said in (*story, *story):
        receiver.hear(said, 10 * S)
    assert len(receiver.told) == 3


def test_an_alert_that_fires_anew_is_a_new_page() -> None:
    receiver = Receiver()
    for at, notice in enumerate(("FIRED", "RESOLVED", "FIRED"), 1):
        receiver.hear(of("a", at, notice), at * S)
    assert [each.action for each in receiver.told] == [Action.TRIGGER, Action.RESOLVE, Action.TRIGGER]


def test_an_alert_stays_in_its_incident_though_its_labels_change() -> None:
    receiver = Receiver(SERVICE)
    receiver.hear(of("a", 1), S)
    receiver.hear(of("a", 2, "RESOLVED", service="other"), 2 * S)
    assert [each.key for each in receiver.told] == ["burnline|service=chat"] * 2


def test_what_is_over_is_forgotten_after_an_hour_and_what_is_open_never() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S)
    receiver.hear(of("b", 1), S)
    receiver.hear(of("b", 2, "RESOLVED"), 2 * S)
    assert receiver.state.forget(2 * S + MEMORY_US - 1) == []
    assert [incident.key for incident in receiver.state.forget(2 * S + MEMORY_US)] == ["b"]
    assert set(receiver.state.by_key) == set(receiver.state.homes) == {"a"}


def test_who_takes_care_is_told_once_and_forgotten_with_the_incident() -> None:
    receiver, cares = Receiver(SERVICE), {("a", S): "anna", ("b", 2 * S): "ben"}
    receiver.hear(of("a", 1), S)
    receiver.hear(of("b", 2, severity="WARNING"), 2 * S)
    (incident,) = receiver.state.by_key.values()
    assert acknowledgement(incident, {("a", 7): "of another time"}) is None
    said = acknowledgement(incident, cares)
    assert said is not None
    assert (said.action, said.who, said.alert.slo) == (Action.ACKNOWLEDGE, "anna", "a")
    cared_for = after(incident, said, 3 * S)
    assert acknowledgement(cared_for, cares) is None
    receiver.topic += entries(incident, cared_for).items()
    receiver.restart()
    assert list(receiver.state.by_key.values()) == [cared_for]
    for name in ("a", "b"):
        receiver.hear(of(name, 4, "RESOLVED"), 4 * S)
    (incident,) = receiver.state.by_key.values()
    assert incident.acknowledged_by == ""
    assert [each.action for each in receiver.told[2:]] == [Action.UPDATE, Action.RESOLVE]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["WARNING", "CRITICAL", "RESOLVED"])),
        st.tuples(st.just("hold"), st.booleans()),
        st.tuples(st.just("die"), st.tuples(st.sampled_from(Death), st.booleans())),
        st.tuples(st.sampled_from(["restart", "look", "again"]), st.none()),
    ),
    max_size=25,
)
GROUPINGS = st.sampled_from([EACH, SERVICE, GroupingSpec(("service",), 2 * S, 3 * S)])


@example(GroupingSpec(by=("service",)), [("die", (Death.SENT, True)), ("a", "WARNING"), ("b", "WARNING")])
@settings(max_examples=150)
@given(GROUPINGS, STEPS)
def test_whatever_is_held_back_or_dies_a_receiver_ends_up_with_what_is_true(grouping: Any, steps: Any) -> None:
    receiver, heard, is_holding, dies, holds_then = Receiver(grouping), [], False, Death.NEVER, False
    severity: dict[str, str] = {}
    for at, (what, how) in enumerate(steps, 1):
        is_held = (lambda _event, _told: True) if is_holding else NOBODY
        if what == "hold":
            is_holding = how
        elif what == "restart":
            receiver.restart()
        elif what == "die":
            dies, holds_then = how
        elif what == "look":
            receiver.look(at * S, is_held)
        elif what == "again" and heard:
            receiver.hear(heard[-1], at * S, is_held)
        elif what in "abc":
            if how == "RESOLVED" and what not in severity:
                continue
            notice = "RESOLVED" if how == "RESOLVED" else "UPDATED" if what in severity else "FIRED"
            severity[what] = severity.get(what, "WARNING") if how == "RESOLVED" else how
            said = of(what, at, notice, severity[what])
            if notice == "RESOLVED":
                del severity[what]
            heard.append(said)
            receiver.hear(said, at * S, is_held, dies)
            if dies is not Death.NEVER:
                is_holding, dies = holds_then, Death.NEVER
                receiver.hear(said, at * S, (lambda _event, _told: True) if is_holding else NOBODY)
        assert entries_equal(receiver)
    receiver.look(1_000 * S)
    receiver.look(2_000 * S)
    open_now = true(heard)
    assert {name for names in receiver.believed.open.values() for name in names} == set(open_now)
    for key, names in receiver.believed.open.items():
        assert receiver.believed.severity[key] == max(open_now[name] for name in names)


def entries_equal(receiver: Receiver) -> bool:
    """Law: what is restored of the entries is what is known."""
    known = receiver.state
    other = Incidents()
    for name, entry in receiver.topic:
        restore(other, name, entry)
    relevant = {key: (each.alerts, each.told, each.telling, each.severity) for key, each in known.by_key.items()}
    found = {key: (each.alerts, each.told, each.telling, each.severity) for key, each in other.by_key.items()}
    assert found == relevant
    return True


def test_an_entry_that_is_forgotten_is_restored_as_nothing() -> None:
    receiver = Receiver(SERVICE)
    receiver.hear(of("a", 1), S)
    receiver.hear(of("b", 2), 2 * S)
    receiver.topic.append(("a", None))
    receiver.restart()
    (incident,) = receiver.state.by_key.values()
    assert set(incident.alerts) == set(incident.told) == {"b"}
    receiver.topic.append(("b", None))
    receiver.restart()
    assert receiver.state == Incidents()


@pytest.mark.parametrize("wrong", [b"{}", b"nothing", b'{"incident": 1}', b"[]"])
def test_an_entry_that_is_none_is_refused(wrong: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        restore(Incidents(), "a", wrong)


def test_an_event_says_all_of_itself() -> None:
    said = of("a", 1)
    assert AlertEvent.of(said.columns) == said
    assert said.id == "a|00000000000000000001"
    assert replace(said, event=Notice.RESOLVED).is_open is False
