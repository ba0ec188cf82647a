"""Law: memory that somebody still looks at is never given again; memory that nobody looks at is."""

import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from pipeline.records import RecordBlock
from pipeline.transport import arenas
from pipeline.transport.arenas import ARENA_BYTES, KEPT, arena
from pipeline.transport.inflating import LZ4
from pipeline.transport.record_blocks import KEPT_BYTES_LEAST, RawMemoryRecords, RawPartitionRecords

PLACE = TopicPartition("events", 0)


def test_what_nobody_refers_to_is_given_again_and_a_view_is_a_reference() -> None:
    first = arena(10)
    address, view = first.ctypes.data, first[5:9].view(np.int16)
    del first
    other = arena(10)
    assert other.ctypes.data != address  # the view still looks at the first
    del view
    assert arena(10).ctypes.data == address
    del other


def test_no_more_than_so_many_are_kept_and_what_is_too_large_is_not() -> None:
    held = [arena(1) for _ in range(KEPT + 3)]
    assert len({each.ctypes.data for each in held}) == KEPT + 3
    assert len(arenas._pool) == KEPT
    assert len(arena(ARENA_BYTES + 1)) == ARENA_BYTES + 1 and len(arenas._pool) == KEPT


def fetched(number: int, size: int) -> tuple[RecordBlock, bytes]:
    """The block of a fetch whose values are a number repeated."""
    builder = DefaultRecordBatchBuilder(2, LZ4, 0, -1, -1, -1, 1 << 28)
    value = bytes([number]) * (1 << 20)
    for i in range(size >> 20):
        builder.append(i, timestamp=1_700_000_000_000, key=b"k", value=value, headers=[])
    raw = RawMemoryRecords(bytes(builder.build()))
    [block] = list(RawPartitionRecords(PLACE, raw, None, 0, None, None, True, 1))
    return block, value


@pytest.mark.parametrize("size", [1 << 20, KEPT_BYTES_LEAST + (1 << 20)], ids=["copied", "in its arena"])
def test_blocks_that_wait_keep_their_bytes_while_others_come_and_go(size: int) -> None:
    waiting = [fetched(number, size) for number in range(4)]
    for number in range(4, 12):
        fetched(number, size)
    for block, value in waiting:
        assert all(block.value(i) == value for i in range(len(block)))
