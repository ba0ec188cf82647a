"""One row a record: what the store keeps of judgements, alert events, changes, snapshots, signals and dead letters.

Pure. Every row has an identity that a repetition shares, so that ClickHouse keeps one of them: an alert event
its deduplication key and sequence, a judgement its SLO instance and watermark, a change its service and change_id, a
dead letter its offset. A change, snapshot or signal that cannot be used is a dead letter where it lies: its topic
keeps it.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import changes, snapshots
from pipeline.blocks import decode
from pipeline.foreign import Flaw, Unusable, schema_id
from pipeline.framing import Framing
from pipeline.notices import WATERMARK_US
from pipeline.periods import us_of
from pipeline.records import RecordBlock, UnitFacts
from pipeline.rows import Rows

DAY_MS = 86_400_000
TIME_END_MS = 120_000 * DAY_MS  # in 2298, a year before ClickHouse's times end
MARKER = "x-burnline-marker"  #: the only header of a record that names letters which were fed again
#: what a letter says of its record, beside the record's own headers
LETTER_HEADERS = {"reason", "detail", "topic", "partition", "offset", "schema_id", "append_time", "kept"}
Headers = tuple[tuple[str, bytes | None], ...]
STATUS_COLUMNS = (
    "slo", "revision", "instance", "service", "labels", "target", "window_us", "watermark", "window_start",
    "window_end", "judged_at", "state", "severity", "good", "bad", "excluded", "compliance_ratio",
    "coverage_ratio", "budget_events", "budget_remaining_ratio", "budget_minutes", "time_to_exhaustion_s",
    "windows_s", "windows_good", "windows_bad", "windows_coverage_ratio", "windows_burn_rate", "late",
    "exhaustion_burn_rate", "exhaustion_window_s", "sla_target", "sla_budget_remaining_ratio", "counts_revision",
    "budget_alert_ratio", "sla_alert_ratio",
    "slice_us", "slice_target", "counted_since", "parts", "part_revisions", "part_weights",
)  # fmt: skip
ALERT_COLUMNS = (
    "dedup_key", "sequence", "kind", "slo", "revision", "instance", "service", "labels", "event", "severity",
    "metric", "target", "burn_rate_factor", "long_window_s", "short_window_s", "long_good", "long_bad",
    "short_good", "short_bad", "long_burn_rate", "short_burn_rate", "budget_remaining_ratio",
    "time_to_exhaustion_s", "exhaustion_burn_rate", "started_at", "window_end", "watermark", "evaluated_at",
    "late_ratio", "provisional", "exemplar_trace_ids", "runbook", "reason",
)  # fmt: skip
CHANGE_COLUMNS = (
    "change_id", "at", "until", "kind", "service", "title", *changes.SCOPE, "before", "after", "actor", "url",
    "config_epoch",
)  # fmt: skip
SNAPSHOT_COLUMNS = (
    "snapshot_at", "endpoint_id", "service", "model", "engine", "region", "variant", "accelerator", "ready", "running",
    "waiting", "kv_usage", "oldest_inflight_ms", "gpu_count", "gpu_hour_picousd", "started_at", "finished",
    "output_tokens", "error",
)  # fmt: skip
SIGNAL_COLUMNS = (
    "service", "model", "name", "scope", "state", "value", "unit", "reason", "confidence", "samples", "inputs",
    "details", "evaluated_at", "watermark", "window_s", "expires_at",
)  # fmt: skip
# What a deleted judgement says of everything but its identity.
_DELETED: dict[str, Any] = {
    "revision": "", "service": "", "labels": {}, "target": 0.0, "window_us": 0, "window_start": 0,
    "window_end": 0, "state": "OK", "severity": "NONE", "good": 0, "bad": 0, "excluded": 0,
    "compliance_ratio": None, "coverage_ratio": 0.0, "budget_events": 0.0, "budget_remaining_ratio": None,
    "budget_minutes": 0.0, "time_to_exhaustion_s": None, "windows_s": [], "windows_good": [],
    "windows_bad": [],
    "windows_coverage_ratio": [], "windows_burn_rate": [], "late": 0, "exhaustion_burn_rate": None,
    "exhaustion_window_s": None, "sla_target": None, "sla_budget_remaining_ratio": None, "counts_revision": None,
    "budget_alert_ratio": None, "sla_alert_ratio": None, "slice_us": None, "slice_target": None, "counted_since": None,
    "parts": [], "part_revisions": [], "part_weights": [],
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
    """A tombstone as a row: its key is `slo|instance`; without a watermark its time stands in for that."""
    slo, _, instance = (block.key(index) or b"").decode("utf-8", "replace").partition("|")
    told_us = _number(dict(block.headers(index)).get(WATERMARK_US))
    time_us = told_us if told_us >= 0 else int(block.append_time_ms[index]) * 1000
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


def change_rows(block: RecordBlock, indexes: range, framing: Framing) -> list[Rows]:
    """Rows of `change_records`, and of `dead_letter_records` for what is no change."""

    def read(value: bytes | None, appended_us: int) -> dict[str, Any]:
        change = changes.read(value, appended_us, framing)
        return {**change, **{name: change[name] or "" for name in changes.SCOPE}}

    columns, letters = _readable(block, indexes, CHANGE_COLUMNS, read)
    return [*([Rows("change_records", -1, columns)] if columns["at"] else []), *letters]


def snapshot_rows(block: RecordBlock, indexes: range, framing: Framing) -> list[Rows]:
    """Rows of `snapshot_records`, and of `dead_letter_records` for what is no snapshot."""

    def read(value: bytes | None, appended_us: int) -> dict[str, Any] | None:
        return None if value is None else snapshots.read(snapshots.SNAPSHOT, value, appended_us, framing)

    columns, letters = _readable(block, indexes, SNAPSHOT_COLUMNS, read)
    return [*([Rows("snapshot_records", -1, columns)] if columns["service"] else []), *letters]


def signal_rows(block: RecordBlock, indexes: range, framing: Framing) -> list[Rows]:
    """Rows of `signal_records`, of which the newest of a key stays, and of `signal_history`, where each does."""

    def read(value: bytes | None, appended_us: int) -> dict[str, Any] | None:
        return None if value is None else snapshots.read(snapshots.SIGNAL, value, appended_us, framing)

    columns, letters = _readable(block, indexes, SIGNAL_COLUMNS, read)
    kept = [Rows(table, -1, columns) for table in ("signal_history", "signal_records")] if columns["service"] else []
    return [*kept, *letters]


def _readable(
    block: RecordBlock, indexes: range, names: tuple[str, ...], read: Callable[..., dict[str, Any] | None]
) -> tuple[dict[str, list[Any]], list[Rows]]:
    """Columns of the records that can be read, and letters of the others; what `read` has nothing of is left out."""
    columns: dict[str, list[Any]] = {name: [] for name in (*names, "appended_at")}
    letters: dict[int, Headers] = {}
    for index in indexes:
        value = block.value(index)
        try:
            found = read(value, int(block.append_time_ms[index]) * 1000)
        except Unusable as unusable:
            letters[index] = (*_headers(block, index), *_about(block, index, value, unusable.flaw))
            continue
        if found is None:
            continue
        for name in names:
            columns[name].append(found[name])
        columns["appended_at"].append(_kept_ms(block, [index]).item() * 1000)
    return columns, _by_day(block, np.array(list(letters), np.int64), letters)


def _about(block: RecordBlock, index: int, value: bytes | None, flaw: Flaw) -> Headers:
    """What a letter says of its record, of one that stays where it is."""
    said = {
        "reason": flaw.reason, "detail": flaw.detail, "topic": block.topic, "partition": str(block.partition),
        "offset": str(int(block.offset[index])), "schema_id": schema_id(value),
        "append_time": str(int(block.append_time_ms[index])), "kept": "all",
    }  # fmt: skip
    return tuple((name, text.encode()) for name, text in said.items())


def dead_letter_rows(block: RecordBlock, indexes: range, framing: Framing) -> list[Rows]:
    """Rows of `dead_letter_records`, day by day: the original and why it could not be used; and what was fed again."""
    del framing  # nobody decodes them: that is why they are here
    headers = {index: _headers(block, index) for index in indexes}
    markers = [index for index in indexes if [name for name, _ in headers[index]] == [MARKER]]
    letters = np.array([index for index in indexes if index not in set(markers)], np.int64)
    return [*_by_day(block, letters, headers), *([_redriven(block, markers)] if markers else [])]


def _by_day(block: RecordBlock, letters: NDArray[np.int64], headers: dict[int, Headers]) -> list[Rows]:
    days = _kept_ms(block, letters) // DAY_MS
    return [_dead_letters(block, day, letters[days == day].tolist(), headers) for day in np.unique(days).tolist()]


def _kept_ms(block: RecordBlock, indexes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Append times, as far as ClickHouse has such: where the broker does not stamp, a producer says what it likes."""
    return np.clip(block.append_time_ms[indexes], 0, TIME_END_MS)


