"""A bounded window of event ids: has this one come within the last `window_s` seconds?

Law: what is said of an id depends on what came since its last coming, and on nothing before: it is a duplicate when
     that was at most `window_s` ago, it counted, and fewer than WAYS other ids of its set have come since. So a window
     that is filled again from records of the last `window_s` seconds answers as one that saw them all. An id that
     comes for the first time is never taken for a duplicate, but for two ids that share 63 bits of their hash: one in
     2e12 pairs within a window of a million ids. Each id that had to make room while it was young is told.
Layout: sets of WAYS slots, the latest coming first; a set is chosen by the hash's low bits; hashes (slot,) u64, whose
     lowest bit says that the id counted; stamps (slot,) u32, seconds; 0: free. Memory is 12 bytes a slot and never
     grows. Time is the caller's: the append time, which must not go down.
"""

import numpy as np
from numba import njit

WAYS = 8  #: the hashes of a set are one cache line
NEW, DUPLICATE, CROWDED = range(3)  #: CROWDED: new, and a younger id had to make room for it

_COUNTED = np.uint64(1)


@njit
def _set_of(hashes, h):
    """Return the first slot of the set of a hash."""
    return np.int64((h >> np.uint64(1)) & np.uint64(len(hashes) // WAYS - 1)) * WAYS


@njit(nogil=True, cache=True)
def seen(hashes, stamps, h, now_s, window_s):
    """Look for one hash and note that it came and counted; return NEW, DUPLICATE or CROWDED.

    A duplicate makes its id younger too: a retry that is retried counts no more than the first.
    """
    h |= _COUNTED
    first = _set_of(hashes, h)
    at, code = first + WAYS - 1, NEW
    for slot in range(first, first + WAYS):
        if stamps[slot] != 0 and hashes[slot] | _COUNTED == h:
            at = slot
            break
    is_young = stamps[at] != 0 and np.int64(stamps[at]) + window_s >= now_s
    if hashes[at] | _COUNTED != h:
        code = CROWDED if is_young else NEW
    elif is_young and hashes[at] & _COUNTED:
        code = DUPLICATE
    for slot in range(at, first, -1):
        hashes[slot], stamps[slot] = hashes[slot - 1], stamps[slot - 1]
    hashes[first], stamps[first] = h, now_s
    return code


@njit(nogil=True, cache=True)
def mark(hashes, stamps, found, now_s, window_s, codes):
    """Look for many hashes one behind the other; return how many crowded.

    Shapes: hashes, stamps (slot,); found (record,) u64, 0: no id, always NEW; now_s (record,) i64, at least 1;
            codes (record,) u8, written.
    """
    crowded = 0
    for i in range(len(found)):
        codes[i] = NEW
        if found[i] != 0:
            codes[i] = seen(hashes, stamps, found[i], now_s[i], window_s)
            crowded += codes[i] == CROWDED
    return crowded


@njit(nogil=True, cache=True)
def settle(hashes, found, has_counted):
    """Correct whether ids counted, where that is known only later; those that had to make room stay forgotten.

    Shapes: hashes (slot,); found (id,) u64; has_counted (id,) bool.
    """
    for i in range(len(found)):
        h = found[i] | _COUNTED
        first = _set_of(hashes, h)
        for slot in range(first, first + WAYS):
            if hashes[slot] | _COUNTED == h:
                hashes[slot] = h if has_counted[i] else h ^ _COUNTED


def slots_for(ids: int) -> int:
    """Slots for a window of so many ids: twice as many, a power of two, so that few sets are crowded."""
    return max(WAYS, 1 << (2 * ids - 1).bit_length())


def window(ids: int):
    """Make an empty window: (hashes, stamps)."""
    slots = slots_for(ids)
    return np.zeros(slots, np.uint64), np.zeros(slots, np.uint32)


def warm() -> None:
    """Compile now."""
    none = np.zeros(0, np.int64)
    hashes, stamps = window(1)
    mark(hashes, stamps, none.astype(np.uint64), none, 1, none.astype(np.uint8))
    settle(hashes, none.astype(np.uint64), none.astype(np.bool_))
