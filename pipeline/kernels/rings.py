"""Rings of window cells per SLO instance, and what entering and leaving does to them.

A row is one instance: cells of every tier side by side (`cells`), a running sum per window (`sums`), and
numbers (`words`). Window law: [floor((end - W) / cell) x cell, end); a calendar's window begins at `since`, has
no cells, and is emptied as a whole. What did not fit into a cell is counted in `lost`. kernels.judging judges
what is here.

The helpers take addresses in plain tuples: arrays in a tuple cost a reference count a use, 8x the time.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_i64, ld_u32, st_i64, st_u32

SLICE_S = 10  #: coverage is known in slices of 10 s
#: a cell is u32: room for 1.19 M events/s of one instance in cells of 1 h; more is clipped and counted
MOST_CELL = (1 << 32) - 1
NEVER = 1 << 62

# words of a row
AT, FIRST, LAST, LATCHED, CODE, WAKE, OBJECTIVE, LATE, TOTAL, EXCLUDED = range(10)
TOUCHED, MOVED, DUE, DUE_END = range(10, 14)
KNOWN = 14  #: since when the compliance window's sums are whole, where that is later than FIRST
WORDS = 16
# columns of a pair
LONG, SHORT, SEVERITY, FIRE_A, FIRE_B, CLEAR_A, CLEAR_B = range(7)
PAIR_COLUMNS = 8
# steps of a budget, as pairs are written: the SLO's own, then its SLA's
BUDGET_STEPS, SLA_STEPS = 4, 2
# columns of the guards
MIN_EVENTS, MIN_BAD, COVERAGE_A, COVERAGE_B = range(4)
# columns of a tier, of a window, of an objective's sizes
CELL_S, CELLS, START, LONGEST_S = range(4)
SPAN_S, TIER = range(2)
TIERS, WINDOWS, PAIRS, COMPLIANCE_TIER = range(4)
NO_TIER = -1  #: of a calendar's window
# columns of an objective's period
SINCE, UNTIL = range(2)
# columns of an objective's timeslices: 0 seconds: events are counted; scale 0: a slice is shared by its ratio; the rule
# that makes a slice good, and the load in millionths a second from which on it is judged
LENGTH_S, KEPT_AT, TARGET, SCALE, RULE, OFFERED = range(6)
SLICE_COLUMNS = 6
# columns of an entry
ROW, SECOND, GOOD, BAD, LEFT_OUT = range(5)
ENTRY_BYTES = 40
# bits of a code: the level in the lowest two; how many steps of each budget are spent, three bits each
SUSPECT, UNMEASURED = 4, 8
SPENT_SHIFT, SPENT_BITS = 4, 3
SPENT = ((1 << 2 * SPENT_BITS) - 1) << SPENT_SHIFT


class Rows(NamedTuple):
    """State. Shapes: cells (row, cell, 2) u32 good, bad; excluded (row, cell) u32; sums (row, window, 2) i64;
    words (row, WORDS) i64. `excluded` has the cells of the compliance window's tier only."""

    cells: Any
    excluded: Any
    sums: Any
    words: Any


class Tables(NamedTuple):
    """Spec. Shapes: tiers (objective, tier, 4); windows (objective, window, 2), the compliance window last;
    pairs (objective, pair, PAIR_COLUMNS); guards (objective, 4); sizes (objective, 4); steps (objective,
    BUDGET_STEPS + SLA_STEPS, PAIR_COLUMNS), zeros: no step; periods (objective, 2), of calendars, and changed as
    time goes on; slices (objective, SLICE_COLUMNS); all i64."""

    tiers: Any
    windows: Any
    pairs: Any
    guards: Any
    sizes: Any
    steps: Any
    periods: Any
    slices: Any


class Row(NamedTuple):
    """Addresses of one row, and of the count of what did not fit."""

    cells: int
    excluded: int
    sums: int
    words: int
    lost: int


class Plan(NamedTuple):
    """Addresses and sizes of one row's objective."""

    tiers: int
    windows: int
    pairs: int
    guards: int
    steps: int
    tier_count: int
    window_count: int
    pair_count: int
    compliance_tier: int
    since: int  # of a calendar's period; 0: the window rolls
    until: int
    slice_s: int  # of timeslices; 0: events are counted
    kept_at: int
    slice_target: int
    slice_scale: int
    slice_rule: int  # of kernels.slices
    slice_offered: int


