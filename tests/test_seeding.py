"""Windows that an edit adds have the history that is there: exact from finer cells, spread from coarser ones."""

import cProfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import rings as k
from pipeline.plans import tables
from pipeline.seeding import cells_of, excluded_of
from pipeline.windows import Bank
from tests.judging import T0, Driver, counts, preset, spec, steady, watched

HOUR = 3_600
DEFAULT = preset("default")
PAGE = replace(DEFAULT, pairs=DEFAULT.pairs[:1])  # 1 h and 5 min


def parts_of(seconds: dict[int, tuple[int, int]], saved: int, reach: dict[int, int]) -> dict[str, np.ndarray]:
    """A snapshot of rings with cells of these sizes, of events by second."""
    words = np.zeros(k.WORDS, np.int64)
    words[k.AT] = saved
    parts = {"words": words, "reach": np.array(list(reach.items()), np.int32).reshape(-1, 2)}
    for size, longest in reach.items():
        cells: dict[int, np.ndarray] = {}
        for second, (good, bad) in seconds.items():
            if (saved - longest) // size <= second // size:
                cells[second // size] = cells.get(second // size, np.zeros(2, np.int64)) + np.array([good, bad])
        numbers = np.array(sorted(cells), np.int64)
        parts[f"ages{size}"] = ((saved - 1) // size - numbers).astype(np.int32)
        parts[f"cells{size}"] = np.array([cells[n] for n in numbers.tolist()], np.int64).reshape(-1, 2)
    return parts


events = st.dictionaries(st.integers(0, 5 * HOUR), st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60)
rings = st.sampled_from([
    {10: 2_400, HOUR: 4 * HOUR}, {1: 300, HOUR: 5 * HOUR}, {1: 60, 10: 1_000}, {HOUR: 4 * HOUR},
    {10: 7_200, 300: 3 * HOUR},
])  # fmt: skip


@settings(max_examples=50)
@given(events, rings, st.integers(0, HOUR), st.sampled_from([(10, 7_200), (300, 4 * HOUR), (1, 300), (HOUR, 5 * HOUR)]))
def test_sums_over_whole_cells_are_those_of_the_snapshot(ago, reach, moved, wanted) -> None:
    (size, longest), saved = wanted, 1_000 * HOUR + moved
    seconds = {saved - 1 - each: numbers for each, numbers in ago.items()}
    numbers, values, since = cells_of(size, longest, parts_of(seconds, saved, reach))
    found = dict(zip(numbers.tolist(), values.tolist(), strict=True))
    coarsest = max([*reach, size])
    for begin in range((max(since, saved - longest) // coarsest + 1) * coarsest, saved, coarsest):
        true = np.sum([n for s, n in seconds.items() if begin <= s < begin + coarsest] or [(0, 0)], axis=0)
        own = np.sum([v for n, v in found.items() if begin <= n * size < begin + coarsest] or [(0, 0)], axis=0)
        assert own.tolist() == true.tolist()
    finer = [each for each in reach if each <= size]
    exact_from = saved - reach[max(finer)] + size if finer else saved
    for number, value in found.items():
        if max(exact_from, saved - longest) <= number * size:
            true = np.sum([n for s, n in seconds.items() if s // size == number] or [(0, 0)], axis=0)
            assert value == true.tolist()


def fed(policy, hours: int = 7) -> Driver:
    driver = Driver(spec(watched(policy=policy)))
    bad = [(T0 + 2 * HOUR, T0 + 2 * HOUR + 600)]
    entries = [
        ("chat", "", second, 90, 10 if any(a <= second < b for a, b in bad) else 0, 0)
        for second in range(T0, T0 + hours * HOUR)
    ]
    driver.feed(counts(entries))
    return driver


def test_a_pair_that_an_edit_adds_is_judged_by_the_history_that_is_there() -> None:
    """The 24 h window is as full as if it had always been asked for; of the 2 h window an hour was spread."""
    edited, always = fed(PAGE), fed(DEFAULT)
    edited.spec = spec(watched(policy=DEFAULT))
    edited.fold = edited.fold.succeeded(edited.spec)
    for driver in (edited, always):
        driver.feed(counts(steady(T0 + 7 * HOUR, T0 + 7 * HOUR + 30, 90)))
    new, old = (driver.statuses["chat|"] for driver in (edited, always))
    assert new["windows_s"].tolist() == [300, 3_600, 7_200, 86_400]
    judged_s = new["window_end"] // 1_000_000 - T0
    assert judged_s > 7 * HOUR
    assert new["windows_good"].tolist()[3] == old["windows_good"].tolist()[3] == 90 * judged_s
    assert new["windows_good"].tolist() == pytest.approx(old["windows_good"].tolist(), abs=90 * HOUR)
    assert new["windows_bad"].tolist()[3] == 6_000
    assert (new["good"], new["bad"]) == (old["good"], old["bad"])


@pytest.mark.parametrize(("before", "after"), [("30d", "3d"), ("3d", "30d"), ("30d", "30d")])
def test_what_was_excluded_is_known_in_a_window_of_other_cells(before, after) -> None:
    """The cells of both sizes are there, of other windows; what was excluded has one size, the old window's."""
    driver = Driver(spec(watched(window=before)))
    driver.feed(counts([("chat", "", second, 90, 0, 7) for second in range(T0, T0 + 7 * HOUR, 60)]))
    driver.spec = spec(watched(window=after))
    driver.fold = driver.fold.succeeded(driver.spec)
    driver.feed(counts(steady(T0 + 7 * HOUR, T0 + 7 * HOUR + 30, 90)))
    assert driver.statuses["chat|"]["excluded"] == 7 * 7 * 60


def test_an_old_snapshot_means_its_largest_cells_by_what_was_excluded() -> None:
    parts = parts_of({1_000 * HOUR: (1, 0)}, 1_000 * HOUR + 1, {300: 259_200, HOUR: 720 * HOUR})
    excluded = {"ages_excluded": np.array([0, 3], np.int32), "excluded": np.array([5, 6], np.uint32)}
    starts, numbers = excluded_of(parts | excluded)
    assert (starts.tolist(), numbers.tolist()) == ([1_000 * HOUR, 997 * HOUR], [5, 6])


def test_what_added_up_does_not_fit_into_a_cell_is_lost_and_said_so() -> None:
    """Of twelve cells of 300 s with 2^30 events each, an hour's holds 2^32 - 1."""
    bank, saved = Bank(*tables([watched(policy=PAGE)])), 1_000 * HOUR
    parts = parts_of({saved - 1 - 300 * each: (1 << 30, 1) for each in range(12)}, saved, {300: 259_200})
    row = bank.take(0, saved)
    bank.restore(row, saved, parts)
    assert bank.sums(row)[-1] == ((1 << 32) - 1, 12)
    assert bank.lost.tolist() == [(12 << 30) - (1 << 32) + 1]


def test_cells_outside_of_what_is_asked_for_cost_next_to_nothing() -> None:
    """Functions that are called for the last two hours: as many with a month of history behind them as with a day."""
    saved = 1_000 * HOUR

    def calls(hours: int) -> int:
        seconds = {saved - 1 - HOUR * each: (9, 1) for each in range(hours)}
        profile = cProfile.Profile()
        profile.runcall(cells_of, 10, 7_200, parts_of(seconds, saved, {1: 300, HOUR: 720 * HOUR}))
        return sum(each.callcount for each in profile.getstats())

    assert calls(720) <= calls(24)
