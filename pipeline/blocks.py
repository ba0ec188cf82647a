"""Blocks: the columnar codec of our own Avro values. Columns in, framed bytes out, and back.

Law: decode(name, encode(name, columns)) == columns, with defaults filled in; the bytes are plain Avro for
any reader of the schema. Columns: arrays of int and long are int64 arrays, arrays of double float64 arrays,
other arrays lists; timestamps stay integers of microseconds. Other released versions are resolved as Avro
prescribes. Bytes are checked before they are believed: whatever is wrong with them is `Malformed`. Pure.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.resolution import conversion
from pipeline.wire import (
    Cursor,
    Encoded,
    Reader,
    Writer,
    column_type,
    reader_of,
    type_of,
    writer_of,
)
from schemas import avro_text

__all__ = ["Encoded", "Malformed", "decode", "encode", "peek"]

_REQUIRED = object()


class Malformed(ValueError):
    """Bytes that are not a value of the schema they name; the text says where."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a schema."""

    name: str
    kind: Any  # its type, as the schema has it
    default: Any  # _REQUIRED: none
    write: Writer
    read: Reader

    def without(self, schema: str) -> Any:
        """What stands for a column that is left out. Raises: KeyError when nothing does."""
        if self.default is _REQUIRED:
            raise KeyError(f"{schema} needs a column {self.name}")
        return self.default


def encode(name: str, columns: Mapping[str, Any], framing: Framing = SINGLE_OBJECT) -> bytes:
    """Write one value of schema `name`; columns left out take the schema's default.

    Raises: KeyError for a column that is missing or unknown, OverflowError for a number too large.
    """
    out = [framing.header(name)]
    used = 0
    for field in fields(name):
        value = columns.get(field.name, _REQUIRED)
        if value is _REQUIRED:
            value = field.without(name)
        else:
            used += 1
        field.write(out, value)
    if used != len(columns):
        raise KeyError(f"{name} has no columns {', '.join(sorted(set(columns) - {f.name for f in fields(name)}))}")
    return b"".join(out)


def decode(name: str, value: bytes, framing: Framing = SINGLE_OBJECT) -> dict[str, Any]:
    """Read one framed value of schema `name`, whichever released version wrote it.

    Raises: framing.UnknownSchema for a header nobody knows, Malformed for bytes that do not fit their schema.
    """
    text, start = framing.split(name, value)
    cursor = Cursor(value, start)
    with _checked(name, cursor):
        if text == avro_text(name):
            columns = {field.name: field.read(cursor) for field in fields(name)}
        else:
            columns = _read_foreign(name, text, cursor)
    if cursor.position != len(value):
        raise Malformed(f"a {name} of {len(value)} bytes ends at byte {cursor.position}")
    return columns


def peek(name: str, value: bytes, column: str, framing: Framing = SINGLE_OBJECT) -> Any:
    """Read one column, and nothing that comes behind it; what `decode` would find wrong there is not seen.

    Raises: framing.UnknownSchema, Malformed.
    """
    text, start = framing.split(name, value)
    if text != avro_text(name):
        return decode(name, value, framing)[column]
    cursor, found = Cursor(value, start), None
    with _checked(name, cursor):
        for field in fields(name):
            found = field.read(cursor)
            if field.name == column:
                break
    return found


@contextmanager
def _checked(name: str, cursor: Cursor) -> Iterator[None]:
    try:
        yield
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        message = f"a {name} of {len(cursor.data)} bytes breaks at byte {cursor.position}: {error}"
        raise Malformed(message) from error


# -- schemas, field by field
@cache
def _schema(text: str) -> Any:
    return json.loads(text)


@cache
def fields(name: str) -> tuple[Field, ...]:
    """The fields of a schema, in order."""
    return tuple(
        Field(field["name"], field["type"], _default(field), writer_of(field["type"]), reader_of(field["type"]))
        for field in _schema(avro_text(name))["fields"]
    )


def _default(field: Any) -> Any:
    if "default" not in field:
        return _REQUIRED
    dtype = column_type(field["type"])
    return field["default"] if dtype is None else np.array(field["default"], dtype)


# -- another version's writer
@dataclass(frozen=True, slots=True)
class _Resolved:
    """How one version's values become the newest one's."""

    readers: tuple[tuple[str, Reader], ...]  # the writer's fields, on the wire
    fields: tuple[tuple[str, str | None, Any], ...]  # ours: name, the writer's name for it, default or conversion


@cache
def _resolved(name: str, text: str) -> _Resolved:
    """Match fields by name or alias, as Avro's schema resolution has it.

    Raises: Malformed when a field we need is missing or of a type that does not become ours.
    """
    theirs = {field["name"]: field["type"] for field in _schema(text)["fields"]}
    ours: list[tuple[str, str | None, Any]] = []
    for field in _schema(avro_text(name))["fields"]:
        found = next((n for n in (field["name"], *field.get("aliases", ())) if n in theirs), None)
        if found is None and "default" not in field:
            raise Malformed(f"this {name} has no {field['name']}")
        by = _default(field) if found is None else conversion(theirs[found], field["type"])
        if by is None and found is not None:
            raise Malformed(f"{field['name']} of this {name} cannot be read as {type_of(field['type'])}")
        ours.append((field["name"], found, by))
    try:
        return _Resolved(tuple((n, reader_of(kind)) for n, kind in theirs.items()), tuple(ours))
    except KeyError as error:
        raise Malformed(f"this {name} holds a type that blocks do not have: {error}") from error


def _read_foreign(name: str, text: str, cursor: Cursor) -> dict[str, Any]:
    resolved = _resolved(name, text)
    theirs = {n: read(cursor) for n, read in resolved.readers}
    return {n: by if found is None else by(theirs[found]) for n, found, by in resolved.fields}