@njit(forceinline=True)
def load(base, index):
    return ld_i64(base + 8 * index)


@njit(forceinline=True)
def store(base, index, value):
    st_i64(base + 8 * index, value)


@njit(forceinline=True)
def increase(base, index, more):
    st_i64(base + 8 * index, ld_i64(base + 8 * index) + more)


@njit(forceinline=True)
def tier(plan, k, column):
    return ld_i64(plan.tiers + 32 * k + 8 * column)


@njit(forceinline=True)
def window(plan, w, column):
    return ld_i64(plan.windows + 16 * w + 8 * column)


@njit(forceinline=True)
def pair(plan, p, column):
    return ld_i64(plan.pairs + 64 * p + 8 * column)


@njit(forceinline=True)
def budget_step(plan, i, column):
    return ld_i64(plan.steps + 64 * i + 8 * column)


@njit(forceinline=True)
def row_at(rows, row, lost):
    return Row(
        rows.cells.ctypes.data + row * rows.cells.shape[1] * 8,
        rows.excluded.ctypes.data + row * rows.excluded.shape[1] * 4,
        rows.sums.ctypes.data + row * rows.sums.shape[1] * 16,
        rows.words.ctypes.data + row * WORDS * 8,
        lost.ctypes.data,
    )


@njit(forceinline=True)
def plan_of(tables, o):
    return Plan(
        tables.tiers.ctypes.data + o * tables.tiers.shape[1] * 32,
        tables.windows.ctypes.data + o * tables.windows.shape[1] * 16,
        tables.pairs.ctypes.data + o * tables.pairs.shape[1] * 64,
        tables.guards.ctypes.data + o * 32,
        tables.steps.ctypes.data + o * (BUDGET_STEPS + SLA_STEPS) * 64,
        tables.sizes[o, TIERS],
        tables.sizes[o, WINDOWS],
        tables.sizes[o, PAIRS],
        tables.sizes[o, COMPLIANCE_TIER],
        tables.periods[o, SINCE],
        tables.periods[o, UNTIL],
        tables.slices[o, LENGTH_S],
        tables.slices[o, KEPT_AT],
        tables.slices[o, TARGET],
        tables.slices[o, SCALE],
        tables.slices[o, RULE],
        tables.slices[o, OFFERED],
    )


@njit(forceinline=True)
def put(address, more, lost):
    """Add to a cell as much as fits, or take out as much as is there; return it."""
    was = np.int64(ld_u32(address))
    fits = max(min(more, MOST_CELL - was), -was)
    st_u32(address, np.uint64(was + fits))
    increase(lost, 0, abs(more - fits))
    return fits


@njit(forceinline=True)
def _take_out(address):
    """Empty a cell; return what was in it."""
    was = np.int64(ld_u32(address))
    st_u32(address, np.uint64(0))
    return was


@njit(forceinline=True)
def _start(plan, w, end, size):
    """First second of a window: end - W, rounded down to its cell."""
    start = end - window(plan, w, SPAN_S)
    return start - start % size


@njit(forceinline=True)
def _add_to_period(row, plan, good, bad, excluded):
    """Add to the sums of a calendar's window, which has no cells."""
    last = plan.window_count - 1
    increase(row.sums, 2 * last, good)
    increase(row.sums, 2 * last + 1, bad)
    increase(row.words, EXCLUDED, excluded)


@njit(forceinline=True)
def begin_period(row, plan):
    """Empty a calendar's window: another period begins."""
    last = plan.window_count - 1
    store(row.sums, 2 * last, 0)
    store(row.sums, 2 * last + 1, 0)
    store(row.words, EXCLUDED, 0)
    store(row.words, MOVED, 1)


