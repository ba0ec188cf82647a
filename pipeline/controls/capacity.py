"""Concurrent request capacity: how many requests may be in flight at one endpoint while every SLO keeps its target.

    compliance   1 |-----------.__
          target   |- - - - - - - `-.- -      bins of in flight at admission; of each an interval of compliance
                   |              |  `--|
                   +--------------|-----|---> in flight at one endpoint
                              capacity  broken at

Law: capacity is the end of the highest bin in which every SLO's lower bound is at its target or above; what too few
events tell of says nothing. A bin is bounded by a line of log odds over log load through the bins around it, or by how
long requests took at these, put to its own load (pipeline/controls/shift.py), whichever is surer; and by its own events
alone where neither agrees with them (pipeline/controls/odds.py). Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import log
from statistics import NormalDist
from typing import Any, NamedTuple

from pipeline.controls.load_curve import Curve, curve_of
from pipeline.controls.odds import NO_TALLY, NOTHING, Bounds, Counts, Line, Tally, bounds, line
from pipeline.controls.shift import Shifts, Spread
from pipeline.controls.signal import check_life
from pipeline.slo import Ratio
from pipeline.spec.problems import Refused

BAD_LEAST = 5  #: of fewer bad events no line is drawn
Z_MISFIT = 3.0  #: what is so far from a line is not on it
NEIGHBOURS = 0.1  #: bins are 3 to 6 % apart; from one to the next shares change evenly
BENT = 1.25  #: where a curve is nearly flat its bend counts for more, and a line seems surer than it is
ALL = Bounds(0.0, 1.0)
MEASURED, AT_LEAST, UNMET, UNKNOWN = "measured", "at_least", "unmet", "unknown"


@dataclass(frozen=True)
class CapacitySpec:
    """What is looked at, and how sure capacity has to be."""

    every_s: float = 300.0
    ttl_s: float = 900.0
    window_s: float = 86_400.0  # a day, with its peak
    now_s: float = 300.0
    confidence_ratio: float = 0.95  # of each bound, one-sided
    kept_least: int = 30  # events of a bin that are kept whole; of fewer, it says nothing
    minutes_least: int = 3  # in which a load was met: one short incident is none of its own
    reach_ratio: float = 0.5  # bins that are looked at together: up to so much greater and smaller loads
    peak_ratio: float = 0.99  # of requests came to an endpoint with at most the peak in flight
    reserve: float = 1.2  # times the peak is what capacity has to be, definition 4.3
    stale_s: float = 60.0  # what is known ends so long ago: nothing is known of now

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence_ratio < 1:
            raise Refused("confidence must be at least 0.5 and below 1", "write confidence: 0.95")
        check_life(self.every_s, self.ttl_s)


@dataclass(frozen=True)
class Load:
    """Requests that found so many in flight at their endpoint."""

    least: int
    most: int
    minutes: int  # in which there was this load
    requests: float
    in_flight_sum: float
    requests_now: float
    in_flight_now: float
    requests_run: float
    residence_s_sum: float
    tallies: Mapping[str, Tally]
    spreads: Mapping[str, Spread] = field(default_factory=dict)  # of SLOs whose times all change alike with the load

    @property
    def mean(self) -> float:
        """Mean in flight."""
        return self.in_flight_sum / self.requests if self.requests else float(self.least)

    def __add__(self, other: "Load") -> "Load":
        """Take two variants together; minutes may be the same ones."""
        tallies = {
            slo: self.tallies.get(slo, NO_TALLY) + other.tallies.get(slo, NO_TALLY)
            for slo in {**self.tallies, **other.tallies}
        }
        spreads = dict(other.spreads)
        for slo, each in self.spreads.items():
            spreads[slo] = each + spreads[slo] if slo in spreads else each
        sums = ("requests", "in_flight_sum", "requests_now", "in_flight_now", "requests_run", "residence_s_sum")
        return replace(
            self, most=max(self.most, other.most), minutes=max(self.minutes, other.minutes), tallies=tallies,
            spreads=spreads,
            **{name: getattr(self, name) + getattr(other, name) for name in sums},
        )  # fmt: skip


class Held(NamedTuple):
    """What loads did to one SLO. None: no load was seen to."""

    slo: str
    kept_at: int | None  # the greatest load that keeps it
    broken_at: int | None  # the least load above that breaks it
    likely_at: int | None = None  # the greatest load that likely keeps it, between the two
    is_by_load: bool = True  # kept at no load, and the less the greater it is: it may be kept at smaller ones

    @property
    def state(self) -> str:
        if self.broken_at is None:
            return AT_LEAST if self.kept_at else UNKNOWN  # that one alone is served well says nothing
        return UNMET if self.kept_at is None else MEASURED


@dataclass(frozen=True)
class Capacity:
    """Of one endpoint of a service, a model and a variant ("": any)."""

    service: str
    model: str
    variant: str
    state: str
    in_flight: int | None  # keeps every SLO, but those that are broken alike at all loads
    likely: int | None  # the same, as likely as not
    broken_at: int | None  # the least load above that breaks one
    held: tuple[Held, ...]
    kept: int  # events
    peak: int | None
    now: float | None  # mean in flight at admission
    curve: Curve
    reserve: float

    @property
    def limited_by(self) -> str:
        """The SLO that is broken first; "": none was."""
        broken = [each for each in self.held if each.broken_at is not None and each.kept_at is not None]
        return min(broken, key=lambda each: (each.kept_at, each.broken_at, each.slo)).slo if broken else ""

    @property
    def headroom_ratio(self) -> float | None:
        """How much more capacity there is than the peak needs; negative: too little."""
        return None if self.in_flight is None or not self.peak else self.in_flight / (self.reserve * self.peak) - 1

    def named(self, state: str) -> list[str]:
        return [each.slo for each in self.held if each.state == state]


# -- one SLO, all bins
def held(spec: CapacitySpec, loads: Sequence[Load], slo: str, target: Ratio) -> Held:
    """Find the greatest load that keeps an SLO, and the least above that breaks it."""
    found, aim = judged(spec, loads, slo), float(target)
    kept_at = max((load.most for load, each in found if each.least >= aim), default=None)
    above = [(load, each) for load, each in found if kept_at is None or load.least > kept_at]
    broken_at = min((load.least for load, each in above if each.most < aim), default=None)
    return Held(
        slo, kept_at, broken_at, kept_at and _likely(found, kept_at, broken_at, aim),
        kept_at is not None or _is_by_load(spec, loads, slo),
    )  # fmt: skip


def _likely(found: Sequence[tuple[Load, Bounds]], kept_at: int, broken_at: int | None, aim: float) -> int:
    """The greatest load that likely keeps an SLO; between two neighbours of which the greater likely does not."""
    known = [(load, each.likely) for load, each in found if each.likely is not None and load.most >= kept_at]
    likely = max((load.most for load, keeps in known if keeps >= aim), default=kept_at)
    for (low, keeps), (high, breaks) in pairwise(known):
        if keeps >= aim > breaks and low.most == likely and _is_near(low.least, high.least, NEIGHBOURS):
            likely = round(low.mean + (high.mean - low.mean) * (keeps - aim) / (keeps - breaks))
    return max(likely if broken_at is None else min(likely, broken_at - 1), kept_at)


def _is_by_load(spec: CapacitySpec, loads: Sequence[Load], slo: str) -> bool:
    """Whether fewer of an SLO's requests are good at greater loads, for sure; of a single load it is not known."""
    seen = [load.tallies[slo] for load in loads if slo in load.tallies and load.tallies[slo].kept]
    if len(seen) < 2:
        return True
    z, half = NormalDist().inv_cdf(spec.confidence_ratio), len(seen) // 2
    good = sum((each.good for each in seen), NOTHING)
    small, great = (bounds(sum(some, NO_TALLY), good.each, z) for some in (seen[:half], seen[half:]))
    return small is None or great is None or great.most < small.least


