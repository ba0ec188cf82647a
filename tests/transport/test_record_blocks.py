"""Fetched bytes to blocks: equal to the oracle and to aiokafka, for every codec, cut, hole and marker."""

import os
from typing import Any

import numpy as np
import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import PADDING, RecordBlock
from pipeline.transport.record_blocks import RawMemoryRecords, RawPartitionRecords, without_records_before
from tests.naive import record_batches as naive
from tests.naive.record_batches import Batch, Record

PLACE = TopicPartition("events", 3)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
START_MS = 1_700_000_000_000


def reader(
    raw: bytes, start: int, committed: bool = False, aborted: Any = None, crc: bool = True, **limits: int
) -> Any:
    return RawPartitionRecords(PLACE, RawMemoryRecords(raw), aborted, start, None, None, crc, int(committed), **limits)


def records_of(blocks: list[RecordBlock]) -> list[Record]:
    return [
        Record(int(b.offset[i]), int(b.append_time_ms[i]), b.key(i), b.value(i), b.headers(i))
        for b in blocks
        for i in range(len(b))
    ]


def by_aiokafka(raw: bytes, start: int, committed: bool, aborted: Any) -> tuple[list[Record], int]:
    stock = PartitionRecords(PLACE, MemoryRecords(raw), aborted, start, None, None, True, int(committed))
    found = [Record(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in stock]
    return found, stock.next_fetch_offset


def built_by_aiokafka(base_offset: int, count: int, codec: int, keyed: bool = True) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 26)
    for i in range(count):
        key = os.urandom(i % 5) if keyed and i % 7 else None
        headers = [("h", b"1"), ("n", None)] * (i % 2)
        builder.append(i, timestamp=START_MS + 7 * i, key=key, value=os.urandom(i % 90), headers=headers)
    raw = bytearray(builder.build())
    raw[0:8] = base_offset.to_bytes(8, "big")  # in front of what the CRC covers
    return bytes(raw)


def assert_like_aiokafka(raw: bytes, start: int, committed: bool = False, aborted: Any = None) -> None:
    iterator = reader(raw, start, committed, aborted)
    blocks = list(iterator)
    expected, following = by_aiokafka(raw, start, committed, aborted)
    assert records_of(blocks) == expected
    assert iterator.next_fetch_offset == following
    assert_contiguous(blocks, start, following)


def assert_contiguous(blocks: list[RecordBlock], start: int, following: int) -> None:
    """The law of pipeline.records: no gap between blocks, holes inside included."""
    edges = [start, *(block.next_offset for block in blocks)]
    assert [block.first_offset for block in blocks] == edges[:-1]
    assert edges[-1] == following
    assert all(block.first_offset < block.next_offset for block in blocks)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("start", [0, 1, 99, 100, 250, 599])
