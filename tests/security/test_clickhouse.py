"""ClickHouse: a reader reads views, a writer adds rows; neither reads files, reaches out or changes what is there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import ADMIN, READER, WRITER, WRITER_GRANTS, reader_grants
from pipeline.settings import Settings
from pipeline.sinks.migrations import HOME, MigrationError, load, migrate, views
from pipeline.sinks.tables import TABLES

pytestmark = pytest.mark.servers

UNKNOWN_TABLE, CANNOT_OPEN_FILE, READONLY, SETTING_CONSTRAINT, ACCESS_DENIED = 60, 76, 164, 452, 497
DENIED = {ACCESS_DENIED}
NO_COLUMNS, UNSUPPORTED = 636, 1

#: refused to everybody: what leads out of the database
OUT = [
    pytest.param("SELECT * FROM file('/etc/hostname', 'LineAsString')", DENIED, id="files"),
    pytest.param("SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", DENIED, id="URLs"),
    pytest.param("SELECT * FROM remote('127.0.0.1:1', system.one)", DENIED, id="other servers"),
    pytest.param("SELECT * FROM remoteSecure('127.0.0.1:1', system.one)", DENIED, id="other servers by TLS"),
    pytest.param("SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'LineAsString')", DENIED, id="S3"),
    pytest.param("SELECT * FROM executable('x.sh', TSV, 'a String')", DENIED, id="programs"),
    pytest.param("SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')", DENIED, id="MySQL"),
    pytest.param("SELECT * FROM filesystem('/etc')", DENIED, id="the file system"),
    pytest.param("SELECT file('/etc/passwd')", {CANNOT_OPEN_FILE}, id="the function that reads files"),
    pytest.param("SELECT * FROM system.users", DENIED, id="users"),
    pytest.param("SELECT * FROM system.grants", DENIED, id="grants"),
    pytest.param("SELECT * FROM system.processes", DENIED, id="running queries"),
    pytest.param("SELECT query FROM system.query_log", DENIED, id="other people's queries"),
    pytest.param("SELECT * FROM system.part_log", DENIED, id="parts"),
    pytest.param("SELECT * FROM system.server_settings", DENIED, id="server settings"),
    pytest.param("SELECT * FROM information_schema.tables", DENIED, id="the information schema"),
    pytest.param("CREATE DATABASE x", DENIED, id="databases"),
    pytest.param("CREATE TABLE x (n UInt8) ENGINE = Memory", DENIED, id="tables"),
    pytest.param("CREATE TEMPORARY TABLE x (n UInt8)", DENIED, id="temporary tables"),
    pytest.param("CREATE VIEW x AS SELECT 1", DENIED, id="views"),
    pytest.param("CREATE FUNCTION f AS (x) -> x", DENIED, id="functions"),
    pytest.param("CREATE USER u", DENIED, id="new users"),
    pytest.param("GRANT SELECT ON *.* TO burnline_reader", DENIED, id="grants to oneself"),
    pytest.param("ALTER TABLE slices_10s DELETE WHERE 1", DENIED, id="mutations"),
    pytest.param("ALTER TABLE slices_10s DROP COLUMN success", DENIED, id="columns"),
    pytest.param("TRUNCATE TABLE slices_10s", DENIED, id="truncation"),
    pytest.param("DROP TABLE slices_10s", DENIED, id="drops"),
    pytest.param("DROP VIEW sli", DENIED, id="drops of views"),
    pytest.param("RENAME TABLE slices_10s TO x", DENIED, id="renames"),
    pytest.param("DETACH TABLE slices_10s", DENIED, id="detaching"),
    pytest.param("OPTIMIZE TABLE slices_10s", DENIED, id="merges on request"),
    pytest.param("BACKUP TABLE slices_10s TO File('x')", DENIED, id="backups"),
    pytest.param("KILL QUERY WHERE 1", DENIED, id="killing queries"),
    pytest.param("SYSTEM FLUSH LOGS", DENIED, id="system commands"),
    pytest.param("SYSTEM SHUTDOWN", DENIED, id="shutdown"),
]
#: refused to the reader alone
READER_ONLY = [
    pytest.param("INSERT INTO marks (topic) VALUES ('x')", DENIED, id="inserts"),
    pytest.param("INSERT INTO sli (service) VALUES ('x')", DENIED, id="inserts into views"),
    pytest.param("SELECT count() FROM migrations", DENIED, id="the journal"),
    pytest.param("DESCRIBE TABLE slices_10s", DENIED, id="a table's columns"),
    pytest.param("SHOW CREATE TABLE slices_10s", DENIED, id="a table's definition"),
    pytest.param("EXPLAIN SELECT * FROM slices_10s", DENIED, id="plans of tables"),
    pytest.param("SELECT * FROM merge('burnline', '^marks$')", {*DENIED, NO_COLUMNS}, id="tables by pattern"),
    pytest.param("SET readonly = 0", {READONLY}, id="leaving read only"),
    pytest.param("SELECT 1 FROM numbers(1) SETTINGS readonly = 0", {READONLY}, id="leaving it in a query"),
    pytest.param("SELECT 1 FROM numbers(1) SETTINGS max_memory_usage = 0", {SETTING_CONSTRAINT}, id="all memory"),
    pytest.param(
        "SELECT 1 FROM numbers(1) SETTINGS max_memory_usage = 99999999999999", {SETTING_CONSTRAINT}, id="more"
    ),
    pytest.param("SELECT 1 FROM numbers(1) SETTINGS max_execution_time = 0", {SETTING_CONSTRAINT}, id="all time"),
    pytest.param("SELECT 1 FROM numbers(1) SETTINGS max_execution_time = 3600", {SETTING_CONSTRAINT}, id="an hour"),
    pytest.param(
        "SELECT 1 FROM numbers(1) SETTINGS allow_introspection_functions = 1", {SETTING_CONSTRAINT}, id="introspection"
    ),
    pytest.param(
        "SELECT 1 FROM numbers(1) SETTINGS max_concurrent_queries_for_user = 0", {SETTING_CONSTRAINT}, id="more queries"
    ),
]


@pytest.fixture(scope="module")
def users(clickhouse: EmbeddedClickHouse) -> Iterator[dict[str, Client]]:
    """A client of each user; every table of the logs exists, so that it can be refused."""
    admin = clickhouse.client(ADMIN)
    admin.execute("SYSTEM FLUSH LOGS")
    yield {user: clickhouse.client(user) for user in (READER, WRITER, ADMIN)}


def refused(client: Client, query: str) -> int:
    with pytest.raises(ServerException) as found:
        client.execute(query)
    client.disconnect()
    return int(found.value.code)


@pytest.mark.parametrize(("query", "codes"), OUT)
@pytest.mark.parametrize("user", [READER, WRITER])
def test_reader_and_writer_are_refused(
    clickhouse: EmbeddedClickHouse, users: dict[str, Client], user: str, query: str, codes: set[int]
) -> None:
    if CANNOT_OPEN_FILE in codes and not clickhouse.is_confined:
        pytest.skip("this system cannot confine a process to its files")
    assert refused(users[user], query) in codes
    assert set(TABLES) <= {name for (name,) in users[ADMIN].execute("SHOW TABLES")}


@pytest.mark.parametrize(("query", "codes"), READER_ONLY)
def test_the_reader_is_refused(users: dict[str, Client], query: str, codes: set[int]) -> None:
    assert refused(users[READER], query) in codes


@pytest.mark.parametrize("table", TABLES)
def test_the_reader_reads_no_table_behind_the_views(users: dict[str, Client], table: str) -> None:
    assert refused(users[READER], f"SELECT count() FROM {table}") == ACCESS_DENIED


@pytest.mark.parametrize("query", [str(parameter.values[0]) for parameter in OUT[:8]])
def test_the_admin_reads_no_files_and_no_other_servers_either(users: dict[str, Client], query: str) -> None:
    assert refused(users[ADMIN], query) in {ACCESS_DENIED, UNSUPPORTED}


def test_the_reader_reads_every_view_and_sees_nothing_else(users: dict[str, Client]) -> None:
    reader = users[READER]
    for view in views(load()):
        asked = f"{view}(service='s', model='m')" if view.startswith("keda_") else view
        reader.execute(f"SELECT count() FROM (SELECT * FROM {asked} LIMIT 1)")  # the driver reads no sketch states
    assert {name for (name,) in reader.execute("SHOW TABLES")} == set(views(load()))


def test_the_views_of_the_files_are_those_of_the_server(users: dict[str, Client]) -> None:
    found = users[ADMIN].execute("SELECT name FROM system.tables WHERE database = 'burnline' AND engine = 'View'")
    assert {name for (name,) in found} == set(views(load()))


def test_the_writer_adds_rows_and_reads_them(users: dict[str, Client]) -> None:
    users[WRITER].execute("INSERT INTO marks (topic, partition) VALUES ('of the writer', 3)")
    assert users[WRITER].execute("SELECT partition FROM marks WHERE topic = 'of the writer'") == [(3,)]


def test_views_are_opened_once_and_again_when_somebody_closes_them(users: dict[str, Client]) -> None:
    admin, reader = users[ADMIN], users[READER]
    admin.execute("ALTER TABLE compliance MODIFY SQL SECURITY INVOKER")
    assert refused(reader, "SELECT count() FROM compliance") == ACCESS_DENIED
    migrate(admin)
    reader.execute("SELECT count() FROM compliance")


@pytest.mark.parametrize("user", [READER, WRITER, ADMIN])
def test_no_user_gets_at_secrets_through_the_servers_own_files(
    clickhouse: EmbeddedClickHouse, users: dict[str, Client], user: str
) -> None:
    if not clickhouse.is_confined:
        pytest.skip("this system cannot confine a process to its files")
    files = [clickhouse.password_file, clickhouse.admin_password_file, f"/proc/{os.getpid()}/environ"]
    for file in files:
        assert refused(users[user], f"SELECT file('{file}')") == CANNOT_OPEN_FILE
    (environment,) = users[user].execute("SELECT file('/proc/self/environ')")[0]
    assert {line.partition("=")[0] for line in environment.split("\0") if line} <= {"HOME", "TMPDIR", "LANG", "TZ"}


def test_migrating_as_the_writer_says_who_should(clickhouse: EmbeddedClickHouse, tmp_path: Path) -> None:
    shutil.copytree(HOME, tmp_path / "files")
    (tmp_path / "files" / f"{len(load()) + 1:04}_more.sql").write_text("CREATE VIEW more AS SELECT 1")
    settings = Settings(clickhouse_url=clickhouse.url, clickhouse_password_file=clickhouse.password_file)
    with pytest.raises(MigrationError, match="BURNLINE_CLICKHOUSE_ADMIN_USERNAME"):
        migrate(settings, tmp_path / "files")


def test_the_document_grants_what_the_embedded_server_grants() -> None:
    text = (HOME.parent / "clickhouse-users.md").read_text()
    granted = {line for line in text.splitlines() if line.startswith("GRANT") and "burnline_admin" not in line}
    wanted = {f"{grant} TO {WRITER};" for grant in WRITER_GRANTS}
    wanted |= {f"{grant} TO {READER};" for grant in reader_grants(views(load()))}
    assert granted == wanted
