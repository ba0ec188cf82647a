"""Blocks of the log folded into rows of the shadow tables, by the same folds that ingest and store run.

Law: the rows of a run are what ingest and store would have written of the same records with these SLO files and this
version, and no other; a run is named by the moment it began, so runs do not meet.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline import blocks as coded
from pipeline.decoding import EventFold
from pipeline.duplicates import Window, WindowSpec
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.records import RecordBlock, UnitFacts
from pipeline.rows import ROWS_MOST, TIERS_S, Rows, count_rows, slice_rows

COUNTS, SLICES, LETTERS = "counts", "slices", "letters"
UNIT_BYTES = 32 << 20
KINDS: dict[str, tuple[str, Callable[[list[Any]], list[Rows]]]] = {
    COUNTS: ("slo_counts", count_rows),
    SLICES: ("slo_slice", slice_rows),
}


@dataclass
class Shadow:
    """Folds blocks, a unit at a time, and gives rows of one range to `insert(rows, token)`."""

    events: EventFold
    run: int
    from_us: int
    to_us: int
    insert: Callable[[Rows, str], None]
    window: WindowSpec | None = None  # where duplicates are left out
    records: int = 0
    dead_letters: int = 0
    rows: int = 0
    _units: int = 0
    _windows: dict[int, Window] = field(default_factory=dict)
    _blocks: list[RecordBlock] = field(default_factory=list)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._fold = IngestFold(IngestSpec(COUNTS, SLICES, LETTERS, 1, 1), self.events)

    def add(self, block: RecordBlock) -> None:
        """Take a block; a unit is folded when enough has gathered."""
        if self.window is not None and block.partition not in self._windows:
            self._windows[block.partition] = Window(self.window)
        self._blocks.append(block)
        self._bytes += block.buffer.nbytes
        if self._bytes >= UNIT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Fold what has gathered."""
        if not self._blocks:
            return
        first, last = self._blocks[0], self._blocks[-1]
        facts = UnitFacts(first.topic, first.partition, 1, first.first_offset, last.next_offset, self.run)
        unit = self._fold.fold(self._blocks, facts, self._windows)
        self.records += sum(map(len, self._blocks))
        self.dead_letters += sum(record.topic == LETTERS for record in unit.records)
        for kind, (schema, rows_of) in KINDS.items():
            columns = [coded.decode(schema, record.value or b"") for record in unit.records if record.topic == kind]
            for number, rows in enumerate(rows_of(columns)):
                self._insert(kind, number, rows)
        self._blocks, self._bytes, self._units = [], 0, self._units + 1

    def _insert(self, kind: str, number: int, rows: Rows) -> None:
        """Insert what lies in the range. Every tier's slices do, or do not, since the range is of whole hours."""
        chosen = [i for i, start in enumerate(rows.columns["slice_start"]) if self.from_us <= start < self.to_us]
        if not chosen:
            return
        columns = {name: [column[i] for i in chosen] for name, column in rows.columns.items()}
        tier = rows.table.rpartition("_")[2]
        assert tier in TIERS_S and len(chosen) <= ROWS_MOST
        columns |= {"run": [self.run] * len(chosen), "tier": [tier] * len(chosen)}
        self.insert(Rows(f"{kind}_shadow", rows.day, columns, rows.piece), f"replay/{self.run}/{self._units}/{number}")
        self.rows += len(chosen)
