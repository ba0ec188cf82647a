"""Rows: the entries of many blocks merged into one row per series, or SLO instance, and slice of each tier.

Pure. Law: in every tier the rows of a batch are the sums of its blocks' entries, and their order depends on
nothing but the records. Columns that the kernels could not stand are refused here as `Malformed`. Refuses to know where
rows go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Malformed
from pipeline.kernels.ddsketch import BINS, TOP_BIN
from pipeline.kernels.states import BIN_BYTES, FIXED_BYTES, encode_states
from pipeline.series import BASE_LABELS

Block = Mapping[str, Any]  #: what blocks.decode returns
Longs = NDArray[np.int64]
Names = tuple[str, ...]

ROWS_MOST = 4_096  #: of one insert; three sketch states take the server about 8 KB a row while it inserts them
TIERS_S = {"10s": 10, "1m": 60, "1h": 3_600}  #: tables of a kind, and how long their slices are
DAY_S = 86_400
SKETCHES = ("e2e", "ttft", "tpot")
OUTCOMES = ("success", "error", "timeout", "cancelled", "shed", "rate_limited", "rejected", "unknown")
COUNTERS = (*OUTCOMES, "retries", "cold_starts", "input_tokens", "output_tokens", "cost_picousd", "gpu_us")
TALLIES = ("good", "bad", "excluded")


@dataclass(frozen=True)
class Rows:
    """Columns of equal length for one table, all of one day: one insert, one part, all or nothing."""

    table: str
    day: int  # since the epoch; -1: the table has no days
    columns: dict[str, list[Any]]
    piece: int = 0  # of its day, in this batch

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True)
class Groups:
    """Entries grouped into rows, which are ordered by day, id and start.

    Shapes: order (entry,); starts (row + 1,) into order; ids, slice_start_s (row,).
    """

    order: Longs
    starts: Longs
    ids: Longs
    slice_start_s: Longs

    def sums(self, values: Longs) -> Longs:
        return np.add.reduceat(values[self.order], self.starts[:-1]) if len(self.ids) else values[:0]

    def days(self) -> list[tuple[int, slice]]:
        """Each day and which rows are its own."""
        days = self.slice_start_s // DAY_S
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
        return [(int(days[a]), slice(a, b)) for a, b in pairwise(edges) if a < b]


def grouped(ids: Longs, slice_start_s: Longs) -> Groups:
    """Group entries of equal id and slice."""
    order = np.lexsort((slice_start_s, ids, slice_start_s // DAY_S)).astype(np.int64)
    ids, slice_start_s = ids[order], slice_start_s[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (np.diff(ids) != 0) | (np.diff(slice_start_s) != 0)
    firsts = np.flatnonzero(is_first)
    return Groups(order, np.append(firsts, len(order)).astype(np.int64), ids[firsts], slice_start_s[firsts])


def _joined(blocks: Sequence[Block], name: str) -> Longs:
    return np.concatenate([block[name] for block in blocks]) if blocks else np.empty(0, np.int64)


def _numbered(found: Sequence[Sequence[Names]], indexes: Sequence[Longs]) -> tuple[list[Names], Longs]:
    """Give every distinct name tuple one id, in order of appearance; return the names and each entry's id."""
    known: dict[Names, int] = {}
    ids = []
    for names, index in zip(found, indexes, strict=True):
        local = np.array([known.setdefault(name, len(known)) for name in names], np.int64)
        ids.append(local[index])
    return list(known), np.concatenate(ids) if ids else np.empty(0, np.int64)


def _by_day(table: str, groups: Groups, columns: Mapping[str, list[Any]]) -> list[Rows]:
    """Cut by day, and each day into pieces that a server can hold in memory."""
    return [
        Rows(table, day, {name: column[at : min(at + ROWS_MOST, rows.stop)] for name, column in columns.items()}, piece)
        for day, rows in groups.days()
        for piece, at in enumerate(range(rows.start, rows.stop, ROWS_MOST))
    ]


def _named(names: Sequence[str], known: Sequence[Names], ids: Longs) -> dict[str, list[Any]]:
    rows = [known[i] for i in ids.tolist()]
    return {name: [row[j] for row in rows] for j, name in enumerate(names)}


