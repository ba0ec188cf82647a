"""Columns of varints, against fastavro's writer and a reader that goes byte by byte."""

from io import BytesIO

import numpy as np
import pytest
from fastavro import schemaless_writer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.kernels.bits import address_of
from pipeline.kernels.longs import LONGEST, read_longs, read_texts, write_longs
from pipeline.kernels.varint import BAD

LONG = st.one_of(st.integers(-200, 200), st.integers(-(1 << 63), (1 << 63) - 1))


def written(values: list[int]) -> bytes:
    array = np.array(values or [0], np.int64)
    out = np.zeros(LONGEST * len(array) + 8, np.uint8)
    return out[: write_longs(address_of(array), len(values), address_of(out))].tobytes()


def read(raw: bytes, count: int) -> list[int] | None:
    """The numbers, or None for BAD; there is nothing behind the bytes that a reader may touch."""
    buffer = np.frombuffer(raw or b"\0", np.uint8)
    out = np.zeros(max(count, 1), np.int64)
    start = address_of(buffer)
    end = read_longs(start, start + len(raw), address_of(out), count)
    return None if end == BAD else out[:count].tolist()


@given(st.lists(LONG, max_size=40))
@example([0] * 17)
@example([-(1 << 63), (1 << 63) - 1])
def test_what_is_written_is_what_fastavro_writes(values: list[int]) -> None:
    expected = BytesIO()
    for value in values:
        schemaless_writer(expected, "long", value)
    assert written(values) == expected.getvalue()


@given(st.lists(LONG, max_size=40))
def test_what_is_written_is_read_back(values: list[int]) -> None:
    assert read(written(values), len(values)) == values


@given(st.lists(LONG, min_size=1, max_size=20), st.integers(1, 10))
def test_numbers_that_are_cut_off_are_bad(values: list[int], missing: int) -> None:
    assert read(written(values)[:-missing], len(values)) is None


@pytest.mark.parametrize(
    "raw", [b"\xff" * 10, b"\xff" * 9 + b"\x02", b"\x80" * 11 + b"\x01"], ids=["no end", "65 bits", "eleven bytes"]
)
def test_numbers_wider_than_64_bits_are_bad(raw: bytes) -> None:
    assert read(raw + b"\0" * 16, 1) is None


def texts(raw: bytes, count: int) -> list[bytes] | None:
    """Strings in bytes that have none behind them, or None for BAD."""
    buffer = np.frombuffer(raw or b"\0", np.uint8)
    places = np.zeros((max(count, 1), 2), np.int64)
    start = address_of(buffer)
    end = read_texts(start, start + len(raw), address_of(places), count)
    return None if end == BAD else [raw[a:b] for a, b in places[:count].tolist()]


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=12), st.integers(1, 10))
def test_strings_are_found_and_those_that_are_cut_off_are_bad(strings: list[bytes], missing: int) -> None:
    raw = b"".join(written([len(each)]) + each for each in strings)
    assert texts(raw, len(strings)) == strings
    assert not strings or texts(raw[:-missing], len(strings)) is None


@pytest.mark.parametrize("length", [-1, 3, 1 << 62, -(1 << 63)])
def test_a_string_with_a_length_that_cannot_be_is_bad(length: int) -> None:
    assert texts(written([length]) + b"ab", 1) is None
