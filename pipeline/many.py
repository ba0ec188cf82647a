"""Many: records of one schema at once, a tenth of the time that one after another takes.

Pure. Law: encode_many(name, rows) == [encode(name, row) for row in rows], for rows that all have the same columns; but
a NaN is no number anywhere here, and where a number may be missing it is written as null. Numbers go by columns through
a kernel; what is the same in every row is written once; everything else is written as `encode` does.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import fields
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.kernels import fields as k
from pipeline.kernels.bits import address_of
from pipeline.wire import INT_HIGH, INT_LOW, Writer, long_bytes, type_of

SPARE = b"\0" * 8


class _Program:
    """Steps of the kernel, and the columns that they name."""

    def __init__(self, count: int, header: bytes) -> None:
        self.count = count
        self.steps: list[tuple[int, int, int]] = []
        self.constants = bytearray()
        self.longs: list[NDArray[np.int64]] = []
        self.doubles: list[NDArray[np.float64]] = []
        self.texts: list[bytes] = []  # of all columns, one after another
        self.constant(header)

    def constant(self, raw: bytes) -> None:
        """The same bytes in every record; what follows a constant grows it."""
        start = len(self.constants)
        self.constants += raw
        if self.steps and self.steps[-1][0] == k.CONSTANT:
            start = self.steps.pop()[1]
        self.steps.append((k.CONSTANT, start, len(self.constants)))

    def numbers(self, kind: Any, column: NDArray[Any]) -> None:
        """A number in every record."""
        if column.dtype == np.int64:
            self.steps.append((k.LONG, len(self.longs), 0))
            self.longs.append(column)
            return
        is_optional = isinstance(kind, list)
        null = long_bytes(kind.index("null"))[0] if is_optional else 0
        self.steps.append((k.OPTIONAL_DOUBLE if is_optional else k.DOUBLE, len(self.doubles), null))
        self.doubles.append(column)

    def raw(self, values: Sequence[Any], write: Writer) -> None:
        """Whatever it is, written value by value."""
        self.steps.append((k.RAW, len(self.texts) // self.count, 0))
        for value in values:
            out: list[bytes] = []
            write(out, value)
            self.texts.append(b"".join(out))

    def run(self) -> list[bytes]:
        """Write every record."""
        texts, constants = b"".join(self.texts), bytes(self.constants) + SPARE
        lengths = np.fromiter(map(len, self.texts), np.int64, len(self.texts))
        ends, room = np.zeros(self.count, np.int64), len(constants) + k.longest(len(self.steps))
        columns = (
            np.array(self.steps, np.int64), np.array(self.longs, np.int64), np.array(self.doubles, np.float64),
            np.frombuffer(texts + SPARE, np.uint8), np.concatenate([[0], np.cumsum(lengths)]),
            np.frombuffer(constants, np.uint8), np.empty(room * self.count + len(texts) + len(SPARE), np.uint8), ends,
        )  # fmt: skip
        program, *rest = map(address_of, columns)
        k.write_fields(program, len(self.steps), self.count, *rest)
        whole, starts = columns[-2].tobytes(), [0, *ends.tolist()]
        return [whole[start:end] for start, end in pairwise(starts)]


def encode_many(name: str, rows: Sequence[Mapping[str, Any]], framing: Framing = SINGLE_OBJECT) -> list[bytes]:
    """Write values of schema `name`; columns left out take the schema's default.

    Raises: as `encode` does.
    """
    if not rows:
        return []
    given = rows[0].keys()
    program = _Program(len(rows), framing.header(name))
    for field in fields(name):
        if field.name not in given:
            _add(program, field.kind, field.write, [field.without(name)] * len(rows))
            continue
        _add(program, field.kind, field.write, [row[field.name] for row in rows])
    unknown = set().union(*rows) - {field.name for field in fields(name)}
    if unknown or any(len(row) != len(given) for row in rows):
        raise KeyError(f"{name} has no columns {', '.join(sorted(unknown))}, or rows differ in them")
    return program.run()


def _add(program: _Program, kind: Any, write: Writer, values: list[Any]) -> None:
    column = _numbers(kind, values)
    if column is not None:
        program.numbers(kind, column)
    elif (matrix := _matrix(kind, values)) is not None:
        program.constant(long_bytes(matrix.shape[1]))
        for each in matrix.T:
            program.numbers(kind["items"], np.ascontiguousarray(each))
        program.constant(b"\0")
    elif not isinstance(values[0], np.ndarray) and values.count(values[0]) == len(values):
        out: list[bytes] = []
        write(out, values[0])
        program.constant(b"".join(out))
    else:
        program.raw(values, write)


def _numbers(kind: Any, values: list[Any]) -> NDArray[Any] | None:
    """A column of plain numbers, or of doubles that may be missing; None: it is something else."""
    t = type_of(kind)
    if t == "union":
        other = kind[1 - kind.index("null")]
        return np.array(values, np.float64) if type_of(other) == "double" else None
    if t == "double":
        return np.array(values, np.float64)
    if t not in {"int", "long"}:
        return None
    column = np.array(values, np.int64)
    if t == "int" and not (column.min() >= INT_LOW and column.max() <= INT_HIGH):
        raise OverflowError("a number of the column does not fit in 32 bits")
    return column


def _matrix(kind: Any, values: list[Any]) -> NDArray[Any] | None:
    """An array of numbers of which every row has as many, and at least one; None: it is something else."""
    if type_of(kind) != "array" or set(map(type, values)) != {list} or not values[0]:
        return None
    length = len(values[0])
    if set(map(len, values)) != {length}:
        return None
    column = _numbers(kind["items"], [number for row in values for number in row])
    return None if column is None else column.reshape(len(values), length)
