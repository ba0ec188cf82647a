"""`burnline produce`: order, pace, times, rejects, and a real Kafka."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from jobs.event_sink import KafkaEventSink, ListEventSink
from jobs.fleet import Fleet, FleetSpec
from jobs.playback import in_order, moved, replay
from jobs.produce import produce
from jobs.traces import read_events
from pipeline import topics
from pipeline.embedded import EmbeddedKafka
from pipeline.encoding import EventColumns, EventEncoder, Words
from pipeline.settings import Settings
from tests.jobs.consumed import consumed
from tests.jobs.decoded import decoded

APP = typer.Typer()
APP.command()(produce)
MAPPING = """
kind: Mapping
spec:
  time: {field: completed_at, column: when, format: unix_s}
  fields:
    service: {constant: probe}
    request_model: {column: model}
    e2e_us: {column: ms, unit: ms}
  outcomes: [{set: {outcome: SUCCESS}}]
"""


@pytest.fixture
def trace(tmp_path: Path) -> tuple[Path, Path]:
    """Forty rows out of order, two of them bad."""
    rows = [f"{1_700_000_000 + (7 * i) % 40},m{i % 3},{i}" for i in range(40)]
    rows[5] = "soon,m,1"
    rows[6] = "1700000000,m"
    (tmp_path / "t.csv").write_text("when,model,ms\n" + "\n".join(rows) + "\n")
    (tmp_path / "m.yaml").write_text(MAPPING)
    return tmp_path / "t.csv", tmp_path / "m.yaml"


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def test_events_are_sent_in_order_of_completion_at_their_pace(trace: tuple[Path, Path]) -> None:
    events = in_order(read_events(*trace)[0])
    report = replay(events, sink := ListEventSink(), speed=100.0)
    sent = EventColumns.concatenate(sink.parts)
    assert (np.diff(sent["completed_at"]) >= 0).all() and len(sent) == report.sent == 38
    assert report.elapsed_s >= 0.39 and len(sink.parts) > 3


def test_moving_keeps_every_distance(trace: tuple[Path, Path]) -> None:
    events, _ = read_events(*trace)
    for before, after in zip(decoded(events), decoded(moved(events, 1_000)), strict=True):
        times = ("received_at", "completed_at", "emitted_at")
        assert {**before, **{name: before[name] + 1_000 for name in times}} == after


def test_bad_rows_are_told_with_their_line_counted_and_kept(trace: tuple[Path, Path], tmp_path: Path) -> None:
    result = invoke(trace[0], "--mapping", trace[1], "--dry-run", "--json", "--rejects", tmp_path / "r.jsonl")
    report = json.loads(result.stdout)
    assert result.exit_code == 0 and (report["sent"], report["rejects"]) == (38, 2)
    assert report["reject_reasons"] == {"when": 1, "(row)": 1}
    assert f"{trace[0]}:7: when: 'soon' is no number" in result.stderr
    assert [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()] == [
        {"line": 7, "column": "when", "reason": "'soon' is no number"},
        {"line": 8, "column": "", "reason": "2 columns instead of 3"},
    ]


def test_it_fails_when_every_row_is_bad(trace: tuple[Path, Path]) -> None:
    trace[0].write_text("when,model,ms\nsoon,m,1\nlater,m,1\n")
    assert invoke(trace[0], "--mapping", trace[1], "--dry-run").exit_code == 1


@pytest.mark.parametrize(
    ("options", "first_us"),
    [
        pytest.param(["--start=original"], 1_700_000_000_000_000, id="original"),
        pytest.param(["--start=2026-01-01T00:00:00Z"], 1_767_225_600_000_000, id="given"),
        pytest.param(["--limit=10", "--start=original"], 1_700_000_000_000_000, id="limited"),
    ],
)
def test_the_first_event_is_where_it_is_wanted(trace: tuple[Path, Path], options: list[str], first_us: int) -> None:
    report = json.loads(invoke(trace[0], "--mapping", trace[1], "--dry-run", "--json", *options).stdout)
    assert report["start_us"] == first_us and report["sent"] == (10 if "--limit=10" in options else 38)


def test_by_default_the_last_event_is_now(trace: tuple[Path, Path]) -> None:
    before_us = time.time_ns() // 1000
    report = json.loads(invoke(trace[0], "--mapping", trace[1], "--dry-run", "--json").stdout)
    assert before_us <= report["end_us"] <= time.time_ns() // 1000


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--mapping=nothing-such"], 2, id="no such mapping"),
        pytest.param(["--mapping={mapping}", "--speed=fast"], 2, id="no such speed"),
        pytest.param(["--mapping={mapping}", "--start=soon"], 2, id="no such time"),
        pytest.param([], 2, id="no mapping"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(trace: tuple[Path, Path], arguments: list[str], code: int) -> None:
    given = [argument.format(mapping=trace[1]) for argument in arguments]
    assert invoke(trace[0], "--dry-run", *given).exit_code == code


def test_a_file_that_cannot_be_read_fails(trace: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"no parquet")
    result = invoke(tmp_path / "t.parquet", "--mapping", trace[1], "--dry-run")
    assert result.exit_code == 1 and "t.parquet" in result.stderr


@pytest.mark.servers
def test_a_trace_arrives_in_kafka_whole(trace: tuple[Path, Path], kafka: EmbeddedKafka, topic_prefix: str) -> None:
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    topics.create_topics(settings)
    events = in_order(read_events(*trace)[0])
    with KafkaEventSink(settings) as sink:
        report = replay(events, sink)
    records = consumed(settings, topics.EVENTS)
    assert (report.sent, report.failed) == (38, 0)
    assert sorted(r.value for r in records) == sorted(EventEncoder().encode(events).records())


@pytest.mark.servers
def test_an_event_that_cannot_be_delivered_is_counted_and_the_others_arrive(
    kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    topics.create_topics(settings)
    events = Fleet(FleetSpec(rate=100)).events(1_760_000_000_000_000, 1_760_000_001_000_000)
    huge = Words(["a", "b" * 2_000_000], (np.arange(len(events)) == 3).astype(np.int32))
    with KafkaEventSink(settings) as sink:
        sink.send(EventColumns({**events.columns, "span_id": huge}))
        sink.flush()
    assert (sink.sent, sink.failed) == (len(events), 1) and "too large" in sink.first_error
    assert len(consumed(settings, topics.EVENTS)) == len(events) - 1
