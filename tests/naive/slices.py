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


def whole_verdicts(
    seconds: dict[int, tuple[int, int, int]], length: int, metric: str, threshold: Fraction, offered: Fraction
) -> dict[int, tuple[int, int, int]]:
    """The same where a slice is compared as a whole: rates a second, or pico-USD for 1000 tokens."""
    sums: dict[int, list[int]] = {}
    for second, (good, bad, _) in seconds.items():
        known = sums.setdefault(second // length, [0, 0])
        known[0] += good
        known[1] += bad
    found = {}
    for n, (amount, other) in sums.items():
        if metric == "cost_per_1k_tokens":
            is_judged = (amount, other) != (0, 0)
            is_met = other > 0 and Fraction(1000 * amount, other) <= threshold
        else:
            load = amount + other if metric == "throughput_rps" else other
            is_judged, is_met = Fraction(load, length) >= offered, Fraction(amount, length) >= threshold
        if is_judged:
            found[n * length + length - 1] = (1, 0, 0) if is_met else (0, 1, 0)
    return found


def ended(length: int, start: int, end: int) -> int:
    """How many slices have their last second in [start, end)."""
    return sum((second + 1) % length == 0 for second in range(start, end))
