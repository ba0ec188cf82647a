"""The fold: decoded rows -> counters per (series, 10 s), tallies per (series, second, objective), sketch
keys.

A sketch insert is one appended u32 key (coarse slot << 12 | metric x 1184 + bin), counted once a unit: that needs
memory for what came and nothing else, and gives the sparse form that travels. What an event means for each objective is
in `kernels.verdicts`.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_i64, ld_u8, out_of_line, prefetch, st_i64, st_u8, st_u32
from pipeline.kernels.classify import COMPARE, E2E, ERRORS, NULL, TPOT, TTFT, case_index
from pipeline.kernels.ddsketch import BINS, bin_of
from pipeline.kernels.reasons import (
    BAD_WEIGHT,
    COMPLETED_FIRST,
    FAR_FUTURE,
    IMPLAUSIBLE,
    NEGATIVE_COUNT,
    NEGATIVE_DURATION,
    TOO_OLD,
)  # fmt: skip
from pipeline.kernels.slots import (
    AGE_US,
    BIN_TABLE,
    BIN_TABLE_SIZE,
    CASES,
    CLAMPED,
    COUNTERS,
    EVENT_TIME_MAX,
    FUTURE_US,
    KINDS_NEEDED,
    LANE_BYTES,
    LANES,
    SKETCH_KEYS,
    SKETCH_USED,
    TALLIES,
    TALLY_BITS,
    VALUES,
    VERDICTS,
    WEIGHTED,
    WEIGHTED_USED,
    enter,
)  # fmt: skip
from pipeline.kernels.verdicts import (
    ATTEMPT_NUMBER,
    CASE_BYTES,
    CASE_COUNTER,
    COLD_START,
    COMPLETED_AT,
    COST_PICOUSD,
    DECODE_US,
    E2E_US,
    FAILURE_KIND,
    GPU_US,
    HTTP_STATUS,
    INPUT_TOKENS,
    IS_STREAM,
    OUTCOME,
    OUTPUT_TOKENS,
    PRIORITY,
    RECEIVED_AT,
    ROW_BYTES,
    SAMPLE_WEIGHT,
    SERIES,
    TTFT_US,
    VALUE_BYTES,
    add,
    judge,
    mean,
    mean_more,
    or_zero,
)  # fmt: skip

TALLY_MASK = (1 << TALLY_BITS) - 1
AHEAD = 6  #: rows between asking for a row's counters and adding to them

COUNTER_COUNT = 14
# counters, in the order of pipeline.ingest.SLICE_COUNTERS; the first eight are indexed by the case
(RETRIES, COLD_STARTS, TOKENS_IN, TOKENS_OUT, COSTS, GPU) = range(8, 14)
METRIC_BITS = 12  #: three rows of 1184 bins fit in 4096

SECOND_US = 1_000_000
LAST_SECOND = 1 << 32  #: a slot key has 32 bits for its second: the year 2106
# with these no product or comparison of the fold leaves 64 bits
GREATEST_DURATION_US = 1 << 50  #: 35 years
GREATEST_COUNT = (1 << 31) - 1
GREATEST_AMOUNT = np.float64(1 << 53)
_DIGITS = (1 << 63) - 1  #: all of a number but its sign


@njit(forceinline=True)
def _is_negative(value):
    return value < 0 and value != NULL


@njit(forceinline=True)
def _is_too_much(value, weight):
    """Tell whether a weighted amount could make a slice's sum leave 64 bits in fewer than 1024 events."""
    return value != NULL and np.float64(value) * np.float64(weight) > GREATEST_AMOUNT


@njit(forceinline=True)
def _oddities(row):
    """Return 0 for nearly every row: its numbers are neither negative nor large, and its weight is 1."""
    e2e, ttft, decode = ld_i64(row + E2E_US), ld_i64(row + TTFT_US), ld_i64(row + DECODE_US)
    read, written = ld_i64(row + INPUT_TOKENS), ld_i64(row + OUTPUT_TOKENS)
    cost, gpu = ld_i64(row + COST_PICOUSD), ld_i64(row + GPU_US)
    large = (
        ((e2e | ttft | decode) & _DIGITS) >> 50 | ((read | written) & _DIGITS) >> 31 | ((cost | gpu) & _DIGITS) >> 53
    )
    # NULL is the negative number without digits
    negative = (ttft >> 63) & ttft | (decode >> 63) & decode | (read >> 63) & read | (written >> 63) & written
    negative |= (cost >> 63) & cost | (gpu >> 63) & gpu
    return large | (negative & _DIGITS) | (e2e >> 63) | (ld_i64(row + SAMPLE_WEIGHT) ^ 1)


