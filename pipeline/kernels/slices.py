"""Timeslices: events are gathered into the open slice; when it ends, its verdict enters the rings as one entry.

A slice of L seconds is [n L, n L + L) since the epoch, and counts where it ends: at its last second. Its verdict is
one good or one bad, or UNIT parts shared between them by its ratio, rounded to the nearest; nothing when nothing was
eligible. The last KEPT slices keep their counts, so that what comes late changes their verdicts; what comes later
than that is counted as lost.

    slot  n % KEPT:   |good bad|good bad| ... |good bad|
                       n - KEPT + 1 (oldest)   n (open)
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import ld_u32, st_u32
from pipeline.kernels.rings import TOUCHED, add, add_late, increase, put, store
from pipeline.kernels.wide import at_least

KEPT = 360  #: 2.9 KB; of one minute: 6 hours
UNIT = 1_000_000  #: parts of a slice; 3,600 slices of a second fit into a cell of an hour


@njit(forceinline=True)
def _slot(row, plan, n):
    return row.cells + 8 * (plan.kept_at + n % KEPT)


@njit(forceinline=True)
def _verdict(plan, slot):
    """Return (good, bad) of a slice."""
    good, bad = np.int64(ld_u32(slot)), np.int64(ld_u32(slot + 4))
    eligible = good + bad
    if eligible == 0:
        return 0, 0
    if plan.slice_scale == 0:
        parts = (good * UNIT + eligible // 2) // eligible
        return parts, UNIT - parts
    is_good = 1 if at_least(good, plan.slice_scale, eligible, plan.slice_target) else 0
    return is_good, 1 - is_good


@njit(forceinline=True)
def gather(row, plan, second, good, bad):
    """Add events of a second to the open slice."""
    slot = _slot(row, plan, second // plan.slice_s)
    put(slot, good, row.lost)
    put(slot + 4, bad, row.lost)


@njit(forceinline=True)
def close(row, plan, second, newest):
    """End the slice whose last second this is, and open the next; tell whether it counts."""
    n = second // plan.slice_s
    good, bad = _verdict(plan, _slot(row, plan, n))
    following = _slot(row, plan, n + 1)
    st_u32(following, np.uint64(0))
    st_u32(following + 4, np.uint64(0))
    if good + bad == 0:
        return False
    add(row, plan, newest, good, bad, 0)
    store(row.words, TOUCHED, 1)
    return True


@njit(forceinline=True)
def amend(row, plan, second, end, good, bad):
    """Add late events to the slice of their second; if it has ended, let its verdict change."""
    n, now = second // plan.slice_s, end // plan.slice_s
    if n <= now - KEPT:
        increase(row.lost, 0, good + bad)
        return
    slot = _slot(row, plan, n)
    good_before, bad_before = _verdict(plan, slot)
    put(slot, good, row.lost)
    put(slot + 4, bad, row.lost)
    if n == now:
        return
    good_after, bad_after = _verdict(plan, slot)
    last = n * plan.slice_s + plan.slice_s - 1
    add_late(row, plan, last, end, good_after - good_before, bad_after - bad_before, 0)