def judged(spec: CapacitySpec, loads: Sequence[Load], slo: str) -> list[tuple[Load, Bounds]]:
    """Bound the compliance of every bin; from 0 to 1 where too little is known."""
    z = NormalDist().inv_cdf(spec.confidence_ratio)
    good = sum((load.tallies.get(slo, NO_TALLY).good for load in loads), NOTHING)
    timed = [load for load in loads if slo in load.spreads]
    lines = Shifts([each.mean for each in timed], [each.spreads[slo] for each in timed]).lines()
    shifted = {load.least: line for load, line in zip(timed, lines, strict=True)}
    return [(load, _judged(spec, load, loads, slo, good.each, z, shifted.get(load.least))) for load in loads]


def _judged(
    spec: CapacitySpec, load: Load, loads: Sequence[Load], slo: str, good_each: float, z: float, shifted: Line | None
) -> Bounds:
    """Bound one bin by those around it; by its own where these do not agree with what was seen."""
    around = [each for each in loads if _is_near(load.least, each.least, spec.reach_ratio)]
    own = _pooled(spec, [load], slo)
    drawn = None if own is None else _line(load, around, slo, good_each)
    if drawn is not None and slo in load.spreads:
        drawn = drawn._replace(error=BENT * drawn.error)
    found = [each for each in (shifted, drawn) if each is not None and load.minutes >= spec.minutes_least]
    if not found:
        return _by_order(spec, load, around, slo, good_each, z)
    sure = bounds(load.tallies.get(slo, NO_TALLY), good_each, Z_MISFIT) or ALL
    agreeing = [each for each in found if sure.least <= each.compliance <= sure.most]
    if agreeing:
        return min(agreeing, key=lambda each: each.error).bounds(z)
    return ALL if own is None else bounds(own, good_each, z) or ALL