@njit(forceinline=False)
def _why_refused(row, event_time, stamp_us, age_us):
    """Return why a decoded row cannot be counted, or 0."""
    out_of_line()
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


@njit(forceinline=True)
def _count(c, row, weight, written):
    """Add to a slice's counters, but that of the case."""
    add(c + 8 * TOKENS_IN, weight * or_zero(ld_i64(row + INPUT_TOKENS)))
    add(c + 8 * TOKENS_OUT, weight * or_zero(written))
    attempt, cold, cost, gpu = (
        ld_i64(row + ATTEMPT_NUMBER),
        ld_i64(row + COLD_START),
        ld_i64(row + COST_PICOUSD),
        ld_i64(row + GPU_US),
    )
    if attempt != 1 or cold != 0:
        add(c + 8 * RETRIES, weight * np.int64(attempt > 1))
        add(c + 8 * COLD_STARTS, weight * cold)
    if (cost & gpu) != NULL:
        add(c + 8 * COSTS, weight * or_zero(cost))
        add(c + 8 * GPU, weight * or_zero(gpu))


@njit(forceinline=False)
def _insert_weighted(fold, key, weight):
    """Append a sketch key whose weight is not 1, with the weight, to a list of its own."""
    out_of_line()
    used = ld_i64(fold + 8 * WEIGHTED_USED)
    st_i64(ld_i64(fold + 8 * WEIGHTED) + 16 * used, key)
    st_i64(ld_i64(fold + 8 * WEIGHTED) + 16 * used + 8, weight)
    st_i64(fold + 8 * WEIGHTED_USED, used + 1)


@njit(forceinline=True)
def _insert(fold, keys, used, key, state, weight):
    """Append a sketch key where the table lets the value decide; return how many keys there are.

    Written in any case, and counted if it is to stay: no branch waits for what came.
    """
    st_u32(keys + 4 * used, np.uint64(key))
    if weight == 1:
        return used + np.int64(state == COMPARE)
    if state == COMPARE:
        _insert_weighted(fold, key, weight)
    return used


@njit(forceinline=True)
def _decide(fold, row, record, lane, keys, used):
    """Count one row whose lane is at its second; return how many sketch keys there are."""
    verdicts, values = ld_i64(fold + 8 * VERDICTS), ld_i64(fold + 8 * VALUES)
    bin_table, bin_table_size = ld_i64(fold + 8 * BIN_TABLE), ld_i64(fold + 8 * BIN_TABLE_SIZE)
    e2e, ttft, decode = ld_i64(row + E2E_US), ld_i64(row + TTFT_US), ld_i64(row + DECODE_US)
    weight, written = ld_i64(row + SAMPLE_WEIGHT), ld_i64(row + OUTPUT_TOKENS)
    index = case_index(
        ld_i64(row + OUTCOME), ld_i64(row + FAILURE_KIND), ld_i64(row + HTTP_STATUS), ld_i64(row + PRIORITY)
    )
    case = np.int64(ld_u8(ld_i64(fold + 8 * CASES) + index))
    meant = verdicts + CASE_BYTES * case
    slots = ld_i64(lane + 16)
    c = ld_i64(fold + 8 * COUNTERS) + 8 * COUNTER_COUNT * (slots >> TALLY_BITS)
    add(c + 8 * np.int64(ld_u8(meant + CASE_COUNTER)), weight)
    _count(c, row, weight, written)

    has_ttft = ttft >= 0
    decode = e2e - ttft if decode < 0 and has_ttft else decode
    has_tpot = has_ttft and written >= 2 and decode >= 0
    # what is missing is 1: a zero would be the one value in three that takes the sketch's rare branch
    decode, tokens = decode if has_tpot else np.int64(1), written - 1 if has_tpot else np.int64(1)
    mean(values, meant, ERRORS, False, np.int64(0))
    e2e_state = mean(values, meant, E2E, True, e2e)
    waited = e2e * ld_i64(row + IS_STREAM)  # for a first token that never came; who streams nothing waits for none
    ttft_state = mean(values, meant, TTFT, has_ttft, ttft if has_ttft else waited)
    tpot_state = mean(values, meant, TPOT, has_tpot, decode)
    st_i64(values + VALUE_BYTES * TPOT + 16, tokens)
    if ld_i64(fold + 8 * KINDS_NEEDED) != 0:
        mean_more(fold, values, meant, row)
    ttft = ttft if has_ttft else np.int64(1)

    sketch = (slots >> TALLY_BITS) << METRIC_BITS
    e2e_key = sketch + bin_of(np.float64(e2e), bin_table, bin_table_size)
    ttft_key = sketch + BINS + bin_of(np.float64(ttft), bin_table, bin_table_size)
    tpot_key = sketch + 2 * BINS + bin_of(np.float64(decode) / np.float64(tokens), bin_table, bin_table_size)
    used = _insert(fold, keys, used, e2e_key, e2e_state, weight)
    used = _insert(fold, keys, used, ttft_key, ttft_state, weight)
    used = _insert(fold, keys, used, tpot_key, tpot_state, weight)
    tally = ld_i64(fold + 8 * TALLIES) + 8 * (slots & TALLY_MASK)
    judge(fold, row, record, case, ld_i64(lane + 24), tally, values)
    return used


