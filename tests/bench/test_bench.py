"""The benchmarks' machinery on little input: results are right, whatever the time they took."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka
from pipeline.settings import Settings
from tests.bench import ingest, kernel, latency, report, soak, topic
from tests.bench.by_hand import ByHand, Sums, verdicts
from tests.bench.fleet_events import make_base
from tests.bench.gauges import added
from tests.bench.paced import PacePlan, Sent
from tests.naive import events as naive

DATA_DIR = Path(".burnline")


@pytest.mark.servers
def test_the_worker_and_every_rival_add_up_to_the_same(kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path) -> None:
    plan = ingest.IngestPlan(base=5_000, repeats=4, series=200, runs=1)
    result = ingest.measure_on(kafka, plan, tmp_path, DATA_DIR, topic_prefix)
    assert result["rivals_differ"] == {"stock": 0, "confluent": 0}
    assert [run["differences"] for run in result["ours"]] == [0]
    assert result["series"] == 200
    assert sum(run["events"] for run in result["ours"]) == 20_000
    report.plot_ingest(result, tmp_path / "ingest.png")
    assert (tmp_path / "ingest.png").stat().st_size > 10_000


def test_every_event_of_the_kernel_benchmark_is_counted(tmp_path: Path) -> None:
    result = kernel.measure(20_000, 500, 1, tmp_path, DATA_DIR.resolve())
    assert {name: (cost["fields"], cost["good"]) for name, cost in result["costs"].items()} == {
        "16 fields": (16, 20_000),
        "58 fields": (58, 20_000),
    }
    path = report.save("kernel", result, report.surroundings(), tmp_path)
    assert json.loads(path.read_text())["versions"]["numba"]
    report.plot_kernel(result, tmp_path / "kernel.png")


@pytest.mark.servers
def test_a_steady_load_is_sent_and_watched(
    kafka: EmbeddedKafka, clickhouse: EmbeddedClickHouse, topic_prefix: str, tmp_path: Path
) -> None:
    settings = Settings(
        kafka_brokers=kafka.brokers, topic_prefix=topic_prefix, clickhouse_url=clickhouse.url, data_dir=DATA_DIR,
        clickhouse_password_file=clickhouse.password_file, slo_dir=latency.write_slos(tmp_path / "slo"),
    )  # fmt: skip
    topic.create(settings)
    plan = PacePlan("", "", rate=4_000, seconds=5, models=5, base=5_000, series=200, settle_s=0, attack_from_s=2.5)
    result = soak.soak_on(settings, plan, tmp_path)
    assert result["events"] == 20_000
    assert result["intruders"] == 50 * 4  # ticks, new tenants in each
    assert result["peak_bytes"] > 0
    assert max(result["gauges"]["series"]) >= 200 and max(result["gauges"]["instances"]) >= 5
    soak.plot(result, tmp_path / "soak.png")


def test_a_soak_expects_of_every_slo_what_was_sent_and_complains_of_the_rest() -> None:
    sent = Sent(event_us=[1, 2], good=[[3, 0], [4, 1]], bad=[[0, 2], [1, 0]], events=11)
    slos = ("errors-by-tenant", "errors-5", "errors-10", "errors-20")
    assert soak.expected(sent) == {(slo, name): n for slo in slos for name, n in (("good", 8), ("bad", 3))}
    fine = {"missing": 0, "extra": 0, "differences": {}, "peak_bytes": 5_000_000, "bound_bytes": 5_000_000}
    assert soak.wrong(fine) == ""
    assert soak.wrong({**fine, "missing": 3}).startswith("3 missing, 0 extra")
    assert soak.wrong({**fine, "extra": 3}).startswith("0 missing, 3 extra")
    assert soak.wrong({**fine, "peak_bytes": 6_000_000}) == "6 MB, past the bound of 5 MB"


@pytest.mark.parametrize("limit", ["limit_instances", "limit_series", "limit_waiting", "queue_bytes"])
def test_the_bound_of_memory_grows_with_every_limit(limit: str) -> None:
    before = soak.bound_parts(Settings())
    behind = soak.bound_parts(Settings(**{limit: 2 * getattr(Settings(), limit)}))
    assert behind == before | {limit: 2 * before[limit]}


def test_metrics_are_added_up_over_their_labels_but_for_the_step() -> None:
    text = """
burnline_series 3
burnline_instances{partition="0"} 2
burnline_instances{partition="1"} 4
burnline_backlog_records{step="store"} 5
burnline_backlog_records{step="judge"} 7
"""
    told = added(text_string_to_metric_families(text))
    assert {name: value for name, value in told.items() if value} == {
        "series": 3, "instances": 6, "store_backlog": 5, "judge_backlog": 7,
    }  # fmt: skip


def test_the_rivals_judge_as_the_definitions_do() -> None:
    base = make_base(2_000, 100)
    events = [event for value in base.values if (event := naive.read(value[10:]))]
    assert len(events) == len(base.values)
    expected = [
        tuple(
            ("good", "bad", "excluded").index(naive.judge(event, metric, threshold, True))
            for metric, threshold in (("error_rate", None), ("e2e", 2_000_000), ("ttft", 1_000_000))
        )
        for event in events
    ]
    assert [verdicts(event) for event in events] == expected
    assert {verdict for line in expected for verdict in line} == {0, 1, 2}


def test_sums_that_differ_are_found() -> None:
    one, other = Sums(), Sums()
    for sums, values in ((one, make_base(50, 10).values), (other, make_base(50, 10).values[1:])):
        job = ByHand()
        for value in values:
            job.add(value)
        for message in job.flush():
            sums.add_flush(message)
    assert one.differences(one.times(1)) == 0
    assert one.differences(other) > 0
    assert one.differences(one.times(2)) > 0


def test_an_alert_is_due_with_the_first_tick_that_reaches_the_factor() -> None:
    at_us = np.arange(100) * 1_000_000 + 500_000  # a tick a second
    good, bad = np.full(100, 10), np.zeros(100, np.int64)
    good[70:], bad[70:] = 0, 10
    # 10x of 1 %: of 60 ticks in the window [16, 76) a tenth is bad with the last one, at 75 s
    assert latency.due_tick(at_us, good, bad, 10, 76_000_000) == 75
    assert latency.due_tick(at_us, good, bad, 10, 70_000_000) is None


def test_an_alert_no_tick_accounts_for_is_counted() -> None:
    sent = Sent(event_us=[0, 1_000_000], good=[[10], [10]], bad=[[0], [0]])
    alert = {
        "kind": "BURN_RATE", "event": "FIRED", "slo": "s", "labels": {"request_model": "model-00"},
        "burn_rate_factor": 5.0,
    }  # fmt: skip
    found = latency.delays_of(sent, [(5, {**alert, "window_end": 2_000_000})])
    assert found == ([], 1)
    assert latency.delays_of(replace(sent, bad=[[0], [9]]), [(5_000, {**alert, "window_end": 2_000_000})])[1] == 0
