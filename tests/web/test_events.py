"""The pipeline in a line: what workers say of themselves, for as long as they say it."""

from datetime import timedelta
from typing import Any

import pytest

from pipeline.web.answers_events import Stage
from pipeline.web.events import heard, summary_of
from tests.web.fleets import NOW

EMPTY: dict[str, Any] = {name: None for name, field in Stage.model_fields.items() if field.annotation is not int}


def worker(name: str, silent_s: float, **changes: Any) -> Stage:
    """What a worker said a while ago."""
    zero = {name: 0 for name in Stage.model_fields if name not in EMPTY}
    told = {"stage": "worker ingest", "topic": "", "worker": name, "flushed_at": NOW - timedelta(seconds=silent_s)}
    said = {"is_lagging": False, "reason": "", "backlog_records": 0}
    return Stage(**{**EMPTY, **zero, **told, **said, **changes})


LAGS = {"is_lagging": True, "reason": "cannot keep up", "backlog_records": 9_000}
SAID = [
    pytest.param([], (None, [], None, 0), id="no worker at all"),
    pytest.param([worker("a", 3)], (False, [], 0, 1), id="one that keeps up"),
    pytest.param([worker("a", 3, **LAGS)], (True, ["a: cannot keep up"], 9_000, 1), id="one that lags"),
    pytest.param([worker("a", 61, **LAGS)], (None, [], None, 0), id="one that lagged, and ended"),
    pytest.param([worker("a", 3_000, **LAGS), worker("b", 60)], (False, [], 0, 1), id="another took over"),
    pytest.param([worker("a", 61)], (None, [], None, 0), id="one that kept up, and ended"),
]


@pytest.mark.parametrize(("workers", "said"), SAID)
def test_workers_that_say_nothing_any_more_do_not_count(workers: list[Stage], said: Any) -> None:
    found = summary_of(workers, NOW)
    assert (found.is_lagging, found.reasons, found.backlog_records, found.workers) == said


def test_what_a_worker_said_that_has_ended_is_no_longer_so() -> None:
    ended, going = (heard(worker("a", silent_s, **LAGS), NOW) for silent_s in (61, 59))
    assert (ended.is_lagging, ended.reason, going.is_lagging, going.reason) == (None, "", True, "cannot keep up")


def test_what_comes_rarely_is_old_and_not_behind() -> None:
    stored = [
        worker("", 0, stage="store", topic=f"mine.{topic}", stored_lag_s=lag_s)
        for topic, lag_s in (("slo.counts", 2.0), ("slo.counts", 3.0), ("slo.alerts", 1_320.0))
    ]
    assert summary_of(stored, NOW).stored_lag_s == 3.0
    assert summary_of(stored[2:], NOW).stored_lag_s is None
