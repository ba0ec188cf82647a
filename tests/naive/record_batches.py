"""Oracle of record batches: written and read a byte at a time, after the text of Kafka's protocol guide."""

import gzip
import struct
from typing import Any, NamedTuple

NONE, GZIP = 0, 1


class Record(NamedTuple):
    """One record as a reader sees it."""

    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Batch(NamedTuple):
    """A batch to write; records may leave offsets out, as after compaction."""

    base_offset: int
    records: tuple[Record, ...]
    next_offset: int
    codec: int = NONE
    producer_id: int = -1
    is_transactional: bool = False
    is_control: bool = False
    append_time_ms: int | None = None


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 if crc & 1 else crc >> 1
    return crc ^ 0xFFFFFFFF


def varint(number: int) -> bytes:
    rest = number * 2 if number >= 0 else -number * 2 - 1
    out = bytearray()
    while rest > 127:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes(out) + bytes([rest])


def sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def written_record(record: Record, batch: Batch, first_ms: int) -> bytes:
    body = b"\0" + varint(record.time_ms - first_ms) + varint(record.offset - batch.base_offset)
    body += sized(record.key) + sized(record.value) + varint(len(record.headers))
    for name, value in record.headers:
        body += sized(name.encode()) + sized(value)
    return varint(len(body)) + body


def written(batch: Batch) -> bytes:
    times = [record.time_ms for record in batch.records] or [0]
    payload = b"".join(written_record(record, batch, times[0]) for record in batch.records)
    attributes = batch.codec | 0x10 * batch.is_transactional | 0x20 * batch.is_control
    latest = max(times)
    if batch.append_time_ms is not None:
        attributes, latest = attributes | 0x08, batch.append_time_ms
    if batch.codec == GZIP:
        payload = gzip.compress(payload)
    covered = struct.pack(
        ">hiqqqhii", attributes, batch.next_offset - 1 - batch.base_offset, times[0], latest, batch.producer_id,
        0, 0, len(batch.records),
    ) + payload  # fmt: skip
    rest = struct.pack(">ibI", 0, 2, crc32c(covered)) + covered
    return struct.pack(">qi", batch.base_offset, len(rest)) + rest


def seen(
    batches: list[Batch], from_offset: int, read_committed: bool = False, aborted: tuple[Any, ...] = ()
) -> tuple[list[Record], int]:
    """Return the records that a reader gets from `from_offset` on, and where it goes on.

    `aborted`: (producer id, first offset) of transactions; each ends at that producer's next control batch.
    """
    found: list[Record] = []
    following = from_offset
    for batch in batches:
        following = max(following, batch.next_offset)
        if batch.is_control or (read_committed and _is_aborted(batch, batches, aborted)):
            continue
        for record in batch.records:
            time_ms = record.time_ms if batch.append_time_ms is None else batch.append_time_ms
            if record.offset >= from_offset:
                found.append(record._replace(time_ms=time_ms))
    return found, following


def _is_aborted(batch: Batch, batches: list[Batch], aborted: tuple[Any, ...]) -> bool:
    if not batch.is_transactional:
        return False
    for producer_id, first_offset in aborted:
        ends = [b.base_offset for b in batches if b.is_control and b.producer_id == producer_id]
        end = min((offset for offset in ends if offset > first_offset), default=1 << 62)
        if batch.producer_id == producer_id and first_offset <= batch.base_offset < end:
            return True
    return False
