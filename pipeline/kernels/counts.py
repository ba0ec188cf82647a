"""The fold: decoded rows -> counters per (series, 10 s), tallies per (series, second, objective), sketch
keys.

All memory is preallocated and named by the words of one i64 array (`pipeline.unit.UnitState` fills it), so a
fold never fails half-way: `room_left` is asked before each batch. A sketch insert is one appended u32 key
(coarse slot << 12 | metric x 1184 + bin), counted once a unit: that needs memory for what came and nothing
else, and gives the sparse form that travels.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import (
    fold_product,
    ld_i32,
    ld_i64,
    ld_u8,
    ld_u64,
    prefetch,
    st_i64,
    st_u8,
    st_u32,
    st_u64,
)
from pipeline.kernels.classify import BAD, COMPARE, E2E, NULL, TPOT, TTFT, case_index, verdict_of
from pipeline.kernels.ddsketch import BINS, bin_of
from pipeline.kernels.reasons import (
    BAD_WEIGHT,
    COMPLETED_FIRST,
    FAR_FUTURE,
    IMPLAUSIBLE,
    MORE_KEYS,
    MORE_SLOTS,
    NEGATIVE_COUNT,
    NEGATIVE_DURATION,
    TOO_OLD,
)  # fmt: skip

BATCH = 256  #: records decoded before they are folded: rows stay in the first-level cache

# row columns, byte offsets; pipeline.events.COLUMNS has the same order
(RECEIVED_AT, COMPLETED_AT, E2E_US, TTFT_US, DECODE_US, INPUT_TOKENS, OUTPUT_TOKENS, OUTCOME, FAILURE_KIND,
 HTTP_STATUS, PRIORITY, ATTEMPT, FINAL_ATTEMPT, COLD_START, COST_PICOUSD, GPU_US, SAMPLE_WEIGHT,
 KEY) = range(0, 144, 8)  # fmt: skip
ROW_BYTES = 144

# words of the fold
(FINE_TABLE, FINE_MASK, FINE_SLOTS, FINE_CAPACITY, FINE_COUNT,
 COARSE_TABLE, COARSE_MASK, COARSE_SLOTS, COARSE_CAPACITY, COARSE_COUNT, COUNTERS,
 TALLIES, TALLY_CAPACITY, TALLY_USED, SKETCH_KEYS, SKETCH_CAPACITY, SKETCH_USED,
 WEIGHTED, WEIGHTED_USED, SERIES_OF_KEY, BINDING_START, BINDING_COUNT, BINDINGS, BINDINGS_MOST,
 CASES, VERDICTS, BIN_TABLE, BIN_TABLE_SIZE, FUTURE_US, AGE_US, EVENT_TIME_MAX, CLAMPED, STAGED,
 WEIGHTED_CAPACITY, EXEMPLARS, EXEMPLARS_CAPACITY, EXEMPLARS_USED, FOLD_WORDS) = range(38)  # fmt: skip

FINE_BYTES = 32  #: series i64, second i64, tally offset i64, coarse slot i64
COARSE_BYTES = 16  #: series i64, slice i64
STAGED_BYTES = 32  #: fine slot address, row address, event time, case
EXEMPLAR_BYTES = 16  #: record number in the block i64, instance i64
BINDING_BYTES = 40  #: kind, threshold us, at most, final attempts only, instance
COUNTER_COUNT = 14
# counters, in the order of pipeline.blocks.SLICE_COUNTERS; the first eight are indexed by the case
(RETRIES, COLD_STARTS, TOKENS_IN, TOKENS_OUT, COST, GPU) = range(8, 14)
CASE_COUNTER = np.array([7, 0, 1, 1, 2, 3, 4, 4, 5, 6], np.int64)  #: sli.Case -> outcome counter
METRIC_BITS = 12  #: three rows of 1184 bins fit in 4096

SECOND_US, SLICE_S = 1_000_000, 10
LAST_SECOND = 1 << 32  #: a slot key has 32 bits for its second: the year 2106
# with these no product or comparison of the fold leaves 64 bits
GREATEST_DURATION_US = 1 << 50  #: 35 years
GREATEST_COUNT = (1 << 31) - 1
GREATEST_AMOUNT = np.float64(1 << 53)


@njit(forceinline=True)
def _probe(table, mask, key):
    """Return the address of key's entry, or of the free one it takes. An entry is key + 1 u64, slot i64."""
    j = np.int64(fold_product(key, np.uint64(0x9E3779B97F4A7C15)) & np.uint64(mask))
    while True:
        entry = table + 16 * j
        found = ld_u64(entry)
        if found == np.uint64(0) or found == key + np.uint64(1):
            return entry
        j = (j + 1) & mask


