"""Events that are kept whole, as rows of `event_records`: every field of InferenceEvent is a column.

Law: a row says what the newest reader of the schema reads of the event's bytes, whichever version wrote them, but that
enum symbols which only the writer knows are kept as they are, and a field of another kind of type is left out. Columns
come out of kernels, and each distinct map is read once: no Python for each event. Pure. Events of a writer that no
program of steps can read, as unions of three, have no rows: that follows from the schema alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Malformed
from pipeline.events import reader_fields
from pipeline.framing import Framing, header_of
from pipeline.kernels import event_columns as k
from pipeline.kernels.bits import PAD, address_of
from pipeline.rows import DAY_S, ROWS_MOST, Block, Rows
from pipeline.wire import Cursor, reader_of, type_of

EVENT = "inference_event"
NULL = -(1 << 63)  #: stands for a number that is not there, until the server has it
NAN_BITS = int(np.array(np.nan).view(np.int64))
WIDE = 256  #: longer texts are rare, and are taken out one by one
LAST_US = (1 << 32) * 1_000_000  #: in 2106; ClickHouse's times go further, ours do not
FUTURE_US = 5_000_000  #: later than the append time by more, an event counts at that: see decoding.FoldSpec

_NUMBERS = {"int": k.LONG, "long": k.LONG, "enum": k.LONG, "boolean": k.BOOLEAN, "float": k.FLOAT, "double": k.DOUBLE}
_TEXTS = {"string": k.TEXT, "bytes": k.TEXT}


def core_of(kind: Any) -> Any:
    """The type of a field that is not null."""
    return next(each for each in kind if each != "null") if isinstance(kind, list) else kind


def fields_of(*types: str) -> tuple[str, ...]:
    """Names of the fields of these types, in the schema's order."""
    return tuple(name for name, field in reader_fields().items() if type_of(core_of(field["type"])) in types)


WHOLE, FLOATS, SYMBOLS = fields_of("int", "long", "boolean"), fields_of("float", "double"), fields_of("enum")
TEXTS, RAW, MAPS = fields_of("string", "bytes"), fields_of("bytes"), fields_of("map")
OPTIONAL = frozenset(name for name, field in reader_fields().items() if isinstance(field["type"], list))
NUMBERS, WORDS = (*WHOLE, *FLOATS, *SYMBOLS), (*TEXTS, *MAPS)
TIMES = ("received_at", "completed_at", "emitted_at")


class Unreadable(ValueError):
    """A writer's schema that no program of steps can read."""


@dataclass(frozen=True)
class Program:
    """How one writer's events are read."""

    steps: NDArray[np.int64]
    symbols: Mapping[str, tuple[str, ...]]  # the writer's own, by enum
    defaults: tuple[int, ...]  # of NUMBERS, as their 64 bits


@cache
def program_of(schema_text: str) -> Program | None:
    """Write the program of a writer's schema; None: it has a type that no program reads."""
    aliases = {alias: name for name, field in reader_fields().items() for alias in field.get("aliases", ())}
    steps: list[tuple[int, ...]] = []
    symbols: dict[str, tuple[str, ...]] = {}
    schema = json.loads(schema_text)
    named: dict[str, Any] = {}
    try:
        for field in schema["fields"]:
            name = aliases.get(field["name"], field["name"])
            steps += _steps(field["type"], name, named)
            kind = core_of(field["type"])
            if name in SYMBOLS and type_of(kind) == "enum":
                symbols[name] = tuple(named.get(kind, kind)["symbols"] if isinstance(kind, str) else kind["symbols"])
    except (Unreadable, RecursionError):
        return None
    return Program(np.array(steps, np.int64).reshape(-1, 5), symbols, tuple(_default(name) for name in NUMBERS))


def _default(name: str) -> int:
    """What stands for a number that the writer does not know, or leaves null."""
    field = reader_fields()[name]
    if name in FLOATS:
        return NAN_BITS
    if name in SYMBOLS:
        return -1
    return NULL if field.get("default") is None else int(field["default"])


