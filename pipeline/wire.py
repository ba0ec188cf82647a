"""Avro on the wire, type by type: a writer and a reader for each type that our own schemas use.

A writer appends byte strings, a reader moves a cursor over bytes that nobody vouches for: every length and
count is checked before it is believed, and what is wrong raises IndexError, UnicodeDecodeError or
struct.error. Pure.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.bits import address_of
from pipeline.kernels.longs import LONGEST, read_longs, read_texts, write_longs
from pipeline.kernels.varint import BAD

INT_LOW, INT_HIGH = -(1 << 31), (1 << 31) - 1

Writer = Callable[[list[bytes], Any], None]
Reader = Callable[["Cursor"], Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Items of an array already in Avro's encoding: for strings that are written again and again."""

    count: int
    payload: bytes


def type_of(kind: Any) -> str:
    if isinstance(kind, list):
        return "union"
    return str(kind["type"]) if isinstance(kind, dict) else str(kind)


def column_type(kind: Any) -> Any:
    """The numpy type of an array of numbers, None for everything else."""
    if type_of(kind) != "array":
        return None
    return {"int": np.int64, "long": np.int64, "double": np.float64}.get(type_of(kind["items"]))


def long_bytes(value: int) -> bytes:
    """Write one zig-zag varint."""
    u = (value << 1) ^ (value >> 63)
    if u < 128:
        return _ONE_BYTE[u]
    out = bytearray()
    while u > 127:
        out.append(u & 127 | 128)
        u >>= 7
    out.append(u)
    return bytes(out)


def string_bytes(text: str) -> bytes:
    """Write one Avro string."""
    raw = text.encode()
    return long_bytes(len(raw)) + raw


_ONE_BYTE = [bytes([u]) for u in range(128)]


def writer_of(kind: Any) -> Writer:
    t = type_of(kind)
    if t == "union":
        return _optional_writer(kind)
    if t == "array":
        return _array_writer(kind["items"])
    if t == "map":
        return _map_writer(writer_of(kind["values"]))
    if t == "enum":
        indexes = {symbol: long_bytes(i) for i, symbol in enumerate(kind["symbols"])}
        return lambda out, value: out.append(indexes[value])
    return _SCALAR_WRITERS[t]


def _write_int(out: list[bytes], value: Any) -> None:
    if not INT_LOW <= value <= INT_HIGH:
        raise OverflowError(f"{value} does not fit in 32 bits")
    out.append(long_bytes(int(value)))


def _write_long(out: list[bytes], value: Any) -> None:
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} does not fit in 64 bits")
    out.append(long_bytes(int(value)))


def _write_bytes(out: list[bytes], value: bytes) -> None:
    out += (long_bytes(len(value)), value)


_SCALAR_WRITERS: dict[str, Writer] = {
    "int": _write_int,
    "long": _write_long,
    "string": lambda out, value: out.append(string_bytes(value)),
    "bytes": _write_bytes,
    "boolean": lambda out, value: out.append(b"\1" if value else b"\0"),
    "double": lambda out, value: out.append(struct.pack("<d", value)),
    "float": lambda out, value: out.append(struct.pack("<f", value)),
}


def _optional_writer(kind: Any) -> Writer:
    null = kind.index("null")
    other, absent, present = writer_of(kind[1 - null]), long_bytes(null), long_bytes(1 - null)

    def write(out: list[bytes], value: Any) -> None:
        if value is None:
            out.append(absent)
        else:
            out.append(present)
            other(out, value)

    return write


def _map_writer(item: Writer) -> Writer:
    def write(out: list[bytes], value: Mapping[str, Any]) -> None:
        if value:
            out.append(long_bytes(len(value)))
            for key, entry in value.items():
                out.append(string_bytes(key))
                item(out, entry)
        out.append(b"\0")

    return write


def _array_writer(items: Any) -> Writer:
    """One block of all items, then the empty one that ends an array."""
    content = _numbers_writer(items) or _items_writer(items)

    def write(out: list[bytes], value: Any) -> None:
        count = value.count if isinstance(value, Encoded) else len(value)
        if count:
            out.append(long_bytes(count))
            if isinstance(value, Encoded):
                out.append(value.payload)
            else:
                content(out, value)
        out.append(b"\0")

    return write


def _items_writer(items: Any) -> Writer:
    item = writer_of(items)

    def write(out: list[bytes], value: Any) -> None:
        for entry in value:
            item(out, entry)

    return write


def _numbers_writer(items: Any) -> Writer | None:
    def doubles(out: list[bytes], value: Any) -> None:
        out.append(np.ascontiguousarray(value, "<f8").tobytes())

    def longs(out: list[bytes], value: Any) -> None:
        column = np.ascontiguousarray(value, np.int64)
        if items == "int" and not (column.min() >= INT_LOW and column.max() <= INT_HIGH):
            raise OverflowError("a number of the column does not fit in 32 bits")
        out.append(longs_bytes(column))

    return {"int": longs, "long": longs, "double": doubles}.get(type_of(items))


def longs_bytes(column: NDArray[np.int64]) -> bytes:
    """Write a contiguous column as varints, nothing around them."""
    space = np.empty(LONGEST * len(column) + 8, np.uint8)
    used = write_longs(address_of(column), len(column), address_of(space))
    return space[:used].tobytes()


