"""Arithmetic of loads: requests a second in cells of 10 s, the newest first.

Pure. What is called sure is so at two standard errors: chance alone is not taken for a rise.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

CELL_S = 10  #: of stored loads
TREND_CELLS = 10  #: over which a trend is fitted, of TREND_CELL_S each: five minutes
TREND_CELL_S = 30
TREND_S = TREND_CELLS * TREND_CELL_S
ERRORS = 2.0  #: standard errors that something must be sure of


def arrivals(completed: Sequence[float], in_flight: Sequence[float | None]) -> tuple[float, ...]:
    """Return how many came a second, of how many were completed: those and by how many more are in flight.

    Events tell of requests when they end. While a queue grows fewer end than come, and the engines' own count of what
    they hold says how many. completed: a second, in cells of 10 s, newest first; in_flight: at each cell's end, and at
    the begin of the last; where it is not known nothing is added.
    """
    held = [*in_flight, *[None] * (len(completed) + 1)]
    grown = (0.0 if end is None or begin is None else (end - begin) / CELL_S for end, begin in pairwise(held))
    return tuple(max(float(ended) + more, 0.0) for ended, more in zip(completed, grown, strict=False))


def mean(loads: Sequence[float]) -> float:
    return sum(loads) / len(loads) if loads else 0.0


def surely(loads: Sequence[float]) -> float:
    """Return the load that a few cells show for sure: their mean less ERRORS times what chance alone moves it by."""
    rate, seconds = mean(loads), len(loads) * CELL_S
    return rate - ERRORS * math.sqrt(rate / seconds) if rate > 0 else 0.0


def greatest(loads: Sequence[float], cells: int) -> float:
    """Return the greatest mean of so many cells in a row."""
    last = max(len(loads) - cells, 0)
    return max((mean(loads[first : first + cells]) for first in range(last + 1)), default=0.0)


def trend(loads: Sequence[float]) -> float:
    """Return by how much the load rises a second, as far as it is sure: a line's slope less twice its standard error.

    A step is no line: its errors are great, so that a sudden surge is not taken for the begin of a greater one.
    loads: a second, the newest first, of CELL_S each.
    """
    size = TREND_CELL_S // CELL_S
    cells = [mean(loads[n * size : (n + 1) * size]) for n in range(TREND_CELLS)][::-1]
    if len(loads) < size * TREND_CELLS:
        return 0.0
    middle, level = (TREND_CELLS - 1) / 2, mean(cells)
    spread = sum((n - middle) ** 2 for n in range(TREND_CELLS))
    slope = sum((n - middle) * (cell - level) for n, cell in enumerate(cells)) / spread
    left = sum((cell - level - slope * (n - middle)) ** 2 for n, cell in enumerate(cells))
    error = math.sqrt(left / (TREND_CELLS - 2) / spread)
    return math.copysign(max(abs(slope) - ERRORS * error, 0.0), slope) / TREND_CELL_S
