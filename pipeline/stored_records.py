"""One row a record: what the store keeps of judgements, alert events and dead letters.

Pure. Every row has an identity that a repetition shares, so that ClickHouse keeps one of them: an alert event
its deduplication key and sequence, a judgement its SLO instance and watermark, a dead letter its offset.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from pipeline.blocks import decode
from pipeline.framing import Framing
from pipeline.records import RecordBlock, UnitFacts
from pipeline.rows import Rows

DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATUS_COLUMNS = (
    "slo", "revision", "instance", "service", "labels", "target", "window_us", "watermark", "window_start",
    "window_end", "judged_at", "state", "severity", "good", "bad", "excluded", "compliance_ratio",
    "coverage_ratio", "budget_events", "budget_remaining_ratio", "budget_minutes", "time_to_exhaustion_s",
    "windows_s", "windows_good", "windows_bad", "windows_coverage_ratio", "windows_burn_rate", "late",
)  # fmt: skip
ALERT_COLUMNS = (
    "dedup_key", "sequence", "slo", "revision", "instance", "service", "labels", "event", "severity",
    "metric", "target", "burn_rate_factor", "long_window_s", "short_window_s", "long_good", "long_bad",
    "short_good", "short_bad", "long_burn_rate", "short_burn_rate", "budget_remaining_ratio",
    "time_to_exhaustion_s", "started_at", "window_end", "watermark", "evaluated_at", "late_ratio",
    "provisional", "exemplar_trace_ids", "runbook", "reason",
)  # fmt: skip
# What a deleted judgement says of everything but its identity.
_DELETED: dict[str, Any] = {
    "revision": "", "service": "", "labels": {}, "target": 0.0, "window_us": 0, "window_start": 0,
    "window_end": 0, "state": "OK", "severity": "NONE", "good": 0, "bad": 0, "excluded": 0,
    "compliance_ratio": None, "coverage_ratio": 0.0, "budget_events": 0.0, "budget_remaining_ratio": None,
    "budget_minutes": 0.0, "time_to_exhaustion_s": None, "windows_s": [], "windows_good": [],
    "windows_bad": [],
    "windows_coverage_ratio": [], "windows_burn_rate": [], "late": 0,
}  # fmt: skip


def status_rows(block: RecordBlock, indexes: range, framing: Framing) -> list[Rows]:
    """Rows of `statuses`; a tombstone takes its SLO instance out of the views."""
    columns: dict[str, list[Any]] = {name: [] for name in (*STATUS_COLUMNS, "is_deleted")}
    for index in indexes:
        value = block.value(index)
        status = _deleted(block, index) if value is None else decode("slo_status", value, framing)
        for name in STATUS_COLUMNS:
            columns[name].append(_plain(status[name]))
        columns["is_deleted"].append(int(value is None))
    return [Rows("statuses", -1, columns)]


def _deleted(block: RecordBlock, index: int) -> dict[str, Any]:
    """A tombstone as a row: its key is `slo|instance`, its time stands in for the watermark."""
    slo, _, instance = (block.key(index) or b"").decode("utf-8", "replace").partition("|")
    time_us = int(block.append_time_ms[index]) * 1000
    return {**_DELETED, "slo": slo, "instance": instance, "watermark": time_us, "judged_at": time_us}


def alert_rows(block: RecordBlock, indexes: range, framing: Framing) -> list[Rows]:
    """Rows of `alert_events`, with what CloudEvents headers say."""
    columns: dict[str, list[Any]] = {name: [] for name in (*ALERT_COLUMNS, "ce_id", "ce_type", "ce_time")}
    for index in indexes:
        value = block.value(index)
        if value is None:
            continue
        alert, headers = decode("burn_rate_alert", value, framing), dict(block.headers(index))
        for name in ALERT_COLUMNS:
            columns[name].append(_plain(alert[name]))
        columns["ce_id"].append(headers.get("ce_id") or b"")
        columns["ce_type"].append(headers.get("ce_type") or b"")
        columns["ce_time"].append(_time_us(headers.get("ce_time")))
    return [Rows("alert_events", -1, columns)] if columns["slo"] else []


def dead_letter_rows(block: RecordBlock, indexes: range, framing: Framing) -> list[Rows]:
    """Rows of `dead_letter_records`, day by day: the original bytes and why they could not be used."""
    del framing  # nobody decodes them: that is why they are here
    days = block.append_time_ms[indexes.start : indexes.stop] // DAY_MS
    return [
        _dead_letters(block, day, (np.flatnonzero(days == day) + indexes.start).tolist())
        for day in np.unique(days).tolist()
    ]


def _dead_letters(block: RecordBlock, day: int, indexes: list[int]) -> Rows:
    headers = [dict(block.headers(index)) for index in indexes]
    return Rows("dead_letter_records", day, {
        "dlq_topic": [block.topic] * len(indexes),
        "dlq_partition": [block.partition] * len(indexes),
        "dlq_offset": block.offset[indexes].tolist(),
        "dead_at": (block.append_time_ms[indexes] * 1000).tolist(),
        "reason": [header.get("reason") or b"" for header in headers],
        "detail": [header.get("detail") or b"" for header in headers],
        "topic": [header.get("topic") or b"" for header in headers],
        "partition": [_number(header.get("partition")) for header in headers],
        "offset": [_number(header.get("offset")) for header in headers],
        "schema_id": [header.get("schema_id") or b"" for header in headers],
        "key": [block.key(index) or b"" for index in indexes],
        "value": [block.value(index) or b"" for index in indexes],
    })  # fmt: skip


def _number(text: bytes | None) -> int:
    """Read a header's number; -1 for none, since headers are for people first."""
    try:
        return int(text or b"-1")
    except ValueError:
        return -1


def _time_us(text: bytes | None) -> int | None:
    """Read an RFC 3339 time as microseconds."""
    try:
        moment = datetime.fromisoformat((text or b"").decode())
    except ValueError:
        return None
    return (moment - EPOCH) // timedelta(microseconds=1) if moment.tzinfo else None


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def record_mark(block: RecordBlock, indexes: range, facts: UnitFacts) -> Rows:
    """The row of `marks` for records without a source."""
    return Rows("marks", -1, {
        "topic": [facts.topic], "partition": [facts.partition],
        "source_topic": [""], "source_partition": [-1],
        "first_offset": [int(block.offset[indexes[0]])], "last_offset": [int(block.offset[indexes[-1]])],
        "source_next_offset": [0], "event_time_max": [None],
        "flushed_at": [int(block.append_time_ms[indexes.start : indexes.stop].max()) * 1000], "idle_us": [0],
        "counters": [{"records": len(indexes)}],
    })  # fmt: skip


#: kind of record -> its rows
RECORD_ROWS: dict[str, Callable[..., list[Rows]]] = {
    "slo_status": status_rows,
    "burn_rate_alert": alert_rows,
    "dead_letter": dead_letter_rows,
}
