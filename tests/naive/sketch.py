"""Oracle of the sketch: the bin of a value by the definition, with a logarithm."""

import math
from fractions import Fraction

ALPHA = Fraction(1, 100)
GAMMA = float((1 + ALPHA) / (1 - ALPHA))
GREATEST = 2.0**34


def bin_of(value: float) -> int:
    """0 below 1 us; then 1 + floor(log_gamma(value)); from 2^34 us on the bin of the greatest value below."""
    if value < 1:
        return 0
    return 1 + math.floor(math.log(min(value, math.nextafter(GREATEST, 0))) / math.log(GAMMA))


def middle_of(index: int) -> float:
    """A value whose relative distance to everything in its bin is at most ALPHA."""
    return 0.0 if index == 0 else 2 * GAMMA**index / (GAMMA + 1)
