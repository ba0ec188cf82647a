"""Events out: columns -> framed Avro records, for producers that make many events at once.

Pure. Driven by the schema: a column that is not given takes its field's default. Law: the bytes equal
fastavro's for the same rows. Refuses to know where columns come from and where bytes go.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from fastavro import parse_schema, schemaless_writer
from numpy.typing import NDArray

from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.kernels import encode as k
from pipeline.kernels.bits import PAD, address_of
from schemas import avro_text

NULL = k.NULL  #: a missing integer
_LONGEST = {k.LONG: 10, k.MAYBE_LONG: 11, k.BITS: 9, k.HEX: 38}
_BYTES_GUESS = 420  # an event of the fleet; a wrong guess costs one copy


class EncodingError(ValueError):
    """The columns do not fit the schema; the message names the column."""


@dataclass(frozen=True)
class Words:
    """A column of few distinct values: strings, bytes or maps, and for each row which one; -1 is null."""

    words: Sequence[Any]
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Any) -> "Words":
        return Words(self.words, self.codes[rows])


@dataclass(frozen=True)
class Identifiers:
    """A column of 128-bit numbers, written as UUIDs or as 32 hexadecimal digits; `present` False is null."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    dashed: bool = True
    present: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.high)

    def take(self, rows: Any) -> "Identifiers":
        present = None if self.present is None else self.present[rows]
        return Identifiers(self.high[rows], self.low[rows], self.dashed, present)


#: integers (NULL: missing), booleans, floats (NaN: missing), enum symbols by number, or one of the two above
Column = NDArray[Any] | Words | Identifiers


@dataclass(frozen=True)
class EventColumns:
    """Events, one column a field of InferenceEvent; a field that is not there has its default."""

    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def take(self, rows: Any) -> "EventColumns":
        """Choose rows: a mask, a slice or indexes."""
        chosen = {n: c[rows] if isinstance(c, np.ndarray) else c.take(rows) for n, c in self.columns.items()}
        return EventColumns(chosen)

    @classmethod
    def concatenate(cls, parts: Sequence["EventColumns"]) -> "EventColumns":
        """Join parts that have the same columns."""
        if len(parts) == 1:
            return parts[0]
        names = list(parts[0].columns) if parts else []
        return cls({name: _joined([part.columns[name] for part in parts]) for name in names})


def _joined(parts: Sequence[Any]) -> Column:
    if isinstance(parts[0], Words):
        return _joined_words(parts)
    if isinstance(parts[0], Identifiers):
        present = None
        if any(part.present is not None for part in parts):
            present = np.concatenate([np.ones(len(p), np.bool_) if p.present is None else p.present for p in parts])
        high, low = (np.concatenate([getattr(p, half) for p in parts]) for half in ("high", "low"))
        return Identifiers(high, low, parts[0].dashed, present)
    joined: NDArray[Any] = np.concatenate(list(parts))
    return joined


def _joined_words(parts: Sequence[Words]) -> Words:
    if all(part.words is parts[0].words for part in parts):
        return Words(parts[0].words, np.concatenate([part.codes for part in parts]))
    words: list[Any] = []
    codes = []
    for part in parts:
        codes.append(np.where(part.codes < 0, part.codes, part.codes + len(words)).astype(np.int32))
        words.extend(part.words)
    return Words(words, np.concatenate(codes))


class Encoded(NamedTuple):
    """Records one behind another: record i is buffer[offsets[i]:offsets[i + 1]]."""

    buffer: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def records(self) -> list[bytes]:
        """Copy every record out."""
        whole = self.buffer[: int(self.offsets[-1])].tobytes()
        ends = self.offsets.tolist()
        return [whole[start:end] for start, end in pairwise(ends)]


def texts(column: Words | Identifiers) -> list[bytes]:
    """Return a string column as UTF-8, row by row: for keys. Null is the empty string."""
    if isinstance(column, Words):
        words = [word.encode() for word in column.words] + [b""]
        return [words[code] for code in column.codes.tolist()]
    schema = {"type": "record", "name": "Key", "fields": [{"name": "key", "type": "string"}]}
    rows = EventEncoder(json.dumps(schema), b"").encode(EventColumns({"key": column}))
    ends, whole = rows.offsets.tolist(), rows.buffer.tobytes()
    return [whole[start + 1 : end] for start, end in pairwise(ends)]


