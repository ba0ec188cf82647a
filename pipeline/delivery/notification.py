"""Notifications: what a receiver is told, and the incident that it is told about.

    slo.alerts ─► AlertEvent ─► Incident (joins events, per receiver) ─► Notification ─► with Words ─► a receiver's form

Pure data, all frozen. An alert is named by its dedup key, an event of it by that and the sequence, an incident by the
receiver's grouping: one alert of its own, or all alerts of a service. Law: an incident is triggered once, updated
while anything of it is open, resolved once; every notification of it has the same `key`, and one that is sent again
has the same `id`. The deliverer asks pipeline.delivery.words for words: `words(notification, context)`, where
`context` is what pipeline.sinks.contexts knows; without them a notification says the judge's own reason (`plain`).
Silences are pipeline.delivery.silences, kept in table `silence_versions`. Knows nothing of routes, receivers or time.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple

from pipeline.alerts import Kind, Notice, Severity


@dataclass(frozen=True)
class AlertEvent:
    """One record of slo.alerts. Names are those of burn_rate_alert.avsc; times are microseconds since the epoch."""

    dedup_key: str
    sequence: int
    kind: Kind
    slo: str
    revision: str
    instance: str
    service: str
    labels: Mapping[str, str]
    event: Notice
    severity: Severity
    metric: str
    target: float
    burn_rate_factor: float
    long_window_s: int
    short_window_s: int
    long_good: int
    long_bad: int
    short_good: int
    short_bad: int
    long_burn_rate: float | None
    short_burn_rate: float | None
    budget_remaining_ratio: float | None
    time_to_exhaustion_s: float | None
    exhaustion_burn_rate: float | None
    started_at: int
    window_end: int
    watermark: int
    evaluated_at: int
    late_ratio: float
    provisional: bool
    exemplar_trace_ids: tuple[str, ...]
    runbook: str | None = None
    reason: str = ""

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> "AlertEvent":
        """Make the event of a decoded record's columns, or of another event's `columns`, though of an older release."""
        known = {each.name: columns[each.name] for each in fields(cls) if _must_be(each) or each.name in columns}
        known |= {
            "kind": Kind[known["kind"]], "event": Notice[known["event"]], "severity": Severity[known["severity"]],
            "labels": dict(known["labels"]), "exemplar_trace_ids": tuple(known["exemplar_trace_ids"]),
        }  # fmt: skip
        return cls(**known)

    @property
    def columns(self) -> dict[str, Any]:
        """All of it as plain values, as in a decoded record."""
        names = {each.name: getattr(self, each.name) for each in fields(self)}
        return names | {
            "kind": self.kind.name, "event": self.event.name, "severity": self.severity.name,
            "exemplar_trace_ids": list(self.exemplar_trace_ids), "labels": dict(self.labels),
        }  # fmt: skip

    @property
    def id(self) -> str:
        """Its CloudEvents id: the same when the same input is judged again."""
        return f"{self.dedup_key}|{self.sequence:020d}"

    @property
    def is_open(self) -> bool:
        return self.event is not Notice.RESOLVED


def _must_be(column: Field[Any]) -> bool:
    """Columns that came with a later release have defaults."""
    return column.default is MISSING


class Told(NamedTuple):
    """What a receiver was last told of one alert that it believes to be open."""

    sequence: int
    severity: Severity
    labels: Mapping[str, str] | None = None  # when it was told first: who goes by labels must hear of its end by them


@dataclass(frozen=True)
class Incident:
    """Alerts that one receiver is told of together, and what it was told of them."""

    key: str
    group: tuple[tuple[str, str], ...]  # what they have in common: (("service", "chat"),)
    since_us: int  # processing time at which it began, or began anew
    changed_us: int  # processing time of its last event
    alerts: Mapping[str, AlertEvent] = field(default_factory=dict)  # dedup key -> last event, resolved ones too
    told: Mapping[str, Told] = field(default_factory=dict)  # dedup key -> what the receiver believes to be open
    severity: Severity = Severity.NONE  # of what the receiver was told
    told_us: int = 0  # processing time at which it was told last
    acknowledged_by: str = ""  # as the receiver was told; empty: of nobody
    telling: Mapping[str, Told] = field(default_factory=dict)  # dedup key -> what it may have been told besides

    @property
    def is_told(self) -> bool:
        """Whether the receiver believes that something is open."""
        return bool(self.told)


class Action(StrEnum):
    """What a notification asks of a receiver."""

    TRIGGER = "trigger"
    UPDATE = "update"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class Words(NamedTuple):
    """A notification in words, plain text; each receiver cuts and escapes them for itself."""

    title: str  # one line
    short: str  # some sentences on one line
    long: str  # a line for each thing that is known


@dataclass(frozen=True)
class Notification:
    """One message to one receiver about one incident."""

    key: str  # of the incident: the same from trigger to resolve
    id: str  # of this notification: the same when it is sent again
    action: Action
    severity: Severity  # the gravest that is open; of a resolve, the gravest that was told
    alert: AlertEvent  # which speaks: the gravest news
    open: tuple[AlertEvent, ...]  # all that is open of the incident and not held back, the gravest first
    over: tuple[AlertEvent, ...]  # resolved with this notification
    group: tuple[tuple[str, str], ...]
    started_us: int  # event time at which the oldest of them fired
    was: Severity = Severity.NONE  # what the receiver was told before; graver now: an escalation
    who: str = ""  # of an acknowledgement: who takes care of it
    is_test: bool = False  # of `burnline alerts test-route --send`
    words: Words | None = None
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # dedup key -> all labels it is known by

    @property
    def said(self) -> Words:
        """Its words, or without them the judge's reason."""
        return self.words or plain(self)


def plain(notification: Notification) -> Words:
    """Say what the record itself says."""
    alert = notification.alert
    what = f"{alert.slo} for {alert.instance}" if alert.instance else alert.slo
    return Words(f"[{alert.severity.name}] {what}: {alert.reason}", alert.reason, alert.reason)
