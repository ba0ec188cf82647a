"""What the API answers of alerts and the pipeline, and what a live stream says, as models.

Pure. The laws are those of pipeline.web.answers.
"""

from pydantic import Field

from pipeline.web.answers import Answer, Fresh, Row, Time


class Alert(Answer):
    """An alert, from fired to resolved."""

    dedup_key: str
    fired_at: Time
    resolved_at: Time | None
    is_open: bool
    duration_s: float = Field(description="so far, in whole minutes, while it is open")
    slo: str
    instance: str
    service: str
    kind: str
    severity: str
    peak_burn_rate: float | None
    detection_delay_ms: float | None
    events: int
    reason: str
    exemplar_trace_ids: list[str]
    runbook: str | None
    corrections: list[str]
    acknowledged_at: Time | None
    acknowledged_by: str
    notes: list[str]


class Alerts(Answer):
    """Alerts: those that are open first."""

    as_of: Time
    open: dict[str, int] | None = Field(description="every open alert by severity; null: not known")
    items: list[Alert]
    next_cursor: str | None
    sql: str


class Event(Answer):
    """An event of an alert, as it went out."""

    sequence: int
    event: str
    severity: str
    at: Time
    evaluated_at: Time
    burn_rate_factor: float
    long_window_s: int
    short_window_s: int
    long_good: int
    long_bad: int
    short_good: int
    short_bad: int
    long_burn_rate: float | None
    short_burn_rate: float | None
    budget_remaining_ratio: float | None
    time_to_exhaustion_s: float | None
    exemplar_trace_ids: list[str]
    reason: str


class OneAlert(Answer):
    """An alert and its events."""

    as_of: Time
    alert: Alert
    events: list[Event]
    sql: dict[str, str]


class Stage(Answer):
    """A stage of the pipeline, of one partition or one worker."""

    stage: str
    topic: str
    partition: int
    worker: str
    next_offset: int | None
    event_time_max: Time | None
    watermark_lag_s: float | None
    flushed_at: Time | None
    stored_at: Time | None
    stored_lag_s: float | None
    idle_s: float | None
    records: int
    events: int
    bytes: int
    dead_letters: int
    clamped: int
    late: int
    duplicates: int
    series_overflow: int
    instances_refused: int
    oldest_in_flight_s: float | None
    open_transaction_s: float | None
    backlog_records: int | None
    is_lagging: bool | None
    reason: str


class PipelineSummary(Answer):
    """The pipeline in a line."""

    is_lagging: bool | None = Field(description="null: no worker says anything")
    reasons: list[str]
    watermark_lag_s: float | None
    stored_lag_s: float | None
    backlog_records: int | None
    events: int
    dead_letters: int
    late: int
    workers: int


class DeadLetters(Answer):
    """Records that could not be used, for one reason."""

    reason: str
    records: int
    redriven: int
    first_at: Time
    last_at: Time
    example: str


class LateEvents(Answer):
    """Events that came behind the watermark."""

    slo: str
    instance: str
    late: int
    watermark: Time


class Pipeline(Fresh):
    """How the pipeline is."""

    summary: PipelineSummary
    stages: list[Stage]
    dead_letters: list[DeadLetters]
    late_events: list[LateEvents]
    sql: dict[str, str]


class LiveRows(Fresh):
    """What has changed of the first rows of a fleet."""

    total: int
    matched: int
    summary: dict[str, int]
    open_alerts: dict[str, int] | None
    order: list[str] | None = Field(description="ids in order; null: as before")
    rows: list[Row]


class Away(Answer):
    """ClickHouse does not answer."""

    detail: str
    last_good_at: Time | None
