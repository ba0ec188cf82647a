"""The benchmark of views asks all of them, and what it fills in is found."""

import uuid
from pathlib import Path

import pytest

from pipeline.embedded import EmbeddedClickHouse
from pipeline.sinks.migrations import load, migrate, views
from tests.bench import stored as stored_bench
from tests.bench import views as bench

TINY = bench.Size(
    slos=8, instances=2, days=2, neighbours=7, newest_s=3_600, series=8, alerts=80, corrections=4, looks=4_000,
    events=400,
)  # fmt: skip


def test_every_view_is_asked() -> None:
    assert set(bench.QUESTIONS) == set(views(load()))


@pytest.mark.servers
def test_a_small_run_answers_of_the_slo_that_is_asked_about(clickhouse: EmbeddedClickHouse, tmp_path: Path) -> None:
    name = f"b{uuid.uuid4().hex}"
    with clickhouse.client() as admin:
        admin.execute(f"CREATE DATABASE {name}")
        with clickhouse.client(database=name) as client:
            migrate(client)
            bench.fill(client, TINY)
            counted = bench.count_kept(client)
            answers = [bench.asked(client, admin, question, 1) for question in bench.ALL]
            rows = {each.view: each.rows for each in answers}
            corrected = client.execute(
                "SELECT count(), sum(uncorrected_good > good), sum(corrected_minutes) FROM compliance_corrected "
                "WHERE slo = %(slo)s", {"slo": bench.ASKED}
            )  # fmt: skip
            stored = dict(client.execute(bench.STORED_SQL))
            kept = stored_bench.measure(clickhouse, client, 2_000, 20, tmp_path)
        admin.execute(f"DROP DATABASE {name} SYNC")
    assert {(each["table"], each["parts"]) for each in counted} == {("corrected_windows", 8), ("frontier_configs", 8)}
    assert rows["compliance"] == rows["compliance_corrected"] == rows["error_budget_corrected"] == TINY.instances
    assert rows["slo_counts_1h"] == 48
    assert rows["alert_log"] == TINY.alerts // TINY.slos
    assert corrected == [(2, 2, 2 * 45 * 2)]
    for view in ("signals", "capacity", "forecast", "quota_usage", "cost", "config_frontier", "endpoints"):
        assert rows[view], view
    assert stored["counts_1h"] == 8 * 2 * 48
    result = {"answers": [vars(each) for each in answers], "goal_ms": bench.GOAL_MS, "size": TINY._asdict()}
    bench.plot(result, tmp_path / "views.png")
    assert len(bench.rows(result)) == len(bench.ALL)
    assert len(stored_bench.rows(kept)) == 7 and kept["events"] == 2_000
