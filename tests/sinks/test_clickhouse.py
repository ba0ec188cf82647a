"""Law: a batch inserted any number of times, through any crash, counts once in every tier."""

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clickhouse_driver import errors

from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from pipeline.rows import COUNTERS, SKETCHES, Rows
from pipeline.series import BASE_LABELS
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import ClickHouse, Refused, Unavailable
from pipeline.sinks.migrations import migrate
from pipeline.sinks.repeating import insert_again
from pipeline.sinks.tables import TABLES
from pipeline.store import Batch
from tests.naive import store as naive
from tests.naive.states import state_of
from tests.sinks.storing import (
    TIERS,
    Story,
    added,
    bins_of,
    count_sums,
    settings_of,
    slice_sums,
    story_of,
)  # fmt: skip

pytestmark = pytest.mark.servers


def last_midnight_s() -> int:
    """Recent enough for every tier's time to live."""
    return int(time.time()) // 86_400 * 86_400


def insert(sink: ClickHouse, batch: Batch) -> None:
    for rows in batch.rows:
        sink.insert(rows, batch.token)


def expected_slices(story: Story) -> tuple[Any, ...]:
    sums = tuple(sum(int(block[name].sum()) for block in story.stored) for name in COUNTERS)
    return (*sums, *(state_of(bins_of(story.stored, sketch)).hex().upper() for sketch in SKETCHES))


@pytest.fixture
def sink(clickhouse: EmbeddedClickHouse) -> Iterator[ClickHouse]:
    found = ClickHouse(settings_of(clickhouse))
    yield found
    found.close()


def test_batches_inserted_three_times_count_once_in_every_tier(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str
) -> None:
    counts = story_of("slo.counts", topic_prefix, topic_prefix, last_midnight_s())
    slices = story_of("slo.slices", topic_prefix, topic_prefix, last_midnight_s())
    for batch in [*counts.batches, *slices.batches] * 3:
        insert(sink, batch)
    with clickhouse.client() as client:
        for tier in TIERS:
            assert count_sums(client, tier, topic_prefix) == [added(naive.count_totals(counts.stored))]
            assert slice_sums(client, tier, topic_prefix) == expected_slices(slices)


def test_every_row_of_the_10_s_tier_is_the_oracles(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str
) -> None:
    story = story_of("slo.slices", topic_prefix, topic_prefix, last_midnight_s(), seed=3)
    for batch in story.batches:
        insert(sink, batch)
    columns = ", ".join((*BASE_LABELS, "toUnixTimestamp64Micro(slice_start)", *COUNTERS))
    states = ", ".join(f"hex({name}_state)" for name in SKETCHES)
    with clickhouse.client() as client:
        rows = client.execute(f"SELECT {columns}, {states} FROM sli WHERE service = %(s)s", {"s": topic_prefix})
    found = {row[:9]: (*row[9:23], *(bytes.fromhex(state) for state in row[23:])) for row in rows}
    assert found == naive.slice_totals(story.stored)


def test_the_high_mark_is_the_last_offset_of_the_last_whole_batch(sink: ClickHouse, topic_prefix: str) -> None:
    story = story_of("slo.slices", topic_prefix, topic_prefix, last_midnight_s())
    assert sink.high_mark(story.topic, 0) is None
    for batch in story.batches:
        for rows in batch.rows[:-1]:
            sink.insert(rows, batch.token)
        assert sink.high_mark(story.topic, 0) != batch.last_offset
        sink.insert(batch.rows[-1], batch.token)
        assert sink.high_mark(story.topic, 0) == batch.last_offset
    assert sink.high_mark(story.topic, 1) is None


