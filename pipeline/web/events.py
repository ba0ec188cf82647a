"""Rows of alerts and of the pipeline, as the API says them.

Pure.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from pipeline.topics import COUNTS
from pipeline.web.answers_events import Alert, DeadLetters, Event, LateEvents, PipelineSummary, Stage

REPORTS = timedelta(seconds=60)  #: a worker says every few seconds how it is


class Rows(Protocol):
    """An answer of ClickHouse."""

    @property
    def as_of(self) -> datetime:
        """When it was asked."""

    def rows(self) -> Iterable[dict[str, Any]]:
        """Each row as a dictionary."""


def alert_of(row: Mapping[str, Any], now: datetime) -> Alert:
    """Put a row of alerts.sql."""
    until = row["resolved_at"] or now
    told = {name: value for name, value in row.items() if name != "fired_us"}
    lasted = max((until - row["fired_at"]).total_seconds(), 0.0)
    if row["resolved_at"] is None:
        lasted -= lasted % 60  # an answer is another one each minute, not each moment
    return Alert(**told, is_open=row["resolved_at"] is None, duration_s=lasted)


def event_of(row: Mapping[str, Any]) -> Event:
    """Put a row of alert_events.sql."""
    return Event(**row)


def pipeline_of(stages: Rows, letters: Rows, late: Rows) -> dict[str, Any]:
    """Put rows of stages.sql, dead_letters.sql and late_events.sql, and what they come to."""
    told = [heard(Stage(**row), stages.as_of) for row in stages.rows()]
    return {
        "summary": summary_of(told, stages.as_of), "stages": told,
        "dead_letters": [DeadLetters(**row) for row in letters.rows()],
        "late_events": [LateEvents(**row) for row in late.rows()],
    }  # fmt: skip


def is_heard(stage: Stage, now: datetime) -> bool:
    """Whether it is a worker that still says how it is; what one said that has ended is stored for an hour."""
    return stage.stage.startswith("worker ") and stage.flushed_at is not None and now - stage.flushed_at <= REPORTS


def heard(stage: Stage, now: datetime) -> Stage:
    """Leave out whether it lags where nobody says so any more."""
    return stage if is_heard(stage, now) else stage.model_copy(update={"is_lagging": None, "reason": ""})


def summary_of(stages: list[Stage], now: datetime) -> PipelineSummary:
    """Say in a line how the pipeline is: workers say of themselves whether they lag, and how much waits."""
    workers = [each for each in stages if is_heard(each, now)]
    ingest = [each for each in stages if each.stage == "ingest"]
    judge = next((each for each in stages if each.stage == "judge"), None)
    flowing = [each for each in stages if each.topic.endswith(COUNTS)]  # alerts are rare: old, and not behind
    return PipelineSummary(
        is_lagging=any(each.is_lagging for each in workers) if workers else None,
        reasons=[f"{each.worker}: {each.reason}" for each in workers if each.reason],
        watermark_lag_s=judge.watermark_lag_s if judge else None,
        stored_lag_s=max((each.stored_lag_s for each in flowing if each.stored_lag_s is not None), default=None),
        backlog_records=sum(each.backlog_records or 0 for each in workers) if workers else None,
        events=sum(each.events for each in ingest), dead_letters=sum(each.dead_letters for each in ingest),
        late=judge.late if judge else 0, workers=len({each.worker for each in workers}),
    )  # fmt: skip
