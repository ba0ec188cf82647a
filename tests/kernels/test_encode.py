"""The encoding kernel's own pieces: varints, hexadecimal digits, and stopping when out of room."""

import io
import uuid

import numpy as np
from fastavro import schemaless_writer
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.kernels import encode as k
from pipeline.kernels.bits import PAD, address_of

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def encoded(steps: list[tuple[int, ...]], rows: int, room: int = 1 << 20) -> tuple[list[bytes], int]:
    """Run a program; return whole rows and how many there are."""
    program = np.array([(*step, *[0] * (k.STEP_WORDS - len(step))) for step in steps], np.int64)
    out, offsets = np.zeros((1 << 16) + PAD, np.uint8), np.zeros(rows + 1, np.int64)
    done, _ = k.encode_rows(address_of(program), len(steps), 0, rows, address_of(out), 0, room, address_of(offsets))
    ends = offsets.tolist()
    return [out[ends[i] : ends[i + 1]].tobytes() for i in range(done)], done


@given(hnp.arrays(np.int64, st.integers(0, 40), elements=INT64))
def test_integers_are_written_as_fastavro_writes_them(values: np.ndarray) -> None:
    rows, _ = encoded([(k.LONG, address_of(values))], len(values))
    expected = []
    for value in values.tolist():
        buffer = io.BytesIO()
        schemaless_writer(buffer, "long", value)
        expected.append(buffer.getvalue())
    assert rows == expected


@given(st.lists(st.uuids(), max_size=20))
def test_identifiers_are_written_as_python_writes_uuids(ids: list[uuid.UUID]) -> None:
    high = np.array([i.int >> 64 for i in ids], np.uint64)
    low = np.array([i.int & ((1 << 64) - 1) for i in ids], np.uint64)
    dashed, _ = encoded([(k.HEX, address_of(high), address_of(low), 0, 1, -1)], len(ids))
    plain, _ = encoded([(k.HEX, address_of(high), address_of(low), 0, 0, -1)], len(ids))
    assert dashed == [b"\x48" + str(i).encode() for i in ids]
    assert plain == [b"\x40" + i.hex.encode() for i in ids]


def test_it_stops_before_the_row_that_may_not_fit() -> None:
    values = np.full(10, 1 << 40, np.int64)
    rows, done = encoded([(k.LONG, address_of(values))], 10, room=20)
    assert done == len(rows) == 4  # rows of 6 bytes begin at 0, 6, 12 and 18; the fifth would at 24
