"""A step over a consumer and a ledger in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from faust.types import TP

from pipeline.records import OutRecord, RecordBlock, Unit, UnitFacts
from pipeline.transport import Step, StepSpec

A, B = TP("events", 0), TP("events", 1)


class Partitions:
    """A consumer group's view, in memory."""

    def __init__(self, *tps: TP) -> None:
        self.generation = 1
        self.tps = set(tps)
        self.committed_offsets: dict[TP, int] = {}
        self.log = (0, 1 << 40)
        self.ends: dict[TP, int] = {}

    def assigned(self) -> set[TP]:
        return set(self.tps)

    def partition_count(self, topic: str) -> int:
        return 2

    async def committed(self, tp: TP) -> int | None:
        return self.committed_offsets.get(tp)

    async def bounds(self, tp: TP) -> tuple[int, int]:
        return self.log

    def end(self, tp: TP) -> int | None:
        return self.ends.get(tp)


class MemoryLedger:
    """Keeps what was written; `before_write` may wait or raise."""

    def __init__(self) -> None:
        self.events: list[tuple[str, TP]] = []
        self.written: list[UnitFacts] = []
        self.units: list[Unit] = []
        self.writing: set[TP] = set()
        self.before_write: Callable[[TP], Awaitable[None]] | None = None
        self.before_open: Callable[[TP], Awaitable[None]] | None = None

    async def open(self, tp: TP) -> int | None:
        if self.before_open is not None:
            await self.before_open(tp)
        self.events.append(("open", tp))
        return None

    async def write(self, tp: TP, unit: Unit, facts: UnitFacts) -> None:
        assert tp not in self.writing, "units of a partition are written one behind the other"
        self.writing.add(tp)
        try:
            if self.before_write is not None:
                await self.before_write(tp)
        finally:
            self.writing.remove(tp)
        self.written.append(facts)
        self.units.append(unit)

    async def release(self, tp: TP) -> None:
        self.events.append(("release", tp))

    async def close(self) -> None:
        self.events.append(("close", TP("", 0)))

    def spans(self, tp: TP) -> list[tuple[int, int]]:
        """Offsets written of a partition, heartbeats left out."""
        mine = [f for f in self.written if (f.topic, f.partition) == tp and f.next_offset > f.first_offset]
        return [(f.first_offset, f.next_offset) for f in mine]


class CountFold:
    """Counts records."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        raise AssertionError("there is no state topic")

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        return Unit([OutRecord("out", b"%d" % sum(map(len, blocks)))])


SPEC = StepSpec("count", ("events",), lambda tp: CountFold(), unit_s=0.05, unit_bytes=1 << 20)


def run(work: Callable[[Step, MemoryLedger, Partitions], Awaitable[None]], spec: StepSpec = SPEC, *more: TP) -> Any:
    """Run `work` over a step that owns A, B and `more`; return what was written."""

    async def main() -> MemoryLedger:
        ledger, partitions = MemoryLedger(), Partitions(A, B, *more)
        step = Step(spec, ledger, {})
        try:
            await work(step, ledger, partitions)
        finally:
            await step.stop()
        return ledger

    return asyncio.run(asyncio.wait_for(main(), 150))
