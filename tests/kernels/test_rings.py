"""Rings against a dictionary of seconds: entries on time and late, windows of every cell size."""

from hypothesis import given, settings

from pipeline.judgement import Judgement
from pipeline.kernels import rings as k
from tests.judging import LONG, T0, blocks_of, counts, spec, steps, watched
from tests.naive.windows import window_sum


@settings(max_examples=60)
@given(steps)
def test_sums_are_those_of_a_dictionary_of_seconds(plan):
    judge = Judgement(spec(watched(policy=LONG, window="20000s")))
    seconds: dict[int, tuple[int, int, int]] = {}
    for block in blocks_of(plan):
        judge.observe(block)
        judge.judge()
        numbers = (block[name].tolist() for name in ("slice_start_s", "good", "bad", "excluded"))
        for second, *three in zip(*numbers, strict=True):
            known = seconds.get(second, (0, 0, 0))
            seconds[second] = tuple(a + b for a, b in zip(known, three, strict=True))
        reading = judge.instances.reading(0, judge.coverage)
        if reading.first_s < 0:
            continue
        expected = [window_sum(seconds, judge.judged_s, span) for span in reading.spans_s]
        assert reading.sums == [(good, bad) for good, bad, _ in expected]
        assert reading.excluded == expected[-1][2]


def test_what_does_not_fit_into_a_cell_is_clipped_and_counted():
    judge = Judgement(spec())
    judge.observe(counts([("chat", "", T0, k.MOST_CELL - 1, 0, 0), ("chat", "", T0, 5, 0, 0)], newest=T0 + 10))
    judge.judge()
    tiers = len(judge.instances.bank.layouts[0].tiers)
    assert judge.instances.bank.lost[0] == 4 * tiers
    assert judge.instances.reading(0, judge.coverage).sums[0] == (k.MOST_CELL, 0)
