"""Steps over a consumer and a ledger in memory: units, order, back-pressure, failures, partitions come and go."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from faust.types import TP

from pipeline.records import OutRecord, RecordBlock, Unit, UnitFacts
from pipeline.transport import Step, StepFailed, StepSpec, steps
from tests.transport.small_blocks import block

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


def run(work: Callable[[Step, MemoryLedger, Partitions], Awaitable[None]], spec: StepSpec = SPEC) -> Any:
    """Run `work` over a step that owns A and B; return what was written."""

    async def main() -> MemoryLedger:
        ledger, partitions = MemoryLedger(), Partitions(A, B)
        step = Step(spec, ledger, {})
        try:
            await work(step, ledger, partitions)
        finally:
            await step.stop()
        return ledger

    return asyncio.run(asyncio.wait_for(main(), 20))


async def until(condition: Callable[[], bool], patience_s: float = 5.0) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.005)


def test_units_cover_every_offset_once_and_in_order() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        assert await step.own(partitions) == {A: 0, B: 0}
        step.start()
        for i in range(20):
            await step.take(A, block(5 * i, 5 * i + 5))
            await asyncio.sleep(0.01)

    spans = run(work).spans(A)
    assert len(spans) > 1
    assert [first for first, _ in spans] == [0, *(following for _, following in spans)][:-1]
    assert spans[-1][1] == 100


def test_a_unit_is_written_at_once_when_it_is_large_enough() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        step.start()
        await step.take(A, block(0, 5, size=1 << 20))
        await until(lambda: ledger.spans(A) == [(0, 5)])

    run(work, replace(SPEC, unit_s=1000.0))


def test_silent_partitions_are_folded_too() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        step.start()
        await until(lambda: len(ledger.written) > 6)

    ledger = run(work)
    assert {facts.partition for facts in ledger.written} == {0, 1}
    assert all(facts.first_offset == facts.next_offset for facts in ledger.written)


def test_the_next_unit_is_folded_while_one_is_written() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        writing = asyncio.Event()
        ledger.before_write = lambda tp: writing.wait()  # type: ignore[assignment]
        await step.own(partitions)
        step.start()
        await step.take(A, block(0, 5, size=1 << 20))
        await until(lambda: step.counters.queued_bytes == 0)
        await step.take(A, block(5, 9, size=1 << 20))
        await until(lambda: step.counters.queued_bytes == 0)  # folded
        assert ledger.written == []
        writing.set()
        await until(lambda: ledger.spans(A) == [(0, 5), (5, 9)])

    run(work, replace(SPEC, unit_s=1000.0))


def test_a_partition_whose_write_hangs_does_not_hold_the_others() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        gate = asyncio.Event()

        async def hang(tp: TP) -> None:
            if tp == A:
                await gate.wait()

        ledger.before_write = hang
        await step.own(partitions)
        step.start()
        await step.take(A, block(0, 5))
        await step.take(B, block(0, 5, 1))
        await until(lambda: ledger.spans(B) == [(0, 5)])
        assert ledger.spans(A) == []
        gate.set()

    assert run(work).spans(A) == [(0, 5)]


def test_taking_waits_while_too_much_is_queued() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        writing = asyncio.Event()

        async def wait(tp: TP) -> None:
            await writing.wait()

        ledger.before_write = wait
        await step.own(partitions)
        step.start()
        for i in range(2):  # one unit is being written, the next is folded and waits for that
            await step.take(A, block(i, i + 1, size=1 << 19))
            await until(lambda: step.counters.queued_bytes == 0)
        for i in range(2, 4):
            await step.take(A, block(i, i + 1, size=1 << 19))
        waiting = asyncio.create_task(step.take(B, block(0, 5, 1)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        writing.set()  # room is made
        await asyncio.wait_for(waiting, 5)
        assert step.counters.queued_bytes < 1 << 20

    spec = replace(SPEC, queue_bytes=1 << 20, unit_bytes=1 << 30, unit_s=1000.0)
    assert run(work, spec).spans(B) == [(0, 5)]


def test_a_half_full_queue_is_relieved_without_waiting_for_the_clock() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        step.start()
        await step.take(A, block(0, 1, size=1 << 17))
        await step.take(B, block(0, 1, 1, size=1 << 18))
        await asyncio.sleep(0.1)
        assert ledger.written == []
        await step.take(A, block(1, 2, size=1 << 18))
        await until(lambda: ledger.spans(A) == [(0, 2)])  # the fullest
        assert ledger.spans(B) == []

    run(work, replace(SPEC, queue_bytes=1 << 20, unit_bytes=1 << 30, unit_s=1000.0))


def test_after_a_failed_write_nothing_of_the_partition_is_written_any_more() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        gate = asyncio.Event()

        async def refuse(tp: TP) -> None:
            await gate.wait()
            ledger.before_write = None
            raise ConnectionError("gone")

        ledger.before_write = refuse
        await step.own(partitions)
        for first in (0, 5):  # the second is folded while the first is being refused
            await step.take(A, block(first, first + 5, size=1 << 20))
            await until(lambda: step.counters.queued_bytes == 0)
        gate.set()
        await until(step.failed.done)
        await step.take(A, block(10, 12, size=1 << 20))
        await asyncio.sleep(0.1)
        with pytest.raises(StepFailed, match="count on events/0: ConnectionError"):
            await step.failed

    ledger = run(work, replace(SPEC, unit_s=1000.0))
    assert ledger.spans(A) == []


def test_a_failed_fold_fails_the_step_with_its_place() -> None:
    class Broken(CountFold):
        def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
            raise ValueError("what is this")

    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        await step.take(B, block(0, 5, 1, size=1 << 20))
        with pytest.raises(StepFailed, match=r"count on events/1: ValueError\('what is this'\)"):
            await asyncio.wait_for(step.failed, 5)
        assert step.counters.units_failed == 1

    assert run(work, replace(SPEC, make_fold=lambda tp: Broken())).written == []


def test_what_is_held_is_written_before_partitions_are_let_go() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        await step.take(A, block(0, 5))
        await step.release([A, B])
        assert ledger.spans(A) == [(0, 5)]
        assert sorted(ledger.events[-2:]) == [("release", A), ("release", B)]
        await step.take(A, block(5, 9))
        assert (step.owned, step.counters.stale_blocks) == ({}, 1)

    run(work)


def test_a_generation_is_taken_once_however_often_it_is_asked_for() -> None:
    """A second fence in one generation would shut out our own first."""

    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await asyncio.gather(*(step.own(partitions) for _ in range(3)))
        await step.take(A, block(0, 5))
        assert await step.own(partitions) == {A: 5, B: 0}  # read on behind what is queued
        assert [event for event, _ in ledger.events] == ["open", "open"]
        partitions.generation, partitions.tps = 2, {B}
        assert await step.own(partitions) == {B: 0}

    assert sorted(tp for event, tp in run(work).events if event == "open") == [A, B, B]


def test_partitions_taken_away_while_they_are_being_taken_are_left_alone() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        started, never = asyncio.Event(), asyncio.Event()

        async def slow(tp: TP) -> None:
            started.set()
            await never.wait()

        ledger.before_open = slow
        owning = asyncio.create_task(step.own(partitions))
        await started.wait()
        await asyncio.wait_for(step.release([A, B]), 1)
        assert await owning == {}  # a CancelledError would end the task that Faust resumes streams with
        assert (step.owned, step.is_assigned) == ({}, False)
        ledger.before_open = None
        partitions.generation = 2
        assert await step.own(partitions) == {A: 0, B: 0}

    run(work)


def test_a_partition_that_cannot_be_taken_fails_the_step_though_the_caller_swallows_it() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        async def refuse(tp: TP) -> None:
            raise ConnectionError("no broker")

        ledger.before_open = refuse
        with pytest.raises(ConnectionError):
            await step.own(partitions)
        with pytest.raises(StepFailed, match="no broker"):
            await step.failed

    run(work)


def test_reading_goes_on_at_the_committed_offset() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        partitions.committed_offsets[A] = 70
        assert await step.own(partitions) == {A: 70, B: 0}

    run(work)


def test_offsets_that_retention_has_deleted_are_counted_as_lost() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        partitions.committed_offsets[A], partitions.log = 70, (90, 200)
        assert await step.own(partitions) == {A: 90, B: 90}
        assert step.counters.lost_offsets == 20  # B was never read: nothing of it is lost

    run(work)


def test_a_log_that_ends_before_what_was_read_is_refused() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        partitions.committed_offsets[A], partitions.log = 70, (0, 60)
        with pytest.raises(steps.OffsetsGone, match=r"events/0 ends at offset 60.*up to 70"):
            await step.own(partitions)

    run(work)


@pytest.mark.parametrize(
    ("taken", "end", "says"), [(block(10, 20), None, "does not follow offset 0"), (block(0, 10), 4, "ends at offset 4")]
)
def test_a_log_that_is_not_the_one_that_was_read_fails_the_step(
    taken: RecordBlock, end: int | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "GAP_S", 0.1)

    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        partitions.ends = {} if end is None else {A: end}
        step.start()
        await step.take(A, taken)
        with pytest.raises(StepFailed, match=f"events/0 {says}"):
            await asyncio.wait_for(step.failed, 5)

    run(work)


def test_a_step_without_an_assignment_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "UNASSIGNED_S", 0.1)

    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        partitions.tps = set()  # more workers than partitions
        await step.own(partitions)
        step.start()
        await asyncio.sleep(0.3)
        assert not step.failed.done()
        await step.release([])
        with pytest.raises(StepFailed, match="no assignment within"):
            await asyncio.wait_for(step.failed, 5)

    run(work)


def test_a_stopped_step_takes_no_partitions() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.stop()
        assert await step.own(partitions) == {}

    assert [event for event, _ in run(work).events] == ["close", "close"]