def _line(load: Load, around: Sequence[Load], slo: str, good_each: float) -> Line | None:
    tallies = [each.tallies.get(slo, NO_TALLY) for each in around]
    if sum(each.bad.kept for each in tallies) < BAD_LEAST:
        return None
    places = (log(max(each.least, 1) / max(load.least, 1)) for each in around)
    return line(zip(places, tallies, strict=True), good_each)


def _is_near(load: int, other: int, reach: float) -> bool:
    return max(load, other) <= (1 + reach) * min(load, other)


def _by_order(spec: CapacitySpec, load: Load, around: Sequence[Load], slo: str, good_each: float, z: float) -> Bounds:
    """Bound one bin that no line says anything of: more load never makes it better."""
    at = around.index(load)
    ranges = [load], around[at:], around[: at + 1]
    own, above, below = (
        (bounds(tally, good_each, z) if (tally := _pooled(spec, some, slo)) else None) or ALL for some in ranges
    )
    return Bounds(max(own.least, above.least), min(own.most, below.most), own.likely)


def _pooled(spec: CapacitySpec, loads: Sequence[Load], slo: str) -> Tally | None:
    """What an SLO says of some loads together; None: of too few events, or too short a time."""
    tally = sum((load.tallies.get(slo, NO_TALLY) for load in loads), NO_TALLY)
    is_enough = max(load.minutes for load in loads) >= spec.minutes_least and tally.kept >= spec.kept_least
    return tally if is_enough else None


