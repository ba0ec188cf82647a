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


class Curves(NamedTuple):
    """How slow the loads around each load are beside it. Shapes: (loads, loads), a row each that is asked for."""

    some: NDArray[np.bool_]  # which loads take part
    apart: Floats  # log of a load over the one asked for
    bends: Floats  # (loads, BENDS): log time by powers of `apart`
    covariance: Floats  # (loads, BENDS, BENDS)
    is_there: NDArray[np.bool_]  # (loads,): whether a curve fits at all

    def shifts(self, turned: Floats | float = 0.0) -> Floats:
        """How much slower each load is, in log time; `turned`: added to the bends."""
        bends = self.bends + turned
        return np.asarray(sum(bends[:, k, None] * self.apart ** (k + 1) for k in range(BENDS)))


class Sides(NamedTuple):
    """Smaller and greater loads, put to each load. Sums of weights and of their squares; shapes: (2, loads)."""

    bad: Floats
    good: Floats
    bad_squares: Floats
    good_squares: Floats

    @property
    def variance(self) -> Floats:
        """Of the log odds; infinite where nothing is known."""
        of_bad, of_good = _over(self.bad_squares, self.bad**2, np.inf), _over(self.good_squares, self.good**2, np.inf)
        return of_bad + of_good


class Shifts:
    """All loads of one SLO that has spreads."""

    def __init__(self, loads: Sequence[float], spreads: Sequence[Spread]) -> None:
        """`loads`: mean in flight, ascending."""
        self._x = np.log(np.maximum(np.asarray(loads, np.float64), 0.5))
        weight, squares = (
            np.array([getattr(each, name) for each in spreads]).reshape(-1, 2 * CELLS + 1)
            for name in ("weight", "squares")
        )
        self._tails = np.cumsum(weight[:, ::-1], axis=1)[:, ::-1]  # from a cell on
        self._all, bad = self._tails[:, 0], self._tails[:, CELLS]
        self._bad, self._good_squares = bad, squares[:, :CELLS].sum(axis=1)
        good = self._all - bad
        self._bad_each = _over(squares[:, CELLS:].sum(axis=1), bad, 1.0)
        self._good_each = _over(self._good_squares, good, 1.0)
        timed = weight[:, : NEVER + CELLS]
        self._mean = _over(timed @ MIDDLES, timed.sum(axis=1), 0.0)
        spread = max(float((timed * (MIDDLES - self._mean[:, None]) ** 2).sum() / max(timed.sum(), 1e-9)), 1e-12)
        self._variance = np.maximum(spread * _over(squares.sum(axis=1), self._all**2, np.inf), 1e-12)

    def lines(self) -> list[Line | None]:
        """Bound the log odds of bad at each load. None: the loads around it do not tell."""
        curves = self._curves()
        parts = self._parts(curves)
        sides = self._sides(parts, self._slow(curves.shifts()))
        share, weights = _weighted(sides)
        for _ in range(TURNS):
            sides = sides._replace(bad_squares=self._expected(parts, share))
            share, weights = _weighted(sides)
        bad, good = _together(sides, weights)
        squares = [(weights**2 * each).sum(axis=0) for each in (sides.bad_squares, sides.good_squares)]
        is_told = curves.is_there & (share > 0) & (share < 1) & _agree(sides) & (bad**2 >= BAD_LEAST * squares[0])
        slopes = self._slopes(curves, parts, weights)
        variance = np.einsum("pi,pij,pj->p", slopes, curves.covariance, slopes)
        variance += _over(squares[0], bad**2, 0.0) + _over(squares[1], good**2, 0.0)
        return [
            Line(log(bad[place] / good[place]), sqrt(variance[place])) if told else None
            for place, told in enumerate(is_told)
        ]

    # -- how slow each load is
    def _curves(self) -> Curves:
        """Lay a curve of log time over log load through the loads around each; what is not on it is left out."""
        apart = self._x - self._x[:, None]
        near = (np.abs(apart) <= log(1 + NEAR)) / self._variance
        own = _over(near @ self._mean, near.sum(axis=1), np.nan)
        some = np.abs(self._mean - own[:, None]) <= REACH + 2 * np.sqrt(self._variance)
        count = len(apart)
        found = Curves(
            some, apart, np.zeros((count, BENDS)), np.zeros((count, BENDS, BENDS)), np.zeros(count, np.bool_)
        )  # fmt: skip
        while len(rows := np.flatnonzero(~found.is_there & (some.sum(axis=1) >= LOADS_LEAST))):
            self._lay(found, rows)
        return found

    def _lay(self, found: Curves, rows: NDArray[np.int64]) -> None:
        """Lay a curve for some rows: it stands where all are on it; elsewhere those that are not go."""
        some = found.some[rows]
        powers = found.apart[rows, :, None] ** np.arange(BENDS + 1)
        sure = some / self._variance
        turned = (powers * sure[:, :, None]).swapaxes(1, 2)
        covariance = np.linalg.pinv(turned @ powers)
        fitted = covariance @ (turned @ self._mean)[:, :, None]
        off = (self._mean - (powers @ fitted)[:, :, 0]) * np.sqrt(sure)
        shifts = (powers[:, :, 1:] @ fitted[:, 1:])[:, :, 0]
        kept = some & (np.abs(off) <= Z_OFF) & (np.abs(shifts) <= REACH)
        stands = (kept == some).all(axis=1)
        excess = np.maximum((off**2).sum(axis=1) / np.maximum(some.sum(axis=1) - BENDS - 1, 1), 1.0)
        found.some[rows] = kept
        found.is_there[rows[stands]] = True
        found.bends[rows[stands]] = fitted[stands, 1:, 0]
        found.covariance[rows[stands]] = covariance[stands, 1:, 1:] * excess[stands, None, None]

    # -- slow ones, put to each load
    def _parts(self, curves: Curves) -> Floats:
        """Which smaller and which greater loads take part, as 0 and 1; shape: (2, loads, loads)."""
        is_above = np.tri(len(self._x), dtype=bool).T
        return np.stack([curves.some & ~is_above, curves.some & is_above]).astype(np.float64)

    def _sides(self, parts: Floats, slow: Floats) -> Sides:
        """Sum up how many of each load are slow, by what was seen."""
        known = np.minimum(slow, self._bad)
        squares = known * self._bad_each + (slow - known) * self._good_each
        bad, bad_squares = (np.einsum("spl,pl->sp", parts, each) for each in (slow, squares))
        return Sides(bad, parts @ self._all - bad, bad_squares, parts @ self._good_squares)

    def _expected(self, parts: Floats, share: Floats) -> Floats:
        """What squares of bad ones add up to when the share of them is this: by those that were seen, few heavy ones
        that happen not to be there would make us sure."""
        expected = share[:, None] * self._all
        known = np.minimum(expected, self._bad)
        squares = known * self._bad_each + (expected - known) * self._good_each
        return np.asarray(np.einsum("spl,pl->sp", parts, squares))

    def _slow(self, shifts: Floats) -> Floats:
        """How many of each load are beyond the threshold times e^shift; within a cell, evenly."""
        at = np.clip(shifts / STEP + CELLS, 0, 2 * CELLS - 1e-9)
        whole, load = at.astype(np.int64), np.arange(len(self._x))
        part = at - whole
        return np.asarray(self._tails[load, whole] * (1 - part) + self._tails[load, whole + 1] * part)

    def _slopes(self, curves: Curves, parts: Floats, weights: Floats) -> Floats:
        """How the log odds follow each bend of the curves."""
        found = np.zeros_like(curves.bends)
        for which in range(BENDS):
            step = np.zeros_like(curves.bends)
            step[:, which] = np.sqrt(curves.covariance[:, which, which])
            odds = []
            for turned in (step, -step):
                pair = _together(self._sides(parts, self._slow(curves.shifts(turned))), weights)
                bad, good = (np.maximum(each, 1e-9) for each in pair)
                odds.append(np.log(bad / good))
            found[:, which] = _over(odds[0] - odds[1], 2 * step[:, which], 0.0)
        return found


