"""Detection: how long a window pair takes to fire, and to clear, by arithmetic.

Pure. From a clean, full history, steady traffic, error ratio e from second 0 on; b = 1 - target, f = factor:

    burn of a window W after t <= W seconds   e t / (W b)
    met by the long window L, the later one   t >= f b L / e, if e >= f b; never otherwise
    t s after the end the short window S      burns e (S - t) / (S b)
    clear when that stays under               (1 - margin) f, for `hold`

Of timeslices e is the share of slices that are bad, and times are those at which slices end, in an incident that
begins with a slice and ends with one. Times are whole seconds, as judgement is. Leaves out guards (they need a
rate), grace (the watermark waits so long), and that the judge's windows of more than 5 min are longer than asked,
by less than a cell.
"""

from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from pipeline.alerts import AlertPolicy, ClearRule, WindowPair
from pipeline.slo import Ratio, Timeslices
from pipeline.spec.scalars import fraction


def firing_ratio(target: Ratio, pair: WindowPair) -> Fraction:
    """f b: the error ratio that a window must reach; at most 1 for a usable factor."""
    return fraction(pair.factor) * (1 - fraction(target))


def detection_s(target: Ratio, pair: WindowPair, error_ratio: Fraction) -> int | None:
    """Seconds from the first bad second until the pair is met; None: never at this error ratio."""
    least = firing_ratio(target, pair)
    return ceil(least * pair.long_us / (error_ratio * 1_000_000)) if error_ratio >= least else None


def reset_s(target: Ratio, pair: WindowPair, clear: ClearRule, error_ratio: Fraction) -> int | None:
    """Seconds from the last bad second until the alert clears; None when the pair is never met.

    The incident is taken to be no shorter than the short window; a shorter one clears sooner.
    """
    least = firing_ratio(target, pair)
    if error_ratio < least:
        return None
    under = fraction(pair.factor) * (1 - fraction(clear.margin)) * (1 - fraction(target))
    return floor(Fraction(pair.short_us, 1_000_000) * (1 - under / error_ratio)) + 1 + clear.hold_s


def bad_share(slices: Timeslices | None, error_ratio: Fraction) -> Fraction:
    """Share of what is counted that is bad: of slices with a target, all or nothing; of whole ones, that share."""
    if slices is None or slices.target is None or slices.is_whole:
        return error_ratio
    return Fraction(1 - error_ratio < fraction(slices.target))


def reset_in_slices_s(target: Ratio, pair: WindowPair, clear: ClearRule, share: Fraction, slice_s: int) -> int | None:
    """As `reset_s`: the short window may still hold so many bad slices, and the one before them must have left."""
    if share < firing_ratio(target, pair):
        return None
    under = fraction(pair.factor) * (1 - fraction(clear.margin)) * (1 - fraction(target))
    short_s = pair.short_us // 1_000_000
    held = ceil(under * short_s / (slice_s * share)) - 1
    return max(short_s - held * slice_s, 0) + clear.hold_s


def budget_spent(pair: WindowPair, window_us: int) -> Fraction:
    """Share of the budget that is gone when the pair is met, at any error ratio: factor x long / window."""
    return fraction(pair.factor) * pair.long_us / window_us


def exhaustion_s(target: Ratio, window_us: int, error_ratio: Fraction) -> int:
    """Seconds until a whole budget is gone at an error ratio: W b / e, for it burns at e / b."""
    return ceil(Fraction(window_us, 1_000_000) * (1 - fraction(target)) / error_ratio)


class Timing(NamedTuple):
    """What happens at one error ratio: seconds for each pair, None where it stays quiet."""

    error_ratio: Fraction
    detection_s: tuple[int | None, ...]
    reset_s: tuple[int | None, ...]


def timings(
    target: Ratio, policy: AlertPolicy, error_ratios: tuple[Fraction, ...], slices: Timeslices | None = None
) -> list[Timing]:
    """Return the times of every pair at every error ratio."""
    if slices is not None:
        return [_in_slices(target, policy, e, slices) for e in error_ratios]
    return [
        Timing(
            e,
            tuple(detection_s(target, pair, e) for pair in policy.pairs),
            tuple(reset_s(target, pair, policy.clear, e) for pair in policy.pairs),
        )
        for e in error_ratios
    ]


def _in_slices(target: Ratio, policy: AlertPolicy, error_ratio: Fraction, slices: Timeslices) -> Timing:
    share, slice_s = bad_share(slices, error_ratio), slices.slice_us // 1_000_000
    fires = (detection_s(target, pair, share) for pair in policy.pairs)
    return Timing(
        error_ratio,
        tuple(None if s is None else -(-s // slice_s) * slice_s for s in fires),
        tuple(reset_in_slices_s(target, pair, policy.clear, share, slice_s) for pair in policy.pairs),
    )
