"""Notation: numbers over time in a few characters, to whole numbers per second.

    100x59        promtool's: 100, and 59 times more          0+10x5     0 10 20 30 40 50
    100-10x5      100 90 80 70 60 50                          _ _x9      nothing is known, ten times
    100           a rate, a second                            0..100     a rate that grows evenly

Pure. A sample of a series is the count of its interval, spread evenly over its seconds; a rate of parts comes
when they are whole. Law: counts of a stretch add up to rate x seconds, rounded down.
"""

import re
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.spec.problems import Refused

Ints = NDArray[np.int64]
SAMPLES_MAX = 100_000
COUNT_MAX = 10**9  # of one sample
RATE_MAX = 10**6  # a second

_NUMBER = r"\d{1,9}"
_SAMPLE = re.compile(rf"(_|({_NUMBER})(?:([+-])({_NUMBER}))?)(?:x({_NUMBER}))?", re.ASCII)
_RATE = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)(?:\.\.(\d{1,7}(?:\.\d{1,3})?))?", re.ASCII)


class Rate(NamedTuple):
    """Events a second, at the beginning and at the end of a stretch."""

    first: Fraction
    last: Fraction


def series(value: str) -> tuple[int | None, ...]:
    """Read a series of counts; None where nothing is known.

    Raises: Refused.
    """
    samples: list[int | None] = []
    for word in value.split():
        match = _SAMPLE.fullmatch(word)
        if match is None or (match[3] and not match[5]):
            rule = "must be counts such as 100x59, 0+10x5, 100-10x5, 7 or _x3, with blanks between them"
            raise Refused(f"{rule}; {word[:40]} is none", "axN is a, and N times more; a+bxN grows by b")
        more = int(match[5] or 0)
        if len(samples) + more >= SAMPLES_MAX:
            raise Refused(f"must have at most {SAMPLES_MAX} samples", "write a longer interval")
        samples += _samples(match, more)
    if not samples:
        raise Refused("must have a sample", "write 100x59")
    wrong = [sample for sample in samples if sample is not None and not 0 <= sample <= COUNT_MAX]
    if wrong:
        raise Refused(f"must stay within 0 and {COUNT_MAX}; it reaches {wrong[0]}", "write fewer, or smaller steps")
    return tuple(samples)


def _samples(match: re.Match[str], more: int) -> list[int | None]:
    if match[1] == "_":
        return [None] * (more + 1)
    start, step = int(match[2]), int(match[4] or 0) * (-1 if match[3] == "-" else 1)
    return [start + step * k for k in range(more + 1)]


def rate(value: str) -> Rate:
    """Read a rate, or one that changes evenly.

    Raises: Refused.
    """
    match = _RATE.fullmatch(value)
    if match is None or any(Fraction(part) > RATE_MAX for part in match.groups() if part):
        rule = f"must be a number up to {RATE_MAX} with at most 3 decimals, or two of them, as 0..100"
        raise Refused(rule, "write events a second, such as 100")
    return Rate(Fraction(match[1]), Fraction(match[2] or match[1]))


def evenly(rate: Rate, seconds: int) -> Ints:
    """Whole numbers, one a second, whose running sum is the integral of the rate, rounded down."""
    scale = rate.first.denominator * rate.last.denominator
    start, slope = int(2 * seconds * rate.first * scale), int((rate.last - rate.first) * scale)
    fits = max(start, abs(slope) * seconds) * (seconds + 1) < 1 << 62
    t = np.arange(seconds + 1, dtype=np.int64 if fits else np.object_)
    sums = (start * t + slope * t * t) // (2 * max(seconds, 1) * scale)
    counts: Ints = np.diff(sums).astype(np.int64)
    return counts


def spread(samples: tuple[int | None, ...], interval_s: int) -> Ints:
    """Counts of intervals over their seconds: each interval adds up to its sample; what is unknown is 0."""
    counts = np.array([sample or 0 for sample in samples], np.int64)
    steps = np.arange(interval_s + 1, dtype=np.int64)
    spread_out: Ints = np.diff(counts[:, None] * steps // interval_s, axis=1).reshape(-1)
    return spread_out
