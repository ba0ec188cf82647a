"""The fleet in memory: every SLO instance as ClickHouse last said, filtered, sorted, grouped and cut into pages.

Pure. Ten thousand rows are small: one snapshot answers every list. Law: pages of one snapshot hold each row once; what
is unknown comes last, whatever is sorted by; only what is known to be well stands as `ok`.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from pipeline.standing import STANDINGS, Freshness, standing
from pipeline.web.answers import Burn, Contract, Group, OpenAlert, Rates, Row, Sibling
from pipeline.web.parameters import FleetQuery, sealed

RANK = {name: rank for rank, name in enumerate(STANDINGS)}
STEP_S, STEPS = 300, 36  #: of trends


class Instance(NamedTuple):
    """A row of infra/clickhouse/page/fleet.sql, in its order."""

    slo: str
    instance: str
    labels: Mapping[str, str]
    service: str
    revision: str
    target: float
    window_start: datetime
    window_end: datetime
    judged_at: datetime
    good: int
    bad: int
    excluded: int
    compliance_ratio: float | None
    coverage_ratio: float
    state: str
    severity: str
    budget_remaining_ratio: float | None
    budget_minutes: float
    time_to_exhaustion_s: float | None
    exhaustion_burn_rate: float | None
    sla_target: float | None
    sla_budget_remaining_ratio: float | None
    windows: Sequence[tuple[int, float | None, float]]
    late: int

    @property
    def key(self) -> tuple[str, str]:
        return self.slo, self.instance

    @property
    def burn_rate(self) -> float | None:
        """Over the shortest window."""
        return self.windows[0][1] if self.windows else None


class Known(NamedTuple):
    """What SLO files say of an SLO, as far as lists show it."""

    labels: Mapping[str, str]
    metric: str
    description: str


@lru_cache(maxsize=50_000)
def id_of(slo: str, instance: str) -> str:
    """Name an SLO instance in a way that fits everywhere."""
    return sha256(f"{slo}\0{instance}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Snapshot:
    """Every SLO instance, as of one moment."""

    rows: Sequence[Instance]
    as_of: datetime
    sql: str
    freshness: Freshness
    staleness: str = ""  # why all of it is not of now; empty: it is
    known: Mapping[str, Known] = field(default_factory=dict)
    alerts: Mapping[tuple[str, str], Sequence[OpenAlert]] | None = field(default_factory=dict)  # None: not known
    _orders: dict[tuple[str, bool], "Order"] = field(default_factory=dict, repr=False)

    @property
    def watermark(self) -> datetime | None:
        return self.freshness.event_time

    @cached_property
    def standings(self) -> list[str]:
        is_stale = bool(self.staleness)
        return [
            standing(row.state, row.severity, row.compliance_ratio, row.budget_remaining_ratio, is_stale)
            for row in self.rows
        ]

    @cached_property
    def texts(self) -> list[str]:
        """What words are looked for in, a row each."""
        of_slo = {name: " ".join(each.labels.values()) for name, each in self.known.items()}
        return [f"{row.slo} {row.instance} {row.service} {of_slo.get(row.slo, '')}".lower() for row in self.rows]

    @cached_property
    def places(self) -> dict[tuple[str, str], int]:
        return {row.key: place for place, row in enumerate(self.rows)}

    @cached_property
    def open_alerts(self) -> dict[str, int] | None:
        """How many alerts are open, by severity; None: it is not known."""
        if self.alerts is None:
            return None
        found = Counter(alert.severity.lower() for each in self.alerts.values() for alert in each)
        return {name: found[name] for name in ("critical", "warning", "info")}

    @property
    def fresh(self) -> dict[str, Any]:
        """What every answer says of how fresh it is."""
        return {
            "as_of": self.as_of, "watermark": self.watermark, "stale": bool(self.staleness),
            "stale_s": self.freshness.judged_before_s, "stale_reason": self.staleness,
        }  # fmt: skip

    def ordered(self, sort: str, is_turned: bool) -> "Order":
        """Return all rows in an order, which is made once."""
        if (sort, is_turned) not in self._orders:
            self._orders[sort, is_turned] = _order(self, sort, is_turned)
        return self._orders[sort, is_turned]

    def labels_of(self, row: Instance) -> Mapping[str, str]:
        """The labels to filter and group by: the instance's, over those of its SLO."""
        known = self.known.get(row.slo)
        return {**known.labels, **row.labels} if known else row.labels


