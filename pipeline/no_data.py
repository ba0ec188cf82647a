"""No data: the alert of an SLO of which nothing is known, because every source has fallen silent.

Pure. Without data the budget neither burns nor is safe, and a total outage looks just like it: so the alert is as
severe as the worst pair of the SLO. It fires when a whole slice is unmeasured, which is when the SLO's burn-rate
alerts freeze, and resolves when slices have been measured again for the hold time; the table of pipeline.alerts
says how. Coverage is a property of the sources, not of an instance: every judge partition knows it, and the one
that an SLO's name is routed to tells of it, once, however many instances there are. Nothing is missed before the
first event of any series was heard.
Told times and sequences follow from the judged second, so a replay tells the same.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.alerts import Alert, Judged, Kind, Notice, Severity, Watched, step
from pipeline.bindings import route
from pipeline.kernels.rings import SLICE_S
from pipeline.notices import REMOVED, SILENCED, Reading, Told, alert_columns, farewell
from pipeline.watermark import Coverage

Change = tuple[int, bool]  # second from which it holds, is silent


class NoData:
    """No-data alerts of the SLOs that one judge partition tells of."""

    def __init__(self, spec: Sequence[Watched], spans_s: Sequence[tuple[int, ...]]) -> None:
        """`spans_s`: of every SLO, as in Reading."""
        self.spec, self.spans_s = tuple(spec), tuple(spans_s)
        self.alerts = {watched.objective.name: Alert() for watched in self.spec}
        self.last: dict[str, dict[str, Any]] = {}  # SLO -> columns of its alert's last event, while that is open
        self.farewells: list[dict[str, Any]] = []  # columns of events that resolve what nobody judges any more
        self.is_heard = False
        self._owned: list[int] = []
        self._place: tuple[int, int] | None = None

    def own(self, partition: int, partitions: int) -> None:
        """Say which judge partition this is."""
        if self._place != (partition, partitions):
            self._place = partition, partitions
            alerting = [o for o, watched in enumerate(self.spec) if watched.policy.pairs]
            routes = [route(self.spec[o].objective.name, partitions) for o in alerting]
            self._owned = [o for o, where in zip(alerting, routes, strict=True) if where == partition]

    def judge(self, coverage: Coverage, after: int, until: int) -> list[Told]:
        """Take the seconds in (after, until]; the slices before `until` are settled."""
        changes = self._changes(coverage, after // SLICE_S, until // SLICE_S)
        if not changes and not any(alert.is_open for alert in self.alerts.values()):
            return []
        return [each for o in self._owned for each in self._judged(o, coverage, changes, after, until)]

    def _changes(self, coverage: Coverage, start: int, end: int) -> list[Change]:
        """What the slices of [start, end) say: once at the beginning, and where it changes."""
        is_empty = ~coverage.flags(start, end)
        if not self.is_heard and not is_empty.all():
            self.is_heard = True
            is_empty[: int(np.argmin(is_empty))] = False
        if not self.is_heard or not len(is_empty):
            return []
        places = [0, *(np.flatnonzero(np.diff(is_empty)) + 1).tolist()]
        return [((start + place + 1) * SLICE_S, bool(is_empty[place])) for place in places]

    def _judged(self, o: int, coverage: Coverage, changes: list[Change], after: int, until: int) -> Iterator[Told]:
        """Step one alert through the changes and the moments at which it asked to be woken."""
        name, policy = self.spec[o].objective.name, self.spec[o].policy
        for second, is_silent in (*changes, (until + 1, None)):
            alert = self.alerts[name]
            wake = alert.wake_s(policy.clear.hold_s)
            if wake is not None and wake < second:
                yield from self._step(o, Judged(max(wake, after + 1), alert.level), coverage)
            if is_silent is not None:
                worst = policy.pairs[self._worst(o)].severity
                yield from self._step(o, Judged(second, worst if is_silent else Severity.NONE), coverage)

    def _worst(self, o: int) -> int:
        pairs = self.spec[o].policy.pairs
        return max(range(len(pairs)), key=lambda p: pairs[p].severity)

    def _step(self, o: int, judged: Judged, coverage: Coverage) -> Iterator[Told]:
        watched = self.spec[o]
        before = self.alerts[watched.objective.name]
        alert, notice = step(before, judged, watched.policy.clear.hold_s)
        self.alerts[watched.objective.name] = alert
        if notice is not None:
            shown = before if notice is Notice.RESOLVED else alert
            told = Told(
                notice, watched, "", shown, self._worst(o), self._reading(o, judged.second, coverage), Kind.NO_DATA
            )
            self.last.pop(watched.objective.name, None)
            if notice is not Notice.RESOLVED:
                self.last[watched.objective.name] = alert_columns(told, 0)
            yield told

    def _reading(self, o: int, second: int, coverage: Coverage) -> Reading:
        """Nothing was counted; only what was measured is known."""
        spans = self.spans_s[o]
        measured = [coverage.measured(span, second) for span in spans]
        return Reading(second, second, spans, [(0, 0)] * len(spans), measured, 0, 0, 0)

    def snapshot(self) -> dict[str, Any]:
        """Write what is not as it begins."""
        alerts = {name: alert.numbers for name, alert in self.alerts.items() if alert != Alert()}
        return {"is_heard": self.is_heard, "alerts": alerts, "last": self.last}

    def restore(self, facts: dict[str, Any], at: int) -> None:
        """Take what `snapshot` gave, at the judged second `at`; alerts that nobody judges any more are resolved."""
        self.is_heard = facts["is_heard"]
        alerting = {watched.objective.name for watched in self.spec if watched.policy.pairs}
        for name, numbers in facts["alerts"].items():
            if name in alerting:
                self.alerts[name] = Alert.of(numbers)
        for name, last in facts.get("last", {}).items():
            if name in alerting:
                self.last[name] = last
            else:
                self.farewells.append(farewell(last, at + 1, SILENCED if name in self.alerts else REMOVED))
