"""Trace ids of bad requests: which request to look at when an alert comes.

Law: at most one an instance and MOST in all between two calls of `take`, each of an event that was bad for its
     instance; an event without a trace id, or with one longer than LONGEST, gives none. Pure. Only these few events
     are read whole, one by one.
"""

import contextlib
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader

from pipeline.framing import Framing

MOST = 16  #: a read event costs some 30 us, and a unit comes each second from every partition
LONGEST = 128  #: characters; what is longer is no trace id, and would only fill the blocks


class Traces:
    """Trace ids by instance, until they are taken."""

    def __init__(self, framing: Framing, schema: str) -> None:
        """`schema` names the events'."""
        self._framing, self._name = framing, schema
        self._schemas: dict[str, Any] = {}  # by the writer's text
        self._found: dict[int, str] = {}
        self._read = 0
        self.too_long = 0  # of those that were read

    def offer(self, instance: int, value: Callable[[], bytes]) -> None:
        """Take the trace id of a value that is bad for an instance, unless there is one or too many were read."""
        if instance in self._found or self._read >= MOST:
            return
        self._read += 1
        with contextlib.suppress(Exception):  # whatever fastavro has against a schema or a value that we could count
            self._keep(instance, self._trace_id(value()))

    def _keep(self, instance: int, trace_id: str | None) -> None:
        if trace_id:
            self._found[instance] = trace_id

    def take(self) -> dict[int, str]:
        """Return what was found, by instance, and begin anew."""
        found, self._found, self._read = self._found, {}, 0
        return found

    def _trace_id(self, value: bytes) -> str | None:
        text, start = self._framing.split(self._name, value)
        avro = BytesIO(value[start:])
        event: Any = schemaless_reader(avro, self._schema(text), None, handle_unicode_errors="replace")
        found = event.get("trace_id")
        is_too_long = isinstance(found, str) and len(found) > LONGEST
        self.too_long += is_too_long
        return found if isinstance(found, str) and not is_too_long else None

    def _schema(self, text: str) -> Any:
        if text not in self._schemas:
            self._schemas[text] = parse_schema(_plain(json.loads(text)))
        return self._schemas[text]


def _plain(schema: Any) -> Any:
    """A schema without logical types and defaults: fastavro raises for times and UUIDs out of range, which we count all
    the same, and for defaults of another type, which nobody needs who reads a writer's own values."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key not in {"logicalType", "default"}}
    return [_plain(each) for each in schema] if isinstance(schema, list) else schema
