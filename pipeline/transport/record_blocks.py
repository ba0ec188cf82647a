"""Fetched bytes of one partition to blocks: drop-ins for aiokafka's MemoryRecords and PartitionRecords.

Law: same constructor, iterator and `next_fetch_offset` as upstream, but what is iterated are RecordBlocks. A partial
batch at the end is left for the next fetch; control batches and aborted transactions move the offset and give nothing.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from numpy.typing import NDArray

from pipeline.kernels import record_batches as k
from pipeline.kernels.crc32c import crc32c
from pipeline.records import PADDING, RecordBlock

HEADER = struct.Struct(">qiibIhiqqqhii")
BLOCK_BYTES_MAX = 16 << 20  #: inflated; a block is cut behind the batch that passes it
RECORD_BYTES_MIN = 7
ABORT = 0
READ_COMMITTED = 1

DECODERS = {1: codec.gzip_decode, 2: codec.snappy_decode, 3: codec.lz4_decode, 4: codec.zstd_decode}


@dataclass(slots=True)
class Header:
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
    count: int

    @classmethod
    def read(cls, raw: bytes, at: int) -> "Header":
        (base, length, _, magic, crc, attributes, last, first, latest, producer, _, _, count) = HEADER.unpack_from(raw, at)
        return cls(base, 12 + length, magic, crc, attributes, base + last, first, latest, producer, count)


class RawMemoryRecords:
    """Keeps the bytes; the two methods the fetcher calls."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def size_in_bytes(self) -> int:
        return len(self.raw)

    def has_next(self) -> bool:
        """Whether there is at least one whole batch."""
        raw = self.raw
        return len(raw) >= k.HEADER_BYTES and len(raw) >= 12 + int.from_bytes(raw[8:12], "big")


@dataclass(slots=True)
class Gathered:
    """Records found so far, and the buffers they lie in."""

    columns: NDArray[np.int64] = field(default_factory=lambda: np.empty((k.COLUMNS, 0), np.int64))
    used: int = 0
    bytes: int = 0
    segments: list[tuple[int, int, NDArray[np.uint8]]] = field(default_factory=list)  # first, last + 1, buffer

    def make_room(self, count: int) -> None:
        if self.used + count > self.columns.shape[1]:
            larger = np.empty((k.COLUMNS, max(self.used + count, 2 * self.columns.shape[1])), np.int64)
            larger[:, : self.used] = self.columns[:, : self.used]
            self.columns = larger

    def took(self, before: int, buffer: NDArray[np.uint8], size: int) -> None:
        """Note that records from `before` on lie in `buffer`."""
        if self.used > before:
            self.segments.append((before, self.used, buffer))
            self.bytes += size

    def buffer(self) -> NDArray[np.uint8]:
        """Put all segments behind each other, with spare bytes at the end; positions move along."""
        distinct = {id(segment): segment for _, _, segment in self.segments}
        whole = np.empty(sum(map(len, distinct.values())) + PADDING, np.uint8)
        starts, at = {}, 0
        for name, segment in distinct.items():
            whole[at : at + len(segment)] = segment
            starts[name], at = at, at + len(segment)
        whole[at:] = 0
        for first, last, segment in self.segments:
            self.columns[[[k.VALUE_START], [k.KEY_START]], first:last] += starts[id(segment)]
        return whole


