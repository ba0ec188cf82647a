"""One replay from end to end: read, settle, compare, and if asked swap and compare again.

    log     |------- range ---------|----- later, may hold late events of the range ----->|
    read    [========================================================================] until the store is as far

Law: both sides of the comparison are made of the same records. The log is read to its end, the store is waited for,
and what it stored meanwhile is read too, until nothing of that belongs to the range.

A swap goes hour by hour and table by table: rows out, rows in, and only where something differs. It is not atomic over
tables: whoever reads meanwhile may miss an hour, and a crash may leave it out. The log still has everything and a run
touches nothing that is right already, so the same command again completes it; late events that are stored at that very
moment are found in the same way by the comparison behind the swap. One replay at a time.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from jobs.replay import comparison as sql
from jobs.replay.shadow import Shadow
from jobs.replay.source import Log, ReplayFailed
from pipeline.agents.ingest import fold_spec
from pipeline.agents.parts import Parts
from pipeline.decoding import EventFold
from pipeline.records import RecordBlock
from pipeline.sinks.clickhouse import ClickHouse, client
from pipeline.topics import COUNTS, EVENTS, SLICES

ROUNDS = 10
LOOK_S = 1.0


@dataclass
class Difference:
    """One table: slices on either side, and how many of them differ."""

    table: str
    slices: int
    different: int
    missing: int  # stored not at all
    extra: int  # stored, and not recomputed
    hours: list[int]
    stored: dict[str, int]
    recomputed: dict[str, int]
    examples: list[list[Any]] = field(default_factory=list)


@dataclass
class Report:
    """What a replay found and did."""

    from_us: int
    to_us: int
    run: int
    records: int = 0
    dead_letters: int = 0
    tables: list[Difference] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        return not any(table.different for table in self.tables)


class Replay:
    """A replay of whole hours of event time, which must be over."""

    def __init__(self, parts: Parts, from_us: int, to_us: int, progress: Callable[[str, int, int], None]) -> None:
        """`progress(what, done, total)` is told how far it is."""
        self._parts, self._progress = parts, progress
        self.report = Report(from_us, to_us, time.time_ns() // 1000)
        self.topic = parts.topic(EVENTS)
        self._log = partial(Log, parts.settings, self.topic, parts.partitions[self.topic])
        self._client = client(parts.settings, is_admin=True)  # a worker's user may add rows, and take none out
        self._asked = {
            "from_s": from_us // 1_000_000, "to_s": to_us // 1_000_000, "run": self.report.run,
            "source_topic": self.topic,
            "known": tuple((each.name, each.indicator_revision) for each in parts.slos.objectives) or (("", ""),),
        }  # fmt: skip

    async def spans(self) -> dict[int, tuple[int, int]]:
        """What would be read of the log: partition -> offsets.

        Raises: ReplayFailed.
        """
        async with self._log() as log:
            begins, ends = await log.begins(self.report.from_us), await log.ends()
        return {partition: (begin, ends[partition]) for partition, begin in begins.items()}

    async def compare(self, wait_s: float, stop: threading.Event) -> Report:
        """Recompute and compare.

        Raises: ReplayFailed, Unavailable, Refused.
        """
        settings = self._parts.settings
        sink = ClickHouse(settings)
        fold = EventFold(fold_spec(settings), self._parts.slos.objectives, self._parts.framing, settings.kernels_dir)
        shadow = Shadow(fold, self.report.run, self.report.from_us, self.report.to_us, sink.insert)
        try:
            async with self._log() as log:
                await self._settle(log, shadow, wait_s, stop)
        finally:
            sink.close()
        self.report.records, self.report.dead_letters = shadow.records, shadow.dead_letters
        self.report.tables = self._differences()
        return self.report

    async def _settle(self, log: Log, shadow: Shadow, wait_s: float, stop: threading.Event) -> None:
        """Read until the store has all that was read, and what it has beyond belongs to other times."""
        begins, ends = await log.begins(self.report.from_us), await log.ends()
        for _ in range(ROUNDS):
            await self._read(log, shadow, begins, ends, stop)
            stored = await self._stored(ends, wait_s, stop)
            self._refuse_another_log(stored, await log.ends())
            rows = shadow.rows
            await self._read(log, shadow, ends, stored, stop)
            if shadow.rows == rows:
                return
            begins, ends = stored, await log.ends()
        raise ReplayFailed("events of the range are still coming in; choose a range that ends earlier")

    async def _read(
        self, log: Log, shadow: Shadow, begins: dict[int, int], ends: dict[int, int], stop: threading.Event
    ) -> None:
        total = sum(max(ends[partition] - begins[partition], 0) for partition in begins)
        done = 0
        async for block in log.blocks(begins, ends):
            await asyncio.to_thread(shadow.add, _until(block, ends[block.partition]))
            done += block.next_offset - block.first_offset
            self._progress("recomputing", min(done, total), total)
            if stop.is_set():
                raise ReplayFailed("stopped as asked; nothing of what is stored has changed")
        await asyncio.to_thread(shadow.flush)

    async def _stored(self, ends: dict[int, int], wait_s: float, stop: threading.Event) -> dict[int, int]:
        """Wait until every derived partition is stored up to `ends`; return how far the furthest of them is."""
        deadline = time.monotonic() + wait_s
        while (behind := self._behind(ends)) and time.monotonic() < deadline and not stop.is_set():
            self._progress("waiting for the store", 0, 0)
            await asyncio.sleep(LOOK_S)
        if behind:
            raise ReplayFailed(
                f"the store is behind: {behind}. Is a worker running? Both sides must be made of the same records"
            )
        marks = self._ask(sql.MARKS_SQL)
        return {p: max([end, *(at for source, *_, at in marks if source == p)]) for p, end in ends.items()}

    def _refuse_another_log(self, stored: dict[int, int], ends: dict[int, int]) -> None:
        """What is stored of offsets that the log never had was made of a log that is no more."""
        for partition, at in stored.items():
            if at > ends[partition]:
                raise ReplayFailed(
                    f"{self.topic}/{partition} ends at {ends[partition]}, and is stored up to {at}: the topic was "
                    "created anew, or its log was cut. It cannot give again what came before"
                )

    def _behind(self, ends: dict[int, int]) -> str:
        marks = {(source, topic, partition): at for source, topic, partition, at in self._ask(sql.MARKS_SQL)}
        derived = [
            (self._parts.topic(base), partition)
            for base in (COUNTS, SLICES)
            for partition in range(self._parts.partitions[self._parts.topic(base)])
        ]
        for source, end in ends.items():
            for topic, partition in derived:
                if (at := marks.get((source, topic, partition), 0)) < end:
                    return f"{topic}/{partition} has {self.topic}/{source} up to {at} of {end}"
        return ""

    # -- compare and swap
    def _differences(self) -> list[Difference]:
        found = []
        for number, (kind, tier) in enumerate(sql.TABLES):
            self._progress("comparing", number, len(sql.TABLES))
            [(slices, different, missing, extra, hours, *sums)] = self._ask(sql.summary_sql(kind, tier))
            each = Difference(
                f"{kind.name}_{tier}", slices, different, missing, extra, sorted(hours),
                dict(zip(kind.sums, sums[::2], strict=True)), dict(zip(kind.sums, sums[1::2], strict=True)),
            )  # fmt: skip
            if different:
                each.examples = [[str(value) for value in row] for row in self._ask(sql.examples_sql(kind, tier))]
            found.append(each)
        self._progress("comparing", len(found), len(found))
        return found

    def swap(self) -> Report:
        """Replace what differs by what was recomputed.

        Raises: ReplayFailed when the tables are not equal behind it.
        """
        for number, ((kind, tier), table) in enumerate(zip(sql.TABLES, self.report.tables, strict=True)):
            self._progress("swapping", number, len(sql.TABLES))
            if table.different:
                more = {"hours": tuple(table.hours)}
                self._ask(sql.delete_sql(kind, tier), more, {"lightweight_deletes_sync": 2})
                token = f"replay/{self.report.run}/{table.table}"
                self._ask(sql.insert_sql(kind, tier), more, {"insert_deduplication_token": token})
                self.report.swapped.append(table.table)
        left = [table.table for table in self._differences() if table.different]
        if left:
            raise ReplayFailed(
                f"{', '.join(left)} were swapped and differ: events of the range came in meanwhile, or another replay "
                "was at work. The log has everything: run it again"
            )
        return self.report

    def _ask(self, text: str, more: dict[str, Any] | None = None, settings: dict[str, Any] | None = None) -> Any:
        return self._client.execute(text, self._asked | (more or {}), settings=settings)

    def close(self) -> None:
        self._client.disconnect()


def _until(block: RecordBlock, end: int) -> RecordBlock:
    """A block without what lies behind `end`."""
    if block.next_offset <= end:
        return block
    stop = int(np.searchsorted(block.offset, end))
    columns = ("value_start", "value_length", "key_start", "key_length", "append_time_ms", "offset")
    cut = (getattr(block, name)[:stop] for name in columns)
    return RecordBlock(block.topic, block.partition, block.first_offset, end, block.buffer, *cut)
