"""The tables the store writes: for each column what travels, and what the server makes of it.

Pure text. Times travel as microseconds, sketches as state bytes, labels as plain strings: the server casts,
which costs it less than clickhouse-driver would spend on dictionaries and time zones, and the driver has no
AggregateFunction at all.
"""

from functools import cache
from typing import NamedTuple

from pipeline import archive
from pipeline.kernels.ddsketch import ALPHA
from pipeline.rows import COUNTERS, SKETCHES, TALLIES, TIERS_S
from pipeline.series import BASE_LABELS

LEVELS = "0.5, 0.95, 0.99"
STATE_TYPE = f"AggregateFunction(quantilesDD({ALPHA}, {LEVELS}), Float64)"


class Kind(NamedTuple):
    """How a column travels and what expression it becomes."""

    travels: str
    becomes: str = "{}"


TEXT = Kind("String")
INTEGER = Kind("Int64")
SMALL = Kind("Int32")
RATIO = Kind("Float64")
MAYBE_RATIO = Kind("Nullable(Float64)")
TIME = Kind("Int64", "fromUnixTimestamp64Micro({}, 'UTC')")
MAYBE_TIME = Kind("Nullable(Int64)", "fromUnixTimestamp64Micro({}, 'UTC')")
STATE = Kind("String", f"CAST({{}}, '{STATE_TYPE}')")
LABELS = Kind("Map(String, String)", "CAST({}, 'Map(LowCardinality(String), String)')")
COUNTS = Kind("Map(String, Int64)")
FLAG = Kind("UInt8")
WORDS = Kind("Map(String, String)")
FIGURES = Kind("Map(String, Float64)")
MAYBE_INTEGER = Kind("Nullable(Int64)")
#: numbers and texts of events, with something in place of what is not there: lists without None are made in one go
MAYBE_NUMBER = Kind("Int64", f"nullIf({{}}, {archive.NULL})")
MAYBE_FLOAT = Kind("Float64", "if(isNaN({0}), NULL, {0})")
ANY_TEXT = Kind("String", "toValidUTF8({})")
RAW = Kind("String", "nullIf({}, '')")
MAYBE_TEXT = Kind("String", "nullIf(toValidUTF8({}), '')")


def _all(kind: Kind, *names: str) -> dict[str, Kind]:
    return dict.fromkeys(names, kind)


SLICES = {
    "slice_start": TIME, **_all(TEXT, *BASE_LABELS), **_all(INTEGER, *COUNTERS),
    **_all(STATE, *(f"{name}_state" for name in SKETCHES)),
}  # fmt: skip
COUNT_ROWS = {**_all(TEXT, "slo", "revision", "instance"), "slice_start": TIME, **_all(INTEGER, *TALLIES)}


def _event_kind(name: str) -> Kind:
    """How a field of InferenceEvent travels."""
    if name in archive.TIMES:
        return TIME
    if name in archive.MAPS:
        return WORDS
    if name in archive.FLOATS:
        return MAYBE_FLOAT
    if name in archive.SYMBOLS:
        return TEXT
    if name in archive.RAW:
        return RAW
    if name in archive.TEXTS:
        return MAYBE_TEXT if name in archive.OPTIONAL else ANY_TEXT
    return MAYBE_NUMBER if name in archive.OPTIONAL else INTEGER


EVENTS = {
    **{name: _event_kind(name) for name in (*archive.NUMBERS, *archive.WORDS)},
    **_all(TIME, "counted_at", "appended_at"), "source_topic": TEXT, "source_partition": SMALL,
    "source_offset": INTEGER, "is_bad": FLAG, "sample_ratio": RATIO,
}  # fmt: skip

