"""Windows, clock and coverage against dictionaries of seconds; snapshots against going on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.blocks import decode
from pipeline.judgement import Judgement
from pipeline.kernels import rings as k
from pipeline.watermark import Coverage, SourceClock, Waiting
from pipeline.windows import cell_s, layout, pack, row_bytes, unpack
from tests.judging import LONG, T0, blocks_of, counts, preset, spec, steady, steps, watched
from tests.naive.windows import cell_of, is_measured


@pytest.mark.parametrize("span", [1, 60, 300, 301, 7_200, 7_201, 259_200, 259_201, 2_592_000])
def test_a_window_has_the_cells_its_length_asks_for(span):
    assert cell_s(span) == cell_of(span)


def test_a_ring_has_room_for_every_cell_a_window_can_touch():
    rings = layout([300, 3_600], 86_400)
    assert rings.spans_s == (300, 3_600, 86_400)
    for size, cells, _, longest in rings.tiers:
        touched = max(len({s // size for s in (*range(end - longest, end, size), end - 1)}) for end in range(size))
        assert cells == touched


@pytest.mark.parametrize(("name", "most"), [("default", 19_500), ("workbook", 24_100)])
def test_an_instance_stays_under_its_stated_memory(name, most):
    policy = preset(name)
    spans = [us // 1_000_000 for pair in policy.pairs for us in (pair.long_us, pair.short_us)]
    assert row_bytes(layout(spans, 2_592_000)) < most


@settings(max_examples=40)
@given(steps, st.integers(0, 11))
def test_snapshot_restore_continue_equals_continue(plan, cut):
    rules = spec(watched(policy=LONG, window="20000s"))
    through = Judgement(rules)
    blocks = blocks_of(plan)
    for block in blocks[:cut]:
        through.observe(block)
    through.judge()
    entries = [through.instances.snapshot(row, 0, rules.framing) for row in through.instances.known]
    again = Judgement(rules)
    again.restore(decode("judge_state", through.snapshot(0, rules.framing))["payload"], entries, rules.framing)
    for judge in (through, again):
        for block in blocks[cut:]:
            judge.observe(block)
        judge.judge()
    assert state_of(again) == state_of(through)


def state_of(judge: Judgement):
    """Every bit that matters: rows without the flag of unwritten statuses, the clock, what waits."""
    rows = []
    for key, row in sorted(judge.instances.rows.items()):
        arrays = [array[row].copy() for array in judge.instances.bank.rows]
        arrays[-1][[k.MOVED, k.TOUCHED, k.DUE, k.DUE_END]] = 0
        rows.append((key, judge.instances.known[row].alert, [a.tobytes() for a in arrays]))
    coverage = judge.coverage
    return (
        rows, judge.judged_s, judge.clock.watermark_us, judge.waiting.everything()[:, 1:].tolist(),
        coverage.base, coverage.end, coverage.until, coverage.counts.tolist(), sorted(coverage.ahead),
    )  # fmt: skip


def test_an_unchanged_instance_restores_from_an_old_entry():
    rules = spec(watched(policy=LONG, window="20000s"))
    judge = Judgement(rules)
    both = [*steady(T0, T0 + 50, 5, 1, labels="m=a"), *steady(T0, T0 + 50, 7, labels="m=b")]
    judge.observe(counts(both, newest=T0 + 60))
    judge.judge()
    old = [judge.instances.snapshot(row, 0, rules.framing) for row in judge.instances.known]
    judge.observe(counts(steady(T0 + 50, T0 + 5_000, 5, labels="m=a")))
    judge.judge()
    row_a, row_b = judge.instances.rows.values()
    now = [judge.instances.snapshot(row_a, 0, rules.framing), old[1]]
    again = Judgement(rules)
    again.restore(decode("judge_state", judge.snapshot(0, rules.framing))["payload"], now, rules.framing)
    assert state_of(again) == state_of(judge)
    assert judge.instances.reading(row_b, judge.coverage).sums[-1] == (350, 0)


def test_packed_arrays_come_back():
    arrays = {"a": np.arange(6).reshape(3, 2), "b": np.zeros((0, 5), np.int64)}
    facts, back = unpack(pack({"x": None}, arrays))
    assert facts == {"x": None}
    assert all((back[name] == arrays[name]).all() and back[name].shape == arrays[name].shape for name in arrays)


# -- the clock


def clock(*facts):
    made = SourceClock(grace_us=2, idle_us=3)
    for each in facts:
        made.observe(*each)
    return made.watermark_us


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param([(0, 2, 100, 0)], None, id="a partition was never heard from"),
        pytest.param([(0, 2, 100, 0), (1, 2, 90, 0)], 88, id="the slowest less grace"),
        pytest.param([(0, 2, 100, 0), (1, 2, 90, 3)], 98, id="an idle partition does not hold it up"),
        pytest.param([(0, 2, 100, 0), (1, 2, None, 2)], None, id="no event yet, and not idle"),
        pytest.param([(0, 2, 100, 0), (1, 2, None, 3)], 98, id="no event ever, and idle"),
        pytest.param([(0, 2, 100, 7), (1, 2, 90, 5)], 103, id="all idle: the clock goes on with the least silence"),
        pytest.param([(0, 2, None, 9), (1, 2, None, 9)], None, id="no event at all"),
        pytest.param([(0, 1, 100, 0), (0, 1, 50, 0)], 98, id="the greatest event time counts"),
        pytest.param([(0, 1, 100, 9), (0, 1, 101, 0)], 107, id="it never goes back"),
        pytest.param([(0, 1, 100, 0), (0, 2, 200, 0)], 98, id="a new partition holds it"),
    ],
)
def test_watermark(facts, expected):
    assert clock(*facts) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500) | st.none(), st.integers(0, 6)), max_size=40))
def test_the_watermark_never_goes_back(facts):
    made, last = SourceClock(2, 3), -10
    for partition, event, silent in facts:
        made.observe(partition, 4, event, silent)
        if made.watermark_us is not None:
            assert made.watermark_us >= last
            last = made.watermark_us


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


@given(st.lists(st.lists(st.integers(0, 50), max_size=5), max_size=90), st.lists(st.integers(0, 60), max_size=5))
def test_waiting_entries_come_once_and_in_order(batches, cuts):
    waiting, taken = Waiting(), []
    for batch in batches:
        waiting.add(np.array([[0, second, 1, 0, 0] for second in batch], np.int64).reshape(-1, 5))
    for cut in [*sorted(cuts), 100]:
        part = waiting.take(cut)[:, 1].tolist()
        assert all(second < cut for second in part)
        taken += part
    assert taken == sorted(second for batch in batches for second in batch)
    assert len(waiting) == 0
