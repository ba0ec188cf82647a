"""Trying again: when a receiver may be asked next, and when it counts as down.

Pure: time and chance are arguments. After a failure the wait doubles from `first_us` to `longest_us`, and a draw in
[0, 1) takes up to half of it away, so that workers that failed together do not come back together. A receiver that
asks for a longer wait gets it, up to `asked_us_most`. After `failures_most` failures in a row the breaker is open:
the receiver is down, and one request at a time probes it.
"""

from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True)
class RetrySpec:
    """How long to wait."""

    first_us: int = 500_000
    longest_us: int = 30_000_000
    asked_us_most: int = 45_000_000  # under pipeline.health.STUCK_S: who waits is alive
    failures_most: int = 5


class Circuit(IntEnum):
    """As the gauge shows it."""

    CLOSED = 0
    OPEN = 1


@dataclass(frozen=True)
class Breaker:
    """One receiver's failures in a row."""

    failures: int = 0
    since_us: int = 0  # of the first of them
    retry_us: int = 0  # not before
    why: str = ""

    def circuit(self, spec: RetrySpec) -> Circuit:
        return Circuit.OPEN if self.failures >= spec.failures_most else Circuit.CLOSED


CLOSED = Breaker()


def failed(
    breaker: Breaker, spec: RetrySpec, now_us: int, draw: float, why: str, asked_us: int | None = None
) -> Breaker:
    """Note a failure; `asked_us`: how long the receiver wants to be left alone.

    Law: a failure before the time of the next attempt is one of several under way, and counts once.
    """
    if breaker.failures and now_us < breaker.retry_us:
        return breaker
    wait_us = min(spec.first_us << min(breaker.failures, 32), spec.longest_us)
    wait_us -= int(wait_us * draw / 2)
    if asked_us is not None:
        wait_us = max(wait_us, min(asked_us, spec.asked_us_most))
    since_us = breaker.since_us if breaker.failures else now_us
    return Breaker(breaker.failures + 1, since_us, now_us + wait_us, why)
