"""A webhook: a CloudEvent in structured JSON, signed, with a key that is the same when it is sent again.

Pure. Signed as Standard Webhooks has it: `webhook-signature: v1,` and the base64 of HMAC-SHA256 over
`{webhook-id}.{webhook-timestamp}.{body}`; libraries that verify it exist for most languages. `webhook-id` and
`Idempotency-Key` name the notification: whoever has seen one drops it.
Sources: https://github.com/standard-webhooks/standard-webhooks, CloudEvents 1.0.2 JSON format and HTTP binding.
"""

import base64
import hmac
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from pipeline.delivery.notification import Notification
from pipeline.delivery.requests import NOTICES, Request, Sheet
from pipeline.notices import event_type, source_of
from pipeline.periods import EPOCH

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
SECRET_PREFIX = "whsec_"  #: of a secret that is base64; any other is taken as it stands


def form(notification: Notification, sheet: Sheet, now_us: int) -> Request:
    """Write and sign one notification, with the time, so that an old request cannot be replayed."""
    body, at = structured(notification, sheet.site), str(now_us // 1_000_000)
    name = sha256(notification.id.encode()).hexdigest()
    headers = [("content-type", CONTENT_TYPE), ("idempotency-key", f'"{name}"'), ("webhook-id", name),
               ("webhook-timestamp", at)]  # fmt: skip
    if sheet.secret:
        headers.append(("webhook-signature", signature(sheet.secret, name, at, body)))
    return Request(sheet.address, body, tuple(headers))


def signature(secret: str, name: str, at: str, body: bytes) -> str:
    """Sign one message."""
    digest = hmac.new(_key(secret), f"{name}.{at}.".encode() + body, sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: str) -> bytes:
    if secret.startswith(SECRET_PREFIX):
        with suppress(ValueError):
            return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return secret.encode()


def structured(notification: Notification, site: str) -> bytes:
    """Write a CloudEvent. One alert's has source and id of its record in slo.alerts; an incident's id is its own."""
    alert = notification.alert
    attributes: dict[str, Any] = {
        "id": notification.id if notification.group else alert.id, "source": source_of(site, alert.kind),
        "type": event_type(alert.kind, NOTICES[notification.action]),
        "time": EPOCH + timedelta(microseconds=alert.window_end), "subject": f"{alert.service}/{alert.slo}",
        "datacontenttype": "application/json", "severitytext": notification.severity.name,
        "sequence": f"{alert.sequence:020d}", "partitionkey": alert.dedup_key,
    }  # fmt: skip
    return JSONFormat().write(CloudEvent(attributes, data(notification)))


def data(notification: Notification) -> dict[str, Any]:
    """What a notification says, for machines: the alert as its record has it, its incident, and words."""
    words = notification.said
    return {
        **notification.alert.columns, "action": notification.action.value, "is_test": notification.is_test,
        "incident": {
            "key": notification.key, "severity": notification.severity.name, "was": notification.was.name,
            "group": dict(notification.group), "open": [each.dedup_key for each in notification.open],
            "over": [each.dedup_key for each in notification.over],
        },
        "words": {"title": words.title, "short": words.short, "long": words.long},
    }  # fmt: skip


def mirror(notification: Notification, sheet: Sheet, now_us: int) -> Request:
    """Write one notification for a topic: a record in structured mode, whose key is the alert's."""
    del now_us
    headers, key = (("content-type", CONTENT_TYPE),), notification.alert.dedup_key.encode()
    return Request(sheet.receiver.topic, structured(notification, sheet.site), headers, key)
