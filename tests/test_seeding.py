"""Windows that an edit adds have the history that is there: exact from finer cells, spread from coarser ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import rings as k
from pipeline.seeding import cells_of
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
    assert new["windows_good"].tolist()[3] == old["windows_good"].tolist()[3] == 90 * 7 * HOUR - 0 * HOUR + 90 * 30
    assert new["windows_good"].tolist() == pytest.approx(old["windows_good"].tolist(), abs=90 * HOUR)
    assert new["windows_bad"].tolist()[3] == 6_000
    assert (new["good"], new["bad"]) == (old["good"], old["bad"])