@njit(forceinline=True)
def add_late(row, plan, second, end, good, bad, excluded):
    """Add an entry behind `end` to the cells that are kept and to the sums of windows that reach it."""
    last = plan.window_count - 1
    for k in range(plan.tier_count):
        size = tier(plan, k, CELL_S)
        cell = second // size
        if cell < (end - tier(plan, k, LONGEST_S)) // size:
            continue
        place = cell % tier(plan, k, CELLS)
        address = row.cells + 8 * (tier(plan, k, START) + place)
        more_good, more_bad = put(address, good, row.lost), put(address + 4, bad, row.lost)
        for w in range(plan.window_count):
            if window(plan, w, TIER) == k and second >= _start(plan, w, end, size):
                increase(row.sums, 2 * w, more_good)
                increase(row.sums, 2 * w + 1, more_bad)
        if k == plan.compliance_tier and excluded > 0 and second >= _start(plan, last, end, size):
            increase(row.words, EXCLUDED, put(row.excluded + 4 * place, excluded, row.lost))
    if plan.compliance_tier == NO_TIER and second >= plan.since:
        _add_to_period(row, plan, good, bad, excluded)


@njit(forceinline=True)
def add(row, plan, newest, good, bad, excluded):
    """Add an entry to the newest cells, which every window reaches."""
    for k in range(plan.tier_count):
        slot = load(newest, 2 * k)
        address = row.cells + 8 * slot
        more_good, more_bad = put(address, good, row.lost), put(address + 4, bad, row.lost)
        for w in range(plan.window_count):
            if window(plan, w, TIER) == k:
                increase(row.sums, 2 * w, more_good)
                increase(row.sums, 2 * w + 1, more_bad)
        if k == plan.compliance_tier and excluded > 0:
            address = row.excluded + 4 * (slot - tier(plan, k, START))
            increase(row.words, EXCLUDED, put(address, excluded, row.lost))
    if plan.compliance_tier == NO_TIER:
        _add_to_period(row, plan, good, bad, excluded)


@njit(forceinline=True)
def aim(plan, t, newest, oldest):
    """Set the hands of a row's rings for end t; from here on they count, which saves 25 divisions a second.

    Shapes: newest (tier, 2) slot of second t, seconds left in its cell; oldest (window, 2) slot of the oldest
    cell of the window that ends at t, seconds until it leaves.
    """
    for k in range(plan.tier_count):
        size = tier(plan, k, CELL_S)
        store(newest, 2 * k, tier(plan, k, START) + t // size % tier(plan, k, CELLS))
        store(newest, 2 * k + 1, size - t % size)
    for w in range(plan.window_count):
        start, k = t - window(plan, w, SPAN_S), window(plan, w, TIER)
        if k == NO_TIER:
            continue
        size = tier(plan, k, CELL_S)
        store(oldest, 2 * w, tier(plan, k, START) + start // size % tier(plan, k, CELLS))
        store(oldest, 2 * w + 1, size - start % size)


@njit(forceinline=True)
def turn(plan, k, hands, i):
    """Let one second pass for a hand of tier k; True: it moved on to the next cell."""
    left = load(hands, 2 * i + 1) - 1
    if left > 0:
        store(hands, 2 * i + 1, left)
        return False
    slot, start = load(hands, 2 * i) + 1, tier(plan, k, START)
    store(hands, 2 * i, start if slot == start + tier(plan, k, CELLS) else slot)
    store(hands, 2 * i + 1, tier(plan, k, CELL_S))
    return True


@njit(forceinline=True)
def _is_last_to_leave(plan, w, k):
    """Whether a cell of tier k that left window w is left by all, and can be cleared."""
    span = window(plan, w, SPAN_S)
    if span != tier(plan, k, LONGEST_S):
        return False
    last = plan.window_count - 1
    return w == last or window(plan, last, TIER) != k or window(plan, last, SPAN_S) != span


@njit(forceinline=True)
def leave(row, plan, oldest):
    """Take out of the sums what windows no longer reach a second later; tell whether anything left."""
    left = False
    for w in range(plan.window_count):
        k, slot = window(plan, w, TIER), load(oldest, 2 * w)
        if k == NO_TIER or not turn(plan, k, oldest, w):
            continue
        address = row.cells + 8 * slot
        good, bad = np.int64(ld_u32(address)), np.int64(ld_u32(address + 4))
        if good + bad != 0:
            left = True
            increase(row.sums, 2 * w, -good)
            increase(row.sums, 2 * w + 1, -bad)
            if _is_last_to_leave(plan, w, k):
                _take_out(address)
                _take_out(address + 4)
        if w == plan.window_count - 1 and plan.slice_s == 0:
            gone = _take_out(row.excluded + 4 * (slot - tier(plan, k, START)))
            if gone != 0:
                left = True
                increase(row.words, EXCLUDED, -gone)
    return left
