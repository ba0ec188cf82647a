"""The generator of decoders; what its decoders read is tested in tests/test_events.py, against fastavro."""

import json
from dataclasses import replace
from typing import Any

import avro.schema
import pytest

from pipeline.kernels.avro import FIXED_BYTES_MOST, Column, Layout, SchemaMismatch, branches, is_optional, module_text


def schema(*fields: tuple[str, Any]) -> Any:
    named = [{"name": name, "type": kind} for name, kind in fields]
    return avro.schema.parse(json.dumps({"type": "record", "name": "Event", "fields": named}))


LAYOUT = Layout((Column("e2e_us"), Column("priority", default=0)), ("service", "model", "region"), (("service",),))
WIRE = schema(
    ("service", "string"), ("model", "string"), ("e2e_us", "long"), ("region", ["null", "string"]), ("rest", "bytes")
)


def test_the_text_is_a_module_and_the_same_for_the_same_schema() -> None:
    text, _ = module_text(WIRE, LAYOUT)
    compile(text, "generated", "exec")
    assert text == module_text(WIRE, LAYOUT)[0]


def test_a_column_that_nobody_reads_is_skipped_where_it_stands_and_not_asked_of_a_writer() -> None:
    unread = replace(LAYOUT, unread=frozenset({"e2e_us"}))
    assert "st_i64(r + 0," in module_text(WIRE, LAYOUT)[0]
    assert "st_i64(r + 0," not in module_text(WIRE, unread)[0]
    assert "st_i64(r + 0," not in module_text(schema(("service", "string")), unread)[0]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("string", "e2e_us"), (["null", "long", "string"], "unions of null and one type"), ("double", "e2e_us")],
    ids=["text for a number", "three branches", "floating point for an integer"],
)
def test_a_type_that_cannot_be_read_is_refused_by_its_field(kind: Any, said: str) -> None:
    with pytest.raises(SchemaMismatch, match=said):
        module_text(schema(("e2e_us", kind)), LAYOUT)


FIXED = {"type": "fixed", "name": "F"}


@pytest.mark.parametrize("size", [FIXED_BYTES_MOST + 1, (1 << 63) - 1, 1 << 70])
def test_a_fixed_that_steps_over_all_memory_is_refused(size: int) -> None:
    fields = [(field.name, field.type.to_json()) for field in WIRE.fields]
    module_text(schema(*fields, ("far", {**FIXED, "size": FIXED_BYTES_MOST})), LAYOUT)
    with pytest.raises(SchemaMismatch, match="longer than any event"):
        module_text(schema(*fields, ("far", {**FIXED, "size": size})), LAYOUT)


EVIL = "x\nimport os\n#\"'"
NAMED = {"type": "record", "name": "R", "fields": [{"name": EVIL, "type": "string", "doc": EVIL}]}


@pytest.mark.parametrize("kind", ["string", "long", ["null", "string"], {"type": "map", "values": "string"}, NAMED])
def test_no_name_of_a_writer_becomes_code(kind: Any) -> None:
    """The parser takes any name of a field; who may register a schema must not run what is in it."""
    fields = [(field.name, field.type.to_json()) for field in WIRE.fields]
    text, _ = module_text(schema(*fields, (EVIL, kind)), LAYOUT)
    assert "import os" not in text


def test_a_needed_field_that_is_missing_is_refused_by_name() -> None:
    with pytest.raises(SchemaMismatch, match="e2e_us is missing"):
        module_text(schema(("service", "string")), LAYOUT)


def test_null_may_be_either_branch() -> None:
    first, last = (schema(("x", kind)).fields[0].type for kind in (["null", "int"], ["int", "null"]))
    assert is_optional(first) and is_optional(last)
    assert [branches(kind, "x")[0] for kind in (first, last)] == [0, 1]
