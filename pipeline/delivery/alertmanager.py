"""Alertmanager, API v2: `POST /api/v2/alerts`, an array of {labels, annotations, startsAt, endsAt}.

Pure. Labels are the alert's identity there, so numbers are annotations; every value is a string. Alertmanager forgets
what is not repeated: open alerts are sent again every `resend_us`, each time with an end three intervals away, so that
a bridge that died resolves itself. A new severity is another alert there: the former one is resolved with it.
Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

import re
from collections.abc import Iterable
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
        alerts.append(_alert(event, sheet, now_us, notification.said if is_new else None))
    escalated = notification.action is Action.UPDATE and notification.was is not notification.alert.severity
    if escalated and notification.was:
        former = _alert(notification.alert, sheet, now_us, None)
        former["labels"]["severity"] = notification.was.name.lower()
        former["endsAt"] = rfc3339(max(now_us, notification.alert.started_at))
        alerts.append(former)
    return request(alerts, sheet)


def again(events: Iterable[tuple[AlertEvent, Words]], sheet: Sheet, now_us: int) -> list[Request]:
    """Write what is open once more, in as many requests as it takes."""
    alerts = [_alert(event, sheet, now_us, words) for event, words in events]
    return [request(alerts[start : start + MOST], sheet) for start in range(0, len(alerts), MOST)]


def request(alerts: list[dict[str, Any]], sheet: Sheet) -> Request:
    return Request(sheet.address.rstrip("/") + PATH, as_json(alerts), bearer(sheet))


def labels(event: AlertEvent, sheet: Sheet) -> dict[str, str]:
    """The alert's identity; an empty label is none."""
    known = sheet.promised.labels_of(event)
    return {_NOT_IN_NAMES.sub("_", name): value for name, value in known.items() if value}


def _alert(event: AlertEvent, sheet: Sheet, now_us: int, words: Words | None) -> dict[str, Any]:
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
        "labels": labels(event, sheet),
        "annotations": {name: _text(value) for name, value in said.items() if value not in (None, "")},
        "startsAt": rfc3339(min(event.started_at, ends_us)),
        "endsAt": rfc3339(ends_us),
    }


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
