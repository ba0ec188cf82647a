"""Fills the topic of events, once, for every rival: each partition repeats its own share of the base.

partition p:  base[p::8]  base[p::8]  base[p::8] ...     `repeats` times
"""

import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline import topics
from pipeline.settings import Settings
from tests.bench.fleet_events import Base

PARTITIONS = 8
FLUSHED = "bench.flushed"  #: where the stock Faust agent writes
#: batches of about a megabyte, as a producer under load makes them
OPTIONS: dict[str, Any] = {
    "linger.ms": 50, "batch.size": 1 << 20, "batch.num.messages": 50_000, "queue.buffering.max.messages": 400_000,
    "queue.buffering.max.kbytes": 262_144, "delivery.report.only.error": True, "acks": 1,
}  # fmt: skip
CHUNK = 20_000
STAMPED = (topics.COUNTS, topics.SLICES, topics.ALERTS)


@dataclass(frozen=True)
class Filled:
    """What the topic holds."""

    events: int
    bytes: int
    repeats: int
    codec: str
    per_partition: tuple[int, ...]
    seconds: float


def create(settings: Settings) -> None:
    """Create the topics; the derived ones with the broker's timestamps, by which units are timed."""
    specs = dict(topics.topics())
    for name in STAMPED:
        spec = specs[name]
        specs[name] = topics.TopicSpec(spec.partitions, {**spec.config, "message.timestamp.type": "LogAppendTime"})
    topics.create_topics(settings, specs)
    admin = AdminClient(topics.confluent_config(settings))
    for future in admin.create_topics([NewTopic(topics.topic_name(settings, FLUSHED), 1, 1)]).values():
        future.result()


def fill(settings: Settings, base: Base, repeats: int, codec: str) -> Filled:
    """Send the base `repeats` times."""
    began = time.monotonic()
    producer = Producer(topics.confluent_config(settings) | OPTIONS | {"compression.type": codec})
    topic = topics.topic_name(settings, topics.EVENTS)
    shares = [base.values[p::PARTITIONS] for p in range(PARTITIONS)]
    for _ in range(repeats):
        for partition, share in enumerate(shares):
            for start in range(0, len(share), CHUNK):
                send(producer, topic, partition, share[start : start + CHUNK])
    while producer.flush(1.0):
        pass
    sent = repeats * len(base.values)
    size = repeats * sum(map(len, base.values))
    return Filled(sent, size, repeats, codec, tuple(map(len, shares)), time.monotonic() - began)


def send(producer: Producer, topic: str, partition: int, values: list[bytes]) -> None:
    """Queue values, waiting while the client's queue is full.

    Raises: RuntimeError when one was not delivered.
    """
    messages: list[dict[str, Any]] = [{"value": value} for value in values]
    while messages:
        queued = producer.produce_batch(topic, messages, partition=partition, on_delivery=_lost)
        producer.poll(0)
        if queued == len(messages):
            return
        messages = [message for message in messages if message.pop("_error", None) is not None]
        producer.poll(0.05)


def _lost(error: Any, message: Any) -> None:
    del message
    if error is not None:
        raise RuntimeError(f"an event was not delivered: {error}")