@njit(forceinline=True)
def _slot_key(series, cell):
    return (np.uint64(series) << np.uint64(32)) | np.uint64(cell)


@njit
def _new_coarse(fold, series, cell, entry):
    slot = ld_i64(fold + 8 * COARSE_COUNT)
    st_i64(fold + 8 * COARSE_COUNT, slot + 1)
    st_u64(entry, _slot_key(series, cell) + np.uint64(1))
    st_i64(entry + 8, slot)
    at = ld_i64(fold + 8 * COARSE_SLOTS) + COARSE_BYTES * slot
    st_i64(at, series)
    st_i64(at + 8, cell)
    return slot


@njit
def _new_fine(fold, series, second, entry):
    slot = ld_i64(fold + 8 * FINE_COUNT)
    st_i64(fold + 8 * FINE_COUNT, slot + 1)
    st_u64(entry, _slot_key(series, second) + np.uint64(1))
    st_i64(entry + 8, slot)
    cell = second // SLICE_S
    coarse_entry = _probe(ld_i64(fold + 8 * COARSE_TABLE), ld_i64(fold + 8 * COARSE_MASK), _slot_key(series, cell))
    if ld_u64(coarse_entry) == np.uint64(0):
        coarse = _new_coarse(fold, series, cell, coarse_entry)
    else:
        coarse = ld_i64(coarse_entry + 8)
    used = ld_i64(fold + 8 * TALLY_USED)
    st_i64(fold + 8 * TALLY_USED, used + 3 * ld_i32(ld_i64(fold + 8 * BINDING_COUNT) + 4 * series))
    at = ld_i64(fold + 8 * FINE_SLOTS) + FINE_BYTES * slot
    st_i64(at, series)
    st_i64(at + 8, second)
    st_i64(at + 16, used)
    st_i64(at + 24, coarse)
    return slot


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


@njit(forceinline=True)
def _is_negative(value):
    return value < 0 and value != NULL


@njit(forceinline=True)
def _is_too_much(value, weight):
    """Tell whether a weighted amount could make a slice's sum leave 64 bits in fewer than 1024 events."""
    return value != NULL and np.float64(value) * np.float64(weight) > GREATEST_AMOUNT


@njit(forceinline=True)
def _reject(row, event_time, stamp_us, age_us):
    """Return why a decoded row cannot be counted, or 0."""
    e2e, ttft, decode = ld_i64(row + E2E_US), ld_i64(row + TTFT_US), ld_i64(row + DECODE_US)
    if e2e < 0 or _is_negative(ttft) or _is_negative(decode):
        return NEGATIVE_DURATION
    read, written = ld_i64(row + INPUT_TOKENS), ld_i64(row + OUTPUT_TOKENS)
    cost, gpu = ld_i64(row + COST_PICOUSD), ld_i64(row + GPU_US)
    if _is_negative(read) or _is_negative(written) or _is_negative(cost) or _is_negative(gpu):
        return NEGATIVE_COUNT
    weight = ld_i64(row + SAMPLE_WEIGHT)
    if weight < 1:
        return BAD_WEIGHT
    if ld_i64(row + RECEIVED_AT) > ld_i64(row + COMPLETED_AT):
        return COMPLETED_FIRST
    if event_time < 0 or (age_us > 0 and stamp_us >= 0 and event_time < stamp_us - age_us):
        return TOO_OLD
    if max(e2e, ttft, decode) > GREATEST_DURATION_US or max(read, written, weight) > GREATEST_COUNT:
        return IMPLAUSIBLE
    if _is_too_much(read, weight) or _is_too_much(written, weight) or _is_too_much(cost, weight):
        return IMPLAUSIBLE
    if _is_too_much(gpu, weight):
        return IMPLAUSIBLE
    return np.uint64(0)


