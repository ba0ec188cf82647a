"""Timeslices, slowly: a dictionary of slices with their verdicts, as fractions, from a dictionary of seconds."""

from fractions import Fraction
from math import floor

MILLION = 1_000_000


def verdicts(
    seconds: dict[int, tuple[int, int, int]], length: int, target: Fraction | None
) -> dict[int, tuple[int, int, int]]:
    """Last second of a slice -> (good, bad, 0): one of a slice, or its millionths, rounded half up."""
    events: dict[int, list[int]] = {}
    for second, (good, bad, _) in seconds.items():
        known = events.setdefault(second // length, [0, 0])
        known[0] += good
        known[1] += bad
    found = {}
    for n, (good, bad) in events.items():
        if good + bad == 0:
            continue
        ratio = Fraction(good, good + bad)
        if target is None:
            share = floor(ratio * MILLION + Fraction(1, 2))
            found[n * length + length - 1] = (share, MILLION - share, 0)
        else:
            found[n * length + length - 1] = (1, 0, 0) if ratio >= target else (0, 1, 0)
    return found


def ended(length: int, start: int, end: int) -> int:
    """How many slices have their last second in [start, end)."""
    return sum((second + 1) % length == 0 for second in range(start, end))
