"""The deliverer against a real broker: in order, once, nothing lost while a receiver is away or a deliverer dies."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from pipeline.agents.logbook import OFFSETS, offsets_of
from pipeline.delivery.incidents import GroupingSpec
from pipeline.delivery.notification import AlertEvent
from pipeline.delivery.routes import Receiver, Route, Routes
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from pipeline.topics import ALERTS, DELIVERIES, aiokafka_config, topic_name
from pipeline.transport.entries import state_entries
from tests.agents.delivering import (
    DEADLINE_S,
    PARTITIONS,
    Delivering,
    make_topic,
    make_topics,
    note,
    settings_for,
    to_one,
    write,
)
from tests.delivery import rules
from tests.delivery.listening import Heard, Listening, Reply, listening
from tests.delivery.test_incidents import of

pytestmark = pytest.mark.servers
INSIDE = ("127.0.0.0/8",)


@pytest.fixture
def site(kafka: EmbeddedKafka, topic_prefix: str) -> Settings:
    settings = settings_for(kafka.brokers, topic_prefix)
    make_topics(settings)
    return settings


def hook(receiver: Listening, name: str = "hook", **changes: Any) -> Receiver:
    return Receiver(name, "webhook", receiver.url("/alerts"), allow=INSIDE, **changes)


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_idle(running: Delivering) -> bool:
    """All is told and committed, as far as there is something."""
    at = running.deliverer.positions()
    return bool(at) and all(each.end is not None and not each.waiting for each in at.values())


def said(heard: list[Heard], slo: str = "") -> list[tuple[str, str]]:
    found = [(each.json["data"]["slo"], each.json["data"]["action"]) for each in heard]
    return [(name, action) for name, action in found if slo in {"", name}]


def story(name: str, start: int = 1) -> list[AlertEvent]:
    return [of(name, start, severity="WARNING"), of(name, start + 1, "UPDATED"), of(name, start + 2, "RESOLVED")]


def test_alerts_reach_a_webhook_in_order_and_once_and_not_again_after_a_restart(site: Settings) -> None:
    names = [f"slo-{number}" for number in range(12)]
    with listening() as receiver:
        with Delivering(site, to_one(hook(receiver))) as running:
            until(lambda: is_idle(running))
            write(site, [event for name in names for event in story(name)])
            heard = receiver.until(lambda heard: len(heard) >= 36)
            until(lambda: is_idle(running))
        for name in names:
            assert [action for _, action in said(heard, name)] == ["trigger", "update", "resolve"]
        ids = [each.json["id"] for each in heard]
        assert len(set(ids)) == len(ids) == 36
        with Delivering(site, to_one(hook(receiver))) as again:
            write(site, [of("late", 9)])
            receiver.until(lambda heard: said(heard, "late") == [("late", "trigger")])
            until(lambda: is_idle(again))
            assert len(receiver.heard) == 37


def test_while_a_receiver_is_away_nothing_is_lost_and_nobody_else_waits(site: Settings) -> None:
    with listening() as away, listening() as there:
        routes = Routes((hook(away, "away"), hook(there, "there")), (Route(("away", "there")),))
        with Delivering(site, routes) as running:
            until(lambda: is_idle(running))
            write(site, [of("first", 1)])
            away.until(lambda heard: len(heard) == 1)
            away.close()
            write(site, [event for name in ("a", "b", "c") for event in story(name)])
            there.until(lambda heard: len(heard) == 10)
            until(lambda: running.reading("burnline_receiver_down", "away") == 1)
            assert running.reading("burnline_receiver_down", "there") == 0
            until(lambda: running.reading("burnline_notifications_oldest_seconds", "away") > 0)
            assert "receiver away is down" in running.deliverer.trouble()
            away.open()
            heard = away.until(lambda heard: len(heard) >= 10)
            until(lambda: running.reading("burnline_receiver_down", "away") == 0 and is_idle(running))
            assert running.deliverer.trouble() == ""
    for name in ("a", "b", "c"):
        assert [action for _, action in said(heard, name)] == ["trigger", "update", "resolve"]


def test_one_that_dies_before_it_has_committed_sends_the_same_again(site: Settings) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def slow(_: Heard) -> Reply:
        asked.set()
        may_answer.wait(DEADLINE_S)
        return Reply()

    with listening(slow) as receiver:
        with Delivering(site, to_one(hook(receiver))) as running:
            until(lambda: is_idle(running))
            write(site, [of("a", 1)])
            assert asked.wait(DEADLINE_S)
        may_answer.set()  # it had sent, and never saw the answer
        with Delivering(site, to_one(hook(receiver))):
            write(site, [of("a", 2, "RESOLVED")])
            heard = receiver.until(lambda heard: said(heard)[-1:] == [("a", "resolve")])
    assert [action for _, action in said(heard)] == ["trigger", "trigger", "resolve"]
    assert heard[0].headers["webhook-id"] == heard[1].headers["webhook-id"] != heard[2].headers["webhook-id"]


def test_a_new_receiver_is_told_of_what_is_open_and_not_of_the_past(site: Settings) -> None:
    write(site, [*story("past"), of("open", 1, severity="WARNING"), of("open", 2, "UPDATED")])
    with listening() as receiver, Delivering(site, to_one(hook(receiver))) as running:
        receiver.until(lambda heard: said(heard) == [("open", "trigger")])
        until(lambda: is_idle(running))
        write(site, [of("open", 3, "RESOLVED")])
        receiver.until(lambda heard: said(heard) == [("open", "trigger"), ("open", "resolve")])


def test_a_receiver_whose_group_kafka_has_forgotten_goes_on_where_it_was(site: Settings) -> None:
    with listening() as receiver:
        with Delivering(site, to_one(hook(receiver))) as running:
            until(lambda: is_idle(running))
        note(site, f"hook|{OFFSETS}", None)  # as an older version has left it
        with Delivering(site, to_one(hook(receiver))) as running:
            until(lambda: is_idle(running))
            write(site, [of("a", 1)])
            receiver.until(lambda heard: len(heard) == 1)
            until(lambda: is_idle(running))
            group = running.deliverer._spec(hook(receiver)).group
        write(site, story("past"))
        admin = AdminClient({"bootstrap.servers": site.kafka_brokers})
        admin.delete_consumer_groups([group])[group].result(30)
        assert sorted(kept_offsets(site)) == list(range(PARTITIONS))
        with Delivering(site, to_one(hook(receiver))):
            heard = receiver.until(lambda heard: said(heard, "past")[-1:] == [("past", "resolve")])
    assert said(heard) == [("a", "trigger"), *(("past", action) for action in ("trigger", "update", "resolve"))]


def kept_offsets(site: Settings) -> dict[int, int]:
    """How far the receiver is in each partition, as its last entry says."""

    async def read() -> dict[bytes, bytes | None]:
        topic = topic_name(site, DELIVERIES)
        return {key: value async for key, value in state_entries(aiokafka_config(site), topic, 0)}

    entry = asyncio.run(read())[f"hook|{OFFSETS}".encode()]
    return {tp.partition: offset for tp, offset in offsets_of(topic_name(site, ALERTS), entry).items()}


def test_another_deliverer_stands_by_and_takes_over(site: Settings) -> None:
    with listening() as receiver, Delivering(site, to_one(hook(receiver))) as first:
        until(lambda: is_idle(first))
        write(site, [of("a", 1)])
        receiver.until(lambda heard: said(heard) == [("a", "trigger")])
        with Delivering(site, to_one(hook(receiver))) as second:
            until(lambda: second.deliverer.is_assigned and (is_idle(first) or is_idle(second)))
            assert not (first.deliverer.owned and second.deliverer.owned)
            write(site, [of("b", 2)])
            receiver.until(lambda heard: len(heard) == 2)
        until(lambda: is_idle(first))
        write(site, [of("a", 3, "RESOLVED"), of("b", 3, "RESOLVED")])
        heard = receiver.until(lambda heard: len(heard) >= 4)
    assert sorted(said(heard)) == [("a", "resolve"), ("a", "trigger"), ("b", "resolve"), ("b", "trigger")]


def test_a_notification_that_is_refused_for_good_holds_up_nothing_and_is_said(site: Settings) -> None:
    def picky(heard: Heard) -> Reply:
        return Reply(422, b"I do not like it") if heard.json["data"]["slo"] == "bad" else Reply()

    with listening(picky) as receiver, Delivering(site, to_one(hook(receiver))) as running:
        until(lambda: is_idle(running))
        write(site, [of("bad", 1), of("good", 1)])
        receiver.until(lambda heard: len(heard) == 2)
        until(lambda: running.reading("burnline_notifications_refused") == 1)
        until(lambda: running.reading("burnline_notifications_sent") == 1)
        assert "hook has refused a notification: 422 I do not like it" in running.deliverer.trouble()


def test_what_cannot_be_read_is_counted_and_passed_by(site: Settings) -> None:
    with listening() as receiver, Delivering(site, to_one(hook(receiver))) as running:
        until(lambda: is_idle(running))
        producer = Producer({"bootstrap.servers": site.kafka_brokers})
        for value in (b"nothing", b"", None):
            producer.produce(topic_name(site, ALERTS), value, b"a")
        assert producer.flush(30) == 0
        write(site, [of("a", 1)])
        receiver.until(lambda heard: said(heard) == [("a", "trigger")])
        until(lambda: running.reading("burnline_alerts_unreadable") == 2)


@pytest.mark.parametrize("kind", ["pagerduty", "slack"])
def test_people_get_one_incident_for_a_service_by_the_receivers_rules(
    site: Settings, kind: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("e93facc04764012d7bfb002500d5d1a6\n")
    with listening(lambda heard: rules.judged(kind, heard)) as server:
        grouping = GroupingSpec(("service",))
        if kind == "slack":
            secret.write_text(server.url("/services/T0/B0/secret"))
            receiver = Receiver("people", kind, url_file=secret, grouping=grouping, allow=INSIDE)
        else:
            receiver = Receiver("people", kind, server.url("/v2/enqueue"), None, secret, "", grouping, allow=INSIDE)
        with Delivering(site, to_one(receiver)) as running:
            until(lambda: is_idle(running))
            for number, event in enumerate((of("a", 1, severity="WARNING"), of("b", 2), of("a", 3, "RESOLVED"),
                                            of("b", 4, "RESOLVED"), of("c", 5, service="other")), 1):  # fmt: skip
                write(site, [event])
                server.until(lambda heard, number=number: len(heard) == number)
            until(lambda: running.reading("burnline_notifications_sent") == 5)
            assert running.reading("burnline_notifications_refused") == 0
            until(lambda: running.reading("burnline_open_incidents") == 1)
        if kind == "pagerduty":
            keys = [(each.json["event_action"], each.json["dedup_key"]) for each in server.heard]
            chat, other = (f"{site.topic_prefix}people|burnline|service={name}" for name in ("chat", "other"))
            assert keys == [("trigger", chat)] * 3 + [("resolve", chat), ("trigger", other)]


def test_a_topic_mirrors_alerts_as_cloudevents_each_exactly_once(site: Settings, topic_prefix: str) -> None:
    mirror = f"{topic_prefix}alerts.json"
    make_topic(site, mirror)
    consumer = Consumer({"bootstrap.servers": site.kafka_brokers, "group.id": mirror, "auto.offset.reset": "earliest",
                         "isolation.level": "read_committed"})  # fmt: skip
    consumer.subscribe([mirror])
    found: list[Any] = []

    def read() -> int:
        found.extend(message for message in consumer.consume(100, 0.1) if not message.error())
        return len(found)

    with Delivering(site, to_one(Receiver("mirror", "topic", topic=mirror))) as running:
        until(lambda: is_idle(running))
        write(site, story("a"))
        until(lambda: read() >= 3)
    with Delivering(site, to_one(Receiver("mirror", "topic", topic=mirror))) as running:
        write(site, [of("a", 9)])
        until(lambda: read() >= 4)
    consumer.close()
    events = [json.loads(message.value()) for message in found]
    assert [each["type"] for each in events] == [
        "slo.burnrate.fired.v1", "slo.burnrate.updated.v1", "slo.burnrate.resolved.v1", "slo.burnrate.fired.v1",
    ]  # fmt: skip
    assert {message.key() for message in found} == {b"a"}
    assert [each["id"] for each in events] == [event.id for event in (*story("a"), of("a", 9))]
