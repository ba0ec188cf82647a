"""One replay from end to end: read, settle, compare, and if asked swap and compare again.

    log     |------- range ---------|----- later, may hold late events of the range ----->|
    read    [========================================================================] until the store is as far

Law: both sides of the comparison are made of the same records. The log is read to its end, the store is waited for,
and what it stored meanwhile is read too, until nothing of that belongs to the range.

A swap goes table by table: rows of whole hours out, rows in, and only where something differs. It is not atomic:
whoever reads meanwhile may miss an hour, and a crash may leave it out. The log still has everything and a run touches
nothing that is right already, so the same command again completes it. Late events that were stored between the
comparison and the swap went out with their hour: behind the swap the log is read on until the store has all of it once
more, and what differs then is told. One replay at a time.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jobs.replay import comparison as sql
from jobs.replay.shadow import Shadow
from jobs.replay.source import ReplayFailed, begins
from pipeline.agents.ingest import fold_spec, window_spec
from pipeline.agents.parts import Parts
from pipeline.decoding import EventFold
from pipeline.records import RecordBlock
from pipeline.sinks.clickhouse import ClickHouse, client
from pipeline.topics import COUNTS, EVENTS, SLICES, aiokafka_config
from pipeline.transport.log import Log, LogSilent

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

    def __init__(
        self, parts: Parts, from_us: int, to_us: int, progress: Callable[[str, int, int], None],
        rewrite: Callable[[RecordBlock], RecordBlock] | None = None,
    ) -> None:  # fmt: skip
        """`progress(what, done, total)` is told how far it is; `rewrite`: what to make of blocks before they count."""
        self._parts, self._progress = parts, progress
        self.report = Report(from_us, to_us, time.time_ns() // 1000)
        self.topic = parts.topic(EVENTS)
        settings, partitions = parts.settings, range(parts.partitions[self.topic])
        self._log = partial(Log, aiokafka_config(settings), self.topic, partitions, settings.limit_batch_bytes)
        self._client = client(settings, is_admin=True)  # a worker's user may add rows, and take none out
        self._sink = ClickHouse(settings)
        events = EventFold(fold_spec(settings), parts.slos.objectives, parts.framing, settings.kernels_dir)
        self._shadow = Shadow(events, self.report.run, from_us, to_us, self._sink.insert, window_spec(settings))
        self._rewrite = rewrite
        self._read_to: dict[int, int] | None = None  # offsets; None: nothing is read yet
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
            first, ends = await self._begins(log), await log.ends()
        return {partition: (begin, ends[partition]) for partition, begin in first.items()}

    async def _begins(self, log: Log) -> dict[int, int]:
        return await begins(log, self.report.from_us, self._parts.settings.duplicates_window_s)

    async def compare(self, wait_s: float, stop: threading.Event) -> Report:
        """Recompute and compare.

        Raises: ReplayFailed, Unavailable, Refused.
        """
        await self._settle(wait_s, stop)
        self.report.records, self.report.dead_letters = self._shadow.records, self._shadow.dead_letters
        self.report.tables = self._differences()
        return self.report

    async def _settle(self, wait_s: float, stop: threading.Event) -> None:
        """Read on until the store has all that was read, and what it has beyond belongs to other times."""
        try:
            async with self._log() as log:
                self._read_to = self._read_to or await self._begins(log)
                for _ in range(ROUNDS):
                    await self._read(log, await log.ends(), stop)
                    stored = await self._stored(self._read_to, wait_s, stop)
                    self._refuse_another_log(stored, await log.ends())
                    rows = self._shadow.rows
                    await self._read(log, stored, stop)
                    if self._shadow.rows == rows:
                        return
        except LogSilent as error:
            raise ReplayFailed(str(error)) from error
        raise ReplayFailed("events of the range are still coming in; choose a range that ends earlier")

    async def _read(self, log: Log, ends: dict[int, int], stop: threading.Event) -> None:
        """Read on up to `ends`."""
        assert self._read_to is not None
        first, done = self._read_to, 0
        total = sum(max(ends[partition] - begin, 0) for partition, begin in first.items())
        async for block in log.blocks(first, ends):
            await asyncio.to_thread(self._add, block)
            done += block.next_offset - block.first_offset
            self._progress("recomputing", min(done, total), total)
            if stop.is_set():
                unchanged = "" if self.report.swapped else "; nothing of what is stored has changed"
                raise ReplayFailed(f"stopped as asked{unchanged}")
        await asyncio.to_thread(self._shadow.flush)
        self._read_to = {partition: max(end, first[partition]) for partition, end in ends.items()}

    def _add(self, block: RecordBlock) -> None:
        self._shadow.add(self._rewrite(block) if self._rewrite else block)

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

    async def swap(self, wait_s: float, stop: threading.Event) -> Report:
        """Replace what differs by what was recomputed.

        Raises: ReplayFailed when the tables are not equal behind it.
        """
        for number, ((kind, tier), table) in enumerate(zip(sql.TABLES, self.report.tables, strict=True)):
            if table.different:
                more = {"hours": tuple(table.hours)}
                self._progress("swapping", 2 * number, 2 * len(sql.TABLES))
                self._ask(sql.delete_sql(kind, tier), more, {"lightweight_deletes_sync": 2})
                self._progress("swapping", 2 * number + 1, 2 * len(sql.TABLES))
                token = f"replay/{self.report.run}/{table.table}"
                self._ask(sql.insert_sql(kind, tier), more, {"insert_deduplication_token": token})
                self.report.swapped.append(table.table)
        self._progress("swapping", 2 * len(sql.TABLES), 2 * len(sql.TABLES))
        swapped = ", ".join(self.report.swapped)
        try:
            await self._settle(wait_s, stop)
        except ReplayFailed as error:
            raise ReplayFailed(f"{swapped} were swapped, and could not be compared again: {error}") from error
        left = [table.table for table in self._differences() if table.different]
        if left:
            raise ReplayFailed(
                f"{swapped} were swapped, and {', '.join(left)} differ: events of the range came in meanwhile, or "
                "another replay was at work. The log has everything: run it again"
            )
        return self.report

    def _ask(self, text: str, more: dict[str, Any] | None = None, settings: dict[str, Any] | None = None) -> Any:
        return self._client.execute(text, self._asked | (more or {}), settings=settings)

    def close(self) -> None:
        self._sink.close()
        self._client.disconnect()
