"""Kept answers: what is due; counting anew replaces rows, takes away what is gone, and is never seen half done."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
from clickhouse_driver import Client

from pipeline.embedded import EmbeddedClickHouse
from pipeline.sinks.refreshed import REFRESHED, Part, due, refresh
from tests.database import Database, insert

WINDOWS, CONFIGS = REFRESHED
NOW = datetime.now(UTC)
pytestmark = pytest.mark.servers


@pytest.fixture
def client(clickhouse: EmbeddedClickHouse) -> Iterator[Client]:
    with Database(clickhouse) as made, made.client() as connection:
        yield connection


def judge(client: Client, slo: str, *regions: str, is_deleted: int = 0) -> None:
    for region in regions:
        insert(
            client, "statuses", slo=slo, instance=region, revision="r1", service="chat", labels={"region": region},
            target=0.99, window_us=86_400_000_000, watermark=NOW + timedelta(seconds=is_deleted),
            window_start=NOW - timedelta(days=1), window_end=NOW, judged_at=NOW, counts_revision="r1",
            is_deleted=is_deleted,
        )  # fmt: skip


def correct(client: Client, name: str, stored_at: datetime) -> None:
    insert(
        client, "correction_versions", correction=name, version=1, state="APPLIED", where_labels=["region"],
        where_values=[["eu"]], where_none_of=[[]], where_prefixes=[[]], starts=[NOW - timedelta(hours=2)],
        ends=[NOW - timedelta(hours=1)], stored_at=stored_at,
    )  # fmt: skip


def windows(client: Client) -> list[tuple[str, str, list[str]]]:
    found: list[tuple[str, str, list[str]]] = client.execute(
        "SELECT slo, instance, corrections FROM compliance_corrected ORDER BY slo, instance"
    )
    return found


def test_a_part_is_due_until_it_is_counted_and_again_when_it_is_old(client: Client) -> None:
    judge(client, "one", "eu", "us")
    judge(client, "two", "eu")
    found = due(client, WINDOWS)
    assert [(part.name, part.is_outdated) for part in found] == [("one", False), ("two", False)]
    assert all(part.age_s > 1e9 for part in found), "nothing is there yet"
    refresh(client, WINDOWS, "one")
    assert [part.name for part in due(client, WINDOWS)] == ["two"]
    assert windows(client) == [("one", "eu", []), ("one", "us", [])]
    refresh(client, WINDOWS, "two")
    assert due(client, WINDOWS) == []
    impatient = WINDOWS._replace(every_s=0)
    assert [part.name for part in due(client, impatient)] == ["one", "two"], "the oldest first"


def test_a_correction_outdates_what_was_counted_before_it(client: Client) -> None:
    judge(client, "one", "eu", "us")
    refresh(client, WINDOWS, "one")
    correct(client, "night", datetime.now(UTC))
    (part,) = due(client, WINDOWS)
    assert part == Part(WINDOWS, "one", part.age_s, True) and part.age_s < WINDOWS.every_s
    refresh(client, WINDOWS, "one")
    assert due(client, WINDOWS) == []
    assert windows(client) == [("one", "eu", ["night"]), ("one", "us", [])]


def test_a_correction_by_a_clock_that_is_ahead_does_not_have_all_counted_again_and_again(client: Client) -> None:
    judge(client, "one", "eu")
    correct(client, "night", datetime.now(UTC) + timedelta(hours=1))
    refresh(client, WINDOWS, "one")
    assert due(client, WINDOWS) == []


def test_what_is_gone_is_taken_away_whole_slos_too(client: Client) -> None:
    judge(client, "one", "eu", "us")
    judge(client, "two", "eu")
    for slo in ("one", "two"):
        refresh(client, WINDOWS, slo)
    judge(client, "one", "us", is_deleted=1)
    judge(client, "two", "eu", is_deleted=1)
    assert [part.name for part in due(client, WINDOWS._replace(every_s=0))] == ["one", "two"]
    for slo in ("one", "two"):
        refresh(client, WINDOWS, slo)
    assert windows(client) == [("one", "eu", [])]
    assert [part.name for part in due(client, WINDOWS._replace(every_s=0))] == ["one"]
    judge(client, "two", "eu")
    client.execute("ALTER TABLE statuses DELETE WHERE is_deleted = 1 SETTINGS mutations_sync = 1")
    refresh(client, WINDOWS, "two")
    assert windows(client) == [("one", "eu", []), ("two", "eu", [])], "and back"


def test_a_reader_never_finds_a_part_half_counted(client: Client, clickhouse: EmbeddedClickHouse) -> None:
    judge(client, "one", "eu", "us")
    refresh(client, WINDOWS, "one")
    seen, is_over = [], Event()
    ((database,),) = client.execute("SELECT currentDatabase()")

    def read() -> None:
        with clickhouse.client(database=database) as reading:
            while not is_over.is_set():
                seen.append(tuple(row[1] for row in windows(reading)))

    reader = Thread(target=read)
    reader.start()
    for _ in range(8):
        refresh(client, WINDOWS, "one")
        client.execute("OPTIMIZE TABLE corrected_windows FINAL")
    is_over.set()
    reader.join()
    assert len(seen) > 8 and set(seen) == {("eu", "us")}


@pytest.mark.parametrize("pieces", [1, 3])
def test_in_however_many_pieces_each_instance_is_counted_once(client: Client, pieces: int) -> None:
    regions = tuple("abcdefgh")
    judge(client, "one", *regions)
    for number, region in enumerate(regions):
        insert(
            client, "counts_1h", slo="one", revision="r1", instance=region, good=number, bad=1,
            slice_start=NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3),
        )  # fmt: skip
    refresh(client, WINDOWS._replace(pieces=f"SELECT {pieces}"), "one")
    found = client.execute("SELECT instance, good, bad FROM corrected_windows ORDER BY instance")
    assert found == [(region, number, 1) for number, region in enumerate(regions)]


def test_configurations_are_due_by_service(client: Client) -> None:
    for service, age in (("chat", 3), ("old", 15)):
        insert(
            client, "slices_1h", service=service, slice_start=NOW - timedelta(days=age), vantage="GATEWAY", success=9
        )
    assert [part.name for part in due(client, CONFIGS)] == ["chat"]
    refresh(client, CONFIGS, "chat")
    assert client.execute("SELECT service, requests FROM config_frontier") == [("chat", 9)]
    assert due(client, CONFIGS) == []
