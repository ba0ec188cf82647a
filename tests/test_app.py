"""A worker over steps in memory: what it says of its health, and what becomes of a step that fails."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from pipeline import app, health
from pipeline.agents.parts import Agent, Parts
from pipeline.framing import SINGLE_OBJECT
from pipeline.settings import Settings
from pipeline.spec import load
from pipeline.transport import FetchSpec, Step
from tests.transport.in_memory import SPEC, A, B, MemoryLedger, Partitions, run
from tests.transport.small_blocks import block
from tests.transport.test_steps import until

Made = Callable[[], app.Worker]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Makes a worker of one step; within a loop."""
    return lambda: app.Worker(
        Parts(Settings(steps="ingest", slo_dir=tmp_path), load([tmp_path]), SINGLE_OBJECT, {"inference.events": 2})
    )


def metric(worker: app.Worker, name: str) -> float:
    (found,) = re.findall(rf'^{name}{{step="ingest"}} (\S+)$', worker.metrics().decode(), re.MULTILINE)
    return float(found)


@pytest.mark.parametrize(
    ("times", "goes_on"), [pytest.param(4, True, id="below the limit"), pytest.param(5, False, id="at the limit")]
)
def test_a_step_that_fails_is_counted_each_time_and_at_last_the_worker_ends(
    made: Made, monkeypatch: pytest.MonkeyPatch, times: int, goes_on: bool
) -> None:
    left = [ConnectionError("no broker")] * times

    async def over(stop: asyncio.Event) -> None:
        stop.set()

    def fails(parts: Parts) -> Agent:
        if left:
            raise left.pop()
        return Agent(Step(SPEC, MemoryLedger(), {}), FetchSpec(), run=over)

    monkeypatch.setitem(app.AGENTS, "ingest", fails)
    monkeypatch.setattr(app, "RETRY_S", 0.0)

    async def main() -> tuple[bool, Any]:
        worker = made()
        return await worker._keep("ingest"), worker.failures

    assert asyncio.run(main()) == (goes_on, {"ingest": times})


def test_a_worker_is_ready_once_what_was_written_is_restored_and_not_while_it_is_taken_away(made: Made) -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        worker, restored = made(), asyncio.Event()
        assert worker.ready().reasons == ("ingest has no partitions yet",)  # nor a step

        async def restore(tp: TP) -> None:
            await restored.wait()

        worker.agents["ingest"], ledger.before_open = Agent(step, FetchSpec()), restore
        owning = asyncio.create_task(step.own(partitions))
        await until(lambda: step._owning is not None)
        assert worker.ready().reasons == ("ingest has no partitions yet",)
        restored.set()
        await owning
        assert worker.ready().reasons == ()
        await step.release([A, B])
        assert worker.ready().reasons == ("ingest has no partitions yet",)

    run(work)


def test_a_worker_is_alive_while_its_step_writes_or_has_nothing_of_its_own(made: Made) -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        worker = made()
        worker.agents["ingest"] = Agent(step, FetchSpec())
        step.counters.progress_at_s = time.monotonic() - 2 * health.STUCK_S
        assert worker.live().reasons == ()  # more workers than partitions
        await step.own(partitions)
        assert worker.live().reasons == ()  # it has just begun
        partitions.ends = {A: 9}
        step.counters.progress_at_s -= 2 * health.STUCK_S
        (why,) = worker.live().reasons
        assert "ingest has written nothing for" in why and "9 records wait" in why
        worker.agents["ingest"].tried_at_s = time.monotonic
        assert worker.live().reasons == ()  # its server is away, and a restart would not bring it back
        worker.agents["ingest"].tried_at_s = lambda: float("-inf")
        step.start()
        await step.take(A, block(0, 9))
        await until(lambda: not worker.live().reasons)  # it writes

    run(work)


def test_a_worker_says_that_it_lags_while_what_it_has_read_is_not_written(made: Made) -> None:
    async def work(step: Step, ledger: MemoryLedger, partitions: Partitions) -> None:
        worker, gate = made(), asyncio.Event()

        async def wait(tp: TP) -> None:
            await gate.wait()

        worker.agents["ingest"], ledger.before_write = Agent(step, FetchSpec()), wait
        await step.own(partitions)
        assert metric(worker, "burnline_lagging") == 0
        step.start()
        await step.take(A, block(0, 9))
        await until(lambda: step.owned[A].writing_since_s is not None)
        long_ago_s = time.monotonic() - 2 * worker.parts.settings.limit_lag_s
        step.owned[A].writing_since_s = step.owned[A].in_flight_since_s[0] = long_ago_s
        assert metric(worker, "burnline_lagging") == 1
        assert metric(worker, "burnline_oldest_in_flight_seconds") > worker.parts.settings.limit_lag_s
        assert metric(worker, "burnline_open_transaction_seconds") > worker.parts.settings.limit_lag_s
        gate.set()
        await until(lambda: metric(worker, "burnline_lagging") == 0)

    run(work)
