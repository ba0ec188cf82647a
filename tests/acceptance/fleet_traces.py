"""Traces of a simulated fleet's bad requests, noted while they are sent."""

from typing import Any

import numpy as np

from jobs.event_sink import KafkaEventSink
from pipeline.encoding import EventColumns, texts
from pipeline.sli import FAILURE_KINDS, OUTCOMES
from tests.naive.events import case

BAD = {"error", "truncated", "timeout", "shed"}


class NotingSink(KafkaEventSink):
    """Sends, and notes (model, trace id) of chat requests that count against an error rate."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.bad: set[tuple[str, str]] = set()

    def send(self, events: EventColumns) -> None:
        super().send(events)
        self.bad |= bad_traces(events)


def bad_traces(every: EventColumns) -> set[tuple[str, str]]:
    """(model, trace id) of the bad ones."""
    is_odd = (every["outcome"] != OUTCOMES.index("SUCCESS")) | (every["failure_kind"] != 0)  # the rest is good
    events = every.take(np.flatnonzero(is_odd & every["final_attempt"]))
    named = zip(*(texts(events[name]) for name in ("trace_id", "request_model", "service", "operation")), strict=True)
    wanted = ("outcome", "failure_kind", "http_status", "priority")
    found = set()
    for (trace, model, *where), (outcome, failure, status, priority) in zip(
        named, zip(*(events[name].tolist() for name in wanted), strict=True), strict=True
    ):
        event = {"outcome": OUTCOMES[outcome], "failure_kind": FAILURE_KINDS[failure],
                 "http_status": max(status, 0), "priority": priority}  # fmt: skip
        if where == [b"chat", b"chat"] and case(event) in BAD:
            found.add((model.decode(), trace.decode()))
    return found
