"""Which events are kept: all that are bad, and of the others a share that does not depend on who looks, or when."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels.reasons import GOOD, MALFORMED
from pipeline.kernels.verdicts import BAD_FOR_SOME, NOTED
from pipeline.sampling import Sample, SampleSpec, cuts
from tests.naive.sampling import is_in_share
from tests.recorded import Recorded, block_of

VALUES = [b"value %d" % i * (i % 5 + 1) for i in range(200)]


def kept(ratio: float, bad: set[int] = frozenset(), most: int = 1_000, edges: tuple[int, ...] = ()) -> list[bytes]:  # type: ignore[assignment]
    sample = Sample(SampleSpec(ratio, most))
    for first, last in zip((0, *edges), (*edges, len(VALUES)), strict=True):
        block = block_of("t", 3, [Recorded(i, VALUES[i], b"k") for i in range(first, last)])
        codes = np.full(last - first, GOOD, np.uint8)
        codes[[i - first for i in range(first, last) if i % 50 == 7]] = MALFORMED
        sample.add(block, codes, np.array([i in bad for i in range(first, last)], np.uint8))
    found: list[bytes] = []
    for piece in sample.take(100):
        at = 0
        for length, offset, is_bad in zip(
            *(piece[f"event_{n}"] for n in ("lengths", "offsets", "is_bad")), strict=True
        ):
            assert piece["event_values"][at : at + length] == VALUES[offset]
            assert is_bad == (offset in bad)
            found.append(VALUES[offset])
            at += length
        assert at == len(piece["event_values"]) <= max(100, length)
        assert set(piece["event_ratios"].tolist()) <= {ratio, 1.0}
    assert sample.take(100) == []
    return found


def test_all_are_kept_but_those_that_could_not_be_used() -> None:
    assert kept(1.0) == [value for i, value in enumerate(VALUES) if i % 50 != 7]


def test_without_a_share_only_the_bad_ones_are_kept() -> None:
    assert kept(0.0, {3, 7, 190}) == [VALUES[3], VALUES[190]]


def test_an_event_too_long_to_travel_is_not_kept() -> None:
    assert kept(1.0, most=9) == [v for i, v in enumerate(VALUES) if i % 50 != 7 and len(v) <= 9]


def test_nothing_is_kept_without_a_spec() -> None:
    sample = Sample(None)
    block = block_of("t", 3, [Recorded(0, b"v", b"k")])
    sample.add(block, np.zeros(1, np.uint8), np.ones(1, np.uint8))
    assert sample.take(100) == []


@given(st.sets(st.integers(1, 199), max_size=5))
def test_the_same_are_kept_however_a_partition_is_cut_into_blocks(edges: set[int]) -> None:
    assert kept(0.3, {4}, edges=tuple(sorted(edges))) == kept(0.3, {4})


@pytest.mark.parametrize("ratio", [0.0, 0.001, 0.01, 0.5, 1.0])
def test_a_share_is_as_large_as_it_says_and_within_every_larger_one(ratio: float) -> None:
    found = {p: [is_in_share(10**12 + i, p, ratio) for i in range(20_000)] for p in (5, 6)}
    assert abs(np.mean(found[5]) - ratio) <= 4 * (ratio * (1 - ratio) / 20_000) ** 0.5
    assert (found[5] != found[6]) == (0 < ratio < 1)


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.99])
def test_the_share_is_the_same_for_everybody(ratio: float) -> None:
    assert kept(ratio) == [v for i, v in enumerate(VALUES) if i % 50 != 7 and is_in_share(i, 3, ratio)]
    assert set(kept(ratio)) <= set(kept(min(1.0, 1.5 * ratio)))


def test_of_a_flood_of_bad_events_a_share_is_kept_and_all_that_alerts_may_name() -> None:
    values = [b"value %06d" % i for i in range(20_000)]
    sample = Sample(SampleSpec(0.0, 1_000, most_bad=500))
    for first in range(0, 20_000, 5_000):
        block = block_of("t", 1, [Recorded(i, values[i], b"k") for i in range(first, first + 5_000)])
        said = np.full(5_000, BAD_FOR_SOME, np.uint8)
        said[[3, 4_999]] |= NOTED
        sample.add(block, np.full(5_000, GOOD, np.uint8), said)
    (piece,) = sample.take(1 << 20)
    assert {first + i for first in range(0, 20_000, 5_000) for i in (3, 4_999)} <= set(piece["event_offsets"].tolist())
    assert 400 < len(piece["event_lengths"]) < 620
    assert 0.07 < np.median(piece["event_ratios"]) < 0.13
    assert set(piece["event_is_bad"].tolist()) == {1}


def test_every_entry_is_in_one_piece_and_no_piece_is_larger_than_it_may_be() -> None:
    assert cuts(np.array([4, 4, 4, 20, 1]), 10, 9) == [(10, 12), (12, 13), (13, 14), (14, 15)]
    assert cuts(np.array([], np.int64), 3, 9) == [(3, 3)]