def _steps(kind: Any, name: str, named: dict[str, Any]) -> list[tuple[int, ...]]:
    """The steps over one field, into the column of `name` where there is one that its type fits."""
    null = k.NO_UNION
    if isinstance(kind, list):
        if len(kind) != 2 or "null" not in kind:
            raise Unreadable("a union of more than null and one type")
        null, kind = kind.index("null"), core_of(kind)
    if isinstance(kind, str) and kind in named:
        kind = named[kind]
    t = type_of(kind)
    if isinstance(kind, dict) and t in {"enum", "fixed", "record"}:
        named[kind["name"]] = kind
    if t in _NUMBERS:
        return [(_NUMBERS[t], null, _number_column(name, t), 0, 0)]
    if t in _TEXTS:
        return [(k.TEXT, null, TEXTS.index(name) if name in TEXTS else k.NO_COLUMN, 0, 0)]
    if t == "fixed":
        return [(k.FIXED, null, k.NO_COLUMN, int(kind["size"]), 0)]
    if t in {"map", "array"}:
        return [_list_step(kind, t, name, null)]
    if t == "record":
        inner = [step for field in kind["fields"] for step in _steps(field["type"], "", named)]
        return [(k.GROUP, null, k.NO_COLUMN, 0, len(inner)), *inner]
    if t == "null":
        return []
    raise Unreadable(f"a {t}")


def _number_column(name: str, t: str) -> int:
    fits = (name in SYMBOLS) if t == "enum" else name in (FLOATS if t in {"float", "double"} else WHOLE)
    return NUMBERS.index(name) if fits else k.NO_COLUMN


def _list_step(kind: Any, t: str, name: str, null: int) -> tuple[int, ...]:
    item = kind["values" if t == "map" else "items"]
    if type_of(item) not in _NUMBERS and type_of(item) not in _TEXTS:
        raise Unreadable("a list of lists")
    is_ours = t == "map" and name in MAPS and type_of(item) == "string"
    column = len(TEXTS) + MAPS.index(name) if is_ours else k.NO_COLUMN
    argument = _NUMBERS.get(type_of(item), k.TEXT)
    return k.MAP if t == "map" else k.LIST, null, column, argument, 0


# -- rows
def event_rows(blocks: Sequence[Block], framing: Framing) -> list[Rows]:
    """Rows of the events that blocks of slices carry, day by day.

    Raises: Malformed for columns that do not fit together: kernels believe them; framing.UnknownSchema, lest rows that
    are built again by one who knows the schema are others, under the same tokens.
    """
    for block in filter(_has_events, blocks):
        _check(block)
    rows: list[Rows] = []
    for source in dict.fromkeys((b["source_topic"], b["source_partition"]) for b in blocks if _has_events(b)):
        mine = [b for b in blocks if _has_events(b) and (b["source_topic"], b["source_partition"]) == source]
        rows += _of_source(mine, framing)
    pieces: dict[int, int] = {}
    numbered = []
    for each in rows:  # a token names the day and the piece
        numbered.append(Rows(each.table, each.day, each.columns, pieces.get(each.day, 0)))
        pieces[each.day] = pieces.get(each.day, 0) + 1
    return numbered


def _has_events(block: Block) -> bool:
    return bool(len(block.get("event_lengths", ())))


def _check(block: Block) -> None:
    lengths, values = block["event_lengths"], block["event_values"] or b""
    columns = (block[f"event_{name}"] for name in ("offsets", "append_ms", "is_bad", "ratios"))
    if any(len(each) != len(lengths) for each in columns) or lengths.min() < 0 or lengths.sum() != len(values):
        raise Malformed("the columns of events do not fit the block's others")


def _of_source(blocks: Sequence[Block], framing: Framing) -> list[Rows]:
    """Rows of one source partition's events, writer by writer."""
    whole = b"".join(block["event_values"] for block in blocks)
    lengths, offsets, append_ms, is_bad, ratios = (
        np.concatenate([block[f"event_{name}"] for block in blocks])
        for name in ("lengths", "offsets", "append_ms", "is_bad", "ratios")
    )
    ends = np.cumsum(lengths)
    starts = ends - lengths
    buffer = np.frombuffer(whole + bytes(PAD), np.uint8)
    rows: list[Rows] = []
    for header, mine in _writers(whole, buffer, starts, lengths):
        program = program_of(framing.split(EVENT, header)[0])
        if program is None:
            continue
        read = _read(program, buffer, starts[mine] + len(header), ends[mine])
        facts = {
            "source_partition": np.full(len(mine), blocks[0]["source_partition"]), "source_offset": offsets[mine],
            "appended_at": append_ms[mine] * 1000, "is_bad": is_bad[mine], "sample_ratio": ratios[mine],
        }  # fmt: skip
        rows += _by_day(read, facts, blocks[0]["source_topic"])
    return rows


