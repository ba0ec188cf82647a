"""`kblock://`: a Faust transport whose block topics give one message per partition and fetch.

Group membership, assignment, rebalancing, producer and every other topic are the stock driver's. Replaced: how
bytes become records, what a full buffer does, and what happens at a seek (a step fences the former owner first).
Offsets of block topics are committed by their step's transactions and by nothing else: the topics are declared
without acks.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiokafka
import aiokafka.consumer.consumer as consumer_module
import aiokafka.consumer.fetcher as fetcher_module
import faust
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from pipeline.kernels import record_batches
from pipeline.records import RecordBlock
from pipeline.transport.frames import FrameClient
from pipeline.transport.memberships import member_of
from pipeline.transport.record_blocks import BATCH_BYTES_MAX, BLOCK_BYTES_MAX, RawMemoryRecords, RawPartitionRecords
from pipeline.transport.upstream import rebound

POLL_BLOCKS = 8  #: inflated at once: what was fetched compressed is many times larger
HEARD_LATELY_S = 2.0  #: a fetch is answered after `wait_ms` at the latest


@dataclass(frozen=True)
class FetchSpec:
    """How a block topic is fetched. Larger fetches make larger blocks; the queue counts blocks."""

    partition_bytes: int = 4 << 20  # 1 MB, Faust's default, costs a third of the rate
    request_bytes: int = 16 << 20
    least_bytes: int = 1
    wait_ms: int = 100  # Faust hard-codes 1500
    read_committed: bool = False
    batch_bytes: int = BATCH_BYTES_MAX  # a batch that inflates further is one record, which nobody can use
    block_bytes: int = BLOCK_BYTES_MAX  # inflated; smaller ones leave no large memory behind
    queue_blocks: int = 4  # in front of the step, whose own queue is counted in bytes


class BlockSchema(faust.Schema):
    """Values are blocks already: no codec, no model."""

    def compile(self, app: Any, **_: Any) -> Any:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            del propagate
            return create_event(None, message.value, None, message)

        return decode


def block_topic(app: faust.App, name: str, fetch: FetchSpec) -> Any:
    """Declare a topic of blocks; the app must be on kblock://. The last `fetch` is the whole app's."""
    app.__dict__["block_fetch"] = fetch
    block_topics(app).add(name)
    topic = app.topic(name, schema=BlockSchema(value_type=bytes), acks=False)
    topic.maxsize = fetch.queue_blocks  # faust 0.15.3 ignores app.topic(maxsize=): 4096 blocks are gigabytes
    return topic


def block_topics(app: Any) -> set[str]:
    """Names declared with `block_topic`."""
    names: set[str] = app.__dict__.setdefault("block_topics", set())
    return names


def consumer_class(
    names: set[str], batch_bytes: int = BATCH_BYTES_MAX, block_bytes: int = BLOCK_BYTES_MAX
) -> type[aiokafka.AIOKafkaConsumer]:
    """Make a consumer that gives blocks for these topics and records for all others."""
    stock_records, stock_memory = fetcher_module.PartitionRecords, fetcher_module.MemoryRecords

    def partition_records(tp: Any, records: RawMemoryRecords, *rest: Any) -> Any:
        if tp.topic in names:
            return RawPartitionRecords(tp, records, *(*rest, batch_bytes, block_bytes))
        return stock_records(tp, stock_memory(bytes(records.raw)), *rest)

    class BlockFetcher(fetcher_module.Fetcher):
        _proc_fetch_request = rebound(
            fetcher_module.Fetcher._proc_fetch_request,
            MemoryRecords=RawMemoryRecords,
            PartitionRecords=partition_records,
        )

    class BlockAIOKafkaConsumer(aiokafka.AIOKafkaConsumer):
        start = rebound(consumer_module.AIOKafkaConsumer.start, Fetcher=BlockFetcher)

    return BlockAIOKafkaConsumer


consumer_class(set())  # a renamed global must fail now, not in a consumer's thread


class ReadOffsets(defaultdict[TP, int | None]):
    """Faust's notes of what it has delivered, by which it drops what comes again; never of block topics.

    A delivery under way at a seek writes its old offset here afterwards, and all that follows would be
    dropped. A step knows itself what it has had.
    """

    def __init__(self, blocks: set[str]) -> None:
        super().__init__(lambda: None)
        self._blocks = blocks

    def __getitem__(self, tp: TP) -> int | None:
        return None if tp.topic in self._blocks else super().__getitem__(tp)


