"""A topic followed from its end on: what was there is not read, and who cannot keep up is told what was left out."""

import time

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from pipeline.commands.following import BATCH_RECORDS, follow, records_of
from pipeline.embedded import EmbeddedKafka
from tests.agents.delivering import make_topic, settings_for

MANY = 4 * BATCH_RECORDS
A_MINUTE_MS = 60_000


def write(brokers: str, topic: str, count: int, age_ms: int = 0) -> None:
    producer = Producer({"bootstrap.servers": brokers})
    appended_ms = int(time.time() * 1000) - age_ms
    for number in range(count):
        producer.produce(topic, str(number), timestamp=appended_ms)
    assert producer.flush(60) == 0


@pytest.mark.servers
@pytest.mark.parametrize("age_ms", [-A_MINUTE_MS, A_MINUTE_MS], ids=["of now", "old"])
def test_every_record_that_comes_is_read_or_counted_as_left_out(
    kafka: EmbeddedKafka, topic_prefix: str, age_ms: int
) -> None:
    settings, topic = settings_for(kafka.brokers, topic_prefix), f"{topic_prefix}followed"
    make_topic(settings, topic)
    write(kafka.brokers, topic, 7)
    batches = follow(settings, topic)
    assert next(batches) == ([], 0)
    write(kafka.brokers, topic, MANY, age_ms)
    read, left_out, before = 0, 0, time.monotonic()
    while read + left_out < MANY:
        assert time.monotonic() - before < 120
        batch = next(batches)
        read, left_out = read + len(batch.records), left_out + batch.left_out
    assert read + left_out == MANY
    assert left_out == 0 if age_ms < 0 else read <= BATCH_RECORDS
    batches.close()


class Answer:
    """What the client gives: a record, or an error in its place."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code

    def error(self) -> KafkaError | None:
        return None if self.code is None else KafkaError(self.code)


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._FATAL])
def test_an_error_that_nothing_comes_behind_is_raised(code: int) -> None:
    with pytest.raises(KafkaException):
        records_of([Answer(), Answer(code)])


def test_an_error_that_passes_is_told_and_the_rest_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    first, last = Answer(), Answer()
    assert records_of([first, Answer(KafkaError._TRANSPORT), last]) == [first, last]
    assert "Broker transport failure" in capsys.readouterr().err
