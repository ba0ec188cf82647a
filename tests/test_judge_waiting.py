"""Law: however little may wait for the watermark, everything is counted, and what is judged early is told.

What is judged early follows from the blocks alone, not from units or crashes.
"""

from typing import Any

import pytest

from tests.judging import QUICK, T0, Driver, counts, spec, steady, watched


def one_source_behind(limit: int, cut: int, crashes: bool) -> Driver:
    """Two sources; one of them is 200 s behind, then catches up, and then both go on side by side."""
    driver = Driver(spec(watched(policy=QUICK), limit_waiting=limit, snapshot_us=0))
    ahead = [steady(T0 + at, T0 + at + 20, 90, 10, labels=f"m={at % 3}") for at in range(0, 200, 20)]
    behind = [steady(T0 + at, T0 + at + 20, 1, 1, labels="m=0") for at in range(0, 200, 20)]
    first = counts(steady(T0 - 20, T0, 9), partition=1, partitions=2)
    on = [
        counts(entries, newest=T0 + at + 20, partition=each, partitions=2)
        for at in range(260, 460, 20)
        for each, entries in enumerate((steady(T0 + at, T0 + at + 20, 9), []))
    ]
    blocks = [(entries, number) for number, each in enumerate((ahead, behind)) for entries in each]
    driver.send(first, *(counts(entries, partition=n, partitions=2) for entries, n in blocks), *on)
    driver.unit(cut)
    while driver.position < len(driver.log):
        if crashes:
            driver.crash()
        driver.unit(cut)
    return driver


def judged(driver: Driver) -> tuple[Any, ...]:
    instances = driver.fold.judgement.instances
    sums = {key: instances.bank.sums(row) for key, row in instances.rows.items()}
    return sums, driver.told, driver.fold.judgement.counters


def test_what_waits_past_the_limit_is_judged_early_and_counted_all_the_same():
    full, short = (judged(one_source_behind(limit, 100, crashes=False)) for limit in (1_000, 50))
    assert short[0] == full[0]
    assert (full[2]["entries_hurried"], full[2]["entries_late"]) == (0, 0)
    assert short[2]["entries_hurried"] > 100, "of 220, and half of the limit waits then"
    assert short[2]["entries_late"] > 100, "of the source that was behind"


@pytest.mark.parametrize(("cut", "crashes"), [(1, False), (3, False), (1, True)])
def test_what_is_judged_early_follows_from_the_blocks_alone(cut: int, crashes: bool) -> None:
    assert judged(one_source_behind(50, cut, crashes)) == judged(one_source_behind(50, 100, crashes=False))


def test_of_a_unit_in_parts_nothing_is_judged_before_it_is_told_what_was_measured() -> None:
    driver = Driver(spec(watched(policy=QUICK), limit_waiting=500))
    driver.feed(counts(steady(T0 - 20, T0, 9)))
    until = T0 + 1_200
    first = counts(steady(T0, until - 20, 9), newest=None, slices=(), part=0, parts=2)
    last = counts(steady(until - 20, until, 9), slices=range(T0 // 10, until // 10), part=1, parts=2)
    driver.feed(first, last)
    driver.feed(counts(steady(until, until + 20, 9)))
    assert driver.alerts == []
