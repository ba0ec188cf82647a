"""What an event means for each kind of SLI, and what the rules of its series make of that.

An event's meaning is written down once a kind, as state, value and scale; then each rule of its series only compares.
A rule of several values has rules of its own, which stand elsewhere in the same table. Kinds that few SLOs ask for,
and rules that do more than compare, are out of line: nobody else pays for them.
Law: tests/naive/events.py says the same, line by line.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_i32, ld_i64, ld_u8, out_of_line, st_i64, st_u8
from pipeline.kernels.classify import (
    ATTEMPT,
    BAD,
    COST,
    DECODE,
    EXCLUDED,
    GOOD,
    GOODPUT,
    ITL_MAX,
    JOINT,
    NULL,
    PREFILL,
    QUEUE,
    RUNNING,
    SERVED,
    SHED,
    SUM,
    TOKENS,
    TTFO,
    moved,
    verdict_of,
)  # fmt: skip
from pipeline.kernels.slots import (
    BAD_RECORDS,
    BINDING_START,
    EXEMPLARS,
    EXEMPLARS_OF,
    EXEMPLARS_USED,
    INSTANCES,
    KINDS_NEEDED,
    RULES,
    fitting,
)

# row columns, byte offsets; pipeline.events.COLUMNS has the same order
(RECEIVED_AT, COMPLETED_AT, E2E_US, TTFT_US, DECODE_US, INPUT_TOKENS, OUTPUT_TOKENS, OUTCOME, FAILURE_KIND,
 HTTP_STATUS, PRIORITY, ATTEMPT_NUMBER, FINAL_ATTEMPT, COLD_START, COST_PICOUSD, GPU_US, SAMPLE_WEIGHT,
 IS_STREAM, TTFO_US, QUEUE_US, PREFILL_US, ITL_MAX_US, ADM_RUNNING, SLO_TTFT_MS, SLO_TPOT_MS,
 SERIES) = range(0, 208, 8)  # fmt: skip
ROW_BYTES = 208

CASE_BYTES, KNOWN_BYTES = 64, 32  #: of the table of verdicts: case x (value unknown, value known) x kind
CASE_COUNTER = 31  #: where a case's outcome counter stands in the table
VALUE_BYTES = 24  #: state, value, scale of one kind
#: kind x VALUE_BYTES, threshold, -1 for at least and 0 for at most, final attempts only, own verdicts. Of goodput the
#: threshold is where the rules of its objectives begin << 32 | how many; of such a rule the last two words are where in
#: a row the request's own threshold stands, in ms, or 0, and whether a value that is missing is bad
RULE_BYTES = 40
OWN_THRESHOLD, IS_STRICT = 24, 32
#: the most a request may ask for itself: of time per token, so that threshold x tokens stays within 64 bits
GREATEST_OWN_MS = 3_600_000
#: bits of KINDS_NEEDED: durations that only some SLOs look at; kinds of other things
SOME_DURATIONS, SOME_OTHERS = 1, 2
EXEMPLAR_BYTES = 16  #: record, instance
NOTED_MOST = 256  #: exemplars of a block; what comes later is not noted: the next block has room again
NOTED_EACH = 4  #: exemplars of one instance in a unit; not every event has a trace
BAD_FOR_SOME, NOTED = 1, 2  #: what is said of a record: bad for some SLO instance; and one of its exemplars


@njit(forceinline=True)
def add(address, amount):
    st_i64(address, ld_i64(address) + amount)


@njit(forceinline=True)
def or_zero(value):
    """An optional amount, which is not negative."""
    return value & ~(value >> 63)


@njit(forceinline=True)
def mean(values, meant, kind, is_known, value):
    """Write down what is left to decide for a kind, and its value; return the state."""
    state = np.int64(ld_u8(meant + KNOWN_BYTES * np.int64(is_known) + kind))
    st_i64(values + VALUE_BYTES * kind, state)
    st_i64(values + VALUE_BYTES * kind + 8, value)
    return state


@njit(forceinline=True)
def _mean_duration(values, meant, kind, value, is_defined):
    """The same of an optional duration. A negative one is none: what only some SLOs look at refuses no event."""
    mean(values, meant, kind, value >= 0 and is_defined, value)


@njit(forceinline=True)
def _mean_durations(values, meant, row):
    """The same of those that only some SLOs look at; columns that none does are as the decoder left them."""
    written = ld_i64(row + OUTPUT_TOKENS)
    has_gap = written >= 2 or written == NULL
    _mean_duration(values, meant, TTFO, ld_i64(row + TTFO_US), True)
    _mean_duration(values, meant, QUEUE, ld_i64(row + QUEUE_US), True)
    _mean_duration(values, meant, PREFILL, ld_i64(row + PREFILL_US), True)
    _mean_duration(values, meant, DECODE, ld_i64(row + DECODE_US), has_gap)
    _mean_duration(values, meant, ITL_MAX, ld_i64(row + ITL_MAX_US), has_gap)


@njit(forceinline=True)
def _mean_others(values, meant, row):
    """The same of kinds that are no durations. Of a sum the scale is what the value is held against."""
    tokens, running = or_zero(ld_i64(row + OUTPUT_TOKENS)), ld_i64(row + ADM_RUNNING)
    mean(values, meant, SHED, False, np.int64(0))
    mean(values, meant, ATTEMPT, True, ld_i64(row + ATTEMPT_NUMBER))
    mean(values, meant, RUNNING, running >= 0, running)
    mean(values, meant, GOODPUT, False, np.int64(0))
    mean(values, meant, SERVED, False, np.int64(0))
    mean(values, meant, TOKENS, True, tokens)
    mean(values, meant, COST, True, or_zero(ld_i64(row + COST_PICOUSD)))
    st_i64(values + VALUE_BYTES * COST + 16, tokens)


@njit(forceinline=False)
def mean_more(fold, values, meant, row):
    """The same of kinds that only some SLOs are about."""
    out_of_line()
    needed = ld_i64(fold + 8 * KINDS_NEEDED)
    if needed & SOME_DURATIONS:
        _mean_durations(values, meant, row)
    if needed & SOME_OTHERS:
        _mean_others(values, meant, row)


@njit(forceinline=False)
def _note_exemplar(fold, series, number, record):
    """Note a record that is bad for an instance of which few are noted in this unit."""
    out_of_line()
    start = ld_i32(ld_i64(fold + 8 * BINDING_START) + 4 * series)
    instance = np.int64(ld_i32(ld_i64(fold + 8 * INSTANCES) + 4 * (start + number)))
    noted, used = ld_i64(fold + 8 * EXEMPLARS_OF) + instance, ld_i64(fold + 8 * EXEMPLARS_USED)
    if ld_u8(noted) < np.uint64(NOTED_EACH) and used < NOTED_MOST:
        st_u8(noted, ld_u8(noted) + np.uint64(1))
        st_u8(ld_i64(fold + 8 * BAD_RECORDS) + record, np.uint64(NOTED))
        at = ld_i64(fold + 8 * EXEMPLARS) + EXEMPLAR_BYTES * used
        st_i64(at, record)
        st_i64(at + 8, instance)
        st_i64(fold + 8 * EXEMPLARS_USED, used + 1)


@njit(forceinline=True)
def _note_bad(fold, row, record, number, tally):
    """Say that a record is bad for an SLO instance; the first ones of its second may become exemplars."""
    said = ld_i64(fold + 8 * BAD_RECORDS) + record
    st_u8(said, ld_u8(said) | np.uint64(BAD_FOR_SOME))
    if ld_i64(tally + 16) == 0:
        _note_exemplar(fold, ld_i64(row + SERIES), number, record)


@njit(forceinline=True)
def _together(fold, row, state, parts, values):
    """Decide one event by several values: what it has none of is passed over, or bad where a rule is strict."""
    rule = ld_i64(fold + 8 * RULES) + RULE_BYTES * (parts >> 32)
    met = np.int64(GOOD) if state == JOINT else np.int64(EXCLUDED)
    for _ in range(parts & 0xFFFFFFFF):
        at, threshold, own = values + ld_i64(rule), ld_i64(rule + 8), ld_i64(rule + OWN_THRESHOLD)
        if own != 0:
            threshold = 1000 * max(min(ld_i64(row + own), GREATEST_OWN_MS), 0)
        if threshold > 0:  # a request without a target of its own has nothing to miss
            verdict = verdict_of(ld_i64(at), ld_i64(at + 8), ld_i64(at + 16), threshold, 0)
            if verdict == BAD or (verdict == EXCLUDED and state == JOINT and ld_i64(rule + IS_STRICT) != 0):
                return np.int64(BAD)
        rule += RULE_BYTES
    return met


@njit(forceinline=True)
def _sum_up(fold, tally, state, amount, load, weight):
    """Add what an event has of a sum, and of what that is held against; one that has neither is excluded."""
    load = load if state == SUM else np.int64(0)
    add(tally + 8 * GOOD, fitting(fold, ld_i64(tally + 8 * GOOD), weight * amount))
    add(tally + 8 * BAD, fitting(fold, ld_i64(tally + 8 * BAD), weight * load))
    if amount | load == 0:
        add(tally + 8 * EXCLUDED, weight)


@njit(forceinline=False)
def _judge_several(fold, row, record, number, rule, tally, values, state):
    """Add one event to the tally of a rule that does more than compare one value."""
    out_of_line()
    weight = ld_i64(row + SAMPLE_WEIGHT)
    if state >= SUM:
        at = values + ld_i64(rule)
        _sum_up(fold, tally, state, ld_i64(at + 8), ld_i64(at + 16), weight)
        return
    verdict = _together(fold, row, state, ld_i64(rule + 8), values)
    if verdict == BAD:
        _note_bad(fold, row, record, number, tally)
    add(tally + 8 * verdict, weight)


@njit(forceinline=True)
def judge(fold, row, record, case, rules, tally, values):
    """Add one event to the tallies of its series' rules."""
    is_final, weight = ld_i64(row + FINAL_ATTEMPT), ld_i64(row + SAMPLE_WEIGHT)
    rule = ld_i64(fold + 8 * RULES) + RULE_BYTES * (rules >> 32)
    for number in range(rules & 0xFFFFFFFF):
        at = values + ld_i64(rule)
        state, value, scale, own = ld_i64(at), ld_i64(at + 8), ld_i64(at + 16), ld_i64(rule + 32)
        if own != 0:
            state = moved(own, case, state)
        verdict = verdict_of(state, value, scale, ld_i64(rule + 8), ld_i64(rule + 16))
        if is_final != 0 or ld_i64(rule + 24) == 0:
            if verdict > BAD:
                _judge_several(fold, row, record, number, rule, tally, values, verdict)
            else:
                if verdict == BAD:
                    _note_bad(fold, row, record, number, tally)
                add(tally + 8 * verdict, weight)
        rule += RULE_BYTES
        tally += 24
