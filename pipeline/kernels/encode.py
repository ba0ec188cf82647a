"""Avro encoding of columns: a short program of steps, run for every row, writes records one behind another.

A step is six i64 words: its kind, and five of its own (`pipeline.encoding` compiles them from the schema).
Columns are addresses, not arrays. Nothing is checked here but the room left.

    kind        w1          w2                      w3             w4        w5
    LITERAL     bytes       length
    LONG        i64 column
    MAYBE_LONG  i64 column  branch byte if null     if not
    WORD        i32 codes   i64 starts (words + 2)  bytes
    BITS        u64 column  u8 present or 0         width: 4 or 8  branches
    HEX         u64 high    u64 low                 u8 present|0   dashed    branches

The code -1 is null, whose bytes are entry 0. `branches` = null's byte + the other's << 8; -1: no union.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import (
    copy_bytes,
    ld_i32,
    ld_i64,
    ld_u8,
    ld_u64,
    opaque,
    st_i64,
    st_u8,
    st_u32,
    st_u64,
)

LITERAL, LONG, MAYBE_LONG, WORD, BITS, HEX = range(6)
STEP_WORDS = 6
NULL = -(1 << 63)  #: a missing integer; the decoder's sentinel too


@njit(forceinline=True)
def write_long(p, value):
    """Write a zig-zag varint at p; return the address behind it. Ten bytes at the most."""
    u = np.uint64((value << 1) ^ (value >> 63))
    while u >= np.uint64(128):
        st_u8(p, (u & np.uint64(127)) | np.uint64(128))
        u >>= np.uint64(7)
        p = opaque(p + 1)
    st_u8(p, u)
    return p + 1


@njit(forceinline=True)
def _hex8(word):
    """Return the eight hexadecimal digits of a 32-bit word as bytes, the first digit in the lowest byte."""
    x = word & np.uint64(0xFFFFFFFF)
    x = ((x << np.uint64(16)) | x) & np.uint64(0x0000FFFF0000FFFF)
    x = ((x << np.uint64(8)) | x) & np.uint64(0x00FF00FF00FF00FF)
    x = ((x << np.uint64(4)) | x) & np.uint64(0x0F0F0F0F0F0F0F0F)
    letters = ((x + np.uint64(0x0606060606060606)) >> np.uint64(4)) & np.uint64(0x0101010101010101)
    x = x + np.uint64(0x3030303030303030) + letters * np.uint64(39)  # 39 from behind "9" to "a"
    x = ((x & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8)) | ((x >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF))
    x = ((x & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16)) | ((x >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF))
    return (x << np.uint64(32)) | (x >> np.uint64(32))


@njit(forceinline=True)
def _write_identifier(p, i, step):
    """Write 128 bits as text: 8-4-4-4-12 with dashes, or 32 digits without."""
    present, branches = ld_i64(step + 24), ld_i64(step + 40)
    if present != 0 and ld_u8(present + i) == np.uint64(0):
        st_u8(p, np.uint64(branches & 255))
        return p + 1
    if branches >= 0:
        st_u8(p, np.uint64(branches >> 8))
        p += 1
    high, low = ld_u64(ld_i64(step + 8) + 8 * i), ld_u64(ld_i64(step + 16) + 8 * i)
    a, b = _hex8(high >> np.uint64(32)), _hex8(high)
    c, d = _hex8(low >> np.uint64(32)), _hex8(low)
    if ld_i64(step + 32) == 0:
        st_u8(p, np.uint64(64))  # length 32, zig-zag
        st_u64(p + 1, a)
        st_u64(p + 9, b)
        st_u64(p + 17, c)
        st_u64(p + 25, d)
        return p + 33
    dash = np.uint64(45)
    st_u8(p, np.uint64(72))  # length 36
    st_u64(p + 1, a)
    st_u8(p + 9, dash)
    st_u32(p + 10, b & np.uint64(0xFFFFFFFF))
    st_u8(p + 14, dash)
    st_u32(p + 15, b >> np.uint64(32))
    st_u8(p + 19, dash)
    st_u32(p + 20, c & np.uint64(0xFFFFFFFF))
    st_u8(p + 24, dash)
    st_u32(p + 25, c >> np.uint64(32))
    st_u64(p + 29, d)
    return p + 37


@njit(forceinline=True)
def _write_bits(p, i, step):
    """Write 4 or 8 bytes as they are: a float or a double."""
    present, width, branches = ld_i64(step + 16), ld_i64(step + 24), ld_i64(step + 32)
    if present != 0 and ld_u8(present + i) == np.uint64(0):
        st_u8(p, np.uint64(branches & 255))
        return p + 1
    if branches >= 0:
        st_u8(p, np.uint64(branches >> 8))
        p += 1
    st_u64(p, ld_u64(ld_i64(step + 8) + 8 * i))
    return p + width


@njit(cache=True, nogil=True)
def encode_rows(program, steps, at, rows, out, position, room, offsets):
    """Write rows [at, rows) from `out + position` while there is room; return (next row, next position).

    Shapes: all addresses: program (steps, STEP_WORDS) i64; out bytes; offsets (rows + 1,) i64, row i ends at
            offsets[i + 1]. `room` is where the last row may begin, so that the longest fits behind it.
    """
    for i in range(at, rows):
        if position > room:
            return i, position
        p = out + position
        for s in range(steps):
            step = program + 48 * s
            kind, first = ld_i64(step), ld_i64(step + 8)
            if kind == WORD:
                entry = ld_i64(step + 16) + 8 * (np.int64(ld_i32(first + 4 * i)) + 1)
                start = ld_i64(entry)
                length = ld_i64(entry + 8) - start
                copy_bytes(ld_i64(step + 24) + start, p, length)
                p += length
            elif kind == MAYBE_LONG:
                value = ld_i64(first + 8 * i)
                if value == NULL:
                    st_u8(p, np.uint64(ld_i64(step + 16)))
                    p += 1
                else:
                    st_u8(p, np.uint64(ld_i64(step + 24)))
                    p = write_long(p + 1, value)
            elif kind == LITERAL:
                copy_bytes(first, p, ld_i64(step + 16))
                p += ld_i64(step + 16)
            elif kind == LONG:
                p = write_long(p, ld_i64(first + 8 * i))
            elif kind == HEX:
                p = _write_identifier(p, i, step)
            else:
                p = _write_bits(p, i, step)
        position = p - out
        st_i64(offsets + 8 * (i + 1), position)
    return rows, position


def warm() -> None:
    """Compile, on nothing."""
    nothing = np.zeros(8, np.int64)
    address = int(nothing.ctypes.data)
    encode_rows(address, 0, 0, 0, address, 0, 0, address)
