"""What an endpoint serves by how much is in flight at it, and how long a burst lasts until that passes a limit.

Little's law of every load: served a second = in flight / residence. In flight grows by what comes and falls by what is
served:  dn/dt = factor x arrivals - served(n).  That holds while load changes slowly against a request's residence.
Law: served(n) never falls with n; a factor that some load below the limit serves lasts for ever. Pure.
"""

from collections.abc import Iterable
from typing import NamedTuple

STEPS = 400  #: of a burst's way to the limit


class Point(NamedTuple):
    """One load: in flight at an endpoint, requests it serves a second, and how many requests say so."""

    in_flight: float
    served: float
    weight: float


Curve = tuple[Point, ...]  #: in ascending order of both


def curve_of(loads: Iterable[tuple[float, float, float]]) -> Curve:
    """Make a curve of (in flight, residence in seconds, requests): least squares among those that never fall.

    Source: the pool-adjacent-violators algorithm, Ayer et al., 1955.
    """
    pooled: list[list[Point]] = []
    for in_flight, residence_s, weight in sorted(loads):
        if in_flight <= 0:
            continue
        pooled.append([Point(in_flight, in_flight / residence_s, weight)])
        while len(pooled) > 1 and _mean(pooled[-2]) >= _mean(pooled[-1]):
            last = pooled.pop()
            pooled[-1] += last
    return tuple(Point(each.in_flight, _mean(pool), each.weight) for pool in pooled for each in pool)


def _mean(pool: list[Point]) -> float:
    return sum(each.served * each.weight for each in pool) / sum(each.weight for each in pool)


def served(curve: Curve, in_flight: float) -> float:
    """Requests a second at a load: straight between points, from nothing at none, level behind the last."""
    before = Point(0.0, 0.0, 0.0)
    for each in curve:
        if in_flight <= each.in_flight:
            share = (in_flight - before.in_flight) / (each.in_flight - before.in_flight)
            return min(before.served + share * (each.served - before.served), each.served)  # rounding goes past it
        before = each
    return before.served


def sustained_ratio(curve: Curve, now: float, limit: float) -> float | None:
    """How many times the load of now can stay for ever; None: there is none now, or no telling."""
    rate = served(curve, now)
    return served(curve, limit) / rate if rate > 0 else None


def burst_s(curve: Curve, now: float, limit: float, factor: float) -> float | None:
    """Seconds until `factor` times the load of now passes the limit; None: never, or no telling."""
    arrivals, step, lasted_s = factor * served(curve, now), (limit - now) / STEPS, 0.0
    if arrivals <= 0:
        return None
    for number in range(STEPS if step > 0 else 0):
        grown = arrivals - served(curve, now + (number + 0.5) * step)
        if grown <= 0:
            return None
        lasted_s += step / grown
    return lasted_s
