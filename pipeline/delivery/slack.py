"""Slack, and whatever takes its incoming webhooks: a message of blocks, with a text for where blocks are not shown.

Pure. `&`, `<` and `>` are escaped, so that no value of a label can mention a channel or hide a link. A webhook cannot
change a message: an update is another one. Limits: https://api.slack.com/reference/block-kit/blocks,
escaping: https://api.slack.com/reference/surfaces/formatting.
"""

from typing import Any

from pipeline.alerts import Severity
from pipeline.delivery.notification import Action, Notification
from pipeline.delivery.requests import Request, Sheet, as_json, cut

HEADER_MOST, SECTION_MOST, TEXT_MOST, CONTEXT_MOST = 150, 3_000, 4_000, 2_000  #: characters
URL_MOST = 3_000
SIGNS = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵", Severity.NONE: "⚪"}
OVER = "🟢"


def form(notification: Notification, sheet: Sheet, now_us: int) -> Request:
    """Write one notification."""
    del now_us
    words, alert = notification.said, notification.alert
    sign = OVER if notification.action is Action.RESOLVE else SIGNS[notification.severity]
    is_cared_for = notification.action is Action.ACKNOWLEDGE
    title = f"👀 {notification.who} takes care of {words.title}" if is_cared_for else f"{sign} {words.title}"
    about = [f"service {alert.service}", f"SLO {alert.slo}", f"{len(notification.open)} open"]
    if notification.group:
        about.append("one message for " + ", ".join(f"{name} {value}" for name, value in notification.group))
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(title, HEADER_MOST), "emoji": True}},
        {"type": "section", "text": _verbatim(escaped(words.long or words.short, SECTION_MOST))},
        {"type": "context", "elements": [_verbatim(escaped(" · ".join(about), CONTEXT_MOST))]},
    ]
    if alert.runbook and _is_linkable(alert.runbook):
        blocks.insert(2, {"type": "section", "text": _verbatim(f"<{alert.runbook}|Runbook>")})
    return Request(sheet.address, as_json({"text": escaped(title, TEXT_MOST), "blocks": blocks}))


def escaped(text: str, most: int) -> str:
    """Escape, then cut at the limit, never inside an escape."""
    whole = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(whole) <= most:
        return whole or " "
    head = whole[: most - 1]
    start = head.rfind("&", max(len(head) - 4, 0))
    return f"{head if start < 0 or ';' in head[start:] else head[:start]}…"


def _verbatim(text: str) -> dict[str, Any]:
    """Marked up as it is written: Slack makes no links of names of channels, people or hosts in it."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _is_linkable(address: str) -> bool:
    return address.startswith(("https://", "http://")) and len(address) < URL_MOST and not set("<>|& ") & set(address)
