"""Law: whatever happens to ClickHouse or to the writer, a batch is stored once, and the ledger knows."""

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from threading import Event
from typing import Any, NamedTuple

import pytest

from pipeline.agents.store import ClickHouseLedger, Superseded, delays, store_fold
from pipeline.embedded import EmbeddedClickHouse
from pipeline.records import Unit, UnitFacts
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import Refused
from pipeline.sinks.migrations import migrate
from tests.naive import store as naive
from tests.recorded import blocks_of
from tests.sinks.storing import Story, added, count_sums, settings_of, story_of

pytestmark = pytest.mark.servers
FACTS = UnitFacts("", 0, 1, 0, 0, 0)


class Partition(NamedTuple):
    """What the ledger needs of faust's TP."""

    topic: str
    partition: int


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(test(*arguments, **fixtures))

    return run


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """A server of this module's own, to stop."""
    with EmbeddedClickHouse(tmp_path_factory.mktemp("mortal")) as server:
        migrate(server.client())
        yield server


def story(prefix: str) -> Story:
    return story_of("slo.counts", prefix, prefix, int(time.time()) // 86_400 * 86_400)


def stored(server: EmbeddedClickHouse, told: Story, slo: str) -> bool:
    with server.client() as client:
        return count_sums(client, "1h", slo) == [added(naive.count_totals(told.stored))]


def test_delays_double_and_then_stay() -> None:
    steps = delays()
    assert [next(steps) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@in_a_loop
async def test_folds_and_ledger_store_a_topic_and_go_on_behind_the_mark(
    clickhouse: EmbeddedClickHouse, topic_prefix: str
) -> None:
    told, settings = story(topic_prefix), settings_of(clickhouse)
    tp = Partition(told.topic, 0)
    fold, ledger = store_fold("slo.counts", settings), ClickHouseLedger(settings)
    assert await ledger.open(tp) is None
    facts = UnitFacts(told.topic, 0, 1, 0, 0, 0)
    for block in blocks_of(told.topic, 0, told.records, [3, 7]):
        await ledger.write(tp, fold.fold([block], facts), facts)
    await ledger.release(tp)
    assert await ledger.open(tp) == told.batches[-1].last_offset + 1
    assert stored(clickhouse, told, topic_prefix)
    await ledger.close()


@in_a_loop
async def test_who_opens_a_partition_again_waits_for_the_insert_that_outlived_its_release(
    clickhouse: EmbeddedClickHouse, topic_prefix: str
) -> None:
    told, settings = story(topic_prefix), settings_of(clickhouse)
    tp, ledger, begun, may_end = Partition(told.topic, 0), ClickHouseLedger(settings), Event(), Event()

    def slow() -> Any:
        begun.set()
        may_end.wait(60)
        return told.batches[0].rows

    await ledger.open(tp)
    writing = asyncio.create_task(ledger.write(tp, Unit(batches=[replace(told.batches[0], build=slow)]), FACTS))
    await asyncio.to_thread(begun.wait, 60)
    await ledger.release(tp)
    writing.cancel()
    opening = asyncio.create_task(ledger.open(tp))
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert not opening.done()
    may_end.set()
    assert await asyncio.wait_for(opening, 60) == told.batches[0].last_offset + 1
    await ledger.write(tp, Unit(batches=told.batches[1:]), FACTS)
    assert stored(clickhouse, told, topic_prefix)
    await ledger.close()


@in_a_loop
async def test_a_batch_that_another_writer_has_stored_meanwhile_is_not_inserted(
    clickhouse: EmbeddedClickHouse, topic_prefix: str
) -> None:
    """Other tokens stand in for a server that has forgotten ours: only the look at the mark can help."""
    told, clock = story(topic_prefix), [0.0]
    tp = Partition(told.topic, 0)
    asleep = ClickHouseLedger(settings_of(clickhouse), lambda: clock[0])
    await asleep.open(tp)
    successor = ClickHouseLedger(settings_of(clickhouse))
    forgotten = [replace(batch, token=f"other/{batch.token}") for batch in told.batches]
    await successor.write(tp, Unit(batches=forgotten), FACTS)
    clock[0] += 3600
    await asleep.write(tp, Unit(batches=told.batches[:1]), FACTS)
    assert stored(clickhouse, told, topic_prefix)
    await asleep.close()
    await successor.close()


@in_a_loop
async def test_a_batch_with_other_borders_than_what_is_stored_is_given_up(
    clickhouse: EmbeddedClickHouse, topic_prefix: str
) -> None:
    told = story(topic_prefix)
    tp, ledger = Partition(told.topic, 0), ClickHouseLedger(settings_of(clickhouse))
    await ledger.write(tp, Unit(batches=told.batches[:1]), FACTS)
    longer = replace(told.batches[0], last_offset=told.batches[1].last_offset)
    late = ClickHouseLedger(settings_of(clickhouse))
    with pytest.raises(Superseded, match="read it again from there"):
        await late.write(tp, Unit(batches=[longer]), FACTS)
    await ledger.close()
    await late.close()


@in_a_loop
async def test_a_clickhouse_that_has_gone_back_is_not_written_to_before_what_it_lacks_is_read_again(
    clickhouse: EmbeddedClickHouse, topic_prefix: str
) -> None:
    """A backup put back, as the writer sees it: marks that were there are there no longer."""
    told, settings = story(topic_prefix), settings_of(clickhouse)
    tp, ledger = Partition(told.topic, 0), ClickHouseLedger(settings)
    await ledger.open(tp)
    await ledger.write(tp, Unit(batches=told.batches[:2]), FACTS)
    with clickhouse.client() as client:
        gone = f"topic = '{told.topic}' AND last_offset > {told.batches[0].last_offset}"
        client.execute(f"ALTER TABLE marks DELETE WHERE {gone} SETTINGS mutations_sync = 1")
        for tokens in (0, 50_000):  # a backup does not know the tokens of what came after it
            client.execute(f"ALTER TABLE marks MODIFY SETTING non_replicated_deduplication_window = {tokens}")
    with pytest.raises(Superseded, match=f"is stored up to {told.batches[0].last_offset}, but we left it at"):
        await ledger.write(tp, Unit(batches=told.batches[2:3]), FACTS)
    assert await ledger.open(tp) == told.batches[0].last_offset + 1
    await ledger.write(tp, Unit(batches=told.batches[1:]), FACTS)
    assert stored(clickhouse, told, topic_prefix)
    await ledger.close()


@in_a_loop
async def test_the_ledger_waits_while_clickhouse_is_away(mortal: EmbeddedClickHouse, topic_prefix: str) -> None:
    told = story(topic_prefix)
    tp, ledger = Partition(told.topic, 0), ClickHouseLedger(settings_of(mortal))
    await ledger.open(tp)
    mortal.kill()
    writing = asyncio.create_task(ledger.write(tp, Unit(batches=told.batches), FACTS))
    await asyncio.sleep(0.7)
    assert not writing.done()
    await asyncio.to_thread(mortal.start)
    await asyncio.wait_for(writing, 60)
    assert stored(mortal, told, topic_prefix)
    await ledger.close()


@in_a_loop
async def test_a_server_too_full_for_inserts_is_waited_for(mortal: EmbeddedClickHouse, topic_prefix: str) -> None:
    """The 10 s tier takes the insert, the 1 m tier refuses: the repetition fills in what is missing."""
    told = story(topic_prefix)
    tp, ledger = Partition(told.topic, 0), ClickHouseLedger(settings_of(mortal))
    with mortal.client() as client:
        client.execute("ALTER TABLE counts_1m MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1")
        client.execute("SYSTEM STOP MERGES")
        writing = asyncio.create_task(ledger.write(tp, Unit(batches=told.batches), FACTS))
        await asyncio.sleep(1.5)
        assert not writing.done()
        client.execute("SYSTEM START MERGES")
        client.execute("ALTER TABLE counts_1m RESET SETTING parts_to_throw_insert, parts_to_delay_insert")
    await asyncio.wait_for(writing, 60)
    assert stored(mortal, told, topic_prefix)
    await ledger.close()


@in_a_loop
async def test_a_table_that_is_missing_stops_the_store_at_once(
    clickhouse: EmbeddedClickHouse, topic_prefix: str
) -> None:
    ledger = ClickHouseLedger(
        Settings(clickhouse_url=f"{clickhouse.url}x", clickhouse_password_file=clickhouse.password_file)
    )
    with pytest.raises(Refused, match="code 81"):
        await ledger.open(Partition(topic_prefix, 0))
    await ledger.close()
