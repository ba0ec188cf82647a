"""Oracle of the frontier: every pair compared, axis by axis, in words."""

from typing import Any

LESS, MORE = ("cost", "p99"), ("throughput",)


def beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    is_better_somewhere = False
    for name in LESS:
        if one[name] > other[name]:
            return False
        is_better_somewhere |= one[name] < other[name]
    for name in MORE:
        if one[name] < other[name]:
            return False
        is_better_somewhere |= one[name] > other[name]
    return is_better_somewhere


def frontier(points: dict[str, dict[str, Any]]) -> set[str]:
    """Names of points that no other beats."""
    return {
        name
        for name, point in points.items()
        if not any(beats(other, point) for other_name, other in points.items() if other_name != name)
    }


def error_of_ratio(above: list[float], below: list[float]) -> float:
    """The jackknife, one sum after the other."""
    left = []
    for skipped in range(len(above)):
        top = sum(value for n, value in enumerate(above) if n != skipped)
        bottom = sum(value for n, value in enumerate(below) if n != skipped)
        left.append(top / bottom)
    mean = sum(left) / len(left)
    return float(((len(left) - 1) / len(left) * sum((value - mean) ** 2 for value in left)) ** 0.5)
