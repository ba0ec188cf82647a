"""A deliverer in a thread of this process, and the topic it reads: what tests of delivery share."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.agents.deliver import Deliverer
from pipeline.agents.parts import Parts
from pipeline.agents.watching import Watcher
from pipeline.blocks import encode
from pipeline.delivery.notification import AlertEvent
from pipeline.delivery.routes import Receiver, Route, Routes
from pipeline.framing import SINGLE_OBJECT
from pipeline.ourselves import Concerns
from pipeline.settings import Settings
from pipeline.spec import SloSet
from pipeline.topics import ALERTS, DELIVERIES, topic_name

PARTITIONS = 3
DEADLINE_S = 60.0


def settings_for(brokers: str, prefix: str, **changes: Any) -> Settings:
    """Settings without a ClickHouse: nobody waits for it."""
    nowhere = "clickhouse://nobody@127.0.0.1:1/burnline"
    return Settings(
        kafka_brokers=brokers, topic_prefix=prefix, clickhouse_url=nowhere, session_timeout_s=6, slo_dir="/nowhere",
        **{"steps": "deliver", "webhook_url": "http://nobody.invalid/", **changes},
    )  # fmt: skip


def make_topics(settings: Settings) -> None:
    make_topic(settings, topic_name(settings, ALERTS), PARTITIONS)
    make_topic(settings, topic_name(settings, DELIVERIES))


def make_topic(settings: Settings, name: str, partitions: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": settings.kafka_brokers})
    for future in admin.create_topics([NewTopic(name, partitions)]).values():
        future.result(30)


def write(settings: Settings, events: Sequence[AlertEvent]) -> None:
    """Append events as the judge does: by their dedup key."""
    producer = Producer({"bootstrap.servers": settings.kafka_brokers, "enable.idempotence": True})
    for each in events:
        producer.produce(topic_name(settings, ALERTS), encode("burn_rate_alert", each.columns), each.dedup_key.encode())
    assert producer.flush(30) == 0


def note(settings: Settings, key: str, entry: bytes | None) -> None:
    """Write an entry of slo.deliveries."""
    producer = Producer({"bootstrap.servers": settings.kafka_brokers})
    producer.produce(topic_name(settings, DELIVERIES), entry, key.encode(), 0)
    assert producer.flush(30) == 0


def to_one(receiver: Receiver) -> Routes:
    return Routes((receiver,), (Route((receiver.name,)),))


class Delivering:
    """Runs a deliverer until stopped, or killed where it stands."""

    def __init__(self, settings: Settings, routes: Routes, slos: SloSet | None = None, watches: bool = False) -> None:
        """`watches`: it tells of itself too, without much patience."""
        self._parts = Parts(settings, slos or SloSet(), SINGLE_OBJECT, {}, routes)
        self._watches = watches
        self._ready, self._thread = threading.Event(), threading.Thread(target=self._run, daemon=True)
        self.deliverer: Deliverer

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.deliverer = Deliverer(self._parts, down_s=0.0)
        self._ready.set()
        watcher = Watcher(self._parts, self.deliverer.concerns, Concerns(hold_us=0), look_s=0.2)
        watching = asyncio.create_task(watcher.run()) if self._watches else None
        await self.deliverer.run(self._stop)
        if watching is not None:
            watching.cancel()

    def __enter__(self) -> "Delivering":
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def reading(self, name: str, *labels: str) -> float:
        """One of its metrics now."""
        asked = asyncio.run_coroutine_threadsafe(self._readings(), self._loop).result(DEADLINE_S)
        return sum(value for (named, told), value in asked.items() if named == name and told[: len(labels)] == labels)

    async def _readings(self) -> dict[tuple[str, tuple[str, ...]], float]:
        return {(each.name, each.labels): each.value for each in self.deliverer.readings()}
