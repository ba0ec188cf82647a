"""A step of the pipeline over its block topics: fence, restore, expect, fold, write; per partition.

Partitions come and go with the consumer group's generations. A new generation's partitions are all taken anew:
the ledger fences former owners, the fold is restored, and only then is it asked where to read on. A unit that
fails takes the step's memory with it: the step ends, and is made anew from what was written.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import structlog
from aiokafka.errors import ProducerFenced
from faust.types import TP

from pipeline.records import RecordBlock, Unit, UnitFacts
from pipeline.transport.counters import StepCounters
from pipeline.transport.entries import state_entries
from pipeline.transport.ledger import Ledger
from pipeline.transport.owned import Owned
from pipeline.transport.room import Room
from pipeline.transport.step_spec import StepSpec

TICK_S = 0.02
RELEASE_S = 20.0  #: a revocation waits so long for what is being written
#: blocks that do not follow are what was read before a seek, and over at once; or offsets that are no more
GAP_S = 10.0
SHORT_S = 3.0  #: longer than an end is believed: another answer has said the same
UNASSIGNED_S = 180.0  #: a group that rebalances for so long has lost us; the assignment may be of no partition

log = structlog.get_logger()


class StepFailed(RuntimeError):
    """The step's memory is void; make it anew."""


class OffsetsGone(RuntimeError):
    """The log does not hold the offsets that come next; the message says what to do."""


class Position(NamedTuple):
    """Where a partition is read to: every unit below `folded` is written or being written."""

    folded: int
    end: int | None  # None: the broker has not told it lately

    @property
    def waiting(self) -> int:
        """Offsets behind what was folded."""
        return max((self.end or 0) - self.folded, 0)


class Source(Protocol):
    """What a step asks of the consumer that feeds it."""

    generation: int  # of the group; partitions of an older one are not ours

    def assigned(self) -> set[TP]:
        """Partitions of this generation."""

    def partition_count(self, topic: str) -> int:
        """Partitions of a topic."""

    async def committed(self, tp: TP) -> int | None:
        """The group's offset."""

    async def bounds(self, tp: TP) -> tuple[int, int]:
        """First offset of the partition's log, and the one behind its last."""

    def end(self, tp: TP) -> int | None:
        """Where reading stops for now; None when the broker has not said so lately."""


