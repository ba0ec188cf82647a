"""Law: whoever takes a partition leaves out what its former owner would have left out, and nothing else."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from confluent_kafka import Producer
from faust.types import TP

from pipeline.agents.ingest import LimitedFold, PartitionFold
from pipeline.agents.remembering import RememberingLedger
from pipeline.dead_letters import LimitSpec
from pipeline.decoding import EventFold, FoldSpec
from pipeline.duplicates import Window, WindowSpec
from pipeline.embedded import EmbeddedKafka
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold
from pipeline.records import UnitFacts
from pipeline.settings import Settings
from pipeline.topics import EVENTS, TopicSpec, aiokafka_config, create_topics, topic_name, topics
from pipeline.transport.log import Log
from tests.compiled import KERNELS
from tests.event_samples import objectives, sample
from tests.ingest_reading import SPEC, block_of, decoded, facts_of, framed

WINDOW = WindowSpec(600, 1_000)


@pytest.fixture
def topic(kafka: EmbeddedKafka, topic_prefix: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Connection options, and a topic with 300 events of which the last 100 are retries of the first."""
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    create_topics(settings, {**topics(), EVENTS: TopicSpec(1)})
    name = topic_name(settings, EVENTS)
    values = framed(sample(Random(n)) | {"event_id": f"id {n}"} for n in range(200))
    producer = Producer({"bootstrap.servers": kafka.brokers})
    for value in [*values, *values[:100]]:
        producer.produce(name, value=value, partition=0)
    assert producer.flush(60) == 0
    yield aiokafka_config(settings), name


async def commit(options: dict[str, Any], group: str, name: str, offset: int) -> None:
    consumer = AIOKafkaConsumer(**options, group_id=group, enable_auto_commit=False)
    await consumer.start()
    place = TopicPartition(name, 0)
    consumer.assign([place])
    await consumer.commit({place: OffsetAndMetadata(offset, "")})
    await consumer.stop()


@pytest.mark.servers
@pytest.mark.parametrize(
    ("committed", "retries"),
    [
        pytest.param(None, 100, id="from the beginning"),
        pytest.param(150, 100, id="in front of the first retry"),
        pytest.param(240, 60, id="among the retries"),
    ],
)
def test_the_next_owner_leaves_out_what_the_former_would_have(
    topic: tuple[dict[str, Any], str], committed: int | None, retries: int
) -> None:
    options, name = topic
    tp, group = TP(name, 0), f"group of {name}"
    fold = IngestFold(SPEC, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))
    limited = LimitedFold(fold, LimitSpec(1.0, 1, 1_000_000))

    async def take_over() -> dict[str, int]:
        if committed is not None:
            await commit(options, group, name, committed)
        ledger = RememberingLedger(options, group, WINDOW, 1 << 20, limited.remember)
        assert await ledger.open(tp) is None
        await ledger.close()
        mine = PartitionFold(limited, 0, ledger.windows.pop(0))
        async with Log(options, name, [0]) as log:
            blocks = [block async for block in log.blocks({0: committed or 0}, {0: 300})]
        unit = mine.fold(blocks, UnitFacts(name, 0, 1, committed or 0, 300, 1))
        counters: dict[str, int] = decoded(unit)[1][-1][1]["counters"] or decoded(unit)[1][0][1]["counters"]
        return counters

    counters = asyncio.run(take_over())
    assert counters["duplicates"] == retries == limited.now.told["duplicates"]
    assert counters["records"] == 300 - (committed or 0)
    assert counters["events"] == 300 - (committed or 0) - retries


def test_other_slos_are_put_in_force_and_windows_go_on() -> None:

    def made() -> IngestFold:
        return IngestFold(SPEC, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))

    limited = LimitedFold(made(), LimitSpec(1.0, 1, 1_000_000))
    mine = PartitionFold(limited, 3, Window(WINDOW))
    block = block_of(framed([sample(Random(n)) | {"event_id": f"id {n}"} for n in range(20)]))
    mine.fold([block], facts_of([block]))
    limited.put(made())
    again = mine.fold([block], facts_of([block]))
    counters = next(b["counters"] for _, b in decoded(again)[1] if b["counters"])
    assert (counters["duplicates"], counters["events"], limited.now.told["duplicates"]) == (20, 0, 20)