def test_every_codec_gives_what_aiokafka_gives_from_any_offset(codec: int, start: int) -> None:
    parts = [built_by_aiokafka(100 * i, 100, codec) for i in range(6)]
    assert_like_aiokafka(b"".join(parts[start // 100 :]), start)  # a broker begins at the batch that holds it


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("cut", [1, 11, 60, 61, 62])
def test_a_batch_cut_off_at_the_end_is_left_for_the_next_fetch(codec: int, cut: int) -> None:
    raw = built_by_aiokafka(0, 50, codec) + built_by_aiokafka(50, 50, codec)
    assert_like_aiokafka(raw[: len(raw) - cut], 0)
    assert_like_aiokafka(raw + raw[:cut], 0)


def test_codecs_may_change_from_batch_to_batch() -> None:
    kinds = [0, 3, 0, 4, 1, 0, 2]
    raw = b"".join(built_by_aiokafka(10 * i, 10, kind) for i, kind in enumerate(kinds))
    for start in (0, 9):
        assert_like_aiokafka(raw, start)


names = st.text("abc", max_size=3)
nullable = st.none() | st.binary(max_size=20)


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Batch], tuple[tuple[int, int], ...]]:
    """A log with holes, markers and transactions, and the list of aborted ones a broker would give."""
    at, batches, aborted = draw(st.integers(0, 1 << 40)), [], []
    opened: dict[int, int] = {}
    for _ in range(draw(st.integers(1, 6))):
        at += draw(st.sampled_from([0, 0, 1, 1000]))
        producer = draw(st.sampled_from([-1, 7, 8]))
        if producer in opened and draw(st.booleans()):
            is_abort = draw(st.booleans())
            if is_abort:
                aborted.append((producer, opened[producer]))
            del opened[producer]
            marker = Record(at, START_MS, b"\0\0\0" + bytes([not is_abort]), b"\0" * 6)
            batches.append(Batch(at, (marker,), at + 1, 0, producer, True, True))
            at += 1
            continue
        is_transactional = producer >= 0 and draw(st.booleans())
        if is_transactional:
            opened.setdefault(producer, at)
        base, records = at, []
        for _ in range(draw(st.integers(0, 4))):
            headers = tuple(draw(st.lists(st.tuples(names, nullable), max_size=2)))
            time_ms = START_MS + draw(st.integers(-5000, 5000))
            records.append(Record(at, time_ms, draw(nullable), draw(nullable), headers))
            at += draw(st.sampled_from([1, 1, 3]))
        at = max(at, base + 1)
        append_ms = draw(st.none() | st.just(START_MS + 99))
        codec = draw(st.sampled_from([naive.NONE, naive.GZIP]))
        batches.append(Batch(base, tuple(records), at, codec, producer, is_transactional, False, append_ms))
    return batches, tuple(sorted(aborted, key=lambda entry: entry[1]))


@given(logs(), st.integers(-2, 3), st.booleans(), st.integers(0, 100))
def test_any_log_gives_what_the_oracle_and_aiokafka_give(
    log: tuple[list[Batch], Any], shift: int, committed: bool, tail: int
) -> None:
    batches, aborted = log
    raw = b"".join(map(naive.written, batches)) + naive.written(batches[0])[: min(tail, 60)]
    start = max(batches[0].base_offset + shift, 0)
    start = min(start, batches[0].next_offset - 1)
    iterator = reader(raw, start, committed, list(aborted))
    blocks = list(iterator)
    assert (records_of(blocks), iterator.next_fetch_offset) == naive.seen(batches, start, committed, aborted)
    assert_contiguous(blocks, start, iterator.next_fetch_offset)
    if all(batch.records for batch in batches):  # aiokafka cannot read a batch compacted to nothing
        assert_like_aiokafka(raw, start, committed, list(aborted))


def transactions() -> list[Batch]:
    """Two producers' transactions, interleaved: 7 aborts and then commits, 8 commits."""

    def sent(at: int, count: int, producer: int) -> Batch:
        records = tuple(Record(at + i, START_MS, None, b"%d" % (at + i)) for i in range(count))
        return Batch(at, records, at + count, 0, producer, producer >= 0)

    def ended(at: int, producer: int, is_commit: bool) -> Batch:
        marker = Record(at, START_MS, b"\0\0\0" + bytes([is_commit]), b"\0" * 6)
        return Batch(at, (marker,), at + 1, 0, producer, True, True)

    return [
        sent(0, 3, 7), sent(3, 2, 8), ended(5, 7, False), sent(6, 2, 7), sent(8, 1, -1), ended(9, 7, True),
        ended(10, 8, True), sent(11, 2, 7), ended(13, 7, False), sent(14, 1, -1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("committed", "expected"),
    [
        pytest.param(True, [3, 4, 6, 7, 8, 14], id="read_committed"),
        pytest.param(False, [0, 1, 2, 3, 4, 6, 7, 8, 11, 12, 14], id="read_uncommitted"),
    ],
)
def test_a_producer_that_aborted_counts_again_in_its_next_transaction(committed: bool, expected: list[int]) -> None:
    raw, aborted = b"".join(map(naive.written, transactions())), [(7, 0), (7, 11)]
    assert [record.offset for record in records_of(list(reader(raw, 0, committed, aborted)))] == expected
    assert_like_aiokafka(raw, 0, committed, aborted)


def test_a_block_without_records_still_moves_the_offset() -> None:
    marker = Record(5, START_MS, b"\0\0\0\1", b"\0" * 6)
    [block] = list(reader(naive.written(Batch(5, (marker,), 6, 0, 7, True, True)), 5, committed=True))
    assert (len(block), block.first_offset, block.next_offset) == (0, 5, 6)


@pytest.mark.parametrize("codec", [0, 3], ids=["none", "lz4"])
def test_spare_bytes_follow_the_last_record(codec: int) -> None:
    [block] = list(reader(built_by_aiokafka(0, 64, codec), 0))
    ends = block.value_start + np.maximum(block.value_length, 0)
    assert int(ends.max()) + PADDING <= len(block.buffer)
    assert block.buffer.flags.writeable  # one type for the kernels, whatever the codec


def test_what_inflates_is_cut_into_blocks() -> None:
    raw = b"".join(built_by_aiokafka(100 * i, 100, CODECS["lz4"]) for i in range(20))
    blocks = list(reader(raw, 0, block_bytes=10_000))
    assert len(blocks) > 5
    assert max(block.buffer.nbytes for block in blocks) < 10_000 + 12_000
    assert_like_aiokafka(raw, 0)


def broken(raw: bytes, at: int) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_corrupt_batch_is_named_with_topic_partition_and_offset(codec: int) -> None:
    with pytest.raises(CorruptRecordException, match=r"offset 70 of events/3.*its CRC is wrong"):
        list(reader(broken(built_by_aiokafka(70, 30, codec), 80), 70))


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_what_is_good_in_front_of_a_corrupt_batch_comes_first(codec: int) -> None:
    good, bad = built_by_aiokafka(0, 30, codec), broken(built_by_aiokafka(30, 30, codec), 80)
    iterator = reader(good + bad, 0)
    assert records_of(list(iterator)) == by_aiokafka(good, 0, False, None)[0]
    assert iterator.next_fetch_offset == 30  # where the next fetch meets it alone
    with pytest.raises(CorruptRecordException, match="offset 30 "):
        list(reader(bad, 30))


def test_an_old_message_format_is_refused_by_name() -> None:
    raw = bytearray(built_by_aiokafka(0, 3, 0))
    raw[16] = 1
    with pytest.raises(CorruptRecordException, match="message format v1"):
        list(reader(bytes(raw), 0))


@given(st.sampled_from([0, 1, 3, 4]), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4))
def test_bytes_changed_anywhere_are_refused_or_harmless(codec: int, changes: list[tuple[int, int]]) -> None:
    """Without the CRC: spans must stay inside the buffer, whatever the bytes say."""
    raw = bytearray(built_by_aiokafka(0, 30, codec))
    for at, byte in changes:
        raw[at % len(raw)] = byte
    try:
        blocks = list(reader(bytes(raw), 0, crc=False))
    except CorruptRecordException:
        return
    for block in blocks:
        for start, length in ((block.value_start, block.value_length), (block.key_start, block.key_length)):
            assert len(block) == 0 or (start.min() >= 0 and (start + length).max() <= len(block.buffer) - PADDING)


@given(st.integers(0, 40))
def test_a_block_can_be_entered_anywhere(offset: int) -> None:
    batches = [Batch(0, tuple(Record(i, START_MS, b"k%d" % i, b"v%d" % i) for i in range(0, 40, 3)), 40)]
    [block] = list(reader(naive.written(batches[0]), 0))
    rest = without_records_before(block, offset)
    assert records_of([rest]) == naive.seen(batches, offset)[0]
    assert (rest.first_offset, rest.next_offset) == (offset, 40)
