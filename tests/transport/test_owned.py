"""One partition at work: what counts, what a unit covers, when a partition is idle."""

from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transport.owned import Owned
from tests.transport.small_blocks import block


class NoFold:
    """Never asked here."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        raise AssertionError

    def fold(self, blocks: Any, facts: Any) -> Any:
        raise AssertionError


def owned(expected: int = 100) -> Owned:
    return Owned(TP("events", 0), 4, NoFold(), expected, due_s=0.0)


@given(st.lists(st.tuples(st.integers(90, 200), st.integers(1, 30)), max_size=60))
def test_whatever_comes_every_offset_counts_once_and_in_order(edges: list[tuple[int, int]]) -> None:
    """Stale, repeated, overlapping and leaping blocks in any order: what is accepted is one contiguous run."""
    mine = owned()
    counted: list[int] = []
    for first, length in edges:
        accepted = mine.accept(block(first, first + length), 0.0)
        if accepted is not None:
            counted += list(map(int, accepted.offset))
    assert counted == list(range(100, mine.expected))
    assert [b.first_offset for b in mine.blocks] == [100, *(b.next_offset for b in mine.blocks)][:-1] or not counted


def test_a_gap_is_noted_until_what_follows_comes() -> None:
    mine = owned()
    assert mine.accept(block(101, 110), 5.0) is None
    assert mine.accept(block(110, 120), 6.0) is None
    assert mine.gap_since_s == 5.0
    assert mine.accept(block(100, 101), 7.0) is not None
    assert mine.gap_since_s is None


def test_what_is_read_again_is_no_gap() -> None:
    mine = owned()
    assert mine.accept(block(90, 100), 5.0) is None
    assert mine.gap_since_s is None


def test_a_log_is_short_once_every_answer_says_so_and_not_when_one_does() -> None:
    """An answer's end was noted before its records were read: it may lie before the last of them."""
    mine = owned()
    assert [mine.short_s(end, now_s) for end, now_s in [(99, 5.0), (99, 5.5), (100, 6.0), (99, 9.0)]] == [0, 0.5, 0, 0]
    answers = [(99, 9.5), (None, 10.0), (7, 11.0), (8, 15.0)]
    assert [mine.short_s(end, now_s) for end, now_s in answers] == [0.5, 0, 2, 6], "who is silent denies nothing"
    assert mine.short_s(-1, 16.0) == 0.0, "an error has no end"


def test_a_log_is_another_when_it_is_short_and_comes_again_from_before_that() -> None:
    """One made anew may have grown to its former end before its end was short for long enough."""
    mine = owned()
    mine.short_s(95, 3.0)
    mine.accept(block(90, 99), 4.0)
    assert not mine.is_gone, "what was read before a seek"
    mine.accept(block(100, 101), 4.5)
    mine.short_s(101, 4.5)
    mine.accept(block(90, 99), 4.6)
    assert not mine.is_gone, "the log is not short"
    mine.short_s(40, 5.0)
    mine.short_s(None, 5.1)
    assert not mine.is_gone
    mine.accept(block(0, 40), 5.2)
    mine.short_s(110, 5.3)
    assert mine.is_gone


def test_a_unit_covers_what_was_queued_and_the_next_one_goes_on_there() -> None:
    mine = owned()
    mine.accept(block(100, 110), 1.0)
    mine.accept(block(110, 120), 2.0)
    first = mine.freeze(None, 3.0, 3_000_000)
    mine.accept(block(120, 125), 4.0)
    second = mine.freeze(None, 5.0, 5_000_000)
    assert [(f.facts.first_offset, f.facts.next_offset) for f in (first, second)] == [(100, 120), (120, 125)]
    assert [len(b) for b in first.blocks] == [10, 10]
    assert first.facts.flushed_at_us == 3_000_000


@pytest.mark.parametrize(
    ("end", "expected_us"),
    [
        pytest.param(100, [0, 2_000_000, 5_000_000], id="read to its end"),
        pytest.param(101, [0, 0, 0], id="something is left to read"),
        pytest.param(None, [0, 0, 0], id="the broker is silent, not the partition"),
    ],
)
def test_a_partition_is_idle_since_it_was_read_to_its_end(end: int | None, expected_us: list[int]) -> None:
    mine = owned()
    assert [mine.freeze(end, at_s, 0).facts.idle_us for at_s in (10.0, 12.0, 15.0)] == expected_us


def test_a_block_ends_idleness() -> None:
    mine = owned()
    mine.freeze(100, 10.0, 0)
    mine.accept(block(100, 101), 11.0)
    assert [mine.freeze(101, at_s, 0).facts.idle_us for at_s in (12.0, 13.0, 14.0)] == [0, 0, 1_000_000]


def test_the_oldest_block_waits_until_its_unit_is_written() -> None:
    mine = owned()
    assert mine.waiting_since_s() is None
    mine.accept(block(100, 101), 1.0)
    mine.freeze(None, 2.0, 0)
    mine.accept(block(101, 102), 3.0)
    assert mine.waiting_since_s() == 1.0
    mine.in_flight_since_s.popleft()
    assert mine.waiting_since_s() == 3.0


@pytest.mark.parametrize(
    ("ended_ms", "newest_ms", "now_ms", "is_over"),
    [
        pytest.param(9_400, 10_000, 10_010, False, id="the last events of the second are on their way"),
        pytest.param(9_400, 10_100, 10_110, True, id="a tenth behind it they are here"),
        pytest.param(10_100, 11_050, 11_060, False, id="once a second"),
        pytest.param(10_100, 11_100, 11_110, True, id="and again in the next"),
        pytest.param(9_400, 12_700, 12_710, True, id="whole seconds were missed"),
        pytest.param(9_400, 10_100, 12_100, False, id="what was appended long ago is a backlog"),
        pytest.param(9_400, 13_000, 11_000, False, id="what is of the future is some producer's clock"),
    ],
)
def test_a_unit_ends_behind_the_end_of_a_second(ended_ms: int, newest_ms: int, now_ms: int, is_over: bool) -> None:
    mine = owned(0)
    mine.accept(block(0, 1, appended_ms=ended_ms), 0.0)
    mine.freeze(None, 0.0, 0)
    assert not mine.is_cell_over(1_000, now_ms), "nothing waits"
    mine.accept(block(1, 3, appended_ms=newest_ms), 0.0)
    assert mine.is_cell_over(1_000, now_ms) == is_over