def _weighted(sides: Sides) -> tuple[Floats, Floats]:
    """The share of bad ones by both sides, each by how sure it is; and what a request of either is worth."""
    unsure = np.where(np.isfinite(sides.variance), sides.variance, 0.0) * (sides.bad + sides.good)
    weights = _over(np.ones_like(unsure), unsure, 0.0)
    bad, good = _together(sides, weights)
    return _over(bad, bad + good, 0.0), weights


def _together(sides: Sides, weights: Floats) -> tuple[Floats, Floats]:
    """Bad and good ones of both sides."""
    return (weights * sides.bad).sum(axis=0), (weights * sides.good).sum(axis=0)


def _agree(sides: Sides) -> NDArray[np.bool_]:
    """Whether smaller and greater loads tell of the same share; where one of them tells little, they do."""
    is_little = (sides.bad**2 < BAD_LEAST * sides.bad_squares) | (sides.bad <= 0) | (sides.good <= 0)
    odds = np.log(np.where(is_little, 1.0, sides.bad) / np.where(is_little, 1.0, sides.good))
    apart = np.abs(odds[0] - odds[1])
    return np.asarray(is_little.any(axis=0) | (apart <= Z_SIDES * np.sqrt(sides.variance.sum(axis=0))))


def _over(amount: Floats, whole: Floats, otherwise: float) -> Floats:
    return np.where(whole > 0, amount / np.where(whole > 0, whole, 1.0), otherwise)
