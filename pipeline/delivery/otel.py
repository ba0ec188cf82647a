"""OpenTelemetry: a log event to a collector, OTLP over HTTP with JSON.

Pure. 64-bit integers are strings, as protobuf's JSON has them. A collector may take a request and still reject
records in it: that is said in the answer's `partialSuccess`.
Sources: https://opentelemetry.io/docs/specs/otlp/ and https://opentelemetry.io/docs/specs/otel/logs/data-model/.
"""

import json
from typing import Any

from pipeline.alerts import Severity
from pipeline.delivery import requests
from pipeline.delivery.notification import Notification
from pipeline.delivery.requests import NOTICES, Answer, Request, Sheet, Verdict, as_json, bearer, numbers
from pipeline.notices import event_type

#: SeverityNumber and its text
SEVERITIES = {
    Severity.NONE: (9, "INFO"),
    Severity.INFO: (9, "INFO"),
    Severity.WARNING: (13, "WARN"),
    Severity.CRITICAL: (17, "ERROR"),
}


def form(notification: Notification, sheet: Sheet, now_us: int) -> Request:
    """Write one notification."""
    alert, words = notification.alert, notification.said
    number, text = SEVERITIES[notification.severity]
    said = {
        "burnline.id": notification.id, "burnline.incident": notification.key,
        "burnline.action": notification.action.value, "burnline.dedup_key": alert.dedup_key,
        "burnline.sequence": alert.sequence, "burnline.slo": alert.slo, "burnline.severity": alert.severity.name,
        "burnline.title": words.title, "burnline.is_test": notification.is_test,
        **{f"burnline.{name}": value for name, value in numbers(alert).items()},
        **{f"burnline.label.{name}": value for name, value in alert.labels.items()},
        "burnline.trace_ids": list(alert.exemplar_trace_ids),
    }  # fmt: skip
    record = {
        "timeUnixNano": str(alert.window_end * 1000), "observedTimeUnixNano": str(now_us * 1000),
        "severityNumber": number, "severityText": text,
        "eventName": event_type(alert.kind, NOTICES[notification.action]),
        "body": {"stringValue": words.long or words.short},
        "attributes": _attributes(said),
    }  # fmt: skip
    resource = {"service.name": alert.service, "telemetry.sdk.name": "burnline"}
    logs = {
        "resource": {"attributes": _attributes(resource)},
        "scopeLogs": [{"scope": {"name": "burnline"}, "logRecords": [record]}],
    }
    return Request(sheet.address, as_json({"resourceLogs": [logs]}), bearer(sheet))


def _attributes(said: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in said.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"stringValue": value}


def verdict(answer: Answer) -> Verdict:
    """Judge a collector's answer."""
    if 200 <= answer.status < 300:
        return Verdict.REFUSED if _rejected(answer.body) else Verdict.TAKEN
    return requests.verdict(answer)


def _rejected(body: bytes) -> int:
    """How many records a collector has taken and thrown away."""
    try:
        return int(json.loads(body or b"{}").get("partialSuccess", {}).get("rejectedLogRecords", 0))
    except (AttributeError, TypeError, ValueError, RecursionError):
        return 0