class _Vocabulary(NamedTuple):
    """Encoded words, one behind another; entry 0 is null's."""

    starts: NDArray[np.int64]
    arena: NDArray[np.uint8]
    longest: int


@dataclass
class EventEncoder:
    """Encodes columns by a record schema; keeps the bytes of words it has seen."""

    schema_text: str = field(default_factory=lambda: avro_text("inference_event"))
    header: bytes = field(default_factory=lambda: SINGLE_OBJECT.header("inference_event"))
    _words: dict[str, tuple[Any, _Vocabulary]] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def framed(cls, framing: Framing) -> "EventEncoder":
        """Make an encoder of InferenceEvent that frames as the process does."""
        return cls(header=framing.header("inference_event"))

    def __post_init__(self) -> None:
        schema = json.loads(self.schema_text)
        parse_schema(schema)
        self._fields = schema["fields"]
        self._literals = {f["name"]: _default_bytes(f) for f in self._fields if "default" in f}
        self.names = tuple(f["name"] for f in self._fields)

    def encode(self, events: EventColumns) -> Encoded:
        """Encode every row.

        Raises: EncodingError when a column is unknown, of the wrong kind or length, or required and missing.
        """
        rows = len(events)
        program = self._program(events, rows)
        steps = np.array([step for step, _ in program.steps], np.int64).reshape(-1, k.STEP_WORDS)
        longest = sum(length for _, length in program.steps)
        buffer = np.empty(rows * _BYTES_GUESS + longest + PAD, np.uint8)
        offsets = np.zeros(rows + 1, np.int64)
        at = position = 0
        while True:
            room = buffer.size - PAD - longest
            at, position = k.encode_rows(
                address_of(steps),
                len(steps),
                at,
                rows,
                address_of(buffer),
                position,
                room,
                address_of(offsets),
            )
            if at == rows:
                return Encoded(buffer, offsets)
            larger = np.empty(buffer.size + buffer.size // 2, np.uint8)
            larger[:position] = buffer[:position]
            buffer = larger

    def _program(self, events: EventColumns, rows: int) -> "_Program":
        unknown = set(events.columns) - set(self.names)
        if unknown:
            raise EncodingError(f"no such field: {', '.join(sorted(unknown))}")
        program = _Program()
        program.literal(self.header)
        for declared in self._fields:
            name = declared["name"]
            if name in events.columns:
                column = events.columns[name]
                if len(column) != rows:
                    raise EncodingError(f"{name}: {len(column)} rows instead of {rows}")
                self._column(program, name, declared["type"], column)
            elif name in self._literals:
                program.literal(self._literals[name])
            else:
                raise EncodingError(f"{name}: required, and not among the columns")
        program.close()
        return program

    def _column(self, program: "_Program", name: str, declared: Any, column: Column) -> None:
        kind, branches = _branches(declared)
        base = kind["type"] if isinstance(kind, dict) else kind
        if isinstance(column, Words):
            if base not in {"string", "bytes", "map"}:
                raise EncodingError(f"{name}: words for a field of type {base}")
            program.words(column.codes, self._encoded_words(name, kind, branches, column.words), name)
        elif isinstance(column, Identifiers):
            if base != "string":
                raise EncodingError(f"{name}: identifiers for a field of type {base}")
            program.identifiers(column, branches)
        elif base in {"enum", "boolean"}:
            symbols = kind["symbols"] if base == "enum" else (False, True)
            program.words(column, self._encoded_words(name, kind, branches, symbols), name)
        elif base in {"int", "long"}:
            program.integers(name, column, branches, 32 if base == "int" else 64)
        elif base in {"float", "double"}:
            program.floats(column, branches, 4 if base == "float" else 8)
        else:
            raise EncodingError(f"{name}: numbers for a field of type {base}")

    def _encoded_words(self, name: str, kind: Any, branches: int, words: Any) -> _Vocabulary:
        """Encode a vocabulary, or find it among those met before: the same object means the same words."""
        known = self._words.get(name)
        if known is None or known[0] is not words:
            known = self._words[name] = words, _encode_words(kind, branches, words)
        return known[1]


class _Program:
    """Steps under construction, and whatever memory they name."""

    def __init__(self) -> None:
        self.steps: list[tuple[tuple[int, ...], int]] = []  # words, most bytes written
        self._kept: list[Any] = []
        self._literal = b""

    def literal(self, data: bytes) -> None:
        """Append constant bytes; neighbours become one step."""
        self._literal += data

    def close(self) -> None:
        if self._literal:
            data = np.frombuffer(self._literal + bytes(PAD), np.uint8)
            self._kept.append(data)
            self.steps.append(((k.LITERAL, address_of(data), len(self._literal), 0, 0, 0), len(self._literal)))
            self._literal = b""

    def _step(self, kind: int, words: Sequence[int], longest: int) -> None:
        self.close()
        self.steps.append(((kind, *words, *[0] * (k.STEP_WORDS - 1 - len(words))), longest))

    def _keep(self, array: NDArray[Any], kind: Any) -> int:
        kept = np.ascontiguousarray(array, kind)
        self._kept.append(kept)
        return address_of(kept)

    def words(self, codes: NDArray[Any], words: _Vocabulary, name: str) -> None:
        count = len(words.starts) - 2
        lowest = -1 if words.starts[1] else 0
        if len(codes) and (int(codes.min()) < lowest or int(codes.max()) >= count):
            raise EncodingError(f"{name}: codes must be in {lowest}..{count - 1}")
        self._kept.append(words)
        addresses = self._keep(codes, np.int32), address_of(words.starts), address_of(words.arena)
        self._step(k.WORD, addresses, words.longest)

    def integers(self, name: str, column: NDArray[Any], branches: int, bits: int) -> None:
        if bits == 32 and len(column):
            known = column if branches < 0 else column[column != NULL]
            if len(known) and max(int(known.max()), ~int(known.min())) >= 1 << 31:
                raise EncodingError(f"{name}: a value does not fit in 32 bits")
        address = self._keep(column, np.int64)
        if branches < 0:
            self._step(k.LONG, (address,), _LONGEST[k.LONG])
        else:
            self._step(k.MAYBE_LONG, (address, branches & 255, branches >> 8), _LONGEST[k.MAYBE_LONG])

    def floats(self, column: NDArray[Any], branches: int, width: int) -> None:
        present = 0 if branches < 0 else self._keep(~np.isnan(column), np.uint8)
        if width == 4:
            bits = np.ascontiguousarray(column, np.float32).view(np.uint32).astype(np.uint64)
        else:
            bits = np.ascontiguousarray(column, np.float64).view(np.uint64)
        self._step(k.BITS, (self._keep(bits, np.uint64), present, width, branches), _LONGEST[k.BITS])

    def identifiers(self, column: Identifiers, branches: int) -> None:
        present = 0 if column.present is None or branches < 0 else self._keep(column.present, np.uint8)
        high, low = self._keep(column.high, np.uint64), self._keep(column.low, np.uint64)
        self._step(k.HEX, (high, low, present, int(column.dashed), branches), _LONGEST[k.HEX])


def _branches(declared: Any) -> tuple[Any, int]:
    """Return the type that is not null, and both branches' bytes as the kernel wants them; -1: no union."""
    if not isinstance(declared, list):
        return declared, -1
    null, other = declared.index("null"), 1 - declared.index("null")
    return declared[other], 2 * null | 2 * other << 8


def _default_bytes(declared: Mapping[str, Any]) -> bytes:
    default = declared["default"]
    return _written(declared["type"], default)


def _written(kind: Any, value: Any) -> bytes:
    buffer = BytesIO()
    schemaless_writer(buffer, parse_schema(json.loads(json.dumps(kind))), value)
    return buffer.getvalue()


def _encode_words(kind: Any, branches: int, words: Sequence[Any]) -> _Vocabulary:
    """Encode each word once, behind null: one branch byte in front where the field is a union."""
    prefix = b"" if branches < 0 else bytes([branches >> 8])
    if kind in ("string", "bytes") or (isinstance(kind, dict) and kind["type"] == "string"):
        parts = [prefix + _counted(w.encode() if isinstance(w, str) else w) for w in words]
    else:
        parts = [prefix + _written(kind, word) for word in words]
    parts.insert(0, b"" if branches < 0 else bytes([branches & 255]))
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    arena = np.frombuffer(b"".join(parts) + bytes(PAD), np.uint8)
    return _Vocabulary(starts, arena, max(map(len, parts)))


def _counted(data: bytes) -> bytes:
    """Put the length in front, as a zig-zag varint."""
    rest, out = 2 * len(data), bytearray()
    while rest >= 128:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out) + data


__all__ = [
    "NULL",
    "Column",
    "Encoded",
    "EncodingError",
    "EventColumns",
    "EventEncoder",
    "Identifiers",
    "Words",
    "texts",
]
