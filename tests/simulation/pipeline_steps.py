"""Ingest, judge and store on a model of the broker, as the transport drives them; nothing of it runs by itself.

The folds and `Owned` are the product's. What is modelled: who holds which partition, when a block arrives, where a
process dies in the middle of writing, and whoever sleeps through a rebalance and goes on from old memory.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from faust.types import TP

from pipeline.alerts import AlertPolicy, ClearRule, Composed, Guards, Severity, Watched, WindowPair
from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.judgement import JudgeFold, JudgeSpec
from pipeline.records import Unit, UnitFacts
from pipeline.slo import Indicator, Objective, Ratio
from pipeline.store import STORED, Batch, CutSpec
from pipeline.transport.owned import Fold, Owned
from tests.simulation.pipeline_broker import Broker, Database, Fenced

PARTITIONS = {
    "inference.events": 3, "inference.events.dlq": 1, "slo.counts": 2, "slo.slices": 2, "slo.state": 2,
    "slo.status": 1, "slo.alerts": 1,
}  # fmt: skip
TOPICS = {
    "ingest": ("inference.events",),
    "judge": ("slo.counts",),
    "store": ("slo.counts", "slo.slices", "slo.alerts", "inference.events.dlq"),
}
POLICY = AlertPolicy(
    (
        WindowPair(Severity.CRITICAL, Ratio(10, 1), 60_000_000, 10_000_000),
        WindowPair(Severity.WARNING, Ratio(2, 1), 120_000_000, 20_000_000),
    ),
    Guards(min_events=4, min_bad=2),
    ClearRule(hold_us=10_000_000),
)
IN_FLIGHT = 2  #: units folded and not yet written


def objective(name: str, indicator: Indicator) -> Objective:
    return Objective(name, "chat", indicator, Ratio.parse("0.99"), 3_600_000_000, "r1", "i1")


def slos() -> tuple[Objective, ...]:
    """One judged on outcomes, one on time with few instances, one that takes everything."""
    return (
        objective("errors", Indicator("error_rate", group_by=("request_model",), final_attempts_only=False)),
        objective("ttft", Indicator("ttft", 1_000_000, where=(("tenant_id", ("acme", "zen")),), group_by=("region",))),
        objective("e2e", Indicator("e2e", 2_000_000)),
    )


def composed() -> Composed:
    """One judged of errors and durations, whoever counts them."""
    parts = (
        objective("journey>errors", Indicator("error_rate", final_attempts_only=False)),
        objective("journey>e2e", Indicator("e2e", 2_000_000)),
    )
    return Composed(Watched(objective("journey", Indicator("weightedMean")), POLICY), parts, (3, 1))


def objectives() -> tuple[Objective, ...]:
    """All that is counted."""
    return (*slos(), *composed().parts)


def judge_spec() -> JudgeSpec:
    watched = tuple(Watched(each, POLICY, None) for each in slos())
    return JudgeSpec(watched, (composed(),), grace_us=2_000_000, source_idle_us=3_000_000, snapshot_us=5_000_000)


class Died(Exception):
    """The process was killed at this point."""


@dataclass(eq=False)
class Work:
    """One owned partition, and what is between its fold and its ledger."""

    owned: Owned
    epoch: int
    position: int
    folded: deque[tuple[Unit, UnitFacts]] = field(default_factory=deque)
    writing: Iterator[str] | None = None  # of the oldest unit


@dataclass
class Clock:
    """Microseconds of the wall, and seconds that never jump."""

    us: int = 0
    s: float = 0.0

    def go_on(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)
        self.s += seconds


@dataclass(eq=False)
class Member:
    """One worker's part in one step."""

    step: str
    broker: Broker
    database: Database
    kernels: Path
    random: Random
    clock: Clock
    works: dict[TP, Work] = field(default_factory=dict)
    is_asleep: bool = False
    _ingest: IngestFold | None = None

    # -- partitions come and go
    def own(self, tps: list[TP]) -> None:
        """Take partitions: fence, restore, then ask where to read on."""
        self.works = {tp: self._taken(tp) for tp in tps}

    def _taken(self, tp: TP) -> Work:
        epoch = 0 if self.step == "store" else self.broker.init(self._id(tp))
        fold = self._fold(tp)
        if self.step == "judge":
            for record in self.broker.logs[TP("slo.state", tp.partition)].committed():
                fold.restore(record.key or b"", record.value)
        if self.step == "store":
            mark = self.database.high_mark(tp)
            position = 0 if mark is None else mark + 1
        else:
            position = self.broker.offsets.get((self.step, tp), 0)
        return Work(Owned(tp, PARTITIONS[tp.topic], fold, position, 0.0), epoch, position)

    def _id(self, tp: TP) -> str:
        return f"{self.step}-{tp.topic}-{tp.partition}"

    def _fold(self, tp: TP) -> Fold:
        if self.step == "ingest":
            self._ingest = self._ingest or self._new_ingest()
            return self._ingest
        if self.step == "judge":
            return JudgeFold(judge_spec())
        fold: Fold = STORED[tp.topic](CutSpec(batch_us=2_000_000, records_most=9))
        return fold

    def _new_ingest(self) -> IngestFold:
        events = EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, self.kernels)
        spec = IngestSpec("slo.counts", "slo.slices", "inference.events.dlq", 2, 2)
        return IngestFold(spec, events)

    def release(self) -> None:
        """Write what is held while it is still ours; whoever was fenced meanwhile has nothing left that counts."""
        for tp in list(self.works):
            try:
                while self.works[tp].folded:
                    self.write(tp)
                self.fold(tp)
                self.write(tp)
            except Fenced:
                pass
        self.works.clear()

    def forget(self) -> None:
        """Lose the memory, as a killed process does. What it had open at the broker stays open."""
        self.works.clear()
        self._ingest = None

    # -- one partition at work
    def fetch(self, tp: TP, most: int) -> None:
        """Let the next block arrive."""
        work, log = self.works[tp], self.broker.logs[tp]
        block = log.fetch(tp, work.position, most)
        if block is not None:
            work.position = block.next_offset
            work.owned.accept(block, self.clock.s)

    def fetch_stale(self, tp: TP) -> None:
        """Let a block arrive that was read before a seek: from anywhere, with any borders."""
        log = self.broker.logs[tp]
        block = log.fetch(tp, self.random.randrange(len(log.entries) + 1), self.random.randint(1, 40))
        if block is not None and block.next_offset != self.works[tp].owned.expected:
            accepted = self.works[tp].owned.accept(block, self.clock.s)
            if accepted is not None:
                self.works[tp].position = accepted.next_offset

    def fold(self, tp: TP) -> None:
        """Freeze a unit and fold it, unless two wait to be written."""
        work = self.works[tp]
        if len(work.folded) < IN_FLIGHT:
            end = self.broker.logs[tp].stable_end
            frozen = work.owned.freeze(end, self.clock.s, self.clock.us)
            work.folded.append((work.owned.fold.fold(frozen.blocks, frozen.facts), frozen.facts))

    def write(self, tp: TP, points: int = 1_000, dies: Callable[[str], bool] = lambda _: False) -> None:
        """Go on writing the oldest unit by so many points; `dies` says at which of them the process is killed."""
        work = self.works[tp]
        if not work.folded:
            return
        if work.writing is None:
            unit, facts = work.folded[0]
            work.writing = self._inserts(unit) if self.step == "store" else self._transaction(work, unit, facts)
        for point in islice(work.writing, points):
            if dies(point):
                raise Died(point)
            points -= 1
        if points:
            work.folded.popleft()
            work.writing = None

    def _transaction(self, work: Work, unit: Unit, facts: UnitFacts) -> Iterator[str]:
        has_news = unit.commit and facts.next_offset > facts.first_offset
        if not unit.records and not has_news:
            return
        tp, which = work.owned.tp, self._id(work.owned.tp)
        yield "before the transaction"
        for record in unit.records:
            self.broker.send(which, work.epoch, [record])
            yield f"behind a record of {record.topic}"
        if unit.commit:
            self.broker.send_offset(which, work.epoch, self.step, tp, facts.next_offset)
            yield "before the commit"
        self.broker.commit(which, work.epoch)
        yield "behind the commit"

    def _inserts(self, unit: Unit) -> Iterator[str]:
        for batch in unit.batches:
            assert isinstance(batch, Batch)
            yield "before the batch"
            for rows in batch.rows:
                self.database.insert(rows, batch.token)
                yield f"behind an insert into {rows.table}"
