"""A bounded window of event ids: has this one come within the last `window_s` seconds?

Law: an id that comes for the first time is never taken for a duplicate, but for two ids that share all 64 bits of
     their hash: one in 5e12 pairs within a window of a million ids. A duplicate is found unless the window had to
     forget its first coming, and each such forgetting of an entry that was still young is counted.
Layout: sets of WAYS slots, a set is chosen by the hash's low bits; hashes (slot,) u64, stamps (slot,) u32, seconds;
     0: free. Memory is 12 bytes a slot and never grows. Time is the caller's: the append time, which only goes up.
"""

import numpy as np
from numba import njit

WAYS = 8  #: the hashes of a set are one cache line
NEW, DUPLICATE, CROWDED = range(3)  #: CROWDED: new, and a younger entry had to make room for it


@njit(nogil=True, cache=True)
def seen(hashes, stamps, h, now_s, window_s):
    """Look for one hash and note it; return NEW, DUPLICATE or CROWDED.

    A duplicate does not make its entry younger: the window is counted from the first coming.
    """
    first = np.int64(h & np.uint64(len(hashes) // WAYS - 1)) * WAYS
    oldest, is_young = first, True
    for slot in range(first, first + WAYS):
        if np.int64(stamps[slot]) == 0 or np.int64(stamps[slot]) + window_s < now_s:
            oldest, is_young = np.int64(slot), False
        elif hashes[slot] == h:
            return DUPLICATE
        elif is_young and stamps[slot] < stamps[oldest]:
            oldest = np.int64(slot)
    hashes[oldest], stamps[oldest] = h, now_s
    return CROWDED if is_young else NEW


@njit(nogil=True, cache=True)
def mark(hashes, stamps, found, now_s, window_s, codes):
    """Look for many hashes one behind the other; return how many were duplicates, and how many crowded.

    Shapes: hashes, stamps (slot,); found (record,) u64; now_s (record,) i64, at least 1; codes (record,) u8, written.
    """
    duplicates, crowded = 0, 0
    for i in range(len(found)):
        codes[i] = seen(hashes, stamps, found[i], now_s[i], window_s)
        duplicates += codes[i] == DUPLICATE
        crowded += codes[i] == CROWDED
    return duplicates, crowded


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
    mark(*window(1), none.astype(np.uint64), none, 1, none.astype(np.uint8))
