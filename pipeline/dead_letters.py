"""Dead letters: records that could not be counted, with the reason in a word and in a sentence.

Pure. The original bytes and key go out unchanged; the headers say why and where they came from. Explaining
one value field by field takes a hundred times as long as folding it, so a unit explains its first
EXPLAINED_MOST in full.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.decoding import EventFold
from pipeline.framing import CONFLUENT_MAGIC, SINGLE_OBJECT_MAGIC
from pipeline.kernels import reasons as r
from pipeline.records import OutRecord, RecordBlock
from pipeline.wire import Cursor, reader_of

EXPLAINED_MOST = 200

#: code -> (reason, the sentence when no more is known)
REASONS: dict[int, tuple[str, str]] = {
    int(r.NULL_VALUE): ("null_value", "the value is null; an event cannot be deleted"),
    int(r.TOO_LARGE): ("too_large", "the value is larger than limit_event_bytes"),
    int(r.UNFRAMED): ("unframed", "the value begins with neither 00 and an id nor c301 and a fingerprint"),
    int(r.UNKNOWN_SCHEMA): ("unknown_schema", "no schema is known for the header of the value"),
    int(r.SCHEMA_MISMATCH): ("schema_mismatch", "the writer's schema cannot be read as InferenceEvent"),
    int(r.MALFORMED): ("malformed", "the bytes are no value of the schema they name"),
    int(r.TOO_LONG): ("label_too_long", "a label is longer than limit_label_bytes"),
    int(r.NEGATIVE_DURATION): ("negative_duration", "a duration is negative"),
    int(r.NEGATIVE_COUNT): ("negative_count", "a number of tokens, a cost or a GPU time is negative"),
    int(r.BAD_WEIGHT): ("bad_weight", "sample_weight is less than 1"),
    int(r.COMPLETED_FIRST): ("completed_before_received", "completed_at is before received_at"),
    int(r.TOO_OLD): ("too_old", "completed_at is before 1970 or further behind the append time than age_us"),
    int(r.FAR_FUTURE): ("far_future", "completed_at is after 2106, and the record has no append time"),
    int(r.IMPLAUSIBLE): ("implausible", "a duration is over 35 years, or an amount would overflow its sum"),
}  # fmt: skip

_DURATIONS = ("e2e_us", "ttft_us", "decode_us")
_AMOUNTS = ("input_tokens", "output_tokens", "cost_picousd", "gpu_us")
_GUILTY: dict[int, tuple[str, ...]] = {
    int(r.NEGATIVE_DURATION): _DURATIONS,
    int(r.NEGATIVE_COUNT): _AMOUNTS,
    int(r.BAD_WEIGHT): ("sample_weight",),
    int(r.COMPLETED_FIRST): ("received_at", "completed_at"),
    int(r.TOO_OLD): ("completed_at",),
    int(r.FAR_FUTURE): ("completed_at",),
    int(r.IMPLAUSIBLE): (*_DURATIONS, *_AMOUNTS, "sample_weight"),
}


@dataclass(frozen=True)
class Letters:
    """How dead letters are written."""

    events: EventFold
    topic: str
    max_bytes: int  # a longer value is cut to this, so that the broker takes it

    def of(self, block: RecordBlock, codes: NDArray[np.uint8], made: int) -> list[OutRecord]:
        """Make the dead letters of a block; `made` is how many its unit has already."""
        bad = np.flatnonzero(codes != r.GOOD)
        if not len(bad):
            return []
        memory = np.ascontiguousarray(block.buffer).data
        topic, partition = block.topic.encode(), str(block.partition).encode()
        spans = (block.value_start, block.value_length, block.key_start, block.key_length)
        columns = (codes[bad].tolist(), block.offset[bad].tolist(), *(span[bad].tolist() for span in spans))
        letters: list[OutRecord] = []
        for code, offset, start, length, key_start, key_length in zip(*columns, strict=True):
            value = bytes(memory[start : start + length]) if length >= 0 else None
            key = bytes(memory[key_start : key_start + key_length]) if key_length >= 0 else None
            detail = self._detail(code, value) if made + len(letters) < EXPLAINED_MOST else ""
            kept, cut = self._kept(value)
            headers = (
                ("reason", REASONS[code][0].encode()),
                ("detail", f"{detail or REASONS[code][1]}{cut}".encode()),
                ("topic", topic),
                ("partition", partition),
                ("offset", b"%d" % offset),
                ("schema_id", schema_id(kept or b"")),
            )
            letters.append(OutRecord(self.topic, kept, key, headers=headers))
        return letters

    def _kept(self, value: bytes | None) -> tuple[bytes | None, str]:
        """The value, or as much of it as the broker takes and the words that say so."""
        if value is None or len(value) <= self.max_bytes:
            return value, ""
        return value[: self.max_bytes], f"; only the first {self.max_bytes} of its {len(value)} bytes are kept"

    def _detail(self, code: int, value: bytes | None) -> str:
        return "" if value is None else self._explained(code, value)

    def _explained(self, code: int, value: bytes) -> str:
        limit = self.events.spec
        if code == int(r.TOO_LARGE):
            return f"{len(value)} bytes are more than limit_event_bytes = {limit.limit_event_bytes}"
        if code == int(r.UNFRAMED):
            begins = value[:10].hex() or "nothing"
            return f"the value begins with {begins}: neither 00 and a schema id nor c301 and a fingerprint"
        header = value[:10] if value[:2] == SINGLE_OBJECT_MAGIC else value[:5]
        if code == int(r.UNKNOWN_SCHEMA):
            return f"no schema is known for the header {header.hex()}"
        if code == int(r.SCHEMA_MISMATCH):
            return self.events.mismatch(header)
        fields, broken = self._fields(header, value)
        if code == int(r.MALFORMED):
            return broken
        if code == int(r.TOO_LONG):
            return _longest_label(fields, self.events.bindings.label_names, limit.limit_label_bytes)
        return f"{REASONS[code][1]}: " + ", ".join(
            f"{name} = {fields[name]}" for name in _GUILTY[code] if fields.get(name) is not None
        )

    def _fields(self, header: bytes, value: bytes) -> tuple[dict[str, Any], str]:
        """Read field after field; return what could be read, and where it breaks."""
        cursor = Cursor(value, len(header))
        fields: dict[str, Any] = {}
        for name, kind in self.events.field_types(header):
            start = cursor.position
            try:
                fields[name] = reader_of(kind)(cursor)
            except (IndexError, struct.error, UnicodeDecodeError) as error:
                return fields, f"field {name}, at byte {start} of {len(value)}, breaks: {error}"
            except KeyError:
                return fields, ""
        left = len(value) - cursor.position
        return fields, f"{left} bytes are left over behind the last field" if left else ""


def _longest_label(fields: dict[str, Any], labels: tuple[str, ...], limit: int) -> str:
    lengths = {n: len(fields[n].encode()) for n in labels if isinstance(fields.get(n), str)}
    name = max(lengths, key=lambda n: lengths[n], default="")
    return f"{name} has {lengths[name]} bytes, more than limit_label_bytes = {limit}" if name else ""


def schema_id(value: bytes) -> bytes:
    """The registry's id as a number, a fingerprint in hex, empty for neither."""
    if value[:2] == SINGLE_OBJECT_MAGIC and len(value) >= 10:
        return value[2:10].hex().encode()
    if value[:1] == CONFLUENT_MAGIC and len(value) >= 5:
        return b"%d" % int.from_bytes(value[1:5], "big")
    return b""


__all__ = ["EXPLAINED_MOST", "REASONS", "Letters", "schema_id"]
