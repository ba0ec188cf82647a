"""Store: records of the output topics, cut into batches of rows for ClickHouse.

Law: the batches of slo.counts and slo.slices are a function of the records alone, never of how they arrive:
any split into blocks, any restart at a batch's first offset, any other writer cuts the same ranges and
builds the same rows, so that a token made of the first offset makes every repetition harmless. A batch ends
in front of the record whose flush time lies in a later cell of `batch_us`, or past a limit:

    flush times   |  .2  .9 1.1 | 2.0 1.9 3.7 | 4.1 ..        batch_us = 2 s
    batches       [-------------)[-----------)[------  open until the next cell's first record

The small topics carry rows with an identity of their own and are cut where their blocks end. Pure. Change a
`CutSpec` only while no batch is half written, that is after an orderly stop.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipeline.archive import event_rows
from pipeline.blocks import Malformed, decode, peek
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.records import RecordBlock, Unit, UnitFacts, joined
from pipeline.rows import Block, Rows, check_counts, check_slices, count_rows, mark_rows, slice_rows
from pipeline.stored_records import RECORD_ROWS, record_mark

SMALL_RECORDS_MOST = 10_000  #: of one batch of status, alerts, changes, snapshots, signals or dead letters


@dataclass(frozen=True, slots=True)
class CutSpec:
    """Where batches end."""

    batch_us: int = 2_000_000
    records_most: int = 1_000
    bytes_most: int = 2 << 20  # of values: fifty times as much as rows


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of [first_offset, last_offset] of one partition, inserted in this order; the last is the mark.

    Rows are built each time they are asked for: while they are, they take ten times as much memory as the values they
    are made of, and many batches may wait for a slow server. Raises then: blocks.Malformed.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    token: str
    build: Callable[[], tuple[Rows, ...]] = field(compare=False, repr=False)

    @property
    def rows(self) -> tuple[Rows, ...]:
        return self.build()


@dataclass(slots=True)
class _Open:
    """The batch that is not full yet."""

    first_offset: int
    cell: int
    value_bytes: int = 0
    values: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)


class MergingFold:
    """The store's fold over one partition of slo.counts or slo.slices."""

    def __init__(self, schema: str, cut: CutSpec, framing: Framing = SINGLE_OBJECT) -> None:
        """Fold values of `schema`: slo_counts or slo_slice."""
        self.schema = schema
        self.cut = cut
        self.framing = framing
        self._check, self._rows = MERGED[schema]
        self._open: _Open | None = None

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Nothing to restore: a batch is read again from its first record."""

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        """Add blocks; return the batches they complete.

        Raises: framing.UnknownSchema, blocks.Malformed, here or when rows are built: these topics are written by us,
        so what cannot be read is never skipped.
        """
        batches = [batch for block in blocks for batch in self._add(block, facts)]
        return Unit(batches=batches, commit=bool(batches))

    def _add(self, block: RecordBlock, facts: UnitFacts) -> Iterator[Batch]:
        for index in range(len(block)):
            value, offset = block.value(index), int(block.offset[index])
            if value is None:
                continue
            cell = self._cell(value, facts, offset)
            if self._open is not None and self._ends(self._open, cell, len(value)):
                yield self._closed(self._open, facts)
                self._open = None
            if self._open is None:
                self._open = _Open(offset, cell)
            self._open.values.append(value)
            self._open.offsets.append(offset)
            self._open.value_bytes += len(value)

    def _ends(self, batch: _Open, cell: int, value_bytes: int) -> bool:
        """Tell whether a batch ends before a record. Only a later cell counts: sources' clocks differ."""
        return (
            cell > batch.cell
            or len(batch.values) >= self.cut.records_most
            or batch.value_bytes + value_bytes > self.cut.bytes_most
        )

    def _cell(self, value: bytes, facts: UnitFacts, offset: int) -> int:
        """The cell of a record's flush time; the rest is read when its rows are built: reading costs as much again."""
        with _of_record(facts, offset):
            flushed_at: int = peek(self.schema, value, "flushed_at", self.framing)
        return flushed_at // self.cut.batch_us

    def _decoded(self, value: bytes, facts: UnitFacts, offset: int) -> Block:
        with _of_record(facts, offset):
            columns = decode(self.schema, value, self.framing)
            self._check(columns)
        return columns

    def _closed(self, batch: _Open, facts: UnitFacts) -> Batch:
        first, last = batch.first_offset, batch.offsets[-1]
        token = f"{facts.topic}/{facts.partition}/{first}"

        def build() -> tuple[Rows, ...]:
            records = zip(batch.values, batch.offsets, strict=True)
            blocks = [self._decoded(value, facts, offset) for value, offset in records]
            rows = (*self._rows(blocks), *event_rows(blocks, self.framing))
            return (*rows, mark_rows(facts.topic, facts.partition, first, last, blocks))

        return Batch(facts.topic, facts.partition, first, last, token, build)