@njit
def _stage(rows, m, origins, stamps_ms, reasons, fold):
    """Check each row, find its slot, ask for its cache lines; return how many rows are staged."""
    staged, slots = ld_i64(fold + 8 * STAGED), ld_i64(fold + 8 * FINE_SLOTS)
    table, mask = ld_i64(fold + 8 * FINE_TABLE), ld_i64(fold + 8 * FINE_MASK)
    series_of_key, counters = ld_i64(fold + 8 * SERIES_OF_KEY), ld_i64(fold + 8 * COUNTERS)
    cases, tallies = ld_i64(fold + 8 * CASES), ld_i64(fold + 8 * TALLIES)
    future_us, age_us = ld_i64(fold + 8 * FUTURE_US), ld_i64(fold + 8 * AGE_US)
    latest = ld_i64(fold + 8 * EVENT_TIME_MAX)
    count = np.int64(0)
    for q in range(m):
        row = rows + q * ROW_BYTES
        origin = ld_i64(origins + 8 * q)
        stamp = ld_i64(stamps_ms + 8 * origin)
        stamp_us = stamp * 1000
        t = ld_i64(row + COMPLETED_AT)
        why = _reject(row, t, stamp_us, age_us)
        if why != np.uint64(0):
            st_u8(reasons + origin, why)
            continue
        if stamp >= 0 and t > stamp_us + future_us:
            t = stamp_us
            st_i64(fold + 8 * CLAMPED, ld_i64(fold + 8 * CLAMPED) + 1)
        if t >= LAST_SECOND * SECOND_US:
            st_u8(reasons + origin, FAR_FUTURE)
            continue
        latest = max(latest, t)
        key = ld_i64(row + KEY)
        series = np.int64(ld_i32(series_of_key + 4 * key)) if key >= 0 else np.int64(0)
        second = t // SECOND_US
        entry = _probe(table, mask, _slot_key(series, second))
        slot = ld_i64(entry + 8)
        if ld_u64(entry) == np.uint64(0):
            slot = _new_fine(fold, series, second, entry)
        at = slots + FINE_BYTES * slot
        prefetch(counters + 8 * COUNTER_COUNT * ld_i64(at + 24))
        prefetch(tallies + 8 * ld_i64(at + 16))
        index = case_index(
            ld_i64(row + OUTCOME),
            ld_i64(row + FAILURE_KIND),
            ld_i64(row + HTTP_STATUS),
            ld_i64(row + PRIORITY),
        )
        place = staged + STAGED_BYTES * count
        st_i64(place, at)
        st_i64(place + 8, row)
        st_i64(place + 16, np.int64(ld_u8(cases + index)))
        count += 1
    st_i64(fold + 8 * EVENT_TIME_MAX, latest)
    return count


@njit(forceinline=True)
def _add(address, index, amount):
    st_i64(address + 8 * index, ld_i64(address + 8 * index) + amount)


@njit(forceinline=True)
def _or_zero(value):
    return value if value != NULL else np.int64(0)


@njit(forceinline=True)
def _insert(fold, key, weight):
    """Append one sketch key; a weight other than 1 goes with it to the other list."""
    if weight == 1:
        used = ld_i64(fold + 8 * SKETCH_USED)
        st_u32(ld_i64(fold + 8 * SKETCH_KEYS) + 4 * used, np.uint64(key))
        st_i64(fold + 8 * SKETCH_USED, used + 1)
    else:
        used = ld_i64(fold + 8 * WEIGHTED_USED)
        st_i64(ld_i64(fold + 8 * WEIGHTED) + 16 * used, key)
        st_i64(ld_i64(fold + 8 * WEIGHTED) + 16 * used + 8, weight)
        st_i64(fold + 8 * WEIGHTED_USED, used + 1)


@njit
def _note_exemplar(fold, origin, instance):
    """Remember a record that is bad for an instance, while there is room."""
    used = ld_i64(fold + 8 * EXEMPLARS_USED)
    if used < ld_i64(fold + 8 * EXEMPLARS_CAPACITY):
        at = ld_i64(fold + 8 * EXEMPLARS) + EXEMPLAR_BYTES * used
        st_i64(at, origin)
        st_i64(at + 8, instance)
        st_i64(fold + 8 * EXEMPLARS_USED, used + 1)


@njit(forceinline=True)
def _shown(rule):
    """A value enters a sketch where the table lets it decide."""
    return np.int64(rule) >= COMPARE


