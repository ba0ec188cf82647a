"""Fetched bytes of one partition to blocks: drop-ins for aiokafka's MemoryRecords and PartitionRecords.

Law: same constructor, iterator and `next_fetch_offset` as upstream, but what is iterated are RecordBlocks. A
partial batch at the end is left for the next fetch; control batches and aborted transactions move the offset and
give nothing; a batch that inflates past `batch_bytes` gives one record, whose value is the packed bytes: nobody can
use it, so it becomes a dead letter. What is good in front of a corrupt batch is handed on first: the next fetch
starts with the corrupt one and raises.
"""

import struct
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from aiokafka.errors import CorruptRecordException
from numpy.typing import NDArray

from pipeline.kernels import record_batches as k
from pipeline.kernels.crc32c import crc32c
from pipeline.records import PADDING, RecordBlock
from pipeline.transport.arenas import ARENA_BYTES, arena
from pipeline.transport.inflating import TooLarge, inflate

HEADER = struct.Struct(">qiibIhiqqqhii")
BLOCK_BYTES_MAX = (
    8 << 20
)  #: inflated; a block is cut behind the batch that passes it, unless somebody wants smaller ones
KEPT_BYTES_LEAST = 4 << 20  #: a smaller block is copied out of its arena, which serves again at once
WASTED_TIMES = 4  #: so much room may hang on a block's bytes in memory of its own
BATCH_BYTES_MAX = 256 << 20  #: inflated
RECORD_BYTES_MIN = 7
ABORT = 0
READ_COMMITTED = 1


class Header(NamedTuple):
    """What Python needs of a batch's header."""

    base_offset: int
    size: int
    magic: int
    crc: int
    attributes: int
    last_offset: int
    first_ms: int
    append_ms: int
    producer_id: int
    records: int

    @classmethod
    def read(cls, raw: memoryview, at: int) -> "Header":
        base, length, _, magic, crc, flags, last, first, late, pid, _, _, count = HEADER.unpack_from(raw, at)
        return cls(base, 12 + length, magic, crc, flags, base + last, first, late, pid, count)


