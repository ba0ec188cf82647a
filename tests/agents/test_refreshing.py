"""Workers count kept answers anew, a part at a time, at a share of the time; what fails does not stop the rest."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.agents.parts import Parts
from pipeline.agents.refreshing import AMONG, LOOK_S, SHARE, Refresher, next_of
from pipeline.embedded import EmbeddedClickHouse
from pipeline.framing import SINGLE_OBJECT
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import FAILURES
from pipeline.sinks.refreshed import REFRESHED, Part
from pipeline.spec import SloSet
from tests.database import Database, insert

NOW = datetime.now(UTC)
SLOS = ("one", "two", "three")
LATER_S = 20.0  #: it has rested from what it did, however slow the machine, and no answer is old


@pytest.fixture
def database(clickhouse: EmbeddedClickHouse) -> Iterator[Database]:
    with Database(clickhouse) as made:
        with made.client() as client:
            for slo in SLOS:
                insert(
                    client, "statuses", slo=slo, instance="", revision="r1", target=0.99, window_us=86_400_000_000,
                    watermark=NOW, window_start=NOW - timedelta(days=1), window_end=NOW, counts_revision="r1",
                )  # fmt: skip
        yield made


def refresher(database: Database) -> Refresher:
    settings = Settings(clickhouse_url=database.url, clickhouse_password_file=database.server.admin_password_file)
    return Refresher(Parts(settings, SloSet(), SINGLE_OBJECT, {}))


def look(one: Refresher, now_s: float) -> float:
    return asyncio.run(one.look(now_s))


def told(one: Refresher, name: str) -> float:
    return next(each.value for each in one.readings() if each.name == name and each.labels == ("corrected_windows",))


def kept(database: Database) -> set[str]:
    with database.client() as client:
        return {slo for (slo,) in client.execute("SELECT DISTINCT slo FROM compliance_corrected")}


@pytest.mark.servers
def test_one_part_a_look_until_nothing_is_due(database: Database) -> None:
    one = refresher(database)
    for number in range(len(SLOS)):
        assert len(kept(database)) == number
        look(one, LATER_S * number)
    assert kept(database) == set(SLOS)
    assert told(one, "burnline_refresh_due") == 1, "as it was seen last"
    assert look(one, LATER_S * len(SLOS)) == LOOK_S
    assert told(one, "burnline_refresh_due") == told(one, "burnline_refresh_failures") == 0


@pytest.mark.servers
def test_what_is_only_old_takes_its_share_of_the_time(database: Database) -> None:
    one = refresher(database)
    look(one, 0.0)
    spent_s = told(one, "burnline_refresh_seconds")
    assert look(one, 0.9 * spent_s / SHARE) == LOOK_S
    assert len(kept(database)) == 1, "it rests"
    look(one, 1.1 * spent_s / SHARE)
    assert len(kept(database)) == 2


@pytest.mark.servers
def test_two_workers_share_the_parts(database: Database) -> None:
    both = [refresher(database) for _ in range(2)]
    for number in range(2 * len(SLOS)):
        look(both[number % 2], LATER_S * number)
    assert kept(database) == set(SLOS)
    with database.client() as client:
        ((rows,),) = client.execute("SELECT count() FROM corrected_windows")
    assert rows == len(SLOS), "each was counted once"


@pytest.mark.servers
def test_a_part_that_cannot_be_counted_is_told_and_waits_for_its_next_turn(database: Database) -> None:
    one = refresher(database)
    with database.client() as client:
        client.execute("RENAME TABLE counts_1h TO counts_gone")
    for number in range(len(SLOS)):
        look(one, LATER_S * number)
    assert told(one, "burnline_refresh_failures") == len(SLOS)
    assert look(one, 59.0) == LOOK_S and told(one, "burnline_refresh_failures") == len(SLOS)
    with database.client() as client:
        client.execute("RENAME TABLE counts_gone TO counts_1h")
    for number in range(len(SLOS)):
        look(one, 200.0 + LATER_S * number)
    assert kept(database) == set(SLOS)


@pytest.mark.servers
def test_a_correction_is_counted_without_waiting_for_a_turn(database: Database) -> None:
    one = refresher(database)
    for number in range(len(SLOS)):
        look(one, LATER_S * number)
    last_s = LATER_S * (len(SLOS) - 1)
    at = datetime.now(UTC)
    with database.client() as client:
        insert(
            client, "correction_versions", correction="night", version=1, state="APPLIED", where_labels=["slo"],
            where_values=[["two"]], where_none_of=[[]], where_prefixes=[[]], starts=[NOW - timedelta(hours=2)],
            ends=[NOW - timedelta(hours=1)], stored_at=at,
        )  # fmt: skip
    for number in range(len(SLOS)):
        look(one, last_s + LOOK_S + number)
    with database.client() as client:
        assert client.execute("SELECT slo FROM compliance_corrected WHERE notEmpty(corrections)") == [("two",)]


def test_many_late_parts_of_one_table_do_not_keep_another_from_its_turn() -> None:
    windows, configs = REFRESHED
    many = [Part(windows, str(number), 2.0 * windows.every_s, False) for number in range(9)]
    late, outdated = Part(configs, "chat", 3.0 * configs.every_s, False), Part(windows, "new", 1.0, True)
    assert next_of([*many, late]) == [late, *many[: AMONG - 1]]
    assert next_of([*many, late, outdated])[:2] == [outdated, late]


def test_a_worker_that_does_not_store_counts_nothing() -> None:
    settings = Settings(clickhouse_url="clickhouse://nobody@127.0.0.1:1/none", steps="ingest")
    asyncio.run(Refresher(Parts(settings, SloSet(), SINGLE_OBJECT, {})).run())


def test_while_clickhouse_is_away_it_goes_on_looking() -> None:
    settings = Settings(clickhouse_url="clickhouse://nobody@127.0.0.1:1/none")
    one = Refresher(Parts(settings, SloSet(), SINGLE_OBJECT, {}))
    with pytest.raises(FAILURES):
        look(one, 0.0)

    async def a_moment() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.run(), 0.3)

    asyncio.run(a_moment())
