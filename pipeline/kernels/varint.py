"""Avro's zig-zag variable-length integers, read at raw addresses.

Law: read_long(address of write(x)) == (x, address behind it) for every int64 x; ten bytes at the most are
     read, and a malformed number moves the position to BAD, past every end.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_u8, ld_u64, out_of_line, septets, trailing_zeros

BAD = 1 << 62  #: a position past every end: the caller's one bounds check sees it
MANY = 3 << 61  #: another one: of a map with more entries than may be


@njit(forceinline=True)
def unzigzag(u):
    return np.int64(u >> np.uint64(1)) ^ -np.int64(u & np.uint64(1))


@njit(forceinline=False)
def read_rare(p):
    """Return (value, next position), byte by byte. Inlined at every field it made 50 KB of a decoder of 58 fields."""
    out_of_line()
    u = np.uint64(0)
    for k in range(10):
        b = ld_u8(p + k)
        u |= (b & np.uint64(127)) << np.uint64(7 * k)
        if b < np.uint64(128):
            if k == 9 and b > np.uint64(1):  # bits past the 64th
                break
            return unzigzag(u), p + k + 1
    return np.int64(0), np.int64(BAD)


@njit(forceinline=False)
def skip_text(p, e):
    """Return the position behind a string, BAD when it does not end by e."""
    out_of_line()
    n, p = read_rare(p)
    return np.int64(BAD) if p > e or n < 0 or n > e - p else p + n


@njit(forceinline=True)
def read_small(p):
    """Read a number that is nearly always one byte long."""
    b = np.int64(ld_u8(p))
    if b & 128 == 0:
        return (b >> 1) ^ -(b & 1), p + 1
    return read_rare(p)


@njit(forceinline=True)
def read_long(p):
    """Return (value, next position); one load for numbers of up to eight bytes, then three mask-and-shift
    steps.

    Inlined by LLVM, not by Numba: inline="always" made a decoder of 58 fields compile for 53 s.
    """
    w = ld_u64(p)
    if (w & np.uint64(0x80)) == np.uint64(0):
        return unzigzag(w & np.uint64(0x7F)), p + 1
    if (w & np.uint64(0x8000)) == np.uint64(0):
        return unzigzag((w & np.uint64(0x7F)) | ((w >> np.uint64(1)) & np.uint64(0x3F80))), p + 2
    stop = ~w & np.uint64(0x8080808080808080)
    if stop == np.uint64(0):
        return read_rare(p)
    t = trailing_zeros(stop)
    w &= ((np.uint64(1) << t) - np.uint64(1)) | (np.uint64(1) << t)
    w = septets(w)
    return unzigzag(w), p + np.int64(t >> np.uint64(3)) + 1


@njit(forceinline=True)
def skip_long(p):
    """Return the position behind a number nobody wants."""
    stop = ~ld_u64(p) & np.uint64(0x8080808080808080)
    if (stop & np.uint64(0x80)) != np.uint64(0):
        return p + 1
    if stop == np.uint64(0):
        return read_rare(p)[1]
    return p + np.int64(trailing_zeros(stop) >> np.uint64(3)) + 1


@njit(forceinline=True)
def skip_stamp(p):
    """Return the position behind a number that is nearly always eight bytes long; see `read_stamp`."""
    if (~ld_u64(p) & np.uint64(0x8080808080808080)) != np.uint64(0x8000000000000000):
        return skip_long(p)
    return p + 8


@njit(forceinline=True)
def read_stamp(p):
    """Read a number that is nearly always eight bytes long, as microseconds since 1970 are until 2200.

    The guess, checked, spares the next field waiting for this one's length.
    """
    w = ld_u64(p)
    if (~w & np.uint64(0x8080808080808080)) != np.uint64(0x8000000000000000):
        return read_long(p)
    w = septets(w)
    return unzigzag(w), p + 8