@contextmanager
def _of_record(facts: UnitFacts, offset: int) -> Iterator[None]:
    """Say of which record something is wrong."""
    try:
        yield
    except Malformed as error:
        raise Malformed(f"{facts.topic}/{facts.partition} offset {offset}: {error}") from error


MERGED: dict[str, tuple[Callable[[Block], None], Callable[[Sequence[Block]], list[Rows]]]] = {
    "slo_counts": (check_counts, count_rows),
    "slo_slice": (check_slices, slice_rows),
}


class RecordFold:
    """The store's fold over one partition of a topic of which each record is a row: slo.status, slo.alerts .."""

    def __init__(self, schema: str, cut: CutSpec, framing: Framing = SINGLE_OBJECT) -> None:
        """Fold records of a kind of RECORD_ROWS."""
        self.cut = cut
        self._rows = partial(RECORD_ROWS[schema], framing=framing)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Nothing to restore."""

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        """Return the rows of all blocks, in batches within the limits.

        A block is one judge's unit, some ten rows: an insert for each fell ever farther behind on a busy machine.

        Raises: nothing; a batch's rows raise framing.UnknownSchema or blocks.Malformed for a status or an alert that
                cannot be read.
        """
        if not blocks:
            return Unit()
        block = joined(blocks)
        return Unit(batches=[self._batch(block, indexes, facts) for indexes in _within(block, self.cut)])

    def _batch(self, block: RecordBlock, indexes: range, facts: UnitFacts) -> Batch:
        first, last = int(block.offset[indexes[0]]), int(block.offset[indexes[-1]])
        # Cut by chance, so the token names both ends; rows that come twice are one by their identity.
        token = f"{facts.topic}/{facts.partition}/{first}-{last}"

        def build() -> tuple[Rows, ...]:
            return (*self._rows(block, indexes), record_mark(block, indexes, facts))

        return Batch(facts.topic, facts.partition, first, last, token, build)


def _within(block: RecordBlock, cut: CutSpec) -> Iterator[range]:
    """Cut a block into runs of records within the limits."""
    begin, value_bytes = 0, 0
    for index, length in enumerate(block.value_length.tolist()):
        value_bytes += max(length, 0)
        if index > begin and (index - begin >= SMALL_RECORDS_MOST or value_bytes > cut.bytes_most):
            yield range(begin, index)
            begin, value_bytes = index, max(length, 0)
    if begin < len(block):
        yield range(begin, len(block))


#: base topic -> how the store folds it
STORED: dict[str, Callable[..., Any]] = {
    "slo.slices": partial(MergingFold, "slo_slice"),
    "slo.counts": partial(MergingFold, "slo_counts"),
    "slo.status": partial(RecordFold, "slo_status"),
    "slo.alerts": partial(RecordFold, "burn_rate_alert"),
    "inference.changes": partial(RecordFold, "config_change"),
    "inference.snapshots": partial(RecordFold, "engine_snapshot"),
    "slo.signals": partial(RecordFold, "control_signal"),
    "inference.events.dlq": partial(RecordFold, "dead_letter"),
}
