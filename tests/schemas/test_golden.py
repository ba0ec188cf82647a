"""Every released version is read for ever, and released readers read what we write now."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import blocks
from pipeline.framing import Framing, confluent_header, shipped_schemas, single_object_header
from schemas import HOME, avro_text
from tests.naive.blocks import bare, read, schema_of, write
from tests.schemas.golden import NAMES, record_of, with_bytes

RELEASED = sorted((HOME / "golden").glob("*/v*.avro"))


def name_of(path: Path) -> str:
    return path.parent.name


def plain(columns: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in columns.items()}


def with_defaults(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """What the newest reader makes of a record of another version."""
    return {f["name"]: record[f["name"]] if f["name"] in record else f["default"] for f in schema_of(name)["fields"]}


def known_as(kind: Any, value: Any) -> Any:
    """What a reader makes of a value: of a symbol that came after it, its default."""
    is_new = isinstance(kind, dict) and kind["type"] == "enum" and value not in kind["symbols"]
    return kind["default"] if is_new else value


def test_every_schema_has_a_released_version() -> None:
    assert {name_of(path) for path in RELEASED} == set(NAMES)


@pytest.mark.parametrize("path", RELEASED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_released_value_is_read_by_the_newest_reader(path: Path) -> None:
    name, schema = name_of(path), json.loads(path.with_suffix(".avsc").read_text(encoding="utf-8"))
    record = with_bytes(schema, json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
    assert plain(blocks.decode(name, path.read_bytes())) == with_defaults(name, record)


@pytest.mark.parametrize("path", RELEASED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_released_reader_reads_what_we_write_now(path: Path) -> None:
    name, reader = name_of(path), bare(json.loads(path.with_suffix(".avsc").read_text(encoding="utf-8")))
    record = with_bytes(schema_of(name), record_of(name))
    value = blocks.encode(name, record)
    found = read(schema_of(name), value[10:], reader)
    assert all(
        found[f["name"]] == known_as(f["type"], record[f["name"]]) for f in reader["fields"] if f["name"] in record
    )


@pytest.mark.parametrize("path", RELEASED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_the_header_of_a_released_value_is_its_schema_s_fingerprint(path: Path) -> None:
    header = single_object_header(path.with_suffix(".avsc").read_text(encoding="utf-8"))
    assert path.read_bytes().startswith(header)
    assert shipped_schemas()[name_of(path)][-1] == avro_text(name_of(path))


@pytest.mark.parametrize("name", NAMES)
def test_a_version_without_any_optional_field_is_read_with_defaults(name: str) -> None:
    newest = schema_of(name)
    older = {**newest, "fields": [f for f in newest["fields"] if "default" not in f]}
    record = with_bytes(newest, record_of(name))
    kept = {f["name"]: record[f["name"]] for f in older["fields"]}
    value = confluent_header(1) + write(older, kept)
    framing = Framing(registered={1: json.dumps(older)})
    assert plain(blocks.decode(name, value, framing)) == with_defaults(name, kept)
    assert read(newest, blocks.encode(name, record)[10:], older) == kept


@pytest.mark.parametrize("name", NAMES)
def test_a_version_with_more_fields_in_another_order_is_read_by_name(name: str) -> None:
    newest = schema_of(name)
    added = {"name": "added", "type": ["null", "string"], "default": None}
    newer = {**newest, "fields": [added, *reversed(newest["fields"])]}
    record = with_bytes(newest, record_of(name))
    framing = Framing(registered={1: json.dumps(newer)})
    value = confluent_header(1) + write(newer, {**record, "added": "new"})
    assert plain(blocks.decode(name, value, framing)) == record
    assert read(newest, blocks.encode(name, record)[10:], newer)["added"] is None


@pytest.mark.parametrize("name", NAMES)
def test_schemas_keep_to_the_rules_that_clickhouse_and_old_readers_need(name: str) -> None:
    """Definition 4.1: unions are null and one type, null first, default null; nothing nested or fixed."""
    for field in schema_of(name)["fields"]:
        kind = field["type"]
        if isinstance(kind, list):
            assert len(kind) == 2 and kind[0] == "null" and field["default"] is None, field["name"]
            kind = kind[1]
        inner = kind if isinstance(kind, dict) else {"type": kind}
        assert inner["type"] not in {"record", "fixed"}, field["name"]
        if inner["type"] == "enum" and name == "inference_event":
            assert inner["default"] in inner["symbols"], field["name"]