def _headers(block: RecordBlock, index: int) -> Headers:
    """A record's headers; none when they cannot be read: whoever may write there must not stop the store."""
    try:
        return block.headers(index)
    except (IndexError, ValueError):
        return ()


def _dead_letters(block: RecordBlock, day: int, indexes: list[int], headers: dict[int, Any]) -> Rows:
    about = [{name: value or b"" for name, value in headers[index]} for index in indexes]
    return Rows("dead_letter_records", day, {
        "dlq_topic": [block.topic] * len(indexes),
        "dlq_partition": [block.partition] * len(indexes),
        "dlq_offset": block.offset[indexes].tolist(),
        "dead_at": (_kept_ms(block, indexes) * 1000).tolist(),
        "reason": [header.get("reason", b"") for header in about],
        "detail": [header.get("detail", b"") for header in about],
        "topic": [header.get("topic", b"") for header in about],
        "partition": [_number(header.get("partition")) for header in about],
        "offset": [_number(header.get("offset")) for header in about],
        "schema_id": [header.get("schema_id", b"") for header in about],
        "appended_at": [_appended_us(header.get("append_time")) for header in about],
        "is_whole": [int(header.get("kept") != b"part") for header in about],
        "headers": [{name: value for name, value in header.items() if name not in LETTER_HEADERS} for header in about],
        "key": [block.key(index) or b"" for index in indexes],
        "value": [block.value(index) or b"" for index in indexes],
    })  # fmt: skip


