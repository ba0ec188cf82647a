"""Law: migrating twice changes nothing the second time, and what has run never changes."""

import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client

from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings
from pipeline.sinks.migrations import (
    HOME,
    JOURNAL,
    OPEN,
    Migration,
    MigrationError,
    load,
    load_views,
    migrate,
    opened,
    pending,
    statements,
    views,
)

FIRST, SECOND = Migration(1, "0001_a.sql", "SELECT 1"), Migration(2, "0002_b.sql", "SELECT 2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("SELECT 1; SELECT 2;\n", ["SELECT 1", "SELECT 2"], id="two"),
        pytest.param("SELECT ';' -- not; here\n, 2", ["SELECT ';' \n, 2"], id="in strings and comments"),
        pytest.param(
            "/* a;\nb */ SELECT 'it''s \\';', `a;b` - 1 / 2;;",
            ["SELECT 'it''s \\';', `a;b` - 1 / 2"],
            id="escapes",
        ),
        pytest.param("-- only words; here", [], id="only a comment"),
    ],
)
def test_statements_end_at_semicolons_of_the_language(text: str, expected: list[str]) -> None:
    assert statements(text) == expected


def test_only_what_is_not_recorded_is_pending() -> None:
    assert pending([FIRST, SECOND], {1: FIRST.checksum}) == [SECOND]
    assert pending([FIRST, SECOND], {1: FIRST.checksum, 2: SECOND.checksum}) == []


def test_a_recorded_file_that_has_changed_is_refused() -> None:
    with pytest.raises(MigrationError, match=r"0001_a.sql has changed since it ran"):
        pending([FIRST, SECOND], {1: SECOND.checksum})


def test_a_server_ahead_of_the_files_is_refused() -> None:
    with pytest.raises(MigrationError, match="use the newer version"):
        pending([FIRST], {1: FIRST.checksum, 2: SECOND.checksum})


@pytest.mark.parametrize(
    "names", [["0001_a.sql", "0003_c.sql"], ["0002_b.sql"], ["1_a.sql"], ["0001_a.sql", "0001_b.sql"]]
)
def test_names_must_be_numbered_without_holes(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationError):
        load(tmp_path)


@pytest.fixture
def empty(clickhouse: EmbeddedClickHouse) -> Iterator[Client]:
    """A client of a new, empty database on the shared server."""
    name = f"m{uuid.uuid4().hex}"
    with clickhouse.client() as admin:
        admin.execute(f"CREATE DATABASE {name}")
        with clickhouse.client(database=name) as client:
            yield client
        admin.execute(f"DROP DATABASE {name} SYNC")


def schema_of(client: Client) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = client.execute(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    )
    return found


@pytest.mark.servers
def test_from_scratch_everything_runs_and_the_second_time_nothing(empty: Client) -> None:
    names = [each.name for each in (*load(), *load_views())]
    assert [each.name for each in migrate(empty)] == names
    before = schema_of(empty)
    assert migrate(empty) == []
    assert schema_of(empty) == before
    recorded = empty.execute("SELECT name, checksum FROM migrations FINAL ORDER BY number")
    assert recorded == [(m.name, m.checksum) for m in load()]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE VIEW a AS SELECT 1 AS b", f"CREATE VIEW a {OPEN}AS SELECT 1 AS b"),
        ("CREATE OR REPLACE VIEW a (b COMMENT 'such as (c') AS SELECT 1",
         f"CREATE OR REPLACE VIEW a (b COMMENT 'such as (c') {OPEN}AS SELECT 1"),
        ("CREATE VIEW IF NOT EXISTS a (as_b String)\nAS WITH 1 AS c SELECT c",
         f"CREATE VIEW IF NOT EXISTS a (as_b String)\n{OPEN}AS WITH 1 AS c SELECT c"),
        ("DROP VIEW IF EXISTS a", "DROP VIEW IF EXISTS a"),
        ("CREATE TABLE a AS b", "CREATE TABLE a AS b"),
    ],
)  # fmt: skip
def test_a_view_reads_its_tables_as_who_made_it_from_its_first_moment(statement: str, expected: str) -> None:
    assert opened(statement) == expected


@pytest.mark.servers
def test_a_dry_run_tells_and_does_nothing(empty: Client) -> None:
    assert [each.name for each in migrate(empty, dry_run=True)] == [each.name for each in (*load(), *load_views())]
    assert schema_of(empty) == []


@pytest.mark.servers
@pytest.mark.parametrize("broken_after", [1, 4, 9])
def test_a_run_that_was_cut_off_between_statements_is_completed(empty: Client, broken_after: int) -> None:
    empty.execute(JOURNAL)
    for statement in [s for m in load() for s in m.statements][:broken_after]:
        empty.execute(statement)
    migrate(empty)
    made = re.compile(r"CREATE (?:TABLE|VIEW|OR REPLACE VIEW)(?: IF NOT EXISTS)? (\w+)")
    files = [*load(), *load_views()]
    wanted = {found[1] for each in files for s in each.statements if (found := made.match(s))}
    assert {name for name, _ in schema_of(empty)} == wanted | {"migrations"}


def columns_of(client: Client) -> dict[str, list[tuple[str, str]]]:
    """Every table and view with its columns."""
    sql = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"
    found: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind in client.execute(sql):
        found.setdefault(table, []).append((name, kind))
    return found


