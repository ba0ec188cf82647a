"""Load shapes: requests a second for every second of a run. Pure; noise comes from a seed.

ramp     10 ──►50 rps in 20 min ── 20 min ──► 10       surge    15 rps, at once 45 rps for 15 min
daily    24 h between 8 and 42 rps, steepest in the morning, a second peak in the evening
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Rates = NDArray[np.float64]

BURST_S = 30  #: load is steady for so long, then drawn anew, as jobs.fleet has it
BURST_SIGMA = 0.08
DAY_S = 86_400
MINUTE_S = 60


def steady(rps: float, seconds: int) -> Rates:
    return np.full(seconds, float(rps))


def ramp(low: float = 10.0, high: float = 50.0, up_s: int = 1_200, hold_s: int = 1_200) -> Rates:
    """Ten minutes low, up, held, down again, half an hour low."""
    times = np.cumsum([0, 600, up_s, hold_s, up_s, 1_800])
    return np.interp(np.arange(times[-1]), times, [low, low, high, high, low, low])


def surge(rps: float = 15.0, factor: float = 3.0, from_s: int = 1_200, for_s: int = 900, seconds: int = 4_800) -> Rates:
    """One rate, multiplied from one second to the next, and back as suddenly."""
    rates = steady(rps, seconds)
    rates[from_s : from_s + for_s] *= factor
    return rates


def daily(mean: float = 25.0, seconds: int = DAY_S, start_s: int = 0) -> Rates:
    """A day and its first harmonic: people come within an hour or two in the morning, and again in the evening."""
    turn = 2 * np.pi * (np.arange(start_s, start_s + seconds) % DAY_S) / DAY_S
    return mean * (1 - 0.55 * np.cos(turn) - 0.25 * np.cos(2 * turn + 0.6))


def noisy(rates: Rates, seed: int) -> Rates:
    """Let the load wander around its shape, half a minute at a time."""
    blocks = -(-len(rates) // BURST_S)
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, 1])))
    factors = np.exp(BURST_SIGMA * rng.standard_normal(blocks) - BURST_SIGMA**2 / 2)
    varied: Rates = rates * np.repeat(factors, BURST_S)[: len(rates)]
    return varied


LOADS: Mapping[str, Callable[[], Rates]] = {"ramp": ramp, "surge": surge, "daily": daily}
