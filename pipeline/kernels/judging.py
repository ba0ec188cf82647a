"""Judgement of every second the watermark passes, over rows of rings.

A step from end t to t + 1: cells that no window reaches any more leave the sums, the entries of second t
enter, the windows that end at t + 1 are judged. A row stops where its code changes (who holds on, suspect,
unmeasured) or where its alert asked to be woken, and is left at that second for the slow side to look at.
44-74 ns per instance and second for 5-8 windows.
Law: pipeline.slo.burns_at_least and tests/naive/judge.py say the same.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic

from pipeline.kernels.rings import (
    AT,
    BAD,
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
    LAST,
    LATCHED,
    LATE,
    LEFT_OUT,
    LONG,
    LONGEST_S,
    MIN_BAD,
    MIN_EVENTS,
    MOVED,
    OBJECTIVE,
    ROW,
    SECOND,
    SEVERITY,
    SHORT,
    SLICE_S,
    SPAN_S,
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


class Measured(NamedTuple):
    """Running counts of measured slices: counts[i] of [base, base + i), i <= top."""

    counts: int
    base: int
    top: int


def _at_least_plain(x, a, y, b):
    return int(x) * int(a) >= int(y) * int(b)


@intrinsic
def _at_least(typing_context, x, a, y, b):
    def generate(context, builder, signature, args):
        wide = [builder.zext(arg, ir.IntType(128)) for arg in args]
        return builder.icmp_unsigned(">=", builder.mul(wide[0], wide[1]), builder.mul(wide[2], wide[3]))

    return types.boolean(types.int64, types.int64, types.int64, types.int64), generate


#: x * a >= y * b in 128 bits, all four in [0, 2^63)
at_least = _at_least_plain if config.DISABLE_JIT else _at_least


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
def _is_over(row, plan, t):
    """Whether no window that ends at t reaches the last entry, whatever its cells."""
    longest = 0
    for k in range(plan.tier_count):
        longest = max(longest, tier(plan, k, LONGEST_S) + tier(plan, k, CELL_S))
    return t - load(row.words, LAST) > longest


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
    """Let the entries of second t in; tell whether there were any."""
    i, end = load(row.words, DUE), load(row.words, DUE_END)
    entered = False
    while i < end and load(due + ENTRY_BYTES * i, SECOND) == t:
        entry = due + ENTRY_BYTES * i
        good, bad, excluded = load(entry, GOOD), load(entry, BAD), load(entry, LEFT_OUT)
        _begin(row, plan, t, t)
        increase(row.words, TOTAL, good + bad + excluded)
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
    must = True
    while t < until:
        left = leave(row, plan, oldest)
        entered = _enter(row, plan, due, t, newest)
        t += 1
        for k in range(plan.tier_count):
            turn(plan, k, newest, k)
        if left or entered:
            store(row.words, MOVED, 1)
        first, wake = load(row.words, FIRST), load(row.words, WAKE)
        if first < 0:
            continue
        if left or entered or must or t % SLICE_S == 0 or t - first <= longest or t >= wake:
            must = False
            latched, code = _observe(row, plan, t, measured)
            store(row.words, LATCHED, latched)
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
        increase(row.words, LATE, good + bad + excluded)
        increase(row.words, TOTAL, good + bad + excluded)
        store(row.words, MOVED, 1)
        add_late(row, plan, late[i, SECOND], at, good, bad, excluded)


def warm() -> None:
    """Compile every kernel, or load it from the cache."""
    numbers = [np.zeros(shape, np.int64) for shape in ((1, 1, 4), (1, 1, 2), (1, 1, 8), (1, 4), (1, 4))]
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
