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
from pipeline.transport.inflating import TooLarge, inflated

HEADER = struct.Struct(">qiibIhiqqqhii")
BLOCK_BYTES_MAX = 8 << 20  #: inflated; a block is cut behind the batch that passes it
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


class Segment(NamedTuple):
    """Records [first, last) lie in buffer[start:stop]."""

    first: int
    last: int
    buffer: NDArray[np.uint8]
    start: int
    stop: int


class Gathered:
    """Records found so far, and where their bytes lie."""

    def __init__(self) -> None:
        self.columns = np.empty((k.COLUMNS, 0), np.int64)
        self.used = 0
        self.bytes = 0
        self._segments: list[Segment] = []

    def make_room(self, count: int) -> None:
        if self.used + count > self.columns.shape[1]:
            larger = np.empty((k.COLUMNS, max(self.used + count, 2 * self.columns.shape[1])), np.int64)
            larger[:, : self.used] = self.columns[:, : self.used]
            self.columns = larger

    def took(self, used: int, buffer: NDArray[np.uint8], start: int, stop: int) -> None:
        """Note that the records up to `used` have been found in buffer[start:stop]."""
        if used > self.used:
            self._segments.append(Segment(self.used, used, buffer, start, stop))
            self.bytes += stop - start
            self.used = used

    def joined(self) -> NDArray[np.uint8]:
        """Copy all segments behind each other, spare bytes at the end; positions move along.

        The only copy of the bytes: a view of what was fetched would have no spare bytes and be read-only.
        """
        whole, at = np.empty(self.bytes + PADDING, np.uint8), 0
        for first, last, buffer, start, stop in self._segments:
            whole[at : at + stop - start] = buffer[start:stop]
            self.columns[k.VALUE_START, first:last] += at - start
            self.columns[k.KEY_START, first:last] += at - start
            at += stop - start
        whole[at:] = 0
        return whole


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
    ) -> None:
        del key_deserializer, value_deserializer
        self._tp, self._raw, self._view = tp, records.raw, np.frombuffer(records.raw, np.uint8)
        self._aborted = sorted(aborted_transactions or [], key=lambda entry: entry[1])
        self._aborted_producers: set[int] = set()
        self._check_crcs, self._read_committed = bool(check_crcs), isolation_level == READ_COMMITTED
        self._batch_bytes = batch_bytes
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
            if found.bytes > BLOCK_BYTES_MAX:
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
        found.took(used, view, start, position)
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
        buffer, start, stop = self._view, position + k.HEADER_BYTES, end
        if header.attributes & k.CODEC:
            try:
                buffer = self._inflated(header.attributes & k.CODEC, position, end)
            except TooLarge:
                self._put_aside(header, position, end, found)
                return
            start, stop = 0, len(buffer)
        if header.records < 0 or header.records * RECORD_BYTES_MIN > stop - start:
            raise self._corrupt("it says more records than it can hold", position)
        found.make_room(header.records)
        fixed_ms = header.append_ms if header.attributes & k.LOG_APPEND_TIME else -1
        used, code = k.scan_records(
            buffer, start, stop, header.base_offset, header.first_ms, fixed_ms, header.records, self._least,
            found.columns, found.used,
        )  # fmt: skip
        if code != k.DONE:
            raise self._corrupt("it does not parse", position)
        found.took(used, buffer, start, stop)

    def _inflated(self, kind: int, position: int, end: int) -> NDArray[np.uint8]:
        try:
            return inflated(kind, self._raw[position + k.HEADER_BYTES : end], self._batch_bytes)
        except TooLarge:
            raise
        except KeyError as error:
            raise self._corrupt(f"codec {kind} is unknown", position) from error
        except Exception as error:  # every codec has its own
            raise self._corrupt(f"it cannot be decompressed: {error}", position) from error

    def _put_aside(self, header: Header, position: int, end: int, found: Gathered) -> None:
        """Give the packed bytes as one record without key and headers."""
        RawPartitionRecords.oversized += 1
        packed = np.frombuffer(bytes(self._raw[position + k.HEADER_BYTES : end]) + b"\0", np.uint8)  # 0: no headers
        found.make_room(1)
        values = {
            k.VALUE_START: 0, k.VALUE_LENGTH: len(packed) - 1, k.KEY_START: 0, k.KEY_LENGTH: -1,
            k.STAMP_MS: header.append_ms, k.OFFSET: max(header.base_offset, self._least),
        }  # fmt: skip
        for column, value in values.items():
            found.columns[column, found.used] = value
        found.took(found.used + 1, packed, 0, len(packed))

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
    start = int(np.searchsorted(block.offset, offset))
    return RecordBlock(
        block.topic, block.partition, offset, block.next_offset, block.buffer,
        block.value_start[start:], block.value_length[start:],
        block.key_start[start:], block.key_length[start:],
        block.append_time_ms[start:], block.offset[start:],
    )  # fmt: skip
