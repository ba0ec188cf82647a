"""Windows: which cells an SLO instance keeps, the rows of a judge partition's instances, their snapshots.

Pure. Cells are 1 s for windows up to 5 min, 10 s up to 2 h, 5 min up to 3 d, 1 h above; windows of one cell
size share a ring. A window that ends at `end` is [floor((end - W) / cell) x cell, end): never shorter than W,
longer by less than a cell; an event of second s belongs to windows that end at s + 1 or later.

    |<-- cell -->|                       W = 4 cells
    |..####|######|######|######|######|##         #: in the window
    ^ start       end - W is in here     ^ end

The compliance window of a calendar is [start of the period, end): sums without cells, emptied when another period
begins. Law: sums == what a dictionary of seconds gives under these rules (tests/naive/windows.py); snapshot,
restore and continue == continue, bit for bit. Bytes a row: 8 a cell, 4 more a cell of the compliance window: 19.4 KB
for the preset `default` at 30 d, 24 KB for `workbook`; of a calendar 10.8 KB and 15.4 KB; timeslices 19.4 KB and
24 KB.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import rings as k
from pipeline.kernels.slices import KEPT, KEPT_OF_SUMS
from pipeline.seeding import cells_of, coarsest, excluded_of, numbers_of

#: longest window -> seconds a cell
CELLS_BY_SPAN = ((300, 1), (7_200, 10), (259_200, 300))
COARSEST_CELL_S = 3_600
FIRST_ROWS = 16
PIECE_BYTES = 4 << 20  #: of one record: while a source is behind, many entries wait, and the broker takes 8 MB


class Layout(NamedTuple):
    """The rings of one objective's instances. Windows: the alerts' ascending, the compliance window last."""

    tiers: tuple[tuple[int, int, int, int], ...]  # CELL_S, CELLS, START, LONGEST_S of kernels.rings
    spans_s: tuple[int, ...]
    tier_of: tuple[int, ...]  # window -> tier
    slice_s: int = 0  # of timeslices; 0: events are counted
    are_sums: bool = False  # of tokens or cost: two cells a slice

    @property
    def kept_slices(self) -> int:
        """How many timeslices keep their counts."""
        return KEPT_OF_SUMS if self.are_sums else KEPT

    @property
    def width(self) -> int:
        """Cells a row."""
        return self.kept_at + (KEPT if self.slice_s else 0)

    @property
    def kept_at(self) -> int:
        """First of the cells that hold the last timeslices."""
        return sum(tier[k.CELLS] for tier in self.tiers)

    @property
    def compliance_cells(self) -> int:
        """Cells that count what is excluded: of timeslices, that is all time without a verdict."""
        return 0 if self.is_calendar or self.slice_s else self.tiers[self.tier_of[-1]][k.CELLS]

    @property
    def is_calendar(self) -> bool:
        return self.tier_of[-1] == k.NO_TIER


def cell_s(span_s: int) -> int:
    """Seconds a cell of a window has."""
    return next((cell for longest, cell in CELLS_BY_SPAN if span_s <= longest), COARSEST_CELL_S)


def start_of(end: int, span_s: int) -> int:
    """First second of a rolling window: end - W, rounded down to its cell."""
    return (end - span_s) // cell_s(span_s) * cell_s(span_s)


def layout(
    alert_spans_s: Iterable[int],
    compliance_s: int,
    is_calendar: bool = False,
    slice_s: int = 0,
    are_sums: bool = False,
) -> Layout:
    """Lay out the rings for some windows; `compliance_s` of a calendar: the longest it can be."""
    alerts = tuple(sorted(set(alert_spans_s)))
    spans = (*alerts, compliance_s)
    longest: dict[int, int] = {}
    for span in alerts if is_calendar else sorted(spans):
        longest[cell_s(span)] = span
    tiers, start = [], 0
    for size, span in longest.items():
        cells = (span + size - 2) // size + 1  # most that a window can touch
        tiers.append((size, cells, start, span))
        start += cells
    places = [list(longest).index(cell_s(span)) for span in (alerts if is_calendar else spans)]
    return Layout(tuple(tiers), spans, (*places, k.NO_TIER) if is_calendar else tuple(places), slice_s, are_sums)


def row_bytes(rings: Layout) -> int:
    """Memory of one instance."""
    return 8 * rings.width + 4 * rings.compliance_cells + 16 * len(rings.spans_s) + 8 * k.WORDS


class Bank:
    """The rows of all instances of one judge partition, in arrays that double when they are full.

    Memory is touched only where something is counted, so capacity costs address space, not pages.
    """

    def __init__(self, layouts: Iterable[Layout], tables: k.Tables) -> None:
        self.tables = tables
        self.layouts = tuple(layouts)
        self.lost = np.zeros(1, np.int64)  # events that did not fit into a cell
        self.hands = np.zeros((tables.tiers.shape[1] + tables.windows.shape[1], 2), np.int64)  # scratch
        self.used = 0
        self._free: list[int] = []
        self.rows = self._empty(FIRST_ROWS)

    def _empty(self, rows: int) -> k.Rows:
        widest = max([1, *(each.width for each in self.layouts)])
        compliance = max([1, *(each.compliance_cells for each in self.layouts)])
        windows = max((len(each.spans_s) for each in self.layouts), default=1)
        return k.Rows(
            np.zeros((rows, widest, 2), np.uint32),
            np.zeros((rows, compliance), np.uint32),
            np.zeros((rows, windows, 2), np.int64),
            np.zeros((rows, k.WORDS), np.int64),
        )

    def take(self, objective: int, at: int) -> int:
        """Give a row to a new instance; `at` is the last second judged."""
        if self._free:
            row = self._free.pop()
        else:
            row, self.used = self.used, self.used + 1
            if row == len(self.rows.words):
                more = self._empty(2 * row)
                for new, old in zip(more, self.rows, strict=True):
                    new[:row] = old
                self.rows = more
        words = self.rows.words[row]
        words[:] = 0
        words[[k.AT, k.FIRST, k.OBJECTIVE, k.WAKE]] = at, -1, objective, k.NEVER
        return row

    def give_back(self, row: int) -> None:
        """Forget an instance."""
        for array in self.rows:
            array[row] = 0
        self._free.append(row)

    def active(self) -> NDArray[np.int64]:
        """Rows that belong to instances."""
        return np.setdiff1d(np.arange(self.used), np.array(self._free, np.int64), assume_unique=True)

    def is_over(self, row: int, at: int) -> bool:
        """Whether no window that ends at `at` reaches the instance's last entry."""
        words = self.rows.words[row]
        rings, last = self.layouts[words[k.OBJECTIVE]], int(words[k.LAST])
        if rings.is_calendar and last + rings.slice_s >= self.tables.periods[words[k.OBJECTIVE], k.SINCE]:
            return False
        reach: int = max((size + longest for size, _, _, longest in rings.tiers), default=0)
        return bool(at - last > reach + rings.slice_s)

    def sums(self, row: int) -> list[tuple[int, int]]:
        """(good, bad) of every window of the row's layout."""
        windows = len(self.layouts[self.rows.words[row, k.OBJECTIVE]].spans_s)
        return [(good, bad) for good, bad in self.rows.sums[row, :windows].tolist()]

    def snapshot(self, row: int) -> dict[str, NDArray[Any]]:
        """Copy a row: its words and, of every tier, how far it reaches and the cells that are not empty, by age."""
        words = self.rows.words[row].copy()
        words[[k.TOUCHED, k.MOVED, k.DUE, k.DUE_END]] = 0
        parts: dict[str, NDArray[Any]] = {"words": words}
        rings = self.layouts[words[k.OBJECTIVE]]
        at = int(words[k.AT])
        parts["reach"] = np.array([(size, longest) for size, _, _, longest in rings.tiers], np.int32).reshape(-1, 2)
        for number, (size, cells, start, _) in enumerate(rings.tiers):
            values = self.rows.cells[row, start : start + cells]
            places = np.flatnonzero(values.any(axis=1))
            parts[f"ages{size}"] = _ages(places, at, size, cells)
            parts[f"cells{size}"] = values[places]
            if number == rings.tier_of[-1] and rings.compliance_cells:
                places = np.flatnonzero(self.rows.excluded[row, :cells])
                parts["ages_excluded"] = _ages(places, at, size, cells)
                parts["excluded"] = self.rows.excluded[row, places]
                parts["excluded_size"] = np.array([size], np.int32)
        if rings.is_calendar:
            since = self.tables.periods[words[k.OBJECTIVE], k.SINCE]
            parts["period"] = np.array([since, *self.rows.sums[row, len(rings.spans_s) - 1], words[k.EXCLUDED]])
        if rings.slice_s:
            kept = self._kept(row, rings)
            places = np.flatnonzero(kept.any(axis=1))
            now = at // rings.slice_s
            parts["slices"], parts["slice_counts"] = now - (now - places) % rings.kept_slices, kept[places]
        return parts

    def restore(self, row: int, at: int, parts: Mapping[str, NDArray[Any]]) -> None:
        """Fill a fresh row from a snapshot, advanced to `at` as if nothing had come since.

        Where the objective's windows changed, cells are made of those that are there. Of a compliance window of which
        less is known than it reaches, KNOWN tells since when; of others it stays.
        """
        words, objective = self.rows.words[row], int(self.rows.words[row, k.OBJECTIVE])
        words[:] = parts["words"]
        words[[k.AT, k.OBJECTIVE]] = at, objective
        rings = self.layouts[objective]
        for number, (size, cells, start, longest) in enumerate(rings.tiers):
            kept, values, _ = cells_of(size, longest, parts)
            alive = kept >= (at - longest) // size
            kept, values = kept[alive], self._fitting(values[alive])
            self.rows.cells[row, start + kept % cells] = values
            for w in (w for w, tier in enumerate(rings.tier_of) if tier == number):
                reached = values[kept >= (at - rings.spans_s[w]) // size]
                self.rows.sums[row, w] = reached.sum(axis=0, dtype=np.int64)
        self._restore_excluded(row, at, parts)
        if rings.slice_s and "slices" in parts:
            known = parts["slices"] > at // rings.slice_s - rings.kept_slices
            places = parts["slices"][known] % rings.kept_slices
            self._kept(row, rings)[places] = parts["slice_counts"][known]

    def _fitting(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return as much of some numbers as cells hold; what they do not is lost, as it is in `put` of the kernels."""
        fits: NDArray[Any] = np.minimum(values, k.MOST_CELL)
        self.lost[0] += int((values - fits).sum())
        return fits

    def _kept(self, row: int, rings: Layout) -> NDArray[np.uint32]:
        """The cells of a row that timeslices keep, a line each; a view."""
        cells: NDArray[np.uint32] = self.rows.cells[row, rings.kept_at : rings.width]
        return cells.reshape(rings.kept_slices, -1)

    def _restore_period(self, row: int, parts: Mapping[str, NDArray[Any]]) -> None:
        """Bring back what was counted in the period that `at` is in, as far as it is known apart."""
        objective = self.rows.words[row, k.OBJECTIVE]
        since, last = int(self.tables.periods[objective, k.SINCE]), len(self.layouts[objective].spans_s) - 1
        period, saved, known = parts.get("period"), int(parts["words"][k.AT]), 0
        if period is None:
            counted, known = _since(since, parts)
        else:
            counted = period[1:] * (period[0] >= since)
            known = int(period[0]) if period[0] > since else saved if period[0] < since < saved else 0
        self.rows.sums[row, last] = counted[:2]
        self.rows.words[row, k.EXCLUDED] = counted[2]
        self._know(row, known)

    def _know(self, row: int, since: int) -> None:
        """Note that nothing is known of the compliance window before a second."""
        self.rows.words[row, k.KNOWN] = max(self.rows.words[row, k.KNOWN], since)

    def _restore_excluded(self, row: int, at: int, parts: Mapping[str, NDArray[Any]]) -> None:
        rings = self.layouts[self.rows.words[row, k.OBJECTIVE]]
        if rings.is_calendar:
            self._restore_period(row, parts)
            return
        size, cells, *_ = rings.tiers[rings.tier_of[-1]]
        self._know(row, _known_since(size, rings.spans_s[-1], parts))
        self.rows.words[row, k.EXCLUDED] = 0
        if rings.compliance_cells:
            starts, values = excluded_of(parts)
            alive = starts // size >= (at - rings.spans_s[-1]) // size
            counted = np.zeros(cells, np.int64)
            np.add.at(counted, starts[alive] // size % cells, values[alive])
            places = np.flatnonzero(counted)  # what is empty is not touched
            self.rows.excluded[row, places] = fits = self._fitting(counted[places])
            self.rows.words[row, k.EXCLUDED] = fits.sum()


def _ages(places: NDArray[np.int64], at: int, size: int, cells: int) -> NDArray[np.int32]:
    """How many cells ago the cells at some places of a ring were."""
    return (((at - 1) // size - places) % cells).astype(np.int32)


def _known_since(size: int, span_s: int, parts: Mapping[str, NDArray[Any]]) -> int:
    """First second from which a snapshot has all cells of a size; 0: all that a window of `span_s` reaches.

    A snapshot that does not say how far its cells reach is taken at the window's word.
    """
    since_s = cells_of(size, span_s, parts).since_s
    return 0 if since_s <= (int(parts["words"][k.AT]) - span_s) // size * size else since_s


def _since(since: int, parts: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.int64], int]:
    """Return good, bad and excluded of a rolling window's cells that begin at `since` or later, and when they do."""
    at, counted = int(parts["words"][k.AT]), np.zeros(3, np.int64)
    size = coarsest(parts)
    whole = min(-(-since // size) * size, at)
    inside = numbers_of(parts[f"ages{size}"], at, size) * size >= since
    counted[:2] = parts[f"cells{size}"][inside].sum(axis=0, dtype=np.int64)
    starts, excluded = excluded_of(parts)
    counted[2] = excluded[starts >= since].sum(dtype=np.int64)
    return counted, max(whole, _known_since(size, at - whole, parts))


def pack(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write a snapshot: facts and arrays, deflated."""
    shapes = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    head = json.dumps([facts, shapes], separators=(",", ":")).encode()
    bodies = (np.ascontiguousarray(array).tobytes() for array in arrays.values())
    return zlib.compress(b"".join((len(head).to_bytes(4, "little"), head, *bodies)), 1)


def unpack(payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what `pack` wrote. Raises: ValueError or zlib.error for anything else."""
    data = zlib.decompress(payload)
    position = 4 + int.from_bytes(data[:4], "little")
    facts, shapes = json.loads(data[4:position])
    arrays = {}
    for name, dtype, shape in shapes:
        count = prod(shape)
        arrays[name] = np.frombuffer(data, np.dtype(dtype), count, position).reshape(shape)
        position += arrays[name].nbytes
    return facts, arrays


def in_pieces(key: str, value: bytes, before: int) -> list[tuple[str, bytes | None]]:
    """A snapshot as records that the broker takes; those of a longer one, which had so many, are withdrawn."""
    found = [value[at : at + PIECE_BYTES] for at in range(0, len(value), PIECE_BYTES)]
    padded = [*found, *[None] * (before - len(found))]
    return [(f"{key}.{n}" if n else key, piece) for n, piece in enumerate(padded)]
