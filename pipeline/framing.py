"""Framing of Avro values: which schema wrote these bytes.

Pure. Two framings are accepted everywhere, told apart by their first bytes: Avro single-object encoding
(C3 01 + CRC-64-AVRO fingerprint, little endian) and Confluent (00 + 4-byte id, big endian).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas import HOME, avro_text

SINGLE_OBJECT_MAGIC = b"\xc3\x01"
CONFLUENT_MAGIC = b"\x00"


class UnknownSchema(ValueError):
    """The value names a schema nobody told us of; the message says which."""


def single_object_header(schema_text: str) -> bytes:
    """C3 01 and the fingerprint of the schema's canonical form: 10 bytes.

    Source: Avro specification 1.12, "Single-object encoding".
    """
    canonical = to_parsing_canonical_form(json.loads(schema_text))
    return SINGLE_OBJECT_MAGIC + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))  # little endian already


def confluent_header(schema_id: int) -> bytes:
    """Write 00 and the registry's id: 5 bytes."""
    return CONFLUENT_MAGIC + schema_id.to_bytes(4, "big")


def header_of(value: bytes) -> bytes:
    """What stands in front of the Avro bytes of a framed value, as long as its magic says; less when it is shorter."""
    return bytes(value[: 10 if value[:2] == SINGLE_OBJECT_MAGIC else 5])


@cache
def shipped_schemas() -> dict[str, tuple[str, ...]]:
    """Name -> texts of every released version (`golden/<name>/v<N>.avsc`), then `avro/<name>.avsc`."""
    shipped = {}
    for path in sorted((HOME / "avro").glob("*.avsc")):
        released = sorted((HOME / "golden" / path.stem).glob("v*.avsc"), key=lambda p: int(p.stem[1:]))
        shipped[path.stem] = (*(p.read_text(encoding="utf-8") for p in released), avro_text(path.stem))
    return shipped


@dataclass(frozen=True)
class Framing:
    """Headers known to this process. Without a registry: the fingerprints of every shipped schema."""

    output_ids: Mapping[str, int] = field(default_factory=dict)  # schema name -> registry id of its newest version
    registered: Mapping[int, str] = field(default_factory=dict)  # registry id -> schema text
    _known: dict[str, dict[bytes, str]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def header(self, name: str) -> bytes:
        """What goes in front of our own values of schema `name`."""
        if name in self.output_ids:
            return confluent_header(self.output_ids[name])
        return _newest_header(name)

    def known(self, name: str) -> dict[bytes, str]:
        """Header -> writer's schema text, for every header a value of `name` may carry."""
        if name not in self._known:
            headers = {single_object_header(text): text for text in shipped_schemas()[name]}
            headers.update({confluent_header(i): text for i, text in self.registered.items()})
            self._known[name] = headers
        return self._known[name]

    def split(self, name: str, value: bytes) -> tuple[str, int]:
        """Writer's schema text and where the Avro bytes start.

        Raises: UnknownSchema, with the header in hex.
        """
        header = header_of(value)
        text = self.known(name).get(header)
        if text is None:
            raise UnknownSchema(f"no schema is known for the header {header.hex() or '(empty)'} of a {name}")
        return text, len(header)


@cache
def _newest_header(name: str) -> bytes:
    return single_object_header(avro_text(name))


SINGLE_OBJECT = Framing()
