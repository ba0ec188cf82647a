"""What a unit has folded, as sorted columns: tallies per (instance, second), counters and sketch bins per
slice.

A *place* is a u32 that says where an instance or a series is written, and in which order. Several kernel
series may share one place; their slices are then one. Nothing is lost on the way but past MOST_SUM: the sums of the
columns are the sums of the fold (tested). Sketch keys are counted slice by slice over one row of bins that stays in the
first-level cache: sorting them took 70 ns an event, this takes a quarter.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import (
    address_of,
    fold_product,
    ld_i32,
    ld_i64,
    ld_u16,
    ld_u32,
    ld_u64,
    st_i64,
    st_u16,
    st_u64,
    trailing_zeros,
)  # fmt: skip
from pipeline.kernels.counts import COUNTER_COUNT, METRIC_BITS, TALLY_MASK
from pipeline.kernels.ddsketch import BINS
from pipeline.kernels.slots import (
    BINDING_COUNT,
    BINDING_START,
    COARSE_BYTES,
    COARSE_COUNT,
    COARSE_SLOTS,
    COUNTERS,
    FINE_BYTES,
    FINE_COUNT,
    FINE_SLOTS,
    INSTANCES,
    SKETCH_KEYS,
    SKETCH_USED,
    TALLIES,
    WEIGHTED,
    WEIGHTED_USED,
    fitting,
)  # fmt: skip

METRIC_MASK = (1 << METRIC_BITS) - 1
ROW_WORDS = (1 << METRIC_BITS) // 64  #: words of the bitmap over a slice's bins


@njit(cache=True, nogil=True)
def tally_sums(fold, places, table, mask, keys, sums):
    """Sum tallies by place of the instance and second; return how many lines there are.

    Shapes: places (instance,) u32; table (mask + 1,) i64 zeros, at least twice the lines; keys (n,) u64
            becomes place << 32 | second, unsorted; sums (n, 3) i64 becomes excluded, good, bad; n = word
            TALLY_USED / 3. Lines without counts are left out.
    """
    slots, tallies = ld_i64(fold + 8 * FINE_SLOTS), ld_i64(fold + 8 * TALLIES)
    starts, counts = ld_i64(fold + 8 * BINDING_START), ld_i64(fold + 8 * BINDING_COUNT)
    instances = ld_i64(fold + 8 * INSTANCES)
    n = 0
    for slot in range(ld_i64(fold + 8 * FINE_COUNT)):
        at = slots + FINE_BYTES * slot
        series, second, tally = ld_i64(at), ld_i64(at + 8), tallies + 8 * (ld_i64(at + 16) & TALLY_MASK)
        bound = instances + 4 * ld_i32(starts + 4 * series)
        for k in range(ld_i32(counts + 4 * series)):
            excluded, good, bad = ld_i64(tally), ld_i64(tally + 8), ld_i64(tally + 16)
            tally += 24
            if excluded | good | bad == 0:
                continue
            key = (np.uint64(places[ld_i32(bound + 4 * k)]) << np.uint64(32)) | np.uint64(second)
            j = np.int64(fold_product(key, np.uint64(0x9E3779B97F4A7C15)) & np.uint64(mask))
            while table[j] != 0 and keys[table[j] - 1] != key:
                j = (j + 1) & mask
            if table[j] == 0:
                n += 1
                table[j] = n
                keys[n - 1] = key
                sums[n - 1, 0], sums[n - 1, 1], sums[n - 1, 2] = excluded, good, bad
            else:
                line = table[j] - 1
                sums[line, 0] += excluded
                sums[line, 1] += fitting(fold, sums[line, 1], good)
                sums[line, 2] += fitting(fold, sums[line, 2], bad)
    return n


@njit(cache=True, nogil=True)
def slice_keys(fold, places, keys):
    """Write place << 32 | 10 s cell of every coarse slot.

    Shapes: places (series,) u32; keys (COARSE_COUNT,) u64.
    """
    slots = ld_i64(fold + 8 * COARSE_SLOTS)
    for slot in range(ld_i64(fold + 8 * COARSE_COUNT)):
        at = slots + COARSE_BYTES * slot
        keys[slot] = (np.uint64(places[ld_i64(at)]) << np.uint64(32)) | np.uint64(ld_i64(at + 8))


@njit(cache=True, nogil=True)
def slice_sums(fold, ranks, sums):
    """Sum the counters of coarse slots by rank.

    Shapes: ranks (COARSE_COUNT,) i64; sums (COUNTER_COUNT, slice) i64 zeros.
    """
    counters = ld_i64(fold + 8 * COUNTERS)
    for slot in range(ranks.size):
        at = counters + 8 * COUNTER_COUNT * slot
        for k in range(COUNTER_COUNT):
            sums[k, ranks[slot]] += ld_i64(at + 8 * k)


@njit
def _cursors(fold, ranks, plain, heavy):
    """Count the keys of each slice, then turn the counts into the place of its first key.

    Shapes: plain, heavy (slice + 1,) i64 zeros: keys with weight 1 and keys with a weight of their own.
    """
    keys, weighted = ld_i64(fold + 8 * SKETCH_KEYS), ld_i64(fold + 8 * WEIGHTED)
    for i in range(ld_i64(fold + 8 * SKETCH_USED)):
        plain[ranks[np.int64(ld_u32(keys + 4 * i) >> np.uint64(METRIC_BITS))] + 1] += 1
    for i in range(ld_i64(fold + 8 * WEIGHTED_USED)):
        heavy[ranks[ld_i64(weighted + 16 * i) >> METRIC_BITS] + 1] += 1
    for k in range(1, plain.size):
        plain[k] += plain[k - 1]
        heavy[k] += heavy[k - 1]


@njit
def _scatter(fold, ranks, plain, heavy, short_keys, heavy_keys):
    """Move each key's last 12 bits to its slice's span; afterwards the cursors are the spans' ends."""
    keys, weighted = ld_i64(fold + 8 * SKETCH_KEYS), ld_i64(fold + 8 * WEIGHTED)
    short = short_keys.ctypes.data
    for i in range(ld_i64(fold + 8 * SKETCH_USED)):
        key = ld_u32(keys + 4 * i)
        rank = ranks[np.int64(key >> np.uint64(METRIC_BITS))]
        st_u16(short + 2 * plain[rank], key & np.uint64(METRIC_MASK))
        plain[rank] += 1
    for i in range(ld_i64(fold + 8 * WEIGHTED_USED)):
        key = ld_i64(weighted + 16 * i)
        rank = ranks[key >> METRIC_BITS]
        heavy_keys[heavy[rank], 0] = key & METRIC_MASK
        heavy_keys[heavy[rank], 1] = ld_i64(weighted + 16 * i + 8)
        heavy[rank] += 1


