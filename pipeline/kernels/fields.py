"""Records of one schema written at once: the same program of fields for each, over columns.

Law: tests/kernels/test_fields.py writes field by field with fastavro and says the same. A program is made once for
all records, by pipeline.many: nothing of a record decides what comes next but whether a number is there.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import address_of, copy_bytes, ld_i64, ld_u64, opaque, st_u8, st_u64
from pipeline.kernels.longs import LONGEST, write_long

#: steps of a program, and what their two numbers are
CONSTANT = 0  # first byte, byte behind the last, of the constants
LONG = 1  # column of longs, -
DOUBLE = 2  # column of doubles, -
OPTIONAL_DOUBLE = 3  # column of doubles, byte of the branch that is null; NaN: null
RAW = 4  # column of texts, -
STEP_BYTES = 24


@njit(forceinline=True)
def _write_double(p, value_bits):
    st_u64(p, value_bits)
    return p + 8


@njit(cache=True)
def write_fields(program, steps, count, longs, doubles, texts, text_ends, constants, out, ends):
    """Write `count` records, and note where each ends.

    Shapes: addresses: program (steps, 3) i64; longs (column, count) i64; doubles (column, count) f64; texts, of all
    columns and records one after another; text_ends (column x count + 1,) i64; constants u8; out u8, with 8 spare
    bytes, as texts and constants have; ends (count,) i64.
    """
    p, exponent, fraction = out, np.uint64(0x7FF0000000000000), np.uint64(0x000FFFFFFFFFFFFF)
    i = np.int64(0)
    while i < count:
        for s in range(steps):
            step = program + STEP_BYTES * s
            kind, a, b = ld_i64(step), ld_i64(step + 8), ld_i64(step + 16)
            if kind == CONSTANT:
                copy_bytes(constants + a, p, b - a)
                p += b - a
            elif kind == LONG:
                p = write_long(longs + 8 * (a * count + i), p)
            elif kind == DOUBLE:
                p = _write_double(p, ld_u64(doubles + 8 * (a * count + i)))
            elif kind == OPTIONAL_DOUBLE:
                bits = ld_u64(doubles + 8 * (a * count + i))
                is_null = bits & exponent == exponent and bits & fraction != np.uint64(0)
                st_u8(p, np.uint64(b if is_null else 2 - b))
                p = p + 1 if is_null else _write_double(p + 1, bits)
            else:
                place = text_ends + 8 * (a * count + i)
                start, stop = ld_i64(place), ld_i64(place + 8)
                copy_bytes(texts + start, p, stop - start)
                p += stop - start
        st_u64(ends + 8 * i, np.uint64(p - out))
        i = opaque(i + 1)


def longest(steps: int) -> int:
    """Most bytes that numbers of so many steps take."""
    return LONGEST * steps


def warm() -> None:
    zeros = np.zeros(8, np.int64)
    at = address_of(zeros)
    write_fields(at, 0, 0, at, at, at, at, at, at, at)