def test_one_insert_is_one_part_however_large(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str
) -> None:
    """More rows than any block of the server; in two parts a crash could leave half."""
    count, hour_s = 150_000, int(time.time()) // 3600 * 3600
    columns: dict[str, Any] = {
        "slo": [topic_prefix] * count,
        "revision": ["r"] * count,
        "instance": [f"i={i % 40_000}" for i in range(count)],
        "slice_start": [(hour_s + 60 * (i // 40_000)) * 1_000_000 for i in range(count)],
        **{name: np.ones(count, np.int64).tolist() for name in ("good", "bad", "excluded")},
    }
    with clickhouse.client() as client:
        client.execute("SYSTEM STOP MERGES")
        try:
            sink.insert(Rows("counts_10s", hour_s // 86_400, columns), topic_prefix)
            parts = client.execute(
                "SELECT uniq(_part), sum(good) FROM counts_10s WHERE slo = %(s)s", {"s": topic_prefix}
            )
        finally:
            client.execute("SYSTEM START MERGES")
    assert parts == [(1, count)]


def test_the_tables_have_exactly_the_columns_that_are_written(clickhouse: EmbeddedClickHouse) -> None:
    with clickhouse.client() as client:
        for table, kinds in TABLES.items():
            names = {row[0] for row in client.execute(f"DESCRIBE TABLE {table}")} - {"version", "stored_at"}
            assert names == set(kinds)


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    sink = ClickHouse(Settings(clickhouse_url="clickhouse://burnline_writer@127.0.0.1:1/burnline"))
    with pytest.raises(Unavailable, match="ClickHouse cannot now"):
        sink.high_mark("t", 0)


def test_a_wrong_password_is_refused_and_not_told(clickhouse: EmbeddedClickHouse, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("a-wrong-password")
    sink = ClickHouse(Settings(clickhouse_url=clickhouse.url, clickhouse_password_file=file))
    with pytest.raises(Refused, match="code 516") as caught:
        sink.high_mark("t", 0)
    assert "a-wrong-password" not in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO counts_10s (slo) VALUES ('x')", "TRUNCATE TABLE counts_10s", "DROP VIEW compliance",
        "CREATE TABLE t (x UInt8) ENGINE = Memory", "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1:9000', 'burnline', 'marks')",
        "SELECT * FROM system.users", "OPTIMIZE TABLE counts_10s",
    ],
)  # fmt: skip
def test_the_reader_only_reads_the_database(clickhouse: EmbeddedClickHouse, statement: str) -> None:
    with clickhouse.client(READER) as client:
        assert client.execute("SELECT count() FROM compliance")
        with pytest.raises(errors.ServerException) as caught:
            client.execute(statement)
    assert caught.value.code in {164, 497}  # READONLY, ACCESS_DENIED


# -- kill -9
@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """A server of this module's own, to kill."""
    with EmbeddedClickHouse(tmp_path_factory.mktemp("mortal")) as server:
        migrate(server.client())
        yield server


def catch_up(server: EmbeddedClickHouse, story: Story) -> None:
    """What the store does after a restart: repeat everything behind the high mark."""
    sink = ClickHouse(settings_of(server))
    mark = sink.high_mark(story.topic, 0)
    for batch in story.batches:
        if mark is None or batch.first_offset > mark:
            insert_again(sink, batch)
    sink.close()


def check(server: EmbeddedClickHouse, story: Story) -> None:
    with server.client() as client:
        for tier in TIERS:
            assert slice_sums(client, tier, story.topic) == expected_slices(story), tier


def test_killed_between_any_two_inserts_of_a_batch_the_tiers_agree_exactly(
    mortal: EmbeddedClickHouse,
) -> None:
    """Two days in three tiers, and the mark: kill -9 behind some of the inserts, start, repeat."""
    for done in (0, 1, 3, 6, 7):
        prefix = f"k{uuid.uuid4().hex}."
        topic = f"{prefix}slo.slices"
        story = story_of("slo.slices", prefix, topic, last_midnight_s(), seed=done)
        batch = story.batches[1]
        assert len(batch.rows) == 7
        sink = ClickHouse(settings_of(mortal))
        insert(sink, story.batches[0])
        for rows in batch.rows[:done]:
            sink.insert(rows, batch.token)
        mortal.kill()
        with pytest.raises(Unavailable):
            sink.insert(batch.rows[0], batch.token)
        sink.close()
        mortal.start()
        catch_up(mortal, story)
        check(mortal, story)


@pytest.mark.slow
def test_killed_at_any_moment_under_load_the_tiers_agree_exactly(mortal: EmbeddedClickHouse) -> None:
    rng = np.random.default_rng(4)
    for number in range(3):
        prefix = f"k{uuid.uuid4().hex}."
        topic = f"{prefix}slo.slices"
        story = story_of("slo.slices", prefix, topic, last_midnight_s(), seed=100 + number, count=40)
        sink = ClickHouse(settings_of(mortal))
        sink.high_mark(topic, 0)  # connected
        killer = threading.Timer(float(rng.uniform(0.01, 0.5)), mortal.kill)
        killer.start()
        with pytest.raises(Unavailable):
            while True:
                for batch in story.batches:
                    insert(sink, batch)
        killer.join()
        sink.close()
        mortal.start()
        catch_up(mortal, story)
        check(mortal, story)
