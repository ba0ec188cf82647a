"""Interning of byte strings: bytes -> dense id, in an open-addressing table over an arena.

Law: equal bytes have equal ids and different bytes different ones: bytes are compared on every hash hit.
     Nothing is ever removed; a string that does not fit under the caller's limit is refused with -1, never
     dropped silently. Layout of the header (i64 words): table, mask, arena, arena size, count, arena used,
     offsets. An entry is 32 bytes: hash u64, id + 1 i32, length i32, arena offset i64.
"""

from typing import Any

import numpy as np
from numba import njit

from pipeline.kernels.bits import (
    PAD,
    address_of,
    copy_bytes,
    hash_bytes,
    ld_i32,
    ld_i64,
    ld_u64,
    same_bytes,
    st_i32,
    st_i64,
    st_u64,
)  # fmt: skip

TABLE, MASK, ARENA, ARENA_SIZE, COUNT, USED, OFFSETS = range(7)
ENTRY_BYTES = 32


@njit
def _insert(a, n, h, entry, head, limit):
    count, used = ld_i64(head + 8 * COUNT), ld_i64(head + 8 * USED)
    if count >= limit or used + n + PAD > ld_i64(head + 8 * ARENA_SIZE):
        return np.int64(-1)
    copy_bytes(a, ld_i64(head + 8 * ARENA) + used, n)
    st_u64(entry, h)
    st_i32(entry + 8, count + 1)
    st_i32(entry + 12, n)
    st_i64(entry + 16, used)
    st_i64(ld_i64(head + 8 * OFFSETS) + 8 * (count + 1), used + n)
    st_i64(head + 8 * COUNT, count + 1)
    st_i64(head + 8 * USED, used + n)
    return count


@njit(forceinline=True)
def intern(a, n, head, limit):
    """Return the id of the n bytes at a; -1 when new and `limit` ids exist or the arena is full."""
    h = hash_bytes(a, n)
    table, mask = ld_i64(head + 8 * TABLE), ld_i64(head + 8 * MASK)
    j = np.int64(h & np.uint64(mask))
    while True:
        entry = table + j * ENTRY_BYTES
        found = ld_i32(entry + 8)
        if found == 0:
            return _insert(a, n, h, entry, head, limit)
        is_likely = ld_u64(entry) == h and ld_i32(entry + 12) == n
        if is_likely and same_bytes(a, ld_i64(head + 8 * ARENA) + ld_i64(entry + 16), n):
            return np.int64(found - 1)
        j = (j + 1) & mask


class Dictionary:
    """Owns the memory behind the header; ids run from 0 to `capacity` - 1."""

    def __init__(self, capacity: int, arena_bytes: int) -> None:
        slots = 1 << (2 * capacity).bit_length()  # at most half full
        self._table = np.zeros(slots * ENTRY_BYTES, np.uint8)
        self._arena = np.zeros(arena_bytes + PAD, np.uint8)
        self._offsets = np.zeros(capacity + 1, np.int64)
        self._head = np.zeros(7, np.int64)
        self.capacity = capacity
        self._head[TABLE], self._head[MASK] = address_of(self._table), slots - 1
        self._head[ARENA], self._head[ARENA_SIZE] = address_of(self._arena), self._arena.size
        self._head[OFFSETS] = address_of(self._offsets)

    @property
    def head(self) -> int:
        """The header's address, for kernels."""
        return address_of(self._head)

    def __len__(self) -> int:
        return int(self._head[COUNT])

    def __getitem__(self, index: int) -> bytes:
        start, end = self._offsets[index : index + 2]
        return self._arena[start:end].tobytes()


@njit(cache=True, nogil=True)
def intern_all(buffer, starts, ends, head, limit, ids):
    """Fill ids[i] with the id of buffer[starts[i]:ends[i]].

    Shapes: buffer (bytes + PAD,) u8; starts, ends, ids (n,) i64; head: a Dictionary's header.
    """
    base = buffer.ctypes.data
    for i in range(starts.size):
        ids[i] = intern(base + starts[i], ends[i] - starts[i], head, limit)


def warm() -> None:
    one: Any = np.zeros(1, np.int64)
    intern_all(np.zeros(PAD, np.uint8), one, one, Dictionary(4, 64).head, 4, one.copy())
