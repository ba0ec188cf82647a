"""Decoding and folding of blocks: many writers' schemas, one fold.

A record is folded by the decoder of its own writer; what no decoder can take comes back with its reason and
loses nothing. Pure but for the cache of compiled decoders. One thread at a time: scratch memory, keys and
bindings are shared by all partitions of a worker.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bindings import Bindings, columns_needed, labels_needed, smaller_keys
from pipeline.events import EventDecoder, SchemaMismatch, decoder_for, event_layout
from pipeline.framing import CONFLUENT_MAGIC, SINGLE_OBJECT_MAGIC, Framing, header_of
from pipeline.kernels.bits import PAD, address_of
from pipeline.kernels.counts import AHEAD
from pipeline.kernels.intern import Dictionary
from pipeline.kernels.reasons import (
    DONE,
    GOOD,
    NEW_KEYS,
    NULL_VALUE,
    SCHEMA_MISMATCH,
    TODO,
    TOO_LARGE,
    UNFRAMED,
    UNKNOWN_SCHEMA,
)  # fmt: skip
from pipeline.kernels.slots import BATCH
from pipeline.kernels.verdicts import ROW_BYTES
from pipeline.keys import read_key
from pipeline.records import RecordBlock
from pipeline.trace_ids import Traces
from pipeline.unit import MOST_SLOTS, Places, UnitColumns, UnitState
from pipeline.wire import long_bytes

EVENT = "inference_event"
KEY_BYTES = 192  #: room in the arena for one label key; a full arena is a full dictionary


@dataclass(frozen=True)
class FoldSpec:
    """Limits of decoding and counting."""

    limit_series: int = 20_000
    limit_instances: int = 10_000
    limit_label_bytes: int = 256
    limit_event_bytes: int = 1 << 20
    limit_attributes: int = 64  # entries of an event's map of that name
    limit_open_slices: int = MOST_SLOTS  # of a unit; a fuller one is taken in pieces
    future_us: int = 5_000_000  # later than the append time by more: clamped to it, and counted
    age_us: int = 0  # older than the append time by more: a dead letter; 0: no limit, so that history goes through


@dataclass
class Writer:
    """One writer's schema at work: its decoder, the keys it interned and the series they are."""

    decoder: EventDecoder
    header: NDArray[np.uint8]  # in 32 bytes, then a mask of it
    header_length: int
    spans: NDArray[np.uint8]  # scratch: where the labels of a batch stand
    keys: Dictionary
    series_of_key: NDArray[np.int32]
    known: int = 0