class Step:
    """Owns partitions; drives their folds and the ledger."""

    def __init__(self, spec: StepSpec, ledger: Ledger, kafka_options: Mapping[str, Any]) -> None:
        """`kafka_options`: aiokafka's, to read the state topic with."""
        self.spec, self.ledger = spec, ledger
        self.counters = StepCounters(progress_at_s=time.monotonic())
        self.owned: dict[TP, Owned] = {}
        self.is_assigned = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._options = dict(kafka_options)
        self._room = Room(self.counters, spec.queue_bytes)
        self._executor = ThreadPoolExecutor(spec.threads, thread_name_prefix=spec.name)
        self._turn = asyncio.Semaphore(spec.threads)
        self._ticker: asyncio.Task[None] | None = None
        self._source: Source | None = None
        self._generation: int | None = None
        self._owning: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._unassigned_since_s = time.monotonic()

    # -- partitions come and go
    async def own(self, source: Source) -> dict[TP, int]:
        """Take a generation's partitions, fenced and restored; return where to read on.

        Asked again in one generation, nothing is taken again: a second fence would shut out the first. Nothing
        comes back, and no CancelledError, when the partitions are taken away meanwhile: that would end Faust's
        task that resumes streams after every rebalance, and the worker would sit on its partitions for ever.
        """
        if self._is_stopping:
            return {}
        if self._owning is None or self._generation != source.generation:
            await self._give_up_owning()
            self._source, self._generation = source, source.generation
            self._owning = asyncio.create_task(self._own_all(source), name=f"{self.spec.name} owning")
        owning = self._owning
        await asyncio.wait([owning])
        if owning.cancelled():
            return {}
        owning.result()
        return {tp: owned.expected for tp, owned in self.owned.items()}

    async def _own_all(self, source: Source) -> None:
        await self._drop(list(self.owned.values()))
        mine = [tp for tp in source.assigned() if tp.topic in self.spec.topics]
        try:
            await asyncio.gather(*(self._own(tp, source) for tp in mine))
        except Exception as error:  # callers may swallow it; a partition that is not fenced must not be read
            self._fail(error)
            raise
        self.counters.progress_at_s = time.monotonic()
        self.is_assigned = True

    async def _give_up_owning(self) -> None:
        """Stop taking partitions that are ours no longer."""
        owning, self._owning, self._generation = self._owning, None, None
        if owning is not None and not owning.done():
            owning.cancel()
            await asyncio.wait([owning])

    async def _own(self, tp: TP, source: Source) -> None:
        position = await self.ledger.open(tp)
        fold = self.spec.make_fold(tp)
        if self.spec.state_topic:
            async for key, value in state_entries(self._options, self.spec.state_topic, tp.partition):
                fold.restore(key, value)
                self.counters.restored_entries += 1
        if position is None:
            position = await source.committed(tp)
        first = self._inside(tp, position, *await source.bounds(tp))
        lost = 0 if position is None else first - position
        partitions = source.partition_count(tp.topic)
        phase_s = self.spec.seconds(tp.topic) * (tp.partition + 1) / partitions  # partitions take turns
        self.owned[tp] = Owned(tp, partitions, fold, first, time.monotonic() + phase_s, lost)

    def _inside(self, tp: TP, position: int | None, start: int, end: int) -> int:
        """Where the log can be read on from."""
        if position is None:
            return start
        if position > end:
            raise OffsetsGone(
                f"{tp.topic}/{tp.partition} ends at offset {end}, but was read up to {position} before: the topic "
                "was created anew or its log was cut. Reset the group's offsets, and remove what was written of it"
            )
        return max(position, start)

    async def release(self, tps: Iterable[TP]) -> None:
        """Write what is held of these partitions while they are still ours, then let go of them."""
        self.is_assigned, self._unassigned_since_s = False, time.monotonic()
        await self._give_up_owning()
        mine = [self.owned[tp] for tp in tps if tp in self.owned]
        await self._within_patience([self._drain(owned) for owned in mine])
        await self._drop(mine)

    async def _within_patience(self, work: list[Any]) -> None:
        tasks = [asyncio.create_task(each) for each in work]
        if tasks:
            await asyncio.wait(tasks, timeout=RELEASE_S)

    async def _drain(self, owned: Owned) -> None:
        owned.is_leaving = True
        if owned.flush is not None:
            await asyncio.wait([owned.flush])
        if owned.blocks and not owned.is_void and not self.failed.done():
            await self._flush(owned)
        if owned.writing is not None:
            await asyncio.wait([owned.writing])

    async def _drop(self, mine: list[Owned]) -> None:
        await asyncio.gather(*(self._drop_one(owned) for owned in mine))

    async def _drop_one(self, owned: Owned) -> None:
        owned.is_leaving = owned.is_void = True
        if self.owned.get(owned.tp) is owned:
            del self.owned[owned.tp]
        tasks = [task for task in (owned.flush, owned.writing) if task is not None and not task.done()]
        await self.ledger.release(owned.tp)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._unqueue(owned, owned.queued_bytes, -owned.held_bytes)

    # -- blocks
    async def take(self, tp: TP, block: RecordBlock) -> None:
        """Queue a block if it is the expected one; waits while too much is queued."""
        self.counters.queue_waits += self._room.is_full
        while self._room.is_full and not self.failed.done():
            await self._room.wait()
        owned = self.owned.get(tp)
        if owned is None or owned.is_leaving or self.failed.done():
            self.counters.stale_blocks += 1
            return
        accepted = owned.accept(block, time.monotonic())
        if accepted is None:
            self.counters.stale_blocks += 1
            return
        self.counters.took(len(accepted), accepted.buffer.nbytes)
        self._room.change(queued=accepted.buffer.nbytes)
        if owned.queued_bytes >= self.spec.unit_bytes:
            self._start_flush(owned)
        self._relieve()

    def _relieve(self) -> None:
        """Flush the fullest partition when half the queue is full and no fold is under way.

        Many partitions fill the queue before any of them has a whole unit, and then all wait for the clock.
        """
        if not self._room.is_half_full or self._turn.locked():
            return
        if any(owned.is_starting for owned in self.owned.values()):
            return
        idle = [owned for owned in self.owned.values() if owned.blocks and not owned.is_flushing]
        if idle:
            self._start_flush(max(idle, key=lambda owned: owned.queued_bytes))

    def _unqueue(self, owned: Owned, size: int, held: int = 0) -> None:
        owned.queued_bytes -= size
        owned.held_bytes += held
        self._room.change(-size, held)

    def oldest_in_flight_s(self, now_s: float) -> float:
        """Age of the oldest block that is not written yet; 0: none."""
        since = [since_s for owned in self.owned.values() if (since_s := owned.waiting_since_s()) is not None]
        return now_s - min(since, default=now_s)

    def open_transaction_s(self, now_s: float) -> float:
        """Age of the oldest transaction or insert under way; 0: none is."""
        since = [owned.writing_since_s for owned in self.owned.values() if owned.writing_since_s is not None]
        return now_s - min(since, default=now_s)

    def positions(self) -> dict[TP, Position]:
        """How far each of our partitions is folded, and how far it goes."""
        if self._source is None:
            return {}
        return {tp: Position(owned.folded, self._source.end(tp)) for tp, owned in self.owned.items()}

    # -- units
    def start(self) -> None:
        """Begin to write units when they are due."""
        self._ticker = asyncio.create_task(self._tick(), name=f"{self.spec.name} ticker")

    async def _tick(self) -> None:
        while not self.failed.done():
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            self._watch(now_s)
            self._relieve()
            for owned in list(self.owned.values()):
                if now_s >= owned.due_s or owned.queued_bytes >= self.spec.unit_bytes or self._is_cell_over(owned):
                    self._start_flush(owned)

    def _is_cell_over(self, owned: Owned) -> bool:
        cell_ms = self.spec.cell_ms(owned.tp.topic)
        return cell_ms is not None and owned.is_cell_over(cell_ms, time.time_ns() // 1_000_000)

    def _watch(self, now_s: float) -> None:
        """Fail rather than sit still."""
        for owned in self.owned.values():
            if not owned.is_leaving:
                self._watch_offsets(owned, now_s)
        is_owning = self._owning is not None and not self._owning.done()  # which may take long, and says when it fails
        if not (self.is_assigned or is_owning) and now_s - self._unassigned_since_s > UNASSIGNED_S:
            self._fail(TimeoutError(f"the consumer group gave no assignment within {UNASSIGNED_S:.0f} s"))

    def _watch_offsets(self, owned: Owned, now_s: float) -> None:
        """Fail when the log is not the one that was read.

        A consumer whose position is out of range begins again at the log's start without a word, and all that comes
        of a topic made anew would be dropped as read before, up to the old topic's end.
        """
        place, end = f"{owned.tp.topic}/{owned.tp.partition}", self._source.end(owned.tp) if self._source else None
        if owned.is_gone:
            self._fail(OffsetsGone(f"{place} ended before offset {owned.expected}, and comes again: made anew?"))
        elif owned.short_s(end, now_s) > SHORT_S:
            self._fail(OffsetsGone(f"{place} ends at offset {end}, but was read up to {owned.expected}: made anew?"))
        elif owned.gap_since_s is not None and now_s - owned.gap_since_s > GAP_S:
            self._fail(OffsetsGone(f"what comes of {place} does not follow offset {owned.expected}"))

    def _start_flush(self, owned: Owned) -> None:
        if not (owned.is_flushing or owned.is_leaving or owned.is_void or self.failed.done()):
            owned.is_starting = True
            owned.flush = asyncio.create_task(self._flush(owned))

    async def _flush(self, owned: Owned) -> None:
        """Fold what is queued and give it to the ledger, again while there is enough for a unit."""
        owned.is_starting = False
        try:
            while True:
                owned.due_s = time.monotonic() + self.spec.seconds(owned.tp.topic)
                await self._fold(owned)
                if owned.is_leaving or owned.is_void or owned.queued_bytes < self.spec.unit_bytes:
                    break
        except Exception as error:
            self._void(owned, error)

    async def _fold(self, owned: Owned) -> None:
        """Fold one unit, while the one before may still be being written; then have it written."""
        assert self._source is not None
        async with self._turn:  # frozen when its turn comes: what comes while it waits belongs to it
            end = self._source.end(owned.tp)
            frozen = owned.freeze(end, time.monotonic(), time.time_ns() // 1000)
            held = frozen.bytes if self.spec.holds_input else 0
            began_s = time.perf_counter()
            try:
                work = self._executor.submit(owned.fold.fold, frozen.blocks, frozen.facts)
                unit = await asyncio.wrap_future(work)
            finally:
                frozen.blocks.clear()
                self._unqueue(owned, frozen.bytes, held)
            self.counters.fold_s += time.perf_counter() - began_s
        if owned.writing is not None:
            await asyncio.wait([owned.writing])
        if not owned.is_void:
            owned.writing = asyncio.create_task(self._write(owned, unit, frozen.facts, held))

    async def _write(self, owned: Owned, unit: Unit, facts: UnitFacts, held: int) -> None:
        began_s, owned.writing_since_s = time.perf_counter(), time.monotonic()
        try:
            await self.ledger.write(owned.tp, unit, facts)
        except Exception as error:
            self._void(owned, error)
        else:
            self.counters.wrote(time.perf_counter() - began_s, time.monotonic())
            owned.in_flight_since_s.popleft()
            owned.writing_since_s = None
            self._unqueue(owned, 0, -held)
            self._report_lost(owned, unit, facts)

    def _report_lost(self, owned: Owned, unit: Unit, facts: UnitFacts) -> None:
        """Tell what retention has taken once the offset behind it is written: the next owner would tell it again."""
        if owned.lost and unit.commit and facts.next_offset > facts.first_offset:
            self.counters.lost_offsets += owned.lost
            log.error("offsets were deleted before they were read", step=self.spec.name, topic=owned.tp.topic,
                      partition=owned.tp.partition, offsets=owned.lost, next=facts.first_offset)  # fmt: skip
            owned.lost = 0

    def _void(self, owned: Owned, error: Exception) -> None:
        """Never go on from this partition's memory: what was written is the truth."""
        if owned.is_void:
            return
        owned.is_void = True
        if owned.is_leaving:  # its offsets are not committed: another owner reads it again
            log.warning("a partition was left unwritten", step=self.spec.name, topic=owned.tp.topic,
                        partition=owned.tp.partition, error=repr(error))  # fmt: skip
        else:
            self._fail(error, f" on {owned.tp.topic}/{owned.tp.partition}")

    def _fail(self, error: Exception, where: str = "") -> None:
        self.counters.units_failed += 1
        self.counters.fenced += isinstance(error, ProducerFenced)
        if not self.failed.done():
            failure = StepFailed(f"{self.spec.name}{where}: {error!r}")
            failure.__cause__ = error
            self.failed.set_exception(failure)
            self.failed.exception()  # seen: whoever waits gets it, and nobody waiting is no warning
        self._room.open_up()

    async def stop(self) -> None:
        """Write what is held, let go of everything. Idempotent."""
        self._is_stopping = True
        if self._ticker is not None:
            self._ticker.cancel()
        await self.release(list(self.owned))
        await self.ledger.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
