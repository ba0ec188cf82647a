"""Generates the Avro decoder of one writer schema: raw bytes -> fixed rows of numbers and an interned label
key.

The reader's columns and labels are found in the writer's schema by name or alias, with Avro's promotions and
the reader's defaults; everything else is skipped. Text of a Numba module comes out; `pipeline.events` builds
and caches it. Safety: a record's span lies in the buffer, PAD spare bytes follow it, a step reads at most PAD
bytes past a checked position, and a record is good only if it ends exactly at its end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.kernels.avro_keys import LabelKeys
from pipeline.kernels.avro_template import DECODE_HEAD, HEADER, PROCESS

NULL = -(1 << 63)  #: an absent optional number in a row

ATTRIBUTES = "attributes"  #: the map of extras, whose entries have a limit
#: ids, as long in one record as in the next
SAME_LENGTH = {"event_id", "request_id", "trace_id", "span_id"}

FIXED_BYTES_MOST = 1 << 30  #: a longer step would leave all memory, and past 2^63 come back in front of it

_INTEGRAL = {"int", "long"}
_TEXT = {"string", "bytes"}


class SchemaMismatch(ValueError):
    """A writer's schema that cannot be read as events; the text says why."""


@dataclass(frozen=True)
class Column:
    """One number of the row the kernels read."""

    name: str
    optional: bool = False
    symbols: tuple[str, ...] = ()  # an enum: index in here
    aliases: tuple[str, ...] = ()
    default: int | None = None  # when the writer does not know the field
    fallback: int | None = None  # when the writer's enum symbol is unknown to us


@dataclass(frozen=True)
class Layout:
    """What a reader wants: columns in row order, labels in key order, labels of each smaller key."""

    columns: tuple[Column, ...]
    labels: tuple[str, ...]
    tiers: tuple[tuple[str, ...], ...] = ()  # used when the dictionary is full, in this order
    label_aliases: Mapping[str, str] = field(default_factory=dict)  # another name of a label -> the label
    required: frozenset[str] = frozenset()  # labels without a default
    unread: frozenset[str] = frozenset()  # columns that nobody asks for: skipped, and left as they are in the row

    @property
    def row_bytes(self) -> int:
        return 8 * (len(self.columns) + 1)  # the last word is the key's id


