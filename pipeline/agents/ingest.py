"""Ingest: inference.events -> slo.counts, slo.slices and dead letters, one transaction a unit."""

from collections.abc import Iterator

from pipeline.agents.parts import Agent, Parts
from pipeline.decoding import EventFold, FoldSpec
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.metrics import Reading
from pipeline.topics import COUNTS, DEAD_LETTERS, EVENTS, SLICES
from pipeline.transport import FetchSpec, Step, StepSpec

QUEUE_BYTES = 64 << 20  #: of all partitions of a worker


def ingest(parts: Parts) -> Agent:
    """Build the agent; every partition shares one fold, which keeps nothing between units."""
    settings = parts.settings
    limits = FoldSpec(
        settings.limit_series,
        settings.limit_instances,
        settings.limit_label_bytes,
        settings.limit_event_bytes,
    )
    spec = IngestSpec(
        counts_topic=parts.topic(COUNTS),
        slices_topic=parts.topic(SLICES),
        dead_letters_topic=parts.topic(DEAD_LETTERS),
        counts_partitions=parts.partitions[parts.topic(COUNTS)],
        slices_partitions=parts.partitions[parts.topic(SLICES)],
        framing=parts.framing,
    )
    events = EventFold(limits, parts.slos.objectives, parts.framing, settings.kernels_dir)
    fold = IngestFold(spec, events)
    step = StepSpec(
        name="ingest",
        topics=(parts.topic(EVENTS),),
        make_fold=lambda _: fold,
        unit_s=settings.unit_s,
        unit_bytes=settings.unit_bytes,
        queue_bytes=QUEUE_BYTES,
    )

    def readings() -> Iterator[Reading]:
        yield Reading("burnline_series", len(events.bindings.labels))
        yield Reading("burnline_series_overflow", int(events.overflow.sum()))
        yield Reading("burnline_instances_refused", events.bindings.instances_refused)

    return Agent(Step(step, parts.ledger("ingest"), parts.kafka), FetchSpec(), readings)
