"""Judge: slo.counts -> slo.status, slo.alerts and its own memory in slo.state."""

from collections.abc import Iterator

from faust.types import TP

from pipeline.agents.parts import Agent, Parts
from pipeline.judgement import JudgeFold, JudgeSpec
from pipeline.metrics import Reading
from pipeline.topics import ALERTS, COUNTS, STATE, STATUS
from pipeline.transport import FetchSpec, Step, StepSpec

UNIT_S = 0.25  #: an alert waits for this at the most; a unit without news writes nothing


def judge(parts: Parts) -> Agent:
    """Build the agent: a fold of its own for each partition."""
    settings = parts.settings
    spec = JudgeSpec(
        watched=parts.slos.watched,
        grace_us=round(settings.grace_s * 1e6),
        source_idle_us=round(settings.source_idle_s * 1e6),
        source_silence_us=round(settings.source_silence_s * 1e6),
        status_topic=parts.topic(STATUS),
        alerts_topic=parts.topic(ALERTS),
        state_topic=parts.topic(STATE),
        framing=parts.framing,
        limit_instances=settings.limit_instances,
    )
    folds: dict[int, JudgeFold] = {}

    def make_fold(tp: TP) -> JudgeFold:
        folds[tp.partition] = JudgeFold(spec)
        return folds[tp.partition]

    step = StepSpec(
        name="judge",
        topics=(parts.topic(COUNTS),),
        make_fold=make_fold,
        state_topic=parts.topic(STATE),
        unit_s=UNIT_S,
    )
    agent = Agent(Step(step, parts.ledger("judge"), parts.kafka), FetchSpec(wait_ms=50, read_committed=True))

    def readings() -> Iterator[Reading]:
        for tp in list(agent.step.owned):
            fold, labels = folds[tp.partition], (str(tp.partition),)
            if fold.watermark_us is not None:
                yield Reading("burnline_watermark_seconds", fold.watermark_us / 1e6, labels)
            yield Reading("burnline_instances", fold.counters["instances"], labels)
            yield Reading("burnline_late_entries", fold.counters["entries_late"], labels)

    agent.readings = readings
    return agent
