"""Slots: where a unit counts. A fine slot is a (series, second), a coarse one a (series, 10 s).

All memory is preallocated and named by the words of one i64 array (`pipeline.unit.UnitState` fills it), so a
fold never fails half-way: `room_left` is asked before each batch. A series has a *lane*: the slots of its last
second, which nearly all events share with the one before. Only seconds that come again are looked for in tables,
which are filled when one is. Without lanes the tables' cache misses cost 10 ns an event.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import fold_product, ld_i32, ld_i64, out_of_line, st_i32, st_i64
from pipeline.kernels.reasons import MORE_KEYS, MORE_SLOTS

BATCH = 256  #: records decoded before they are folded: rows stay in the second-level cache

# words of the fold
(FINE_TABLE, FINE_TABLED, FINE_SLOTS, FINE_CAPACITY, FINE_COUNT, TABLE_MASK,
 COARSE_TABLE, COARSE_TABLED, COARSE_SLOTS, COARSE_CAPACITY, COARSE_COUNT, COUNTERS,
 TALLIES, TALLY_CAPACITY, TALLY_USED, SKETCH_KEYS, SKETCH_CAPACITY, SKETCH_USED,
 WEIGHTED, WEIGHTED_USED, WEIGHTED_CAPACITY, LANES, SERIES_OF_KEY, BINDING_START, BINDING_COUNT, INSTANCES,
 BINDINGS_MOST, RULES, CASES, VERDICTS, VALUES, BIN_TABLE, BIN_TABLE_SIZE, FUTURE_US, AGE_US, EVENT_TIME_MAX,
 CLAMPED, CLIPPED, EXEMPLARS, EXEMPLARS_USED, EXEMPLARS_OF, KINDS_NEEDED, BAD_RECORDS,
 FOLD_WORDS) = range(44)  # fmt: skip

FINE_BYTES = 24  #: series i64, second i64, coarse slot << 40 | tally offset
COARSE_BYTES = 16  #: series i64, slice i64
LANE_BYTES = 32  #: second i64, greatest second i64 (-1: none), coarse slot << 40 | tally offset, rules; see Bindings
TALLY_BITS = 40
SLICE_S = 10
MOST_SUM = 1 << 62  #: of tokens or cost: two of them stay within 64 bits


@njit(forceinline=True)
def fitting(fold, was, more):
    """How much more a sum takes; that something was left out is counted."""
    fits = min(more, MOST_SUM - was)
    st_i64(fold + 8 * CLIPPED, ld_i64(fold + 8 * CLIPPED) + np.int64(fits != more))
    return fits


@njit(forceinline=True)
def _place(series, cell, mask):
    """Return where the probing for a slot begins. A table has slots + 1, i32: what they are stands in the slots."""
    key = (np.uint64(series) << np.uint64(32)) | np.uint64(cell)
    return np.int64(fold_product(key, np.uint64(0x9E3779B97F4A7C15)) & np.uint64(mask))


@njit(forceinline=False)
def _find(slots, slot_bytes, table, mask, tabled, count, series, cell):
    """Return the slot of a series and cell, -1 when there is none; first enter the slots from `tabled` on."""
    for slot in range(tabled, count):
        at = slots + slot_bytes * slot
        j = _place(ld_i64(at), ld_i64(at + 8), mask)
        while ld_i32(table + 4 * j) != 0:
            j = (j + 1) & mask
        st_i32(table + 4 * j, slot + 1)
    j = _place(series, cell, mask)
    while True:
        found = np.int64(ld_i32(table + 4 * j)) - 1
        at = slots + slot_bytes * found
        if found < 0 or (ld_i64(at) == series and ld_i64(at + 8) == cell):
            return found
        j = (j + 1) & mask


@njit
def _coarse_slot(fold, series, cell, is_new):
    """Return the coarse slot of a series and slice, a new one when it has none."""
    slots, count = ld_i64(fold + 8 * COARSE_SLOTS), ld_i64(fold + 8 * COARSE_COUNT)
    slot = np.int64(-1)
    if not is_new:
        table, tabled = ld_i64(fold + 8 * COARSE_TABLE), ld_i64(fold + 8 * COARSE_TABLED)
        slot = _find(slots, COARSE_BYTES, table, ld_i64(fold + 8 * TABLE_MASK), tabled, count, series, cell)
        st_i64(fold + 8 * COARSE_TABLED, count)
    if slot < 0:
        slot = count
        st_i64(fold + 8 * COARSE_COUNT, slot + 1)
        st_i64(slots + COARSE_BYTES * slot, series)
        st_i64(slots + COARSE_BYTES * slot + 8, cell)
    return slot


@njit(forceinline=False)
def enter(fold, lane, series, second):
    """Bring a series' lane to a second. One later than all before is new: no table is asked."""
    out_of_line()
    slots, count = ld_i64(fold + 8 * FINE_SLOTS), ld_i64(fold + 8 * FINE_COUNT)
    before, greatest = ld_i64(lane), ld_i64(lane + 8)
    st_i64(lane, second)
    if second <= greatest:
        table, tabled = ld_i64(fold + 8 * FINE_TABLE), ld_i64(fold + 8 * FINE_TABLED)
        slot = _find(slots, FINE_BYTES, table, ld_i64(fold + 8 * TABLE_MASK), tabled, count, series, second)
        st_i64(fold + 8 * FINE_TABLED, count)
        if slot >= 0:
            st_i64(lane + 16, ld_i64(slots + FINE_BYTES * slot + 16))
            return
    else:
        st_i64(lane + 8, second)
    used = ld_i64(fold + 8 * TALLY_USED)
    st_i64(fold + 8 * FINE_COUNT, count + 1)
    st_i64(fold + 8 * TALLY_USED, used + 3 * ld_i32(ld_i64(fold + 8 * BINDING_COUNT) + 4 * series))
    cell = second // SLICE_S
    if before >= 0 and before // SLICE_S == cell:
        coarse = ld_i64(lane + 16) >> TALLY_BITS
    else:
        coarse = _coarse_slot(fold, series, cell, greatest < 0 or cell > greatest // SLICE_S)
    at = slots + FINE_BYTES * count
    st_i64(at, series)
    st_i64(at + 8, second)
    st_i64(at + 16, coarse << TALLY_BITS | used)
    st_i64(lane + 16, coarse << TALLY_BITS | used)


@njit
def room_left(fold):
    """Tell whether a whole batch fits: 0, or what is short."""
    fine, coarse = ld_i64(fold + 8 * FINE_COUNT) + BATCH, ld_i64(fold + 8 * COARSE_COUNT) + BATCH
    tallies = ld_i64(fold + 8 * TALLY_USED) + 3 * BATCH * ld_i64(fold + 8 * BINDINGS_MOST)
    if fine > ld_i64(fold + 8 * FINE_CAPACITY) or coarse > ld_i64(fold + 8 * COARSE_CAPACITY):
        return MORE_SLOTS
    if tallies > ld_i64(fold + 8 * TALLY_CAPACITY):
        return MORE_SLOTS
    if ld_i64(fold + 8 * SKETCH_USED) + 3 * BATCH > ld_i64(fold + 8 * SKETCH_CAPACITY):
        return MORE_KEYS
    if ld_i64(fold + 8 * WEIGHTED_USED) + 3 * BATCH > ld_i64(fold + 8 * WEIGHTED_CAPACITY):
        return MORE_KEYS
    return 0
