"""A step of the pipeline over its block topics: fence, restore, expect, fold, write; per partition.

    blocks ──► queue ──► frozen (blocks, offsets) ──► fold, in a thread ──► ledger
               next unit gathers here while the last one is folded and written

Laws (each found by a crash test):
- A block counts only if it starts at the expected offset; what was read before a seek is stale and dropped.
- What a unit covers is frozen before the first await of its writing.
- A unit that fails takes the step's memory with it: the step ends, and is made anew from what was written.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from aiokafka.errors import ProducerFenced
from aiokafka.structs import TopicPartition
from faust.types import TP

from pipeline.records import RecordBlock, Unit, UnitFacts
from pipeline.transport.counters import StepCounters
from pipeline.transport.ledger import Ledger, state_entries

TICK_S = 0.02
RELEASE_S = 20.0  #: a revocation waits so long for what is being written

log = structlog.get_logger()


class Fold(Protocol):
    """What a step does with one partition's blocks. Pure but for its own memory."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one entry of the state topic, before the first block."""

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        """Fold a unit; may run in a thread, never twice at once for one partition."""


@dataclass(frozen=True)
class StepSpec:
    """One step."""

    name: str
    topics: tuple[str, ...]
    make_fold: Callable[[TP], Fold]
    state_topic: str | None = None  # same partition number as the topic's
    unit_s: float = 1.0
    unit_bytes: int = 16 << 20
    queue_bytes: int = 64 << 20  # of all partitions; what is over waits in Kafka
    threads: int = 1


class StepFailed(RuntimeError):
    """The step's memory is void; make it anew."""


@dataclass
class Owned:
    """One partition at work."""

    tp: TP
    partitions: int  # of its topic
    fold: Fold
    expected: int
    due_s: float
    blocks: deque[RecordBlock] = field(default_factory=deque)
    queued_bytes: int = 0
    folded: int = 0  # every unit below this offset is written or being written
    quiet_since_s: float | None = None  # read to its end and silent
    queued_since_s: float | None = None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    flush: asyncio.Task[None] | None = None
    is_leaving: bool = False