def views_of(client: Client) -> dict[str, str]:
    sql = "SELECT name, as_select FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"
    return {name: text.replace(client.connection.database, "here") for name, text in client.execute(sql)}


def insert_one(client: Client, table: str, columns: list[tuple[str, str]], name: str) -> None:
    """Insert a row of a name, of now, which no time to live takes out, and a good event, which no summing does."""
    values = {column: "now64(6)" for column, kind in columns if kind.startswith("DateTime64")}
    values |= {column: "toUnixTimestamp64Micro(now64(6))" for column, _ in columns if column == "run"}
    values |= {column: "1" for column, _ in columns if column == "good"}
    values |= {column: f"'{name}'" for column, kind in columns if kind in {"String", "LowCardinality(String)"}}
    client.execute(f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())}")


def rows_of(client: Client) -> dict[str, int]:
    sql = "SELECT name, total_rows FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    return {name: rows for name, rows in client.execute(sql) if name not in {"migrations", "view_files"}}


@pytest.mark.servers
def test_every_older_schema_with_rows_in_it_becomes_the_newest_and_keeps_its_rows(
    clickhouse: EmbeddedClickHouse, empty: Client, tmp_path: Path
) -> None:
    """One database goes from each schema to the next, and every table gets a row more at each."""
    migrate(empty)
    newest, older, wanted = (columns_of(empty), views_of(empty)), f"{empty.connection.database}_older", Counter[str]()
    empty.execute(f"CREATE DATABASE {older}")
    with clickhouse.client(database=older) as client:
        for migration in load():
            (tmp_path / migration.name).write_text(migration.text, encoding="utf-8")
            assert migrate(client, tmp_path) == [migration]
            assert {name: rows for name, rows in rows_of(client).items() if name in wanted} == wanted, migration.name
            columns = columns_of(client)
            for table in rows_of(client):
                insert_one(client, table, columns[table], migration.name)
                wanted[table] += 1
        assert migrate(client) == load_views()
        assert (columns_of(client), views_of(client)) == newest
        assert rows_of(client) == wanted
    empty.execute(f"DROP DATABASE {older} SYNC")


@pytest.mark.servers
def test_a_file_changed_after_it_ran_stops_the_next_run(empty: Client, tmp_path: Path) -> None:
    home = tmp_path / "clickhouse"
    shutil.copytree(HOME, home)
    migrate(empty, home)
    path = home / load()[0].name
    path.write_text(path.read_text() + "-- one more word\n")
    (home / f"{len(load()) + 1:04}_more.sql").write_text("CREATE VIEW more AS SELECT 1")
    before = schema_of(empty)
    with pytest.raises(MigrationError, match="has changed since it ran"):
        migrate(empty, home)
    assert schema_of(empty) == before


@pytest.mark.servers
def test_views_run_when_their_file_or_what_is_under_them_changed(empty: Client, tmp_path: Path) -> None:
    home = tmp_path / "clickhouse"
    shutil.copytree(HOME, home)
    migrate(empty, home)
    (home / "views" / "more.sql").write_text("CREATE OR REPLACE VIEW more AS SELECT 1 AS one")
    assert [each.name for each in migrate(empty, home)] == ["more.sql"]
    (home / "views" / "more.sql").write_text("CREATE OR REPLACE VIEW more AS SELECT 2 AS one")
    assert [each.name for each in migrate(empty, home, dry_run=True)] == ["more.sql"]
    assert empty.execute("SELECT one FROM more") == [(1,)]
    assert [each.name for each in migrate(empty, home)] == ["more.sql"]
    assert empty.execute("SELECT one FROM more") == [(2,)]
    assert migrate(empty, home) == []
    number = len(load()) + 1
    (home / f"{number:04}_older.sql").write_text("CREATE OR REPLACE VIEW more AS SELECT 3 AS one")
    assert "more" in views(load(home), home)
    assert "more.sql" in [each.name for each in migrate(empty, home)]
    assert empty.execute("SELECT one FROM more") == [(2,)]


@pytest.mark.servers
def test_a_broken_statement_is_named_and_not_recorded(empty: Client, tmp_path: Path) -> None:
    (tmp_path / "0001_bad.sql").write_text("CREATE VIEW fine AS SELECT 1; SELECT nothing FROM nowhere;")
    with pytest.raises(MigrationError, match=r"0001_bad\.sql, statement 2: .*nowhere"):
        migrate(empty, tmp_path)
    assert [each.name for each in migrate(empty, tmp_path, dry_run=True)] == ["0001_bad.sql"]
    assert "SQL SECURITY DEFINER" in dict(schema_of(empty))["fine"], "whoever may read it can, wherever a run ends"


@pytest.mark.servers
def test_a_missing_database_is_created(clickhouse: EmbeddedClickHouse) -> None:
    name = f"m{uuid.uuid4().hex}"
    url = f"{clickhouse.admin_url.rpartition('/')[0]}/{name}"
    settings = Settings(clickhouse_url=url, clickhouse_password_file=clickhouse.admin_password_file)
    assert len(migrate(settings, dry_run=True)) == len(migrate(settings)) == len(load()) + len(load_views())
    assert migrate(settings) == []
    with clickhouse.client() as admin:
        admin.execute(f"DROP DATABASE {name} SYNC")
