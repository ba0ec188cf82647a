"""Every statement has its cluster form, or is refused with words; what a server keeps to itself is told apart."""

import re

import pytest

from pipeline.cluster import SHARDING, Cluster, ClusterError, is_replicated, local
from pipeline.sinks.migrations import JOURNAL, load, load_views, opened

KEEPER, SHARDS = Cluster("c", has_keeper=True, user="ann"), Cluster("c", has_keeper=False, user="ann")
KEPT = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
TOKENS = "replicated_deduplication_window = 7, replicated_deduplication_window_seconds = 604800"
OVER = "ENGINE = Distributed(`c`, currentDatabase(), marks_local, cityHash64(topic, partition))"
MARKS = "CREATE TABLE IF NOT EXISTS marks (a Int8 DEFAULT (1) COMMENT 'ENGINE = MergeTree') ENGINE = "
HERE = "CREATE TABLE IF NOT EXISTS marks_local{on} (a Int8 DEFAULT (1) COMMENT 'ENGINE = MergeTree') ENGINE = "

FORMS = [
    pytest.param(
        f"{MARKS}MergeTree\nORDER BY a\nSETTINGS non_replicated_deduplication_window = 7, x = 1\nCOMMENT 'Why'",
        [
            f"{HERE}ReplicatedMergeTree({KEPT})\nORDER BY a\nSETTINGS {TOKENS}, x = 1\nCOMMENT 'Why'",
            f"CREATE TABLE IF NOT EXISTS marks{{on}} AS marks_local {OVER}\nCOMMENT 'Why'",
        ],
        [
            f"{HERE}MergeTree\nORDER BY a\nSETTINGS non_replicated_deduplication_window = 7, x = 1\nCOMMENT 'Why'",
            f"CREATE TABLE IF NOT EXISTS marks{{on}} AS marks_local {OVER}\nCOMMENT 'Why'",
        ],
        id="a table",
    ),
    pytest.param(
        f"{MARKS}SummingMergeTree((good, bad)) ORDER BY a",
        [
            f"{HERE}ReplicatedSummingMergeTree({KEPT}, (good, bad)) ORDER BY a",
            f"CREATE TABLE IF NOT EXISTS marks{{on}} AS marks_local {OVER}",
        ],
        [
            f"{HERE}SummingMergeTree((good, bad)) ORDER BY a",
            f"CREATE TABLE IF NOT EXISTS marks{{on}} AS marks_local {OVER}",
        ],
        id="an engine with columns",
    ),
    pytest.param(
        "CREATE TABLE view_files (a Int8) ENGINE = ReplacingMergeTree(a) ORDER BY a",
        ["CREATE TABLE view_files{on} (a Int8) ENGINE = ReplicatedReplacingMergeTree("
         "'/clickhouse/tables/{database}/{table}', '{shard}-{replica}', a) ORDER BY a"],
        ["CREATE TABLE view_files{on} (a Int8) ENGINE = ReplacingMergeTree(a) ORDER BY a"],
        id="a journal",
    ),
    *(pytest.param(given, told, told, id=given.partition("(")[0]) for given, *told in [
        ("ALTER TABLE marks\n    ADD COLUMN a Int8,\n    ADD COLUMN b Int8 COMMENT 'ADD INDEX'",
         "ALTER TABLE marks_local{on}\n    ADD COLUMN a Int8,\n    ADD COLUMN b Int8 COMMENT 'ADD INDEX'",
         "ALTER TABLE marks{on}\n    ADD COLUMN a Int8,\n    ADD COLUMN b Int8 COMMENT 'ADD INDEX'"),
        ("ALTER TABLE `marks` MODIFY TTL a + toIntervalDay(3)",
         "ALTER TABLE marks_local{on} MODIFY TTL a + toIntervalDay(3)"),
        ("ALTER TABLE marks ADD PROJECTION p (SELECT a)", "ALTER TABLE marks_local{on} ADD PROJECTION p (SELECT a)"),
        ("ALTER TABLE marks MATERIALIZE PROJECTION p SETTINGS mutations_sync = 0",
         "ALTER TABLE marks_local{on} MATERIALIZE PROJECTION p SETTINGS mutations_sync = 0"),
        ("ALTER TABLE marks MODIFY SETTING a = 'ADD COLUMN'",
         "ALTER TABLE marks_local{on} MODIFY SETTING a = 'ADD COLUMN'"),
        ("ALTER TABLE view_files ADD COLUMN a Int8", "ALTER TABLE view_files{on} ADD COLUMN a Int8"),
        ("DROP TABLE IF EXISTS marks", "DROP TABLE IF EXISTS marks{on}", "DROP TABLE IF EXISTS marks_local{on}"),
        ("DROP VIEW IF EXISTS sli", "DROP VIEW IF EXISTS sli{on}"),
        ("CREATE VIEW v (a Int8) AS SELECT 1 AS a COMMENT 'It''s'",
         "CREATE VIEW v{on} (a Int8) AS SELECT 1 AS a\n"
         "SETTINGS distributed_product_mode = 'global'\nCOMMENT 'It''s'"),
        ("CREATE DICTIONARY d (a Int8) PRIMARY KEY a", "CREATE DICTIONARY d{on} (a Int8) PRIMARY KEY a"),
        ("GRANT SELECT ON burnline.sli TO ann", "GRANT{on} SELECT ON burnline.sli TO ann"),
        ("CREATE DATABASE IF NOT EXISTS `burnline`", "CREATE DATABASE IF NOT EXISTS `burnline`{on}"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "replicated", "plain"), FORMS)
def test_a_statement_is_for_every_server_with_keeper_and_for_one_without(
    given: str, replicated: list[str], plain: list[str]
) -> None:
    assert KEEPER.statements(given) == [each.replace("{on}", " ON CLUSTER `c`") for each in replicated]
    assert SHARDS.statements(given) == [each.replace("{on}", "") for each in plain]


def test_on_other_servers_a_view_still_reads_its_tables_as_who_made_it_here() -> None:
    made = opened("CREATE VIEW v AS SELECT 1")
    given = "ALTER TABLE `v` MODIFY SQL SECURITY DEFINER DEFINER = CURRENT_USER"
    assert "DEFINER = `ann` SQL SECURITY DEFINER AS SELECT 1" in KEEPER.statements(made)[0]
    assert KEEPER.statements(given) == ["ALTER TABLE `v` ON CLUSTER `c` MODIFY SQL SECURITY DEFINER DEFINER = `ann`"]
    assert SHARDS.statements(given) == [given]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("CREATE TABLE news (a Int8) ENGINE = MergeTree ORDER BY a", "table news has no sharding key"),
        ("CREATE TABLE marks (a Int8) ENGINE = Log", "..MergeTree alone"),
        ("CREATE MATERIALIZED VIEW v TO marks AS SELECT 1", "no cluster form is known"),
        ("INSERT INTO marks SELECT 1", "no cluster form is known of 'INSERT INTO marks"),
        ("ALTER TABLE marks ADD COLUMN a Int8, ADD INDEX b a TYPE minmax", "one a statement"),
        ("ALTER TABLE marks DELETE WHERE a", "one a statement"),
    ],
)
def test_what_has_no_cluster_form_is_refused(given: str, said: str) -> None:
    with pytest.raises(ClusterError, match=re.escape(said)):
        KEEPER.statements(given)