def _least(value: float | None) -> tuple[int, float]:
    return (1, 0.0) if value is None else (0, value)


def _greatest(value: float | None) -> tuple[int, float]:
    return (1, 0.0) if value is None else (0, -value)


#: what rows are ordered by, a tuple each; names and instances come after it
SORTS: dict[str, Callable[[Instance, str], tuple[Any, ...]]] = {
    "standing": lambda row, is_so: (RANK[is_so], *_greatest(row.burn_rate), *_least(row.budget_remaining_ratio)),
    "slo": lambda row, is_so: (),
    "service": lambda row, is_so: (row.service,),
    "compliance": lambda row, is_so: _least(row.compliance_ratio),
    "budget": lambda row, is_so: _least(row.budget_remaining_ratio),
    "burn": lambda row, is_so: _greatest(row.burn_rate),
    "coverage": lambda row, is_so: _least(row.coverage_ratio),
    "exhaustion": lambda row, is_so: _least(row.time_to_exhaustion_s),
}
TURNED: dict[str, Callable[[Instance, str], tuple[Any, ...]]] = {
    **SORTS,
    "compliance": lambda row, is_so: _greatest(row.compliance_ratio),
    "budget": lambda row, is_so: _greatest(row.budget_remaining_ratio),
    "burn": lambda row, is_so: _least(row.burn_rate),
    "coverage": lambda row, is_so: _greatest(row.coverage_ratio),
    "exhaustion": lambda row, is_so: _greatest(row.time_to_exhaustion_s),
    "standing": lambda row, is_so: (-RANK[is_so], *_least(row.burn_rate), *_greatest(row.budget_remaining_ratio)),
}


