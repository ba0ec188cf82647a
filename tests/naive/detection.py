"""When a window pair fires and clears: an incident second by second, windows summed anew each time."""

from fractions import Fraction


def fires_after(
    budget: Fraction, factor: Fraction, long_s: int, short_s: int, bad: int, eligible: int, at_most_s: int
) -> int | None:
    """Seconds until both windows burn at the factor, `bad` of `eligible` requests failing each second."""
    history = [0] * long_s
    for second in range(1, at_most_s + 1):
        history.append(bad)
        if all(_burn(history, w, eligible, budget) >= factor for w in (long_s, short_s)):
            return second
    return None


def clears_after(budget: Fraction, clear_factor: Fraction, short_s: int, hold_s: int, bad: int, eligible: int) -> int:
    """Seconds after a long incident until the short window was under the factor for `hold_s`."""
    history = [bad] * short_s
    second, under_since = 0, None
    while True:
        second += 1
        history.append(0)
        if _burn(history, short_s, eligible, budget) < clear_factor:
            under_since = second if under_since is None else under_since
        else:
            under_since = None
        if under_since is not None and second - under_since >= hold_s:
            return second


def _burn(history: list[int], window_s: int, eligible: int, budget: Fraction) -> Fraction:
    return Fraction(sum(history[-window_s:]), eligible * window_s) / budget
