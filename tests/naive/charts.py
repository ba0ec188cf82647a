"""Charts the slow way: every window adds up every cell anew; heat maps bin each value by hand."""

import math
from collections.abc import Mapping, Sequence

GAMMA = 1.01 / 0.99


def burn_rate(
    cells: Mapping[int, tuple[int, int]], unit_s: int, end: int, window_s: int, target: float
) -> float | None:
    """Of the cells that begin in [end - window, end)."""
    within = [counts for at, counts in cells.items() if end - window_s <= at < end]
    good, bad = sum(g for g, _ in within), sum(b for _, b in within)
    if window_s < unit_s or good + bad == 0:
        return None
    return bad / (good + bad) / (1 - target)


def remaining(cells: Sequence[tuple[int, int]], target: float) -> list[float]:
    """What is left of the budget of all cells after each of them."""
    events = (1 - target) * sum(good + bad for good, bad in cells)
    return [1 - sum(bad for _, bad in cells[: end + 1]) / events for end in range(len(cells))]


def count_between(keys: Sequence[int], low_us: float, high_us: float) -> int:
    """How many bins begin between two edges; the middle of a bin stands for it, as edges are rounded."""
    return sum(low_us <= math.exp((key + 0.5) * math.log(GAMMA)) < high_us for key in keys)
