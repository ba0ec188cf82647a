"""Windows and their rings against the words of the law; snapshots against going on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judgement import Judgement
from pipeline.kernels import rings as k
from pipeline.windows import cell_s, layout, pack, row_bytes, unpack
from tests.judging import LONG, T0, blocks_of, brought_back, counts, on_and_again, preset, spec, steady, steps, watched
from tests.naive.windows import cell_of


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
    on, again = on_and_again(rules, blocks_of(plan), cut)
    assert state_of(again) == state_of(on)


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
    again = brought_back(judge, rules, now)
    assert state_of(again) == state_of(judge)
    assert judge.instances.reading(row_b, judge.coverage).sums[-1] == (350, 0)


def test_packed_arrays_come_back():
    arrays = {"a": np.arange(6).reshape(3, 2), "b": np.zeros((0, 5), np.int64)}
    facts, back = unpack(pack({"x": None}, arrays))
    assert facts == {"x": None}
    assert all((back[name] == arrays[name]).all() and back[name].shape == arrays[name].shape for name in arrays)