def _redriven(block: RecordBlock, markers: list[int]) -> Rows:
    """Rows of `redriven_letters`: ranges of offsets in the letters' own partition."""
    ranges = [(first, last, index) for index in markers for first, last in marked_ranges(block.value(index))]
    return Rows("redriven_letters", -1, {
        "dlq_topic": [block.topic] * len(ranges),
        "dlq_partition": [block.partition] * len(ranges),
        "first_offset": [first for first, _, _ in ranges],
        "last_offset": [last for _, last, _ in ranges],
        "redriven_at": [int(block.append_time_ms[index]) * 1000 for _, _, index in ranges],
    })  # fmt: skip


def marked_ranges(value: bytes | None) -> list[tuple[int, int]]:
    """Read a marker: ranges of offsets, both ends included; nothing of what is no marker."""
    try:
        ranges = json.loads(value or b"[]")
        return [(int(first), int(last)) for first, last in ranges]
    except (TypeError, ValueError, RecursionError):
        return []


def _number(text: bytes | None) -> int:
    """Read a header's number; -1 for none, since headers are for people first."""
    try:
        return int(text or b"-1")
    except ValueError:
        return -1


def _appended_us(text: bytes | None) -> int | None:
    """A source's append time; None: it did not say, or it is a producer's, who may say anything."""
    time_ms = _number(text)
    return time_ms * 1000 if 0 <= time_ms < TIME_END_MS else None


def _time_us(text: bytes | None) -> int | None:
    """Read an RFC 3339 time as microseconds."""
    try:
        moment = datetime.fromisoformat((text or b"").decode())
    except ValueError:
        return None
    return us_of(moment) if moment.tzinfo else None


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def record_mark(block: RecordBlock, indexes: range, facts: UnitFacts) -> Rows:
    """The row of `marks` for records without a source."""
    return Rows("marks", -1, {
        "topic": [facts.topic], "partition": [facts.partition],
        "source_topic": [""], "source_partition": [-1],
        "first_offset": [int(block.offset[indexes[0]])], "last_offset": [int(block.offset[indexes[-1]])],
        "source_next_offset": [0], "event_time_max": [None],
        "flushed_at": [_kept_ms(block, list(indexes)).max().item() * 1000], "idle_us": [0],
        "counters": [{"records": len(indexes)}],
    })  # fmt: skip


#: kind of record -> its rows
RECORD_ROWS: dict[str, Callable[..., list[Rows]]] = {
    "slo_status": status_rows,
    "burn_rate_alert": alert_rows,
    "config_change": change_rows,
    "engine_snapshot": snapshot_rows,
    "control_signal": signal_rows,
    "dead_letter": dead_letter_rows,
}
