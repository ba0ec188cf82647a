"""Judgement of every second the watermark passes, over rows of rings.

A step from end t to t + 1: cells that no window reaches any more leave the sums, the entries of second t
enter, the windows that end at t + 1 are judged. A row stops where its code changes (who holds on, suspect,
unmeasured) or where its alert asked to be woken, and is left at that second for the slow side to look at.
44-74 ns per instance and second for 5-8 windows.
Law: pipeline.slo.burns_at_least and tests/naive/judge.py say the same.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.kernels.rings import (
    AT,
    BAD,
    BUDGET_STEPS,
    CELL_S,
    CLEAR_A,
    CLEAR_B,
    CODE,
    COVERAGE_A,
    COVERAGE_B,
    DUE,
    DUE_END,
    ENTRY_BYTES,
    FIRE_A,
    FIRE_B,
    FIRST,
    GOOD,
    KNOWN,
    LAST,
    LATCHED,
    LATE,
    LEFT_OUT,
    LONG,
    LONGEST_S,
    MIN_BAD,
    MIN_EVENTS,
    MOVED,
    NEVER,
    NO_TIER,
    OBJECTIVE,
    ROW,
    SECOND,
    SEVERITY,
    SHORT,
    SLA_STEPS,
    SLICE_COLUMNS,
    SLICE_S,
    SPAN_S,
    SPENT,
    SPENT_BITS,
    SPENT_SHIFT,
    SUSPECT,
    TOTAL,
    TOUCHED,
    UNMEASURED,
    WAKE,
    WORDS,
    Rows,
    Tables,
    add,
    add_late,
    aim,
    begin_period,
    budget_step,
    increase,
    leave,
    load,
    pair,
    plan_of,
    row_at,
    store,
    tier,
    turn,
    window,
)  # fmt: skip
from pipeline.kernels.slices import amend, close, evidence, gather
from pipeline.kernels.wide import at_least


class Measured(NamedTuple):
    """Running counts of measured slices: counts[i] of [base, base + i), i <= top."""

    counts: int
    base: int
    top: int


@njit(forceinline=True)
def _measured_between(measured, start, end):
    """How many slices of [start, end) were measured."""
    last = load(measured.counts, min(max(end - measured.base, 0), measured.top))
    return last - load(measured.counts, min(max(start - measured.base, 0), measured.top))


@njit(forceinline=True)
def _covered(plan, measured, span_s, t, first):
    """Whether enough of the window was measured, of the part in which the instance existed.

    Only slices that ended count, so that it changes with the slice and not within.
    """
    end = t // SLICE_S
    start = max(end + (-span_s // SLICE_S), first // SLICE_S)
    if start >= end:
        return True
    seen = _measured_between(measured, start, end)
    return seen * load(plan.guards, COVERAGE_B) >= load(plan.guards, COVERAGE_A) * (end - start)


@njit(forceinline=True)
def _burns(row, plan, w, age, a, b):
    """bad / (eligible x span / lived) >= threshold; a and b as pipeline.slo.threshold gives them."""
    good, bad, span = load(row.sums, 2 * w), load(row.sums, 2 * w + 1), window(plan, w, SPAN_S)
    return bad > 0 and at_least(bad, a * min(age, span), good + bad, b * span)


@njit(forceinline=True)
def _observe(row, plan, t, measured):
    """Judge the windows that end at t: which pairs hold on, and the row's code."""
    first, latched = load(row.words, FIRST), load(row.words, LATCHED)
    now, age = t // SLICE_S, t - first
    if now > first // SLICE_S and _measured_between(measured, now - 1, now) == 0:
        return latched, load(row.words, CODE) | UNMEASURED
    level, frozen, suspect, any_measured = 0, 0, 0, plan.pair_count == 0
    for p in range(plan.pair_count):
        bit, severity = 1 << p, pair(plan, p, SEVERITY)
        long, short = pair(plan, p, LONG), pair(plan, p, SHORT)
        if not (
            _covered(plan, measured, window(plan, long, SPAN_S), t, first)
            and _covered(plan, measured, window(plan, short, SPAN_S), t, first)
        ):
            if latched & bit:
                frozen = max(frozen, severity)
            continue
        any_measured = True
        if latched & bit and not _burns(row, plan, short, age, pair(plan, p, CLEAR_A), pair(plan, p, CLEAR_B)):
            latched &= ~bit
        a, b = pair(plan, p, FIRE_A), pair(plan, p, FIRE_B)
        if _burns(row, plan, short, age, a, b) and _burns(row, plan, long, age, a, b):
            bad = load(row.sums, 2 * long + 1)
            eligible = load(row.sums, 2 * long) + bad
            if eligible >= load(plan.guards, MIN_EVENTS) and bad >= load(plan.guards, MIN_BAD):
                latched |= bit
            else:
                suspect = SUSPECT
        if latched & bit:
            level = max(level, severity)
    if frozen > level or not any_measured:
        return latched, max(level, frozen) | suspect | UNMEASURED
    return latched, level | suspect