class EventFold:
    """What every partition of a worker shares: decoders, keys, bindings, scratch memory."""

    def __init__(self, spec: FoldSpec, objectives: Any, framing: Framing, cache_dir: Path) -> None:
        self.spec, self.framing, self.cache_dir = spec, framing, cache_dir
        self.bindings = Bindings(tuple(objectives), labels_needed(objectives), spec.limit_instances)
        self.unit = UnitState(self.bindings, spec.limit_open_slices)
        self.overflow = np.zeros(2, np.int64)  # records under a smaller key, per tier
        self.places: Callable[[], Places] = self._own_places  # the order of columns; a step may set its own
        self.is_bad = np.zeros(0, np.uint8)  # of the last block: which records are bad for some SLO instance
        self._writers: dict[bytes, Writer | SchemaMismatch] = {}
        self._traces = Traces(framing, EVENT)
        self._rows = np.zeros((BATCH + AHEAD) * ROW_BYTES, np.uint8)
        self._origins = np.zeros(BATCH, np.int64)
        tiers, needed = smaller_keys(self.bindings.objectives), columns_needed(self.bindings.objectives)
        self._layout = event_layout(self.bindings.label_names, tiers, needed)
        bound = spec.limit_label_bytes + len(long_bytes(spec.limit_label_bytes))
        self._label_bound = bound
        self._scratch = np.zeros(len(self._layout.labels) * (bound + 16) + PAD, np.uint8)
        tier = spec.limit_series
        self._limits = np.array([tier, tier + spec.limit_instances, tier + spec.limit_instances + 1000])

    def warm(self, header: bytes) -> None:
        """Compile the decoder of one writer, before a consumer starts."""
        writer = self._writer(header)
        if isinstance(writer, Writer):
            none = np.zeros(0, np.int64)
            nothing = np.zeros(PAD, np.uint8)
            self._fold_with(writer, _Columns(nothing, none, none.astype(np.int32), none, none.astype(np.uint8)), [])

    def add(self, block: RecordBlock) -> tuple[NDArray[np.uint8], list[UnitColumns]]:
        """Fold a block into the unit; return what became of each record, and columns taken on the way.

        Shapes: the codes (record,) u8, see kernels.reasons. Columns have to be taken before a block is
                through when the unit reached the most slots it can name.
        """
        columns = _Columns.of(block)
        self.is_bad = columns.is_bad
        taken: list[UnitColumns] = []
        tried: set[bytes] = set()
        while (at := columns.first_left()) >= 0:
            header = columns.header(at)
            writer = self._writer(header) if header not in tried else None
            if isinstance(writer, Writer):
                tried.add(header)
                self._fold_with(writer, columns, taken)
            else:
                self._sort_out(columns, taken, tried)
        for record, instance in self.unit.take_exemplars():
            self._traces.offer(instance, lambda record=record: columns.value(record))  # type: ignore[misc]
        return columns.reasons, taken

    def take_traces(self) -> dict[int, str]:
        """Return a bad request's trace id for some of the instances that had one since the last call."""
        return self._traces.take()

    @property
    def trace_ids_too_long(self) -> int:
        """How many of the trace ids that were read could not be passed on."""
        return self._traces.too_long

    def take(self) -> UnitColumns:
        """Return what the unit holds and start an empty one."""
        return self.unit.take(self.places())

    def _sort_out(self, columns: "_Columns", taken: list[UnitColumns], tried: set[bytes]) -> None:
        """Deal with all records left at once, so that a flood of unknown headers costs one look.

        Headers nobody knows are not remembered: there are 2^64 of them.
        """
        left = np.flatnonzero(columns.reasons == TODO)
        columns.reasons[left[columns.lengths[left] < 0]] = NULL_VALUE
        columns.reasons[left[columns.lengths[left] > self.spec.limit_event_bytes]] = TOO_LARGE
        known = self.framing.known(EVENT).keys() - tried
        for length, magic in ((10, SINGLE_OBJECT_MAGIC), (5, CONFLUENT_MAGIC)):
            mine, headers = columns.headers(length, magic)
            for header in sorted(distinct(headers) & known):
                writer = self._writer(header)
                if isinstance(writer, Writer):
                    self._fold_with(writer, columns, taken)
                else:
                    same = (headers == np.frombuffer(header, np.uint8)).all(axis=1)
                    columns.reasons[mine[same]] = SCHEMA_MISMATCH
            columns.reasons[mine[columns.reasons[mine] == TODO]] = UNKNOWN_SCHEMA
        columns.reasons[columns.reasons == TODO] = UNFRAMED

    def mismatch(self, header: bytes) -> str:
        """Why a known writer's schema cannot be read as events, or the empty string."""
        writer = self._writer(header)
        return str(writer) if isinstance(writer, SchemaMismatch) else ""

    def field_types(self, header: bytes) -> list[tuple[str, Any]]:
        """Fields of a known writer's schema, as JSON."""
        fields = json.loads(self.framing.known(EVENT)[header])["fields"]
        return [(field["name"], field["type"]) for field in fields]

    def _writer(self, header: bytes) -> "Writer | SchemaMismatch | None":
        if header not in self._writers:
            text = self.framing.known(EVENT).get(header)
            if text is None:
                return None
            self._writers[header] = self._new_writer(header, text)
        return self._writers[header]

    def _new_writer(self, header: bytes, text: str) -> "Writer | SchemaMismatch":
        try:
            decoder = decoder_for(text, self._layout, self.cache_dir)
        except SchemaMismatch as error:
            return error
        n = len(header)
        padded = np.frombuffer(header + bytes(32 - n) + b"\xff" * n + bytes(32 - n), np.uint8)
        capacity = int(self._limits[-1])
        keys = Dictionary(capacity, capacity * KEY_BYTES)
        spans = np.zeros(BATCH * decoder.span_bytes, np.uint8)
        return Writer(decoder, padded, len(header), spans, keys, np.full(capacity, -1, np.int32))

    def _own_places(self) -> Places:
        """Every instance and series at its own id."""
        instances, series = len(self.bindings.instances), len(self.bindings.labels)
        return Places(np.arange(instances, dtype=np.uint32), np.arange(series, dtype=np.uint32))

    def _fold_with(self, writer: Writer, columns: "_Columns", taken: list[UnitColumns]) -> None:
        at, why, unit, c = 0, -1, self.unit, columns
        while why != DONE:
            writer.keys.make_room()
            unit.bind(writer.series_of_key, c.is_bad, self.spec.future_us, self.spec.age_us)
            at, why = writer.decoder.module.process(
                c.base,
                c.size,
                len(c.reasons),
                address_of(c.starts),
                address_of(c.lengths),
                address_of(c.stamps_ms),
                address_of(c.reasons),
                at,
                address_of(writer.header),
                writer.header_length,
                self.spec.limit_event_bytes,
                self._label_bound,
                self.spec.limit_attributes,
                address_of(self._rows),
                address_of(writer.spans),
                address_of(self._origins),
                address_of(self._scratch),
                writer.keys.head,
                address_of(self._limits),
                address_of(self.overflow),
                writer.known,
                unit.address,
            )
            if why == NEW_KEYS:
                self._resolve(writer)
            elif why != DONE and unit.is_full:
                taken.append(self.take())
            elif why != DONE:
                unit.grow(why)

    def _resolve(self, writer: Writer) -> None:
        """Bind the series of keys seen for the first time."""
        names = self.bindings.label_names
        while writer.known < len(writer.keys):
            labels = read_key(writer.decoder, writer.keys[writer.known], names)
            writer.series_of_key[writer.known] = self.bindings.series_of(labels)
            writer.known += 1


