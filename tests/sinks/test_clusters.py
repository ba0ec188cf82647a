"""Law: views answer the same however many servers share the tables, and repeating an insert changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from clickhouse_driver import Client, errors
from structlog.testing import capture_logs

from pipeline.cluster import SHARDING, Cluster, ClusterError, is_everywhere, local
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import DATABASE, READER
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import ClickHouse, client
from pipeline.sinks.clusters import cluster_of
from pipeline.sinks.migrations import (
    JOURNAL,
    MigrationError,
    in_cluster,
    load,
    load_views,
    migrate,
    opened,
    views,
)
from pipeline.sinks.repeating import insert_again
from pipeline.sinks.retention import differences, keep
from tests.sinks.clustering import CLUSTER, OWNER, PASSWORD, START_S, ordered, settings_of, tell, two_shards
from tests.sinks.storing import story_of

pytestmark = pytest.mark.servers
ALONE = "alone"  #: a database of one server, on the first
KEDA = "(service='chat', model='request_model-0')"


@dataclass
class Sites:
    """The same story, told to a cluster and to one server."""

    shards: list[EmbeddedClickHouse]
    cluster: list[Settings]
    alone: Settings
    one: Client

    def ask(self, shard: int, sql: str) -> Any:
        with self.shards[shard].client(READER) as reader:
            return reader.execute(sql)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with two_shards(tmp_path_factory.mktemp("shards")) as shards:
        cluster = [settings_of(each, DATABASE, CLUSTER) for each in shards]
        alone = settings_of(shards[0], ALONE)
        for settings in (*cluster, alone):
            assert len(migrate(settings)) == len(load()) + len(load_views())
        for settings in (cluster[0], alone):
            sink = ClickHouse(settings)
            with client(settings, is_admin=True) as connection:
                tell(sink, connection)
            sink.close()
        with client(alone) as one:
            yield Sites(shards, cluster, alone, one)


NAMES = [f"{name}{KEDA}" if name.startswith("keda_") else name for name in views(load())]


@pytest.mark.parametrize("view", NAMES)
def test_a_view_answers_on_a_cluster_as_on_one_server(sites: Sites, view: str) -> None:
    """Half of them are asked of either shard, since each takes as long as on two servers it must."""
    expected = ordered(sites.one.execute, view)
    assert expected
    assert ordered(lambda sql: sites.ask(NAMES.index(view) % 2, sql), view) == expected


@pytest.mark.parametrize("table", [name for name in SHARDING if not name.endswith("_shadow")])
def test_rows_lie_on_both_shards_and_those_of_one_key_on_one(sites: Sites, table: str) -> None:
    if is_everywhere(table):
        assert all(client(each).execute(f"SELECT count() > 0 FROM {table}") == [(1,)] for each in sites.cluster)
        return
    sql = f"SELECT DISTINCT toString(({SHARDING[table]}, 0)) FROM {local(table)}"
    first, second = ({row[0] for row in client(each).execute(sql)} for each in sites.cluster)
    assert first
    assert second
    assert not first & second


def test_the_writer_sees_behind_distributed_tables_that_there_is_no_keeper(sites: Sites) -> None:
    sink = ClickHouse(sites.cluster[1])
    assert not sink.has_keeper()
    sink.close()


@pytest.mark.parametrize("base", ["slo.counts", "slo.slices"])
def test_a_batch_is_looked_for_on_every_shard_and_counts_once(sites: Sites, base: str) -> None:
    story = story_of(base, f"again.{base}.", f"again.{base}", START_S, count=6)
    table, name = ("counts_1h", "slo") if base == "slo.counts" else ("slices_1h", "service")
    added = "sum(good), sum(bad)" if base == "slo.counts" else "sum(success), sum(gpu_us)"
    sql = f"SELECT {added} FROM {table} WHERE {name} = 'again.{base}'"
    for settings in (sites.cluster[0], sites.alone):  # of both, since views are compared
        sink = ClickHouse(settings)
        with capture_logs() as logs:
            for batch in story.batches:
                *pieces, _ = batch.rows
                for rows in pieces:
                    sink.insert(rows, batch.token)
                insert_again(sink, batch)
        sink.close()
        assert logs == []
    with client(sites.cluster[1]) as other:
        assert other.execute(sql) == sites.one.execute(sql) != [(0, 0)]


def test_migrating_again_changes_nothing(sites: Sites) -> None:
    for settings in (*sites.cluster, sites.alone):
        assert migrate(settings) == []
        assert keep(settings) == []


def test_the_shards_own_tables_are_kept_as_long_as_the_settings_say(sites: Sites) -> None:
    shorter = sites.cluster[1].model_copy(update={"ttl_dead_letters_d": 20})
    with client(shorter, is_admin=True) as connection:
        assert [(each.table, each.found_d) for each in keep(shorter)] == [("dead_letter_records", 30)]
        assert differences(connection, shorter) == []
        assert [each.table for each in keep(sites.cluster[1])] == ["dead_letter_records"]


def test_a_shard_that_is_away_makes_an_answer_fail_rather_than_smaller(sites: Sites) -> None:
    port = sites.shards[1].port
    sites.shards[1].stop()
    try:
        with pytest.raises(errors.ServerException, match=str(port)):
            sites.ask(0, "SELECT * FROM compliance")
    finally:
        sites.shards[1].start()


def test_a_shard_connects_to_its_peers_and_to_nobody_else(sites: Sites) -> None:
    if not sites.shards[0].is_confined:
        pytest.skip("no Landlock here")
    with client(sites.alone) as owner:
        reached = f"SELECT 1 FROM remote('127.0.0.1:{{port}}', system.one, '{OWNER}', '{PASSWORD}')"
        assert owner.execute(reached.format(port=sites.shards[1].port)) == [(1,)]
        with pytest.raises(errors.ServerException, match="Permission denied"):
            owner.execute(reached.format(port=sites.shards[1].http_port))


def test_every_statement_of_every_file_has_a_cluster_form_that_the_server_can_read(sites: Sites) -> None:
    files = [JOURNAL, *(opened(each) for file in (*load(), *load_views()) for each in file.statements)]
    for has_keeper in (True, False):
        form = Cluster("a-b.c", has_keeper, OWNER)
        for statement in (each for given in files for each in form.statements(given)):
            sites.one.execute(f"EXPLAIN AST {statement}")
            assert has_keeper == ("ON CLUSTER `a-b.c`" in statement), statement


def test_a_dry_run_shows_what_a_server_of_the_cluster_would_run(sites: Sites) -> None:
    shown = in_cluster(sites.cluster[0], load())
    assert "Distributed(`both`, currentDatabase(), marks_local, cityHash64(topic, partition))" in "\n".join(shown)
    assert in_cluster(sites.alone, load()) == []


def test_a_cluster_that_the_server_does_not_know_is_refused(sites: Sites) -> None:
    unknown = sites.alone.model_copy(update={"clickhouse_cluster": "nobody"})
    with pytest.raises(ClusterError, match="remote_servers"):
        cluster_of(unknown)
    with pytest.raises(MigrationError, match="nobody"):
        migrate(unknown)