@njit(forceinline=True)
def _spent(row, plan, age, first, steps, before, has_evidence):
    """How many steps of a budget are spent: a step is taken at its threshold, and left under its margin.

    Steps ascend, so that mostly one comparison is enough.
    """
    if budget_step(plan, first, FIRE_A) == 0:
        return 0
    w, taken = budget_step(plan, first, LONG), before
    while has_evidence and taken < steps:
        i = first + taken
        if not _burns(row, plan, w, age, budget_step(plan, i, FIRE_A), budget_step(plan, i, FIRE_B)):
            break
        taken += 1
    while taken > 0:
        i = first + taken - 1
        if _burns(row, plan, w, age, budget_step(plan, i, CLEAR_A), budget_step(plan, i, CLEAR_B)):
            break
        taken -= 1
    return taken


@njit(forceinline=True)
def _observe_budgets(row, plan, t, measured):
    """The code's bits of what is spent; they stay as they are where too little was measured to say."""
    code, last = load(row.words, CODE), plan.window_count - 1
    first = max(load(row.words, FIRST), load(row.words, KNOWN))
    if not _covered(plan, measured, min(window(plan, last, SPAN_S), t - plan.since), t, first):
        return code & SPENT
    bad = load(row.sums, 2 * last + 1)
    eligible = load(row.sums, 2 * last) + bad
    has_evidence = eligible >= load(plan.guards, MIN_EVENTS) and bad >= load(plan.guards, MIN_BAD)
    mask, age, shift = (1 << SPENT_BITS) - 1, t - max(first, plan.since), SPENT_SHIFT
    own = _spent(row, plan, age, 0, BUDGET_STEPS, code >> shift & mask, has_evidence)
    shift += SPENT_BITS
    sla = _spent(row, plan, age, BUDGET_STEPS, SLA_STEPS, code >> shift & mask, has_evidence)
    return own << SPENT_SHIFT | sla << shift


@njit(forceinline=True)
def _is_over(row, plan, t):
    """Whether no window that ends at t reaches the last entry, whatever its cells."""
    if plan.compliance_tier == NO_TIER and load(row.words, LAST) + plan.slice_s >= plan.since:
        return False
    longest = 0
    for k in range(plan.tier_count):
        longest = max(longest, tier(plan, k, LONGEST_S) + tier(plan, k, CELL_S))
    return t - load(row.words, LAST) > longest + plan.slice_s


@njit(forceinline=True)
def _begin(row, plan, second, at):
    """Note an entry; an instance that is new, or was silent as long as every window, begins anew at `at`."""
    if load(row.words, FIRST) < 0 or _is_over(row, plan, at):
        store(row.words, FIRST, at)
        store(row.words, LATE, 0)
        store(row.words, TOTAL, 0)
    store(row.words, LAST, max(load(row.words, LAST), second))
    store(row.words, TOUCHED, 1)


@njit(forceinline=True)
def _enter(row, plan, due, t, newest):
    """Let the entries of second t in, or into the open slice; tell whether sums changed."""
    i, end = load(row.words, DUE), load(row.words, DUE_END)
    entered = False
    while i < end and load(due + ENTRY_BYTES * i, SECOND) == t:
        entry = due + ENTRY_BYTES * i
        good, bad, excluded = load(entry, GOOD), load(entry, BAD), load(entry, LEFT_OUT)
        _begin(row, plan, t, t)
        increase(row.words, TOTAL, evidence(plan, good, bad, excluded))
        if plan.slice_s > 0:
            gather(row, plan, t, good, bad)
        else:
            add(row, plan, newest, good, bad, excluded)
            entered = True
        i += 1
    store(row.words, DUE, i)
    return entered


