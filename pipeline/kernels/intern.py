"""Interning of byte strings: bytes -> dense id, in an open-addressing table over an arena.

Law: equal bytes have equal ids and different bytes different ones: bytes are compared on every hash hit.
     Nothing is ever removed; a string that does not fit under the caller's limit is refused with -1, never
     dropped silently. The table grows with the keys, in Python, so that a look-up of few keys touches few pages:
     4 MB for all the keys that may come cost 10 ns a look-up. Layout of the header (i64 words): table, mask, arena,
     arena size, count, arena used, offsets, masks. A slot of the table is the hash's low half << 32 | id + 1.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.bits import (
    PAD,
    address_of,
    copy_bytes,
    differ32,
    fold_product,
    hash_bytes,
    ld_i64,
    ld_u16,
    ld_u64,
    out_of_line,
    same_bytes,
    st_i64,
    st_u64,
)  # fmt: skip

TABLE, MASK, ARENA, ARENA_SIZE, COUNT, USED, OFFSETS = range(7)
MASKS = 8  #: 64 bytes of ones, then 64 of zeros: MASKS + 64 - n masks the first n of 64 bytes
HEADER_WORDS = MASKS + 16
FEWEST_SLOTS = 1 << 10
ROOM = 256  #: keys that fit between two calls of `make_room`

_A, _B = np.uint64(0xA0761D6478BD642F), np.uint64(0xE7037ED1A0B428DB)
_C, _D = np.uint64(0x8EBC6AF09C88C6E3), np.uint64(0x589965CC75374CC3)
_HALF = np.uint64(32)


@njit(forceinline=True)
def hash_run(a, n, masks):
    """Hash the n bytes at address a; reads 64 bytes.

    Runs of up to 32 and up to 64 bytes are masked words without a branch: a loop would end at another byte for each
    key, and each end that was not foreseen costs 4 ns.
    """
    m = masks + 64 - n
    if n > 64:
        return hash_bytes(a, n)
    mixed = fold_product((ld_u64(a) & ld_u64(m)) ^ _A, (ld_u64(a + 8) & ld_u64(m + 8)) ^ _B)
    mixed ^= fold_product((ld_u64(a + 16) & ld_u64(m + 16)) ^ _C, (ld_u64(a + 24) & ld_u64(m + 24)) ^ _D)
    if n > 32:
        mixed ^= fold_product((ld_u64(a + 32) & ld_u64(m + 32)) ^ _A, (ld_u64(a + 40) & ld_u64(m + 40)) ^ _D)
        mixed ^= fold_product((ld_u64(a + 48) & ld_u64(m + 48)) ^ _B, (ld_u64(a + 56) & ld_u64(m + 56)) ^ _C)
    return mixed


@njit(forceinline=True)
def joined(h, mixed, number):
    """Add the hash of a key's run to what is to be its hash: h starts as the key's first two bytes."""
    return h ^ fold_product(mixed, _C + np.uint64(2 * number))


@njit(forceinline=True)
def finished(h, n):
    """Return the hash of a key of n bytes, its runs joined."""
    return fold_product(h ^ _D, _B ^ np.uint64(n))


@njit(forceinline=True)
def same_run(a, b, n, masks):
    """Tell whether n bytes are equal; reads 64 bytes of either."""
    if n > 64:
        return same_bytes(a, b, n)
    m = masks + 64 - n
    return not (differ32(a, b, m) or (n > 32 and differ32(a + 32, b + 32, m + 32)))


@njit(forceinline=True)
def key_of(slot):
    """Return the id in a slot, -1 when it is free."""
    return np.int64(slot & np.uint64(0xFFFFFFFF)) - 1


@njit(forceinline=True)
def is_likely(slot, h):
    """Tell whether a slot has this hash: then lengths and bytes are compared."""
    return slot >> _HALF == h & np.uint64(0xFFFFFFFF)


@njit(forceinline=False)
def add(a, n, h, head, limit):
    """Give the n bytes at a, which are no key yet, an id; -1 when `limit` ids exist or the arena is full.

    Shapes: all addresses; h: the hash of the key.
    """
    out_of_line()
    count, used = ld_i64(head + 8 * COUNT), ld_i64(head + 8 * USED)
    if count >= limit or used + n + PAD > ld_i64(head + 8 * ARENA_SIZE):
        return np.int64(-1)
    _enter(ld_i64(head + 8 * TABLE), ld_i64(head + 8 * MASK), (h << _HALF) | np.uint64(count + 1))
    copy_bytes(a, ld_i64(head + 8 * ARENA) + used, n)
    st_i64(ld_i64(head + 8 * OFFSETS) + 8 * (count + 1), used + n)
    st_i64(head + 8 * COUNT, count + 1)
    st_i64(head + 8 * USED, used + n)
    return count


@njit
def _enter(table, mask, slot):
    """Write a slot at the first free place of its hash."""
    j = np.int64(slot >> _HALF) & mask
    while ld_u64(table + 8 * j) != np.uint64(0):
        j = (j + 1) & mask
    st_u64(table + 8 * j, slot)


@njit
def intern(a, n, head, limit):
    """Return the id of the n >= 2 bytes at a, the first two being no run; see `add`."""
    table, mask, arena = ld_i64(head + 8 * TABLE), ld_i64(head + 8 * MASK), ld_i64(head + 8 * ARENA)
    offsets = ld_i64(head + 8 * OFFSETS)
    h = finished(joined(ld_u16(a), hash_run(a + 2, n - 2, head + 8 * MASKS), 0), n)
    j = np.int64(h & np.uint64(0xFFFFFFFF)) & mask
    while True:
        slot = ld_u64(table + 8 * j)
        x = key_of(slot)
        if x < 0:
            return add(a, n, h, head, limit)
        at = ld_i64(offsets + 8 * x)
        if is_likely(slot, h) and ld_i64(offsets + 8 * x + 8) - at == n and same_bytes(a, arena + at, n):
            return x
        j = (j + 1) & mask


@njit(cache=True, nogil=True)
def rehash(table, slots, larger, mask):
    """Enter the slots of a table into a larger, empty one.

    Shapes: table, larger: addresses of (slots,), (mask + 1,) u64.
    """
    for j in range(slots):
        slot = ld_u64(table + 8 * j)
        if slot != np.uint64(0):
            _enter(larger, mask, slot)


class Dictionary:
    """Owns the memory behind the header; ids run from 0 to `capacity` - 1."""

    def __init__(self, capacity: int, arena_bytes: int) -> None:
        self._arena = np.zeros(arena_bytes + PAD, np.uint8)
        self._offsets = np.zeros(capacity + 1, np.int64)
        self._head = np.zeros(HEADER_WORDS, np.int64)
        self._head[MASKS : MASKS + 8] = -1
        self._head[ARENA], self._head[ARENA_SIZE] = address_of(self._arena), self._arena.size
        self._head[OFFSETS] = address_of(self._offsets)
        self._use(np.zeros(FEWEST_SLOTS, np.uint64))

    def _use(self, table: NDArray[np.uint64]) -> None:
        self._table = table
        self._head[TABLE], self._head[MASK] = address_of(table), len(table) - 1

    def make_room(self) -> None:
        """Make the table large enough for ROOM more keys: it is never more than half full."""
        while 2 * (len(self) + ROOM) > len(self._table):
            larger = np.zeros(2 * len(self._table), np.uint64)
            rehash(address_of(self._table), len(self._table), address_of(larger), len(larger) - 1)
            self._use(larger)

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
    """Fill ids[i] with the id of buffer[starts[i]:ends[i]]; at most ROOM of them new.

    Shapes: buffer (bytes + PAD,) u8; starts, ends, ids (n,) i64; head: a Dictionary's header.
    """
    base = buffer.ctypes.data
    for i in range(starts.size):
        ids[i] = intern(base + starts[i], ends[i] - starts[i], head, limit)


def warm() -> None:
    one: Any = np.zeros(1, np.int64)
    keys = Dictionary(4, 64)
    intern_all(np.zeros(PAD + 2, np.uint8), one, one + 2, keys.head, 4, one.copy())
    rehash(keys.head, 0, keys.head, 0)