# -- reading
class Cursor:
    """A position in bytes that nobody vouches for."""

    __slots__ = ("_whole", "data", "position")

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position
        self._whole = np.frombuffer(data, np.uint8)

    def long(self) -> int:
        data, p = self.data, self.position
        u = data[p]
        p += 1
        if u > 127:
            u &= 127
            for shift in range(7, 70, 7):  # no further: a megabyte of them would take minutes
                byte = data[p]
                p += 1
                u |= (byte & 127) << shift
                if byte < 128:
                    break
            if byte > 127 or u >> 64:
                raise IndexError("a number is wider than 64 bits")
        self.position = p
        return (u >> 1) ^ -(u & 1)

    def take(self, length: int) -> bytes:
        start = self.position
        if length < 0 or length > len(self.data) - start:
            raise IndexError(f"a length of {length} leaves the value")
        self.position = start + length
        return self.data[start : self.position]

    def longs(self, count: int) -> NDArray[np.int64]:
        if count > len(self.data) - self.position:  # before memory is asked for
            raise IndexError(f"{count} numbers leave the value")
        out = np.empty(count, np.int64)
        base = address_of(self._whole)
        end = read_longs(base + self.position, base + len(self.data), address_of(out), count)
        if end == BAD:
            raise IndexError("a number of a column is cut off or wider than 64 bits")
        self.position = end - base
        return out

    def texts(self, count: int) -> list[str]:
        if count > len(self.data) - self.position:  # before memory is asked for
            raise IndexError(f"{count} strings leave the value")
        places = np.empty((count, 2), np.int64)
        base, start = address_of(self._whole), self.position
        end = read_texts(base + start, base + len(self.data), address_of(places), count)
        if end == BAD:
            raise IndexError("a string of a list leaves the value")
        self.position, data = end - base, self.data
        return [data[a:b].decode() for a, b in (places + start).tolist()]

    def block_counts(self) -> Any:
        """Yield the item count of each block of an array or map; behind a negative one stands its size."""
        while count := self.long():
            stop = None
            if count < 0:
                count, size = -count, self.long()
                stop = self.position + size
            yield count
            if stop is not None and self.position != stop:
                raise IndexError("a block does not end where it says")


def reader_of(kind: Any) -> Reader:
    t = type_of(kind)
    if t == "union":
        return _optional_reader(kind)
    if t == "array":
        return _array_reader(kind["items"])
    if t == "map":
        return _map_reader(reader_of(kind["values"]))
    if t == "enum":
        return _enum_reader(tuple(kind["symbols"]))
    return _SCALAR_READERS[t]


def _read_int(cursor: Cursor) -> int:
    value = cursor.long()
    if not INT_LOW <= value <= INT_HIGH:
        raise IndexError(f"{value} does not fit in 32 bits")
    return value


def _read_boolean(cursor: Cursor) -> bool:
    byte = cursor.take(1)[0]
    if byte > 1:
        raise IndexError(f"{byte} is no boolean")
    return bool(byte)


_SCALAR_READERS: dict[str, Reader] = {
    "int": _read_int,
    "long": Cursor.long,
    "string": lambda cursor: cursor.take(cursor.long()).decode(),
    "bytes": lambda cursor: cursor.take(cursor.long()),
    "boolean": _read_boolean,
    "double": lambda cursor: struct.unpack("<d", cursor.take(8))[0],
    "float": lambda cursor: struct.unpack("<f", cursor.take(4))[0],
}


def _optional_reader(kind: Any) -> Reader:
    null = kind.index("null")
    other = reader_of(kind[1 - null])

    def read(cursor: Cursor) -> Any:
        branch = cursor.long()
        if branch not in {0, 1}:
            raise IndexError(f"a union of two has no branch {branch}")
        return None if branch == null else other(cursor)

    return read


def _enum_reader(symbols: tuple[str, ...]) -> Reader:
    def read(cursor: Cursor) -> str:
        index = cursor.long()
        if not 0 <= index < len(symbols):
            raise IndexError(f"an enum of {len(symbols)} symbols has no number {index}")
        return symbols[index]

    return read


def _map_reader(item: Reader) -> Reader:
    def read(cursor: Cursor) -> dict[str, Any]:
        entries = {}
        for count in cursor.block_counts():
            for _ in range(count):
                key = cursor.take(cursor.long()).decode()
                entries[key] = item(cursor)
        return entries

    return read


def _array_reader(items: Any) -> Reader:
    dtype = column_type({"type": "array", "items": items})
    if dtype is None:
        return _read_texts if type_of(items) == "string" else _list_reader(reader_of(items))
    low, high = (INT_LOW, INT_HIGH) if type_of(items) == "int" else (None, None)

    def block(cursor: Cursor, count: int) -> NDArray[Any]:
        if dtype is np.float64:
            return np.frombuffer(cursor.take(8 * count), "<f8").copy()
        column = cursor.longs(count)
        if low is not None and (column.min() < low or column.max() > high):
            raise IndexError("a number of a column does not fit in 32 bits")
        return column

    def read(cursor: Cursor) -> NDArray[Any]:
        blocks = [block(cursor, count) for count in cursor.block_counts()]
        return blocks[0] if len(blocks) == 1 else np.concatenate([np.empty(0, dtype), *blocks])

    return read


def _read_texts(cursor: Cursor) -> list[str]:
    blocks = [cursor.texts(count) for count in cursor.block_counts()]
    return blocks[0] if len(blocks) == 1 else [text for block in blocks for text in block]


def _list_reader(item: Reader) -> Reader:
    """Items of at least one byte each, so a count cannot ask for more work than the value has bytes."""

    def read(cursor: Cursor) -> list[Any]:
        return [item(cursor) for count in cursor.block_counts() for _ in range(count)]

    return read
