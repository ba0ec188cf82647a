"""Budgets, slowly: every second asked whether a window moved, steps compared as fractions."""

from fractions import Fraction

from tests.naive.judge import NaiveJudge

Steps = list[tuple[Fraction, str]]  # share of the budget, severity


class NaiveBudget(NaiveJudge):
    """The budget of one target over one compliance window, beside the burn-rate alert that freezes it."""

    reach_s = 5_000

    def budget(self, target: Fraction, window: int, steps: Steps) -> list[tuple[int, str, str, Fraction]]:
        """(second, event, severity, share of the step) of everything told."""
        told: list[tuple[int, str, str, Fraction]] = []
        held: set = set()
        taken = 0
        for t in range(self.start + 1, self.end + 1):
            if t <= self.first:
                continue
            usable = [p for p in self.rules.pairs if self.is_covered(t, p.long) and self.is_covered(t, p.short)]
            last = t // 10
            if last > self.first // 10 and self.seen(last - 1, last) == 0:
                continue
            held = self.held_at(t, held, usable)
            stuck = max((p.severity for p in held if p not in usable), default=0)
            if not usable or stuck > max((p.severity for p in held if p in usable), default=0):
                continue
            if not self.is_covered(t, window) or not self.is_asked(t, window):
                continue
            before, taken = taken, self.taken_at(t, taken, target, window, steps)
            if taken != before:
                event = "RESOLVED" if not taken else "UPDATED" if before else "FIRED"
                share, severity = steps[(taken or before) - 1]
                told.append((t, event, severity, share))
        return told

    def is_asked(self, t: int, window: int) -> bool:
        """A window moved, a slice ended, or the longest alert window is not yet lived through."""
        spans = {span for pair in self.rules.pairs for span in (pair.long, pair.short)}
        if t % 10 == 0 or t - self.first <= max(spans):
            return True
        if self.good[t - self.origin] != self.good[t - 1 - self.origin]:
            return True
        if self.bad[t - self.origin] != self.bad[t - 1 - self.origin]:
            return True
        return any(self.counts(t, span) != self.counts(t - 1, span) for span in (*spans, window))

    def taken_at(self, t: int, taken: int, target: Fraction, window: int, steps: Steps) -> int:
        good, bad = self.counts(t, window)
        share = self.burn(t, window) * (1 - self.rules.target) / (1 - target)
        is_known = good + bad >= self.rules.min_events and bad >= self.rules.min_bad
        while taken and (not bad or share < steps[taken - 1][0] * (1 - self.rules.margin)):
            taken -= 1
        for number, (step, _) in enumerate(steps, 1):
            if is_known and share >= step:
                taken = max(taken, number)
        return taken
