"""A deliverer killed between each pair of its steps, or asleep while another takes over: no second page, none lost."""

import json
import os
import signal
import threading
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from pipeline.delivery.routes import Route, Routes
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from pipeline.topics import DELIVERIES, topic_name
from tests.agents.delivering import DEADLINE_S, Delivering, make_topics, settings_for, write
from tests.agents.dying import dying, hooks, until_said
from tests.agents.test_deliver import until
from tests.delivery.listening import Heard, Reply, listening
from tests.delivery.test_incidents import of

pytestmark = pytest.mark.servers


@pytest.fixture
def site(kafka: EmbeddedKafka, topic_prefix: str) -> Settings:
    settings = settings_for(kafka.brokers, topic_prefix)
    make_topics(settings)
    return settings


class Remembered:
    """Entries of slo.deliveries as they come: (receiver, alert) -> the last one."""

    def __init__(self, settings: Settings) -> None:
        self.entries: dict[str, Any] = {}
        options = {"bootstrap.servers": settings.kafka_brokers, "group.id": "-", "isolation.level": "read_committed"}
        self._consumer = Consumer(options)
        self._consumer.assign([TopicPartition(topic_name(settings, DELIVERIES), 0, 0)])

    def has(self, receiver: str, alert: str, what: str) -> bool:
        for message in self._consumer.consume(100, 0.1):
            if not message.error():
                self.entries[message.key().decode()] = json.loads(message.value() or b"{}")
        return bool(self.entries.get(f"{receiver}|{alert}", {}).get(what))

    def close(self) -> None:
        self._consumer.close()


def told(heard: list[Heard], slo: str) -> list[str]:
    return [each.json["data"]["action"] for each in heard if each.json["data"]["slo"] == slo]


def test_killed_between_any_two_steps_it_tells_each_beginning_and_each_end_though_a_route_leads_elsewhere_by_then(
    site: Settings,
) -> None:
    """Three receivers, three moments of one death: will tell, has told, and knows that it has told."""
    asked, may_answer = threading.Semaphore(0), threading.Event()

    def slow(_: Heard) -> Reply:
        asked.release()
        may_answer.wait(DEADLINE_S)
        return Reply()

    with listening() as refusing, listening(slow) as hanging, listening() as prompt:
        refusing.close()
        urls = {"refusing": refusing.url(), "hanging": hanging.url(), "prompt": prompt.url()}
        memory = Remembered(site)
        with dying(site, urls) as process:
            write(site, [of("kept", 1), of("moved", 1)])
            for name in ("kept", "moved"):
                assert asked.acquire(timeout=DEADLINE_S)
                until(lambda name=name: memory.has("refusing", name, "telling") and memory.has("prompt", name, "told"))
            process.send_signal(signal.SIGKILL)
            process.wait()
        memory.close()
        may_answer.set()
        refusing.open()
        elsewhere = Routes(hooks(urls), (Route((), (("slo", ("moved",)),)), Route(tuple(urls))))
        with Delivering(site, elsewhere):
            refusing.until(lambda heard: told(heard, "kept") == ["trigger"])
            hanging.until(lambda heard: told(heard, "kept") == ["trigger"] * 2)
            write(site, [of("kept", 2, "RESOLVED"), of("moved", 2, "RESOLVED")])
            for receiver in (refusing, hanging, prompt):
                receiver.until(lambda heard: all(told(heard, name)[-1:] == ["resolve"] for name in ("kept", "moved")))
    assert told(refusing.heard, "kept") == told(prompt.heard, "kept") == ["trigger", "resolve"]
    assert told(hanging.heard, "kept") == ["trigger", "trigger", "resolve"]
    ids = [each.headers["webhook-id"] for each in hanging.heard if each.json["data"]["slo"] == "kept"]
    assert ids[0] == ids[1] != ids[2]
    assert told(refusing.heard, "moved") == ["resolve"]  # nobody can know that it never heard of it
    assert told(hanging.heard, "moved") == told(prompt.heard, "moved") == ["trigger", "resolve"]


def test_one_that_wakes_up_when_another_has_taken_over_sends_nothing_stale(site: Settings) -> None:
    with listening() as receiver:
        receiver.close()
        urls, memory = {"hook": receiver.url()}, Remembered(site)
        with dying(site, urls) as process:
            write(site, [of("a", 1)])
            until(lambda: memory.has("hook", "a", "telling"))
            memory.close()
            os.kill(process.pid, signal.SIGSTOP)
            receiver.open()
            with Delivering(site, Routes(hooks(urls), (Route(("hook",)),))):
                receiver.until(lambda heard: told(heard, "a") == ["trigger"])
                write(site, [of("a", 2, "RESOLVED")])
                receiver.until(lambda heard: told(heard, "a") == ["trigger", "resolve"])
                os.kill(process.pid, signal.SIGCONT)
                until_said(process, "lost")
    assert told(receiver.heard, "a") == ["trigger", "resolve"]
