"""Holding back: why a receiver is not told of an alert now: its route, a silence, or an alert that explains it.

Pure. An alert explains another when an inhibition of the routes file says so, or when it is a composite's and the other
is of one of its members, of the same kind. It must be no less severe, and neither routed elsewhere nor silenced.
Law: what is explained away is so, in the end, by something that the receiver itself is told of. Of alerts that explain
each other the first is told.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain

from pipeline.alerts import Kind
from pipeline.delivery.matching import is_match, labels_of
from pipeline.delivery.notification import AlertEvent
from pipeline.delivery.routes import Inhibition, Routes
from pipeline.delivery.silences import Silence, silencing

NO_LABELS: Mapping[str, str] = {}


class Reason(StrEnum):
    """What holds an alert back."""

    ROUTE = "route"
    SILENCE = "silence"
    INHIBITION = "inhibition"


@dataclass(frozen=True)
class Promised:
    """What SLO files say that matters here, by SLO."""

    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    composites: Mapping[str, frozenset[str]] = field(default_factory=dict)  # member -> composites it is part of

    def labels_of(self, event: AlertEvent) -> dict[str, str]:
        """All labels of an alert."""
        return labels_of(event, self.labels.get(event.slo, NO_LABELS))


@dataclass
class Sources:
    """Open alerts that may explain others; `note` keeps them up to date."""

    inhibitions: tuple[Inhibition, ...]
    promised: Promised
    _of_rule: list[dict[str, AlertEvent]] = field(init=False)
    _of_composite: dict[str, dict[str, AlertEvent]] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with none."""
        self._of_rule = [{} for _ in self.inhibitions]
        composites = {name for names in self.promised.composites.values() for name in names}
        self._of_composite = {name: {} for name in composites}

    def note(self, event: AlertEvent) -> None:
        """Take the latest event of an alert."""
        labels = self.promised.labels_of(event)
        homes = [self._of_composite[event.slo]] if event.slo in self._of_composite else []
        for rule, known in zip(self.inhibitions, self._of_rule, strict=True):
            known.pop(event.dedup_key, None)
            if is_match(rule.source, labels):
                homes.append(known)
        for home in homes:
            home.pop(event.dedup_key, None)
            if event.is_open:
                home[event.dedup_key] = event

    def explaining(self, event: AlertEvent, labels: Mapping[str, str]) -> Iterable[AlertEvent]:
        """Return the open alerts that explain another, no less severe ones only."""
        for name in self.promised.composites.get(event.slo, ()):
            yield from (each for each in self._of_composite[name].values() if _explains(each, event, is_same_kind=True))
        for rule, known in zip(self.inhibitions, self._of_rule, strict=True):
            if not known or event.dedup_key in known or not is_match(rule.target, labels):
                continue
            for each in known.values():
                own = self.promised.labels_of(each)
                if _explains(each, event) and all(own.get(name, "") == labels.get(name, "") for name in rule.equal):
                    yield each


def _explains(source: AlertEvent, event: AlertEvent, is_same_kind: bool = False) -> bool:
    return source.severity >= event.severity and (not is_same_kind or source.kind is event.kind)


@dataclass
class Holding:
    """One receiver's view of what is held back. Silences are replaced when others are in force."""

    receiver: str
    routes: Routes
    sources: Sources
    silences: tuple[Silence, ...] = ()
    is_record: bool = False  # of all there is: neither silenced nor explained away

    def why(self, event: AlertEvent, is_told: bool, now_us: int) -> Reason | None:
        """Say why there is no news of an alert; None: there may be. Who was told hears on, whatever the route."""
        labels = self.sources.promised.labels_of(event)
        if not is_told and not self._leads_here(event, labels):
            return Reason.ROUTE
        if self.is_record:
            return None
        if silencing(self.silences, labels, now_us):
            return Reason.SILENCE
        return Reason.INHIBITION if self._is_explained(event, now_us) else None

    def is_routed(self, event: AlertEvent) -> bool:
        """Whether a route leads an alert here."""
        return self._leads_here(event, self.sources.promised.labels_of(event))

    def _leads_here(self, event: AlertEvent, labels: Mapping[str, str]) -> bool:
        """Nobody is told, hours later, that nobody could tell it."""
        if event.kind is Kind.RECEIVER_DOWN and event.labels.get("receiver") == self.receiver and not self.is_record:
            return False
        return self.receiver in self.routes.of(labels, event.severity, event.kind)

    def _is_explained(self, event: AlertEvent, now_us: int) -> bool:
        """Whether one that nothing explains is behind it all; when all go round in circles, the first of them is."""
        above: dict[str, AlertEvent] = {}
        ways = [self._explaining(event, now_us)]
        while ways:
            source = next(ways[-1], None)
            if source is None:
                ways.pop()
            elif source.dedup_key not in above:
                above[source.dedup_key] = source
                further = self._explaining(source, now_us)
                first = next(further, None)
                if first is None:
                    return True
                ways.append(chain((first,), further))
        return any(_rank(each) < _rank(event) for each in above.values())

    def _explaining(self, event: AlertEvent, now_us: int) -> Iterator[AlertEvent]:
        """Alerts that explain another and come here themselves."""
        for source in self.sources.explaining(event, self.sources.promised.labels_of(event)):
            labels = self.sources.promised.labels_of(source)
            if self._leads_here(source, labels) and silencing(self.silences, labels, now_us) is None:
                yield source


def _rank(event: AlertEvent) -> tuple[int, int, str]:
    return -event.severity, event.started_at, event.dedup_key
