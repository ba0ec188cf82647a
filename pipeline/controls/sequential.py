"""Two shares of bad events, compared so that it holds at every look, however often somebody looks.

Law: with probability 1 - alpha the true difference is within its bounds after the first event, the second, and every
other one at once; so who looks each minute, and stops when it suits him, errs no more often than who looks once. For
independent events this is exact, on integers. A bet against two shares grows as the likelihood of all shares at once
over that of these two: it is a martingale where they are true, and by Ville's inequality reaches 1/alpha with
probability alpha at most. A hypothesis such as "no difference" is many pairs of shares: it is lost when the bet against
each of them has grown so much. Where events come in bursts, `dispersion` says how much less each tells; a likelihood
ratio to the power 1/dispersion is still no better than a fair bet. Pure.

Source: Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Stat. 41, 1970;
Wasserman, Ramdas, Balakrishnan, "Universal inference", PNAS 117, 2020; for two shares Turner, Ly, Grünwald, "Safe tests
and always-valid confidence intervals for contingency tables and beyond", 2021 (arXiv:2106.02693).
"""

from collections.abc import Callable
from math import exp, inf, lgamma, log, log1p
from typing import NamedTuple

PRIOR = 0.5  #: events that a prior stands for on its rarer side: Jeffreys'
CLOSE = 1e-6  #: of a share: bets are flat where they are least
STEPS_MOST = 200


class Sample(NamedTuple):
    """What was counted of one side."""

    good: int
    bad: int

    @property
    def eligible(self) -> int:
        return self.good + self.bad

    @property
    def bad_ratio(self) -> float | None:
        return self.bad / self.eligible if self.eligible else None


class Interval(NamedTuple):
    """What something is, at least and at most."""

    least: float
    most: float


class Bet(NamedTuple):
    """A bet against shares of bad being the true one of a sample: good and bad events, as many as they tell."""

    good: float
    bad: float
    mixed: float  # log likelihood of all shares at once

    def log_grown(self, share: float) -> float:
        """The log of what it has grown to; it began with 0. Convex in the share."""
        if (self.bad and share <= 0) or (self.good and share >= 1):
            return inf
        of_bad = self.bad * log(share) if self.bad else 0.0
        return self.mixed - of_bad - (self.good * log1p(-share) if self.good else 0.0)

    def slope(self, share: float) -> float:
        """How that changes with the share."""
        rising = (self.good / (1 - share) if share < 1 else inf) if self.good else 0.0
        return rising - ((self.bad / share if share > 0 else inf) if self.bad else 0.0)


def bet(sample: Sample, expected: float, dispersion: float = 1.0) -> Bet:
    """Bet on shares near what is `expected`, chosen before anything was seen; half of it on any share whatever."""
    good, bad = sample.good / dispersion, sample.bad / dispersion
    rare = min(expected, 1 - expected)
    common = PRIOR * (1 - rare) / rare
    near = _mixed(good, bad, *((common, PRIOR) if expected <= 0.5 else (PRIOR, common)))
    any_ = _mixed(good, bad, PRIOR, PRIOR)
    most = max(near, any_)
    return Bet(good, bad, most + log((exp(near - most) + exp(any_ - most)) / 2))


def _mixed(good: float, bad: float, prior_good: float, prior_bad: float) -> float:
    return _log_beta(good + prior_good, bad + prior_bad) - _log_beta(prior_good, prior_bad)


def _log_beta(one: float, other: float) -> float:
    return lgamma(one) + lgamma(other) - lgamma(one + other)


class Pair(NamedTuple):
    """Bets on two sides, before and after."""

    before: Bet
    after: Bet

    def against_difference(self, difference: float) -> float:
        """The log of what the bet against every pair of shares so far apart has grown to at least."""
        return self._least(difference, 1.0, max(-difference, 0.0), min(1 - difference, 1.0))

    def against_ratio(self, ratio: float) -> float:
        """The same of a share after that is so many times the one before."""
        return self._least(0.0, ratio, 0.0, min(1 / ratio, 1.0) if ratio else 1.0)

    def _least(self, shift: float, times: float, low: float, high: float) -> float:
        """Minimise over shares before, from low to high; the share after is shift + times x that one."""
        least, most = low, high
        for _ in range(STEPS_MOST):
            middle = (low + high) / 2
            if middle in {low, high} or high - low < CLOSE * middle:
                break
            if self.before.slope(middle) + times * self.after.slope(shift + times * middle) < 0:
                low = middle
            else:
                high = middle
        return min(
            self.before.log_grown(share) + self.after.log_grown(min(max(shift + times * share, 0.0), 1.0))
            for share in (low, (low + high) / 2, high)
            if least <= share <= most
        )

    def difference_within(self, alpha: float) -> Interval:
        """Return between what the share after less the share before is."""
        seen = _seen(self.after) - _seen(self.before)
        return Interval(*(_edge(self.against_difference, seen, end, -log(alpha)) for end in (-1.0, 1.0)))

    def ratio_within(self, alpha: float) -> tuple[float, float | None]:
        """Return between what the share after over the share before is; None: there may be none before."""
        most = -log(alpha)
        least_before, least_after = (max(each.bad, PRIOR) / (each.good + each.bad) for each in self)
        inside = least_after / least_before
        while not self.before.bad and self.against_ratio(inside) >= most:
            inside *= 2
        while not self.after.bad and self.against_ratio(inside) >= most:
            inside /= 2
        ends = inside, inside
        while self.after.bad and self.against_ratio(ends[0]) < most:
            ends = ends[0] / 2, ends[1]
        while self.before.bad and self.against_ratio(ends[1]) < most:
            ends = ends[0], ends[1] * 2
        least = _edge(self.against_ratio, inside, ends[0], most) if self.after.bad else 0.0
        return least, _edge(self.against_ratio, inside, ends[1], most) if self.before.bad else None

    @property
    def p_value(self) -> float:
        """Return the least alpha at which there is a difference, valid at every look."""
        eligible = sum(each.good + each.bad for each in self)
        pooled = (self.before.bad + self.after.bad) / eligible if eligible else 0.0
        return exp(-max(self.before.log_grown(pooled) + self.after.log_grown(pooled), 0.0))


def _seen(side: Bet) -> float:
    return side.bad / (side.good + side.bad) if side.good + side.bad else 0.5


def _edge(against: Callable[[float], float], inside: float, outside: float, most: float) -> float:
    """Find where a bet reaches `most` on the way out; rather too far out than too near."""
    if against(outside) < most:
        return outside
    for _ in range(STEPS_MOST):
        middle = (inside + outside) / 2
        if middle in {inside, outside} or abs(outside - inside) < CLOSE * abs(middle):
            break
        if against(middle) < most:
            inside = middle
        else:
            outside = middle
    return outside


def dispersion(sample: Sample, minutes: int, squares: float) -> float:
    """Return how much more the share of bad moves from minute to minute than chance makes it: 1 or more.

    `squares`: the sum over minutes of bad x bad / eligible. Pearson's statistic of equal shares, over its degrees.
    Source: McCullagh and Nelder, "Generalized Linear Models", 1989, 4.5.
    """
    if minutes < 2 or not sample.bad or not sample.good:
        return 1.0
    ratio = sample.bad / sample.eligible
    return max((squares - ratio * sample.bad) / (ratio * (1 - ratio)) / (minutes - 1), 1.0)