# -- one endpoint
def capacity_of(
    spec: CapacitySpec, names: tuple[str, str, str], loads: Sequence[Load], targets: Mapping[str, Ratio]
) -> Capacity:
    """Judge all loads of a service, a model and a variant. `loads`: in ascending order."""
    each = tuple(held(spec, loads, slo, target) for slo, target in targets.items())
    is_hopeless = any(one.state == UNMET and one.is_by_load for one in each)
    kept = [] if is_hopeless else [one for one in each if one.state in (MEASURED, AT_LEAST)]
    in_flight = min((one.kept_at or 0 for one in kept), default=None)
    broken = (one.broken_at for one in each if one.broken_at is not None and one.is_by_load)
    states = {one.state for one in each}
    state = next((state for state in (UNMET, MEASURED, AT_LEAST) if state in states), UNKNOWN)
    recent = sum(load.requests_now for load in loads)
    return Capacity(
        *names, state, in_flight, min((one.likely_at or 0 for one in kept), default=None),
        min(broken, default=None), each, round(sum(_kept(load) for load in loads)),
        peak(loads, spec.peak_ratio), sum(load.in_flight_now for load in loads) / recent if recent else None,
        curve_of((load.in_flight_sum / load.requests, load.residence_s_sum / load.requests_run, load.requests_run)
                 for load in loads if load.requests_run > 0 and load.residence_s_sum > 0),
        spec.reserve,
    )  # fmt: skip


def _kept(load: Load) -> float:
    return max((tally.kept for tally in load.tallies.values()), default=0.0)


def peak(loads: Sequence[Load], share: float) -> int | None:
    """The load that this share of requests met at most."""
    total, below = sum(load.requests for load in loads), 0.0
    for load in loads:
        below += load.requests
        if below >= share * total:
            return load.most
    return None


# -- all of them
def load_of(row: Mapping[str, Any]) -> Load:
    """Read a row of infra/clickhouse/controls/capacity.sql."""
    names = ("good_kept", "good", "good_squares", "bad_kept", "bad", "bad_squares")
    columns = zip(row["slos"], *(row[name] for name in names), strict=True)
    same = ("least", "most", "minutes", "requests", "in_flight_sum", "requests_now", "in_flight_now", "requests_run",
            "residence_s_sum")  # fmt: skip
    sampled = Counts(row["kept"], row["sampled"], row["sampled_squares"])
    spreads = zip(row["slos"], row["spreads"], strict=True)
    return Load(
        tallies={slo: Tally(Counts(*six[:3]), Counts(*six[3:]), sampled) for slo, *six in columns},
        spreads={slo: Spread.of(*spread) for slo, spread in spreads if len(spread[0])},
        **{name: row[name] for name in same},
    )


def capacities(spec: CapacitySpec, rows: Iterable[Mapping[str, Any]]) -> list[Capacity]:
    """Judge every variant, and all variants of a model together."""
    loads, targets = _gathered(rows)
    return [capacity_of(spec, names, loads[names], targets[names[0]]) for names in sorted(loads)]


def intervals(
    spec: CapacitySpec, rows: Iterable[Mapping[str, Any]], names: tuple[str, str, str]
) -> list[dict[str, Any]]:
    """Tell what every load of a service, a model and a variant does to every SLO that says something of it."""
    loads, targets = _gathered(rows)
    return [
        {"slo": slo, "target": float(target), "in_flight_least": load.least, "in_flight_most": load.most,
         "kept": load.tallies[slo].kept, "least": told.least, "most": told.most}
        for slo, target in targets[names[0]].items()
        for load, told in judged(spec, loads[names], slo)
        if load.tallies[slo].kept
    ]  # fmt: skip


def _gathered(
    rows: Iterable[Mapping[str, Any]],
) -> tuple[dict[tuple[str, str, str], list[Load]], dict[str, dict[str, Ratio]]]:
    """Sort loads by service, model and variant, and add variants up under ""; targets by service and SLO."""
    loads: dict[tuple[str, str, str], dict[int, Load]] = {}
    targets: dict[str, dict[str, Ratio]] = {}
    for row in rows:
        load = load_of(row)
        targets[row["service"]] = dict(zip(row["slos"], map(Ratio.parse, row["targets"]), strict=True))
        for variant in dict.fromkeys(("", row["variant"])):
            bins = loads.setdefault((row["service"], row["model"], variant), {})
            bins[load.least] = bins[load.least] + load if load.least in bins else load
    return {names: [bins[least] for least in sorted(bins)] for names, bins in loads.items()}, targets
