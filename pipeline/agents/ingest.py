"""Ingest: inference.events -> slo.counts, slo.slices and dead letters, one transaction a unit.

A unit that puts aside more than bad input explains is not written: the step stops in front of it and stays stopped.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from pipeline.agents.parts import Agent, Parts
from pipeline.dead_letters import DeadLetterWindow, LimitSpec, split_headers
from pipeline.decoding import EventFold, FoldSpec
from pipeline.ingest import IngestFold, IngestSpec, warm_decoders
from pipeline.metrics import Reading
from pipeline.records import RecordBlock, Unit, UnitFacts
from pipeline.settings import Settings
from pipeline.spec import SloSet
from pipeline.topics import COUNTS, DEAD_LETTERS, EVENTS, SLICES
from pipeline.transport import FetchSpec, Step, StepSpec
from pipeline.transport.record_blocks import RawPartitionRecords

QUEUE_BYTES = 64 << 20  #: of all partitions of a worker


class LimitedFold:
    """The fold, and the worker's watch over how much of its records it puts aside."""

    def __init__(self, fold: IngestFold, limit: LimitSpec) -> None:
        self.now, self.window = fold, DeadLetterWindow(limit)
        self.dead_letters: Counter[str] = Counter()

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Nothing: a unit stands alone."""

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        """Fold a unit.

        Raises: TooManyDeadLetters, before the unit is written.
        """
        now = self.now
        unit = now.fold(blocks, facts)
        reasons = Counter(
            split_headers(record.headers)[1]["reason"].decode()
            for record in unit.records
            if record.topic == now.spec.dead_letters_topic
        )
        self.window.add(facts.flushed_at_us, sum(map(len, blocks)), reasons)
        self.dead_letters.update(reasons)
        return unit

    def put(self, fold: IngestFold) -> None:
        """Let another fold take the next unit: nothing is kept between units, so nothing is lost or counted twice."""
        self.now = fold


def fold_spec(settings: Settings) -> FoldSpec:
    """Limits of decoding and counting, out of settings."""
    return FoldSpec(
        settings.limit_series,
        settings.limit_instances,
        settings.limit_label_bytes,
        settings.limit_event_bytes,
        age_us=round(settings.limit_age_s * 1e6),
    )


def ingest(parts: Parts) -> Agent:
    """Build the agent; every partition shares one fold, which keeps nothing between units."""
    settings = parts.settings
    spec = IngestSpec(
        counts_topic=parts.topic(COUNTS),
        slices_topic=parts.topic(SLICES),
        dead_letters_topic=parts.topic(DEAD_LETTERS),
        counts_partitions=parts.partitions[parts.topic(COUNTS)],
        slices_partitions=parts.partitions[parts.topic(SLICES)],
        framing=parts.framing,
    )

    def made(slos: SloSet) -> IngestFold:
        events = EventFold(fold_spec(settings), slos.objectives, parts.framing, settings.kernels_dir)
        return IngestFold(spec, events)

    def succeed(slos: SloSet) -> Callable[[], None]:
        successor = made(slos)
        warm_decoders(successor.events)
        return partial(fold.put, successor)

    limit = LimitSpec(
        settings.limit_dead_letter_ratio,
        settings.limit_dead_letter_records,
        round(settings.limit_dead_letter_window_s * 1e6),
    )
    fold = LimitedFold(made(parts.slos), limit)
    step = StepSpec(
        name="ingest",
        topics=(parts.topic(EVENTS),),
        make_fold=lambda _: fold,
        unit_s=settings.unit_s,
        unit_bytes=settings.unit_bytes,
        queue_bytes=QUEUE_BYTES,
    )

    def readings() -> Iterator[Reading]:
        events = fold.now.events
        yield Reading("burnline_series", len(events.bindings.labels))
        yield Reading("burnline_series_overflow", int(events.overflow.sum()))
        yield Reading("burnline_instances_refused", events.bindings.instances_refused)
        yield Reading("burnline_oversized_batches", RawPartitionRecords.oversized)
        yield Reading("burnline_dead_letter_ratio", fold.window.ratio)
        for reason, count in sorted(fold.dead_letters.items()):
            yield Reading("burnline_dead_letters", count, (reason,))

    # Committed only: a producer's aborted attempt, of `drain-dead-letters` too, must not count.
    fetch = FetchSpec(read_committed=True, batch_bytes=settings.limit_batch_bytes)
    return Agent(Step(step, parts.ledger("ingest"), parts.kafka), fetch, readings, succeed)
