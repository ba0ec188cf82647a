"""Record blocks out of records, laid out as in Kafka's record format: key, value, headers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.records import PADDING, RecordBlock


@dataclass(frozen=True)
class Recorded:
    """One record of a log."""

    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    append_time_ms: int = 0


def _varint(number: int) -> bytes:
    number = 2 * number if number >= 0 else -2 * number - 1
    out = bytearray()
    while number > 127:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def _bytes(text: bytes) -> bytes:
    return _varint(len(text)) + text


def block_of(topic: str, partition: int, records: Sequence[Recorded], first: int | None = None) -> RecordBlock:
    """One block of records, beginning at `first`, or at the first record."""
    buffer, spans = bytearray(), []
    for record in records:
        key_at = len(buffer)
        buffer += record.key or b""
        value_at = len(buffer)
        buffer += record.value or b""
        buffer += _varint(len(record.headers))
        for name, value in record.headers:
            buffer += _bytes(name.encode()) + _bytes(value)
        lengths = (-1 if text is None else len(text) for text in (record.key, record.value))
        spans.append((key_at, value_at, *lengths))
    key_start, value_start, key_length, value_length = np.array(spans, np.int64).reshape(-1, 4).T
    offsets = np.array([record.offset for record in records], np.int64)
    begin = int(offsets[0]) if first is None else first
    return RecordBlock(
        topic, partition, begin, int(offsets[-1]) + 1 if len(offsets) else begin,
        np.frombuffer(bytes(buffer) + bytes(PADDING), np.uint8), value_start.copy(),
        value_length.astype(np.int32),
        key_start.copy(), key_length.astype(np.int32),
        np.array([record.append_time_ms for record in records], np.int64), offsets,
    )  # fmt: skip


def blocks_of(topic: str, partition: int, records: Sequence[Recorded], cuts: Iterable[int]) -> list[RecordBlock]:
    """The same records in blocks that end at the indexes `cuts`."""
    edges = [0, *sorted(set(cuts) & set(range(1, len(records)))), len(records)]
    return [
        block_of(topic, partition, records[a:b], records[a - 1].offset + 1 if a else None)
        for a, b in pairwise(edges)
        if b > a
    ]
