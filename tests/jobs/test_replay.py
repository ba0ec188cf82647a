"""The range of a replay, and where it begins in the log. The rest is in tests/acceptance/test_accounting.py."""

import asyncio
import time
from itertools import pairwise

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from jobs.pacing import PaceError
from jobs.replay.command import HOUR_US, whole_hours
from jobs.replay.source import ReplayFailed, begins
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from pipeline.topics import EVENTS, aiokafka_config, create_topics, topic_name
from pipeline.transport.log import Log

NOON_US = 1_800_000_000_000_000 // HOUR_US * HOUR_US  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        pytest.param("2027-01-15T05:00:00Z", "2027-01-15T07:00:00Z", (-3, -1), id="whole hours stay"),
        pytest.param("2027-01-15T05:59:59Z", "2027-01-15T07:00:01Z", (-3, 0), id="others are widened"),
        pytest.param("2027-01-15T05:00:00", "2027-01-15T05:00:01", (-3, -2), id="UTC unless it says otherwise"),
    ],
)
def test_a_range_is_widened_to_whole_hours(start: str, end: str, hours: tuple[int, int]) -> None:
    begin, stop = (NOON_US + hour * HOUR_US for hour in hours)
    assert whole_hours(start, end, NOON_US) == (begin, stop)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        pytest.param("2027-01-15T05:00:00Z", "2027-01-15T08:00:01Z", "not over yet", id="an hour that goes on"),
        pytest.param("2027-01-15T06:00:00Z", "2027-01-15T06:00:00Z", "must be later", id="an empty range"),
        pytest.param("yesterday", "2027-01-15T06:00:00Z", "is no time", id="no time"),
    ],
)
def test_a_range_that_cannot_be_compared_is_refused(start: str, end: str, words: str) -> None:
    with pytest.raises(PaceError, match=words):
        whole_hours(start, end, NOON_US)


# -- the log
@pytest.mark.servers
def test_a_range_is_read_whole_and_refused_once_retention_has_taken_some_of_it(
    kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    create_topics(settings)
    topic, hour_us = topic_name(settings, EVENTS), 3_600_000_000
    producer = Producer({"bootstrap.servers": kafka.brokers})
    for n in range(500):
        producer.produce(topic, value=b"%d" % n, partition=n % 8)
    assert producer.flush(60) == 0
    now_us = time.time_ns() // 1000

    async def read(from_us: int, window_s: int = 0) -> list[bytes]:
        async with Log(aiokafka_config(settings), topic, range(8)) as log:
            first, ends = await begins(log, from_us, window_s), await log.ends()
            blocks = [block async for block in log.blocks(first, ends)]
        for one, following in pairwise(sorted(blocks, key=lambda block: (block.partition, block.first_offset))):
            assert one.partition != following.partition or one.next_offset == following.first_offset
        return sorted(block.value(i) or b"" for block in blocks for i in range(len(block)))

    assert asyncio.run(read(now_us - hour_us)) == sorted(b"%d" % n for n in range(500))
    assert asyncio.run(read(now_us + hour_us)) == []  # appended before it happened by more than counts
    assert len(asyncio.run(read(now_us + hour_us, 3_600))) == 500  # read for the window of event ids
    admin = AdminClient({"bootstrap.servers": kafka.brokers})
    for future in admin.delete_records([TopicPartition(topic, 3, 10)]).values():
        future.result(60)
    with pytest.raises(ReplayFailed, match=r"starts before the log: .*/3 begins at offset 10"):
        asyncio.run(read(now_us - hour_us))
    assert asyncio.run(read(now_us + hour_us)) == []