class RawPartitionRecords:
    """Iterates over the blocks of one partition's fetch."""

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
    ) -> None:
        del key_deserializer, value_deserializer
        self._tp, self._raw = tp, records.raw
        self._aborted = sorted(aborted_transactions or [], key=lambda entry: entry[1])
        self._aborted_producers: set[int] = set()
        self._check_crcs, self._read_committed = bool(check_crcs), isolation_level == READ_COMMITTED
        self.next_fetch_offset = fetch_offset
        self._blocks = self._cut()

    def __iter__(self) -> "RawPartitionRecords":
        return self

    def __next__(self) -> RecordBlock:
        block = next(self._blocks)
        self.next_fetch_offset = block.next_offset
        return block

    def _cut(self) -> Iterator[RecordBlock]:
        """Walk the batches; hand out a block at the end, and whenever enough bytes have gathered."""
        raw = np.frombuffer(self._raw, np.uint8)
        position, least = 0, self.next_fetch_offset
        first, following, found = least, least, Gathered()
        while True:
            position, following, code = self._plain(raw, position, least, following, found)
            if code == k.DONE:
                break
            if code != k.LOOK:
                raise self._corrupt("its CRC is wrong" if code == k.BAD_CRC else "it does not parse", following)
            header = Header.read(self._raw, position)
            self._look(raw, position, header, least, found)
            following = max(following, header.last_offset + 1)
            position += header.size
            if found.bytes > BLOCK_BYTES_MAX:
                yield self._block(first, following, found)
                first, found = following, Gathered()
        self._raw = b""
        if following > first:
            yield self._block(first, following, found)

    def _plain(
        self, raw: NDArray[np.uint8], position: int, least: int, following: int, found: Gathered
    ) -> tuple[int, int, int]:
        """Scan plain batches; return (position, next offset, why it stopped)."""
        found.make_room(k.count_plain(raw, position, len(raw)))
        before = found.used
        position, found.used, following, code = k.scan_batches(
            raw, position, len(raw), least, self._check_crcs, found.columns, found.used, following
        )
        found.took(before, raw, len(raw))
        return position, following, code

    def _look(self, raw: NDArray[np.uint8], position: int, header: Header, least: int, found: Gathered) -> None:
        """Take one batch that is compressed, transactional or control."""
        if header.magic != 2:
            raise self._corrupt(f"message format v{header.magic} is older than Kafka 0.11", header.base_offset)
        end = position + header.size
        if self._check_crcs and crc32c(raw, position + 21, end) != header.crc:
            raise self._corrupt("its CRC is wrong", header.base_offset)
        if self._is_skipped(raw, position, header) or header.last_offset < least:
            return
        buffer, start, stop = raw, position + k.HEADER_BYTES, end
        if header.attributes & k.CODEC:
            buffer = self._inflated(header, position, end)
            start, stop = 0, len(buffer)
        if header.count < 0 or header.count * RECORD_BYTES_MIN > stop - start:
            raise self._corrupt("it says more records than it can hold", header.base_offset)
        found.make_room(header.count)
        before = found.used
        fixed_ms = header.append_ms if header.attributes & k.LOG_APPEND_TIME else -1
        found.used, code = k.scan_records(
            buffer, start, stop, header.base_offset, header.first_ms, fixed_ms, header.count, least,
            found.columns, found.used,
        )  # fmt: skip
        if code != k.DONE:
            raise self._corrupt("it does not parse", header.base_offset)
        found.took(before, buffer, stop - start)

    def _inflated(self, header: Header, position: int, end: int) -> NDArray[np.uint8]:
        decode = DECODERS.get(header.attributes & k.CODEC)
        if decode is None:
            raise self._corrupt(f"codec {header.attributes & k.CODEC} is unknown", header.base_offset)
        try:
            plain = decode(memoryview(self._raw)[position + k.HEADER_BYTES : end])
        except Exception as error:  # every codec has its own
            raise self._corrupt(f"it cannot be decompressed: {error}", header.base_offset) from error
        return np.frombuffer(plain, np.uint8)

    def _is_skipped(self, raw: NDArray[np.uint8], position: int, header: Header) -> bool:
        """Whether a batch gives no records: control, or of an aborted transaction."""
        is_control = bool(header.attributes & k.CONTROL)
        if not self._read_committed or header.producer_id < 0:
            return is_control
        while self._aborted and self._aborted[0][1] <= header.base_offset:
            self._aborted_producers.add(self._aborted.pop(0)[0])
        if is_control and control_type(raw, position + k.HEADER_BYTES, position + header.size) == ABORT:
            self._aborted_producers.discard(header.producer_id)
        is_aborted = bool(header.attributes & k.TRANSACTIONAL) and header.producer_id in self._aborted_producers
        return is_control or is_aborted

    def _block(self, first: int, following: int, found: Gathered) -> RecordBlock:
        buffer = found.buffer()
        columns = found.columns[:, : found.used]
        return RecordBlock(
            self._tp.topic, self._tp.partition, first, following, buffer,
            columns[k.VALUE_START], columns[k.VALUE_LENGTH].astype(np.int32),
            columns[k.KEY_START], columns[k.KEY_LENGTH].astype(np.int32), columns[k.STAMP_MS], columns[k.OFFSET],
        )  # fmt: skip

    def _corrupt(self, why: str, offset: int) -> CorruptRecordException:
        return CorruptRecordException(
            f"the batch of {self._tp.topic}/{self._tp.partition} at offset {offset} is unusable: {why}. "
            "Skip it by committing a later offset for the group, or restore the log"
        )


def control_type(raw: NDArray[np.uint8], position: int, end: int) -> int:
    """Return what a control batch marks: its one record's key is version i16, type i16; 0 abort, 1 commit, -1 unknown."""
    _, at = k.varlong(raw, position, end)
    for _ in range(2):
        _, at = k.varlong(raw, at + (_ == 0), end)
    length, at = k.varlong(raw, at, end)
    return int(raw[at + 2]) << 8 | int(raw[at + 3]) if length >= 4 and at >= 0 else -1


def warm() -> None:
    """Compile what runs in the consumer's thread."""
    k.warm()
