"""Columns of Avro integers: arrays of int64 <-> zig-zag varints, without a branch on each number's length.

Law: read_longs(write_longs(x)) == x for every int64 array. Reading never leaves [p, end), which needs no
spare bytes; a number that is cut off, or wider than 64 bits, ends the reading with BAD. The GIL is kept: most columns
are short, and to take it back among busy threads costs up to 5 ms.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import (
    address_of,
    ld_i64,
    ld_u8,
    ld_u64,
    leading_zeros,
    opaque,
    septets,
    st_u8,
    st_u16,
    st_u64,
    trailing_zeros,
)
from pipeline.kernels.varint import BAD, unzigzag

LONGEST = 10  #: bytes of the longest varint


@njit(forceinline=True)
def _zigzag(p):
    x = ld_i64(p)
    return (np.uint64(x) << np.uint64(1)) ^ np.uint64(x >> 63)


@njit(forceinline=True)
def _write(w, p):
    """Write one number at p; return the position behind it."""
    seven, one = np.uint64(7), np.uint64(1)
    if w < np.uint64(1 << 56):
        n = (np.int64(63) - np.int64(leading_zeros(w | one))) // 7
        # spread groups of 28, 14 and 7 bits, then set the continuation bits of all bytes but the last
        w = (w & np.uint64(0x000000000FFFFFFF)) | ((w << np.uint64(4)) & np.uint64(0x0FFFFFFF00000000))
        w = (w & np.uint64(0x00003FFF00003FFF)) | ((w << np.uint64(2)) & np.uint64(0x3FFF00003FFF0000))
        w = (w & np.uint64(0x007F007F007F007F)) | ((w << one) & np.uint64(0x7F007F007F007F00))
        st_u64(p, w | (np.uint64(0x8080808080808080) & ((one << np.uint64(8 * n)) - one)))
        return p + n + 1
    while w >= np.uint64(128):
        st_u8(p, w | np.uint64(128))
        w >>= seven
        p += 1
    st_u8(p, w)
    return p + 1


@njit(forceinline=True)
def write_long(value, p):
    """Write the number at an address as a varint at p, which has 8 bytes to spare; return the position behind it."""
    return _write(_zigzag(value), p)


@njit(cache=True)
def write_longs(values, count, out):
    """Write count varints; return how many bytes.

    Shapes: addresses: values (count,) i64; out (LONGEST x count + 8,) u8.
    Eight numbers in a row of one byte each, the rule in columns of counts, or of two, as in columns of bins, go at
    once: no length waits for the one before it.
    """
    p, i = out, np.int64(0)
    low, seven, more = np.uint64(127), np.uint64(7), np.uint64(128)
    while i + 8 <= count:
        at = values + 8 * i
        a, b, c, d = _zigzag(at), _zigzag(at + 8), _zigzag(at + 16), _zigzag(at + 24)
        e, f, g, h = _zigzag(at + 32), _zigzag(at + 40), _zigzag(at + 48), _zigzag(at + 56)
        most, least = a | b | c | d | e | f | g | h, min(a, b, c, d, e, f, g, h)
        if most < more:
            half = a | b << np.uint64(8) | c << np.uint64(16) | d << np.uint64(24)
            st_u64(p, half | (e | f << np.uint64(8) | g << np.uint64(16) | h << np.uint64(24)) << np.uint64(32))
            p += 8
        elif most < np.uint64(1 << 14) and least >= more:
            for k in range(8):
                w = _zigzag(at + 8 * k)
                st_u16(p + 2 * k, (w & low) | more | (w >> seven) << np.uint64(8))
            p += 16
        else:
            for k in range(8):
                p = _write(_zigzag(at + 8 * k), p)
        i += 8
    while i < count:
        p = _write(_zigzag(values + 8 * i), p)
        i = opaque(i + 1)
    return p - out


@njit
def _read_checked(p, end):
    """Return (value, next position), byte by byte; BAD when the number leaves the buffer or 64 bits."""
    u = np.uint64(0)
    for k in range(LONGEST):
        if p + k >= end:
            break
        b = ld_u8(p + k)
        u |= (b & np.uint64(127)) << np.uint64(7 * k)
        if b < np.uint64(128):
            if k == LONGEST - 1 and b > np.uint64(1):
                break
            return unzigzag(u), p + k + 1
    return np.int64(0), np.int64(BAD)


@njit(cache=True)
def read_longs(p, end, out, count):
    """Read count varints from [p, end); return the position behind them, or BAD.

    Shapes: addresses: out (count,) i64.
    Eight one-byte numbers in a row, the rule in columns of counts, go as one word.
    """
    continued = np.uint64(0x8080808080808080)
    i = np.int64(0)
    while i < count and p + LONGEST <= end:
        w = ld_u64(p)
        stop = ~w & continued
        if stop == continued and i + 8 <= count:
            for k in range(8):
                st_u64(out + 8 * (i + k), np.uint64(unzigzag((w >> np.uint64(8 * k)) & np.uint64(0x7F))))
            i += 8
            p += 8
            continue
        if stop == np.uint64(0):
            x, p = _read_checked(p, end)
            if p == BAD:
                return np.int64(BAD)
        else:
            t = trailing_zeros(stop)
            w &= (np.uint64(1) << t) | ((np.uint64(1) << t) - np.uint64(1))
            w = septets(w)
            x = unzigzag(w)
            p += np.int64(t >> np.uint64(3)) + 1
        st_u64(out + 8 * i, np.uint64(x))
        i = opaque(i + 1)
    while i < count:
        x, p = _read_checked(p, end)
        if p == BAD:
            return np.int64(BAD)
        st_u64(out + 8 * i, np.uint64(x))
        i = opaque(i + 1)
    return p


@njit(cache=True)
def read_texts(p, end, places, count):
    """Note where `count` strings lie in [p, end); return the position behind them, or BAD.

    Shapes: addresses: places (count, 2) i64, start and stop of each, counted from p.
    """
    start, i = p, np.int64(0)
    while i < count:
        n, p = _read_checked(p, end)
        if p == BAD or n < 0 or n > end - p:
            return np.int64(BAD)
        st_u64(places + 16 * i, np.uint64(p - start))
        p += n
        st_u64(places + 16 * i + 8, np.uint64(p - start))
        i += 1
    return p


def warm() -> None:
    values, out = np.arange(4), np.zeros(64, np.uint8)
    used = write_longs(address_of(values), 4, address_of(out))
    read_longs(address_of(out), address_of(out) + used, address_of(values), 4)
    read_texts(address_of(out), address_of(out), address_of(values), 0)
