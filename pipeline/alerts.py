"""Burn-rate alerts: what a policy is. The machine that runs it lives beside.

Pure. One alert per SLO instance; severity is a field.
"""

from dataclasses import dataclass
from enum import IntEnum

from pipeline.slo import Ratio


class Severity(IntEnum):
    """As in BurnRateAlert and SloStatus."""

    NONE = 0
    INFO = 1
    WARNING = 2
    CRITICAL = 3


@dataclass(frozen=True)
class WindowPair:
    """Met when both windows burn at `factor` or more."""

    severity: Severity
    factor: Ratio
    long_us: int
    short_us: int


@dataclass(frozen=True)
class Guards:
    """Least evidence, in the long window, without which nothing fires."""

    min_events: int = 30
    min_bad: int = 3
    min_coverage: Ratio = Ratio(1, 2)


@dataclass(frozen=True)
class ClearRule:
    """Resolved when the burn stays under (1 - margin) x factor for `hold_us`."""

    margin: Ratio = Ratio(1, 10)
    hold_us: int = 60_000_000


@dataclass(frozen=True)
class AlertPolicy:
    """When an SLO instance alerts."""

    pairs: tuple[WindowPair, ...]
    guards: Guards = Guards()
    clear: ClearRule = ClearRule()