class Step:
    """Owns partitions; drives their folds and the ledger."""

    def __init__(self, spec: StepSpec, ledger: Ledger, kafka_options: Mapping[str, Any]) -> None:
        self.spec, self.ledger = spec, ledger
        self.counters = StepCounters(progress_at_s=time.monotonic())
        self.owned: dict[TP, Owned] = {}
        self.is_assigned = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._options = dict(kafka_options)
        self._room = asyncio.Event()
        self._room.set()
        self._executor = ThreadPoolExecutor(spec.threads, thread_name_prefix=spec.name)
        self._ticker: asyncio.Task[None] | None = None
        self._consumer: Any = None

    # -- partitions come and go
    async def own(self, consumer: Any) -> dict[TP, int]:
        """Take every assigned partition anew, fenced and restored; return where to read on."""
        self._consumer = consumer
        mine = [tp for tp in consumer.assignment() if tp.topic in self.spec.topics]
        await self._drop(list(self.owned))
        try:
            await asyncio.gather(*(self._own(tp) for tp in mine))
        except Exception as error:  # the caller may swallow it; a partition that is not fenced must not be read
            self._fail(error)
            raise
        self.is_assigned = True
        return {tp: owned.expected for tp, owned in self.owned.items()}

    async def _own(self, tp: TP) -> None:
        position = await self.ledger.open(tp)
        fold = self.spec.make_fold(tp)
        if self.spec.state_topic:
            async for key, value in state_entries(self._options, self.spec.state_topic, tp.partition):
                fold.restore(key, value)
                self.counters.restored_entries += 1
        if position is None:
            position = await self._committed(tp)
        start = await self._log_start(tp)
        if position is not None and position < start:
            self.counters.lost_offsets += start - position
            log.error("offsets were deleted before they were read", topic=tp.topic, partition=tp.partition,
                      lost=start - position)  # fmt: skip
        position = max(position or 0, start)
        partitions = self._partition_count(tp.topic)
        phase_s = self.spec.unit_s * (tp.partition + 1) / partitions
        self.owned[tp] = Owned(tp, partitions, fold, position, time.monotonic() + phase_s, folded=position)

    async def _committed(self, tp: TP) -> int | None:
        thread = self._consumer._thread
        committed: int | None = await thread.call_thread(
            thread._consumer.committed, TopicPartition(tp.topic, tp.partition)
        )
        return committed

    async def _log_start(self, tp: TP) -> int:
        thread, place = self._consumer._thread, TopicPartition(tp.topic, tp.partition)
        starts = await thread.call_thread(thread._consumer.beginning_offsets, [place])
        return int(starts[place])

    def _partition_count(self, topic: str) -> int:
        return len(self._consumer._thread._consumer.partitions_for_topic(topic))

    async def release(self, tps: Iterable[TP]) -> None:
        """Write what is held of these partitions while they are still ours, then let go of them."""
        mine = [self.owned[tp] for tp in tps if tp in self.owned]
        for owned in mine:
            owned.is_leaving = True
        try:
            await asyncio.wait_for(asyncio.gather(*(self._drain(owned) for owned in mine)), RELEASE_S)
        except Exception as error:  # its offsets are not committed: another owner reads it again
            log.warning("a partition was left unwritten", step=self.spec.name, error=repr(error))
        await self._drop([owned.tp for owned in mine])

    async def _drain(self, owned: Owned) -> None:
        if owned.flush is not None:
            await asyncio.wait([owned.flush])
        if not self.failed.done() and owned.blocks:
            await self._write_unit(owned)

    async def _drop(self, tps: list[TP]) -> None:
        for tp in tps:
            owned = self.owned.pop(tp, None)
            if owned is None:
                continue
            owned.is_leaving = True
            self._unqueue(owned.queued_bytes)
            owned.queued_bytes = 0
            if owned.flush is not None:
                await asyncio.wait([owned.flush], timeout=RELEASE_S)
            await self.ledger.release(tp)

    # -- blocks
    async def take(self, tp: TP, block: RecordBlock) -> None:
        """Queue a block if it is the expected one; waits while too much is queued."""
        while not self._room.is_set() and not self.failed.done():
            await self._room.wait()
        owned = self.owned.get(tp)
        if owned is None or owned.is_leaving or block.first_offset != owned.expected:
            self.counters.stale_blocks += 1
            return
        size = block.buffer.nbytes
        owned.blocks.append(block)
        owned.expected, owned.quiet_since_s = block.next_offset, None
        owned.queued_since_s = owned.queued_since_s or time.monotonic()
        owned.queued_bytes += size
        self.counters.blocks += 1
        self.counters.records += len(block)
        self.counters.bytes += size
        self._queue(size)
        if owned.queued_bytes >= self.spec.unit_bytes:
            self._start_flush(owned)

    def _queue(self, size: int) -> None:
        self.counters.queued_bytes += size
        if self.counters.queued_bytes >= self.spec.queue_bytes:
            self._room.clear()

    def _unqueue(self, size: int) -> None:
        self.counters.queued_bytes -= size
        if self.counters.queued_bytes < self.spec.queue_bytes:
            self._room.set()

    def oldest_in_flight_s(self, now_s: float) -> float:
        """Age of the oldest block that is not written yet; 0: none."""
        since = [owned.queued_since_s for owned in self.owned.values() if owned.queued_since_s is not None]
        return now_s - min(since) if since else 0.0

    # -- units
    def start(self) -> None:
        """Begin to write units when they are due."""
        self._ticker = asyncio.create_task(self._tick(), name=f"{self.spec.name} ticker")

    async def _tick(self) -> None:
        while not self.failed.done():
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            for owned in list(self.owned.values()):
                if now_s >= owned.due_s or owned.queued_bytes >= self.spec.unit_bytes:
                    self._start_flush(owned)

    def _start_flush(self, owned: Owned) -> None:
        if owned.is_leaving or (owned.flush is not None and not owned.flush.done()):
            return
        owned.due_s = time.monotonic() + self.spec.unit_s
        owned.flush = asyncio.create_task(self._flush(owned))

    async def _flush(self, owned: Owned) -> None:
        try:
            await self._write_unit(owned)
        except Exception as error:
            if self.owned.get(owned.tp) is owned and not owned.is_leaving:
                self._fail(error)

    async def _write_unit(self, owned: Owned) -> None:
        blocks, facts, size = self._freeze(owned)
        owned.queued_since_s = None
        loop = asyncio.get_running_loop()
        began_s = time.perf_counter()
        unit = await loop.run_in_executor(self._executor, owned.fold.fold, blocks, facts)
        self.counters.fold_s += time.perf_counter() - began_s
        blocks.clear()
        if self.owned.get(owned.tp) is owned:
            owned.queued_bytes -= size
            self._unqueue(size)
        began_s = time.perf_counter()
        await self.ledger.write(owned.tp, unit, facts)
        self.counters.wrote(time.perf_counter() - began_s, time.monotonic())

    def _freeze(self, owned: Owned) -> tuple[list[RecordBlock], UnitFacts, int]:
        """Take the queue and what a fold may know, in one go."""
        blocks, size = list(owned.blocks), sum(block.buffer.nbytes for block in owned.blocks)
        owned.blocks.clear()
        facts = UnitFacts(
            owned.tp.topic, owned.tp.partition, owned.partitions, owned.folded, owned.expected,
            time.time_ns() // 1000, self._idle_us(owned, bool(blocks)),
        )  # fmt: skip
        owned.folded = owned.expected
        return blocks, facts, size

    def _idle_us(self, owned: Owned, has_blocks: bool) -> int:
        """How long the partition has been read to its end and silent."""
        now_s = time.monotonic()
        if has_blocks or not self._is_at_end(owned):
            owned.quiet_since_s = None
            return 0
        owned.quiet_since_s = owned.quiet_since_s or now_s
        return int((now_s - owned.quiet_since_s) * 1_000_000)

    def _is_at_end(self, owned: Owned) -> bool:
        try:
            end = self._consumer._thread._consumer.highwater(TopicPartition(owned.tp.topic, owned.tp.partition))
        except Exception:  # noqa: BLE001 - not assigned in the consumer's thread at this moment
            return False
        return end is not None and owned.expected >= end

    def _fail(self, error: Exception) -> None:
        self.counters.units_failed += 1
        self.counters.fenced += isinstance(error, ProducerFenced)
        if not self.failed.done():
            failure = StepFailed(f"{self.spec.name}: {error!r}")
            failure.__cause__ = error
            self.failed.set_exception(failure)
            self.failed.exception()  # seen: whoever waits gets it, and nobody waiting is no warning
        self._room.set()

    async def stop(self) -> None:
        """Write what is held, let go of everything. Idempotent."""
        if self._ticker is not None:
            self._ticker.cancel()
        await self.release(list(self.owned))
        await self.ledger.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
