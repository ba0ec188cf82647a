"""Refolding: blocks of a log folded anew as ingest folds them, a unit at a time, for whoever counts the past.

Pure. What a unit gives goes to `take`, with the number of the unit. Duplicates are left out as ingest leaves them out,
where there is a window for them.
"""

from collections.abc import Callable

from pipeline.decoding import EventFold
from pipeline.duplicates import Window, WindowSpec
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.records import RecordBlock, Unit, UnitFacts

COUNTS, SLICES, LETTERS = "counts", "slices", "letters"  #: names of topics that are not
UNIT_BYTES = 32 << 20


class Refold:
    """Gathers blocks, and folds them when there are enough for a unit."""

    def __init__(
        self,
        events: EventFold,
        take: Callable[[Unit, int], None],
        window: WindowSpec | None = None,
        flushed_at_us: int = 0,
        unit_bytes: int = UNIT_BYTES,
    ) -> None:
        """`flushed_at_us`: the moment that every unit says it is of."""
        self._fold = IngestFold(IngestSpec(COUNTS, SLICES, LETTERS, 1, 1), events)
        self._take, self._window, self._flushed_at_us, self._unit_bytes = take, window, flushed_at_us, unit_bytes
        self._windows: dict[int, Window] = {}
        self._blocks: list[RecordBlock] = []
        self._bytes = self._units = self.records = 0

    def add(self, block: RecordBlock) -> None:
        """Take a block."""
        if self._window is not None and block.partition not in self._windows:
            self._windows[block.partition] = Window(self._window)
        self._blocks.append(block)
        self._bytes += block.buffer.nbytes
        if self._bytes >= self._unit_bytes:
            self.flush()

    def flush(self) -> None:
        """Fold what has gathered."""
        if not self._blocks:
            return
        first, last = self._blocks[0], self._blocks[-1]
        facts = UnitFacts(first.topic, first.partition, 1, first.first_offset, last.next_offset, self._flushed_at_us)
        unit = self._fold.fold(self._blocks, facts, self._windows)
        self.records += sum(map(len, self._blocks))
        self._take(unit, self._units)
        self._blocks, self._bytes, self._units = [], 0, self._units + 1
