"""`burnline doctor`: each check sees what it is for, against real servers; and its table runs to the end."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands.children import environment
from pipeline.commands.doctor import CHECKS, findings
from pipeline.commands.doctor_clickhouse import (
    check_clickhouse,
    check_grants,
    check_refreshed,
    check_tables,
    room,
    skew,
    version_of,
)
from pipeline.commands.doctor_files import check_cache, check_controls, check_registry, difference
from pipeline.commands.doctor_kafka import check_duplicates, check_events, check_lag, check_partitions
from pipeline.commands.findings import Check, Finding
from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka
from pipeline.settings import Settings
from pipeline.topics import COUNTS, EVENTS, STATE, TopicsError, TopicSpec, create_topics, topic_name, topics
from schemas import HOME, avro_text
from tests.database import Database, insert
from tests.refreshing import refresh_for
from tests.sinks.storing import reader_of, settings_of
from tests.sources.test_registry import OLD_EVENTS, Registry, serving

NAME = "message.timestamp.type"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("config", "said", "remedy"),
    [
        pytest.param({NAME: "LogAppendTime"}, "the broker's", "", id="the broker's clock"),
        pytest.param({NAME: "CreateTime"}, "the producers' (CreateTime)", f"set {NAME}=", id="the producers' clocks"),
        pytest.param({}, "the producers' (CreateTime)", f"set {NAME}=LogAppendTime", id="what Kafka does unasked"),
    ],
)
def test_a_window_over_times_of_producers_is_warned_of(
    kafka: EmbeddedKafka, topic_prefix: str, config: dict[str, str], said: str, remedy: str
) -> None:
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix, duplicates_window_s=60)
    topic = NewTopic(f"{topic_prefix}{EVENTS}", 1, config=config)
    admin = AdminClient({"bootstrap.servers": kafka.brokers})  # its futures end with it
    admin.create_topics([topic])[topic.topic].result(60)
    found = check_duplicates(settings)
    assert found.ok and said in found.detail
    assert remedy in found.remedy and bool(remedy) == bool(found.remedy)


def test_without_a_window_nothing_is_asked() -> None:
    found = check_duplicates(Settings(kafka_brokers="127.0.0.1:1"))
    assert (found.ok, found.remedy) == (True, "") and "no window" in found.detail


@pytest.fixture
def narrow(kafka: EmbeddedKafka, topic_prefix: str) -> Settings:
    """Every topic, with one partition each and no settings of its own."""
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    create_topics(settings, {name: TopicSpec(1) for name in topics()})
    return settings


@pytest.mark.servers
def test_topics_unlike_the_file_are_told_and_nothing_is_altered(narrow: Settings) -> None:
    for _ in range(2):
        found = check_partitions(narrow)
        assert found.ok and "see that each is meant" in found.remedy
        assert f"{narrow.topic_prefix}{EVENTS}: partitions is 1, not {topics()[EVENTS].partitions}" in found.detail


@pytest.mark.servers
def test_a_memory_that_does_not_fit_its_counts_is_wrong(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    settings = Settings(kafka_brokers=kafka.brokers, topic_prefix=topic_prefix)
    with pytest.raises(TopicsError, match="must be equal"):  # they are made all the same
        create_topics(settings, {name: TopicSpec(2 if name == COUNTS else 1) for name in topics()})
    found = check_partitions(settings)
    assert not found.ok and STATE in found.remedy and "must be equal" in found.detail


def send(settings: Settings, count: int, ahead_s: int = 0) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_brokers})
    for _ in range(count):
        producer.produce(topic_name(settings, EVENTS), b"x", timestamp=int((time.time() + ahead_s) * 1000))
    assert producer.flush(60) == 0


@pytest.mark.servers
def test_events_and_those_who_wait_for_them_are_told(narrow: Settings) -> None:
    empty = check_events(narrow)
    assert empty.ok and "empty" in empty.detail and "simulate" in empty.remedy
    send(narrow, 5)
    assert check_events(narrow).remedy == ""
    lag = check_lag(narrow)
    assert lag.ok and "ingest: 0 member(s), 5 records wait; judge: 0 member(s), 0 records wait" in lag.detail
    assert "nobody runs ingest and judge" in lag.remedy
    send(narrow, 1, ahead_s=3_600)
    ahead = check_events(narrow)
    assert not ahead.ok and "from now" in ahead.detail and "LogAppendTime" in ahead.remedy


@pytest.mark.parametrize(
    ("ahead_s", "uncertain_s", "ok"),
    [
        pytest.param(0.3, 0.01, True, id="together"),
        pytest.param(-3.0, 0.01, False, id="behind"),
        pytest.param(3.0, 0.01, False, id="in front"),
        pytest.param(3.0, 2.0, True, id="the question took so long that nobody knows"),
    ],
)
def test_clocks_are_held_against_each_other(ahead_s: float, uncertain_s: float, ok: bool) -> None:
    found = skew(ahead_s, uncertain_s)
    assert found.ok == ok and bool(found.remedy) != ok


@pytest.mark.parametrize(
    ("free_bytes", "size_bytes", "ok", "remedy"),
    [
        pytest.param(20_000_000_000, 100_000_000_000, True, "", id="a fifth"),
        pytest.param(9_000_000_000, 100_000_000_000, True, "make room", id="less than a tenth"),
        pytest.param(900_000_000, 2_000_000_000, True, "make room", id="less than 1 GB"),
        pytest.param(0, 100_000_000_000, False, "make room", id="nothing"),
    ],
)
def test_a_disk_that_is_soon_full_is_told(free_bytes: int, size_bytes: int, ok: bool, remedy: str) -> None:
    found = room(free_bytes, size_bytes)
    assert found.ok == ok and found.remedy.startswith(remedy) and bool(found.remedy) == bool(remedy)


def test_versions_are_compared_as_numbers() -> None:
    assert version_of("26.9.1.20") == (26, 9) < version_of("26.10.1")


@pytest.mark.servers
def test_a_database_that_was_not_migrated_or_is_not_granted_is_wrong(clickhouse: EmbeddedClickHouse) -> None:
    clickhouse.client().execute("CREATE DATABASE IF NOT EXISTS doctor_empty")
    known = settings_of(clickhouse)
    assert check_clickhouse(known).ok and check_tables(known).ok and check_grants(known).ok
    url = f"{known.clickhouse_url.rpartition('/')[0]}/doctor_empty"
    elsewhere = known.model_copy(update={"clickhouse_url": url})
    tables, grants = findings(elsewhere, tuple(c for c in CHECKS if c.name in {"tables", "grants"}))
    assert not tables.ok and "burnline migrate" in tables.remedy
    assert not grants.ok and "GRANT SELECT, INSERT ON doctor_empty.*" in grants.remedy


@pytest.mark.servers
def test_answers_that_nobody_counts_are_told(clickhouse: EmbeddedClickHouse, tmp_path: Path) -> None:
    with Database(clickhouse) as own, own.client() as client:
        settings = own.settings(tmp_path)
        assert not check_refreshed(settings).remedy
        now = datetime.now(UTC)
        long_ago = now - timedelta(hours=2)
        insert(client, "corrected_windows", slo="one", instance="", refreshed_at=long_ago, is_deleted=0)
        found = check_refreshed(settings)
        assert "1 part(s) are late, the first: corrected_windows of one, 2 h ago" in found.detail
        assert found.ok and "step store" in found.remedy
        refresh_for(client, "compliance_corrected")
        assert not check_refreshed(settings).remedy


def test_a_login_that_only_reads_is_told_so_and_not_to_migrate(clickhouse: EmbeddedClickHouse) -> None:
    found = check_tables(reader_of(clickhouse))
    assert not found.ok and "may not read which files" in found.detail and "login of a worker" in found.remedy


def test_a_file_of_controls_that_no_worker_would_start_with_is_told(tmp_path: Path) -> None:
    file = tmp_path / "controls.yaml"
    assert check_controls(Settings()).ok
    file.write_text("apiVersion: burnline/v1\nkind: Controls\ngate: {every: 1s, ttl: 1s}\n")
    found = check_controls(Settings(controls_file=file))
    assert not found.ok and f"{file}:3:7" in found.detail and "twice as long" in found.detail


def test_kernels_that_others_could_write_are_wrong_and_none_is_worth_a_look(tmp_path: Path) -> None:
    settings = Settings(kernel_cache=tmp_path / "kernels")
    cold = check_cache(settings)
    assert cold.ok and "--warm" in cold.remedy and not (tmp_path / "kernels").exists()
    (tmp_path / "kernels").mkdir(mode=0o700)
    (tmp_path / "kernels" / "fold.nbc").touch(0o600)
    assert check_cache(settings).detail.startswith("1 compiled in")
    (tmp_path / "kernels").chmod(0o777)
    assert not check_cache(settings).ok


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as server:
        yield server


def schemas_of(registry: Registry) -> Finding:
    return check_registry(Settings(schema_registry_url=registry.url))


def test_schemas_in_a_registry_are_this_versions_or_told(registry: Registry) -> None:
    assert "first worker registers" in schemas_of(registry).remedy
    spaced = json.dumps(json.loads(avro_text("slo_counts")), indent=4)
    registry.register("slo.counts-value", spaced)
    assert schemas_of(registry).ok, "the same schema, written otherwise"
    registry.register("inference.events-value", OLD_EVENTS)
    told = schemas_of(registry)
    assert told.ok and "producers of inference.events write without" in told.detail
    older = (HOME / "golden" / "slo_slice" / "v1.avsc").read_text()
    registry.register("slo.slices-value", older)
    drifted = schemas_of(registry)
    assert not drifted.ok and "slo.slices" in drifted.detail and "one version" in drifted.remedy


def test_without_a_registry_nothing_is_asked() -> None:
    assert check_registry(Settings()).ok


def test_fields_that_nobody_reads_are_told() -> None:
    more = json.loads(avro_text("inference_event"))
    more["fields"].append({"name": "mood", "type": "string"})
    assert difference(json.dumps(more)) == "fields that are not read: mood"
    assert difference(avro_text("inference_event")) == ""


def broken(_: Settings) -> Finding:
    raise RuntimeError("it broke\nsecond line")


def test_a_check_that_fails_is_a_finding_and_what_needs_it_is_not_looked_at() -> None:
    table = (
        Check("first", broken, "mend it"),
        Check("second", lambda _: Finding("second", True, "seen"), "", ("first",)),
        Check("third", lambda _: Finding("third", True, "seen"), ""),
    )
    assert findings(Settings(), table) == [
        Finding("first", False, "RuntimeError: it broke second line", "mend it"),
        Finding("second", False, "not looked at", "see the check of first"),
        Finding("third", True, "seen"),
    ]


def test_the_table_names_each_check_once_and_needs_only_what_comes_before() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(set(check.needs) <= set(names[:at]) and check.remedy for at, check in enumerate(CHECKS))


@pytest.mark.servers
def test_the_whole_table_is_run_and_a_failure_is_the_exit_code(
    kafka: EmbeddedKafka, clickhouse: EmbeddedClickHouse, narrow: Settings, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "kafka_brokers": kafka.brokers,
        "topic_prefix": narrow.topic_prefix,
        "data_dir": tmp_path,
    }
    settings = settings_of(clickhouse).model_copy(update={**changes, "slo_dir": HOME / "slo"})
    done = CliRunner().invoke(app, ["doctor", "--json"], env=environment(settings))
    found = [Finding(**each) for each in json.loads(done.stdout)]
    assert [each.check for each in found] == [check.name for check in CHECKS]
    wrong = {each.check for each in found if not each.ok} - {"workers"}  # other tests' workers may lag
    assert (wrong, done.exit_code in {0, 1}) == (set(), True), done.stdout
    (tmp_path / "bad.yaml").write_text("apiVersion: burnline/v1\nkind: Nothing\n")
    env = environment(settings.model_copy(update={"slo_dir": tmp_path}))
    told = CliRunner().invoke(app, ["doctor"], env=env)
    assert told.exit_code == 1 and "wrong  SLO files" in told.stdout and "slo validate" in told.stdout
