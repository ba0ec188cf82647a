"""Composites, slowly: a weighted mean of fractions, every second asked."""

from collections import Counter
from fractions import Fraction

from tests.naive.budgets import NaiveBudget
from tests.naive.judge import NaiveJudge, Rules

Seconds = dict[int, tuple[int, int]]  # second -> good, bad


class NaiveMean(NaiveBudget):
    """Evidence is of all parts together, burn the weighted mean of those that have traffic in the window."""

    def __init__(
        self, rules: Rules, parts: list[tuple[Fraction, Seconds]], slices: set[int], start: int, end: int
    ) -> None:
        good: Counter[int] = Counter()
        bad: Counter[int] = Counter()
        for _, seconds in parts:
            good.update({second: counts[0] for second, counts in seconds.items()})
            bad.update({second: counts[1] for second, counts in seconds.items()})
        together = {second: (good[second], bad[second]) for second in good.keys() | bad.keys()}
        super().__init__(rules, together, slices, start, end)
        self.parts = [(weight, self.part(seconds, min(together))) for weight, seconds in parts if seconds]

    def part(self, seconds: Seconds, origin: int) -> NaiveJudge:
        made = NaiveBudget(self.rules, {origin: (0, 0), **seconds}, set(), self.start, self.end)
        made.first = min(seconds)
        return made

    def is_asked(self, t: int, window: int) -> bool:
        spans = {span for pair in self.rules.pairs for span in (pair.long, pair.short)}
        youngest = max(part.first for _, part in self.parts if part.first < t)
        if t % 10 == 0 or t - youngest <= max(spans):
            return True
        return any(
            part.counts(t, span) != part.counts(t - 1, span) for span in (*spans, window) for _, part in self.parts
        )

    def burn(self, end: int, span: int) -> Fraction:
        shares = []
        for weight, part in self.parts:
            good, bad = part.counts(end, span)
            if good + bad:
                lived = Fraction(min(span, end - part.first), span)
                shares.append((weight, Fraction(bad, good + bad) * lived))
        if not shares:
            return Fraction(0)
        mean = sum(weight * share for weight, share in shares) / sum(weight for weight, _ in shares)
        return mean / (1 - self.rules.target)