class BlockConsumerThread(driver.AIOKafkaConsumerThread):
    """The stock thread with our consumer in it."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        fetch = self.app.__dict__.get("block_fetch", FetchSpec())
        consumer.__class__ = consumer_class(block_topics(self.app), fetch.batch_bytes, fetch.block_bytes)
        consumer._client.__class__ = FrameClient
        consumer._fetch_min_bytes, consumer._fetch_max_wait_ms = fetch.least_bytes, fetch.wait_ms
        consumer._fetch_max_bytes = fetch.request_bytes
        consumer._max_partition_fetch_bytes = fetch.partition_bytes
        if fetch.read_committed:
            consumer._isolation_level = "read_committed"
        return consumer


class BlockConsumer(driver.Consumer):
    """Delivers blocks; asks the app's step when it seeks and when it loses partitions. A step's `Source`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._blocks = block_topics(self.app)
        self._read_offset = ReadOffsets(self._blocks)
        self._step = self.app.__dict__.get("block_step")
        self._joined = self.app.__dict__.get("block_joined", lambda member: None)
        self._has_assignment = False
        record_batches.warm()

    def _new_consumer_thread(self) -> BlockConsumerThread:
        return BlockConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- delivery
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

        Stock takes the partition out of the fetch set; once that is empty it sleeps a second (36x slower).
        """
        if tp.topic not in self._blocks:
            super().on_buffer_full(tp)

    # -- partitions come and go
    async def perform_seek(self) -> None:
        """Seek; a step's partitions go where it says, once it has fenced former owners.

        Also called between two assignments, when the old partitions are still listed: a fence then would shut
        out their next owner.
        """
        await super().perform_seek()
        if self._step is not None and self._has_assignment:
            await self._thread.call_thread(self._seek_all, await self._step.own(self))

    async def _seek_all(self, positions: dict[TP, int]) -> None:
        """Seek in the consumer's own thread; partitions that have been taken away meanwhile stay away."""
        consumer = self._thread._ensure_consumer()
        for tp in self.assignment() & positions.keys():
            consumer.seek(TopicPartition(*tp), positions[tp])

    async def on_partitions_revoked(self, revoked: Iterable[TP]) -> None:
        """Let the step write what it holds while the partitions are still ours, then let go of them."""
        self._has_assignment = False
        if self._step is not None:
            await self._step.release(revoked)
        await super().on_partitions_revoked(set(revoked))

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """From now on what is listed is ours. No seek follows when that is nothing."""
        self._has_assignment = True
        self._joined(member_of(self._thread._ensure_consumer()))
        await super().on_partitions_assigned(assigned, generation_id)
        if self._step is not None and not assigned:
            await self._step.own(self)

    # -- what a step asks
    @property
    def generation(self) -> int:
        """The consumer group's generation."""
        return int(self.app.consumer_generation_id)

    def assigned(self) -> set[TP]:
        """Partitions of this generation."""
        return set(self.assignment())

    def partition_count(self, topic: str) -> int:
        """Partitions of a topic."""
        return len(self._thread._ensure_consumer().partitions_for_topic(topic))

    async def committed(self, tp: TP) -> int | None:
        """The group's offset; None: there is none."""
        consumer = self._thread._ensure_consumer()
        offset: int | None = await self._thread.call_thread(consumer.committed, TopicPartition(*tp))
        return offset

    async def bounds(self, tp: TP) -> tuple[int, int]:
        """First offset of the log, and the one behind its last."""
        consumer, place = self._thread._ensure_consumer(), TopicPartition(*tp)
        starts = await self._thread.call_thread(consumer.beginning_offsets, [place])
        ends = await self._thread.call_thread(consumer.end_offsets, [place])
        return int(starts[place]), int(ends[place])

    def end(self, tp: TP) -> int | None:
        """Where reading stops for now; None when no fetch was answered lately."""
        consumer, place = self._thread._ensure_consumer(), TopicPartition(*tp)
        try:
            answered_ms = consumer.last_poll_timestamp(place)
            is_committed = consumer._isolation_level == "read_committed"
            end = consumer.last_stable_offset(place) if is_committed else consumer.highwater(place)
        except Exception:  # not assigned in the consumer's thread at this moment
            return None
        is_fresh = answered_ms is not None and time.time() - answered_ms / 1000 < HEARD_LATELY_S
        return end if is_fresh else None


class Transport(driver.Transport):
    """Registered as `kblock` in the entry point group faust.transports."""

    Consumer = BlockConsumer
