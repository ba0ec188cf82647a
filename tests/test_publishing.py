"""Writing to a topic from outside of a worker's steps: all of it is taken, or TopicsError says why not."""

from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from pipeline.changes import SCHEMA
from pipeline.embedded import EmbeddedKafka
from pipeline.publishing import Writer
from pipeline.settings import Settings
from pipeline.topics import CHANGES, TopicsError, cluster, topic_name
from tests.agents.delivering import make_topic

pytestmark = pytest.mark.servers


@pytest.fixture
def settings(kafka: EmbeddedKafka, topic_prefix: str) -> Settings:
    found = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    make_topic(found, name := topic_name(found, CHANGES))
    while name not in cluster(found)[1].topics:  # a broker may know of it a moment later
        pass
    return found


def change(number: int, title: str = "a") -> tuple[str, dict[str, Any]]:
    columns = dict.fromkeys(("request_model", "variant", "region", "url", "until", "config_epoch"))
    told = {"change_id": str(number), "at": 1, "kind": "NOTE", "service": "chat", "title": title, "actor": ""}
    return "chat", {**columns, **told, "before": {}, "after": {}}


def kept(settings: Settings) -> int:
    consumer = Consumer({"bootstrap.servers": settings.kafka_brokers, "group.id": "publishing"})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic_name(settings, CHANGES), 0), timeout=60)
    consumer.close()
    return end


def test_who_writes_more_than_may_wait_waits_for_room(settings: Settings) -> None:
    assert Writer(settings, CHANGES, SCHEMA, queue_most=2).write(map(change, range(500))) == 500
    assert kept(settings) == 500


def test_what_the_client_will_not_queue_is_told_and_nothing_behind_it_is_written(settings: Settings) -> None:
    writer = Writer(settings, CHANGES, SCHEMA)
    with pytest.raises(TopicsError, match=rf"{topic_name(settings, CHANGES)} does not take .* too large"):
        writer.write([change(1), change(2, "a" * 2_000_000), change(3)])
    assert kept(settings) == 1
    assert writer.write([change(4)]) == 1
