"""SLOs: objectives, compliance, error budget and burn rate, as formulas on integers.

Pure. Sums first, divide once, last; thresholds are integer cross-multiplications; no data is None, never 0 or
NaN.
"""

from dataclasses import dataclass
from decimal import Decimal
from math import gcd

from pipeline.periods import Calendar
from pipeline.sli import Case, Verdict


@dataclass(frozen=True)
class Ratio:
    """An exact decimal in lowest power-of-ten terms: `numerator / scale`."""

    numerator: int
    scale: int

    @classmethod
    def parse(cls, text: str) -> "Ratio":
        """Read a decimal as it stands in a file: "0.999" -> 999 / 1000.

        Raises: decimal.InvalidOperation for anything that is no finite decimal.
        """
        sign, digits, exponent = Decimal(text).normalize().as_tuple()
        number = int("".join(map(str, digits))) * (-1 if sign else 1)
        shift = int(exponent)
        return cls(number * 10 ** max(shift, 0), 10 ** max(-shift, 0))

    def __float__(self) -> float:
        return self.numerator / self.scale


@dataclass(frozen=True)
class Selector:
    """The values of one label that an open condition accepts: of some prefix, and none of those left out."""

    none_of: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()  # empty: any value

    def __contains__(self, value: str) -> bool:
        return value not in self.none_of and (not self.prefixes or value.startswith(self.prefixes))


#: asked once for each new series: `value in accepted`
Accepted = tuple[str, ...] | Selector


@dataclass(frozen=True)
class Timeslices:
    """Time is counted in slices: good or bad as a whole, or by the ratio of each (no target)."""

    slice_us: int
    target: Ratio | None = None  # share of a slice's events that makes it good
    is_whole: bool = False  # the indicator's threshold makes it good: no event alone is


@dataclass(frozen=True)
class Indicator:
    """What is counted: one metric of the catalogue over the events a selector matches."""

    metric: str
    # good when value <= threshold (at_most) or >= (at least): us, requests, millionths a second, or pico-USD
    threshold: int | None = None
    at_most: bool = True  # lte and lt; `lt x` is kept as `lte x - 1`
    where: tuple[tuple[str, Accepted], ...] = ()  # label -> accepted values, in label order
    group_by: tuple[str, ...] = ()
    vantage: str | None = None
    final_attempts_only: bool = True
    verdicts: tuple[tuple[Case, Verdict], ...] = ()  # where they differ from sli.VERDICTS, in order of cases
    objectives: tuple[tuple[str, int | None], ...] = ()  # of goodput: metric -> us; None: what each request asks for
    is_strict: bool = False  # an objective that a request has no value for is missed
    offered: int = 0  # of a throughput: requests in millionths a second from which on a slice is judged


#: in the name of what is counted for a composite, between its own and its member's; no SLO's name has one
PART = ">"


@dataclass(frozen=True)
class Objective:
    """One SLO as the engine sees it: what is counted, and how much of it must be good."""

    name: str
    service: str
    indicator: Indicator
    target: Ratio  # in (0, 1)
    window_us: int  # of a calendar: the longest it can be
    revision: str = ""  # of everything that changes a judgement
    indicator_revision: str = ""  # of what changes a count
    calendar: Calendar | None = None  # None: the window rolls
    timeslices: Timeslices | None = None  # None: occurrences
    sla_target: Ratio | None = None  # of the contract beside it: a budget of its own

    @property
    def budget(self) -> int:
        """1 - target, over target.scale."""
        return self.target.scale - self.target.numerator


def compliance_ratio(good: int, bad: int) -> float | None:
    """good / eligible; None when nothing was eligible."""
    eligible = good + bad
    return good / eligible if eligible else None


def budget_events(target: Ratio, eligible: int) -> float:
    """(1 - target) x eligible: how many events may be bad."""
    return (target.scale - target.numerator) * eligible / target.scale


def budget_remaining_ratio(target: Ratio, good: int, bad: int) -> float | None:
    """1 - bad / budget_events; negative when overspent, None when nothing was eligible."""
    budget = (target.scale - target.numerator) * (good + bad)
    return (budget - bad * target.scale) / budget if budget else None


def budget_minutes(target: Ratio, window_us: int) -> float:
    """(1 - target) x window, in minutes: 99.9 % of 30 d are 43.2."""
    return (target.scale - target.numerator) * window_us / (target.scale * 60_000_000)


def burn_rate(target: Ratio, good: int, bad: int, lived: int = 1, span: int = 1) -> float | None:
    """(bad / eligible) / (1 - target); 1.0 spends the budget exactly in the period; None: no data.

    `lived` of `span`: how much of the window there was anything to count in. What is missing is expected to
    have had the same traffic and no bad events: burn = (bad / (eligible x span / lived)) / (1 - target).
    """
    budget = (target.scale - target.numerator) * (good + bad) * span
    return bad * target.scale * lived / budget if budget else None


def threshold(target: Ratio, factor: Ratio) -> tuple[int, int]:
    """Return (a, b) in lowest terms such that burn_rate >= factor  <=>  bad x a >= eligible x b."""
    a, b = target.scale * factor.scale, factor.numerator * (target.scale - target.numerator)
    common = gcd(a, b) or 1
    return a // common, b // common


def burns_at_least(target: Ratio, factor: Ratio, good: int, bad: int, lived: int = 1, span: int = 1) -> bool:
    """burn_rate >= factor, exactly, in integers; False without data."""
    eligible = good + bad
    a, b = threshold(target, factor)
    return eligible > 0 and bad * a * lived >= eligible * b * span


def greatest_burn_rate(target: Ratio) -> float:
    """1 / (1 - target): what a total outage burns; a factor above it can never fire."""
    return target.scale / (target.scale - target.numerator)


def time_to_exhaustion_s(target: Ratio, good: int, bad: int, window_us: int, rate: float | None) -> float | None:
    """Seconds until the budget is gone at burn `rate`; 0: it is gone; None: not burning, or no data."""
    left = budget_remaining_ratio(target, good, bad)
    if left is None or not rate:
        return None
    return max(left, 0.0) * window_us / 1e6 / rate


def period_exhaustion_s(target: Ratio, good: int, bad: int, lived_s: int, rate: float | None) -> float | None:
    """Seconds until the budget of a calendar's period so far is gone at burn `rate`, if traffic goes on as it was.

    That budget grows as traffic comes, so at 1 or less it never is: left x lived / (rate - 1). 0: it is gone; None:
    it lasts, or no data.
    """
    left = budget_remaining_ratio(target, good, bad)
    if left is None or not rate:
        return None
    if left <= 0:
        return 0.0
    return left * lived_s / (rate - 1) if rate > 1 else None
