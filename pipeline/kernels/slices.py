"""Timeslices: events are gathered into the open slice; when it ends, its verdict enters the rings as one entry.

A slice of L seconds is [n L, n L + L) since the epoch, and counts where it ends: at its last second. Its verdict is
one good or one bad, or UNIT parts shared between them by its ratio, rounded to the nearest; nothing when nothing was
eligible. The last KEPT slices keep their counts, so that what comes late changes their verdicts; what comes later
than that is counted as lost.

    slot  n % KEPT:   |good bad|good bad| ... |good bad|
                       n - KEPT + 1 (oldest)   n (open)

Of sums (tokens, cost) good is the amount and bad what it is held against; they need 64 bits each, so half as many
slices are kept in the same room. A slice in which too little was offered to judge a throughput has no verdict either.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_i64, ld_u32, st_i64, st_u32
from pipeline.kernels.rings import TOUCHED, add, add_late, increase, put, store
from pipeline.kernels.wide import at_least

KEPT = 360  #: 2.9 KB; of one minute: 6 hours
UNIT = 1_000_000  #: parts of a slice; 3,600 slices of a second fit into a cell of an hour


KEPT_OF_SUMS = KEPT // 2
MOST = 1 << 62  #: of a sum
#: rules: a share of a slice's events; served requests a second; tokens a second; cost for tokens
SHARE, SERVED, TOKENS, COST = range(4)


@njit(forceinline=True)
def kept(plan):
    """How many slices keep their counts."""
    return KEPT if plan.slice_rule < TOKENS else KEPT_OF_SUMS


@njit(forceinline=True)
def _slot(row, plan, n):
    if plan.slice_rule < TOKENS:
        return row.cells + 8 * (plan.kept_at + n % KEPT)
    return row.cells + 8 * (plan.kept_at + 2 * (n % KEPT_OF_SUMS))


@njit(forceinline=True)
def _counts(plan, slot):
    """Return (good, bad) of what is counted in a slice."""
    if plan.slice_rule < TOKENS:
        return np.int64(ld_u32(slot)), np.int64(ld_u32(slot + 4))
    return ld_i64(slot), ld_i64(slot + 8)


@njit(forceinline=True)
def _put_sum(slot, more, lost):
    was = ld_i64(slot)
    fits = max(min(more, MOST - was), -was)
    st_i64(slot, was + fits)
    increase(lost, 0, np.int64(fits != more))


@njit(forceinline=True)
def _put(row, plan, slot, good, bad):
    """Add events to a slice."""
    if plan.slice_rule < TOKENS:
        put(slot, good, row.lost)
        put(slot + 4, bad, row.lost)
    else:
        _put_sum(slot, good, row.lost)
        _put_sum(slot + 8, bad, row.lost)


@njit(forceinline=True)
def _empty(plan, slot):
    st_u32(slot, np.uint64(0))
    st_u32(slot + 4, np.uint64(0))
    if plan.slice_rule >= TOKENS:
        st_i64(slot + 8, 0)


@njit(forceinline=True)
def _is_judged(plan, good, bad):
    """Whether there was anything to judge: of a throughput, enough was offered."""
    if plan.slice_offered == 0:
        return good | bad > 0  # sums may be too large to be added up
    offered = good + bad if plan.slice_rule == SERVED else bad
    return at_least(offered, plan.slice_scale, plan.slice_offered, plan.slice_s)


@njit(forceinline=True)
def _is_good(plan, good, bad):
    """Compare a slice by its rule: shares, rates with the seconds of it, cost with the tokens it bought."""
    if plan.slice_rule == SHARE:
        return at_least(good, plan.slice_scale, good + bad, plan.slice_target)
    if plan.slice_rule == COST:
        return at_least(plan.slice_target, bad, plan.slice_scale, good)
    return at_least(good, plan.slice_scale, plan.slice_target, plan.slice_s)


@njit(forceinline=True)
def verdict_of(plan, good, bad):
    """Return what a slice counts for, (good, bad)."""
    if not _is_judged(plan, good, bad):
        return 0, 0
    if plan.slice_scale == 0:
        eligible = good + bad
        parts = (good * UNIT + eligible // 2) // eligible
        return parts, UNIT - parts
    is_good = 1 if _is_good(plan, good, bad) else 0
    return is_good, 1 - is_good


@njit(forceinline=True)
def _verdict(plan, slot):
    good, bad = _counts(plan, slot)
    return verdict_of(plan, good, bad)


@njit(forceinline=True)
def gather(row, plan, second, good, bad):
    """Add events of a second to the open slice."""
    _put(row, plan, _slot(row, plan, second // plan.slice_s), good, bad)


@njit(forceinline=True)
def evidence(plan, good, bad, excluded):
    """How much an entry counts for where one asks how much was late; a sum is not added to what it is held against."""
    return excluded + bad if plan.slice_rule >= TOKENS else good + bad + excluded


@njit(forceinline=True)
def close(row, plan, second, newest):
    """End the slice whose last second this is, and open the next; tell whether it counts."""
    n = second // plan.slice_s
    good, bad = _verdict(plan, _slot(row, plan, n))
    _empty(plan, _slot(row, plan, n + 1))
    if good + bad == 0:
        return False
    add(row, plan, newest, good, bad, 0)
    store(row.words, TOUCHED, 1)
    return True


@njit(forceinline=True)
def amend(row, plan, second, end, good, bad):
    """Add late events to the slice of their second; if it has ended, let its verdict change."""
    n, now = second // plan.slice_s, end // plan.slice_s
    if n <= now - kept(plan):
        increase(row.lost, 0, evidence(plan, good, bad, 0))
        return
    slot = _slot(row, plan, n)
    good_before, bad_before = _verdict(plan, slot)
    _put(row, plan, slot, good, bad)
    if n == now:
        return
    good_after, bad_after = _verdict(plan, slot)
    last = n * plan.slice_s + plan.slice_s - 1
    add_late(row, plan, last, end, good_after - good_before, bad_after - bad_before, 0)
