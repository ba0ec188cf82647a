"""Interning against a dictionary."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from pipeline.kernels.bits import PAD, address_of
from pipeline.kernels.intern import FEWEST_SLOTS, MASKS, ROOM, Dictionary, hash_run, intern_all, same_run

LENGTHS = (2, 3, 10, 33, 34, 35, 65, 66, 67, 130)  # of a key, whose first two bytes are no run: 32 and 64 are its edges
KEYS = st.lists(
    st.one_of(
        st.binary(min_size=2, max_size=30),
        st.builds(lambda n, last: b"a" * (n - 1) + last, st.sampled_from(LENGTHS), st.sampled_from([b"a", b"b"])),
    ),
    max_size=60,
)


def interned(dictionary: Dictionary, keys: list[bytes], limit: int) -> list[int]:
    ends = np.cumsum([len(key) for key in keys], dtype=np.int64)
    starts = ends - np.array([len(key) for key in keys], np.int64)
    ids = np.empty(len(keys), np.int64)
    buffer = np.frombuffer(b"".join(keys) + bytes(PAD), np.uint8).copy()
    dictionary.make_room()
    intern_all(buffer, starts, ends, dictionary.head, limit, ids)
    return [int(i) for i in ids]


@given(KEYS, KEYS)
def test_ids_are_dense_in_order_of_first_sight_and_stay(first: list[bytes], second: list[bytes]) -> None:
    dictionary = Dictionary(200, 20_000)
    known = {key: i for i, key in enumerate(dict.fromkeys(first + second))}
    assert interned(dictionary, first, 200) == [known[k] for k in first]
    assert interned(dictionary, second, 200) == [known[k] for k in second]
    assert [dictionary[i] for i in range(len(dictionary))] == list(known)


@given(KEYS, st.integers(0, 5))
def test_past_the_limit_new_keys_are_refused_and_known_ones_found(keys: list[bytes], limit: int) -> None:
    known = {key: i for i, key in enumerate(list(dict.fromkeys(keys))[:limit])}
    assert interned(Dictionary(8, 20_000), keys, limit) == [known.get(k, -1) for k in keys]


def test_a_full_arena_refuses_and_goes_on() -> None:
    dictionary = Dictionary(100, 40)
    assert interned(dictionary, [b"x" * 30, b"y" * 30, b"z" * 5, b"x" * 30], 100) == [0, -1, 1, 0]


def test_ids_stay_while_the_table_grows() -> None:
    keys = [b"k%d" % i for i in range(3 * FEWEST_SLOTS)]
    dictionary = Dictionary(len(keys), 20 * len(keys))
    for first in range(0, len(keys), ROOM):
        assert interned(dictionary, keys[first : first + ROOM], len(keys)) == list(range(first, first + ROOM))
    assert interned(dictionary, keys, len(keys)) == list(range(len(keys)))


@njit
def _runs(a, b, n, masks):  # type: ignore[no-untyped-def]
    return hash_run(a, n, masks), hash_run(b, n, masks), same_run(a, b, n, masks)


@given(st.binary(max_size=70), st.binary(max_size=70), st.booleans())
def test_runs_are_equal_exactly_when_their_bytes_are_and_then_their_hashes_are(a: bytes, b: bytes, same: bool) -> None:
    """What stands behind the runs must not matter."""
    n = min(len(a), len(b))
    b = a if same else b
    x, y = (np.frombuffer(raw[:n] + bytes([fill]) * PAD, np.uint8).copy() for raw, fill in ((a, 1), (b, 2)))
    masks = Dictionary(1, 1).head + 8 * MASKS
    one, two, equal = _runs(address_of(x), address_of(y), n, masks)
    assert bool(equal) == (a[:n] == b[:n]) == (one == two)
