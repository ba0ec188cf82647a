"""ClickHouse's quantilesDD states, written from sparse bins of many entries merged row by row.

Law: state(bins of values) == quantilesDDState(ALPHA, ..)(values), byte for byte; a row's state is that of its
entries' bins added up. Bin 0 is below 1 us and goes to the zero count; bin 1 + key has the log mapping's key.

    state: 02 | f64 gamma | f64 0 | 01 | store | 03 | empty store | 04 | f64 zero count
    store: 0C | uvar n | zz first key | zz 1 | n x f64            contiguous
           04 | uvar n | n x (zz key delta | f64 count)           sparse, the first delta from 0
    empty: 0C | uvar 0 | zz INT32_MAX | zz 1

Source: src/AggregateFunctions/DDSketch of ClickHouse 26.9; uvar is LEB128, zz its zig-zag form, doubles are
little endian.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_i64, st_f64, st_i64, st_u8
from pipeline.kernels.ddsketch import BINS, GAMMA

FIXED_BYTES = 64  #: a state without its bins, rounded up
BIN_BYTES = 11  #: most bytes a non-empty bin takes: zz delta 2 + f64 8, or 1.25 contiguous doubles


@njit
def _write_unsigned(p, number):
    while number >= 128:
        st_u8(p, np.uint64((number & 127) | 128))
        number >>= 7
        p += 1
    st_u8(p, np.uint64(number))
    return p + 1


@njit
def _write_zigzag(p, number):
    return _write_unsigned(p, (number << 1) ^ (number >> 63))


@njit
def _write_count(p, count):
    st_f64(p, np.float64(count))
    return p + 8


@njit
def _write_tag(p, tag):
    st_u8(p, np.uint64(tag))
    return p + 1


@njit
def _write_empty_store(p):
    p = _write_unsigned(_write_tag(p, 0x0C), 0)
    return _write_zigzag(_write_zigzag(p, 2147483647), 1)


@njit
def _write_store(p, row, low, high, used):
    """Write the positive store of the dense bins at `row`, of which [low, high] holds `used` bins > 0."""
    if used == 0:
        return _write_empty_store(p)
    if 8 * (high - low + 1 - used) <= 2 * used:  # ClickHouse's own choice, so that bytes stay equal
        p = _write_unsigned(_write_tag(p, 0x0C), high - low + 1)
        p = _write_zigzag(_write_zigzag(p, low - 1), 1)
        for j in range(low, high + 1):
            p = _write_count(p, ld_i64(row + 8 * j))
        return p
    p = _write_unsigned(_write_tag(p, 0x04), used)
    before = 0
    for j in range(low, high + 1):
        count = ld_i64(row + 8 * j)
        if count:
            p = _write_count(_write_zigzag(p, j - 1 - before), count)
            before = j - 1
    return p


@njit
def _write_state(p, row, low, high, used):
    p = _write_tag(p, 0x02)
    st_f64(p, GAMMA)
    st_f64(p + 8, 0.0)
    p = _write_store(_write_tag(p + 16, 0x01), row, low, high, used)
    p = _write_empty_store(_write_tag(p, 0x03))
    return _write_count(_write_tag(p, 0x04), ld_i64(row))


@njit(cache=True, nogil=True)
def encode_states(row_starts, order, bin_starts, bins, counts, row, out, offsets):
    """Write one state a row: order[row_starts[r] : row_starts[r + 1]] make out[offsets[r] : offsets[r + 1]].

    Shapes: row_starts (rows + 1,), order (entry,), bin_starts (entry + 1,), bins and counts (bin,), all i64;
            row (BINS,) i64 zeroed, left zeroed; out (rows x FIXED_BYTES + bins x BIN_BYTES,) u8;
            offsets (rows + 1,) i64.
    """
    start, dense, bin_at, count_at = out.ctypes.data, row.ctypes.data, bins.ctypes.data, counts.ctypes.data
    p = start
    for r in range(row_starts.size - 1):
        offsets[r] = p - start
        low, high, used = np.int64(BINS), np.int64(-1), np.int64(0)
        for i in range(row_starts[r], row_starts[r + 1]):
            entry = order[i]
            for k in range(bin_starts[entry], bin_starts[entry + 1]):
                j, count = ld_i64(bin_at + 8 * k), ld_i64(count_at + 8 * k)
                before = ld_i64(dense + 8 * j)
                st_i64(dense + 8 * j, before + count)
                if j > 0 and count:
                    used += before == 0
                    low, high = min(low, j), max(high, j)
        p = _write_state(p, dense, low, high, used)
        row[0] = 0
        for j in range(low, high + 1):
            row[j] = 0
    offsets[row_starts.size - 1] = p - start


def warm() -> None:
    starts, none = np.zeros(2, np.int64), np.zeros(0, np.int64)
    out = np.empty(FIXED_BYTES, np.uint8)
    encode_states(starts, none, starts, none, none, np.zeros(BINS, np.int64), out, np.empty(2, np.int64))
