"""The event clock against every unit ever heard; coverage against the slices themselves; entries that wait."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import watermark
from pipeline.judgement import Judgement
from pipeline.watermark import Coverage, SourceClock, Waiting
from tests.judging import T0, counts, spec, steady
from tests.naive.watermark import stream
from tests.naive.watermark import watermark as slow_watermark
from tests.naive.windows import is_measured

GRACE, IDLE = 2, 3


# -- the clock


def clock(*facts):
    made = SourceClock(GRACE, IDLE)
    for each in facts:
        made.observe(*each)
    return made.watermark_us


@pytest.mark.parametrize(
    ("facts", "expected"),  # partition, of so many, greatest event time, silence, moment
    [
        pytest.param([(0, 2, 100, 0, 1)], None, id="a partition was never heard from"),
        pytest.param([(0, 2, 100, 0, 1), (1, 2, 90, 0, 1)], 88, id="the slowest less grace"),
        pytest.param([(0, 2, 100, 0, 1), (1, 2, 90, 0, 1), (1, 2, None, 3, 4)], 98, id="an idle one does not hold it"),
        pytest.param([(0, 2, 100, 0, 1), (1, 2, None, 2, 9)], None, id="no event yet, and not idle"),
        pytest.param([(0, 2, 100, 0, 1), (1, 2, None, 3, 4)], 98, id="no event ever, and idle"),
        pytest.param([(0, 2, 100, 0, 1), (1, 2, None, 3, 3)], None, id="idle, but perhaps not since the other's event"),
        pytest.param(
            [(0, 2, 100, 0, 1), (1, 2, None, 9, 10), (0, 2, 500, 0, 11), (1, 2, None, 10, 11)],
            108,
            id="an idle one vouches for what it knew of, and for the silence since",
        ),
        pytest.param(
            [(0, 2, 100, 0, 1), (1, 2, None, 9, 10), (0, 2, 500, 0, 11), (1, 2, None, 13, 14)],
            498,
            id="when it has spoken again it vouches for the rest",
        ),
        pytest.param(
            [(0, 2, 100, 0, 1), (1, 2, 90, 0, 1), (0, 2, None, 7, 9), (1, 2, None, 5, 7)],
            103,
            id="all idle: the clock goes on with the least silence",
        ),
        pytest.param([(0, 2, None, 9, 9), (1, 2, None, 9, 9)], None, id="no event at all"),
        pytest.param([(0, 1, 100, 0, 1), (0, 1, 50, 0, 2)], 98, id="the greatest event time counts"),
        pytest.param([(0, 1, 100, 0, 1), (0, 1, None, 9, 11), (0, 1, 101, 0, 12)], 107, id="it never goes back"),
        pytest.param([(0, 1, 100, 0, 1), (0, 2, 200, 0, 2)], 98, id="a new partition holds it"),
    ],
)
def test_watermark(facts, expected):
    assert clock(*facts) == expected


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 500) | st.none(), st.integers(0, 6), st.integers(0, 60)),
        max_size=40,
    )
)
def test_the_watermark_never_goes_back(facts):
    made, last = SourceClock(GRACE, IDLE), -10
    for partition, *others in facts:
        made.observe(partition, 4, *others)
        if made.watermark_us is not None:
            assert made.watermark_us >= last
            last = made.watermark_us


@settings(max_examples=300)
@given(st.integers(0, 1 << 40), st.integers(1, 5), st.sampled_from([0, 2]))
def test_whatever_the_interleaving_no_event_is_late(seed, partitions, grace):
    random_, made = random.Random(seed), SourceClock(grace, IDLE)
    units = stream(random_, partitions, grace, IDLE)
    for unit in units.interleaved(random_):
        assert made.watermark_us is None or all(event >= made.watermark_us for event in unit.events)
        made.observe(unit.partition, partitions, unit.newest, unit.silent, unit.flushed)
    newest = max(event for mine in units.units for unit in mine for event in unit.events)
    assert made.watermark_us >= newest - grace, "in the end everything is judged"


@settings(max_examples=100)
@given(st.integers(0, 1 << 40), st.integers(1, 5))
def test_the_clock_is_that_of_every_unit_ever_heard(seed, partitions):
    random_, made, heard, slow = random.Random(seed), SourceClock(GRACE, IDLE), [], None
    for unit in stream(random_, partitions, GRACE, IDLE).interleaved(random_):
        made.observe(unit.partition, partitions, unit.newest, unit.silent, unit.flushed)
        made = restored(made)
        heard.append(unit)
        reached = slow_watermark(heard, partitions, GRACE, IDLE)
        slow = reached if slow is None else max(slow, reached or slow)
        assert made.watermark_us == slow


def restored(made):
    again = SourceClock(GRACE, IDLE)
    again.restore(made.snapshot())
    return again


def test_what_is_remembered_is_bounded_and_never_puts_the_clock_ahead(monkeypatch):
    full, short = SourceClock(GRACE, IDLE), SourceClock(GRACE, IDLE)
    for moment in range(1, 500):
        for made, most in ((full, 10_000), (short, 8)):
            monkeypatch.setattr(watermark, "MOST_STEPS", most)
            made.observe(0, 2, 10 * moment, 0, moment)
    for made in (full, short):
        made.observe(1, 2, None, 300, 300)
    assert len(full.steps) == 499
    assert len(short.steps) <= 8
    assert short.watermark_us <= full.watermark_us == 10 * 297 + 3 - GRACE


def test_a_clock_that_is_set_back_holds_the_watermark_for_a_moment_only():
    made = SourceClock(GRACE, IDLE)
    for facts in ((0, 100, 0, 5_000), (1, 90, 0, 5_000), (1, None, 9, 5_009), (0, 109, 0, 5_009)):
        made.observe(facts[0], 2, *facts[1:])
    assert made.watermark_us == 109 - GRACE
    for moment in range(1, 8):  # an hour back, and nothing comes any more
        made.observe(0, 2, None, moment, 1_400 + moment)
        made.observe(1, 2, None, 10 + moment, 1_400 + moment)
    assert made.watermark_us == 109 + 6 - GRACE


def test_the_clock_of_an_older_snapshot_goes_on():
    made = SourceClock(GRACE, IDLE)
    made.restore({"watermark_us": 98, "event_us": [100, 90], "silent_us": [0, 5]})
    made.observe(0, 2, None, 4, 5_004)
    assert made.watermark_us == 98, "the other partition has not spoken since"
    made.observe(1, 2, None, 5, 5_005)
    assert made.watermark_us == 104 - GRACE


def test_history_at_full_speed_into_idle_partitions_is_not_late():
    """Eight partitions were silent for a minute; then hours of history arrive within seconds, unevenly."""
    judge, partitions = Judgement(spec()), 8
    for moment in range(1, 61):
        for partition in range(partitions):
            judge.observe(counts(partition=partition, partitions=partitions, idle=moment, flushed=moment))
    for moment in range(61, 80):
        for partition in range(partitions):
            begin = T0 + 1_000 * (moment - 61)
            has_some = moment >= 61 + partition % 3 and begin < T0 + 10_000 + 500 * partition
            entries = steady(begin, begin + 1_000, 1) if has_some else []
            idle = 0 if begin < T0 + 13_000 else moment - 74
            judge.observe(counts(entries, partition=partition, partitions=partitions, flushed=moment, idle=idle))
            judge.judge()
    assert judge.counters["entries_late"] == 0
    assert judge.judged_s > T0 + 13_000


# -- coverage


@given(
    st.lists(st.lists(st.integers(100, 220), max_size=5), min_size=1, max_size=8),
    st.integers(1, 60),
    st.integers(0, 4),
)
def test_measured_slices_are_those_an_event_vouches_for(batches, span, reach):
    coverage = Coverage(reach * 10_000_000, keep=1_000)
    coverage.start(100)
    seen: list[int] = []
    for end, batch in enumerate(batches, 1):
        coverage.observe(batch)
        seen += batch
        coverage.settle(100 + end * 10)
        at = (100 + end * 10) * 10 + 3
        window = range(100 + end * 10 - span, 100 + end * 10)
        expected = sum(is_measured(s, seen, reach) for s in window if s >= 100)
        assert coverage.measured(span * 10, at) == (expected, span)


def test_trimmed_coverage_counts_the_same():
    coverage = Coverage(0, keep=100)
    coverage.start(0)
    coverage.observe(range(0, 5_000, 2))
    coverage.settle(5_000)
    before = coverage.measured(1_000, 50_000)
    coverage.trim()
    assert coverage.measured(1_000, 50_000) == before == (50, 100)
    assert len(coverage.counts) < 200


# -- entries that wait


ENTRIES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 50)), max_size=5)


@given(st.lists(ENTRIES, max_size=90), st.lists(st.integers(0, 60), max_size=5))
def test_what_waits_comes_whole_and_in_order(batches, cuts):
    waiting, taken, before = Waiting(), Counter(), -1
    for batch in batches:
        waiting.add(np.array([[row, second, 1, 2, 0] for row, second in batch], np.int64).reshape(-1, 5))
    for cut in [*sorted(cuts), 100]:
        for row, second, good, bad, _ in waiting.take(cut).tolist():
            assert before <= second < cut and bad == 2 * good
            taken[row, second] += good
            before = second
    assert taken == Counter(entry for batch in batches for entry in batch)
    assert len(waiting) == 0


def test_however_long_it_waits_there_is_one_entry_a_row_and_second():
    waiting = Waiting()
    for _ in range(10 * Waiting.MOST_CHUNKS):
        waiting.add(np.array([[row, second, 1, 0, 0] for row in range(3) for second in range(4)], np.int64))
    assert len(waiting) <= 12 * (Waiting.MOST_CHUNKS + 1)
    assert waiting.everything()[:, 2].sum() == 10 * Waiting.MOST_CHUNKS * 12
