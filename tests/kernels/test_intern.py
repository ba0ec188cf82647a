"""Interning against a dictionary."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels.bits import PAD
from pipeline.kernels.intern import Dictionary, intern_all

KEYS = st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([b"", b"a", b"ab", b"a" * 8, b"a" * 9])), max_size=60)


def interned(dictionary: Dictionary, keys: list[bytes], limit: int) -> list[int]:
    ends = np.cumsum([len(key) for key in keys], dtype=np.int64)
    starts = ends - np.array([len(key) for key in keys], np.int64)
    ids = np.empty(len(keys), np.int64)
    buffer = np.frombuffer(b"".join(keys) + bytes(PAD), np.uint8).copy()
    intern_all(buffer, starts, ends, dictionary.head, limit, ids)
    return [int(i) for i in ids]


@given(KEYS, KEYS)
def test_ids_are_dense_in_order_of_first_sight_and_stay(first: list[bytes], second: list[bytes]) -> None:
    dictionary = Dictionary(200, 4000)
    known = {key: i for i, key in enumerate(dict.fromkeys(first + second))}
    assert interned(dictionary, first, 200) == [known[k] for k in first]
    assert interned(dictionary, second, 200) == [known[k] for k in second]
    assert [dictionary[i] for i in range(len(dictionary))] == list(known)


@given(KEYS, st.integers(0, 5))
def test_past_the_limit_new_keys_are_refused_and_known_ones_found(keys: list[bytes], limit: int) -> None:
    known = {key: i for i, key in enumerate(list(dict.fromkeys(keys))[:limit])}
    assert interned(Dictionary(8, 4000), keys, limit) == [known.get(k, -1) for k in keys]


def test_a_full_arena_refuses_and_goes_on() -> None:
    dictionary = Dictionary(100, 40)
    assert interned(dictionary, [b"x" * 30, b"y" * 30, b"z" * 5, b"x" * 30], 100) == [0, -1, 1, 0]
