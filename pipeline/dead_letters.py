"""Dead letters: records that could not be counted, with the reason in a word and in a sentence; and too many of them.

Pure. The original bytes, key and headers go out unchanged, behind them the headers ABOUT: why, and where from.
Headers may come twice in Kafka, and of equal names the last is ours. What the broker would not take is cut, and
`kept` says so. Explaining one value field by field takes a hundred times as long as folding it, so a unit explains
its first EXPLAINED_MOST in full, and of those what is no longer than EXPLAINED_BYTES_MOST.
"""

import struct
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.decoding import EventFold
from pipeline.framing import CONFLUENT_MAGIC, SINGLE_OBJECT_MAGIC, header_of
from pipeline.kernels import reasons as r
from pipeline.records import OutRecord, RecordBlock
from pipeline.wire import Cursor, reader_of

EXPLAINED_MOST = 200
EXPLAINED_BYTES_MOST = 16 << 10  #: of a value that is read field by field; events have one or two thousand
HEADERS_MOST, HEADERS_BYTES_MOST = 1_000, 1 << 20  #: of a record's own headers; more are left out
KEPT_ALL, KEPT_PART = b"all", b"part"

#: what a letter says of its record, in this order behind the record's own headers
ABOUT = ("reason", "detail", "topic", "partition", "offset", "schema_id", "append_time", "kept")

Headers = tuple[tuple[str, bytes | None], ...]

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
    int(r.TOO_MANY): ("too_many_attributes", "the map `attributes` has more entries than limit_attributes"),
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
    max_bytes: int  # of key, value and headers: a longer letter is cut, so that the broker takes it

    def of(self, block: RecordBlock, codes: NDArray[np.uint8], made: int) -> list[OutRecord]:
        """Make the dead letters of a block; `made` is how many its unit has already."""
        bad = np.flatnonzero(codes != r.GOOD)
        if not len(bad):
            return []
        memory = np.ascontiguousarray(block.buffer).data
        spans = (block.value_start, block.value_length, block.key_start, block.key_length)
        columns = (codes[bad].tolist(), bad.tolist(), *(span[bad].tolist() for span in spans))
        letters: list[OutRecord] = []
        for code, index, start, length, key_start, key_length in zip(*columns, strict=True):
            value = bytes(memory[start : start + length]) if length >= 0 else None
            key = bytes(memory[key_start : key_start + key_length]) if key_length >= 0 else None
            detail = self._detail(code, value) if made + len(letters) < EXPLAINED_MOST else ""
            letters.append(self._letter(block, index, key, value, REASONS[code][0], detail or REASONS[code][1]))
        return letters

    def _letter(
        self, block: RecordBlock, index: int, key: bytes | None, value: bytes | None, reason: str, detail: str
    ) -> OutRecord:
        """A record as a letter, or as much of it as the broker takes and the words that say so."""
        own, cut = _own_headers(block, index)
        if (length := len(key or b"")) > self.max_bytes // 2:
            key, cut = (
                (key or b"")[: self.max_bytes // 2],
                f"{cut}; its key of {length} bytes is cut",
            )
        room = max(self.max_bytes - len(key or b"") - _size(own), 0)
        if (length := len(value or b"")) > room:
            value, cut = (value or b"")[:room], f"{cut}; only the first {room} of its {length} bytes are kept"
        about = (
            reason.encode(), f"{detail}{cut}".encode(), block.topic.encode(), b"%d" % block.partition,
            b"%d" % int(block.offset[index]), schema_id(value or b""), b"%d" % int(block.append_time_ms[index]),
            KEPT_PART if cut else KEPT_ALL,
        )  # fmt: skip
        return OutRecord(self.topic, value, key, headers=(*own, *zip(ABOUT, about, strict=True)))

    def _detail(self, code: int, value: bytes | None) -> str:
        return "" if value is None else self._explained(code, value)

    def _explained(self, code: int, value: bytes) -> str:
        limit = self.events.spec
        past = {
            int(r.TOO_LARGE): f"{len(value)} bytes are more than limit_event_bytes = {limit.limit_event_bytes}",
            int(r.TOO_MANY): f"{REASONS[int(r.TOO_MANY)][1]} = {limit.limit_attributes}",
        }
        if code in past:
            return past[code]
        if code == int(r.UNFRAMED):
            begins = value[:10].hex() or "nothing"
            return f"the value begins with {begins}: neither 00 and a schema id nor c301 and a fingerprint"
        header = header_of(value)
        if code == int(r.UNKNOWN_SCHEMA):
            return f"no schema is known for the header {header.hex()}"
        if code == int(r.SCHEMA_MISMATCH):
            return self.events.mismatch(header)
        if len(value) > EXPLAINED_BYTES_MOST:
            return ""
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


def _own_headers(block: RecordBlock, index: int) -> tuple[Headers, str]:
    """The record's headers, and the words that say why there are none."""
    try:
        own = block.headers(index)
    except (IndexError, ValueError):
        return (), "; its headers cannot be read"
    if len(own) > HEADERS_MOST or _size(own) > HEADERS_BYTES_MOST:
        return (), f"; its headers are left out, they are more than {HEADERS_MOST}, or than {HEADERS_BYTES_MOST} bytes"
    return own, ""


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value or b"") for name, value in headers)


