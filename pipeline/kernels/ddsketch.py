"""DDSketch bins: the exact logarithmic index of a value, without a logarithm.

Law: bin(v) == 1 + floor(ln(v) / ln(gamma)) for 1 <= v < 2^34 us, gamma = (1 + alpha) / (1 - alpha); 0 below 1
     us.
Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, section 2.2; the carry table is ours: if 1 + 2^-m <= gamma,
        the top m mantissa bits of a double name a bucket with at most one bin boundary, so key = base + (rest
        >= threshold), and storing base and threshold in one word turns the comparison into a carry.
"""

import math

import numpy as np
from numba import njit

from pipeline.kernels.bits import bits_of, ld_i64

ALPHA = 0.01  #: relative error; pinned here and in every ClickHouse type: the server would re-bin silently
GAMMA = (1 + ALPHA) / (1 - ALPHA)
GREATEST_LOG2 = 34  #: 2^34 us = 4.8 h; a real trace reached 4477 s, more than 2^32 us
MANTISSA_BITS = 6  #: 1 + 2^-6 <= gamma for alpha = 1 %
SHIFT = 52 - MANTISSA_BITS
FIRST_BUCKET = 1023 << MANTISSA_BITS


def _key(bits: int) -> int:
    return math.floor(math.log(float(np.int64(bits).view(np.float64))) / math.log(GAMMA))


def _boundary(low: int, high: int, key: int) -> int:
    """Return the least bits in (low, high] whose key exceeds `key`, by bisection."""
    while high - low > 1:
        middle = (low + high) >> 1
        if _key(middle) == key:
            low = middle
        else:
            high = middle
    return high


def carry_table() -> np.ndarray:
    """Build the table: key = (bits + table[bucket]) >> SHIFT.

    Shapes: (GREATEST_LOG2 << MANTISSA_BITS,) i64, 17 KB: fits the first-level cache.
    """
    table = np.zeros(GREATEST_LOG2 << MANTISSA_BITS, np.int64)
    for i in range(len(table)):
        bucket = FIRST_BUCKET + i
        low, high = bucket << SHIFT, ((bucket + 1) << SHIFT) - 1
        key = _key(low)
        threshold = 1 << SHIFT
        if _key(high) != key:
            threshold = _boundary(low, high, key) & ((1 << SHIFT) - 1)
        table[i] = (key << SHIFT) + (1 << SHIFT) - threshold - (bucket << SHIFT)
    return table


TABLE = carry_table()
TOP_BIN = _key((FIRST_BUCKET + len(TABLE) << SHIFT) - 1) + 1  #: the last bin; greater values are clamped into it
BINS = 1184  #: a row of bins, rounded up to a cache line


@njit(forceinline=True)
def bin_of(value, table, table_size):
    """Return the bin of a value in microseconds; 0 below 1 us, TOP_BIN from 2^34 us on.

    Shapes: table is the address of TABLE, table_size its length.
    """
    bits = bits_of(value)
    bucket = (bits >> SHIFT) - FIRST_BUCKET
    if bucket < 0:
        return np.int64(0)
    if bucket >= table_size:
        return np.int64(TOP_BIN)
    return ((bits + ld_i64(table + 8 * bucket)) >> SHIFT) + 1


@njit(cache=True, nogil=True)
def bins_of(values, table, out):
    """Fill out[i] with the bin of values[i].

    Shapes: values (n,) f64; table = TABLE; out (n,) i64.
    Units:  microseconds.
    """
    address = table.ctypes.data
    for i in range(values.size):
        out[i] = bin_of(values[i], address, table.size)


def warm() -> None:
    bins_of(np.ones(1), TABLE, np.empty(1, np.int64))
