"""Records by a program of fields, against fastavro's writer."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import fields as k
from pipeline.kernels.bits import address_of

SCHEMA = {
    "type": "record", "name": "r",
    "fields": [
        {"name": "tag", "type": "string"}, {"name": "count", "type": "long"}, {"name": "ratio", "type": "double"},
        {"name": "first", "type": ["null", "double"]}, {"name": "last", "type": ["double", "null"]},
        {"name": "text", "type": "string"},
    ],
}  # fmt: skip
PROGRAM = [
    (k.CONSTANT, 0, 4), (k.LONG, 0, 0), (k.DOUBLE, 0, 0), (k.OPTIONAL_DOUBLE, 1, 0), (k.OPTIONAL_DOUBLE, 2, 2),
    (k.RAW, 0, 0),
]  # fmt: skip
LONGS = st.one_of(st.integers(-200, 200), st.integers(-(1 << 63), (1 << 63) - 1))
DOUBLES = st.floats(allow_nan=False)
ROWS = st.lists(
    st.fixed_dictionaries({
        "tag": st.just("tag"), "count": LONGS, "ratio": DOUBLES, "first": st.none() | DOUBLES,
        "last": st.none() | DOUBLES, "text": st.text(max_size=20),
    }),
    min_size=1, max_size=6,
)  # fmt: skip


def written(rows: list[dict[str, Any]]) -> list[bytes]:
    texts = [bytes([2 * len(row["text"].encode())]) + row["text"].encode() for row in rows]
    doubles = [[np.nan if row[name] is None else row[name] for row in rows] for name in ("ratio", "first", "last")]
    raw = b"".join(texts) + bytes(8)
    out, ends = np.zeros(100 * len(rows) + len(raw), np.uint8), np.zeros(len(rows), np.int64)
    arrays = (
        np.array(PROGRAM, np.int64), np.array([row["count"] for row in rows], np.int64), np.array(doubles, np.float64),
        np.frombuffer(raw, np.uint8), np.cumsum([0, *map(len, texts)]), np.frombuffer(b"\x06tag" + bytes(8), np.uint8),
    )  # fmt: skip
    program, *columns = map(address_of, arrays)
    k.write_fields(program, len(PROGRAM), len(rows), *columns, address_of(out), address_of(ends))
    starts = [0, *ends.tolist()]
    return [out[starts[i] : starts[i + 1]].tobytes() for i in range(len(rows))]


@settings(max_examples=50)
@given(ROWS)
def test_records_are_what_fastavro_writes(rows: list[dict[str, Any]]) -> None:
    schema, expected = parse_schema(SCHEMA), []
    for row in rows:
        stream = BytesIO()
        schemaless_writer(stream, schema, row)
        expected.append(stream.getvalue())
    assert written(rows) == expected


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), -0.0, 5e-324], ids=str)
def test_a_number_that_is_one_is_never_null(number: float) -> None:
    row = {"tag": "tag", "count": 0, "ratio": number, "first": number, "last": number, "text": ""}
    (record,) = written([row])
    assert record[5:13] == record[14:22] == record[23:31] == np.float64(number).tobytes()
    assert (record[13], record[22]) == (2, 0)
