"""What is stored goes some day: every tier by its setting, and the server's own logs within days."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings
from pipeline.sinks.migrations import load
from pipeline.sinks.retention import KEPT, Difference, differences

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


def test_every_table_that_grows_with_events_has_a_setting() -> None:
    made = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+).*?TTL toDateTime\((\w+)\) \+ INTERVAL (\d+) DAY", re.DOTALL)
    of_files = {}
    for statement in (statement for migration in load() for statement in migration.statements):
        if found := made.match(statement):
            of_files[found[1]] = (found[2], int(found[3]))
    defaults = {table: (column, Settings.model_fields[name].default) for table, (column, name) in KEPT.items()}
    assert {table: of_files[table] for table in KEPT} == defaults


@pytest.mark.servers
def test_a_server_as_migrations_make_it_differs_only_from_other_settings(clickhouse: EmbeddedClickHouse) -> None:
    with clickhouse.client() as client:
        assert differences(client, Settings()) == []
        wanted = Settings(ttl_slices_1m_d=90)
        assert differences(client, wanted) == [Difference("slices_1m", 40, 90)]


@pytest.mark.servers
def test_the_embedded_servers_own_logs_are_kept_for_days(clickhouse: EmbeddedClickHouse) -> None:
    with clickhouse.client() as client:
        client.execute("SYSTEM FLUSH LOGS")
        logs = client.execute(
            "SELECT name, engine_full FROM system.tables WHERE database = 'system' AND engine LIKE '%MergeTree'"
        )
    assert {"query_log", "part_log"} >= {name for name, _ in logs} != set()
    assert all("TTL event_date + toIntervalDay(3)" in engine for _, engine in logs)


def test_the_containers_own_logs_are_kept_for_days() -> None:
    configs = YAML(typ="safe", pure=True).load(COMPOSE.read_text(encoding="utf-8"))["configs"]
    logs = list(ElementTree.fromstring(configs["clickhouse_logs"]["content"]))
    assert {"query_log", "part_log", "trace_log", "metric_log"} <= {log.tag for log in logs}
    assert {log.findtext("ttl") for log in logs} == {"event_date + INTERVAL 3 DAY"}
