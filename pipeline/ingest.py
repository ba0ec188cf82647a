"""Ingest: blocks of events -> blocks of counts, blocks of slices and dead letters. A pure fold.

Law: nothing is kept between units, so there is no state to lose; every record of a unit is counted once, is a
     dead letter, or is left out as a duplicate, exactly one of them. Every derived partition gets one block of
     counts and one of slices from every unit, empty ones too: they carry the watermark. One IngestFold serves all
     partitions of a worker; calls from several threads take turns. Windows of event ids are the callers': whoever
     gives one also sees to it that it is of the same log and of no unit that was not written.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bindings import counts_partition, route
from pipeline.blocks import Encoded, encode
from pipeline.dead_letters import Letters
from pipeline.decoding import EVENT, EventFold, FoldSpec
from pipeline.duplicates import DUPLICATES, EventIds, Window
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.kernels import classify, ddsketch, event_columns, gather, intern, longs, slots
from pipeline.records import OutRecord, RecordBlock, Unit, UnitFacts
from pipeline.sampling import Sample, SampleSpec, cuts
from pipeline.series import BASE_LABELS, label_text
from pipeline.unit import SKETCHES, Places, UnitColumns
from pipeline.wire import string_bytes

#: the unit's counters per slice, in the kernel's order; names of the columns of a slices block
SLICE_COUNTERS = (
    "success", "error", "timeout", "cancelled", "shed", "rate_limited", "rejected", "unknown", "retries",
    "cold_starts", "input_tokens", "output_tokens", "cost_picousd", "gpu_us",
)  # fmt: skip

PLACE_BITS = 22  #: of a place, for the id within its partition; the other ten name the partition
NUMBER_MASK = (1 << PLACE_BITS) - 1
CUT_UNITS, CUT_BLOCKS, CLIPPED_SUMS = "cut_units", "cut_blocks", "clipped_sums"
NO_WINDOWS: Mapping[int, Window] = {}
LONG_BYTES = 10  #: an upper bound of one number
SLICE_S = slots.SLICE_S


@dataclass(frozen=True)
class IngestSpec:
    """Where ingest writes, and how large a block may be."""

    counts_topic: str
    slices_topic: str
    dead_letters_topic: str
    counts_partitions: int
    slices_partitions: int
    framing: Framing = SINGLE_OBJECT
    max_block_bytes: int = 4 << 20  # half of what the topics take
    max_dead_letter_bytes: int = 15 << 20
    sample: SampleSpec | None = None  # None: no event is kept whole


class IngestFold:
    """The fold; see the module's law."""

    def __init__(self, spec: IngestSpec, events: EventFold) -> None:
        self.spec, self.events = spec, events
        self._letters = Letters(events, spec.dead_letters_topic, spec.max_dead_letter_bytes)
        self._placement = Placement(spec, events)
        self._ids = EventIds(events.framing, EVENT)
        self._sample = Sample(spec.sample)
        self.told: Counter[str] = Counter()  # of all partitions: what windows tell, and what met a limit
        self._turn = Lock()
        events.places = self._placement.places

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Nothing: a unit stands alone."""

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts, windows: Mapping[int, Window] = NO_WINDOWS) -> Unit:
        """Fold a unit's blocks into the records it writes; `windows`: by source partition, where ids are remembered."""
        taken: list[UnitColumns] = []
        letters: list[OutRecord] = []

        def add(block: RecordBlock) -> NDArray[np.uint8]:
            codes, full = self.events.add(block)
            self._sample.add(block, codes, self.events.is_bad)
            taken.extend(full)
            letters.extend(self._letters.of(block, codes, len(letters)))
            return codes

        with self._turn:
            before = self._counters()
            with self._all_or_nothing():
                for block in blocks:
                    self._sift(block, windows.get(block.partition), add)
            self.told[CUT_UNITS] += len(taken)
            taken.append(self.events.take())
            after, traces = self._counters(), self.events.take_traces()
            kept = self._sample.take(self.spec.max_block_bytes // 2)
        self.told[CLIPPED_SUMS] += sum(columns.clipped for columns in taken)
        tallied = _tallied(blocks, taken, letters) | {name: after[name] - before[name] for name in before}
        if windows:
            told = sum((window.tell() for window in windows.values()), Counter[str]())
            self.told.update(told)
            tallied |= {"events": tallied["events"] - told[DUPLICATES], DUPLICATES: told[DUPLICATES]}
        head = _head(facts)
        last = {"max_event_time": _latest(taken), "measured_slices": _cells(taken)}
        counts = self._counts_blocks(taken, head, last, traces)
        return Unit([*counts, *self._slices_blocks(taken, head, last, tallied, kept), *letters])

    def remember(self, block: RecordBlock, window: Window) -> None:
        """Show a window what was folded by somebody before: nothing of it is counted again."""
        with self._turn:
            overflow, refused = self.events.overflow.copy(), self.events.bindings.instances_refused
            with self._all_or_nothing():
                self._sift(block, window, lambda part: self.events.add(part)[0])
            window.tell()
            self._forget()
            self.events.overflow[:], self.events.bindings.instances_refused = overflow, refused

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave nothing of a unit that failed: the next one, of another partition, would write it."""
        try:
            yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self.events.take()
        self.events.take_traces()
        self._sample.forget()

    def _sift(self, block: RecordBlock, window: Window | None, add: Callable[[RecordBlock], NDArray[np.uint8]]) -> None:
        """Add what is no duplicate."""
        if window is None:
            add(block)
        else:
            window.sift(block, self._ids.of(block), add)

    def _counters(self) -> dict[str, int]:
        """Counters of the shared fold, which only go up."""
        return {
            "series_overflow": int(self.events.overflow.sum()),
            "instances_refused": self.events.bindings.instances_refused,
        }

    def _counts_blocks(
        self, taken: list[UnitColumns], head: dict[str, Any], last: dict[str, Any], traces: dict[int, str]
    ) -> Iterator[OutRecord]:
        for partition in range(self.spec.counts_partitions):
            pieces = [
                _counts_piece(columns, start, end, self._placement, traces)
                for columns in taken
                for start, end in self._placement.counts_ranges(columns, partition)
            ]
            yield from self._blocks("slo_counts", self.spec.counts_topic, partition, pieces, head, last)

    def _slices_blocks(
        self,
        taken: list[UnitColumns],
        head: dict[str, Any],
        last: dict[str, Any],
        tallied: dict[str, int],
        kept: list[Mapping[str, Any]],
    ) -> Iterator[OutRecord]:
        """Events that are kept go into one partition, before what says that the unit is whole."""
        for partition in range(self.spec.slices_partitions):
            pieces = [
                _slices_piece(columns, start, end, self._placement)
                for columns in taken
                for start, end in self._placement.slices_ranges(columns, partition)
            ]
            if kept and partition == head["source_partition"] % self.spec.slices_partitions:
                pieces[0] |= kept[0]
                pieces[:0] = [_slices_piece(taken[0], 0, 0, self._placement) | dict(each) for each in kept[1:]]
            closing = last | {"counters": tallied} if partition == 0 else last
            yield from self._blocks("slo_slice", self.spec.slices_topic, partition, pieces, head, closing)

    def _blocks(
        self,
        name: str,
        topic: str,
        partition: int,
        pieces: list[Any],
        head: dict[str, Any],
        last: dict[str, Any],
    ) -> Iterator[OutRecord]:
        """One block for each piece; what a block says of the whole unit comes with the last one."""
        self.told[CUT_BLOCKS] += len(pieces) - 1
        for part, piece in enumerate(pieces):
            about = head | {"part": part, "parts": len(pieces)} | (last if part == len(pieces) - 1 else {})
            yield OutRecord(topic, encode(name, about | piece, self.spec.framing), partition=partition)


def _tallied(taken_blocks: list[RecordBlock], taken: list[UnitColumns], letters: list[OutRecord]) -> dict[str, int]:
    records = sum(len(block) for block in taken_blocks)
    return {
        "records": records,
        "events": records - len(letters),
        "dead_letters": len(letters),
        "clamped": sum(columns.clamped for columns in taken),
        "bytes": sum(int(np.maximum(block.value_length, 0).sum(dtype=np.int64)) for block in taken_blocks),
    }


def _head(facts: UnitFacts) -> dict[str, Any]:
    return {
        "source_topic": facts.topic,
        "source_partition": facts.partition,
        "source_partitions": facts.partitions,
        "first_offset": facts.first_offset,
        "next_offset": facts.next_offset,
        "idle_us": facts.idle_us,
        "flushed_at": facts.flushed_at_us,
    }


def _latest(taken: list[UnitColumns]) -> int | None:
    return max((c.event_time_us_max for c in taken if c.event_time_us_max is not None), default=None)


def _cells(taken: list[UnitColumns]) -> NDArray[np.int64]:
    return np.unique(np.concatenate([columns.cell for columns in taken]))


def _counts_piece(
    columns: UnitColumns, start: int, end: int, placement: "Placement", traces: dict[int, str]
) -> dict[str, Any]:
    """A piece's columns; each trace id goes with the first piece that has its instance."""
    places, index = _numbered(columns.instance_place[start:end])
    traced = [at for at, place in enumerate(places) if place & NUMBER_MASK in traces]
    instances = [placement.instance_at[place] for place in places]
    return {
        "slos": _encoded([slo for slo, _, _ in instances]),
        "revisions": _encoded([revision for _, revision, _ in instances]),
        "instances": _encoded([labels for _, _, labels in instances]),
        "exemplar_instances": np.array(traced, np.int64),
        "exemplar_trace_ids": [traces.pop(places[at] & NUMBER_MASK) for at in traced],
        "instance_index": index,
        "slice_start_s": columns.second[start:end],
        "good": columns.good[start:end],
        "bad": columns.bad[start:end],
        "excluded": columns.excluded[start:end],
    }


def _slices_piece(columns: UnitColumns, start: int, end: int, placement: "Placement") -> dict[str, Any]:
    places, index = _numbered(columns.series_place[start:end])
    series = [placement.series_at[place] for place in places]
    piece: dict[str, Any] = {
        "label_names": list(BASE_LABELS),
        "labels": Encoded(len(series) * len(BASE_LABELS), b"".join(series)),
        "series_index": index,
        "slice_start_s": columns.cell[start:end] * SLICE_S,
    }
    piece |= {name: columns.counters[i, start:end] for i, name in enumerate(SLICE_COUNTERS)}
    for name in SKETCHES:
        runs = columns.sketches[name]
        first, stop = (int(runs.lengths[:at].sum()) for at in (start, end))
        piece[f"{name}_lengths"] = runs.lengths[start:end]
        piece[f"{name}_bins"], piece[f"{name}_counts"] = runs.bins[first:stop], runs.counts[first:stop]
    return piece


def _numbered(places: NDArray[np.int64]) -> tuple[list[int], NDArray[np.int64]]:
    """Distinct places of an ascending column, and for each entry which of them it is."""
    is_new = _is_new(places)
    return places[is_new].tolist(), np.cumsum(is_new) - 1


def _is_new(places: NDArray[np.int64]) -> NDArray[np.bool_]:
    is_new = np.ones(len(places), bool)
    np.not_equal(places[1:], places[:-1], out=is_new[1:])
    return is_new


def _encoded(items: list[bytes]) -> Encoded:
    return Encoded(len(items), b"".join(items))


class Lengths:
    """Bytes of the texts of instances or series, by the number in their place."""

    def __init__(self) -> None:
        self._new: list[int] = []
        self._known = np.empty(0, np.int64)

    def append(self, length: int) -> None:
        self._new.append(length)

    def add_to(self, sizes: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        """Add each text to the size of the first entry of its place."""
        if self._new:
            self._known, self._new = np.append(self._known, self._new), []
        first = np.flatnonzero(_is_new(places))
        sizes[first] += self._known[places[first] & NUMBER_MASK]


@dataclass
class Placement:
    """Which derived partition each instance and each stored series is written to, and its text, encoded once.

    Several kernel series become one stored series when they differ only in labels that no view has.
    """

    spec: IngestSpec
    events: EventFold
    instance_at: dict[int, tuple[bytes, bytes, bytes]] = field(default_factory=dict)  # place -> slo, revision, labels
    series_at: dict[int, bytes] = field(default_factory=dict)  # place -> its labels
    _instances: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    _series: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    _stored: dict[tuple[str, ...], int] = field(default_factory=dict)
    _instance_bytes: Lengths = field(default_factory=Lengths)
    _series_bytes: Lengths = field(default_factory=Lengths)

    def places(self) -> Places:
        """Places of everything bound so far."""
        bindings = self.events.bindings
        instances = [
            self._place_of_instance(number, *instance)
            for number, instance in enumerate(bindings.instances[len(self._instances) :], len(self._instances))
        ]
        series = [self._place_of_series(labels[: len(BASE_LABELS)]) for labels in bindings.labels[len(self._series) :]]
        self._instances = np.append(self._instances, np.array(instances, np.uint32))
        self._series = np.append(self._series, np.array(series, np.uint32))
        return Places(self._instances, self._series)

    def _place_of_instance(self, number: int, slo: str, revision: str, labels: str) -> int:
        place = counts_partition(slo, labels, self.spec.counts_partitions) << PLACE_BITS | number
        texts = self.instance_at[place] = string_bytes(slo), string_bytes(revision), string_bytes(labels)
        self._instance_bytes.append(sum(map(len, texts)))
        return place

    def _place_of_series(self, labels: tuple[str, ...]) -> int:
        if labels not in self._stored:
            partition = route(label_text(BASE_LABELS, labels), self.spec.slices_partitions)
            place = self._stored[labels] = partition << PLACE_BITS | len(self._stored)
            self.series_at[place] = b"".join(map(string_bytes, labels))
            self._series_bytes.append(len(self.series_at[place]))
        return self._stored[labels]

    def counts_ranges(self, columns: UnitColumns, partition: int) -> list[tuple[int, int]]:
        """Cut a partition's entries where a block would grow too large."""
        start, end = _span(columns.instance_place, partition)
        sizes = np.full(end - start, 5 * LONG_BYTES, np.int64)
        self._instance_bytes.add_to(sizes, columns.instance_place[start:end])
        return cuts(sizes, start, self.spec.max_block_bytes)

    def slices_ranges(self, columns: UnitColumns, partition: int) -> list[tuple[int, int]]:
        """Cut a partition's entries where a block would grow too large."""
        start, end = _span(columns.series_place, partition)
        lengths = np.array([columns.sketches[name].lengths[start:end] for name in SKETCHES])
        bins = lengths.sum(axis=0)
        sizes = (len(SLICE_COUNTERS) + 5 + 2 * bins) * LONG_BYTES
        self._series_bytes.add_to(sizes, columns.series_place[start:end])
        return cuts(sizes, start, self.spec.max_block_bytes)


def _span(places: NDArray[np.int64], partition: int) -> tuple[int, int]:
    start, end = np.searchsorted(places, (partition << PLACE_BITS, partition + 1 << PLACE_BITS))
    return int(start), int(end)


def warm_decoders(events: EventFold) -> None:
    """Compile the decoder of every known schema: other objectives may read other labels."""
    for header in _headers(events.framing):
        events.warm(header)


def _headers(framing: Framing) -> list[bytes]:
    """One header of each known schema of events."""
    return list({text: header for header, text in framing.known(EVENT).items()}.values())


def warm(
    cache_dir: Path,
    framing: Framing,
    objectives: Any,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Compile every kernel and the decoder of every known schema, before a consumer starts.

    `progress(what, done, total)` is called before each piece, and once when all are done.
    """
    say = progress or (lambda what, done, total: None)
    pieces: list[tuple[str, Callable[[], None]]] = [
        (module.__name__.rsplit(".", 1)[-1], module.warm)
        for module in (classify, ddsketch, event_columns, gather, intern, longs)
    ]
    fold = EventFold(FoldSpec(), objectives, framing, cache_dir)
    headers = _headers(framing)
    for n, header in enumerate(headers, 1):
        pieces.append((f"decoder {n} of {len(headers)}", lambda header=header: fold.warm(header)))  # type: ignore[misc]
    for done, (what, compile_piece) in enumerate(pieces):
        say(what, done, len(pieces))
        compile_piece()
    say("done", len(pieces), len(pieces))