class RawMemoryRecords:
    """Keeps the bytes; the two methods the fetcher calls."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes | memoryview | None) -> None:
        self.raw = memoryview(raw or b"").toreadonly()

    def size_in_bytes(self) -> int:
        return len(self.raw)

    def has_next(self) -> bool:
        """Whether there is at least one whole batch."""
        raw = self.raw
        return len(raw) >= k.HEADER_BYTES and len(raw) >= 12 + int.from_bytes(raw[8:12], "big")


class Gathered:
    """Records found so far, their bytes behind each other."""

    def __init__(self) -> None:
        self.columns = np.empty((k.COLUMNS, 0), np.int64)
        self.used = self.bytes = 0
        self._arena = np.empty(0, np.uint8)

    def make_room(self, count: int) -> None:
        """For so many more records."""
        if self.used + count > self.columns.shape[1]:
            larger = np.empty((k.COLUMNS, max(self.used + count, 2 * self.columns.shape[1])), np.int64)
            larger[:, : self.used] = self.columns[:, : self.used]
            self.columns = larger

    def room(self, size: int) -> NDArray[np.uint8]:
        """At least so many free bytes, to be filled from the front: batches are inflated where they stay."""
        if self.bytes + size + PADDING > len(self._arena):
            larger = arena(self.bytes + size + PADDING)
            larger[: self.bytes] = self._arena[: self.bytes]
            self._arena = larger
        return self._arena[self.bytes : len(self._arena) - PADDING]

    def view(self) -> NDArray[np.uint8]:
        """Read-only, as kernels are compiled for."""
        view = self._arena.view()
        view.flags.writeable = False
        return view

    def took(self, used: int, size: int) -> None:
        """Note that the records up to `used` lie in the next so many bytes."""
        if used > self.used:
            self.bytes += size
            self.used = used

    def joined(self) -> NDArray[np.uint8]:
        """The bytes with spare ones at the end."""
        self.room(0)
        end = self.bytes + PADDING
        self._arena[self.bytes : end] = 0
        is_kept = end > KEPT_BYTES_LEAST and len(self._arena) <= max(ARENA_BYTES, WASTED_TIMES * end)
        return self._arena[:end] if is_kept else self._arena[:end].copy()


class RawPartitionRecords:
    """Iterates over the blocks of one partition's fetch."""

    oversized: ClassVar[int] = 0  # batches of this process that inflated too far; the metrics read it

    def __init__(
        self,
        tp: Any,
        records: RawMemoryRecords,
        aborted_transactions: Any,
        fetch_offset: int,
        key_deserializer: Any,
        value_deserializer: Any,
        check_crcs: bool,
        isolation_level: int,
        batch_bytes: int = BATCH_BYTES_MAX,
        block_bytes: int = BLOCK_BYTES_MAX,
    ) -> None:
        del key_deserializer, value_deserializer
        self._tp, self._raw, self._view = tp, records.raw, np.frombuffer(records.raw, np.uint8)
        self._aborted = sorted(aborted_transactions or [], key=lambda entry: entry[1])
        self._aborted_producers: set[int] = set()
        self._check_crcs, self._read_committed = bool(check_crcs), isolation_level == READ_COMMITTED
        self._batch_bytes, self._block_bytes = batch_bytes, block_bytes
        self._least = self.next_fetch_offset = fetch_offset
        self._blocks = self._cut()

    def __iter__(self) -> "RawPartitionRecords":
        return self

    def __next__(self) -> RecordBlock:
        block = next(self._blocks)
        self.next_fetch_offset = block.next_offset
        return block

    def _cut(self) -> Iterator[RecordBlock]:
        """Walk the batches; hand out a block at the end, and whenever enough bytes have gathered."""
        position, first, following, found = 0, self._least, self._least, Gathered()
        while True:
            try:
                position, following, is_end = self._plain(position, following, found)
                if not is_end:
                    header = Header.read(self._raw, position)
                    self._look(position, header, found)
                    following = max(following, header.last_offset + 1)
                    position += header.size
            except CorruptRecordException:
                if following == first:
                    raise
                is_end = True
            if is_end:
                break
            if found.bytes > self._block_bytes:
                yield self._block(first, following, found)
                first, found = following, Gathered()
        if following > first:
            yield self._block(first, following, found)

    def _plain(self, position: int, following: int, found: Gathered) -> tuple[int, int, bool]:
        """Scan plain batches; return (position, next offset, whether nothing whole is left)."""
        view, start = self._view, position
        found.make_room(k.count_plain(view, position, len(view)))
        position, used, following, code = k.scan_batches(
            view, position, len(view), self._least, self._check_crcs, found.columns, found.used, following
        )
        self._copy(found, start, position, used)
        if code in {k.BAD_CRC, k.CORRUPT} and position == start:
            raise self._corrupt("its CRC is wrong" if code == k.BAD_CRC else "it does not parse", position)
        return position, following, code != k.LOOK

    def _look(self, position: int, header: Header, found: Gathered) -> None:
        """Take one batch that is compressed, transactional or control."""
        if header.magic != 2:
            raise self._corrupt(f"message format v{header.magic} is older than Kafka 0.11", position)
        end = position + header.size
        if self._check_crcs and crc32c(self._view, position + 21, end) != header.crc:
            raise self._corrupt("its CRC is wrong", position)
        if self._is_skipped(position, header) or header.last_offset < self._least:
            return
        packed = self._raw[position + k.HEADER_BYTES : end]
        try:
            size = self._inflate(header.attributes & k.CODEC, packed, position, found)
        except TooLarge:
            self._put_aside(header, packed, found)
            return
        if header.records < 0 or header.records * RECORD_BYTES_MIN > size:
            raise self._corrupt("it says more records than it can hold", position)
        found.make_room(header.records)
        fixed_ms = header.append_ms if header.attributes & k.LOG_APPEND_TIME else -1
        used, code = k.scan_records(
            found.view(), found.bytes, found.bytes + size, header.base_offset, header.first_ms, fixed_ms,
            header.records, self._least, found.columns, found.used,
        )  # fmt: skip
        if code != k.DONE:
            raise self._corrupt("it does not parse", position)
        found.took(used, size)

    def _copy(self, found: Gathered, start: int, stop: int, used: int) -> None:
        """Take plain bytes whose records have been found where they are."""
        if used > found.used:
            found.room(stop - start)[: stop - start] = self._view[start:stop]
            found.columns[k.VALUE_START, found.used : used] += found.bytes - start
            found.columns[k.KEY_START, found.used : used] += found.bytes - start
            found.took(used, stop - start)

    def _inflate(self, kind: int, packed: memoryview, position: int, found: Gathered) -> int:
        """Put a batch's plain bytes behind those found so far; return how many they are."""
        if not kind:
            found.room(len(packed))[: len(packed)] = np.frombuffer(packed, np.uint8)
            return len(packed)
        try:
            return inflate(kind, packed, self._batch_bytes, found.room)
        except TooLarge:
            raise
        except KeyError as error:
            raise self._corrupt(f"codec {kind} is unknown", position) from error
        except Exception as error:  # every codec has its own
            raise self._corrupt(f"it cannot be decompressed: {error}", position) from error

    def _put_aside(self, header: Header, packed: memoryview, found: Gathered) -> None:
        """Give the packed bytes as one record without key and headers."""
        RawPartitionRecords.oversized += 1
        size = len(packed)
        room = found.room(size + 1)
        room[:size], room[size] = np.frombuffer(packed, np.uint8), 0  # 0: no headers
        found.make_room(1)
        values = {
            k.VALUE_START: found.bytes, k.VALUE_LENGTH: size, k.KEY_START: found.bytes, k.KEY_LENGTH: -1,
            k.STAMP_MS: header.append_ms, k.OFFSET: max(header.base_offset, self._least),
        }  # fmt: skip
        for column, value in values.items():
            found.columns[column, found.used] = value
        found.took(found.used + 1, size + 1)

    def _is_skipped(self, position: int, header: Header) -> bool:
        """Whether a batch gives no records: control, or of an aborted transaction."""
        is_control = bool(header.attributes & k.CONTROL)
        if not self._read_committed or header.producer_id < 0:
            return is_control
        while self._aborted and self._aborted[0][1] <= header.base_offset:
            self._aborted_producers.add(self._aborted.pop(0)[0])
        end = position + header.size
        if is_control and control_type(self._view, position + k.HEADER_BYTES, end) == ABORT:
            self._aborted_producers.discard(header.producer_id)
        is_aborted = header.attributes & k.TRANSACTIONAL and header.producer_id in self._aborted_producers
        return bool(is_control or is_aborted)

    def _block(self, first: int, following: int, found: Gathered) -> RecordBlock:
        buffer, columns = found.joined(), found.columns[:, : found.used]
        return RecordBlock(
            self._tp.topic, self._tp.partition, first, following, buffer,
            columns[k.VALUE_START], columns[k.VALUE_LENGTH].astype(np.int32),
            columns[k.KEY_START], columns[k.KEY_LENGTH].astype(np.int32),
            columns[k.STAMP_MS], columns[k.OFFSET],
        )  # fmt: skip

    def _corrupt(self, why: str, position: int) -> CorruptRecordException:
        offset = int.from_bytes(self._raw[position : position + 8], "big", signed=True)
        return CorruptRecordException(
            f"the batch at offset {offset} of {self._tp.topic}/{self._tp.partition} is unusable: {why}. "
            "Restore the log, or skip the batch by committing a later offset for the group"
        )


def control_type(view: NDArray[np.uint8], position: int, end: int) -> int:
    """Return what a control batch marks: 0 abort, 1 commit, -1 unknown.

    Its one record's key is a version i16 and a type i16.
    """
    _, at = k.varlong(view, position, end)
    _, at = k.varlong(view, at + 1, end)  # behind a byte of attributes
    _, at = k.varlong(view, at, end)
    length, at = k.varlong(view, at, end)
    return int(view[at + 2]) << 8 | int(view[at + 3]) if length >= 4 and 0 <= at <= end - 4 else -1


def without_records_before(block: RecordBlock, offset: int) -> RecordBlock:
    """Return the block from `offset` on: what was taken already came once more, with other borders."""
    return block.some(slice(int(np.searchsorted(block.offset, offset)), None), offset, block.next_offset)