@njit
def fold_batch(rows, m, origins, stamps_ms, reasons, fold):
    """Fold m decoded rows; rows that cannot be counted get their reason.

    Shapes: all addresses: rows (m, ROW_BYTES); origins (m,) i64 record numbers; stamps_ms (n,) i64 append
            times; reasons (n,) u8; fold FOLD_WORDS words.
    """
    count = _stage(rows, m, origins, stamps_ms, reasons, fold)
    staged, counters = ld_i64(fold + 8 * STAGED), ld_i64(fold + 8 * COUNTERS)
    tallies, verdicts = ld_i64(fold + 8 * TALLIES), ld_i64(fold + 8 * VERDICTS)
    starts, counts = ld_i64(fold + 8 * BINDING_START), ld_i64(fold + 8 * BINDING_COUNT)
    bindings = ld_i64(fold + 8 * BINDINGS)
    bin_table, bin_table_size = ld_i64(fold + 8 * BIN_TABLE), ld_i64(fold + 8 * BIN_TABLE_SIZE)
    for q in range(count):
        place = staged + STAGED_BYTES * q
        at, row, case = ld_i64(place), ld_i64(place + 8), ld_i64(place + 16)
        weight = ld_i64(row + SAMPLE_WEIGHT)
        coarse = ld_i64(at + 24)
        c = counters + 8 * COUNTER_COUNT * coarse
        written = ld_i64(row + OUTPUT_TOKENS)
        _add(c, CASE_COUNTER[case], weight)
        _add(c, RETRIES, weight * np.int64(ld_i64(row + ATTEMPT) > 1))
        _add(c, COLD_STARTS, weight * ld_i64(row + COLD_START))
        _add(c, TOKENS_IN, weight * _or_zero(ld_i64(row + INPUT_TOKENS)))
        _add(c, TOKENS_OUT, weight * _or_zero(written))
        _add(c, COST, weight * _or_zero(ld_i64(row + COST_PICOUSD)))
        _add(c, GPU, weight * _or_zero(ld_i64(row + GPU_US)))

        e2e, ttft, decode = ld_i64(row + E2E_US), ld_i64(row + TTFT_US), ld_i64(row + DECODE_US)
        has_ttft = ttft != NULL
        if decode == NULL and has_ttft:
            decode = e2e - ttft
        has_tpot = has_ttft and written >= 2 and decode >= 0
        tokens_after_first = written - 1 if has_tpot else np.int64(1)
        rules = verdicts + 4 * case
        sketch = coarse << METRIC_BITS
        if np.int64(ld_u8(rules + E2E)) == COMPARE:
            _insert(fold, sketch + bin_of(np.float64(e2e), bin_table, bin_table_size), weight)
        if has_ttft and _shown(ld_u8(rules + TTFT)):
            _insert(fold, sketch + BINS + bin_of(np.float64(ttft), bin_table, bin_table_size), weight)
        if has_tpot and _shown(ld_u8(rules + TPOT)):
            tpot = np.float64(decode) / np.float64(tokens_after_first)
            _insert(fold, sketch + 2 * BINS + bin_of(tpot, bin_table, bin_table_size), weight)

        series = ld_i64(at)
        b = bindings + BINDING_BYTES * ld_i32(starts + 4 * series)
        tally = tallies + 8 * ld_i64(at + 16)
        final = ld_i64(row + FINAL_ATTEMPT)
        for _ in range(ld_i32(counts + 4 * series)):
            kind = ld_i64(b)
            rule = np.int64(ld_u8(rules + kind))
            known, value, scale = True, e2e, np.int64(1)
            if kind == TTFT:
                known, value = has_ttft, ttft
            elif kind == TPOT:
                known, value, scale = has_tpot, decode, tokens_after_first
            elif kind == E2E:
                known = rule == COMPARE
            if final != 0 or ld_i64(b + 24) == 0:
                verdict = verdict_of(rule, known, value, scale, ld_i64(b + 8), ld_i64(b + 16) != 0, e2e)
                if verdict == BAD and ld_i64(tally + 8 * BAD) == 0:  # the first of its series and second
                    _note_exemplar(fold, ld_i64(origins + 8 * ((row - rows) // ROW_BYTES)), ld_i64(b + 32))
                _add(tally, verdict, weight)
            b += BINDING_BYTES
            tally += 24


@njit(cache=True, nogil=True)
def rehash(table, size, larger, mask):
    """Move every entry of a slot table into a larger, empty one.

    Shapes: table, larger: addresses of (size, 2) and (mask + 1, 2) i64.
    """
    for i in range(size):
        stored = ld_u64(table + 16 * i)
        if stored != np.uint64(0):
            entry = _probe(larger, mask, stored - np.uint64(1))
            st_u64(entry, stored)
            st_i64(entry + 8, ld_i64(table + 16 * i + 8))


def warm() -> None:
    one = np.zeros(4, np.int64)
    rehash(int(one.ctypes.data), 1, int(one.ctypes.data), 0)
