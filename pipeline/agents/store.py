"""The store's shell: folds of the stored topics, and the ledger that writes their batches into ClickHouse.

Law: a batch is inserted table by table, day by day, its mark last, each insert with the batch's token;
whatever crashes in between, the whole batch is repeated and looked for (repeating.py), and counts once. A
partition goes on behind its high mark. While ClickHouse is away or full the ledger waits and asks again, so
that Kafka keeps the backlog, not our memory.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from pipeline.agents.parts import Agent, Parts
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.metrics import Reading
from pipeline.sinks.clickhouse import ClickHouse, Unavailable
from pipeline.sinks.repeating import insert_again
from pipeline.store import STORED, Batch, CutSpec
from pipeline.topics import ALERTS, CHANGES, COUNTS, DEAD_LETTERS, SIGNALS, SLICES, SNAPSHOTS, STATUS
from pipeline.transport import FetchSpec, Step, StepSpec

if TYPE_CHECKING:
    from faust.types import TP

    from pipeline.records import Unit, UnitFacts
    from pipeline.settings import Settings

#: inserts at once: each takes the server up to 30 MB. Twenty partitions ask some 60 times a second; with two at once,
#: two workers fell ever further behind a server that took 0.3 s for each, and was idle
THREADS = 4
UNIT_S = 0.5  #: between looks at what has come; batches are cut by content, not by this
STATUS_UNIT_S = 2.0  #: a few rows each half a second were half of all that ClickHouse was asked
UNIT_BYTES = 2 << 20
STORE_QUEUE_BYTES = 32 << 20  #: of twenty partitions, until they are written
FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 5.0

log = structlog.get_logger()


class Superseded(RuntimeError):
    """What is stored is not what we left there: another writer was at work, or ClickHouse has gone back in time."""


def store_fold(base_topic: str, settings: "Settings", framing: Framing = SINGLE_OBJECT) -> Any:
    """Return a fresh fold for one partition of a topic of STORED, named without its prefix."""
    return STORED[base_topic](CutSpec(batch_us=round(settings.store_batch_s * 1e6)), framing)


def store(parts: Parts) -> Agent:
    """Build the agent: it goes on from what ClickHouse has, whatever the group's offsets say."""
    stored = (SLICES, COUNTS, STATUS, ALERTS, CHANGES, SNAPSHOTS, SIGNALS, DEAD_LETTERS)
    bases = {parts.topic(base): base for base in stored}

    def make_fold(tp: "TP") -> Any:
        return store_fold(bases[tp.topic], parts.settings, parts.framing)

    step = StepSpec(
        name="store",
        topics=tuple(bases),
        make_fold=make_fold,
        unit_s=UNIT_S,
        unit_s_of=dict.fromkeys((parts.topic(STATUS), parts.topic(SNAPSHOTS)), STATUS_UNIT_S),
        unit_bytes=UNIT_BYTES,
        queue_bytes=STORE_QUEUE_BYTES,
        holds_input=True,
    )
    ledger = ClickHouseLedger(parts.settings)

    def readings() -> Iterator[Reading]:
        yield Reading("burnline_store_retries", ledger.retries)

    # Of eight topics: what was fetched and what was inflated in front of the step is memory that no queue counts.
    fetch = FetchSpec(
        read_committed=True, partition_bytes=512 << 10, request_bytes=4 << 20, block_bytes=1 << 20, queue_blocks=2
    )
    return Agent(Step(step, ledger, parts.kafka), fetch, readings, tried_at_s=lambda: ledger.tried_at_s)


def delays() -> Iterator[float]:
    """Seconds to wait before each further attempt: doubling, and then steady."""
    delay = FIRST_DELAY_S
    while True:
        yield delay
        delay = min(2 * delay, LONGEST_DELAY_S)


class ClickHouseLedger:
    """Writes units of store folds, and knows where each partition goes on."""

    def __init__(self, settings: "Settings", now_s: Callable[[], float] = time.monotonic) -> None:
        """Connect when first asked. `now_s` is the clock of `tried_at_s`."""
        self._sink = ClickHouse(settings)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="clickhouse")
        self._now_s = now_s
        self._marks: dict[tuple[str, int], int | None] = {}  # of our partitions, as we left them
        self._unsure: set[tuple[str, int]] = set()  # where inserts behind the mark may have been cut off
        self._works: dict[tuple[str, int], Future[Any]] = {}  # what was last asked of each, which may outlive its asker
        self.retries, self.tried_at_s = 0, float("-inf")

    async def open(self, tp: Any) -> int | None:
        """Return where to read on: behind the partition's high mark. None: nothing of it is stored.

        Nobody commits offsets for the store's group, so None means the log's start.
        Raises: Refused.
        """
        place = (tp.topic, tp.partition)
        if place in self._works:  # an insert that goes on behind its release would move the mark that we read
            await asyncio.gather(asyncio.wrap_future(self._works[place]), return_exceptions=True)
        mark: int | None = await self._persistently(partial(self._sink.high_mark, *place), place)
        self._marks[place] = mark
        self._unsure.add(place)
        return None if mark is None else mark + 1

    async def write(self, tp: Any, unit: "Unit", facts: "UnitFacts") -> None:
        """Insert a unit's batches, one behind the other; return once all of it is stored.

        Raises: Refused, Superseded.
        """
        del facts
        for batch in unit.batches:
            place = (batch.topic, batch.partition)
            mark = await self._persistently(partial(self._write, batch), place)
            if place in self._marks:
                self._marks[place] = mark

    async def release(self, tp: Any) -> None:
        """Let go of a partition; whoever opens it next looks at the mark."""
        self._marks.pop((tp.topic, tp.partition), None)

    async def close(self) -> None:
        """Wait for inserts at work, then close the connections."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        self._sink.close()

    async def _persistently(self, work: Callable[[], Any], place: tuple[str, int]) -> Any:
        """Do blocking work in a thread, again and again while ClickHouse is unavailable."""
        for delay_s in delays():
            try:
                self._works[place] = self._pool.submit(work)
                return await asyncio.wrap_future(self._works[place])
            except Unavailable as error:
                self.retries, self.tried_at_s = self.retries + 1, self._now_s()
                log.warning("store waits", topic=place[0], retry_after_s=delay_s, error=str(error))
            await asyncio.sleep(delay_s)
        raise AssertionError("delays never end")

    def _write(self, batch: Batch) -> int:
        """Insert a batch behind the mark that we know, unless it is stored already; return the mark. In a thread.

        Looks every time: whoever slept longer than the tables remember tokens must not insert again what a successor
        has inserted, and behind a mark that has gone back, in a backup put back, what lies between would be lost.
        """
        place = (batch.topic, batch.partition)
        mark = self._sink.high_mark(*place)
        if mark is None or mark < batch.last_offset:
            self._check(batch, mark)
            if place in self._unsure:
                insert_again(self._sink, batch)
            else:
                self._unsure.add(place)
                for rows in batch.rows:
                    self._sink.insert(rows, batch.token)
            mark = batch.last_offset
            self._unsure.discard(place)  # not when another has written it, who may have been cut off in the next one
        return mark

    def _check(self, batch: Batch, mark: int | None) -> None:
        known = self._marks.get((batch.topic, batch.partition), mark)
        if mark != known or (mark is not None and mark >= batch.first_offset):
            raise Superseded(
                f"{batch.topic}/{batch.partition} is stored up to {mark}, but we left it at {known} and are about to "
                f"write [{batch.first_offset}, {batch.last_offset}]: read it again from there"
            )
