"""`kblock://`: a Faust transport whose block topics give one message per partition and fetch.

Group membership, assignment, rebalancing, producer and every other topic are the stock driver's. Replaced: how bytes
become records, what a full buffer does, and what happens at a seek (a step fences the former owner first). Offsets of
block topics are committed by their step's transactions and by nothing else: the topics are declared without acks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiokafka
import aiokafka.consumer.consumer as consumer_module
import aiokafka.consumer.fetcher as fetcher_module
import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from pipeline.records import RecordBlock
from pipeline.transport import record_blocks
from pipeline.transport.record_blocks import RawMemoryRecords, RawPartitionRecords
from pipeline.transport.upstream import rebound


@dataclass(frozen=True)
class FetchSpec:
    """How a block topic is fetched. Larger fetches make larger blocks; the queue counts blocks, not messages."""

    partition_bytes: int = 4 << 20  # 1 MB, Faust's default, costs a third of the rate
    request_bytes: int = 16 << 20
    least_bytes: int = 1
    wait_ms: int = 100  # Faust hard-codes 1500
    read_committed: bool = False
    queue_blocks: int = 16


class BlockSchema(faust.Schema):
    """Values are blocks already: no codec, no model."""

    def compile(self, app: Any, **_: Any) -> Any:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            del propagate
            return create_event(None, message.value, None, message)

        return decode


def block_topic(app: faust.App, name: str, fetch: FetchSpec) -> Any:
    """Declare a topic of blocks; the app must be on kblock://."""
    app.__dict__["block_fetch"] = fetch
    app.__dict__.setdefault("block_topics", set()).add(name)
    topic = app.topic(name, schema=BlockSchema(value_type=bytes), acks=False)
    topic.maxsize = fetch.queue_blocks  # faust 0.15.3 accepts app.topic(maxsize=) and ignores it: gigabytes of blocks
    return topic


def block_topics(app: Any) -> set[str]:
    """Names declared with `block_topic`."""
    names: set[str] = app.__dict__.setdefault("block_topics", set())
    return names


def consumer_class(names: set[str]) -> type[aiokafka.AIOKafkaConsumer]:
    """Make a consumer that gives blocks for these topics and records for all others."""
    stock_records, stock_memory = fetcher_module.PartitionRecords, fetcher_module.MemoryRecords

    def partition_records(tp: Any, records: RawMemoryRecords, *rest: Any) -> Any:
        if tp.topic in names:
            return RawPartitionRecords(tp, records, *rest)
        return stock_records(tp, stock_memory(records.raw), *rest)

    class BlockFetcher(fetcher_module.Fetcher):  # type: ignore[misc]
        _proc_fetch_request = rebound(
            fetcher_module.Fetcher._proc_fetch_request,
            "aiokafka",
            MemoryRecords=RawMemoryRecords,
            PartitionRecords=partition_records,
        )

    class BlockAIOKafkaConsumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]
        start = rebound(consumer_module.AIOKafkaConsumer.start, "aiokafka", Fetcher=BlockFetcher)

    return BlockAIOKafkaConsumer


consumer_class(set())  # a renamed global must fail now, not in a consumer's thread


class BlockConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The stock thread with our consumer in it."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        fetch = self.app.__dict__.get("block_fetch", FetchSpec())
        consumer.__class__ = consumer_class(block_topics(self.app))
        consumer._fetch_min_bytes, consumer._fetch_max_wait_ms = fetch.least_bytes, fetch.wait_ms
        consumer._fetch_max_bytes, consumer._max_partition_fetch_bytes = fetch.request_bytes, fetch.partition_bytes
        if fetch.read_committed:
            consumer._isolation_level = "read_committed"
        return consumer


class BlockConsumer(driver.Consumer):  # type: ignore[misc]
    """Delivers blocks; asks the app's step before it seeks and when it loses partitions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._blocks = block_topics(self.app)
        self._step = self.app.__dict__.get("block_step")
        record_blocks.warm()

    def _new_consumer_thread(self) -> BlockConsumerThread:
        return BlockConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if type(record) is not RecordBlock:
            return super()._to_message(tp, record)
        stamp_s = (record.append_time_ms[-1] if len(record) else 0) / 1000.0
        return ConsumerMessage(
            record.topic, record.partition, record.next_offset - 1, stamp_s, 0, None, None, record, None, 0,
            record.buffer.nbytes, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def on_buffer_full(self, tp: TP) -> None:
        """For blocks the bounded queue alone is the back-pressure.

        Stock takes the partition out of the fetch set; once that is empty it sleeps a whole second (36x slower).
        """
        if tp.topic not in self._blocks:
            super().on_buffer_full(tp)

    async def perform_seek(self) -> None:
        """Fence former owners, then seek; a step's partitions go where its ledger says."""
        positions = await self._step.own(self) if self._step else {}
        await super().perform_seek()
        for tp, offset in positions.items():
            self._read_offset[tp] = None
            self._thread.seek(tp, offset)

    async def on_partitions_revoked(self, revoked: Iterable[TP]) -> None:
        """Let the step write what it holds while the partitions are still ours, then let go of them."""
        if self._step:
            await self._step.release(revoked)
        await super().on_partitions_revoked(set(revoked))


class Transport(driver.Transport):  # type: ignore[misc]
    """Registered as `kblock` in the entry point group faust.transports."""

    Consumer = BlockConsumer
