"""PagerDuty, Events API v2: `POST /v2/enqueue`: trigger, acknowledge or resolve, joined by the dedup key.

Pure. An update is a trigger with the same key, which pages nobody anew. A resolve must have the routing key that
triggered. Sources: https://github.com/PagerDuty/api-schema reference/events-v2/openapiv3.json, and
https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ for lengths.
"""

from hashlib import sha256

from pipeline.alerts import Severity
from pipeline.delivery import requests
from pipeline.delivery.matching import kind_name
from pipeline.delivery.notification import Action, Notification
from pipeline.delivery.requests import Answer, Request, Sheet, Verdict, as_json, cut, numbers, rfc3339

URL = "https://events.pagerduty.com/v2/enqueue"
KEY_MOST, SUMMARY_MOST = 255, 1024  #: characters
DETAILS_MOST = 20_000  #: characters of text; the whole event may have 512 KB
ALERTS_MOST = 20  #: of an incident, listed
ROUTING_KEY_CHARACTERS = 32

ACTIONS = {
    Action.TRIGGER: "trigger",
    Action.UPDATE: "trigger",
    Action.ACKNOWLEDGE: "acknowledge",
    Action.RESOLVE: "resolve",
}
SEVERITIES = {
    Severity.NONE: "info",
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "critical",
}


def form(notification: Notification, sheet: Sheet, now_us: int) -> Request:
    """Write one notification."""
    del now_us
    said = {
        "routing_key": sheet.secret,
        "event_action": ACTIONS[notification.action],
        "dedup_key": dedup_key(notification.key),
    }
    if said["event_action"] == "trigger":
        return Request(sheet.address, as_json({**said, **_trigger(notification)}))
    return Request(sheet.address, as_json(said))


def dedup_key(key: str) -> str:
    """Fit an incident's key: one too long ends in its digest, so that two stay two."""
    if len(key) <= KEY_MOST:
        return key
    return f"{key[:180]}|{sha256(key.encode()).hexdigest()}"


def _trigger(notification: Notification) -> dict[str, object]:
    alert, words = notification.alert, notification.said
    details: dict[str, object] = {
        "text": cut(words.long, DETAILS_MOST), "slo": alert.slo, "instance": alert.instance, "labels": alert.labels,
        "reason": alert.reason, **numbers(alert),
        "open": [f"{each.severity.name} {each.dedup_key}" for each in notification.open[:ALERTS_MOST]],
        "trace_ids": list(alert.exemplar_trace_ids),
    }  # fmt: skip
    links = [{"href": alert.runbook, "text": "Runbook"}] if alert.runbook else []
    return {
        "payload": {
            "summary": cut(words.title, SUMMARY_MOST), "source": alert.service or alert.slo,
            "severity": SEVERITIES[notification.severity], "timestamp": rfc3339(alert.window_end),
            "component": alert.slo, "group": alert.service, "class": kind_name(alert.kind),
            "custom_details": details,
        },
        "client": "Burnline", "links": links,
    }  # fmt: skip


def verdict(answer: Answer) -> Verdict:
    """Judge an answer: a routing key that is not known can be mended, and no page is lost meanwhile."""
    if answer.status == 400 and b"routing" in answer.body.lower():
        return Verdict.LATER
    return requests.verdict(answer)
