"""`burnline simulate`: paces, truth, the command, and a real Kafka."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jobs.event_sink import KafkaEventSink, ListEventSink
from jobs.fleet import Fleet, FleetSpec, Incident, Truth
from jobs.simulate import simulate
from jobs.simulation import SimulationReport, SimulationSpec, run
from pipeline import topics
from pipeline.embedded import EmbeddedKafka
from pipeline.encoding import EventColumns, EventEncoder
from pipeline.settings import Settings
from tests.jobs.consumed import consumed
from tests.jobs.decoded import read_values

START_US = 1_760_000_000_000_000
APP = typer.Typer()
APP.command()(simulate)


def bytes_of(events: EventColumns) -> list[bytes]:
    return EventEncoder().encode(events).records()


def test_at_full_speed_the_sink_and_the_truth_get_exactly_the_fleets_events() -> None:
    spec = SimulationSpec(FleetSpec(rate=200, zero_us=START_US), 4, START_US, 65_000_000, None)
    sink, truth, seen = ListEventSink(), Truth(), []
    report = run(spec, sink, truth, lambda r: seen.append(r.end_us))
    expected = Fleet(spec.fleet, 4).events(START_US, START_US + 65_000_000)
    assert bytes_of(EventColumns.concatenate(sink.parts)) == bytes_of(expected)
    assert report.events == truth.events == len(expected) and seen == sorted(seen)
    assert (report.start_us, report.end_us, report.stopped) == (START_US, START_US + 65_000_000, False)


def test_a_compressed_run_takes_its_share_of_the_time() -> None:
    spec = SimulationSpec(FleetSpec(rate=100), 0, START_US, 30_000_000, 60.0)
    report = run(spec, sink := ListEventSink())
    assert report.elapsed_s >= 0.5 and len(sink.parts) >= 5


def test_a_run_that_is_stopped_reports_what_it_sent() -> None:
    stop = threading.Event()
    spec = SimulationSpec(FleetSpec(rate=100), 0, START_US, None, 100.0)
    truth, sink = Truth(), ListEventSink()

    def enough(report: SimulationReport) -> None:
        if report.end_us >= START_US + 30_000_000:
            stop.set()

    report = run(spec, sink, truth, enough, stop)
    assert report.stopped and report.events == truth.events == sink.sent > 0
    assert report.events == len(Fleet(spec.fleet, 0).events(START_US, report.end_us))


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(APP, arguments)


def test_the_command_prints_one_json_object_and_writes_the_truth(tmp_path: Path) -> None:
    result = invoke(
        "--dry-run", "--json", "--rate=50", "--models=2", "--tenants=3", "--speed=full", "--duration=2m",
        "--seed=9",
        f"--truth={tmp_path / 't'}", "--scenario=error-burst",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    about = json.loads((tmp_path / "t/truth.json").read_text())
    assert report["events"] == about["events"] > 4000
    assert {series[1] for series in about["series"]} == {"llama-3.3-70b", "qwen2.5-32b"}
    assert abs(report["end_us"] / 1e6 - time.time()) < 60


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--speed=fast"], id="no such speed"),
        pytest.param(["--speed=full"], id="full speed without an end"),
        pytest.param(["--speed=x60", "--duration=1h", "--start=2999-01-01"], id="events of the future"),
        pytest.param(["--scenario=calamity"], id="no such scenario"),
        pytest.param(["--models=gpt-5"], id="no such model"),
        pytest.param(["--duration=10"], id="duration without a unit"),
    ],
)
def test_a_run_that_cannot_be_is_a_usage_error(arguments: list[str]) -> None:
    assert invoke("--dry-run", *arguments).exit_code == 2


def wait_until_sigterm_is_caught(pid: int) -> None:
    """Python catches SIGINT from its start; SIGTERM is only caught once the run has put its own handlers in place."""
    deadline, bit = time.monotonic() + 60, 1 << (signal.SIGTERM - 1)
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        if int(status.split("SigCgt:")[1].split()[0], 16) & bit:
            return
        time.sleep(0.1)
    raise AssertionError("the run never began")


def test_ctrl_c_ends_cleanly_with_a_report() -> None:
    code = "import typer, jobs.simulate; app = typer.Typer(); app.command()(jobs.simulate.simulate); app()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--dry-run", "--json", "--rate=50", "--speed=real"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    wait_until_sigterm_is_caught(process.pid)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in error, error
    assert json.loads(out)["stopped"] is True


@pytest.mark.servers
def test_every_event_arrives_in_kafka_once_keyed_by_its_request(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    topics.create_topics(settings)
    burst = Incident("i", "errors", 0, 60_000_000, 0.5)
    spec = SimulationSpec(FleetSpec(rate=400, zero_us=START_US, incidents=(burst,)), 2, START_US, 60_000_000, None)
    with KafkaEventSink(settings) as sink:
        report = run(spec, sink)
    records = consumed(settings, topics.EVENTS)
    expected = bytes_of(Fleet(spec.fleet, 2).events(START_US, START_US + 60_000_000))
    assert sorted(r.value for r in records) == sorted(expected) and report.events == len(expected)
    events = read_values(r.value for r in records)
    assert [r.key for r in records] == [event["request_id"].encode() for event in events]
    partitions = defaultdict(set)
    for record in records:
        partitions[record.key].add(record.partition)
    assert {len(p) for p in partitions.values()} == {1} and len({r.partition for r in records}) == 8
    assert any(event["attempt"] == 3 for event in events)