class Emitter:
    """Lines of code at an indent."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, indent: int, *lines: str) -> None:
        self.lines += [" " * indent + line for line in lines]


BODY = 12  #: indent of a field's code
#: over a string: in as few steps as can be, as each field behind waits for them
TEXT = (
    "x = np.int64(ld_u8(p))",
    "if x & 129 == 0: p += (x >> 1) + 1",  # shorter than 64 bytes
    "else: p = skip_text(p, e)",
    "if p > e: break",
)
#: numbers that are nearly always one byte long
SMALL = {"attempt", "priority", "sample_weight"}


class Generator:
    """Walks the writer's fields once, in wire order."""

    def __init__(self, schema: Any, layout: Layout) -> None:
        self.layout, self.schema = layout, schema
        self.helpers: list[str] = []
        self.code = Emitter()
        self.found: set[str] = set()
        self.keys = LabelKeys(schema.fields, layout)
        self._unchecked = self.remembered = 0
        read = [(i, c) for i, c in enumerate(layout.columns) if c.name not in layout.unread]
        self._columns = {name: (i, c) for i, c in read for name in (c.name, *c.aliases)}
        self._seen: set[str] = set()  # labels
        for written in schema.fields:
            self._field(written)
        self._defaults()

    # -- fields
    def _field(self, written: Any) -> None:
        label = self.layout.label_aliases.get(written.name, written.name)
        is_label = label in self.keys.types and label not in self._seen
        if is_label:
            self._seen.add(label)
            self.code.add(BODY, f"a{self.keys.number(label)} = p")
        offset, column = self._columns.get(written.name, (0, None))
        if column and column.name not in self.found:
            self.found.add(column.name)
            self._number(written.type, column, offset * 8, BODY)
        elif written.name in SAME_LENGTH and not is_label:
            self._skip_same_length(written.type, BODY)
        elif written.name == ATTRIBUTES and written.type.type == "map":
            self._skip_map(f"{self.skipper(written.type, is_counted=True)}(p, e, attributes)", BODY)
        else:
            self._skip(written.type, BODY)
        if is_label:
            i = self.keys.number(label)
            self.code.add(BODY, f"b{i} = p")
            if label in self.keys.run_ends:  # hashed here, while the fields behind wait for their positions
                self.code.add(BODY, self.keys.hash_line(label))

    def _number(self, kind: Any, column: Column, offset: int, indent: int) -> None:
        """Emit the reading of one wanted number, widened to int64."""
        if kind.type == "union":
            null, other = branches(kind, column.name)
            self.code.add(indent, "x = np.int64(ld_u8(p))", "p += 1", "if p > e: break", f"if x == {2 * null}:")
            absent = f"st_i64(r + {offset}, {NULL})" if column.optional else "break"
            self.code.add(indent + 4, absent)
            self.code.add(indent, f"elif x == {2 * (1 - null)}:")
            self._number(other, column, offset, indent + 4)
            self.code.add(indent, "else: break")
        elif kind.type in _INTEGRAL and not column.symbols:
            narrow = " or x < -2147483648 or x > 2147483647" if kind.type == "int" else ""
            read = "read_small" if column.name in SMALL else "read_long"
            if is_stamp(kind):
                read = "read_stamp"
            self.code.add(indent, f"x, p = {read}(p)", f"if p > e{narrow}: break", f"st_i64(r + {offset}, x)")
        elif kind.type == "boolean" and not column.symbols:
            self.code.add(
                indent,
                "x = np.int64(ld_u8(p))",
                "p += 1",
                "if p > e or x > 1: break",
                f"st_i64(r + {offset}, x)",
            )
        elif kind.type == "enum" and column.symbols:
            self._enum(kind, column, offset, indent)
        else:
            raise SchemaMismatch(f"field {column.name}: {kind.type} is no {'symbol' if column.symbols else 'number'}")

    def _enum(self, kind: Any, column: Column, offset: int, indent: int) -> None:
        ours = [column.symbols.index(s) if s in column.symbols else column.fallback for s in kind.symbols]
        unknown = [s for s, index in zip(kind.symbols, ours, strict=True) if index is None]
        if unknown:
            raise SchemaMismatch(f"field {column.name}: unknown symbols {', '.join(unknown)} and no enum default")
        self.code.add(indent, "x, p = read_small(p)", f"if p > e or x < 0 or x >= {len(ours)}: break")
        for theirs, index in enumerate(ours):
            if theirs != index:
                self.code.add(
                    indent,
                    f"{'if' if theirs == self._first_change(ours) else 'elif'} x == {theirs}: x = {index}",
                )
        self.code.add(indent, f"st_i64(r + {offset}, x)")

    @staticmethod
    def _first_change(ours: list[Any]) -> int:
        return next(i for i, index in enumerate(ours) if i != index)

    def _defaults(self) -> None:
        missing = sorted(self.layout.required - self.keys.types.keys())
        if missing:
            raise SchemaMismatch(f"field {missing[0]} is missing and has no default")
        for i, column in enumerate(self.layout.columns):
            if column.name not in self.found | self.layout.unread:
                if column.default is None and not column.optional:
                    raise SchemaMismatch(f"field {column.name} is missing and has no default")
                value = NULL if column.default is None else column.default
                self.code.add(BODY, f"st_i64(r + {8 * i}, {value})")

    # -- skipping
    def _skip(self, kind: Any, indent: int) -> None:
        if kind.type in _TEXT:
            self.code.add(indent, *TEXT)
        elif kind.type == "boolean":
            self.code.add(indent, "if p >= e or ld_u8(p) > np.uint64(1): break", "p += 1")
        elif kind.type in _INTEGRAL:
            self.code.add(indent, f"p = {'skip_stamp' if is_stamp(kind) else 'skip_long'}(p)", "if p > e: break")
        elif kind.type == "enum":
            self.code.add(indent, "x, p = read_small(p)", f"if p > e or x < 0 or x >= {len(kind.symbols)}: break")
        elif kind.type == "map":
            self._skip_map(f"{self.skipper(kind)}(p, e)", indent)
        elif kind.type == "union" and is_optional(kind):
            self._skip_optional(kind, indent)
        else:
            name = self.skipper(kind)
            self.code.add(indent, f"p = {name}(p, e)", "if p > e: break")

    def _skip_map(self, call: str, indent: int) -> None:
        self.code.add(indent, "if ld_u8(p) == np.uint64(0): p += 1", f"else: p = {call}", "if p > e: break")

    def _skip_same_length(self, kind: Any, indent: int) -> None:
        """Skip a string by its length in the last record, checked: no field behind waits for its length."""
        if kind.type == "union" and is_optional(kind):
            null, other = branches(kind, "")
            self.code.add(indent, "x = np.int64(ld_u8(p))", "p += 1", f"if x == {2 * (1 - null)}:")
            self._skip_same_length(other, indent + 4)
            self.code.add(indent, f"elif x != {2 * null}: break")
            return
        i = self.remembered
        self.remembered += 1
        self.code.add(indent, f"if np.int64(ld_u8(p)) == 2 * n{i}: p += n{i} + 1", "else:")
        self.code.add(indent + 4, *TEXT, f"n{i} = x >> 1 if x & 129 == 0 else np.int64(-1)")
        self.code.add(indent, "if p > e: break")

    def _skip_optional(self, kind: Any, indent: int) -> None:
        """A null moves one byte unchecked; long runs are checked: no read leaves the spare bytes."""
        null, other = branches(kind, "")
        self.code.add(indent, "x = np.int64(ld_u8(p))", "p += 1", f"if x == {2 * (1 - null)}:")
        self._skip(other, indent + 4)
        self.code.add(indent, f"elif x != {2 * null}: break")
        self._unchecked += 1
        if self._unchecked % 16 == 0:
            self.code.add(indent, "if p > e: break")

    def skipper(self, kind: Any, is_counted: bool = False) -> str:
        """Emit a helper skip<N>(p, e) -> next position or BAD; return its name. Counted: skip<N>(p, e, most items)."""
        name = f"skip{len(self.helpers)}"
        self.helpers.append("")  # keeps the number while nested helpers are made
        index = len(self.helpers) - 1
        body = self._blocks_body(kind, is_counted) if is_counted else self._skipper_body(kind)
        lines = ["@njit", f"def {name}(p, e{', left' * is_counted}):", *(f"    {line}" for line in body)]
        self.helpers[index] = "\n".join(lines)
        return name

    def _skipper_body(self, kind: Any) -> Iterator[str]:
        t = kind.type
        if t in {"int", "long", "enum"}:
            yield "x, p = read_long(p)"
            if t == "enum":
                yield f"if x < 0 or x >= {len(kind.symbols)}: return BAD"
            yield "return p"
        elif t in {"double", "float", "boolean", "fixed", "null"}:
            size = {"double": 8, "float": 4, "boolean": 1, "null": 0, "fixed": getattr(kind, "size", 0)}[t]
            if not 0 <= size <= FIXED_BYTES_MOST:
                raise SchemaMismatch(f"a fixed of {size} bytes is longer than any event")
            yield f"return p + {size}"
        elif t in _TEXT:
            yield from ("x, p = read_long(p)", "if p > e or x < 0 or x > e - p: return BAD", "return p + x")
        elif t == "record":
            for field in kind.fields:
                yield from (f"p = {self.skipper(field.type)}(p, e)", "if p > e: return BAD")
            yield "return p"
        elif t == "union":
            yield from ("x, p = read_long(p)", "if p > e: return BAD")
            for k, branch in enumerate(kind.schemas):
                yield f"if x == {k}: return {self.skipper(branch)}(p, e)"
            yield "return BAD"
        elif t in {"map", "array"}:
            yield from self._blocks_body(kind)
        else:
            raise SchemaMismatch(f"type {t} is not Avro")

    def _blocks_body(self, kind: Any, is_counted: bool = False) -> Iterator[str]:
        """Arrays and maps: blocks of items until an empty one; behind a negative count stands its size."""
        item = self.skipper(kind.values if kind.type == "map" else kind.items)
        yield from (
            "while True:",
            "    n, p = read_long(p)",
            "    if p > e: return BAD",
            "    if n == 0: return p",
        )
        yield from (
            "    stop = np.int64(-1)",
            "    if n < 0:",
            "        x, p = read_long(p)",
            "        n = -n",
        )
        yield from ("        if p > e or x < 0 or x > e - p or n < 0: return BAD", "        stop = p + x")
        if is_counted:
            yield from ("    left -= n", "    if left < 0: return MANY")
        yield from ("    for _ in range(n):", "        q = p")
        if kind.type == "map":
            yield from (
                "        x, p = read_long(p)",
                "        if p > e or x < 0 or x > e - p: return BAD",
                "        p += x",
            )
        yield from (f"        p = {item}(p, e)", "        if p > e or p == q: return BAD")
        yield "    if stop >= 0 and p != stop: return BAD"


