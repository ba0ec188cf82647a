"""Framing: which schema wrote these bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.framing import (
    SINGLE_OBJECT,
    Framing,
    UnknownSchema,
    confluent_header,
    shipped_schemas,
    single_object_header,
)
from schemas import HOME, avro_text

NAMES = sorted(path.stem for path in (HOME / "avro").glob("*.avsc"))


def rabin(data: bytes) -> int:
    """CRC-64-AVRO bit by bit, as the specification defines it."""
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in data:
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty if fingerprint & 1 else 0)
    return fingerprint


@pytest.mark.parametrize(
    ("schema", "canonical"),
    [
        ('"int"', '"int"'),
        ('{"type": "long", "logicalType": "timestamp-micros"}', '"long"'),
        ('{"type": "record", "doc": "x", "name": "R", "fields": [{"type": "int", "name": "a", "doc": ""}]}',
         '{"name":"R","type":"record","fields":[{"name":"a","type":"int"}]}'),
    ],
)  # fmt: skip
def test_a_single_object_header_is_the_fingerprint_of_the_canonical_form(schema: str, canonical: str) -> None:
    expected = b"\xc3\x01" + rabin(canonical.encode()).to_bytes(8, "little")
    assert single_object_header(schema) == expected


@given(st.integers(0, 2**32 - 1))
def test_a_confluent_header_is_a_zero_and_the_id_big_endian(number: int) -> None:
    assert confluent_header(number) == bytes([0, *(number >> shift & 255 for shift in (24, 16, 8, 0))])


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_schema_is_known_by_its_own_header(name: str) -> None:
    value = SINGLE_OBJECT.header(name) + b"payload"
    assert SINGLE_OBJECT.split(name, value) == (avro_text(name), 10)
    assert shipped_schemas()[name][-1] == avro_text(name)


def test_headers_of_different_schemas_differ() -> None:
    assert len({SINGLE_OBJECT.header(name) for name in NAMES}) == len(NAMES)


def test_with_a_registry_outputs_carry_its_ids_and_inputs_of_both_kinds_are_known() -> None:
    framing = Framing(output_ids={"slo_counts": 12}, registered={12: avro_text("slo_counts"), 13: json.dumps("int")})
    assert framing.header("slo_counts") == b"\x00\x00\x00\x00\x0c"
    assert framing.header("slo_status") == SINGLE_OBJECT.header("slo_status")
    assert framing.split("slo_counts", b"\x00\x00\x00\x00\x0cxyz") == (avro_text("slo_counts"), 5)
    assert framing.split("slo_counts", SINGLE_OBJECT.header("slo_counts")) == (avro_text("slo_counts"), 10)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"", "empty"),
        (b"\x00\x00\x00\x00\x07abc", "0000000007"),
        (b"\xc3\x01abc", "c301616263"),
        (b'{"a":1}', "7b2261223a"),
    ],
)
def test_an_unknown_header_is_shown_in_hex(value: bytes, shown: str) -> None:
    with pytest.raises(UnknownSchema, match=shown):
        SINGLE_OBJECT.split("slo_counts", value)
