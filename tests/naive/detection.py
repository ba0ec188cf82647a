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


def fires_after_slices(
    budget: Fraction, factor: Fraction, windows_s: tuple[int, int], slice_s: int, share: Fraction, at_most_s: int
) -> int | None:
    """Seconds until both windows of whole slices burn at the factor, from the beginning of a bad slice on."""
    for second in range(slice_s, at_most_s + 1, slice_s):
        bad = second // slice_s
        if all(min(bad, w // slice_s) * share / (w // slice_s) / budget >= factor for w in windows_s):
            return second
    return None


def clears_after_slices(
    budget: Fraction, clear_factor: Fraction, short_s: int, hold_s: int, slice_s: int, share: Fraction
) -> int:
    """Seconds after the end of a bad slice, many before it, until the short window was under the factor long enough."""
    ends = [-slice_s * n for n in range(short_s // slice_s + 1)]
    second, under_since = 0, None
    while under_since is None or second - under_since < hold_s:
        second += 1
        bad = sum(second - short_s < end <= second for end in ends)
        if bad * share / (short_s // slice_s) / budget < clear_factor:
            under_since = second if under_since is None else under_since
        else:
            under_since = None
    return second
