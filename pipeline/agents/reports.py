"""What a worker says of itself: gauges, a line in the log when it begins or ceases to lag, and rows in ClickHouse.

Reports never stop anything: while ClickHouse is away they are dropped, and /metrics says the same.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from pipeline.health import StepFacts, lag
from pipeline.metrics import Reading
from pipeline.rows import Rows
from pipeline.sinks.clickhouse import ClickHouse, Refused, Unavailable

if TYPE_CHECKING:
    from pipeline.agents.parts import Agent
    from pipeline.settings import Settings
    from pipeline.transport import Position

REPORT_S = 5.0

log = structlog.get_logger()


class End(NamedTuple):
    """A partition's end as the broker told it."""

    offset: int
    at_s: float


class Reporter:
    """Keeps since when each step is behind, and tells others."""

    def __init__(self, settings: "Settings") -> None:
        """Connect when first needed, and only where there is a step that writes to ClickHouse anyway."""
        self._settings = settings
        self._allowed_s = settings.trailing_s
        self._worker = f"{socket.gethostname()}/{os.getpid()}"
        self._sink = ClickHouse(settings) if "store" in settings.step_names else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reports")
        self._unreached: dict[str, dict[Any, End]] = {}  # step -> partition -> what it had not reached when it was told
        self._was_lagging: dict[str, str] = {}

    def behind_s(self, step: str, positions: "Mapping[Any, Position]", now_s: float) -> float:
        """How old the oldest end is that a step has not reached. Under a steady load something newer always waits."""
        ends = self._unreached.setdefault(step, {})
        for partition, at in positions.items():
            told = ends.pop(partition, None)
            if told is not None and at.folded < told.offset <= (told.offset if at.end is None else at.end):
                ends[partition] = told
            elif at.waiting:
                ends[partition] = End(at.folded + at.waiting, now_s)
        return now_s - min((ends[each].at_s for each in ends.keys() & positions.keys()), default=now_s)

    def lag(self, facts: StepFacts) -> str:
        return lag(facts, self._settings.limit_lag_s, self._allowed_s)

    def readings(self, facts: StepFacts) -> Iterator[Reading]:
        """Gauges of one step."""
        step = (facts.name,)
        yield Reading("burnline_open_transaction_seconds", facts.open_transaction_s, step)
        yield Reading("burnline_backlog_records", facts.backlog_records, step)
        yield Reading("burnline_lagging", int(bool(self.lag(facts))), step)
        if facts.watermark_lag_s is not None:
            yield Reading("burnline_watermark_lag_seconds", facts.watermark_lag_s)

    async def run(self, facts: Callable[[], list[StepFacts]]) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(REPORT_S)
            said = facts()
            for each in said:
                self._tell(each.name, self.lag(each))
            if self._sink is not None and said:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._store, said)

    def _tell(self, step: str, why: str) -> None:
        if why and step not in self._was_lagging:
            log.warning("the pipeline lags", step=step, why=why)
        elif not why and step in self._was_lagging:
            log.info("the pipeline lags no longer", step=step)
        self._was_lagging = {name: said for name, said in (self._was_lagging | {step: why}).items() if said}

    def _store(self, said: list[StepFacts]) -> None:
        assert self._sink is not None
        now_us, reasons = time.time_ns() // 1000, [self.lag(each) for each in said]
        columns: dict[str, list[Any]] = {
            "worker": [self._worker] * len(said), "step": [each.name for each in said],
            "reason": reasons, "reported_at": [now_us] * len(said), "is_lagging": [int(bool(why)) for why in reasons],
        }  # fmt: skip
        names = (
            "records", "dead_letters", "late", "backlog_records", "watermark_lag_s", "oldest_in_flight_s",
            "open_transaction_s",
        )  # fmt: skip
        columns |= {name: [getattr(each, name) for each in said] for name in names}
        with contextlib.suppress(Unavailable, Refused):
            self._sink.insert(Rows("worker_reports", -1, columns), f"{self._worker}/{now_us}")


def facts_of(name: str, agent: "Agent", now_s: float, wall_s: float, reporter: Reporter) -> StepFacts:
    """Look at one step."""
    step, told = agent.step, list(agent.readings())

    def greatest(metric: str) -> float | None:
        return max((reading.value for reading in told if reading.name == metric), default=None)

    def total(metric: str) -> int:
        return int(sum(reading.value for reading in told if reading.name == metric))

    judged = min((r.value for r in told if r.name == "burnline_watermark_seconds"), default=None)
    positions = step.positions()
    return StepFacts(
        name,
        len(step.owned) if step.is_assigned else 0,  # while they are taken over nothing can be written
        now_s - step.counters.progress_at_s,
        now_s - agent.tried_at_s(),
        step.oldest_in_flight_s(now_s),
        step.open_transaction_s(now_s),
        sum(position.waiting for position in positions.values()),
        reporter.behind_s(name, positions, now_s),
        None if judged is None else wall_s - judged,
        greatest("burnline_unjudged_seconds"),
        step.counters.records,
        total("burnline_dead_letters"),
        total("burnline_late_entries"),
        agent.trouble(),
    )