@njit(forceinline=True)
def _judge_row(row, plan, due, until, measured, newest, oldest):
    """Judge a row's seconds up to `until`; True: stopped at words[AT] to be looked at."""
    t = load(row.words, AT)
    longest = 0
    for w in range(plan.window_count - 1):
        longest = max(longest, window(plan, w, SPAN_S))
    aim(plan, t, newest, oldest)
    slice_left_s = plan.slice_s - t % plan.slice_s if plan.slice_s > 0 else NEVER
    must = True
    while t < until:
        left = leave(row, plan, oldest)
        entered = _enter(row, plan, due, t, newest)
        slice_left_s -= 1
        if slice_left_s == 0:
            entered = close(row, plan, t, newest)
            slice_left_s = plan.slice_s
        t += 1
        for k in range(plan.tier_count):
            turn(plan, k, newest, k)
        if left or entered:
            store(row.words, MOVED, 1)
        if t == plan.until:
            begin_period(row, plan)
        first, wake = load(row.words, FIRST), load(row.words, WAKE)
        if first < 0:
            continue
        is_due = left or entered or t % SLICE_S == 0 or t - first <= longest or t >= wake
        if is_due or must:
            must = False
            latched, code = _observe(row, plan, t, measured)
            store(row.words, LATCHED, latched)
            spent = load(row.words, CODE) & SPENT
            if is_due and not code & UNMEASURED:  # `must` comes with the cut into units, and margins remember
                spent = _observe_budgets(row, plan, t, measured)
            code = code & ~SPENT | spent
            if code != load(row.words, CODE) or t >= wake:
                store(row.words, CODE, code)
                store(row.words, AT, t)
                store(row.words, TOUCHED, 1)
                store(row.words, MOVED, 1)
                return True
    store(row.words, AT, until)
    return False


@njit(cache=True, nogil=True)
def judge_rows(rows, tables, due, chosen, until, base, counts, hands, stops, lost):
    """Judge the chosen rows up to `until`; return how many stopped, their numbers in `stops`.

    Shapes: due (entry, 5) i64 row, second, good, bad, excluded, by row and second; chosen, stops (n,) i64;
    counts (n + 1,) i64 as in `Measured`; hands (tiers + windows, 2) i64, scratch; lost (1,) i64.
    """
    count = 0
    measured = Measured(counts.ctypes.data, base, counts.size - 1)
    newest, oldest = hands.ctypes.data, hands.ctypes.data + tables.tiers.shape[1] * 16
    for i in range(chosen.size):
        row = row_at(rows, chosen[i], lost)
        plan = plan_of(tables, load(row.words, OBJECTIVE))
        if _judge_row(row, plan, due.ctypes.data, until, measured, newest, oldest):
            stops[count] = chosen[i]
            count += 1
    return count


@njit(cache=True, nogil=True)
def hand_out(rows, waiting, due):
    """Sort entries by row, in the order they are in, and tell every row where its own lie.

    Shapes: waiting, due (entry, 5) i64 row, second, good, bad, excluded; waiting by second.
    """
    counts = np.zeros(rows.words.shape[0] + 1, np.int64)
    for i in range(len(waiting)):
        counts[waiting[i, ROW] + 1] += 1
    for row in range(rows.words.shape[0]):
        counts[row + 1] += counts[row]
        rows.words[row, DUE], rows.words[row, DUE_END] = counts[row], counts[row + 1]
    for i in range(len(waiting)):
        row = waiting[i, ROW]
        for column in range(5):
            due[counts[row], column] = waiting[i, column]
        counts[row] += 1


@njit(cache=True, nogil=True)
def amend_rows(rows, tables, late, lost):
    """Add entries of seconds that are judged already: cells, sums, the late count; nothing is judged again.

    Shapes: late (entry, 5) i64 row, second, good, bad, excluded.
    """
    for i in range(len(late)):
        row = row_at(rows, late[i, ROW], lost)
        plan = plan_of(tables, load(row.words, OBJECTIVE))
        good, bad, excluded, at = late[i, GOOD], late[i, BAD], late[i, LEFT_OUT], load(row.words, AT)
        _begin(row, plan, late[i, SECOND], at)
        increase(row.words, LATE, evidence(plan, good, bad, excluded))
        increase(row.words, TOTAL, evidence(plan, good, bad, excluded))
        store(row.words, MOVED, 1)
        if plan.slice_s > 0:
            amend(row, plan, late[i, SECOND], at, good, bad)
        else:
            add_late(row, plan, late[i, SECOND], at, good, bad, excluded)


def warm() -> None:
    """Compile every kernel, or load it from the cache."""
    numbers = [
        np.zeros(shape, np.int64)
        for shape in ((1, 1, 4), (1, 1, 2), (1, 1, 8), (1, 4), (1, 4), (1, 6, 8), (1, 2), (1, SLICE_COLUMNS))
    ]
    rows = Rows(
        np.zeros((1, 1, 2), np.uint32),
        np.zeros((1, 1), np.uint32),
        np.zeros((1, 1, 2), np.int64),
        np.zeros((1, WORDS), np.int64),
    )
    none, one = np.zeros((0, 5), np.int64), np.zeros(1, np.int64)
    hand_out(rows, none, none)
    judge_rows(rows, Tables(*numbers), none, one, 0, 0, one, np.zeros((2, 2), np.int64), one, one.copy())
    amend_rows(rows, Tables(*numbers), none, one)
