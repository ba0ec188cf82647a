"""One partition at work: its fold, the blocks that wait for it, and the offset expected next.

    blocks ──► queue ──► frozen (blocks, offsets) ──► fold, in a thread ──► ledger
               the next unit gathers here meanwhile, and is folded while this one is written

Laws (each found by a crash test):
- A block counts only from the expected offset on; what was read before a seek is stale and dropped, and of a
  block that comes again with other borders only what is new counts.
- What a unit covers is frozen in one go, before anything is awaited.
- After a failure nothing goes on from here: `is_void`.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from faust.types import TP

from pipeline.records import RecordBlock, Unit, UnitFacts
from pipeline.transport.record_blocks import without_records_before


class Fold(Protocol):
    """What a step does with one partition's blocks. Pure but for its own memory."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one entry of the state topic, before the first block."""

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        """Fold a unit; may run in a thread, never twice at once for one partition."""


class Frozen(NamedTuple):
    """What one unit covers."""

    blocks: list[RecordBlock]
    facts: UnitFacts
    bytes: int


AFTER_MS = 100  #: behind a cell's end its last events are on their way: producers wait for a batch to fill
LIVE_MS = 2_000


@dataclass(eq=False)
class Owned:
    """One partition's state."""

    tp: TP
    partitions: int  # of its topic
    fold: Fold
    expected: int
    due_s: float
    lost: int = 0  # offsets before it that were deleted unread, and are not reported yet
    folded: int = field(init=False)  # every unit below this offset is written or being written
    blocks: list[RecordBlock] = field(default_factory=list)
    queued_bytes: int = 0  # of the blocks and of what is being folded
    held_bytes: int = 0  # of units that are not written yet, where they are as large as their input
    newest_ms: int = 0  # append time of the newest record
    ended_ms: int = 0  # of the newest one in the last unit
    quiet_since_s: float | None = None  # read to its end and silent
    gap_since_s: float | None = None  # blocks come that do not follow
    short_since_s: float | None = None  # the log ends before what was read of it
    has_followed: bool = False  # something was queued: what was read before a seek is over
    is_gone: bool = False  # the log was short, and comes again from before that: it is another one
    queued_since_s: float | None = None
    in_flight_since_s: deque[float | None] = field(default_factory=deque)  # of units not yet written
    flush: asyncio.Task[None] | None = None
    writing: asyncio.Task[None] | None = None
    writing_since_s: float | None = None
    is_starting: bool = False  # its flush was made and has not begun
    is_leaving: bool = False
    is_void: bool = False

    def __post_init__(self) -> None:
        """Start at a unit's border."""
        self.folded = self.expected

    def is_cell_over(self, cell_ms: float, now_ms: int) -> bool:
        """Whether what waits reaches behind the end of a cell of the broker's clock in which the last unit ended.

            appended   ..........|.....^   a unit ends here: all of the cell's events are in it, but for stragglers
                          cell   | AFTER_MS

        A second is judged once every partition has counted it, so an alert waits for the last of them: units that end
        whenever they are due keep it waiting for up to another one. What was appended long ago is a backlog, which goes
        on in the largest units there are.
        """
        is_live = bool(self.blocks) and abs(now_ms - self.newest_ms) < LIVE_MS
        return is_live and (self.newest_ms - AFTER_MS) // cell_ms > (self.ended_ms - AFTER_MS) // cell_ms

    def accept(self, block: RecordBlock, now_s: float) -> RecordBlock | None:
        """Queue what is new of a block; None: nothing is."""
        if block.first_offset > self.expected:
            self.gap_since_s = self.gap_since_s or now_s
            return None
        if block.next_offset <= self.expected:
            self.is_gone |= self.has_followed and self.short_since_s is not None and len(block) > 0
            return None
        if block.first_offset < self.expected:
            block = without_records_before(block, self.expected)
        self.blocks.append(block)
        self.has_followed = True
        self.expected = block.next_offset
        self.queued_bytes += block.buffer.nbytes
        self.newest_ms = max(self.newest_ms, int(block.append_time_ms[-1])) if len(block) else self.newest_ms
        self.quiet_since_s = self.gap_since_s = None
        self.queued_since_s = self.queued_since_s or now_s
        return block

    def short_s(self, end: int | None, now_s: float) -> float:
        """For how long the log has ended before what was read of it.

        One answer alone may say so: a broker notes the end first, and then reads what came meanwhile. An end that is
        not known says nothing, neither that it is short nor that it is not.
        """
        if end is None or end < 0:
            return 0.0
        self.short_since_s = (self.short_since_s or now_s) if end < self.expected else None
        return 0.0 if self.short_since_s is None else now_s - self.short_since_s

    def freeze(self, end: int | None, now_s: float, now_us: int) -> Frozen:
        """Take the queue and what a fold may know, in one go. `end`: the partition's, None: not known."""
        blocks, self.blocks = self.blocks, []
        facts = UnitFacts(
            self.tp.topic, self.tp.partition, self.partitions, self.folded, self.expected, now_us,
            self._idle_us(bool(blocks), end, now_s),
        )  # fmt: skip
        self.folded, self.ended_ms = self.expected, self.newest_ms
        self.in_flight_since_s.append(self.queued_since_s)
        self.queued_since_s = None
        return Frozen(blocks, facts, sum(block.buffer.nbytes for block in blocks))

    def _idle_us(self, has_blocks: bool, end: int | None, now_s: float) -> int:
        """How long the partition has been read to its end and silent."""
        if has_blocks or end is None or self.expected < end:
            self.quiet_since_s = None
            return 0
        self.quiet_since_s = self.quiet_since_s or now_s
        return int((now_s - self.quiet_since_s) * 1_000_000)

    @property
    def is_flushing(self) -> bool:
        """Whether a unit of it is being folded, or waits for its turn."""
        return self.flush is not None and not self.flush.done()

    def waiting_since_s(self) -> float | None:
        """Time since which the oldest block waits to be written; None: none does."""
        return min((s for s in (*self.in_flight_since_s, self.queued_since_s) if s is not None), default=None)
