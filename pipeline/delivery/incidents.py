"""Incidents of one receiver: which alerts it is told of together, and when there is something to tell.

Pure. Told is the difference between what is and what was told, so nothing is forgotten that was held back, and nothing
is told twice. Laws, for one receiver:
- an incident is triggered, then updated any number of times, then resolved, and may then be triggered anew;
- an alert that was told is told again when it is worse, better or over, though its route leads elsewhere by then;
- an event that comes again changes nothing: sequences only rise;
- what is about to be told is written down before (`announced`), for whoever comes after a crash: it is told again, the
  same, or, when it is held back by then, at least of its end.
The state changes in place; incidents in it are frozen, so a caller puts a changed one back once it is written.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from pipeline.alerts import Severity
from pipeline.delivery.notification import Action, AlertEvent, Incident, Notification, Told
from pipeline.series import label_text

#: a resolved alert is remembered so long, lest an event that comes again opens it anew
MEMORY_US = 3_600_000_000


@dataclass(frozen=True)
class GroupingSpec:
    """How a receiver's alerts are joined; `by` None: each alert is an incident of its own."""

    by: tuple[str, ...] | None = None
    wait_us: int = 0  # before an incident is told first, for others to join
    interval_us: int = 0  # between updates that are no worse
    site: str = ""  # in front of keys, lest two sites that share a receiver end each other's incidents


@dataclass
class Incidents:
    """All that one receiver knows, or may have to be told."""

    by_key: dict[str, Incident] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)  # dedup key -> its incident, as long as it is remembered

    def put(self, incident: Incident) -> None:
        """Put an incident in the place of its former self."""
        former = self.by_key.get(incident.key)
        for dedup_key in former.alerts if former else ():
            self.homes.pop(dedup_key, None)
        self.by_key[incident.key] = incident
        self.homes |= dict.fromkeys(incident.alerts, incident.key)

    def forget(self, now_us: int) -> list[Incident]:
        """Drop incidents that are over, told and old; return them."""
        old = [incident for incident in self.by_key.values() if is_over(incident, now_us)]
        for incident in old:
            del self.by_key[incident.key]
            for dedup_key in incident.alerts:
                del self.homes[dedup_key]
        return old


def is_over(incident: Incident, now_us: int) -> bool:
    """Whether nothing is open, nothing is to be told, and nobody can remember why it was here."""
    is_open = incident.told or incident.telling or any(event.is_open for event in incident.alerts.values())
    return not is_open and now_us - incident.changed_us >= MEMORY_US


def taken(
    state: Incidents, grouping: GroupingSpec, event: AlertEvent, labels: Mapping[str, str], now_us: int
) -> Incident | None:
    """Return the event's incident with the event in it; None: the event is no news, unless it is to be told again."""
    group = () if grouping.by is None else tuple((name, labels.get(name, "")) for name in grouping.by)
    key = state.homes.get(event.dedup_key) or key_of(grouping, event, group)
    incident = state.by_key.get(key) or Incident(key, group, now_us, now_us)
    known = incident.alerts.get(event.dedup_key)
    if known is None and not event.is_open:
        return None  # nobody was told that it began
    if known is not None and event.sequence <= known.sequence:
        return incident if event.sequence == known.sequence and event.dedup_key in incident.telling else None
    alerts = {name: each for name, each in incident.alerts.items() if is_remembered(incident, each, event)}
    begins = not (incident.told or any(each.is_open for each in incident.alerts.values()))
    since_us = now_us if begins else incident.since_us
    return replace(incident, alerts={**alerts, event.dedup_key: event}, since_us=since_us, changed_us=now_us)


def is_remembered(incident: Incident, known: AlertEvent, event: AlertEvent) -> bool:
    """Whether an alert of a lasting incident still matters when another event comes."""
    is_recent = event.evaluated_at - known.evaluated_at < MEMORY_US
    return known.is_open or known.dedup_key in {*incident.told, *incident.telling} or is_recent


def key_of(grouping: GroupingSpec, event: AlertEvent, group: tuple[tuple[str, str], ...]) -> str:
    """Name an incident: by its one alert, or by what its alerts have in common."""
    parts = [grouping.site] if grouping.site else []
    if grouping.by is None:
        return "|".join((*parts, event.dedup_key))
    return "|".join((*parts, "burnline", *([label_text(*zip(*group, strict=True))] if group else [])))


