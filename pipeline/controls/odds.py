"""Shares of bad events, bounded from a sample in which bad ones are all kept and of the others a share.

Law: the odds of bad among those kept are the true odds divided by `scale`, what a bad one stands for over what a good
one does: so an interval of the one is an interval of the other, exactly where all good ones were kept alike (as of
case-control studies). A line of log odds over log load uses all loads around one; it says nothing of what it does not
run through. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import NamedTuple

STEPS_MOST = 50
CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Counts:
    """Events that are kept, what they stand for, and the squares of that."""

    kept: float = 0.0
    weight: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.kept + other.kept, self.weight + other.weight, self.squares + other.squares)

    @property
    def effective(self) -> float:
        """As many of equal weight tell as much. Source: Kish, "Survey Sampling", 1965."""
        return self.weight * self.weight / self.squares if self.squares else 0.0

    @property
    def each(self) -> float:
        """What one of those stands for; 0: there are none."""
        return self.squares / self.weight if self.weight else 0.0


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Tally:
    """What one SLO says of some requests; `sampled`: the requests, by their producer's own sampling alone."""

    good: Counts = NOTHING
    bad: Counts = NOTHING
    sampled: Counts = NOTHING

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.good + other.good, self.bad + other.bad, self.sampled + other.sampled)

    @property
    def kept(self) -> float:
        return self.good.kept + self.bad.kept

    def scale(self, good_each: float) -> float:
        """What a bad one stands for over what a good one does; 0: that is not known.

        `good_each`: what a good one does where there is none.
        """
        of_good = self.good.each or good_each
        return (self.bad.each or self.sampled.each) / of_good if of_good else 0.0


NO_TALLY = Tally()


class Bounds(NamedTuple):
    """What compliance is, at least and at most; and what is likely, None: nothing is more than anything else."""

    least: float
    most: float
    likely: float | None = None


class Line(NamedTuple):
    """Log odds of bad where x is 0, by a line through what was seen around it, and its standard error."""

    log_odds: float
    error: float

    @property
    def compliance(self) -> float:
        return _share(-self.log_odds)

    def bounds(self, z: float) -> Bounds:
        least, most = (_share(-self.log_odds - sign * z * self.error) for sign in (1, -1))
        return Bounds(least, most, self.compliance)


class Point(NamedTuple):
    """What was seen at one x: bad ones among so many that are kept, both effective, and the log of the scale."""

    x: float
    bad: float
    kept: float
    log_scale: float


def bounds(tally: Tally, good_each: float, z: float) -> Bounds | None:
    """Return between what compliance lies; each bound is missed as often as `z` says. None: no telling."""
    scale, kept = tally.scale(good_each), tally.good.effective + tally.bad.effective
    if not scale or not kept:
        return None
    low, high = wilson(tally.bad.effective / kept, kept, z)
    seen = tally.good.weight / (tally.good.weight + tally.bad.weight)
    return Bounds(1 - _scaled(high, scale), 1 - _scaled(low, scale), seen)


def wilson(share: float, count: float, z: float) -> tuple[float, float]:
    """The interval of a share that was seen among `count`. Source: Wilson, JASA 22, 1927."""
    middle, spread = share + z * z / (2 * count), z * sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    grown = 1 + z * z / count
    return max((middle - spread) / grown, 0.0), min((middle + spread) / grown, 1.0)


def _scaled(share: float, scale: float) -> float:
    """Multiply the odds of a share."""
    return share * scale / (share * scale + 1 - share)


def line(seen: Iterable[tuple[float, Tally]], good_each: float) -> Line | None:
    """Fit a rising line of log odds through (x, tally) by maximum likelihood. None: none rises, or nothing to fit.

    Source: Prentice and Pyke, "Logistic disease incidence models and case-control studies", 1979.
    """
    points = [
        Point(x, tally.bad.effective, tally.good.effective + tally.bad.effective, log(scale))
        for x, tally in seen
        if tally.kept and (scale := tally.scale(good_each)) > 0
    ]
    bad, kept = sum(each.bad for each in points), sum(each.kept for each in points)
    if not 0 < bad < kept:
        return None
    height = log(bad / (kept - bad)) + sum(each.kept * each.log_scale for each in points) / kept
    slope = 1.0
    for _ in range(STEPS_MOST):  # Newton's way up the likelihood
        up, turn, hh, hs, ss = _derivatives(points, height, slope)
        area = hh * ss - hs * hs
        if area <= CLOSE * hh * ss:
            return None
        steps = (ss * up - hs * turn) / area, (hh * turn - hs * up) / area
        height, slope = (value + max(min(step, 2.0), -2.0) for value, step in zip((height, slope), steps, strict=True))
        if max(map(abs, steps)) < CLOSE:
            return Line(height, sqrt(ss / area)) if slope >= 0 else None
    return None


def _share(log_odds: float) -> float:
    return 1 / (1 + exp(-max(min(log_odds, 500.0), -500.0)))


def _derivatives(points: Sequence[Point], height: float, slope: float) -> tuple[float, float, float, float, float]:
    """Of the log likelihood: by height and by slope, and what it curves by both."""
    up = turn = hh = hs = ss = 0.0
    for x, bad, kept, log_scale in points:
        share = _share(height + slope * x - log_scale)
        rest, weight = bad - kept * share, kept * share * (1 - share)
        up, turn = up + rest, turn + rest * x
        hh, hs, ss = hh + weight, hs + weight * x, ss + weight * x * x
    return up, turn, hh, hs, ss
