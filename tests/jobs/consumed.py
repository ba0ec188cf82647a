"""Everything that is in a topic, by a plain consumer."""

from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

from pipeline import topics
from pipeline.settings import Settings


class Record(NamedTuple):
    """One record."""

    partition: int
    key: bytes
    value: bytes


def consumed(settings: Settings, base: str) -> list[Record]:
    """Read a topic from its beginning to its end; in order within a partition."""
    name = topics.topic_name(settings, base)
    consumer = Consumer(topics.confluent_config(settings) | {"group.id": "test", "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(name, 60).topics[name].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(name, p), 60)[1] for p in partitions}
        consumer.assign([TopicPartition(name, p, 0) for p in partitions])
        found: list[Record] = []
        while len(found) < sum(ends.values()):
            for message in consumer.consume(1_000, 0.2):
                assert message.error() is None, message.error()
                found.append(Record(message.partition(), message.key(), message.value()))
        return found
    finally:
        consumer.close()
