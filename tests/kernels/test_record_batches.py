"""Kafka's numbers and headers; whole batches are tested where they become blocks (tests/transport)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import record_batches as k
from tests.naive import record_batches as naive

int64s = st.integers(-(1 << 63), (1 << 63) - 1)


def view(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


@given(st.integers(-(1 << 31), (1 << 31) - 1), int64s)
def test_big_endian_numbers_are_read_back(small: int, large: int) -> None:
    data = view(small.to_bytes(4, "big", signed=True) + large.to_bytes(8, "big", signed=True))
    assert (k.be32(data, 0), k.be64(data, 4)) == (small, large)


@given(int64s, st.binary(max_size=3))
def test_varlongs_are_read_back(number: int, behind: bytes) -> None:
    data = naive.varint(number)
    assert k.varlong(view(data + behind), 0, len(data)) == (number, len(data))


@given(int64s)
def test_a_varlong_that_ends_early_is_refused(number: int) -> None:
    data = naive.varint(number)
    assert k.varlong(view(data), 0, len(data) - 1)[1] == -1


def test_an_endless_varlong_is_refused() -> None:
    assert k.varlong(view(b"\xff" * 20), 0, 20)[1] == -1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(naive.varint(3) + b"abc", (1, 3, 4), id="bytes"),
        pytest.param(naive.varint(0), (1, 0, 1), id="no bytes"),
        pytest.param(naive.varint(-1), (1, -1, 1), id="null"),
        pytest.param(naive.varint(4) + b"abc", (0, 0, -1), id="longer than what there is"),
        pytest.param(naive.varint(-2), (0, 0, -1), id="less than null"),
        pytest.param(b"", (0, 0, -1), id="nothing"),
    ],
)
def test_a_span_is_its_start_its_length_and_what_follows(data: bytes, expected: tuple[int, int, int]) -> None:
    assert tuple(map(int, k.span(view(data), 0, len(data)))) == expected


def batch_of(count: int, base_offset: int = 0) -> bytes:
    records = tuple(naive.Record(base_offset + i, 7, b"k", b"v" * i) for i in range(count))
    return naive.written(naive.Batch(base_offset, records, base_offset + count))


def test_a_batch_that_is_not_whole_has_no_size() -> None:
    data = batch_of(3)
    assert [int(k.batch_size(view(data[:n]), 0, n)) for n in (0, 60, len(data) - 1)] == [0, 0, 0]
    assert k.batch_size(view(data), 0, len(data)) == len(data)


def test_a_batch_shorter_than_a_header_is_none() -> None:
    data = bytearray(batch_of(1))
    data[8:12] = (10).to_bytes(4, "big")
    assert k.batch_size(view(bytes(data)), 0, len(data)) == -1


def test_counting_stops_at_a_batch_that_python_looks_at() -> None:
    gzipped = naive.written(naive.Batch(5, (), 6, naive.GZIP))
    data = batch_of(2) + batch_of(3, 2) + gzipped + batch_of(4, 6)
    assert k.count_plain(view(data), 0, len(data)) == 5


def test_a_scan_stops_in_front_of_a_corrupt_batch_and_keeps_what_was_good() -> None:
    good, bad = batch_of(3), bytearray(batch_of(3, 3))
    bad[-1] ^= 1
    data, columns = good + bytes(bad), np.empty((k.COLUMNS, 6), np.int64)
    position, used, following, code = k.scan_batches(view(data), 0, len(data), 0, True, columns, 0, 0)
    assert (position, used, following, code) == (len(good), 3, 3, k.BAD_CRC)


def test_records_of_a_batch_that_does_not_parse_do_not_count() -> None:
    good, bad = batch_of(3), bytearray(batch_of(3, 3))
    bad[-4] = 98  # the length of the last value: longer than the batch
    data, columns = good + bytes(bad), np.empty((k.COLUMNS, 6), np.int64)
    position, used, following, code = k.scan_batches(view(data), 0, len(data), 0, False, columns, 0, 0)
    assert (position, used, following, code) == (len(good), 3, 3, k.CORRUPT)
