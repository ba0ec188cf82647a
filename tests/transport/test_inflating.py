"""Law: a batch comes out whole up to the limit; past it nothing is held, and one dead letter stands for it."""

import tracemalloc
from typing import Any

import cramjam
import numpy as np
import pytest
from aiokafka import codec as stock
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from numpy.typing import NDArray

from pipeline.transport.inflating import GZIP, LZ4, SNAPPY, ZSTD, TooLarge, inflate
from pipeline.transport.record_blocks import RawMemoryRecords, RawPartitionRecords

MIB = 1 << 20
ENCODERS: dict[str, tuple[int, Any]] = {
    "gzip": (GZIP, stock.gzip_encode),
    "xerial snappy": (SNAPPY, stock.snappy_encode),
    "raw snappy": (SNAPPY, cramjam.snappy.compress_raw),
    "lz4": (LZ4, stock.lz4_encode),
    "zstd": (ZSTD, stock.zstd_encode),
}


def inflated(kind: int, packed: memoryview, limit: int) -> NDArray[np.uint8]:
    """Decompress into room of our own."""
    held: list[NDArray[np.uint8]] = []

    def room(size: int) -> NDArray[np.uint8]:
        held[:] = [np.empty(size + 7, np.uint8)]
        return held[0]

    size = inflate(kind, packed, limit, room)
    return held[0][:size]


def packed_of(encode: Any, plain: bytes) -> memoryview:
    return memoryview(bytes(encode(plain)))


@pytest.mark.parametrize(("kind", "encode"), ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("size", [0, 1, 4_097, MIB])
def test_what_was_packed_comes_out_however_well_it_packs(kind: int, encode: Any, size: int) -> None:
    for plain in (bytes(size), np.random.default_rng(size).bytes(size), b"0123456789abcdef" * (size // 16)):
        if not plain and encode is stock.snappy_encode:
            continue  # a header without a block: aiokafka reads that as raw snappy
        for limit in (max(len(plain), 1), 64 * MIB):
            found = inflated(kind, packed_of(encode, plain), limit)
            assert found.tobytes() == plain


@pytest.mark.parametrize(("kind", "encode"), ENCODERS.values(), ids=ENCODERS)
def test_at_the_limit_it_comes_out_and_past_it_nothing_is_held(kind: int, encode: Any) -> None:
    size = 8 * MIB
    packed = packed_of(encode, bytes(size))
    assert len(inflated(kind, packed, size)) == size
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            inflated(kind, packed, size - 1)
        assert tracemalloc.get_traced_memory()[0] < MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [GZIP, SNAPPY, LZ4, ZSTD])
@pytest.mark.parametrize("limit", [64, 64 * MIB], ids=["little", "much"])
def test_broken_bytes_are_an_error_and_not_too_large(kind: int, limit: int) -> None:
    with pytest.raises(Exception, match=r".+") as caught:
        inflated(kind, memoryview(b"\x05no such thing, of any codec" * 3), limit)
    assert not isinstance(caught.value, TooLarge)


def batch(base_offset: int, values: list[bytes], kind: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, kind, 0, -1, -1, -1, 1 << 28)
    for i, value in enumerate(values):
        builder.append(i, timestamp=1_700_000_000_000, key=b"k", value=value, headers=[("h", b"1")])
    raw = bytearray(builder.build())
    raw[0:8] = base_offset.to_bytes(8, "big")
    return bytes(raw)


@pytest.mark.parametrize("kind", [GZIP, LZ4, ZSTD], ids=["gzip", "lz4", "zstd"])
def test_a_bomb_is_one_record_that_nobody_can_use_and_those_around_it_are_whole(kind: int) -> None:
    bomb = batch(10, [bytes(MIB)] * 20, kind)
    raw = batch(0, [b"before"] * 10, kind) + bomb + batch(30, [b"behind"] * 5, 0)
    place, before = TopicPartition("events", 3), RawPartitionRecords.oversized
    iterator = RawPartitionRecords(place, RawMemoryRecords(raw), None, 0, None, None, True, 1, 4 * MIB)
    [block] = list(iterator)
    assert (block.first_offset, block.next_offset, len(bomb) < MIB) == (0, 35, True)
    assert [block.value(i) for i in range(len(block))] == [b"before"] * 10 + [bomb[61:]] + [b"behind"] * 5
    assert (int(block.offset[10]), block.key(10), block.headers(10)) == (10, None, ())
    assert RawPartitionRecords.oversized == before + 1
    whole = RawPartitionRecords(place, RawMemoryRecords(raw), None, 0, None, None, True, 1, 21 * MIB)
    assert sum(map(len, whole)) == 35


def test_a_bomb_that_was_read_in_part_before_stands_at_the_next_offset() -> None:
    place = TopicPartition("events", 3)
    raw = RawMemoryRecords(batch(10, [bytes(MIB)] * 20, ZSTD))
    [block] = list(RawPartitionRecords(place, raw, None, 15, None, None, True, 1, 4 * MIB))
    assert (block.first_offset, block.offset.tolist(), block.next_offset) == (15, [15], 30)


def test_what_a_bomb_needed_does_not_hang_on_the_block_beside_it() -> None:
    place, noise = TopicPartition("events", 3), np.random.default_rng(0).bytes(MIB)
    raw = batch(0, [noise] * 5, LZ4) + batch(10, [bytes(MIB)] * 100, ZSTD)
    [block] = list(RawPartitionRecords(place, RawMemoryRecords(raw), None, 0, None, None, True, 1, 90 * MIB))
    held = block.buffer if block.buffer.base is None else block.buffer.base
    assert len(block) == 6 and held.nbytes <= 4 * block.buffer.nbytes
