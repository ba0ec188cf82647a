"""Headers of a record are read as they were written, and no bytes in their place take long or raise anything else."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import PADDING
from tests.recorded import Recorded, block_of

headers = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=200)), max_size=6).map(tuple)


@given(st.lists(headers, min_size=1, max_size=4))
def test_headers_are_read_as_they_were_written(written: list[tuple[tuple[str, bytes], ...]]) -> None:
    block = block_of("t", 0, [Recorded(n, b"value", b"key", each) for n, each in enumerate(written)])
    assert [block.headers(n) for n in range(len(block))] == written


@given(st.binary(max_size=60))
def test_any_bytes_are_headers_or_are_refused(junk: bytes) -> None:
    block = block_of("t", 0, [Recorded(0, b"value")])
    block.buffer = np.frombuffer(b"value" + junk + bytes(PADDING), np.uint8)
    with suppress(IndexError, ValueError):
        assert isinstance(block.headers(0), tuple)


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"\xff" * (4 << 20), id="a number of megabytes"),
        pytest.param(b"\x02" + b"\xff" * 9 + b"\x01", id="a length past any address"),
        pytest.param(b"\xfe\xff\xff\xff\x0f", id="two billion headers"),
    ],
)
def test_a_number_that_is_none_is_refused_at_once(junk: bytes) -> None:
    block = block_of("t", 0, [Recorded(0, b"value")])
    block.buffer = np.frombuffer(b"value" + junk + bytes(PADDING), np.uint8)
    with pytest.raises(ValueError, match=r"32 bits|headers"):
        block.headers(0)
