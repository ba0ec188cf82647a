"""Steps over a consumer and a ledger in memory: units, order, back-pressure, failures, partitions come and go."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from faust.types import TP

from pipeline.records import RecordBlock, Unit, UnitFacts
from pipeline.transport import Step, StepFailed, steps
from tests.transport.in_memory import SPEC, A, B, CountFold, MemoryLedger, Partitions, run
from tests.transport.small_blocks import block

SLOW = TP("rare", 0)


async def until(condition: Callable[[], bool], patience_s: float = 60.0) -> None:
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


def test_a_topic_may_have_longer_units() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        step.start()
        await step.take(SLOW, block(0, 5))
        for i in range(3):
            await step.take(A, block(i, i + 1))
            await until(lambda i=i: len(ledger.spans(A)) > i)  # type: ignore[misc]
        assert ledger.spans(SLOW) == []
        await step.release([SLOW])
        assert ledger.spans(SLOW) == [(0, 5)]

    spec = replace(SPEC, topics=("events", "rare"), unit_s_of={"rare": 1000.0})
    run(work, spec, SLOW)


def test_a_unit_is_written_when_a_cell_of_the_brokers_clock_is_over() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        step.start()
        await step.take(A, block(0, 1, appended_ms=time.time_ns() // 1_000_000))
        await step.take(B, block(0, 1, partition=1, appended_ms=1_000))
        await until(lambda: ledger.spans(A) == [(0, 1)])
        assert ledger.spans(B) == [], "appended long ago: a backlog"

    run(work, replace(SPEC, unit_s=1000.0, ends_with_cells=True))


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
        assert step.counters.queue_waits == 0
        waiting = asyncio.create_task(step.take(B, block(0, 5, 1)))
        await until(lambda: step.counters.queue_waits == 1)
        assert not waiting.done()
        writing.set()  # room is made
        await asyncio.wait_for(waiting, 60)
        assert step.counters.queued_bytes < 1 << 20

    spec = replace(SPEC, queue_bytes=1 << 20, unit_bytes=1 << 30, unit_s=1000.0)
    assert run(work, spec).spans(B) == [(0, 5)]


@pytest.mark.parametrize("is_lost", [False, True], ids=["written", "taken away unwritten"])
def test_what_a_unit_holds_counts_until_it_is_written_or_given_up(
    monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        gate = asyncio.Event()

        async def wait(tp: TP) -> None:
            await gate.wait()

        ledger.before_write = wait
        await step.own(partitions)
        step.start()
        for i in range(2):  # one unit is being written, the next is folded and waits for that
            await step.take(A, block(i, i + 1, size=1 << 19))
            await until(lambda: step.counters.queued_bytes == 0)
        assert step.counters.held_bytes == 1 << 20
        waiting = asyncio.create_task(step.take(B, block(0, 5, 1)))
        await until(lambda: step.counters.queue_waits == 1)
        assert not waiting.done()
        if is_lost:
            await step.release([A])
        gate.set()
        await asyncio.wait_for(waiting, 60)
        await until(lambda: step.counters.held_bytes + step.counters.queued_bytes == 0)

    monkeypatch.setattr(steps, "RELEASE_S", 0.1)
    spec = replace(SPEC, queue_bytes=1 << 20, unit_bytes=1 << 19, unit_s=0.05, holds_input=True)
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
        await until(lambda: ledger.spans(A) == [(0, 2)])

    first = run(work, replace(SPEC, queue_bytes=1 << 20, unit_bytes=1 << 30, unit_s=1000.0)).written[0]
    assert (first.partition, first.next_offset) == (A.partition, 2), "the fullest comes first"


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
            await asyncio.wait_for(step.failed, 60)
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
        await asyncio.wait_for(step.release([A, B]), 60)
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
        await step.release([A, B])
        partitions.generation += 1
        await step.own(partitions)
        assert step.counters.lost_offsets == 0, "nobody has gone on behind it yet"
        await step.take(A, block(90, 95))
        await step.release([A, B])
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
    monkeypatch.setattr(steps, "SHORT_S", 0.1)

    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        partitions.ends = {} if end is None else {A: end}
        step.start()
        await step.take(A, taken)
        with pytest.raises(StepFailed, match=f"events/0 {says}"):
            await asyncio.wait_for(step.failed, 60)

    run(work)


def test_a_log_made_anew_that_grew_as_long_at_once_fails_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "SHORT_S", 3_600.0)

    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.own(partitions)
        await step.take(A, block(0, 10))
        partitions.ends = {A: 4}
        step.start()
        while step.owned[A].short_since_s is None:
            await asyncio.sleep(0.01)
        await step.take(A, block(0, 4))
        partitions.ends = {A: 20}
        with pytest.raises(StepFailed, match="events/0 ended before offset 10, and comes again"):
            await asyncio.wait_for(step.failed, 60)

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
            await asyncio.wait_for(step.failed, 60)

    run(work)


def test_a_stopped_step_takes_no_partitions() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        await step.stop()
        assert await step.own(partitions) == {}

    assert [event for event, _ in run(work).events] == ["close", "close"]