def _writers(
    whole: bytes, buffer: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> list[tuple[bytes, NDArray[np.int64]]]:
    """Each header there is, and which events begin with it."""
    found: list[tuple[bytes, NDArray[np.int64]]] = []
    left = np.arange(len(starts))
    while len(left):
        at = int(starts[left[0]])
        header = header_of(whole[at : at + int(lengths[left[0]])])
        heads = buffer[starts[left][:, None] + np.arange(len(header))]
        is_mine = (heads == np.frombuffer(header, np.uint8)).all(axis=1)
        found.append((header, left[is_mine]))
        left = left[~is_mine]
    return found


@dataclass(frozen=True)
class Read:
    """Events of one writer. Shapes: numbers (number, n) i64; places (word, n, 2) i64; is_read (n,) bool."""

    program: Program
    buffer: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    places: NDArray[np.int64]
    is_read: NDArray[np.bool_]

    def column(self, name: str, rows: NDArray[np.int64]) -> list[Any]:
        """One field of some events, as it travels."""
        if name in WORDS:
            places = self.places[WORDS.index(name)][rows]
            return _maps(self.buffer, places) if name in MAPS else texts(self.buffer, places, _text_default(name))
        numbers = self.numbers[NUMBERS.index(name)][rows]
        if name in SYMBOLS:
            known = (*self.program.symbols.get(name, ()), reader_fields()[name].get("default", "UNKNOWN"))
            return list(np.array(known, object)[numbers])  # -1: the last
        return list((numbers.view(np.float64) if name in FLOATS else numbers).tolist())


def _read(program: Program, buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Read:
    count = len(starts)
    numbers = np.repeat(np.array(program.defaults, np.int64)[:, None], count, axis=1)
    places = np.full((len(WORDS), count, 2), k.ABSENT, np.int64)
    is_read = np.zeros(count, np.bool_)
    k.read_columns(address_of(buffer), starts, ends, program.steps, numbers, places, is_read)
    for name in TIMES:
        np.clip(numbers[NUMBERS.index(name)], 0, LAST_US, out=numbers[NUMBERS.index(name)])
    return Read(program, buffer, numbers, places, is_read)


def _by_day(read: Read, facts: Mapping[str, NDArray[Any]], topic: str) -> list[Rows]:
    """Cut by the day of the time at which an event counts, and each day into pieces."""
    completed, appended = read.numbers[NUMBERS.index("completed_at")], facts["appended_at"]
    counted_at = np.where((appended >= 0) & (completed > appended + FUTURE_US), appended, completed)
    days = counted_at // (DAY_S * 1_000_000)
    rows: list[Rows] = []
    for day in np.unique(days[read.is_read]).tolist():
        chosen = np.flatnonzero(read.is_read & (days == day))
        for at in range(0, len(chosen), ROWS_MOST):
            piece = chosen[at : at + ROWS_MOST]
            columns: dict[str, list[Any]] = {name: read.column(name, piece) for name in (*NUMBERS, *WORDS)}
            columns |= {name: column[piece].tolist() for name, column in facts.items()}
            columns |= {"counted_at": counted_at[piece].tolist(), "source_topic": [topic] * len(piece)}
            rows.append(Rows("event_records", day, columns))
    return rows


def _text_default(name: str) -> bytes:
    return str(reader_fields()[name].get("default") or "").encode()


def texts(buffer: NDArray[np.uint8], places: NDArray[np.int64], default: bytes) -> list[bytes]:
    """Take texts out of a buffer; what is not there is the default.

    NumPy makes the list of a column of equal width, and drops zeros at the end of each.
    """
    lengths, is_absent = places[:, 1], places[:, 1] < 0
    if is_absent.all():
        return [default] * len(lengths)
    width = max(int(lengths.max()), 1)
    last = buffer[np.maximum(places.sum(axis=1) - 1, 0)]
    if width > WIDE or bool(((lengths > 0) & (last == 0)).any()) or bool(default and is_absent.any()):
        return [_text(buffer, start, length, default) for start, length in places.tolist()]
    rows = np.zeros((len(places), width), np.uint8)
    k.copy_texts(address_of(buffer), places, rows)
    return list(rows.view(f"S{width}").ravel().tolist())


def _text(buffer: NDArray[np.uint8], start: int, length: int, default: bytes) -> bytes:
    return default if length < 0 else buffer[start : start + length].tobytes()


def _maps(buffer: NDArray[np.uint8], places: NDArray[np.int64]) -> list[dict[str, str]]:
    """Read maps, each distinct one once."""
    values = texts(buffer, places - (0, 1), b"")  # but the zero that ends each
    maps = {value: _map_of(value) for value in set(values)}
    return list(map(maps.__getitem__, values))


def _map_of(value: bytes) -> dict[str, str]:
    """One map; one that holds no UTF-8 is empty."""
    try:
        return dict(_READ_MAP(Cursor(value + b"\0", 0)))
    except UnicodeDecodeError:
        return {}


_READ_MAP = reader_of({"type": "map", "values": "string"})