@njit(cache=True, nogil=True)
def sketch_columns(fold, ranks, plain, heavy, short_keys, heavy_keys, row, lengths, bins, counts, used):
    """Count sketch keys into sparse, ascending bins, slice after slice.

    Shapes: ranks (COARSE_COUNT,) i64; plain, heavy (slice + 1,) i64 zeros; short_keys (SKETCH_USED,) u16;
            heavy_keys (WEIGHTED_USED, 2) i64; row (1 << METRIC_BITS,) i64 zeros, zeros again afterwards;
            lengths (3, slice) i64 zeros; bins, counts (3, SKETCH_USED + WEIGHTED_USED) i64; used (3,) i64
            zeros becomes how many bins each metric has.
    """
    _cursors(fold, ranks, plain, heavy)
    _scatter(fold, ranks, plain, heavy, short_keys, heavy_keys)
    marks = np.zeros(ROW_WORDS, np.uint64)
    short, tally, marked = short_keys.ctypes.data, row.ctypes.data, marks.ctypes.data
    first, first_heavy = np.int64(0), np.int64(0)
    one = np.uint64(1)
    for k in range(plain.size - 1):
        for i in range(first, plain[k]):
            key = np.int64(ld_u16(short + 2 * i))
            st_i64(tally + 8 * key, ld_i64(tally + 8 * key) + 1)
            word = marked + 8 * (key >> 6)
            st_u64(word, ld_u64(word) | (one << np.uint64(key & 63)))
        for i in range(first_heavy, heavy[k]):
            key = heavy_keys[i, 0]
            st_i64(tally + 8 * key, ld_i64(tally + 8 * key) + heavy_keys[i, 1])
            word = marked + 8 * (key >> 6)
            st_u64(word, ld_u64(word) | (one << np.uint64(key & 63)))
        first, first_heavy = plain[k], heavy[k]
        for w in range(ROW_WORDS):
            bits = marks[w]
            marks[w] = np.uint64(0)
            while bits != np.uint64(0):
                key = 64 * w + np.int64(trailing_zeros(bits))
                bits &= bits - one
                metric = np.int64(key >= BINS) + np.int64(key >= 2 * BINS)
                n = used[metric]
                bins[metric, n] = key - metric * BINS
                counts[metric, n] = ld_i64(tally + 8 * key)
                st_i64(tally + 8 * key, 0)
                used[metric] = n + 1
                lengths[metric, k] += 1


def warm() -> None:
    words, one = np.zeros(64, np.int64), np.zeros(1, np.int64)
    address, place = address_of(words), np.zeros(1, np.uint32)
    tally_sums(address, place, one, 0, np.zeros(1, np.uint64), np.zeros((1, 3), np.int64))
    slice_keys(address, place, np.zeros(1, np.uint64))
    slice_sums(address, one[:0], np.zeros((COUNTER_COUNT, 1), np.int64))
    wide = np.zeros((3, 1), np.int64)
    row = np.zeros(1 << METRIC_BITS, np.int64)
    sketch_columns(
        address,
        one[:0],
        one,
        one,
        np.zeros(1, np.uint16),
        np.zeros((1, 2), np.int64),
        row,
        wide,
        wide,
        wide,
        np.zeros(3, np.int64),
    )
