"""The worst of slices, slowly: every slice of every member looked at, as fractions."""

from collections import defaultdict
from fractions import Fraction

Seconds = dict[int, tuple[int, int]]  # second -> good, bad


def worst_of(members: list[Seconds], length: int, share: Fraction, end: int) -> Seconds:
    """Last second of each slice that ended up to `end` and in which something was eligible -> good, bad: one of them 1.

    A slice is good when every member that had events in it had at least that share of them good.
    """
    ratios: dict[int, list[Fraction]] = defaultdict(list)
    for seconds in members:
        sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for second, counts in seconds.items():
            for i in range(2):
                sums[second // length][i] += counts[i]
        for n, (good, bad) in sums.items():
            if good + bad:
                ratios[n].append(Fraction(good, good + bad))
    ended = {n: min(found) for n, found in ratios.items() if n * length + length <= end}
    return {n * length + length - 1: (int(worst >= share), int(worst < share)) for n, worst in ended.items()}
