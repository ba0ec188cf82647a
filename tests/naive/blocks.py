"""Oracle of the block codec: fastavro over the same schema, logical types aside."""

import io
import json
from typing import Any

import fastavro

from schemas import avro_text


def bare(schema: Any) -> Any:
    """The schema without logical types, so that times stay integers."""
    if isinstance(schema, dict):
        return {k: bare(v) for k, v in schema.items() if k != "logicalType"}
    return [bare(v) for v in schema] if isinstance(schema, list) else schema


def schema_of(name: str) -> Any:
    return bare(json.loads(avro_text(name)))


def write(schema: Any, record: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(bare(schema)), record)
    return stream.getvalue()


def read(schema: Any, payload: bytes, reader: Any = None) -> Any:
    """Raises whatever fastavro raises, and ValueError for bytes that are left over."""
    stream = io.BytesIO(payload)
    wanted = None if reader is None else fastavro.parse_schema(bare(reader))
    record = fastavro.schemaless_reader(stream, fastavro.parse_schema(bare(schema)), wanted)
    if stream.tell() != len(payload):
        raise ValueError("bytes are left over")
    return record