@njit(forceinline=True)
def _ask_ahead(fold, row, lanes):
    """Ask for the counters and tallies of the row AHEAD of this one."""
    slots = ld_i64(lanes + LANE_BYTES * ld_i64(row + AHEAD * ROW_BYTES + SERIES) + 16)
    prefetch(ld_i64(fold + 8 * TALLIES) + 8 * (slots & TALLY_MASK))
    prefetch(ld_i64(fold + 8 * COUNTERS) + 8 * COUNTER_COUNT * (slots >> TALLY_BITS))


@njit
def fold_batch(rows, m, origins, stamps_ms, reasons, fold):
    """Fold m decoded rows; rows that cannot be counted get their reason.

    Shapes: all addresses: rows (m + AHEAD, ROW_BYTES), of which the last AHEAD only name some series; origins (m,)
            i64 record numbers; stamps_ms (n,) i64 append times; reasons (n,) u8; fold FOLD_WORDS words.
    """
    lanes, future_us, age_us = ld_i64(fold + 8 * LANES), ld_i64(fold + 8 * FUTURE_US), ld_i64(fold + 8 * AGE_US)
    keys, used = ld_i64(fold + 8 * SKETCH_KEYS), ld_i64(fold + 8 * SKETCH_USED)
    latest, clamped = ld_i64(fold + 8 * EVENT_TIME_MAX), ld_i64(fold + 8 * CLAMPED)
    for q in range(m):
        row, record = rows + q * ROW_BYTES, ld_i64(origins + 8 * q)
        _ask_ahead(fold, row, lanes)
        t, stamp = ld_i64(row + COMPLETED_AT), ld_i64(stamps_ms + 8 * record)
        stamp_us = stamp * 1000
        if _oddities(row) != 0 or age_us > 0 or t < 0 or ld_i64(row + RECEIVED_AT) > t:
            why = _why_refused(row, t, stamp_us, age_us)
            if why != np.uint64(0):
                st_u8(reasons + record, why)
                continue
        if stamp >= 0 and t > stamp_us + future_us:
            t = stamp_us
            clamped += 1
        if t >= LAST_SECOND * SECOND_US:
            st_u8(reasons + record, FAR_FUTURE)
            continue
        latest = max(latest, t)
        series, second = ld_i64(row + SERIES), np.int64(np.uint64(t) // np.uint64(SECOND_US))
        lane = lanes + LANE_BYTES * series
        if ld_i64(lane) != second:
            enter(fold, lane, series, second)
        used = _decide(fold, row, record, lane, keys, used)
    st_i64(fold + 8 * SKETCH_USED, used)
    st_i64(fold + 8 * EVENT_TIME_MAX, latest)
    st_i64(fold + 8 * CLAMPED, clamped)
