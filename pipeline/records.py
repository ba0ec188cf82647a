"""What crosses the edges of a step: blocks of records in, records out, and the unit that joins them.

Pure data. A block is all the records of one partition out of one fetch, as columns over its bytes; no Python object
per record. Law: blocks of one partition are contiguous, block[i].next_offset == block[i + 1].first_offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: spare bytes behind `RecordBlock.buffer`, so that kernels may load 8 bytes at any record's last byte
PADDING = 64
HEADERS_MOST = 10_000  #: of one record; a count past it is no count


@dataclass(slots=True)
class RecordBlock:
    """Records of one partition, as columns. Covers [first_offset, next_offset), holes included."""

    topic: str
    partition: int
    first_offset: int  # where the read began
    next_offset: int  # where the consumer continues: what is committed
    buffer: NDArray[np.uint8]  # keys and values live here; ends with PADDING spare bytes
    value_start: NDArray[np.int64]
    value_length: NDArray[np.int32]  # -1: null value (tombstone)
    key_start: NDArray[np.int64]
    key_length: NDArray[np.int32]  # -1: null key
    append_time_ms: NDArray[np.int64]  # the record's timestamp; the broker's with LogAppendTime
    offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)

    def some(self, chosen: slice | NDArray[np.intp], first_offset: int, next_offset: int) -> "RecordBlock":
        """A block of some of the records, which stands for [first_offset, next_offset); the bytes are shared."""
        return RecordBlock(
            self.topic, self.partition, first_offset, next_offset, self.buffer,
            self.value_start[chosen], self.value_length[chosen], self.key_start[chosen], self.key_length[chosen],
            self.append_time_ms[chosen], self.offset[chosen],
        )  # fmt: skip

    def value(self, index: int) -> bytes | None:
        """Copy one value out: for dead letters and small topics."""
        return _span(self.buffer, int(self.value_start[index]), int(self.value_length[index]))

    def key(self, index: int) -> bytes | None:
        return _span(self.buffer, int(self.key_start[index]), int(self.key_length[index]))

    def headers(self, index: int) -> tuple[tuple[str, bytes | None], ...]:
        """Read one record's headers, which lie right behind its value in Kafka's record format.

        Raises: IndexError, ValueError when what lies there is none.
        """
        at = int(self.value_start[index]) + max(int(self.value_length[index]), 0)
        count, at = _zigzag(self.buffer, at)
        if count > HEADERS_MOST:
            raise ValueError(f"{count} headers")
        found = []
        for _ in range(count):
            length, at = _zigzag(self.buffer, at)
            name, at = _span(self.buffer, at, length), at + max(length, 0)
            length, at = _zigzag(self.buffer, at)
            found.append(((name or b"").decode("utf-8", "replace"), _span(self.buffer, at, length)))
            at += max(length, 0)
        return tuple(found)


def joined(blocks: Sequence[RecordBlock]) -> RecordBlock:
    """Copy contiguous blocks into one. For small topics, whose blocks are a few records each."""
    if len(blocks) == 1:
        return blocks[0]
    first, last = blocks[0], blocks[-1]
    shifts = np.cumsum([0, *(block.buffer.size for block in blocks[:-1])])
    starts = (
        np.concatenate([getattr(block, name) + shift for block, shift in zip(blocks, shifts, strict=True)])
        for name in ("value_start", "key_start")
    )
    values, keys = starts
    buffer, value_length, key_length, append_time_ms, offset = (
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("buffer", "value_length", "key_length", "append_time_ms", "offset")
    )
    return RecordBlock(
        first.topic, first.partition, first.first_offset, last.next_offset, buffer, values, value_length, keys,
        key_length, append_time_ms, offset,
    )  # fmt: skip


def _zigzag(buffer: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return the variable-length integer at `at` and the position behind it.

    Raises: IndexError, ValueError. A longer number than Kafka's would take time by the square of its length.
    """
    number = 0
    for shift in range(0, 35, 7):
        byte = int(buffer[at])
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return (number >> 1) ^ -(number & 1), at
    raise ValueError("a number of more than 32 bits")


def _span(buffer: NDArray[np.uint8], start: int, length: int) -> bytes | None:
    return None if length < 0 else buffer[start : start + length].tobytes()


@dataclass(frozen=True, slots=True)
class OutRecord:
    """One record to write. `partition` None: chosen by the key's hash."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What a fold may know of the world besides its blocks."""

    topic: str
    partition: int
    partitions: int  # of the topic
    first_offset: int  # the unit covers [first_offset, next_offset)
    next_offset: int
    flushed_at_us: int  # processing time at which the unit was frozen
    idle_us: int = 0  # how long the partition has been read to its end and silent; 0: not idle


@dataclass(frozen=True, slots=True)
class Unit:
    """What one unit writes. With `commit` the source offset goes into the same transaction."""

    records: list[OutRecord] = field(default_factory=list)
    commit: bool = True
    batches: list[Any] = field(default_factory=list)  # what a ledger stores; fold and ledger know its type
