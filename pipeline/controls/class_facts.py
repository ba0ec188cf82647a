"""How each class of a service and a model fares: its promises, what was offered, and what of that was shed.

Rows come from infra/clickhouse/controls/shed_*.sql: SLO instances with their counts of the last seconds and of their
own window; load by tenant and priority; how the load of a priority splits into objectives. Laws: counts of an SLO's
instances are summed before anything is divided. Load is known by priority exactly; where a priority makes several
classes, it is split as the events that are kept say, and then is told to be estimated. Of several vantages the one that
reports most counts. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from pipeline import slo
from pipeline.controls.classes import ClassRule, ServiceClass, class_of
from pipeline.controls.questions import Row, Rows

Key = tuple[str, str]  # service, model; "": all of its models
PARTS = 10  #: a distribution is told by its quantiles at 0, 0.1 .. 1
#: questions
PROMISES, LOAD, SPLIT, ENDPOINTS = "shed_promises", "shed_load", "shed_split", "shed_endpoints"
PINNED = "pinned_"  #: of columns that say what an SLO's selector pins of a class


class Promise(NamedTuple):
    """One SLO of a class: the sums of its instances."""

    slo: str
    target: float
    good: int  # of the last seconds
    bad: int
    window_good: int  # of the SLO's own window
    window_bad: int
    is_alerted: bool  # a critical alert is open

    @property
    def burn_rate(self) -> float | None:
        """Of the last seconds; None: no data."""
        return slo.burn_rate(slo.Ratio.parse(repr(self.target)), self.good, self.bad)

    def burns_at_least(self, factor: float) -> bool:
        """burn_rate >= factor, exactly; False without data."""
        target = slo.Ratio.parse(repr(self.target))
        return slo.burns_at_least(target, slo.Ratio.parse(repr(factor)), self.good, self.bad)


@dataclass
class Load:
    """What was offered in the last seconds; work is known of what was served."""

    requests: float = 0.0
    shed: float = 0.0
    served: float = 0.0
    work: float = 0.0

    def add(self, row: Row, shares: Mapping[str, float]) -> None:
        self.requests += row["requests"] * shares["requests"]
        self.shed += row["shed"] * shares["shed"]
        self.served += row["served"] * shares["served"]
        self.work += row["work"] * shares["served"]

    @property
    def shed_ratio(self) -> float | None:
        return self.shed / self.requests if self.requests else None


@dataclass
class ClassFacts:
    """What is known of one class."""

    promises: list[Promise] = field(default_factory=list)
    load: Load = field(default_factory=Load)
    tenants: dict[str, Load] = field(default_factory=dict)
    priority_classes: set[str] = field(default_factory=set)
    is_estimated: bool = False
    queued_s: list[tuple[float, float]] = field(default_factory=list)  # seconds in the queue, of how many requests
    works: list[tuple[float, float]] = field(default_factory=list)  # work of a request, of how many

    @property
    def worst(self) -> Promise | None:
        """The promise that burns most; None: no data of any."""
        known = [each for each in self.promises if each.good + each.bad]
        return max(known, key=lambda each: (each.burn_rate or 0.0, each.slo), default=None)


@dataclass
class Situation:
    """A service and a model over the last seconds."""

    known_until_us: int
    window_s: float
    classes: dict[ServiceClass, ClassFacts] = field(default_factory=dict)
    endpoints: dict[Key, int] = field(default_factory=dict)  # model, variant -> how many have served lately

    def of(self, service_class: ServiceClass) -> ClassFacts:
        return self.classes.setdefault(service_class, ClassFacts())


def situations(rules: Sequence[ClassRule], rows: Rows, window_s: float) -> dict[Key, Situation]:
    """Sort rows by service, model and class. Where nothing is promised to any class there is no situation."""
    found: dict[Key, Situation] = {}
    for sums in _summed(rules, rows[PROMISES]):
        place = (sums["service"], sums["model"])
        situation = found.setdefault(place, Situation(sums["known_until_us"], window_s))
        situation.of(sums["class"]).promises.append(Promise(*(sums[name] for name in Promise._fields)))
    weights = _weights(rows[SPLIT])
    for row in _greatest_vantage(rows[LOAD]):
        for situation in _about(found, row):
            _add_load(rules, situation, row, weights)
    for row in rows[SPLIT]:
        for situation in _about(found, row):
            _add_distributions(rules, situation, row)
    for row in rows[ENDPOINTS]:
        for situation in _about(found, row):
            situation.endpoints[row["model"], row["variant"]] = row["endpoints"]
    return found


def _about(found: Mapping[Key, Situation], row: Row) -> list[Situation]:
    """Situations that a load belongs to: that of its model, and that of all models."""
    return [found[place] for place in ((row["service"], row["model"]), (row["service"], "")) if place in found]


def _summed(rules: Sequence[ClassRule], rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Sum instances of an SLO by class and model."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    counts = ("good", "bad", "window_good", "window_bad")
    for row in rows:
        pinned = {name: row[PINNED + name] for name in ("priority_class", "objective", "request_model")}
        labels = {**{name: value for name, value in pinned.items() if value}, **row["labels"], "slo": row["slo"]}
        if (service_class := class_of(rules, labels)) is None:
            continue
        model = labels.get("request_model", "")
        place = (row["service"], model, service_class, row["slo"], row["target"])
        unset = {**row, "model": model, "class": service_class, "is_alerted": False, **dict.fromkeys(counts, 0)}
        total = sums.setdefault(place, unset)
        for name in counts:
            total[name] += row[name]
        total["is_alerted"] |= row["severity"] == "CRITICAL"
    return list(sums.values())


def _greatest_vantage(rows: Iterable[Row]) -> list[Row]:
    """Keep the vantage of each service and model that reports most requests."""
    places: dict[Key, dict[str, list[Row]]] = {}
    for row in rows:
        places.setdefault((row["service"], row["model"]), {}).setdefault(row["vantage"], []).append(row)
    return [
        row
        for vantages in places.values()
        for row in max(sorted(vantages.items()), key=lambda each: sum(row["requests"] for row in each[1]))[1]
    ]


COUNTED = ("requests", "shed", "served")  #: each is split by its own weights: shedding prefers some objectives
Weights = Mapping[tuple[str, ...], Mapping[str, Row]]


def _weights(rows: Iterable[Row]) -> Weights:
    """(service, model, priority class) -> objective -> how many, as the events that are kept weigh them."""
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row["service"], row["model"], row["priority_class"]), {})[row["objective"]] = row
    return found


def _add_load(rules: Sequence[ClassRule], situation: Situation, row: Row, weights: Weights) -> None:
    labels = {"tenant_id": row["tenant_id"], "priority_class": row["priority_class"], "request_model": row["model"]}
    mine = weights.get((row["service"], row["model"], row["priority_class"]), {})
    classes = {objective: class_of(rules, {**labels, "objective": objective}) for objective in mine}
    classes = classes or {"": class_of(rules, labels)}  # no event was kept: which objectives there are is not known
    for objective, service_class in classes.items():
        if service_class is None:
            continue
        shares = {name: _share(mine, objective, name) for name in COUNTED}
        facts = situation.of(service_class)
        facts.load.add(row, shares)
        facts.tenants.setdefault(row["tenant_id"], Load()).add(row, shares)
        facts.priority_classes.add(row["priority_class"])
        facts.is_estimated |= len(set(classes.values())) > 1


def _share(mine: Mapping[str, Row], objective: str, name: str) -> float:
    """Share of an objective, of all that are known; by requests while nothing of the kind was kept."""
    if not mine:
        return 1.0
    by = name if any(each[name] for each in mine.values()) else "requests"
    total = sum(each[by] for each in mine.values())
    return mine[objective][by] / total if total else 0.0


def _add_distributions(rules: Sequence[ClassRule], situation: Situation, row: Row) -> None:
    labels = {name: row[name] for name in ("priority_class", "objective")} | {"request_model": row["model"]}
    service_class = class_of(rules, labels)
    if service_class is None:
        return
    facts = situation.of(service_class)
    for quantiles, points in ((row["queued_s"], facts.queued_s), (row["request_work"], facts.works)):
        points += [((low + high) / 2, row["requests"] / PARTS) for low, high in pairwise(quantiles)]


def cut_above(points: Iterable[tuple[float, float]], share: float) -> float | None:
    """Return the least known value above which no more than a share of all weight lies; None: nothing is known."""
    ordered = sorted(points)
    allowed = share * sum(weight for _, weight in ordered)
    found = None
    for value, weight in reversed(ordered):
        found, allowed = value, allowed - weight
        if allowed < 0:
            break
    return found
