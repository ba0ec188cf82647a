"""Blocks of the log folded into rows of the shadow tables, by the same folds that ingest and store run.

Law: the rows of a run are what ingest and store would have written of the same records with these SLO files and this
version, and no other; a run is named by the moment it began, so runs do not meet.
"""

from collections.abc import Callable
from typing import Any

from pipeline import blocks as coded
from pipeline.decoding import EventFold
from pipeline.duplicates import WindowSpec
from pipeline.records import Unit
from pipeline.refolding import COUNTS, LETTERS, SLICES, Refold
from pipeline.rows import ROWS_MOST, TIERS_S, Rows, count_rows, slice_rows

KINDS: dict[str, tuple[str, Callable[[list[Any]], list[Rows]]]] = {
    COUNTS: ("slo_counts", count_rows),
    SLICES: ("slo_slice", slice_rows),
}


class Shadow:
    """Folds blocks, a unit at a time, and gives rows of one range to `insert(rows, token)`."""

    def __init__(
        self,
        events: EventFold,
        run: int,
        from_us: int,
        to_us: int,
        insert: Callable[[Rows, str], None],
        window: WindowSpec | None = None,
    ) -> None:
        """`window`: where duplicates are left out."""
        self.run, self.from_us, self.to_us, self.insert = run, from_us, to_us, insert
        self.dead_letters = self.rows = 0
        self._refold = Refold(events, self._take, window, run)
        self.add, self.flush = self._refold.add, self._refold.flush

    @property
    def records(self) -> int:
        """Of all that was folded."""
        return self._refold.records

    def _take(self, unit: Unit, number: int) -> None:
        self.dead_letters += sum(record.topic == LETTERS for record in unit.records)
        for kind, (schema, rows_of) in KINDS.items():
            columns = [coded.decode(schema, record.value or b"") for record in unit.records if record.topic == kind]
            for piece, rows in enumerate(rows_of(columns)):
                self._insert(kind, f"{number}/{piece}", rows)

    def _insert(self, kind: str, place: str, rows: Rows) -> None:
        """Insert what lies in the range. Every tier's slices do, or do not, since the range is of whole hours."""
        chosen = [i for i, start in enumerate(rows.columns["slice_start"]) if self.from_us <= start < self.to_us]
        if not chosen:
            return
        columns = {name: [column[i] for i in chosen] for name, column in rows.columns.items()}
        tier = rows.table.rpartition("_")[2]
        assert tier in TIERS_S and len(chosen) <= ROWS_MOST
        columns |= {"run": [self.run] * len(chosen), "tier": [tier] * len(chosen)}
        self.insert(Rows(f"{kind}_shadow", rows.day, columns, rows.piece), f"replay/{self.run}/{place}")
        self.rows += len(chosen)