@dataclass
class _Columns:
    """A block as the kernels want it: contiguous, of the types they load, with a code for each record."""

    buffer: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int32]
    stamps_ms: NDArray[np.int64]
    reasons: NDArray[np.uint8]
    is_bad: NDArray[np.uint8] = field(init=False)
    base: int = field(init=False)
    size: int = field(init=False)
    _from: int = 0

    def __post_init__(self) -> None:
        self.base, self.size = address_of(self.buffer), self.buffer.size - PAD
        self.is_bad = np.zeros(len(self.reasons), np.uint8)

    @classmethod
    def of(cls, block: RecordBlock) -> "_Columns":
        return cls(
            np.ascontiguousarray(block.buffer),
            np.ascontiguousarray(block.value_start, np.int64),
            np.ascontiguousarray(block.value_length, np.int32),
            np.ascontiguousarray(block.append_time_ms, np.int64),
            np.full(len(block.value_start), TODO, np.uint8),
        )

    def first_left(self) -> int:
        """Return the first record without a code, -1 when all have one."""
        left = np.argmax(self.reasons[self._from :] == TODO) if self._from < len(self.reasons) else 0
        self._from += int(left)
        is_left = self._from < len(self.reasons) and self.reasons[self._from] == TODO
        return self._from if is_left else -1

    def value(self, at: int) -> bytes:
        """One value, whole."""
        start = int(self.starts[at])
        return self.buffer[start : start + int(self.lengths[at])].tobytes()

    def header(self, at: int) -> bytes:
        """The framing one value begins with, as long as its magic says."""
        start, length = int(self.starts[at]), int(self.lengths[at])
        return header_of(self.buffer[start : start + min(max(length, 0), 10)].tobytes())

    def headers(self, length: int, magic: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Records left that begin with `magic` and have a whole header, and the headers.

        Shapes: (n,), (n, length).
        """
        left = np.flatnonzero((self.reasons == TODO) & (self.lengths >= length))
        heads = self.buffer[self.starts[left][:, None] + np.arange(length)]
        mine = (heads[:, : len(magic)] == np.frombuffer(magic, np.uint8)).all(axis=1)
        return left[mine], heads[mine]


def distinct(headers: NDArray[np.uint8]) -> set[bytes]:
    """Distinct headers of one framing.

    Its last eight or four bytes tell them apart, and sort a hundred times as fast as rows do.
    """
    width = 8 if headers.shape[1] == 10 else 4
    codes = np.ascontiguousarray(headers[:, -width:]).view(f"u{width}").ravel()
    _, first = np.unique(codes, return_index=True)
    return {headers[i].tobytes() for i in first}


__all__ = ["EVENT", "GOOD", "EventFold", "FoldSpec"]