#: dedup key -> whether news of an alert that the receiver was, or was not, told of is held back
IsHeld = Callable[[AlertEvent, bool], bool]


def wanted(incident: Incident, is_held: IsHeld, grouping: GroupingSpec, now_us: int) -> Notification | None:
    """Return what there is to tell now; None: nothing, or not yet."""
    told, perhaps = incident.told, incident.telling
    shown = [e for e in incident.alerts.values() if e.is_open and (e.dedup_key in told or not is_held(e, False))]
    shown = [_as_shown(e, told.get(e.dedup_key), is_held) for e in shown]
    over = [e for e in incident.alerts.values() if not e.is_open and e.dedup_key in {*told, *perhaps}]
    news = [e for e in shown if e.dedup_key not in told or _is_newer(e, told[e.dedup_key])]
    shown.sort(key=_gravest_first)
    if not (news or over) or now_us < _not_before_us(incident, shown, grouping):
        return None
    action = Action.RESOLVE if not shown else Action.UPDATE if told else Action.TRIGGER
    severity = incident.severity if told else max((each.severity for each in perhaps.values()), default=Severity.NONE)
    speaks = min(news or over, key=_gravest_first)
    return Notification(
        key=incident.key,
        id=f"{incident.key}|{action}|{_named(speaks, (*news, *over))}",
        action=action,
        severity=shown[0].severity if shown else severity,
        alert=speaks,
        open=tuple(shown),
        over=tuple(sorted(over, key=_gravest_first)),
        group=incident.group,
        started_us=min(each.started_at for each in (*shown, *over)),
        was=incident.severity,
        labels={name: each.labels for name, each in {**perhaps, **told}.items() if each.labels is not None},
    )


def _named(speaks: AlertEvent, said: Iterable[AlertEvent]) -> str:
    """Name what is said: more, or other, news of others is another notification, though the same alert speaks."""
    others = sorted(each.id for each in said if each is not speaks)
    return f"{speaks.id}|{sha256(' '.join(others).encode()).hexdigest()[:12]}" if others else speaks.id


def _not_before_us(incident: Incident, shown: list[AlertEvent], grouping: GroupingSpec) -> int:
    """When it may be told: what is worse, or over, at once."""
    if shown and not incident.told:
        return incident.since_us + grouping.wait_us
    is_urgent = not shown or shown[0].severity > incident.severity
    return 0 if is_urgent else incident.told_us + grouping.interval_us


def _as_shown(event: AlertEvent, told: Told | None, is_held: IsHeld) -> AlertEvent:
    if told is None or not _is_newer(event, told) or not is_held(event, True):
        return event
    return as_told(event, told)


def as_told(event: AlertEvent, told: Told) -> AlertEvent:
    """An alert as the receiver knows it: what is held back since is not let out by other news."""
    return replace(event, sequence=told.sequence, severity=told.severity)


def _is_newer(event: AlertEvent, told: Told) -> bool:
    return event.sequence > told.sequence


def _gravest_first(event: AlertEvent) -> tuple[int, int, str]:
    return -event.severity, event.started_at, event.dedup_key


def acknowledgement(incident: Incident, acknowledged: Mapping[tuple[str, int], str]) -> Notification | None:
    """Return who takes care, where the receiver was not told of anybody; `acknowledged`: dedup key and start -> who."""
    if incident.acknowledged_by or not incident.told:
        return None
    told = incident.told
    known = [as_told(each, told[name]) for name, each in incident.alerts.items() if each.is_open and name in told]
    known.sort(key=_gravest_first)
    for event in known:
        if who := acknowledged.get((event.dedup_key, event.started_at)):
            return Notification(
                incident.key, f"{incident.key}|{Action.ACKNOWLEDGE}|{event.id}", Action.ACKNOWLEDGE, incident.severity,
                event, tuple(known), (), incident.group, min(each.started_at for each in known), incident.severity, who,
            )  # fmt: skip
    return None