def is_stamp(kind: Any) -> bool:
    return bool(kind.props.get("logicalType") == "timestamp-micros")


def is_optional(kind: Any) -> bool:
    return len(kind.schemas) == 2 and sum(b.type == "null" for b in kind.schemas) == 1


def branches(kind: Any, name: str) -> tuple[int, Any]:
    """Return (index of null, the other branch) of a two-branch union."""
    if not is_optional(kind):
        raise SchemaMismatch(f"field {name}: only unions of null and one type can be read")
    null = 0 if kind.schemas[0].type == "null" else 1
    return null, kind.schemas[1 - null]


def module_text(schema: Any, layout: Layout) -> tuple[str, Generator]:
    """Return the decoder module's text, and the generator for its label order."""
    generator = Generator(schema, layout)
    remembered = "; ".join(f"n{i} = np.int64(36)" for i in range(generator.remembered)) or "pass"
    head = DECODE_HEAD.format(row_bytes=layout.row_bytes, remembered=remembered)
    priority = 8 * [c.name for c in layout.columns].index("priority")
    lines = [HEADER, *generator.helpers, head.rstrip("\n")]
    lines += generator.code.lines
    lines += [
        "            good = p == e",
        "            break",
        "        if not good:",
        "            st_u8(reasons + i, TOO_MANY if p == MANY else MALFORMED)",
        "            continue",
        *(f"        {line}" for line in generator.keys.keep_lines(priority)),
        "        st_i64(origins + 8 * m, i)",
        "        st_u8(reasons + i, GOOD)",
        "        m += 1",
        "    return m",
        generator.keys.look_up_text(priority),
        PROCESS,
    ]
    return "\n".join(lines), generator
