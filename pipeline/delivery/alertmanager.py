"""Alertmanager, API v2: `POST /api/v2/alerts`, an array of {labels, annotations, startsAt, endsAt}.

Pure. Labels are the alert's identity there, so numbers are annotations, and an open alert keeps the labels it was told
with, though its SLO's file says others by now; every value is a string. Alertmanager forgets what is not repeated: open
alerts are sent again every `resend_us`, each time with an end three intervals away, so that a bridge that died resolves
itself. A new severity is another alert there: the former one is resolved with it.
Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.delivery.notification import Action, AlertEvent, Notification, Words
from pipeline.delivery.requests import Request, Sheet, as_json, bearer, numbers, rfc3339

PATH = "/api/v2/alerts"
SILENCES = "/api/v2/silences"
LIVES = 3  #: intervals without news until it is over
MOST = 200  #: alerts in one request

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")


def form(notification: Notification, sheet: Sheet, now_us: int) -> Request:
    """Write one notification."""
    alerts = []
    for event in (*notification.open, *notification.over):
        is_new = event.dedup_key == notification.alert.dedup_key
        said = notification.said if is_new else None
        known = notification.labels.get(event.dedup_key)
        alerts.append(alert(_known_as(event, notification), sheet, now_us, said, known))
    escalated = notification.action is Action.UPDATE and notification.was is not notification.alert.severity
    if escalated and notification.was:
        known = notification.labels.get(notification.alert.dedup_key)
        former = alert(notification.alert, sheet, now_us, None, known)
        former["labels"]["severity"] = notification.was.name.lower()
        former["endsAt"] = rfc3339(max(now_us, notification.alert.started_at))
        alerts.append(former)
    return request(alerts, sheet)


def _known_as(event: AlertEvent, notification: Notification) -> AlertEvent:
    """What is over ends as what it was told to be, though it grew worse meanwhile."""
    return event if event.is_open or not notification.was else replace(event, severity=notification.was)


def again(alerts: Sequence[dict[str, Any]], sheet: Sheet) -> list[Request]:
    """Write what is open once more, in as many requests as it takes."""
    return [request(alerts[start : start + MOST], sheet) for start in range(0, len(alerts), MOST)]


def request(alerts: Sequence[dict[str, Any]], sheet: Sheet) -> Request:
    return Request(sheet.address.rstrip("/") + PATH, as_json(alerts), bearer(sheet))


def labels(event: AlertEvent, sheet: Sheet, told: Mapping[str, str] | None = None) -> dict[str, str]:
    """The alert's identity, `told`: as it is known by already; an empty label is none."""
    known = sheet.promised.labels_of(event) if told is None else {**told, "severity": event.severity.name.lower()}
    return {_NOT_IN_NAMES.sub("_", name): value for name, value in known.items() if value}


def alert(
    event: AlertEvent, sheet: Sheet, now_us: int, words: Words | None, told: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One alert of a request."""
    ends_us = now_us + LIVES * sheet.receiver.resend_us
    if not event.is_open:
        ends_us = max(min(event.window_end, now_us), event.started_at)
    said = {"reason": event.reason, "dedup_key": event.dedup_key, "sequence": event.sequence, **numbers(event)}
    if words is not None:
        said |= {"summary": words.title, "description": words.long}
    if event.runbook:
        said["runbook_url"] = event.runbook
    if event.exemplar_trace_ids:
        said["trace_ids"] = ", ".join(event.exemplar_trace_ids)
    return {
        "labels": labels(event, sheet, told),
        "annotations": {name: _text(value) for name, value in said.items() if value not in (None, "")},
        "startsAt": rfc3339(min(event.started_at, ends_us)),
        "endsAt": rfc3339(ends_us),
    }


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
