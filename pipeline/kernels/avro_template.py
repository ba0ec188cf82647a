"""The fixed parts of a generated decoder: imports, the head of its loop, and the fold around it.

Arguments are addresses; see `pipeline.decoding` for what stands at each of them.
"""

HEADER = '''"""Generated from a writer schema by pipeline.kernels.avro; do not edit."""

import numpy as np
from numba import njit

from pipeline.kernels.bits import (
    copy_bytes, differ32, ld_i32, ld_i64, ld_u8, ld_u16, ld_u64, prefetch, st_i64, st_u8, st_u16, st_u64,
)
from pipeline.kernels.counts import fold_batch
from pipeline.kernels.intern import (
    ARENA, MASK, MASKS, OFFSETS, TABLE, add, finished, hash_run, is_likely, joined, key_of, same_run,
)
from pipeline.kernels.reasons import *
from pipeline.kernels.slots import BATCH, LANE_BYTES, LANES, SERIES_OF_KEY, room_left
from pipeline.kernels.varint import BAD, MANY, read_long, read_small, read_stamp, skip_long, skip_stamp, skip_text
'''

DECODE_HEAD = """
@njit(nogil=True, cache=True)
def decode(base, cap, vpos, vlen, reasons, i0, i1, prefix, prefix_len, largest, label_bound, attributes,
           rows, spans, origins, head):
    m = np.int64(0)
    {remembered}
    table, mask = ld_i64(head + 8 * TABLE), ld_i64(head + 8 * MASK)
    masks = head + 8 * MASKS
    for i in range(i0, i1):
        if ld_u8(reasons + i) != TODO:
            continue
        s = ld_i64(vpos + 8 * i)
        n = ld_i32(vlen + 4 * i)
        if n < 0:
            st_u8(reasons + i, NULL_VALUE)
            continue
        if n > largest:
            st_u8(reasons + i, TOO_LARGE)
            continue
        if s < 0 or s + n > cap:
            st_u8(reasons + i, MALFORMED)
            continue
        p = base + s
        e = p + n
        if n < prefix_len or differ32(prefix, p, prefix + 32):
            continue
        p += prefix_len
        r = rows + m * {row_bytes}
        good = False
        while True:
"""

PROCESS = """
@njit(nogil=True, cache=True)
def process(base, cap, n, vpos, vlen, stamps_ms, reasons, i0, prefix, prefix_len, largest, label_bound, attributes,
            rows, spans, origins, scratch, head, limits, overflow, known, fold):
    \"\"\"Decode and fold records from i0 on; return (next record, what stopped us).\"\"\"
    i = i0
    while i < n:
        short = room_left(fold)
        if short != 0:
            return i, short
        j = min(i + BATCH, n)
        first, second = ld_i64(overflow), ld_i64(overflow + 8)
        m = decode(base, cap, vpos, vlen, reasons, i, j, prefix, prefix_len, largest, label_bound, attributes,
                   rows, spans, origins, head)
        look_up(rows, spans, m, scratch, head, limits, overflow, fold)
        if ld_i64(head + 32) > known:
            for q in range(m):
                st_u8(reasons + ld_i64(origins + 8 * q), TODO)
            st_i64(overflow, first)
            st_i64(overflow + 8, second)
            return i, NEW_KEYS
        fold_batch(rows, m, origins, stamps_ms, reasons, fold)
        i = j
    return i, DONE
"""