SIGNALS = {
    **_all(TEXT, "service", "model", "name", "scope", "state", "unit", "reason"), "value": MAYBE_RATIO,
    "confidence": MAYBE_RATIO, **_all(INTEGER, "samples", "window_s"), "inputs": FIGURES, "details": WORDS,
    **_all(TIME, "evaluated_at", "expires_at", "appended_at"), "watermark": MAYBE_TIME,
}  # fmt: skip
TABLES: dict[str, dict[str, Kind]] = {
    **{f"slices_{tier}": SLICES for tier in TIERS_S},
    **{f"counts_{tier}": COUNT_ROWS for tier in TIERS_S},
    "slices_shadow": {"run": INTEGER, "tier": TEXT, **SLICES},
    "counts_shadow": {"run": INTEGER, "tier": TEXT, **COUNT_ROWS},
    "statuses": {
        **_all(TEXT, "slo", "instance", "revision", "service", "state", "severity"), "labels": LABELS,
        **_all(TIME, "watermark", "window_start", "window_end", "judged_at"),
        **_all(INTEGER, "window_us", "good", "bad", "excluded", "late"),
        **_all(RATIO, "target", "coverage_ratio", "budget_events", "budget_minutes"),
        **_all(MAYBE_RATIO, "compliance_ratio", "budget_remaining_ratio", "time_to_exhaustion_s"),
        **_all(MAYBE_RATIO, "exhaustion_burn_rate", "sla_target", "sla_budget_remaining_ratio"),
        **_all(MAYBE_RATIO, "budget_alert_ratio", "sla_alert_ratio"),
        "exhaustion_window_s": Kind("Nullable(Int64)"), "counts_revision": Kind("Nullable(String)"),
        "slice_us": Kind("Nullable(Int64)"), "slice_target": MAYBE_RATIO, "counted_since": MAYBE_TIME,
        **_all(Kind("Array(String)"), "parts", "part_revisions"), "part_weights": Kind("Array(Int64)"),
        **_all(Kind("Array(Int64)"), "windows_s", "windows_good", "windows_bad"),
        "windows_coverage_ratio": Kind("Array(Float64)"),
        "windows_burn_rate": Kind("Array(Nullable(Float64))"),
        "is_deleted": FLAG,
    },
    "alert_events": {
        **_all(TEXT, "slo", "dedup_key", "kind", "revision", "instance", "service", "event", "severity", "metric",
        "reason"),
        **_all(TEXT, "ce_id", "ce_type"), "labels": LABELS,
        **_all(INTEGER, "sequence", "long_window_s", "short_window_s"),
        **_all(INTEGER, "long_good", "long_bad", "short_good", "short_bad"),
        **_all(RATIO, "target", "burn_rate_factor", "late_ratio"),
        **_all(MAYBE_RATIO, "long_burn_rate", "short_burn_rate", "budget_remaining_ratio",
        "time_to_exhaustion_s", "exhaustion_burn_rate"),
        **_all(TIME, "started_at", "window_end", "watermark", "evaluated_at"), "ce_time": MAYBE_TIME,
        "provisional": FLAG, "exemplar_trace_ids": Kind("Array(String)"), "runbook": Kind("Nullable(String)"),
    },
    "dead_letter_records": {
        "dead_at": TIME, **_all(TEXT, "reason", "detail", "topic", "schema_id", "key", "value", "dlq_topic"),
        **_all(SMALL, "partition", "dlq_partition"), **_all(INTEGER, "offset", "dlq_offset"),
        "appended_at": MAYBE_TIME, "is_whole": FLAG, "headers": Kind("Map(String, String)"),
    },
    "change_records": {
        **_all(TEXT, "change_id", "kind", "service", "title", "request_model", "variant", "region", "actor"),
        **_all(TIME, "at", "appended_at"), "until": MAYBE_TIME, **_all(WORDS, "before", "after"),
        **_all(Kind("Nullable(String)"), "url", "config_epoch"),
    },
    "signal_records": SIGNALS,
    "signal_history": SIGNALS,
    "snapshot_records": {
        **_all(TIME, "snapshot_at", "appended_at"), "started_at": MAYBE_TIME, "ready": FLAG,
        **_all(TEXT, "endpoint_id", "service", "model", "engine", "error"),
        **_all(Kind("Nullable(String)"), "region", "variant", "accelerator"), "kv_usage": MAYBE_RATIO,
        **_all(MAYBE_INTEGER, "running", "waiting", "oldest_inflight_ms", "gpu_count", "gpu_hour_picousd", "finished",
        "output_tokens"),
    },
    "worker_reports": {
        **_all(TEXT, "worker", "step", "reason"), "reported_at": TIME,
        **_all(INTEGER, "records", "dead_letters", "late", "backlog_records"), "watermark_lag_s": MAYBE_RATIO,
        **_all(RATIO, "oldest_in_flight_s", "open_transaction_s"), "is_lagging": FLAG,
    },
    "event_records": EVENTS,
    "redriven_letters": {
        "dlq_topic": TEXT, "dlq_partition": SMALL, **_all(INTEGER, "first_offset", "last_offset"), "redriven_at": TIME,
    },
    "marks": {
        **_all(TEXT, "topic", "source_topic"), **_all(SMALL, "partition", "source_partition"),
        **_all(INTEGER, "first_offset", "last_offset", "source_next_offset", "idle_us"),
        "event_time_max": MAYBE_TIME, "flushed_at": TIME, "counters": COUNTS,
    },
}  # fmt: skip

#: columns the server fills in at the moment of the insert
FILLED = {"marks": {"stored_at": "now64(6, 'UTC')"}}

HIGH_MARK_SQL = "SELECT count(), max(last_offset) FROM marks WHERE topic = %(topic)s AND partition = %(partition)s"


@cache
def insert_sql(table: str) -> str:
    """Write the INSERT of a table; the columns travel in the order of TABLES[table]."""
    kinds, filled = TABLES[table], FILLED.get(table, {})
    structure = ", ".join(f"{name} {kind.travels}" for name, kind in kinds.items())
    becomes = [kind.becomes.format(f"`{name}`") for name, kind in kinds.items()]
    names = ", ".join(f"`{name}`" for name in (*kinds, *filled))
    return (
        f"INSERT INTO {table} ({names}) SELECT {', '.join((*becomes, *filled.values()))} "
        f"FROM input('{structure}') FORMAT Native"
    )
