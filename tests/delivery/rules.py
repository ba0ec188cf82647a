"""What receivers have published of what they take, as checks of a request. Each returns what is wrong.

PagerDuty: github.com/PagerDuty/api-schema, reference/events-v2/openapiv3.json (fields, enums, required); lengths are of
developer.pagerduty.com/docs/events-api-v2/trigger-events: dedup_key 255, summary 1024, routing key 32, event 512 KB.
Slack: api.slack.com/reference/block-kit/blocks and /composition-objects (lengths, counts),
api.slack.com/reference/surfaces/formatting (escaping). OTLP: opentelemetry.io/docs/specs/otlp, JSON encoding, and
opentelemetry-proto logs/v1. Alertmanager: prometheus/alertmanager api/v2/openapi.yaml. Webhooks: standardwebhooks.com.
"""

import base64
import hashlib
import hmac
import re
from datetime import datetime
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator

from tests.delivery.listening import Heard, Reply

TEXT = {"type": "string", "minLength": 1}
PAGERDUTY = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "client": TEXT, "client_url": {"type": "string"},
        "links": {"type": "array", "items": {"type": "object", "required": ["href"], "properties": {"href": TEXT}}},
        "images": {"type": "array"},
        "payload": {
            "type": "object",
            "required": ["summary", "severity", "source"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "severity": {"enum": ["critical", "warning", "error", "info"]},
                "source": TEXT, "timestamp": TEXT, "component": {"type": "string"}, "group": {"type": "string"},
                "class": {"type": "string"}, "custom_details": {"type": "object"},
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}  # fmt: skip
MRKDWN = {"type": "object", "required": ["type", "text", "verbatim"], "additionalProperties": False, "properties": {
    "type": {"const": "mrkdwn"}, "text": {"type": "string", "minLength": 1, "maxLength": 3000},
    "verbatim": {"const": True}}}  # fmt: skip
SLACK = {
    "type": "object",
    "required": ["text", "blocks"],
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 40_000},
        "blocks": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"oneOf": [
            {"required": ["type", "text"], "additionalProperties": False, "properties": {
                "type": {"const": "header"},
                "text": {"required": ["type", "text"], "properties": {
                    "type": {"const": "plain_text"}, "text": {"type": "string", "minLength": 1, "maxLength": 150},
                    "emoji": {"type": "boolean"}}}}},
            {"required": ["type", "text"], "additionalProperties": False, "properties": {
                "type": {"const": "section"}, "text": MRKDWN}},
            {"required": ["type", "elements"], "additionalProperties": False, "properties": {
                "type": {"const": "context"},
                "elements": {"type": "array", "minItems": 1, "maxItems": 10, "items": MRKDWN}}},
        ]}},
    },
    "additionalProperties": False,
}  # fmt: skip
VALUE = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False, "properties": {
    "stringValue": {"type": "string"}, "boolValue": {"type": "boolean"}, "doubleValue": {"type": "number"},
    "intValue": {"type": "string", "pattern": r"^-?\d+$"},
    "arrayValue": {"type": "object", "required": ["values"]}}}  # fmt: skip
ATTRIBUTES = {"type": "array", "items": {
    "type": "object", "required": ["key", "value"], "properties": {"key": TEXT, "value": VALUE}}}  # fmt: skip
NANOS = {"type": "string", "pattern": r"^\d+$"}
OTLP = {
    "type": "object", "required": ["resourceLogs"], "additionalProperties": False, "properties": {"resourceLogs": {
        "type": "array", "items": {"required": ["resource", "scopeLogs"], "properties": {
            "resource": {"required": ["attributes"], "properties": {"attributes": ATTRIBUTES}},
            "scopeLogs": {"type": "array", "items": {"properties": {"logRecords": {"type": "array", "items": {
                "type": "object", "additionalProperties": False, "properties": {
                    "timeUnixNano": NANOS, "observedTimeUnixNano": NANOS, "severityText": TEXT, "eventName": TEXT,
                    "severityNumber": {"type": "integer", "minimum": 1, "maximum": 24}, "body": VALUE,
                    "attributes": ATTRIBUTES}}}}}},
        }}}}}  # fmt: skip
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
ALERTMANAGER = {"type": "array", "items": {
    "type": "object", "required": ["labels"], "additionalProperties": False, "properties": {
        "labels": {**STRINGS, "minProperties": 1, "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
                   "additionalProperties": TEXT, "required": ["alertname"]},
        "annotations": {**STRINGS, "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}},
        "startsAt": {"type": "string", "pattern": TIME}, "endsAt": {"type": "string", "pattern": TIME},
        "generatorURL": {"type": "string"}}}}  # fmt: skip
SECRET = "a secret of the webhook"


def pagerduty(heard: Heard) -> list[str]:
    wrong = _against(PAGERDUTY, heard)
    if len(heard.body) > 512 << 10:
        wrong.append("the event is larger than 512 KB")
    return wrong


def slack(heard: Heard) -> list[str]:
    wrong = _against(SLACK, heard)
    for text in (heard.json["text"], *_mrkdwn(heard.json["blocks"])):
        if re.search(r"<(?!https?://[^|<> ]+\|Runbook>)|&(?!amp;|lt;|gt;)", text):
            wrong.append(f"not escaped: {text}")
    return wrong


def _mrkdwn(blocks: list[dict[str, Any]]) -> list[str]:
    texts = [text for block in blocks for text in (block.get("text"), *block.get("elements", ())) if text]
    return [text["text"] for text in texts if text["type"] == "mrkdwn"]


def alertmanager(heard: Heard) -> list[str]:
    wrong = _against(ALERTMANAGER, heard)
    for alert in heard.json:
        starts, ends = (datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
        if ends < starts:
            wrong.append(f"ends before it starts: {alert}")
    return wrong


def otlp(heard: Heard) -> list[str]:
    return _against(OTLP, heard)


def webhook(heard: Heard) -> list[str]:
    """A CloudEvent that its SDK reads, signed by SECRET."""
    event = from_structured(HTTPMessage(heard.headers, heard.body), JSONFormat(), CloudEvent)
    wrong = [] if event.get_id() and event.get_type() else ["no CloudEvent"]
    signed = f"{heard.headers['webhook-id']}.{heard.headers['webhook-timestamp']}.".encode() + heard.body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    if heard.headers.get("webhook-signature") != f"v1,{expected}":
        wrong.append("the signature does not fit")
    if not re.fullmatch(r'"[!-~]{1,250}"', heard.headers["idempotency-key"]):
        wrong.append("the idempotency key is no string of a structured field")
    return wrong


def _against(schema: dict[str, Any], heard: Heard) -> list[str]:
    if heard.headers.get("content-type") != "application/json":
        return ["the content type is not application/json"]
    return [
        f"{error.json_path}: {error.message[:200]}" for error in Draft202012Validator(schema).iter_errors(heard.json)
    ]


#: how each says yes, or no
ANSWERS = {
    "pagerduty": (pagerduty, Reply(202, b'{"status":"success","message":"Event processed","dedup_key":"k"}'), 400),
    "slack": (slack, Reply(200, b"ok"), 400),
    "webhook": (webhook, Reply(204, b""), 401),
    "otel": (otlp, Reply(200, b"{}"), 400),
    "alertmanager": (alertmanager, Reply(200, b""), 400),
}


def judged(kind: str, heard: Heard) -> Reply:
    """Answer as a receiver of this kind does."""
    check, yes, no = ANSWERS[kind]
    wrong = check(heard)
    return Reply(no, "; ".join(wrong).encode()) if wrong else yes
