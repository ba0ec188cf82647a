"""Shares of bad requests at one load, out of how long requests took at the loads around it.

    log time | b     .  : .            what takes T at load n takes T x s(n0) / s(n) at n0: the loads differ by how
             |    . :.:':              slow they are, s, and not by what is asked for. So s is read off all requests,
             |  .:':''                 which are many, and the few slow ones of every load tell of n0.
             +-----------> log load

Law: at a shift of nothing the bad ones are those that were counted. Only loads that are up to e^REACH slower or faster
take part; where slow requests of greater loads, put back to n0, are not as many as those of smaller ones, the loads
differ by more than how slow they are, and nothing is said. What is bad whatever its time stays bad. Pure.

Source: Kalbfleisch, Prentice, "The Statistical Analysis of Failure Time Data", chapter 7 (accelerated failure times).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.controls.odds import Line

Floats = NDArray[np.float64]

STEP = 0.05  #: of the log of a time over its threshold: a cell
CELLS = 120  #: on each side of the threshold: e^6 times faster and slower; beyond them, as if there
NEVER = CELLS  #: the cell of what is bad whatever its time
MIDDLES = (np.arange(-CELLS, CELLS) + 0.5) * STEP
REACH = 0.5
LOADS_LEAST = 5  #: a curve with two bends is laid through so many
BAD_LEAST = 5.0
Z_OFF = 4.0  #: a load that is so far from the curve is not on it
Z_SIDES = 3.0  #: so far apart smaller and greater loads do not tell of the same
NEAR = 0.25  #: loads that are as slow as the one in question, or nearly
BENDS = 2
TURNS = 4  #: until the weights of both sides stand


@dataclass(frozen=True, eq=False)
class Spread:
    """Requests of a load by the log of their time over the threshold. Shapes: (2 x CELLS + 1,), NEVER last."""

    weight: Floats
    squares: Floats

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.weight + other.weight, self.squares + other.squares)

    @classmethod
    def of(cls, cells: Sequence[int], weight: Sequence[float], squares: Sequence[float]) -> "Spread":
        """Read what was counted: a cell from -CELLS on, and what is in it."""
        arrays = np.zeros((2, 2 * CELLS + 1))
        arrays[:, np.asarray(cells, np.int64) + CELLS] = weight, squares
        return cls(*arrays)


class Side(NamedTuple):
    """Smaller or greater loads, put to one: bad and good ones, and the variance of either. Sums of weights."""

    bad: float
    good: float
    bad_squares: float
    good_squares: float

    @property
    def variance(self) -> float:
        """Of the log odds; infinite where nothing is known."""
        if not self.bad or not self.good:
            return float("inf")
        return self.bad_squares / self.bad**2 + self.good_squares / self.good**2


class Shifts:
    """All loads of one SLO that has spreads."""

    def __init__(self, loads: Sequence[float], spreads: Sequence[Spread]) -> None:
        """`loads`: mean in flight, ascending."""
        self._x = np.log(np.maximum(np.asarray(loads, np.float64), 0.5))
        weight, squares = (np.array([getattr(each, name) for each in spreads]) for name in ("weight", "squares"))
        self._tails = np.cumsum(weight[:, ::-1], axis=1)[:, ::-1]  # from a cell on
        self._all, bad = self._tails[:, 0], self._tails[:, CELLS]
        self._bad, self._good_squares = bad, squares[:, :CELLS].sum(axis=1)
        good = self._all - bad
        self._bad_each = _over(squares[:, CELLS:].sum(axis=1), bad, 1.0)
        self._good_each = _over(self._good_squares, good, 1.0)
        timed = weight[:, : NEVER + CELLS]
        self._mean = _over(timed @ MIDDLES, timed.sum(axis=1), 0.0)
        spread = float((timed * (MIDDLES - self._mean[:, None]) ** 2).sum() / max(timed.sum(), 1e-9))
        self._variance = np.maximum(spread * _over(squares.sum(axis=1), self._all**2, np.inf), 1e-12)

    def at(self, place: int) -> Line | None:
        """Bound the log odds of bad at a load. None: the loads around it do not tell."""
        fitted = self._curve(place)
        if fitted is None:
            return None
        some, powers, bends, covariance = fitted
        is_above = some >= place
        share, weights = self._weighted(self._sides(some, powers @ bends, is_above, None))
        for _ in range(TURNS):
            sides = self._sides(some, powers @ bends, is_above, share)
            share, weights = self._weighted(sides)
        if not 0 < share < 1 or not _agree(sides):
            return None
        bad, good = _together(sides, weights)
        bad_squares, good_squares = (
            sum(w * w * side[k] for w, side in zip(weights, sides, strict=True)) for k in (2, 3)
        )
        if bad * bad < BAD_LEAST * bad_squares:
            return None
        turns = [self._turn(some, powers, bends, k, sqrt(covariance[k, k]), is_above, weights) for k in range(BENDS)]
        of_curve = float(np.array(turns) @ covariance @ np.array(turns))
        return Line(log(bad / good), sqrt(bad_squares / bad**2 + good_squares / good**2 + of_curve))

    # -- how slow each load is
    def _curve(self, place: int) -> tuple[NDArray[np.int64], Floats, Floats, Floats] | None:
        """Lay a curve of log time over log load through loads around one; return them, powers, bends, and errors."""
        apart = self._x - self._x[place]
        near = np.abs(apart) <= log(1 + NEAR)
        own = float(np.average(self._mean[near], weights=1 / self._variance[near]))
        some = np.flatnonzero(np.abs(self._mean - own) <= REACH + 2 * np.sqrt(self._variance))
        while len(some) >= LOADS_LEAST:
            powers = np.stack([apart[some] ** power for power in range(BENDS + 1)], axis=1)
            sure = 1 / self._variance[some]
            covariance = np.linalg.pinv((powers * sure[:, None]).T @ powers)
            fitted = covariance @ (powers.T @ (sure * self._mean[some]))
            off = (self._mean[some] - powers @ fitted) * np.sqrt(sure)
            kept = (np.abs(off) <= Z_OFF) & (np.abs(powers[:, 1:] @ fitted[1:]) <= REACH)
            if kept.all():
                excess = max(float((off**2).sum()) / max(len(some) - BENDS - 1, 1), 1.0)
                return some, powers[:, 1:], fitted[1:], covariance[1:, 1:] * excess
            some = some[kept]
        return None

    # -- slow ones, put to one load
    def _sides(
        self, some: NDArray[np.int64], shifts: Floats, is_above: NDArray[np.bool_], share: float | None
    ) -> list[Side]:
        """Smaller and greater loads. `share` of bad ones: with it variances are those that are to be expected, or few
        heavy ones that happen not to be there would make us sure."""
        bad = self._slow(some, shifts)
        expected = bad if share is None else share * self._all[some]
        known = np.minimum(expected, self._bad[some])
        squares = known * self._bad_each[some] + (expected - known) * self._good_each[some]
        rows = np.stack([bad, self._all[some] - bad, squares, self._good_squares[some]])
        return [Side(*map(float, rows[:, side].sum(axis=1))) for side in (~is_above, is_above)]

    def _slow(self, some: NDArray[np.int64], shifts: Floats) -> Floats:
        """How many of each load are beyond the threshold times e^shift; within a cell, evenly."""
        at = np.clip(shifts / STEP + CELLS, 0, 2 * CELLS - 1e-9)
        whole = at.astype(np.int64)
        part = at - whole
        return np.asarray(self._tails[some, whole] * (1 - part) + self._tails[some, whole + 1] * part)

    def _weighted(self, sides: Sequence[Side]) -> tuple[float, list[float]]:
        """The share of bad ones by both sides, each by how sure it is; and their weights."""
        weights = [_precision(side) for side in sides]
        bad, good = _together(sides, weights)
        return (bad / (bad + good) if bad else 0.0), weights

    def _turn(
        self, some: NDArray[np.int64], powers: Floats, bends: Floats, which: int, step: float,
        is_above: NDArray[np.bool_], weights: Sequence[float],
    ) -> float:  # fmt: skip
        """How the log odds follow one bend of the curve."""
        if not step:
            return 0.0
        found = []
        for sign in (1, -1):
            turned = bends.copy()
            turned[which] += sign * step
            sides = self._sides(some, powers @ turned, is_above, None)
            bad, good = _together(sides, weights)
            found.append(log(max(bad, 1e-9) / max(good, 1e-9)))
        return (found[0] - found[1]) / (2 * step)


def _together(sides: Sequence[Side], weights: Sequence[float]) -> tuple[float, float]:
    """Bad and good ones of both sides."""
    pairs = list(zip(weights, sides, strict=True))
    return sum(w * side.bad for w, side in pairs), sum(w * side.good for w, side in pairs)


def _precision(side: Side) -> float:
    """What a request of a side is worth: how sure the side is, by how much of it there is."""
    total = side.bad + side.good
    return 0.0 if not total or side.variance == float("inf") else 1 / side.variance / total


def _agree(sides: Sequence[Side]) -> bool:
    """Whether smaller and greater loads tell of the same share; where one of them tells little, they do."""
    small, great = sides
    if any(side.bad**2 < BAD_LEAST * side.bad_squares or not side.bad or not side.good for side in sides):
        return True
    apart = log(small.bad / small.good) - log(great.bad / great.good)
    return abs(apart) <= Z_SIDES * sqrt(small.variance + great.variance)


def _over(amount: Floats, whole: Floats, otherwise: float) -> Floats:
    return np.where(whole > 0, amount / np.where(whole > 0, whole, 1.0), otherwise)
