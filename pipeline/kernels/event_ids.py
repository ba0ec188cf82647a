"""Hashes of event ids, read out of Avro values without decoding the rest.

Law: equal ids have equal hashes. A value that ends before its id, or whose id is null or empty, has none: 0. Nothing
     else of a value is checked here, so a hash says nothing about whether its value is an event.
A writer's schema comes as steps (step,) of (kind, argument, null's branch): the fields in front of the id, then the id.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import hash_bytes, ld_u8

LONG, TEXT, FIXED = range(3)  #: a number; bytes with their length in front; as many bytes as the argument says
KIND, ARGUMENT, NULL_BRANCH = range(3)
NO_UNION = -1
NEVER = 1 << 62


@njit
def _long(p, e):
    """Return (value, next position); NEVER when the number does not end before e."""
    u = np.uint64(0)
    for shift in range(0, 70, 7):
        if p >= e:
            break
        b = ld_u8(p)
        p += 1
        u |= (b & np.uint64(127)) << np.uint64(shift)
        if b < np.uint64(128):
            return np.int64(u >> np.uint64(1)) ^ -np.int64(u & np.uint64(1)), p
    return np.int64(0), np.int64(NEVER)


@njit
def _span(p, e, kind, argument):
    """Return where the value at p begins and ends."""
    if kind == FIXED:
        return p, p + argument
    x, p = _long(p, e)
    if kind == LONG:
        return p, p
    return p, p + x if 0 <= x <= e - p else np.int64(NEVER)


@njit
def _hash(p, e, steps):
    """Hash the id of the value in [p, e); 0: it has none."""
    last = len(steps) - 1
    begin = end = p
    for i in range(last + 1):
        null_branch, is_null = steps[i, NULL_BRANCH], False
        if null_branch != NO_UNION:
            x, p = _long(p, e)
            is_null = x == null_branch
            if p > e or (not is_null and x != 1 - null_branch):
                return np.uint64(0)
        begin, end = (p, p) if is_null else _span(p, e, steps[i, KIND], steps[i, ARGUMENT])
        if end > e:
            return np.uint64(0)
        p = end
    return max(hash_bytes(begin, end - begin), np.uint64(1)) if end > begin else np.uint64(0)


@njit(nogil=True, cache=True)
def read_ids(base, size, starts, lengths, header, steps, found):
    """Hash the ids of the values that begin with one writer's header; return how many these are.

    Shapes: base: address of `size` bytes; starts (record,) i64; lengths (record,) i32; header (n,) u8;
            steps (step, 3) i64; found (record,) u64, written where the header is the writer's.
    """
    taken = 0
    for i in range(len(starts)):
        n, p = np.int64(lengths[i]), np.int64(base) + starts[i]
        if n < len(header) or starts[i] < 0 or starts[i] + n > size:
            continue
        is_ours = True
        for k in range(len(header)):
            is_ours = is_ours and ld_u8(p + k) == np.uint64(header[k])
        if is_ours:
            taken += 1
            found[i] = _hash(p + len(header), p + n, steps)
    return taken


def warm() -> None:
    """Compile now."""
    none = np.zeros(0, np.int64)
    read_ids(0, 0, none, none.astype(np.int32), none.astype(np.uint8), none.reshape(0, 3), none.astype(np.uint64))
