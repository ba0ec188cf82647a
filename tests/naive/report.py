"""Oracles of a report: sums over single slices, shares as fractions, ranges as sets of seconds."""

from collections.abc import Iterable
from fractions import Fraction

Count = tuple[int, int]  # good, bad


def added(counts: Iterable[Count]) -> Count:
    every = list(counts)
    return sum(good for good, _ in every), sum(bad for _, bad in every)


def verdict(count: Count, target: str) -> str:
    good, bad = count
    if good + bad == 0:
        return "no data"
    return "kept" if Fraction(good, good + bad) >= Fraction(target) else "broken"


def budget_left(count: Count, target: str) -> Fraction:
    good, bad = count
    return 1 - Fraction(bad) / ((1 - Fraction(target)) * (good + bad))


def seconds(ranges: Iterable[tuple[int, int]]) -> set[int]:
    return {second for start, end in ranges for second in range(start, end)}