class Turned(str):
    """A name that is ordered from the end."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)

    def __le__(self, other: str) -> bool:
        return str.__ge__(self, other)

    def __gt__(self, other: str) -> bool:
        return str.__lt__(self, other)

    def __ge__(self, other: str) -> bool:
        return str.__le__(self, other)


def matched(snapshot: Snapshot, query: FleetQuery) -> list[int]:
    """Which rows are asked for."""
    places: Iterable[int] = range(len(snapshot.rows))
    rows, standings = snapshot.rows, snapshot.standings
    if query.slo:
        places = (place for place in places if rows[place].slo == query.slo)
    if query.service:
        places = (place for place in places if rows[place].service == query.service)
    if query.standings:
        places = (place for place in places if standings[place] in query.standings)
    if query.words:
        texts = snapshot.texts
        places = (place for place in places if all(word in texts[place] for word in query.words))
    for name, value in query.labels:
        places = [place for place in places if snapshot.labels_of(rows[place]).get(name) == value]
    return list(places)


def group_of(snapshot: Snapshot, place: int, group: str) -> str:
    """The value of a row that it is grouped by; empty: it has none."""
    row = snapshot.rows[place]
    if group.startswith("label:"):
        return snapshot.labels_of(row).get(group.removeprefix("label:"), "")
    return snapshot.standings[place] if group == "standing" else str(getattr(row, group))


class Order(NamedTuple):
    """Every row in an order: which come after each other, and what each is ordered by."""

    places: Sequence[int]
    keys: Sequence[tuple[Any, ...]]  # of each place


def _order(snapshot: Snapshot, sort: str, is_turned: bool) -> Order:
    made = (TURNED if is_turned else SORTS)[sort]
    name = Turned if is_turned and sort in {"slo", "service"} else str
    keys = [
        (
            *(name(part) if isinstance(part, str) else part for part in made(row, is_so)),
            name(row.slo),
            name(row.instance),
        )
        for row, is_so in zip(snapshot.rows, snapshot.standings, strict=True)
    ]
    return Order(sorted(range(len(keys)), key=keys.__getitem__), keys)


@dataclass(frozen=True)
class Listed:
    """Rows in order, with the key that each is ordered by."""

    places: Sequence[int]
    keys: Sequence[tuple[Any, ...]]
    summary: dict[str, int]
    groups: list[Group] | None


def listed(snapshot: Snapshot, query: FleetQuery) -> Listed:
    """Filter, group and sort."""
    wanted, order = set(matched(snapshot, query)), snapshot.ordered(query.sort, query.is_turned)
    places = [place for place in order.places if place in wanted]
    summary = _summary(snapshot.standings[place] for place in places)
    if not query.group:
        return Listed(places, [order.keys[place] for place in places], summary, None)
    of_group = {place: group_of(snapshot, place, query.group) for place in places}
    groups = _groups(snapshot, of_group)
    worst = {each.key: min(RANK[is_so] for is_so, count in each.summary.items() if count) for each in groups}
    heads = {place: (worst[group], group) for place, group in of_group.items()}
    places.sort(key=heads.__getitem__)  # within a group they stay in order
    return Listed(places, [(*heads[place], *order.keys[place]) for place in places], summary, groups)


def _summary(standings: Iterable[str]) -> dict[str, int]:
    found = Counter(standings)
    return {name: found[name] for name in STANDINGS}


def _groups(snapshot: Snapshot, of_group: Mapping[int, str]) -> list[Group]:
    members: dict[str, list[int]] = {}
    for place, key in of_group.items():
        members.setdefault(key, []).append(place)
    found = [
        Group(
            key=key, instances=len(places), summary=_summary(snapshot.standings[place] for place in places),
            compliance_ratio=_worst(snapshot.rows[place].compliance_ratio for place in places),
            budget_remaining_ratio=_worst(snapshot.rows[place].budget_remaining_ratio for place in places),
        )
        for key, places in members.items()
    ]  # fmt: skip
    return sorted(found, key=lambda each: (min(RANK[name] for name, count in each.summary.items() if count), each.key))


def _worst(values: Iterable[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def page(found: Listed, query: FleetQuery) -> tuple[Sequence[int], str | None]:
    """Return the rows of a page, and the cursor of the next."""
    first = 0
    if query.after is not None:
        first = _after(found.keys, query.after)
    places = found.places[first : first + query.limit]
    is_end = first + query.limit >= len(found.places)
    return places, None if is_end else sealed(found.keys[first + len(places) - 1], query.signature)


def _after(keys: Sequence[tuple[Any, ...]], after: tuple[Any, ...]) -> int:
    """Where the first key is that is greater; a key of another shape is greater than all."""
    try:
        return bisect_right(keys, after)
    except TypeError:
        return len(keys)


def row_of(snapshot: Snapshot, place: int, trend: Rates | None = None) -> Row:
    """Put a row as the API says it."""
    row, known = snapshot.rows[place], snapshot.known.get(snapshot.rows[place].slo)
    has_contract = row.sla_target is not None
    return Row(
        id=id_of(*row.key), slo=row.slo, instance=row.instance, labels=dict(row.labels), service=row.service,
        slo_labels=dict(known.labels) if known else None, metric=known.metric if known else None,
        description=known.description if known else None, revision=row.revision, target=row.target,
        window_start=row.window_start, window_end=row.window_end,
        window_s=round((row.window_end - row.window_start).total_seconds()),
        good=row.good, bad=row.bad, excluded=row.excluded, compliance_ratio=row.compliance_ratio,
        coverage_ratio=row.coverage_ratio, budget_remaining_ratio=row.budget_remaining_ratio,
        budget_minutes=row.budget_minutes, time_to_exhaustion_s=row.time_to_exhaustion_s,
        exhaustion_burn_rate=row.exhaustion_burn_rate,
        sla=Contract(target=row.sla_target or 0.0, budget_remaining_ratio=row.sla_budget_remaining_ratio)
        if has_contract else None,
        burn=[Burn(window_s=w, burn_rate=rate, coverage_ratio=covered) for w, rate, covered in row.windows],
        burn_rate=row.burn_rate, state=row.state, severity=row.severity, standing=snapshot.standings[place],
        alerts=None if snapshot.alerts is None else list(snapshot.alerts.get(row.key, ())), late=row.late, trend=trend,
    )  # fmt: skip


def sibling_of(snapshot: Snapshot, place: int) -> Sibling:
    """Put a row as the list of an SLO's instances says it."""
    row = snapshot.rows[place]
    return Sibling(
        id=id_of(*row.key), instance=row.instance, standing=snapshot.standings[place], burn_rate=row.burn_rate,
        budget_remaining_ratio=row.budget_remaining_ratio,
    )  # fmt: skip
