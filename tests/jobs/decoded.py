"""Events as a consumer sees them: encoded, then read back by fastavro, one dictionary each."""

import io
import json
from collections.abc import Iterable
from typing import Any

import fastavro

from pipeline.encoding import EventColumns, EventEncoder
from schemas import avro_text


def _plain(node: Any) -> Any:
    """The schema without logical types: numbers and texts stay what they are on the wire."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != "logicalType"}
    return [_plain(item) for item in node] if isinstance(node, list) else node


PLAIN = fastavro.parse_schema(_plain(json.loads(avro_text("inference_event"))))


def read_values(values: Iterable[bytes]) -> list[dict[str, Any]]:
    """Decode single-object values."""
    return [fastavro.schemaless_reader(io.BytesIO(value[10:]), PLAIN) for value in values]  # type: ignore[misc]


def decoded(events: EventColumns) -> list[dict[str, Any]]:
    return read_values(EventEncoder().encode(events).records())