def schema_id(value: bytes) -> bytes:
    """The registry's id as a number, a fingerprint in hex, empty for neither."""
    if value[:2] == SINGLE_OBJECT_MAGIC and len(value) >= 10:
        return value[2:10].hex().encode()
    if value[:1] == CONFLUENT_MAGIC and len(value) >= 5:
        return b"%d" % int.from_bytes(value[1:5], "big")
    return b""


def split_headers(headers: Headers) -> tuple[Headers, dict[str, bytes]]:
    """A letter's headers as the record's own and what we say of it; nothing of ours: it is no letter.

    Letters of the first release say neither append time nor `kept`, and have no headers of their own.
    """
    for names in (ABOUT, ABOUT[:6]):
        tail = headers[-len(names) :]
        if tuple(name for name, _ in tail) == names:
            return headers[: -len(names)], {name: value or b"" for name, value in tail}
    return headers, {}


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """How many records may be put aside: of at least `records_least` within `window_us`, no more than `ratio`."""

    ratio: float
    records_least: int
    window_us: int


class TooManyDeadLetters(RuntimeError):
    """More is put aside than bad input explains; the message says how to go on."""


@dataclass
class DeadLetterWindow:
    """What has come within the last window, and how much of it was put aside. Time is told by the caller."""

    spec: LimitSpec
    records: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    _cells: deque[tuple[int, int, Counter[str]]] = field(default_factory=deque)  # a second each: bounded

    @property
    def ratio(self) -> float:
        """Share of records put aside; 0 when there were none."""
        return self.reasons.total() / self.records if self.records else 0.0

    def add(self, now_us: int, records: int, reasons: Mapping[str, int]) -> None:
        """Note a unit before it is written.

        Raises: TooManyDeadLetters when the unit, with what came before it, is past the limit.
        """
        cell = now_us // 1_000_000
        if not self._cells or self._cells[-1][0] != cell:
            self._cells.append((cell, 0, Counter()))
        _, before, counted = self._cells[-1]
        counted.update(reasons)
        self._cells[-1] = (cell, before + records, counted)
        self.records += records
        self.reasons.update(reasons)
        self._forget(now_us)
        if self.records >= self.spec.records_least and self.reasons.total() > self.spec.ratio * self.records:
            raise TooManyDeadLetters(self._in_words())

    def _forget(self, now_us: int) -> None:
        while (self._cells[0][0] + 1) * 1_000_000 <= now_us - self.spec.window_us:
            _, records, reasons = self._cells.popleft()
            self.records -= records
            self.reasons.subtract(reasons)

    def _in_words(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common() if count > 0)
        return (
            f"{self.reasons.total()} of the last {self.records} records could not be used ({reasons}): more than "
            f"BURNLINE_LIMIT_DEAD_LETTER_RATIO = {self.spec.ratio:g} allows. This unit was not written and its offsets "
            "are not committed, so nothing is lost. Was this version deployed lately? Go back to the one before. Is it "
            "the producers' fault? Start with BURNLINE_LIMIT_DEAD_LETTER_RATIO=1: the records are put aside, and "
            "`burnline drain-dead-letters` feeds them again once they can be read"
        )
