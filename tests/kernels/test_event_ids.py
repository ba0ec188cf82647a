"""Ids out of Avro values, against fastavro and a hash of our own bytes."""

import io
import json
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.duplicates import steps_to_id
from pipeline.kernels.bits import PAD, address_of, hash_bytes
from pipeline.kernels.event_ids import read_ids
from schemas import avro_text

HEADER = b"\x00\x00\x00\x00\x07"
UUID = "0190b0c7-1f5e-7c3a-9d4e-2b1a3c4d5e6f"


def ids_of(values: list[bytes], steps: Any, header: bytes = HEADER) -> list[int]:
    """The last value stands at the very end of the memory that may be read."""
    lengths = np.array([len(value) for value in values], np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)])
    buffer = np.frombuffer(b"".join(values) + b"\xff" * PAD, np.uint8).copy()
    found = np.zeros(len(values), np.uint64)
    taken = read_ids(
        address_of(buffer), buffer.size - PAD, starts, lengths, np.frombuffer(header, np.uint8), steps, found
    )
    assert taken == sum(value.startswith(header) for value in values)
    return [int(each) for each in found]


def hash_of(name: bytes) -> int:
    memory = np.frombuffer(name + bytes(8), np.uint8).copy()
    return int(hash_bytes(address_of(memory), len(name)))


def record(*fields: tuple[str, Any]) -> str:
    return json.dumps({"type": "record", "name": "E", "fields": [{"name": n, "type": t} for n, t in fields]})


def written(schema: str, event: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema)), event)
    return HEADER + stream.getvalue()


FIXED = {"type": "fixed", "name": "U", "size": 16}
ENUM = {"type": "enum", "name": "C", "symbols": ["A", "B"]}
OURS = ("event_id", {"type": "string", "logicalType": "uuid"})


@pytest.mark.parametrize(
    ("schema", "event", "name"),
    [
        pytest.param(record(OURS, ("n", "int")), {"event_id": UUID, "n": 1}, UUID.encode(), id="it comes first"),
        pytest.param(
            record(("t", "string"), ("n", "long"), ("b", "boolean"), ("d", "double"), ("f", "float"), ("c", ENUM),
                   ("event_id", "string")),
            {"t": "x" * 200, "n": -(1 << 62), "b": True, "d": 0.5, "f": 0.5, "c": "B", "event_id": "e"},
            b"e",
            id="behind fields of every plain type",
        ),
        pytest.param(
            record(("a", ["null", "string"]), ("b", ["long", "null"]), ("event_id", ["null", "string"])),
            {"a": None, "b": 5, "event_id": "e"},
            b"e",
            id="behind optional fields, optional",
        ),
        pytest.param(record(("event_id", ["null", "string"])), {"event_id": None}, None, id="null"),
        pytest.param(record(("event_id", "string")), {"event_id": ""}, None, id="empty"),
        pytest.param(record(("event_id", "bytes")), {"event_id": b"\0"}, b"\0", id="bytes"),
        pytest.param(record(("event_id", FIXED)), {"event_id": bytes(16)}, bytes(16), id="fixed"),
    ],
)  # fmt: skip
def test_an_id_is_found_wherever_the_writer_has_it(schema: str, event: dict[str, Any], name: bytes | None) -> None:
    steps = steps_to_id(schema)
    assert steps is not None
    value = written(schema, event)
    other = b"\x00\x00\x00\x00\x08" + value[5:]
    assert ids_of([value, other, b"", value], steps) == [found := hash_of(name) if name else 0, 0, 0, found]


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(record(("t", "string")), id="no id"),
        pytest.param(record(("m", {"type": "map", "values": "string"}), OURS), id="behind a map"),
        pytest.param(record(("u", ["null", "int", "string"]), OURS), id="behind a union of three"),
        pytest.param('"string"', id="no record"),
        pytest.param(record(("f", {"type": "fixed", "name": "F", "size": (1 << 63) - 1}), OURS), id="past all memory"),
    ],
)
def test_an_id_that_stands_nowhere_or_behind_nested_fields_is_not_looked_for(schema: str) -> None:
    assert steps_to_id(schema) is None


def test_our_own_schema_has_it_first() -> None:
    steps = steps_to_id(avro_text("inference_event"))
    assert steps is not None and len(steps) == 1


@settings(max_examples=50)
@given(st.binary(max_size=40), st.integers(0, 60))
def test_damaged_values_are_read_within_their_bounds(rest: bytes, cut: int) -> None:
    """What has an id ends behind it; what is cut in front of its end has none."""
    schema = record(("n", "long"), ("t", ["null", "string"]), ("event_id", "string"))
    steps, value = steps_to_id(schema), written(schema, {"n": 300, "t": "tt", "event_id": UUID})
    assert ids_of([value[:cut]], steps)[0] == (0 if cut < len(value) else hash_of(UUID.encode()))
    ids_of([HEADER + rest], steps)