def announced(incident: Incident, notification: Notification) -> Incident:
    """Return the incident before the receiver is told: it may have been from now on."""
    news = {name: each for name, each in _told(notification).items() if incident.told.get(name) != each}
    return replace(incident, telling={**incident.telling, **news})


def after(incident: Incident, notification: Notification, now_us: int) -> Incident:
    """Return the incident once the receiver was told, or will never take it."""
    if notification.action is Action.ACKNOWLEDGE:
        return replace(incident, acknowledged_by=notification.who)
    told = _told(notification)
    settled = {event.dedup_key for event in (*notification.open, *notification.over)}
    return replace(
        incident, told=told, severity=notification.severity if told else Severity.NONE, told_us=now_us,
        acknowledged_by=incident.acknowledged_by if told else "",
        telling={name: each for name, each in incident.telling.items() if name not in settled},
    )  # fmt: skip


def _told(notification: Notification) -> dict[str, Told]:
    return {e.dedup_key: Told(e.sequence, e.severity, notification.labels.get(e.dedup_key)) for e in notification.open}


# -- kept in a topic, an entry an alert, so that the next owner knows what was told
def entries(before: Incident | None, now: Incident) -> dict[str, bytes | None]:
    """Return what has changed: dedup key -> entry, None: it is forgotten.

    Law: restoring all entries ever written, in their order, gives the incidents as they are.
    """
    old = before.alerts if before else {}
    changed: dict[str, bytes | None] = dict.fromkeys(old.keys() - now.alerts.keys())
    is_other = before is not None and before.acknowledged_by != now.acknowledged_by
    for dedup_key, event in now.alerts.items():
        if is_other or old.get(dedup_key) != event or _known(before, dedup_key) != _known(now, dedup_key):
            changed[dedup_key] = _entry(now, event)
    return changed


def _known(incident: Incident | None, dedup_key: str) -> tuple[Told | None, Told | None]:
    return (incident.told.get(dedup_key), incident.telling.get(dedup_key)) if incident else (None, None)


def _entry(incident: Incident, event: AlertEvent) -> bytes:
    known = _known(incident, event.dedup_key)
    told, telling = (each and [each.sequence, each.severity.name, each.labels] for each in known)
    said = {
        "incident": incident.key, "group": incident.group, "since_us": incident.since_us,
        "changed_us": incident.changed_us, "severity": incident.severity.name, "told_us": incident.told_us,
        "acknowledged_by": incident.acknowledged_by,
        "alert": event.columns, "told": told, "telling": telling,
    }  # fmt: skip
    return json.dumps(said, separators=(",", ":")).encode()


def restore(state: Incidents, dedup_key: str, entry: bytes | None) -> None:
    """Take one entry.

    Raises: ValueError, KeyError or TypeError for what `entries` has not written.
    """
    home = state.homes.get(dedup_key)
    if home is not None:
        _drop(state, state.by_key[home], dedup_key)
    if entry is None:
        return
    said: dict[str, Any] = json.loads(entry)
    key, event = said["incident"], AlertEvent.of(said["alert"])
    told, telling = (_restored(dedup_key, said.get(name)) for name in ("told", "telling"))
    known = state.by_key.get(key) or Incident(key, (), 0, 0)
    state.put(
        Incident(
            key, tuple((name, value) for name, value in said["group"]), said["since_us"], said["changed_us"],
            {**known.alerts, dedup_key: event}, {**known.told, **told},
            Severity[said["severity"]], said["told_us"], said["acknowledged_by"], {**known.telling, **telling},
        )
    )  # fmt: skip


def _restored(dedup_key: str, said: list[Any] | None) -> dict[str, Told]:
    """What was, or may have been, told of one alert; older releases kept no labels, and not what may have been."""
    return {dedup_key: Told(said[0], Severity[said[1]], *said[2:])} if said else {}


def _drop(state: Incidents, incident: Incident, dedup_key: str) -> None:
    alerts = {name: each for name, each in incident.alerts.items() if name != dedup_key}
    told, telling = (
        {name: each for name, each in some.items() if name != dedup_key} for some in (incident.told, incident.telling)
    )
    if alerts:
        state.put(replace(incident, alerts=alerts, told=told, telling=telling))
        return
    del state.by_key[incident.key], state.homes[dedup_key]
