"""Numbers on the wire: read as they were written, and what is none is refused before it costs anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire import Cursor, long_bytes

LONGS = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.lists(LONGS, max_size=9))
def test_numbers_are_read_as_they_were_written(numbers: list[int]) -> None:
    cursor = Cursor(b"".join(map(long_bytes, numbers)), 0)
    assert [cursor.long() for _ in numbers] == numbers
    assert cursor.position == len(cursor.data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff" * (4 << 20), id="a number of megabytes, which is hours of arithmetic"),
        pytest.param(b"\xff" * 10, id="ten bytes and no end"),
        pytest.param(b"\xff" * 9 + b"\x02", id="65 bits"),
        pytest.param(b"\x80" * 9, id="cut off"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_no_number_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(IndexError):
        Cursor(data, 0).long()
