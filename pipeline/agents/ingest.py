"""Ingest: inference.events -> slo.counts, slo.slices and dead letters, one transaction a unit.

A unit that puts aside more than bad input explains is not written: the step stops in front of it and stays stopped.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from faust.types import TP

from pipeline.agents.parts import Agent, Parts
from pipeline.agents.remembering import RememberingLedger
from pipeline.dead_letters import KEPT_ALL, DeadLetterWindow, LimitSpec, split_headers
from pipeline.decoding import EventFold, FoldSpec
from pipeline.duplicates import DUPLICATES, FORGOTTEN, Window, WindowSpec
from pipeline.duplicates import warm as warm_windows
from pipeline.ingest import CLIPPED_SUMS, CUT_BLOCKS, CUT_UNITS, NO_WINDOWS, IngestFold, IngestSpec, warm_decoders
from pipeline.metrics import Reading
from pipeline.records import RecordBlock, Unit, UnitFacts
from pipeline.sampling import SampleSpec
from pipeline.settings import Settings
from pipeline.spec import SloSet
from pipeline.topics import COUNTS, DEAD_LETTERS, EVENTS, SLICES
from pipeline.transport import FetchSpec, Fold, KafkaLedger, Step, StepSpec
from pipeline.transport.record_blocks import RawPartitionRecords

TOLD = (
    DUPLICATES,
    FORGOTTEN,
    CUT_UNITS,
    CUT_BLOCKS,
    CLIPPED_SUMS,
)  #: counters of a fold, by the ends of our metrics' names


class LimitedFold:
    """The fold, and the worker's watch over how much of its records it puts aside."""

    def __init__(self, fold: IngestFold, limit: LimitSpec) -> None:
        self.now, self.window = fold, DeadLetterWindow(limit)
        self.dead_letters: Counter[str] = Counter()
        self.letters_cut = 0

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Nothing: a unit stands alone."""

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts, windows: Mapping[int, Window] = NO_WINDOWS) -> Unit:
        """Fold a unit.

        Raises: TooManyDeadLetters, before the unit is written.
        """
        now = self.now
        unit = now.fold(blocks, facts, windows)
        letters = [
            split_headers(record.headers)[1] for record in unit.records if record.topic == now.spec.dead_letters_topic
        ]
        reasons = Counter(about["reason"].decode() for about in letters)
        self.window.add(facts.flushed_at_us, sum(map(len, blocks)), reasons)
        self.dead_letters.update(reasons)
        self.letters_cut += sum(about["kept"] != KEPT_ALL for about in letters)
        return unit

    def readings(self) -> Iterator[Reading]:
        """What it counts."""
        events = self.now.events
        yield Reading("burnline_series", len(events.bindings.labels))
        yield Reading("burnline_series_overflow", int(events.overflow.sum()))
        yield Reading("burnline_instances_refused", events.bindings.instances_refused)
        yield Reading("burnline_trace_ids_too_long", events.trace_ids_too_long)
        yield Reading("burnline_dead_letter_ratio", self.window.ratio)
        yield Reading("burnline_dead_letters_cut", self.letters_cut)
        yield from (Reading(f"burnline_{name}", self.now.told[name]) for name in TOLD)
        yield from (Reading("burnline_dead_letters", n, (reason,)) for reason, n in sorted(self.dead_letters.items()))

    def remember(self, block: RecordBlock, window: Window) -> None:
        """Show a window what was folded before."""
        self.now.remember(block, window)

    def put(self, fold: IngestFold) -> None:
        """Let another fold take the next unit: nothing is kept between units, so nothing is lost or counted twice.

        Windows of event ids are no fold's: they go on.
        """
        fold.told = self.now.told
        self.now = fold


class PartitionFold:
    """The fold of one source partition that remembers event ids, for as long as we own it."""

    def __init__(self, shared: LimitedFold, partition: int, window: Window) -> None:
        self._shared, self._windows = shared, {partition: window}

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Nothing: the window was filled when the partition was taken."""

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        """Fold a unit.

        Raises: TooManyDeadLetters, before the unit is written.
        """
        return self._shared.fold(blocks, facts, self._windows)


def fold_spec(settings: Settings) -> FoldSpec:
    """Limits of decoding and counting, out of settings."""
    return FoldSpec(
        settings.limit_series,
        settings.limit_instances,
        settings.limit_label_bytes,
        settings.limit_event_bytes,
        settings.limit_attributes,
        settings.limit_open_slices,
        age_us=round(settings.limit_age_s * 1e6),
    )


def window_spec(settings: Settings) -> WindowSpec | None:
    """How event ids are remembered; None: they are not."""
    return WindowSpec(settings.duplicates_window_s, settings.limit_event_ids) if settings.duplicates_window_s else None


def sample_spec(settings: Settings) -> SampleSpec | None:
    """Which events are kept whole; None: none is."""
    if settings.events_archive == "off":
        return None
    ratio = 1.0 if settings.events_archive == "all" else settings.events_sample_ratio
    return SampleSpec(ratio, settings.limit_block_bytes // 2, settings.limit_events_kept)


def _ledger_and_folds(parts: Parts, fold: LimitedFold) -> tuple[KafkaLedger, Callable[[TP], Fold]]:
    """Where units are written, and how the fold of a partition is made."""
    window = window_spec(parts.settings)
    if window is None:
        return parts.ledger("ingest"), lambda _: fold
    warm_windows()
    ledger = RememberingLedger(
        parts.kafka,
        parts.group("ingest"),
        window,
        parts.settings.limit_batch_bytes,
        fold.remember,
    )
    return ledger, lambda tp: PartitionFold(fold, tp.partition, ledger.windows.pop(tp.partition))


def _ingest_spec(parts: Parts) -> IngestSpec:
    return IngestSpec(
        counts_topic=parts.topic(COUNTS),
        slices_topic=parts.topic(SLICES),
        dead_letters_topic=parts.topic(DEAD_LETTERS),
        counts_partitions=parts.partitions[parts.topic(COUNTS)],
        slices_partitions=parts.partitions[parts.topic(SLICES)],
        framing=parts.framing,
        max_block_bytes=parts.settings.limit_block_bytes,
        sample=sample_spec(parts.settings),
    )


def ingest(parts: Parts) -> Agent:
    """Build the agent; every partition shares one fold, which keeps nothing between units."""
    settings, spec = parts.settings, _ingest_spec(parts)

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
    ledger, make_fold = _ledger_and_folds(parts, fold)
    step = StepSpec(
        name="ingest",
        topics=(parts.topic(EVENTS),),
        make_fold=make_fold,
        unit_s=settings.unit_s,
        ends_with_cells=True,
        unit_bytes=settings.unit_bytes,
        queue_bytes=settings.queue_bytes,
    )

    def readings() -> Iterator[Reading]:
        yield from fold.readings()
        yield Reading("burnline_oversized_batches", RawPartitionRecords.oversized)
        if isinstance(ledger, RememberingLedger):
            yield Reading("burnline_event_ids_seconds", ledger.seconds)

    # Committed only: a producer's aborted attempt, of `drain-dead-letters` too, must not count.
    fetch = FetchSpec(read_committed=True, batch_bytes=settings.limit_batch_bytes)
    return Agent(Step(step, ledger, parts.kafka), fetch, readings, succeed)
