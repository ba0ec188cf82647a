"""Incidents through a worker's death: what is written before and after telling is enough to go on from."""

import json
from dataclasses import replace

import pytest

from pipeline.alerts import Severity
from pipeline.delivery.incidents import MEMORY_US, Incidents, entries, restore
from pipeline.delivery.notification import Action
from tests.delivery.test_incidents import Death, Receiver, S, of


def test_a_death_between_sending_and_committing_sends_the_same_again() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S, dies=Death.SENT)
    receiver.hear(of("a", 1), 9 * S)
    first, second = receiver.told
    assert (first.id, first.key, first.action) == (second.id, second.key, second.action)
    assert not receiver.state.by_key["a"].telling


@pytest.mark.parametrize("dies", [Death.ANNOUNCED, Death.SENT], ids=lambda dies: dies.name.lower())
def test_what_may_have_been_told_before_a_death_is_over_for_the_receiver_too_though_it_is_held_back(
    dies: Death,
) -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S, dies=dies)
    receiver.hear(of("a", 1), 2 * S, lambda _event, _told: True)
    receiver.look(3 * S, lambda _event, _told: True)
    held_back = len(receiver.told)
    receiver.hear(of("a", 2, "RESOLVED"), 4 * S, lambda _event, _told: True)
    assert [each.action for each in receiver.told[held_back:]] == [Action.RESOLVE]
    assert receiver.told[-1].severity is Severity.CRITICAL and not receiver.believed.open
    assert len(receiver.state.forget(4 * S + MEMORY_US)) == 1


def test_what_may_have_been_told_before_a_death_is_told_when_it_is_held_back_no_more() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S, dies=Death.ANNOUNCED)
    receiver.hear(of("a", 1), 2 * S, lambda _event, _told: True)
    assert receiver.told == []
    receiver.look(3 * S)
    assert [each.action for each in receiver.told] == [Action.TRIGGER]


def test_an_alert_is_known_by_the_labels_it_was_told_with_until_it_is_over() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S)
    (incident,) = receiver.state.by_key.values()
    told = {name: each._replace(labels={"team": "one"}) for name, each in incident.told.items()}
    receiver.topic += entries(incident, replace(incident, told=told)).items()
    receiver.restart()
    receiver.hear(of("a", 2, "UPDATED", "WARNING"), 2 * S)
    receiver.hear(of("a", 3, "RESOLVED"), 3 * S)
    assert [each.labels for each in receiver.told] == [{}, {"a": {"team": "one"}}, {"a": {"team": "one"}}]


def test_what_was_told_before_there_were_labels_and_announcements_is_read() -> None:
    receiver = Receiver()
    receiver.hear(of("a", 1), S)
    entry = json.loads(receiver.topic[-1][1] or b"")
    del entry["telling"], entry["told"][2]
    restore(other := Incidents(), "a", json.dumps(entry).encode())
    assert other == receiver.state
