"""How attempts end: every way of definition 4.4, and what the event then says. A table.

Columns of the event are gathers over it, so an ending is one small integer in the hot path.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.encoding import NULL
from pipeline.sli import FAILURE_KINDS, OUTCOMES


class Ending(IntEnum):
    """Ways to end."""

    STOP = 0
    LENGTH = 1
    TOOL_CALLS = 2
    UNKNOWN = 3
    EXECUTION = 4
    UNAVAILABLE = 5
    OOM = 6
    TRUNCATED = 7
    OTHER = 8
    TIMEOUT = 9
    CANCELLED = 10
    SHED = 11
    RATE_LIMITED = 12
    REJECTED = 13


@dataclass(frozen=True)
class Shown:
    """What an event with this ending says."""

    outcome: str
    http_status: int | None
    failure_kind: str = "NONE"
    error_type: str | None = None
    drop_reason: str | None = None
    finish_reason: str | None = None


SHOWN: dict[Ending, Shown] = {
    Ending.STOP: Shown("SUCCESS", 200, finish_reason="stop"),
    Ending.LENGTH: Shown("SUCCESS", 200, finish_reason="length"),
    Ending.TOOL_CALLS: Shown("SUCCESS", 200, finish_reason="tool_calls"),
    Ending.UNKNOWN: Shown("UNKNOWN", None),
    Ending.EXECUTION: Shown("ERROR", 500, "EXECUTION", "engine_crash"),
    Ending.UNAVAILABLE: Shown("ERROR", 503, "UNAVAILABLE", "no_ready_endpoint"),
    Ending.OOM: Shown("ERROR", 500, "OOM", "out_of_memory"),
    Ending.TRUNCATED: Shown("ERROR", 200, "TRUNCATED", "stream_broken"),
    Ending.OTHER: Shown("ERROR", 502, "OTHER", "bad_gateway"),
    Ending.TIMEOUT: Shown("TIMEOUT", 504, "TIMEOUT", "deadline_exceeded"),
    Ending.CANCELLED: Shown("CANCELLED", 499, error_type="client_closed_request", finish_reason="abort"),
    Ending.SHED: Shown("SHED", 503, error_type="overloaded", drop_reason="rejected-saturated"),
    Ending.RATE_LIMITED: Shown("RATE_LIMITED", 429, error_type="quota_exceeded"),
    Ending.REJECTED: Shown("REJECTED", 400, error_type="context_length_exceeded"),
}

#: failures that come by themselves, with their shares; incidents name their own
FAILURES = (Ending.EXECUTION, Ending.UNAVAILABLE, Ending.OOM, Ending.TRUNCATED, Ending.OTHER)
FAILURE_SHARES = (0.40, 0.25, 0.10, 0.20, 0.05)
OF_FAILURE_KIND = {SHOWN[ending].failure_kind: ending for ending in (*FAILURES, Ending.TIMEOUT)}

OUTCOME = np.array([OUTCOMES.index(SHOWN[e].outcome) for e in Ending], np.int32)
FAILURE_KIND = np.array([FAILURE_KINDS.index(SHOWN[e].failure_kind) for e in Ending], np.int32)
HTTP_STATUS = np.array([NULL if SHOWN[e].http_status is None else SHOWN[e].http_status for e in Ending], np.int64)


def words(column: str) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the distinct texts of a column of the table, and each ending's code; -1 is null."""
    texts = [getattr(SHOWN[ending], column) for ending in Ending]
    distinct = tuple(dict.fromkeys(text for text in texts if text is not None))
    return distinct, np.array([-1 if t is None else distinct.index(t) for t in texts], np.int32)
