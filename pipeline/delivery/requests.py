"""Requests: what is sent to a receiver, and what its answer means. Shared by the forms of all receivers.

Pure. `Verdict.LATER` is for everything that somebody, or time, can mend: a busy server, a wrong address, a key that
expired; nothing is lost meanwhile. `REFUSED` is for what this receiver will never take.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from pipeline.alerts import OWN, Notice
from pipeline.delivery.holding import Promised
from pipeline.delivery.notification import Action, AlertEvent
from pipeline.delivery.routes import Receiver
from pipeline.periods import EPOCH, us_of

JSON = (("content-type", "application/json"),)
SAID_MOST = 300  #: characters of an answer in a message

NOTICES = {
    Action.TRIGGER: Notice.FIRED,
    Action.UPDATE: Notice.UPDATED,
    Action.ACKNOWLEDGE: Notice.UPDATED,
    Action.RESOLVE: Notice.RESOLVED,
}


@dataclass(frozen=True)
class Sheet:
    """What a form needs beside the notification."""

    receiver: Receiver
    address: str = field(repr=False)  # many hold a secret
    secret: str = field(default="", repr=False)
    promised: Promised = field(default_factory=Promised)
    site: str = ""  # topic prefix: with it the source of an event is that of its record


@dataclass(frozen=True)
class Request:
    """One HTTP request. For a topic: its headers and value."""

    url: str = field(repr=False)
    body: bytes
    headers: tuple[tuple[str, str], ...] = JSON
    key: bytes = b""


class Verdict(Enum):
    """What an answer means."""

    TAKEN = "taken"
    LATER = "later"
    REFUSED = "refused"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def said(self) -> str:
        """The answer in a line."""
        text = " ".join(self.body.decode("utf-8", "replace").split())
        printable = "".join(char if char.isprintable() else "?" for char in text)
        return f"{self.status} {printable[:SAID_MOST]}".rstrip()


#: statuses that say: this message, never
NEVER = frozenset({400, 409, 413, 415, 422})


def verdict(answer: Answer) -> Verdict:
    """Judge an answer as HTTP does. A redirect is not followed: somebody must write the right address."""
    if 200 <= answer.status < 300:
        return Verdict.TAKEN
    return Verdict.REFUSED if answer.status in NEVER else Verdict.LATER


def asked_us(answer: Answer, now_us: int) -> int | None:
    """How long the receiver wants to be left alone: seconds or a date, RFC 9110; None: it does not say."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * 1_000_000
    try:
        until = parsedate_to_datetime(text)
        return max(us_of(until) - now_us, 0)
    except (TypeError, ValueError, OverflowError):
        return None


def as_json(value: Any) -> bytes:
    """Write JSON; NaN and infinity, which JSON has not, cannot get here: judged numbers are finite."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def bearer(sheet: Sheet) -> tuple[tuple[str, str], ...]:
    """Headers of JSON, with the token when there is one."""
    return (*JSON, ("authorization", f"Bearer {sheet.secret}")) if sheet.secret else JSON


def rfc3339(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cut(text: str, most: int) -> str:
    """Shorten to what a field takes, and show that something is missing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def numbers(event: AlertEvent) -> dict[str, Any]:
    """The counts and rates behind an alert; what is not known is left out. Of ourselves nothing is counted."""
    if event.kind in OWN:
        return {}
    known = {
        "target": event.target, "long_window_s": event.long_window_s, "short_window_s": event.short_window_s,
        "burn_rate_factor": event.burn_rate_factor, "long_burn_rate": event.long_burn_rate,
        "short_burn_rate": event.short_burn_rate, "long_good": event.long_good, "long_bad": event.long_bad,
        "short_good": event.short_good, "short_bad": event.short_bad,
        "budget_remaining_ratio": event.budget_remaining_ratio, "time_to_exhaustion_s": event.time_to_exhaustion_s,
        "late_ratio": event.late_ratio,
    }  # fmt: skip
    return {name: value for name, value in known.items() if value is not None}
