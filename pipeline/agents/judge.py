"""Judge: slo.counts -> slo.status, slo.alerts and its own memory in slo.state."""

from collections.abc import Callable, Iterator, Sequence
from weakref import WeakValueDictionary

from faust.types import TP

from pipeline.agents.parts import Agent, Parts
from pipeline.alerts import Kind
from pipeline.health import is_stale, silence, stale
from pipeline.judgement import JudgeFold, JudgeSpec
from pipeline.metrics import Reading
from pipeline.notices import source_of
from pipeline.ourselves import Concern
from pipeline.records import RecordBlock, Unit, UnitFacts
from pipeline.spec import SloSet
from pipeline.topics import ALERTS, COUNTS, EVENTS, STATE, STATUS
from pipeline.transport import FetchSpec, Step, StepSpec

UNIT_S = 0.1  #: an alert waits for this at the most; a unit without news writes nothing


#: our metrics of what a fold counts
COUNTED = {
    "burnline_instances": "instances", "burnline_late_entries": "entries_late",
    "burnline_unknown_entries": "entries_unknown", "burnline_judge_refused": "instances_refused",
    "burnline_deferred_statuses": "statuses_deferred", "burnline_clipped_events": "events_clipped",
    "burnline_waiting_entries": "entries_waiting", "burnline_unreadable_blocks": "blocks_unreadable",
    "burnline_hurried_entries": "entries_hurried",
}  # fmt: skip


class Succession:
    """The fold of one partition, under the SLOs in force: a successor takes over between two units, with all state."""

    def __init__(self, spec: JudgeSpec) -> None:
        self.now, self.next = JudgeFold(spec), spec

    def restore(self, key: bytes, value: bytes | None) -> None:
        self.now.restore(key, value)

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        if self.next is not self.now.spec:
            self.now = self.now.succeeded(self.next)
        return self.now.fold(blocks, facts)


def instances_of_one(limit: int, partitions: int) -> int:
    """How many of all instances a partition may judge: its share and a tenth, since keys do not fall evenly.

    A thousand in any case: they take some 20 MB, and of few instances all may fall on one partition.
    """
    return max(limit * 11 // (10 * partitions), min(limit, 1_000))


def judge_spec(parts: Parts, slos: SloSet) -> JudgeSpec:
    """What a judge of these SLOs is told."""
    settings = parts.settings
    return JudgeSpec(
        watched=slos.watched,
        composed=slos.composed,
        grace_us=round(settings.grace_s * 1e6),
        source_idle_us=round(settings.source_idle_s * 1e6),
        source_silence_us=round(settings.source_silence_s * 1e6),
        status_topic=parts.topic(STATUS),
        alerts_topic=parts.topic(ALERTS),
        state_topic=parts.topic(STATE),
        framing=parts.framing,
        source=source_of(settings.topic_prefix, Kind.BURN_RATE),
        limit_instances=instances_of_one(settings.limit_instances, parts.partitions[parts.topic(COUNTS)]),
        limit_waiting=settings.limit_waiting,
        limit_statuses=settings.limit_statuses,
    )


def judge(parts: Parts) -> Agent:
    """Build the agent: a fold of its own for each partition."""
    spec = judge_spec(parts, parts.slos)
    folds: WeakValueDictionary[int, Succession] = WeakValueDictionary()  # those of partitions that are still owned

    def make_fold(tp: TP) -> Succession:
        fold = folds[tp.partition] = Succession(spec)
        return fold

    def succeed(slos: SloSet) -> Callable[[], None]:
        successor = judge_spec(parts, slos)
        JudgeFold(successor)  # refuses what cannot be judged

        def put() -> None:
            nonlocal spec
            spec = successor
            for fold in list(folds.values()):
                fold.next = successor

        return put

    step = StepSpec(
        name="judge",
        topics=(parts.topic(COUNTS),),
        make_fold=make_fold,
        state_topic=parts.topic(STATE),
        unit_s=UNIT_S,
    )
    agent = Agent(
        Step(step, parts.ledger("judge"), parts.kafka),
        FetchSpec(request_bytes=4 << 20, block_bytes=1 << 20, wait_ms=50, read_committed=True),
    )

    def readings() -> Iterator[Reading]:
        for tp in list(agent.step.owned):
            fold, labels = folds[tp.partition].now, (str(tp.partition),)
            clock = fold.judgement.clock
            if clock.watermark_us is not None:
                yield Reading("burnline_watermark_seconds", clock.watermark_us / 1e6, labels)
            if clock.unjudged_us is not None:
                yield Reading("burnline_unjudged_seconds", clock.unjudged_us / 1e6, labels)
            yield from (Reading(name, fold.counters[counter], labels) for name, counter in COUNTED.items())

    limit_us = round(parts.settings.source_silence_s * 1e6)

    def trouble() -> str:
        """Every judge partition hears of every source: one of them speaks."""
        clocks = [folds[tp.partition].now.judgement.clock for tp in list(agent.step.owned) if tp.partition in folds]
        return stale(clocks[0].silent_us, limit_us, parts.topic(EVENTS)) if clocks else ""

    def concerns() -> list[Concern]:
        """Of every source partition, told by the owner of our first."""
        first = TP(parts.topic(COUNTS), 0)
        if first not in agent.step.owned or first.partition not in folds:
            return []
        return stale_sources(folds[first.partition].now.judgement.clock.silent_us, limit_us, parts.topic(EVENTS))

    agent.readings, agent.succeed, agent.trouble, agent.concerns = readings, succeed, trouble, concerns
    return agent


def stale_sources(silent_us: Sequence[int], limit_us: int, topic: str) -> list[Concern]:
    """One concern a partition; where others are silent too nobody can say whether it is stale."""
    found = []
    for number, it_is in enumerate(is_stale(silent_us, limit_us)):
        place = f"{topic}/{number}"
        says = f"{silence(place, silent_us[number])}, while others are not" if it_is else None if it_is is None else ""
        found.append(Concern(Kind.STALE_SOURCE, (("source", place),), says, f"{place} speaks again"))
    return found
