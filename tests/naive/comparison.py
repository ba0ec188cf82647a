"""Oracle of the comparison of two shares: events one after the other, and every pair of shares on a grid.

A bet predicts each event by what it has seen, as if it had seen some before; it grows by what it gave to what came,
over what the pair of shares gave. Nothing is closed form, nothing is searched.
"""

from math import exp, inf, log

STEPS = 4_000


def predicted(good: int, bad: int, prior_good: float, prior_bad: float) -> float:
    """The log of what was given to so many events, in whatever order: here good ones first."""
    total, seen_good, seen_bad = 0.0, prior_good, prior_bad
    for _ in range(good):
        total += log(seen_good / (seen_good + seen_bad))
        seen_good += 1
    for _ in range(bad):
        total += log(seen_bad / (seen_good + seen_bad))
        seen_bad += 1
    return total


def bet(good: int, bad: int, expected: float) -> float:
    """Half on shares near what is expected, half on any."""
    if expected <= 0.5:
        near = predicted(good, bad, 0.5 / expected * (1 - expected), 0.5)
    else:
        near = predicted(good, bad, 0.5, 0.5 / (1 - expected) * expected)
    return log(exp(near) / 2 + exp(predicted(good, bad, 0.5, 0.5)) / 2)


def likelihood(good: int, bad: int, share: float) -> float:
    if (bad and share <= 0) or (good and share >= 1):
        return -inf
    return (bad * log(share) if bad else 0.0) + (good * log(1 - share) if good else 0.0)


def grown_least(before: tuple[int, int], after: tuple[int, int], expected: float, difference: float) -> float:
    """The log of what the bet against any pair of shares so far apart has grown to, the least of a grid."""
    bets = bet(*before, expected) + bet(*after, expected)
    shares = (n / STEPS for n in range(STEPS + 1))
    return min(
        bets - likelihood(*before, share) - likelihood(*after, share + difference)
        for share in shares
        if 0 <= share + difference <= 1
    )