# -- slo.counts
def count_rows(blocks: Sequence[Block]) -> list[Rows]:
    """Merge the 1 s entries of slo.counts blocks into rows of each tier, day by day."""
    found = [list(zip(b["slos"], b["revisions"], b["instances"], strict=True)) for b in blocks]
    known, ids = _numbered(found, [b["instance_index"] for b in blocks])
    starts_s = _joined(blocks, "slice_start_s")
    values = {name: _joined(blocks, name) for name in TALLIES}
    rows = []
    for tier, span_s in TIERS_S.items():
        groups = grouped(ids, starts_s // span_s * span_s)
        columns = _named(("slo", "revision", "instance"), known, groups.ids) | _summed(groups, values)
        rows += _by_day(f"counts_{tier}", groups, columns)
    return rows


def _summed(groups: Groups, values: Mapping[str, Longs]) -> dict[str, list[Any]]:
    starts = (groups.slice_start_s * 1_000_000).tolist()
    return {"slice_start": starts} | {name: groups.sums(column).tolist() for name, column in values.items()}


def check_counts(block: Block) -> None:
    """Refuse columns that do not fit together.

    Raises: Malformed.
    """
    _check(len(block["slos"]) == len(block["revisions"]) == len(block["instances"]), "instances")
    _check_index(block["instance_index"], len(block["slos"]), "instance_index")
    _check_lengths(block, ("slice_start_s", *TALLIES), len(block["instance_index"]))


# -- slo.slices
def slice_rows(blocks: Sequence[Block]) -> list[Rows]:
    """Merge the entries of slo.slices blocks into rows of each tier, day by day, sketches as states."""
    known, ids = _numbered([_series(b) for b in blocks], [b["series_index"] for b in blocks])
    starts_s = _joined(blocks, "slice_start_s")
    values = {name: _joined(blocks, name) for name in COUNTERS}
    runs = {name: [_joined(blocks, f"{name}_{part}") for part in ("lengths", "bins", "counts")] for name in SKETCHES}
    rows = []
    for tier, span_s in TIERS_S.items():
        groups = grouped(ids, starts_s // span_s * span_s)
        columns = _named(BASE_LABELS, known, groups.ids) | _summed(groups, values)
        columns |= {f"{name}_state": states(groups, *run) for name, run in runs.items()}
        rows += _by_day(f"slices_{tier}", groups, columns)
    return rows


def _series(block: Block) -> list[Names]:
    """The base labels of each series of a block, whatever others it has and in which order."""
    names, labels = list(block["label_names"]), block["labels"]
    columns = [labels[names.index(name) :: len(names)] for name in BASE_LABELS]
    return list(zip(*columns, strict=True))


def states(groups: Groups, lengths: Longs, bins: Longs, counts: Longs) -> list[bytes]:
    """Merge sparse bins into one quantilesDD state a row.

    Shapes: lengths (entry,); bins, counts (bin,), entry after entry.
    """
    ends = np.append(0, np.cumsum(lengths)).astype(np.int64)
    out = np.empty(len(groups.ids) * FIXED_BYTES + len(bins) * BIN_BYTES, np.uint8)
    offsets = np.empty(len(groups.ids) + 1, np.int64)
    scratch = np.zeros(BINS, np.int64)
    bins, counts = np.ascontiguousarray(bins, np.int64), np.ascontiguousarray(counts, np.int64)
    encode_states(groups.starts, groups.order, ends, bins, counts, scratch, out, offsets)
    written = out[: offsets[-1]].tobytes()
    return [written[a:b] for a, b in pairwise(offsets.tolist())]


def check_slices(block: Block) -> None:
    """Refuse columns that do not fit together, and bins that would leave a kernel's row.

    Raises: Malformed.
    """
    names = block["label_names"]
    _check(set(BASE_LABELS) <= set(names) and len(set(names)) == len(names), "label_names")
    _check(len(block["labels"]) % len(names) == 0, "labels")
    _check_index(block["series_index"], len(block["labels"]) // len(names), "series_index")
    entries = len(block["series_index"])
    _check_lengths(block, ("slice_start_s", *COUNTERS, *(f"{name}_lengths" for name in SKETCHES)), entries)
    for name in SKETCHES:
        lengths, bins, counts = (block[f"{name}_{part}"] for part in ("lengths", "bins", "counts"))
        _check(len(lengths) == 0 or int(lengths.min()) >= 0, f"{name}_lengths")
        _check(int(lengths.sum()) == len(bins) == len(counts), f"{name}_bins")
        _check_index(bins, TOP_BIN + 1, f"{name}_bins")
        _check(len(counts) == 0 or int(counts.min()) >= 0, f"{name}_counts")


def _check(holds: bool, column: str) -> None:
    if not holds:
        raise Malformed(f"column {column} does not fit the block's others")


def _check_index(index: Longs, limit: int, column: str) -> None:
    _check(len(index) == 0 or (int(index.min()) >= 0 and int(index.max()) < limit), column)


def _check_lengths(block: Block, columns: Sequence[str], length: int) -> None:
    for column in columns:
        _check(len(block[column]) == length, column)


# -- how far the store has come
def mark_rows(topic: str, partition: int, first_offset: int, last_offset: int, blocks: Sequence[Block]) -> Rows:
    """Say that [first_offset, last_offset] of a derived partition is stored: one row per source partition."""
    sources: dict[tuple[str, int], list[Block]] = {}
    for block in blocks:
        sources.setdefault((block["source_topic"], block["source_partition"]), []).append(block)
    count = len(sources)
    return Rows("marks", -1, {
        "topic": [topic] * count,
        "partition": [partition] * count,
        "source_topic": [name for name, _ in sources],
        "source_partition": [number for _, number in sources],
        "first_offset": [first_offset] * count,
        "last_offset": [last_offset] * count,
        "source_next_offset": [max(b["next_offset"] for b in mine) for mine in sources.values()],
        "event_time_max": [_latest(mine) for mine in sources.values()],
        "flushed_at": [max(b["flushed_at"] for b in mine) for mine in sources.values()],
        "idle_us": [mine[-1]["idle_us"] for mine in sources.values()],
        "counters": [_added(b.get("counters", {}) for b in mine) for mine in sources.values()],
    })  # fmt: skip


def _latest(blocks: Sequence[Block]) -> int | None:
    return max((b["max_event_time"] for b in blocks if b["max_event_time"] is not None), default=None)


def _added(counters: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for name, value in chain.from_iterable(counter.items() for counter in counters):
        total[name] = total.get(name, 0) + value
    return total
