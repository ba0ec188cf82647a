"""What a step says of its progress: what waits in Kafka, and what is being written."""

import asyncio
import time

from faust.types import TP

from pipeline.transport import Step
from tests.transport.small_blocks import block
from tests.transport.test_steps import A, B, MemoryLedger, Partitions, run, until


def waiting(step: Step) -> int:
    return sum(position.waiting for position in step.positions().values())


def test_a_step_says_what_waits_in_kafka_and_how_long_a_transaction_has_been_open() -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        gate = asyncio.Event()

        async def wait(tp: TP) -> None:
            await gate.wait()

        ledger.before_write = wait
        partitions.ends = {A: 100, B: 0}
        assert (waiting(step), step.open_transaction_s(time.monotonic())) == (0, 0)  # nothing is ours
        await step.own(partitions)
        assert waiting(step) == 100
        step.start()
        await step.take(A, block(0, 40))
        await until(lambda: waiting(step) == 60)
        await until(lambda: step.open_transaction_s(time.monotonic() + 9) > 9)  # it opens only once the write begins
        gate.set()
        await until(lambda: ledger.spans(A) == [(0, 40)])
        await until(lambda: step.open_transaction_s(time.monotonic() + 9) == 0)
        ledger.before_write = None
        await step.take(A, block(40, 100))
        await until(lambda: waiting(step) == 0)

    run(work)
