"""A topic followed from its end on: what comes, in batches, for commands that show it as it comes.

Law: nobody is held up and nothing piles up. Nothing is committed, no group is joined; who cannot keep up is put to the
end again, and told how many records that left out.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import typer

from pipeline.settings import Settings

BATCH_RECORDS, POLL_S = 500, 0.5
BEHIND_S = 5.0  #: what is older when it is read is not what comes now
BUFFER_KIB = 8 << 10  #: librdkafka would keep 64 MiB of a partition
ENDS = frozenset({"_FATAL", "_AUTHENTICATION", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_OR_PART"})


class Batch(NamedTuple):
    """Records as they came, none when nothing did; and how many were left out in front of them."""

    records: list[Any]
    left_out: int = 0


def follow(settings: Settings, topic: str) -> Iterator[Batch]:
    """Read a topic from its end on, for ever.

    Raises: confluent_kafka.KafkaException; TopicsError when no broker answers, or the topic is not there.
    """
    from pipeline.topics import TopicsError, cluster

    seen = cluster(settings)[1].topics.get(topic)
    if seen is None:
        raise TopicsError(f"there is no topic {topic}, or it is not shown to us: run `burnline migrate`")
    with _consumer(settings) as consumer:
        _to_the_end(consumer, topic, list(seen.partitions))
        yield Batch([])
        while True:
            records = records_of(consumer.consume(BATCH_RECORDS, POLL_S))
            yield Batch(records, _caught_up(consumer, topic, records))


def records_of(found: list[Any]) -> list[Any]:
    """Take the records out of what the client gives, and say what else it has to say.

    Raises: KafkaException, for errors behind which nothing would come any more.
    """
    from confluent_kafka import KafkaException

    for record in found:
        if (error := record.error()) is not None:
            if error.fatal() or error.name() in ENDS or error.name().endswith("AUTHORIZATION_FAILED"):
                raise KafkaException(error)
            typer.echo(f"Kafka says: {error.str()}", err=True)
    return [record for record in found if record.error() is None]


@contextmanager
def _consumer(settings: Settings) -> Iterator[Any]:
    from confluent_kafka import Consumer

    from pipeline.topics import confluent_config

    options = {
        "group.id": "burnline-tail",  # never joined, nothing is committed
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": BUFFER_KIB,
    }
    consumer = Consumer({**confluent_config(settings), **options})
    try:
        yield consumer
    finally:
        consumer.close()


def _to_the_end(consumer: Any, topic: str, partitions: list[int]) -> None:
    """Stand at the ends as they are now: what comes from here on is read, however long the first fetch takes."""
    from confluent_kafka import TopicPartition

    ends = [TopicPartition(topic, number) for number in partitions]
    for each in ends:
        each.offset = consumer.get_watermark_offsets(each, timeout=10.0)[1]
    consumer.assign(ends)


def _caught_up(consumer: Any, topic: str, records: list[Any]) -> int:
    """Go to the end when what was read is old; return how many records that leaves out."""
    appended_ms = records[-1].timestamp()[1] if records else 0
    if not records or time.time() - appended_ms / 1000 < BEHIND_S:
        return 0
    before = {each.partition: each.offset for each in consumer.position(consumer.assignment())}
    _to_the_end(consumer, topic, list(before))
    after = {each.partition: each.offset for each in consumer.assignment()}
    return sum(max(after[number] - offset, 0) for number, offset in before.items() if offset >= 0)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """End on Ctrl-C without a word; say why when Kafka or the registry cannot be used.

    Raises: typer.Exit with 1.
    """
    from confluent_kafka import KafkaException

    from pipeline.sources.registry import RegistryError

    try:
        yield
    except KeyboardInterrupt:
        return
    except (KafkaException, RegistryError) as error:
        typer.echo(f"{error}\n  -> `burnline doctor` says what is wrong with the set-up", err=True)
        raise typer.Exit(1) from error
