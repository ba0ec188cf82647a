"""The Pareto frontier: which configurations of a model nobody beats in cost, latency and throughput at once.

Pure. A configuration is a variant in an epoch of its knobs; its measures are those of the hours it served, each hour
one observation, since requests of an hour share its load. Laws: whoever is on the frontier is dominated by none that
counts; only what had enough traffic and keeps its objectives counts; what cannot be told from luck is not called
dominated. Figures are compared on one basis: what was paid for replicas, in the hours in which that is known, where
it is known of all, else what was metered.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from pipeline.controls.files import NOT_WRITTEN
from pipeline.controls.signal import check_life
from pipeline.spec.problems import Refused

#: quantiles that are asked for, so that P99 has an interval by ranks: the q-th of n lies between those of q +- 2 errors
LEVELS = (0.95, 0.97, 0.98, 0.985, 0.988, 0.99, 0.992, 0.995, 0.998, 0.999, 0.9999)
P99 = LEVELS.index(0.99)
SURE = 1.96  #: standard errors of an interval of 95 %
LATENCIES = ("e2e", "ttft", "tpot")
PAID, METERED = "paid", "metered"
ON, DOMINATED, UNDECIDED, BREAKING, THIN = "on_frontier", "dominated", "undecided", "breaking", "thin"
STATES = (ON, DOMINATED, UNDECIDED, BREAKING, THIN)


@dataclass(frozen=True)
class FrontierSpec:
    """What counts as enough, and as sure."""

    every_s: float = 300.0
    ttl_s: float = 1_800.0
    window_s: float = 14 * 86_400.0  # of event time that is looked at
    running_s: float = 7_200.0  # what served so lately is running
    requests_least: int = 1_000
    hours_least: int = 3
    compliance_least_ratio: float = 0.99  # of requests that no SLO counts as bad
    confidence_least_ratio: float = 0.9
    latency: str = "e2e"  # whose P99 is compared: e2e, ttft or tpot
    service: str = field(default="", metadata=NOT_WRITTEN)  # asked about: all

    def __post_init__(self) -> None:
        if self.latency not in LATENCIES:
            raise Refused(f"latency must be one of {', '.join(LATENCIES)}", "write latency: e2e")
        check_life(self.every_s, self.ttl_s)


class Config(NamedTuple):
    """What is compared: a variant in an epoch, serving one class of a model."""

    service: str
    model: str
    priority_class: str
    variant: str
    epoch: str = ""  # "": no change ever named one

    @property
    def group(self) -> tuple[str, str, str]:
        """Whom it competes with."""
        return self[:3]

    @property
    def label(self) -> str:
        return f"{self.variant or 'default'}@{self.epoch}" if self.epoch else self.variant or "default"


class Hour(NamedTuple):
    """One hour of a configuration. None: not known."""

    at_s: int
    requests: int
    bad: int | None  # bad for some SLO
    output_tokens: int
    metered: int  # pico-USD
    gpu_us: int  # accelerator time: of replicas that were up where that is known, else of requests
    paid: int | None  # pico-USD for replicas that were up
    p99_us: float | None


class History(NamedTuple):
    """All hours of a configuration, and its quantiles at LEVELS over all of them."""

    config: Config
    hours: tuple[Hour, ...]
    quantiles_us: tuple[float, ...]  # empty: no request was measured


class Measure(NamedTuple):
    """A figure and its standard error."""

    value: float
    error: float

    @property
    def span(self) -> tuple[float, float]:
        """Where it lies, surely enough."""
        return self.value - SURE * self.error, self.value + SURE * self.error


class Point(NamedTuple):
    """A configuration, measured."""

    config: Config
    requests: int
    hours: int
    cost: Measure | None  # USD for a thousand output tokens
    p99_us: Measure | None
    throughput: Measure | None  # output tokens for a second of an accelerator
    compliance: Measure | None
    last_s: int
    usd_an_hour: float

    @property
    def axes(self) -> tuple[Measure | None, ...]:
        """All so that less is better."""
        through = self.throughput and Measure(-self.throughput.value, self.throughput.error)
        return self.cost, self.p99_us, through


class Placed(NamedTuple):
    """A point, and where it stands among those it competes with."""

    point: Point
    state: str
    confidence: float  # that the state is right
    by: Config | None  # who beats it by most cost
    distance: float  # by how much all its figures must improve until none beats it; 0: none does
    saving_ratio: float  # of its cost, at the one who beats it
    basis: str


# -- measures
def basis_of(histories: Iterable[History]) -> str:
    """What costs are compared by: what was paid, where that is known of some hours of each, or nothing else is.

    Snapshots, which say what was paid, are not kept for as long as hours are.
    """
    some = tuple(histories)
    is_paid = [any(hour.paid is not None for hour in each.hours) for each in some]
    is_metered = all(any(hour.metered for hour in each.hours) for each in some)
    return PAID if all(is_paid) or (any(is_paid) and not is_metered) else METERED


def point_of(history: History, basis: str) -> Point:
    """Measure a configuration."""
    hours = history.hours
    counted = [hour for hour in hours if basis == METERED or hour.paid is not None]
    spent = [float((hour.paid or 0) if basis == PAID else hour.metered) / 1e12 for hour in counted]
    tokens = [float(hour.output_tokens) for hour in counted]
    known = [hour for hour in hours if hour.bad is not None]
    good = ratio([hour.requests - (hour.bad or 0) for hour in known], [hour.requests for hour in known])
    return Point(
        config=history.config,
        requests=sum(hour.requests for hour in hours),
        hours=len(hours),
        cost=_scaled(ratio(spent, tokens), 1000) if sum(spent) > 0 else None,
        p99_us=p99(history),
        throughput=ratio(tokens, [hour.gpu_us / 1e6 for hour in counted]),
        compliance=good,
        last_s=max((hour.at_s for hour in hours), default=0),
        usd_an_hour=sum(spent) / len(spent) if spent else 0.0,
    )


def ratio(above: Sequence[float], below: Sequence[float]) -> Measure | None:
    """A ratio of sums, with the error that leaving out each hour in turn shows (the jackknife).

    Source: Efron, Stein, "The jackknife estimate of variance", Annals of Statistics 9, 1981.
    """
    top, bottom, count = sum(above), sum(below), len(above)
    if bottom <= 0:
        return None
    if count < 2:
        return Measure(top / bottom, math.inf)
    left = [(top - a) / (bottom - b) for a, b in zip(above, below, strict=True) if bottom - b > 0]
    middle = sum(left) / len(left) if left else 0.0
    variance = (len(left) - 1) / len(left) * sum((each - middle) ** 2 for each in left) if left else math.inf
    return Measure(top / bottom, _error(math.sqrt(variance), top / bottom))


def _error(error: float, value: float) -> float:
    """An error that is more than the rounding of floats; else none."""
    return error if error > abs(value) * 1e-12 else 0.0


def _scaled(measure: Measure | None, factor: float) -> Measure | None:
    return measure and Measure(measure.value * factor, measure.error * factor)


def p99(history: History) -> Measure | None:
    """P99 with the greater of two errors: that of ranks, as if requests were independent, and that of hours."""
    if not history.quantiles_us:
        return None
    requests = sum(hour.requests for hour in history.hours)
    width = SURE * math.sqrt(0.99 * 0.01 / max(requests, 1))
    of_ranks = (_quantile(history, 0.99 + width) - _quantile(history, 0.99 - width)) / (2 * SURE)
    return Measure(history.quantiles_us[P99], max(of_ranks, _error_of_hours(history.hours)))


def _quantile(history: History, level: float) -> float:
    """Read between the levels that are known; beyond them the last."""
    known = list(zip(LEVELS, history.quantiles_us, strict=True))
    for (low, least), (high, most) in pairwise(known):
        if level <= high:
            return least + (most - least) * max(level - low, 0) / (high - low)
    return known[-1][1]


def _error_of_hours(hours: Sequence[Hour]) -> float:
    known = [(float(hour.requests), hour.p99_us) for hour in hours if hour.p99_us is not None]
    whole = sum(weight for weight, _ in known)
    if len(known) < 2 or not whole:
        return math.inf
    middle = sum(weight * value for weight, value in known) / whole
    return _error(math.sqrt(sum((weight * (value - middle)) ** 2 for weight, value in known)) / whole, middle)


# -- who beats whom
def dominates(one: Point, other: Point) -> bool:
    """Nowhere worse, and somewhere better; what is not known of both is not compared."""
    pairs = [(a.value, b.value) for a, b in _pairs(one, other)]
    return bool(pairs) and all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _pairs(one: Point, other: Point) -> list[tuple[Measure, Measure]]:
    return [(a, b) for a, b in zip(one.axes, other.axes, strict=True) if a is not None and b is not None]


def sureness(one: Point, other: Point) -> float:
    """How sure it is that one is nowhere worse than another, each axis by itself, their errors normal."""
    found = 1.0
    for a, b in _pairs(one, other):
        error = math.hypot(a.error, b.error)
        gap = b.value - a.value
        found *= 0.5 if math.isinf(error) else float(gap >= 0) if error == 0 else normal(gap / error)
    return found


def normal(deviations: float) -> float:
    """The share of a normal distribution below so many standard deviations."""
    return 0.5 * (1 + math.erf(deviations / math.sqrt(2)))


def placed(histories: Sequence[History], spec: FrontierSpec) -> list[Placed]:
    """Place the configurations of one group, the cheapest first."""
    basis = basis_of(histories)
    points = [point_of(history, basis) for history in histories]
    fit = [point for point in points if state_of(point, spec) == ON]
    found = [_placed(point, fit, spec, basis) for point in points]
    return sorted(found, key=lambda each: (_cost(each.point), each.point.config))


def state_of(point: Point, spec: FrontierSpec) -> str:
    """Whether a point counts: THIN, BREAKING, or ON until another beats it."""
    if point.requests < spec.requests_least or point.hours < spec.hours_least or not point.cost or not point.p99_us:
        return THIN
    kept = point.compliance
    return BREAKING if kept is not None and kept.value < spec.compliance_least_ratio else ON


def _placed(point: Point, fit: Sequence[Point], spec: FrontierSpec, basis: str) -> Placed:
    state = state_of(point, spec)
    rivals = [each for each in fit if each.config != point.config]
    beaten = [each for each in rivals if dominates(each, point)] if state != THIN else []
    sure = max((sureness(each, point) for each in (beaten or rivals)), default=0.0)
    by = min(beaten, key=_cost, default=None)
    if state == ON and beaten:
        state = DOMINATED if sure >= spec.confidence_least_ratio else UNDECIDED
    confidence = {ON: 1 - sure, DOMINATED: sure, UNDECIDED: sure}.get(state, 1.0)
    distance = max((gap(each, point) for each in beaten), default=0.0)
    saving = 1 - _cost(by) / _cost(point) if by is not None and _cost(point) else 0.0
    return Placed(point, state, confidence, by.config if by else None, distance, saving, basis)


def gap(one: Point, other: Point) -> float:
    """The least share by which one is better than another on any axis."""
    gaps = []
    for a, b in _pairs(one, other):
        better, worse = (b.value, a.value) if a.value < 0 else (a.value, b.value)
        gaps.append(1 - better / worse if worse else 0.0)
    return max(min(gaps), 0.0) if gaps else 0.0


def _cost(point: Point) -> float:
    return point.cost.value if point.cost else math.inf


class Steps(NamedTuple):
    """What the next stricter and the next looser objective would cost, as configurations of the frontier."""

    here: Placed | None  # the cheapest that is as fast as what runs
    stricter: Placed | None
    looser: Placed | None


def steps(found: Sequence[Placed], running: Placed) -> Steps:
    """Walk along the frontier from what runs: faster, and slower."""
    curve = sorted((each for each in found if each.state == ON), key=_latency)
    here = min((each for each in curve if _latency(each) <= _latency(running)), key=_price, default=None)
    if here is None:
        return Steps(None, None, curve[0] if curve else None)
    faster = [each for each in curve if _latency(each) < _latency(here)]
    slower = [each for each in curve if _latency(each) > _latency(running) and _price(each) < _price(here)]
    return Steps(here, faster[-1] if faster else None, slower[0] if slower else None)


def _latency(each: Placed) -> float:
    return each.point.p99_us.value if each.point.p99_us else math.inf


def _price(each: Placed) -> float:
    return _cost(each.point)


def is_running(point: Point, points: Iterable[Point], spec: FrontierSpec) -> bool:
    """Whether it served lately, as event time goes."""
    return point.last_s + spec.running_s >= max(each.last_s for each in points)


def groups(histories: Iterable[History]) -> dict[tuple[str, str, str], list[History]]:
    """Configurations by whom they compete with."""
    found: dict[tuple[str, str, str], list[History]] = {}
    for each in histories:
        found.setdefault(each.config.group, []).append(each)
    return dict(sorted(found.items()))
