"""Whole events as columns: chosen values out of a block, and every field of them by one program a writer's schema.

Law: `read_columns` gives what tests/naive/events.py reads of the same bytes, and refuses a value that does not end
     where its last field does. The program is (step,) of (kind, null's branch, column, argument, steps to pass over
     when null). The values end with PAD spare bytes; a position past an end is BAD and stays so.
"""

import numpy as np
from numba import njit

from pipeline.kernels.bits import bits_of, copy_bytes, ld_f32, ld_i32, ld_i64, ld_u8, st_u8
from pipeline.kernels.reasons import GOOD
from pipeline.kernels.varint import BAD, read_long, skip_text
from pipeline.kernels.verdicts import NOTED

LONG, BOOLEAN, FLOAT, DOUBLE, TEXT, FIXED, LIST, MAP, GROUP = range(9)  #: a group is null or the steps behind it
KIND, NULL_BRANCH, COLUMN, ARGUMENT, PASSED = range(5)
NO_UNION, NO_COLUMN = -1, -1
ABSENT = -1  #: length of a text that is not there
_SEED = np.uint64(0x5851F42D4C957F2D)  #: times the partition: each keeps others of its records
_STEP, _MIX, _MIX_AGAIN = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@njit(forceinline=True)
def _place_hash(offset, partition):
    """Hash a place in the log to 53 bits.

    Source: the finishing steps of splitmix64.
    """
    x = np.uint64(offset) * _STEP + np.uint64(partition) * _SEED
    x = (x ^ (x >> np.uint64(30))) * _MIX
    x = (x ^ (x >> np.uint64(27))) * _MIX_AGAIN
    return (x ^ (x >> np.uint64(31))) >> np.uint64(11)


@njit(nogil=True, cache=True)
def choose(offsets, lengths, codes, is_bad, partition, part, part_of_bad, most_bytes, chosen):
    """Choose good records whose hash is below a part of 2^53, and all that are exemplars; return how many.

    Shapes: addresses: offsets (record,) i64; lengths (record,) i32; codes, is_bad (record,) u8. chosen (record,) i64.
    """
    used = 0
    for i in range(len(chosen)):
        bad = ld_u8(is_bad + i)
        is_kept = _place_hash(ld_i64(offsets + 8 * i), partition) < np.uint64(part_of_bad if bad != 0 else part)
        is_kept |= (bad & np.uint64(NOTED)) != 0
        chosen[used] = i
        used += is_kept and ld_u8(codes + i) == GOOD and ld_i32(lengths + 4 * i) <= most_bytes
    return used


@njit(nogil=True, cache=True)
def copy_spans(base, starts, lengths, chosen, out):
    """Copy chosen values one behind the other; return how many bytes they are.

    Shapes: addresses: base, which the starts count from, with 7 spare bytes behind the last value; starts (record,)
            i64; lengths (record,) i32. Arrays: chosen (n,) i64; out (bytes + 8,) u8.
    """
    at = np.int64(0)
    for i in range(len(chosen)):
        n = np.int64(ld_i32(lengths + 4 * chosen[i]))
        copy_bytes(base + ld_i64(starts + 8 * chosen[i]), out.ctypes.data + at, n)
        at += n
    return at


@njit
def _skip(p, e, kind):
    """Return the position behind one number or text."""
    if kind == LONG:
        return read_long(p)[1]
    if kind == TEXT:
        return skip_text(p, e)
    return p + (1 if kind == BOOLEAN else 4 if kind == FLOAT else 8)


@njit
def _skip_items(p, e, item, is_map):
    """Return the position behind a list or map: blocks of items until an empty one, sizes behind negative counts."""
    while True:
        n, p = read_long(p)
        if p > e or n == 0:
            return p
        if n < 0:
            x, p = read_long(p)
            if p > e or x < 0 or x > e - p:
                return np.int64(BAD)
            p += x
            continue
        for _ in range(n):
            p = skip_text(p, e) if is_map else p
            p = _skip(p, e, item) if p <= e else np.int64(BAD)
            if p > e:
                return np.int64(BAD)


@njit
def _number(p, kind, numbers, column, i):
    """Read a number, as 64 bits; of floats they are those of a double."""
    if kind == LONG:
        x, p = read_long(p)
    elif kind == BOOLEAN:
        x, p = np.int64(ld_u8(p)), p + 1
    elif kind == FLOAT:
        x, p = bits_of(np.float64(ld_f32(p))), p + 4
    else:
        x, p = ld_i64(p), p + 8
    if column >= 0:
        numbers[column, i] = x
    return p


@njit
def _text(p, e, kind, argument, texts, column, i, base):
    """Note where a text, a fixed or a whole map stands; return the position behind it."""
    start = p
    if kind == TEXT:
        n, start = read_long(p)
        p = start + n if start <= e and 0 <= n <= e - start else np.int64(BAD)
    elif kind == FIXED:
        p += argument
    else:
        p = _skip_items(p, e, argument, kind == MAP)
    if column >= 0 and p <= e:
        texts[column, i, 0], texts[column, i, 1] = start - base, p - start
    return p


@njit(nogil=True, cache=True)
def read_columns(base, starts, ends, steps, numbers, texts, is_read):
    """Read every value; what is not there keeps what its place holds.

    Shapes: base: address; starts, ends (n,) i64 from it, behind the framing; steps (step, 5) i64; numbers (column, n)
            i64; texts (column, n, 2) i64: start from base and length; is_read (n,) bool.
    """
    for i in range(len(starts)):
        p, e, s = np.int64(base) + starts[i], np.int64(base) + ends[i], 0
        while s < len(steps) and p <= e:
            kind, column = steps[s, KIND], steps[s, COLUMN]
            if steps[s, NULL_BRANCH] != NO_UNION:
                x, p = read_long(p)
                if x == steps[s, NULL_BRANCH]:
                    s += 1 + steps[s, PASSED]
                    continue
                p = p if x == 1 - steps[s, NULL_BRANCH] else np.int64(BAD)
            if p <= e and kind <= DOUBLE:
                p = _number(p, kind, numbers, column, i)
            elif p <= e and kind < GROUP:
                p = _text(p, e, kind, steps[s, ARGUMENT], texts, column, i, base)
            s += 1
        is_read[i] = p == e and s >= len(steps)


@njit(nogil=True, cache=True)
def copy_texts(base, places, rows):
    """Copy texts into rows of equal width, which hold zeros.

    Shapes: places (n, 2) i64: start from base and length; rows (n, width) u8.
    """
    for i in range(len(places)):
        for k in range(places[i, 1]):
            st_u8(rows.ctypes.data + i * rows.shape[1] + k, ld_u8(base + places[i, 0] + k))


def warm() -> None:
    """Compile now."""
    none = np.zeros(0, np.int64)
    choose(0, 0, 0, 0, 0, 0, 0, 0, none)
    copy_spans(0, 0, 0, none, np.zeros(8, np.uint8))
    numbers, texts = np.zeros((1, 0), np.int64), np.zeros((1, 0, 2), np.int64)
    read_columns(0, none, none, np.zeros((0, 5), np.int64), numbers, texts, none.astype(np.bool_))
    copy_texts(0, texts[0], np.zeros((0, 1), np.uint8))
