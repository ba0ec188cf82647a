"""The log between two offsets, read outside of any assignment."""

import asyncio
import time

import pytest
from confluent_kafka import Producer

from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from pipeline.topics import EVENTS, TopicSpec, aiokafka_config, create_topics, topic_name, topics
from pipeline.transport.log import Log, Place, until
from tests.recorded import Recorded, block_of


@pytest.mark.parametrize(("end", "left"), [(3, []), (4, [3]), (7, [3, 5]), (8, [3, 5, 7]), (99, [3, 5, 7])])
def test_a_block_is_cut_where_the_range_of_offsets_ends(end: int, left: list[int]) -> None:
    block = block_of("t", 0, [Recorded(offset, b"v%d" % offset) for offset in (3, 5, 7)])
    cut = until(block, end)
    assert ([cut.value(i) for i in range(len(cut))], cut.next_offset) == ([b"v%d" % o for o in left], min(end, 8))


@pytest.mark.servers
def test_the_last_record_in_front_of_an_offset_is_found_behind_aborted_ones(
    kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    """Two records, then 40 that do not count: an aborted transaction and its marker."""
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    create_topics(settings, {**topics(), EVENTS: TopicSpec(1)})
    topic = topic_name(settings, EVENTS)
    began_ms = time.time_ns() // 1_000_000
    producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": topic_prefix})
    producer.init_transactions(60)
    for values, end in (([b"one", b"two"], producer.commit_transaction), ([b"x"] * 40, producer.abort_transaction)):
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value=value, partition=0)
        producer.flush(60)
        end(60)

    async def look() -> None:
        async with Log(aiokafka_config(settings), topic, [0], group=topic_prefix) as log:
            end = (await log.ends())[0]
            last = await log.last_before(0, end)
            assert last is not None and last.offset == 1 and last.append_time_ms >= began_ms - 1_000
            assert await log.last_before(0, 1) is not None and await log.last_before(0, 0) is None
            assert await log.since(last.append_time_ms) == {0: Place(0, last.append_time_ms)}
            assert await log.since(last.append_time_ms + 3_600_000) == {0: None}
            assert await log.committed(0) is None
            values = [b.value(i) async for b in log.blocks({0: 1}, {0: end}) for i in range(len(b))]
            assert values == [b"two"]

    asyncio.run(look())
