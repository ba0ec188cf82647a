"""A forecast out of the day before: what was then at the same time, at today's level. The least that a forecast does.

Pure. As `burnline forecast` publishes it: the mean load of the step that ends at each horizon, and how far off it was
the day before, in nine of ten cases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jobs.loop.seen import Seen

STEP_S = 300
HORIZONS_S = (300, 900)
LEVEL_S = 1_800  #: over which today is compared with the day before
LEVEL_MOST = 1.5  #: times the day before at most

Rates = NDArray[np.float64]


@dataclass(frozen=True)
class Yesterday:
    """Loads of the two days before, a number for each second of the run."""

    before: Rates
    before_that: Rates

    def __call__(self, seen: Seen) -> Mapping[int, tuple[float, float]]:
        """Return q50 and q90 by the horizon in seconds."""
        level = self.level(seen)
        found = {}
        for horizon_s in HORIZONS_S:
            middle = _mean(self.before, seen.at_s + horizon_s) * level
            found[horizon_s] = (middle, middle * self.spread)
        return found

    def level(self, seen: Seen) -> float:
        """Return today's load over that of the day before, of late."""
        begin = max(seen.known_s - LEVEL_S, 0)
        then = float(self.before[begin : seen.known_s].sum())
        now = float(seen.history.offered[begin:].sum())
        return min(max(now / then, 1 / LEVEL_MOST), LEVEL_MOST) if then > 0 else 1.0

    @cached_property
    def spread(self) -> float:
        """Return how many times its forecast a load was at most, in nine of ten steps of the day before."""
        steps = range(STEP_S, len(self.before) + 1, STEP_S)
        return quantile([_mean(self.before, end) / max(_mean(self.before_that, end), 1e-9) for end in steps])


def quantile(ratios: Sequence[float]) -> float:
    return max(float(np.quantile(ratios, 0.9)), 1.0)


def _mean(rates: Rates, end: int) -> float:
    """Return the mean of the step that ends there; behind the last one it stays."""
    end = min(end, len(rates))
    return float(rates[max(end - STEP_S, 0) : end].mean())
