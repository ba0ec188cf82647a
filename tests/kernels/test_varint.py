"""Varints of one number and of columns, against fastavro's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels import longs, varint
from pipeline.kernels.bits import PAD, address_of
from tests.naive.blocks import write

LONGS = st.one_of(st.integers(-70, 70), st.integers(-(1 << 63), (1 << 63) - 1), st.integers(1 << 40, 1 << 53))
EDGES = [
    0,
    -1,
    1,
    63,
    64,
    -64,
    -65,
    (1 << 55) - 1,
    1 << 55,
    -(1 << 55),
    -(1 << 55) - 1,
    (1 << 63) - 1,
    -(1 << 63),
]


def padded(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw + b"\xff" * PAD, np.uint8).copy()


@given(LONGS)
def test_a_number_reads_as_fastavro_wrote_it(x: int) -> None:
    raw = write("long", x)
    buffer = padded(raw)
    p = address_of(buffer)
    assert varint.read_long(p) == (x, p + len(raw))
    assert varint.read_stamp(p) == (x, p + len(raw))
    assert varint.skip_long(p) == p + len(raw)


@pytest.mark.parametrize("raw", [b"\x80" * 10, b"\xff" * 9 + b"\x02", b"\xff" * 12])
def test_a_number_wider_than_64_bits_ends_past_every_end(raw: bytes) -> None:
    buffer = padded(raw)
    p = address_of(buffer)
    assert varint.read_long(p)[1] == varint.BAD and varint.skip_long(p) == varint.BAD
    out = np.zeros(1, np.int64)
    assert longs.read_longs(p, p + len(raw), address_of(out), 1) == varint.BAD


@given(st.lists(LONGS, max_size=40))
def test_a_column_is_written_as_fastavro_writes_and_read_back(values: list[int]) -> None:
    raw = b"".join(write("long", x) for x in values)
    column = np.array(values, np.int64)
    out = np.full(longs.LONGEST * len(values) + 8, 0xAA, np.uint8)
    used = longs.write_longs(address_of(column), len(column), address_of(out))
    assert out[:used].tobytes() == raw
    back = np.zeros(len(values) + 1, np.int64)
    exact = np.frombuffer(raw, np.uint8).copy()  # no byte behind it that may be read
    start = address_of(exact)
    assert longs.read_longs(start, start + len(raw), address_of(back), len(values)) == start + len(raw)
    assert back[:-1].tolist() == values and back[-1] == 0


@pytest.mark.parametrize("x", EDGES)
def test_edges_of_lengths_are_exact(x: int) -> None:
    column, out, back = np.full(19, x), np.zeros(200, np.uint8), np.zeros(19, np.int64)
    used = longs.write_longs(address_of(column), 19, address_of(out))
    assert out[:used].tobytes() == write("long", x) * 19
    start = address_of(out)
    assert longs.read_longs(start, start + used, address_of(back), 19) == start + used
    assert (back == x).all()


@given(st.lists(LONGS, min_size=1, max_size=30), st.data())
def test_a_column_that_is_cut_off_is_bad(values: list[int], data: st.DataObject) -> None:
    raw = b"".join(write("long", x) for x in values)
    cut = data.draw(st.integers(0, len(raw) - 1))
    exact = np.frombuffer(raw[:cut] or b"\0", np.uint8).copy()
    back, start = np.zeros(len(values), np.int64), address_of(exact)
    assert longs.read_longs(start, start + cut, address_of(back), len(values)) == varint.BAD
