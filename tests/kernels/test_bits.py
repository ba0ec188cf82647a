"""Loads, stores and bit tricks against plain Python."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from pipeline.kernels import bits
from pipeline.kernels.bits import PAD, address_of

WORDS = st.integers(0, bits.MASK64)


@given(st.binary(max_size=70), st.binary(max_size=70))
def test_bytes_are_equal_exactly_when_they_are_and_copies_are_equal(a: bytes, b: bytes) -> None:
    """What stands behind the spans must not matter."""
    x, y = (np.frombuffer(raw + bytes([fill]) * PAD, np.uint8).copy() for raw, fill in ((a, 1), (b, 2)))
    n = min(len(a), len(b))
    assert bits.same_bytes(address_of(x), address_of(y), n) == (a[:n] == b[:n])
    target = np.zeros(len(a) + PAD, np.uint8)
    bits.copy_bytes(address_of(x), address_of(target), len(a))
    assert target[: len(a)].tobytes() == a


@given(st.binary(max_size=70), st.integers(0, 255))
def test_a_hash_depends_on_the_span_alone(raw: bytes, fill: int) -> None:
    x, y = (np.frombuffer(raw + bytes([f]) * PAD, np.uint8).copy() for f in (0, fill))
    assert bits.hash_bytes(address_of(x), len(raw)) == bits.hash_bytes(address_of(y), len(raw))


@given(st.sets(st.binary(max_size=24), min_size=2, max_size=40))
def test_hashes_of_different_bytes_differ(keys: set[bytes]) -> None:
    """64 bits: a collision among forty keys would be a defect of the mixing."""
    hashes = set()
    for key in keys:
        buffer = np.frombuffer(key + bytes(PAD), np.uint8).copy()
        hashes.add(int(bits.hash_bytes(address_of(buffer), len(key))))
    assert len(hashes) == len(keys)


@njit
def _tricks(a, b, double):  # type: ignore[no-untyped-def]
    septets = bits.septets(a), bits.septets_by_shifts(a)
    return bits.fold_product(a, b), bits.trailing_zeros(a), bits.leading_zeros(a), bits.bits_of(double), septets


@given(WORDS.filter(bool), WORDS)
def test_word_tricks_follow_their_definitions(a: int, b: int) -> None:
    double = struct.unpack("<d", struct.pack("<Q", a >> 2))[0]
    product, low, high, word, septets = _tricks(np.uint64(a), np.uint64(b), double)
    assert int(product) == (a * b & bits.MASK64) ^ (a * b >> 64)
    assert int(low) == 64 - len(f"{a:064b}".rstrip("0"))
    assert int(high) == 64 - a.bit_length()
    assert int(word) == a >> 2
    joined = "".join(f"{a >> shift & 127:07b}" for shift in range(56, -1, -8))
    assert {int(each) for each in septets} == {int(joined, 2)}


@njit
def _differ(a, b, masks):  # type: ignore[no-untyped-def]
    return bits.differ32(a, b, masks)


THIRTY_TWO = st.binary(min_size=32, max_size=32)


@given(THIRTY_TWO, THIRTY_TWO, st.integers(0, 31))
def test_bytes_differ_where_the_mask_says_so(a: bytes, mask: bytes, at: int) -> None:
    b = bytearray(a)
    b[at] ^= 0x5A
    x, y, m = (np.frombuffer(raw, np.uint8).copy() for raw in (a, bytes(b), mask))
    assert bool(_differ(address_of(x), address_of(y), address_of(m))) == bool(mask[at] & 0x5A)
    assert not _differ(address_of(x), address_of(x), address_of(m))


KINDS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "i64": "q", "f32": "f", "f64": "d"}


@pytest.mark.parametrize("kind", KINDS)
@given(st.binary(min_size=8, max_size=8))
def test_a_load_widens_what_stands_there(kind: str, raw: bytes) -> None:
    buffer = np.frombuffer(b"?" + raw, np.uint8).copy()  # at an odd address
    [expected] = struct.unpack_from("<" + KINDS[kind], raw)
    found = _loaders[kind](address_of(buffer) + 1)
    assert found == expected or (math.isnan(found) and math.isnan(expected))


def _loader(kind: str) -> Any:
    load = getattr(bits, f"ld_{kind}")
    return njit(lambda address: load(address))  # noqa: PLW0108 - an intrinsic cannot be compiled itself


_loaders = {kind: _loader(kind) for kind in KINDS}
