"""Steps and block topics on a real broker."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import faust
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from pipeline.embedded import EmbeddedKafka
from pipeline.records import RecordBlock
from pipeline.transport import FetchSpec, block_topic
from tests.transport.counting import (
    NUMBERS,
    Numbers,
    committed_records,
    counting,
    create,
    create_topics,
    eventually,
    sum_step,
    sums_written,
    total_step,
    totals_written,
)

pytestmark = pytest.mark.servers

PARTITIONS = 4


def run(work: Any, patience_s: float = 240.0) -> Any:
    return asyncio.run(asyncio.wait_for(work, patience_s))


def test_a_restarted_step_goes_on_exactly_where_it_was(kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path) -> None:
    brokers = kafka.brokers
    create_topics(brokers, topic_prefix, PARTITIONS)
    numbers = Numbers(brokers, topic_prefix, PARTITIONS)

    async def work() -> None:
        for start in (0, 5000, 9000):
            async with counting(sum_step, brokers, topic_prefix, tmp_path):
                numbers.send(range(start, start + 4000))
                numbers.flush()
                if start != 5000:  # the second run ends in the middle of its work
                    await eventually(lambda: sums_written(brokers, topic_prefix), numbers.truth)

    run(work())
    assert sums_written(brokers, topic_prefix) == numbers.truth


def test_steps_in_a_row_share_one_loop_and_leave_nothing_behind(
    kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path
) -> None:
    brokers, other = kafka.brokers, topic_prefix + "other."
    for prefix in (topic_prefix, other):
        create_topics(brokers, prefix, PARTITIONS)
    numbers = Numbers(brokers, topic_prefix, PARTITIONS)
    threads = set(threading.enumerate())

    async def work() -> None:
        before = asyncio.all_tasks()
        steps = ((sum_step, topic_prefix), (total_step, topic_prefix), (sum_step, other))
        contexts = [counting(make, brokers, prefix, tmp_path) for make, prefix in steps]
        async with contexts[0], contexts[1], contexts[2]:
            numbers.send(range(5000))
            numbers.flush()
            await eventually(lambda: totals_written(brokers, topic_prefix), numbers.truth)
            stopping_s = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - stopping_s < 60
        assert asyncio.all_tasks() - before == set()

    run(work())
    left = {thread for thread in set(threading.enumerate()) - threads if not thread.name.startswith("asyncio_")}
    assert left == set()


def test_a_step_with_memory_restores_it(kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path) -> None:
    brokers = kafka.brokers
    create_topics(brokers, topic_prefix, PARTITIONS)
    numbers = Numbers(brokers, topic_prefix, PARTITIONS)

    async def work() -> int:
        async with counting(sum_step, brokers, topic_prefix, tmp_path):
            for start in (0, 1000):
                async with counting(total_step, brokers, topic_prefix, tmp_path) as task:
                    numbers.send(range(start, start + 1000))
                    numbers.flush()
                    await eventually(lambda: totals_written(brokers, topic_prefix), numbers.truth)
        return int(task.result().counters.restored_entries)

    assert run(work()) >= PARTITIONS


def test_aborted_transactions_do_not_count(kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path) -> None:
    """What a former owner sent and never committed is not read downstream; what was committed around it is."""
    brokers = kafka.brokers
    create_topics(brokers, topic_prefix, PARTITIONS)
    writer = Producer({"bootstrap.servers": brokers, "transactional.id": topic_prefix, "log_level": 0})
    writer.init_transactions(60)
    kept = 0
    for i in range(6):
        writer.begin_transaction()
        for partition in range(2):
            writer.produce(f"{topic_prefix}sums", b"[%d, %d, 7]" % (partition, 10**i), partition=partition)
        writer.flush(60)
        if i % 2:
            writer.abort_transaction(60)
        else:
            writer.commit_transaction(60)
            kept += 10**i

    async def work() -> None:
        async with counting(total_step, brokers, topic_prefix, tmp_path) as task:
            expected = {0: [kept, 21], 1: [kept, 21]}
            await eventually(lambda: totals_written(brokers, topic_prefix), expected)
            await asyncio.sleep(0.5)
            assert not task.done()

    run(work())


def test_a_block_topic_and_an_ordinary_topic_live_in_one_app(
    kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path
) -> None:
    brokers, plain = kafka.brokers, f"{topic_prefix}plain"
    create_topics(brokers, topic_prefix, PARTITIONS)
    create(brokers, [NewTopic(plain, 2, 1)])
    writer = Producer({"bootstrap.servers": brokers, "log_level": 0})
    for i in range(3000):
        writer.produce(topic_prefix + NUMBERS, b"%d" % i, key=b"k%d" % i, partition=i % PARTITIONS)
        writer.produce(plain, b"%d" % i, partition=i % 2)
    writer.produce(plain, b"x" * 900_000, partition=0)  # large responses take another way than small ones
    writer.flush(60)
    blocks: list[RecordBlock] = []
    values: list[bytes] = []

    async def work() -> None:
        app = faust.App(
            f"{topic_prefix}both", broker=f"kblock://{brokers}", datadir=str(tmp_path), topic_allow_declare=False,
            topic_disable_leader=True, web_enabled=False, value_serializer="raw", stream_wait_empty=False,
        )  # fmt: skip

        async def take_blocks(stream: Any) -> None:
            async for event in stream.noack().events():
                blocks.append(event.value)

        async def take_values(stream: Any) -> None:
            async for value in stream:
                values.append(value)

        app.agent(block_topic(app, topic_prefix + NUMBERS, FetchSpec()), name="blocks")(take_blocks)
        app.agent(app.topic(plain, value_type=bytes), name="values")(take_values)
        await app.start()
        try:
            while sum(map(len, blocks)) < 3000 or len(values) < 3001:
                await asyncio.sleep(0.05)
        finally:
            await app.stop()

    run(work())
    assert sorted(len(value) for value in values)[-1] == 900_000
    assert sorted(int(value) for value in values if len(value) < 10) == list(range(3000))
    pairs = [(block.key(i), block.value(i)) for block in blocks for i in range(len(block))]
    assert sorted(pairs) == sorted((b"k%d" % i, b"%d" % i) for i in range(3000))


def test_records_larger_than_a_fetch_come_whole(kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path) -> None:
    """Responses of megabytes, received in place, in front of and behind small ones."""
    brokers = kafka.brokers
    create_topics(brokers, topic_prefix, PARTITIONS)
    numbers = Numbers(brokers, topic_prefix, PARTITIONS, **{"compression.type": "zstd"})

    async def work() -> None:
        async with counting(sum_step, brokers, topic_prefix, tmp_path):
            numbers.send(range(150_000))
            numbers.flush()
            await eventually(lambda: sums_written(brokers, topic_prefix), numbers.truth)

    run(work())
    assert sum(1 for _ in committed_records(brokers, topic_prefix + NUMBERS, PARTITIONS)) == 150_000
