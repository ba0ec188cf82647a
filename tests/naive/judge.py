"""The judge, slowly: one instance, prefix sums over seconds, fractions, every second asked.

Shares nothing with the product but the words of the contract.
"""

from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from tests.naive.windows import cell_of

LEVELS = ("NONE", "INFO", "WARNING", "CRITICAL")


class Pair(NamedTuple):
    severity: int
    factor: Fraction
    long: int
    short: int


class Rules(NamedTuple):
    target: Fraction
    pairs: tuple[Pair, ...]
    min_events: int = 30
    min_bad: int = 3
    min_coverage: Fraction = Fraction(1, 2)
    margin: Fraction = Fraction(1, 10)
    hold: int = 60
    reach: int = 30  # slices one event vouches for after its own


class NaiveJudge:
    """Entries (good, bad) by second; `slices` with events of anybody; judged from `start` to `end`."""

    reach_s = 4 * 86_400  # more than any window

    def __init__(
        self, rules: Rules, seconds: dict[int, tuple[int, int]], slices: set[int], start: int, end: int
    ) -> None:
        self.rules, self.start, self.end = rules, start, end
        self.origin = min(seconds) - self.reach_s
        span = range(self.origin, end + 1)
        self.good = [0, *accumulate(seconds.get(s, (0, 0))[0] for s in span)]
        self.bad = [0, *accumulate(seconds.get(s, (0, 0))[1] for s in span)]
        self.first = min(seconds)
        vouched = {s + i for s in slices for i in range(rules.reach + 1)}
        self.slice_origin = self.origin // 10
        self.measured = [0, *accumulate(int(s in vouched) for s in range(self.slice_origin, end // 10 + 2))]

    def counts(self, end: int, span: int) -> tuple[int, int]:
        start = (end - span) // cell_of(span) * cell_of(span) - self.origin
        return self.good[end - self.origin] - self.good[start], self.bad[end - self.origin] - self.bad[start]

    def burn(self, end: int, span: int) -> Fraction:
        good, bad = self.counts(end, span)
        if good + bad == 0:
            return Fraction(0)
        lived = min(span, end - self.first)
        return Fraction(bad * lived, (good + bad) * span) / (1 - self.rules.target)

    def seen(self, start: int, end: int) -> int:
        return self.measured[end - self.slice_origin] - self.measured[start - self.slice_origin]

    def is_covered(self, end: int, span: int) -> bool:
        last = end // 10
        start = max(last - -(-span // 10), self.first // 10)
        return last <= start or self.seen(start, last) >= self.rules.min_coverage * (last - start)

    def run(self) -> list[tuple[int, str, str]]:
        """(second, event, severity) of everything told."""
        told = []
        held: set[Pair] = set()
        shown, level, since, frozen = 0, 0, self.start, False
        for t in range(self.start + 1, self.end + 1):
            if t <= self.first:
                continue
            last = t // 10
            silent = last > self.first // 10 and self.seen(last - 1, last) == 0
            usable = [p for p in self.rules.pairs if self.is_covered(t, p.long) and self.is_covered(t, p.short)]
            if not silent:
                held = self.held_at(t, held, usable)
            now = max((p.severity for p in held if p in usable), default=0)
            stuck = max((p.severity for p in held if p not in usable), default=0)
            if silent or not usable or stuck > now:
                frozen = True
                continue
            if now != level or frozen:
                level, since, frozen = now, t, False
            if level > shown:
                told.append((t, "UPDATED" if shown else "FIRED", LEVELS[level]))
                shown = level
            elif level < shown and t - since >= self.rules.hold:
                told.append((t, "UPDATED", LEVELS[level]) if level else (t, "RESOLVED", LEVELS[shown]))
                shown = level
        return told

    def held_at(self, t: int, held: set[Pair], usable: list[Pair]) -> set[Pair]:
        held = set(held)
        for pair in usable:
            short = self.burn(t, pair.short)
            if short < pair.factor * (1 - self.rules.margin):
                held.discard(pair)
            if short >= pair.factor and self.burn(t, pair.long) >= pair.factor:
                good, bad = self.counts(t, pair.long)
                if good + bad >= self.rules.min_events and bad >= self.rules.min_bad:
                    held.add(pair)
        return held