def test_every_table_of_every_file_has_a_sharding_key_and_no_key_is_left_over() -> None:
    made = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)")
    files = [JOURNAL, *(each for file in (*load(), *load_views()) for each in file.statements)]
    assert {found[1] for each in files if (found := made.match(each))} == set(SHARDING)


def test_what_merging_or_final_puts_together_has_one_sharding_key() -> None:
    """The key is made of columns of ORDER BY: equal there means equal in the key."""
    ordered = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+).*?ENGINE = (\w+).*?ORDER BY ([^\n]*)", re.DOTALL)
    tables = [found for file in load() for each in file.statements if (found := ordered.match(each))]
    assert len(tables) > 10
    for found in tables:
        name, engine, columns = found.groups()
        if engine != "MergeTree":
            key = {each for each in SHARDING[name].split(", ") if each}
            assert key <= set(re.findall(r"\w+", columns)), name


def test_a_server_keeps_its_rows_beside_what_everybody_reads() -> None:
    assert (local("marks"), local("migrations")) == ("marks_local", "migrations")


@pytest.mark.parametrize("engine", ["MergeTree", "AggregatingMergeTree", "SummingMergeTree((good, bad))"])
def test_tables_that_keeper_holds_together_are_told_apart_by_how_they_are_made(engine: str) -> None:
    made = f"CREATE TABLE marks (a Int8 COMMENT 'ENGINE = ReplicatedMergeTree') ENGINE = {engine} ORDER BY a"
    assert [is_replicated(each) for each in KEEPER.statements(made)] == [True, False]
    assert not any(map(is_replicated, [made, *SHARDS.statements(made)]))
    assert is_replicated("CREATE TABLE marks (a Int8) ENGINE = SharedMergeTree('/a', '{replica}') ORDER BY a")
