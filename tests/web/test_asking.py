"""Questions to a real ClickHouse: once for all who ask, bounded, read only, and honest while it is away."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings
from pipeline.web import asking
from pipeline.web.asking import QUEUE, THREADS, Asking, NoAnswer, literal, shown, sql_of
from tests.sinks.storing import settings_of
from tests.web.gate import Gate

pytestmark = pytest.mark.servers


def through(gate: Gate, server: EmbeddedClickHouse) -> Settings:
    settings = settings_of(server)
    return settings.model_copy(
        update={"clickhouse_url": settings.clickhouse_url.replace(f":{server.port}/", f":{gate.port}/")}
    )


@pytest.fixture
def gate(clickhouse: EmbeddedClickHouse) -> Iterator[Gate]:
    found = Gate(clickhouse.url)
    yield found
    found.close()


def ask(settings: Settings, work: Callable[[Asking], Awaitable[Any]], clock: Callable[[], float] | None = None) -> Any:
    """Do something with an Asking of its own."""

    async def run() -> Any:
        found = Asking(settings, clock) if clock else Asking(settings)
        try:
            return await work(found)
        finally:
            await found.close()

    return asyncio.run(run())


def test_who_asks_the_same_at_once_or_within_the_second_gets_the_same_answer(clickhouse: EmbeddedClickHouse) -> None:
    now = [0.0]

    async def work(found: Asking) -> list[Any]:
        first = await asyncio.gather(*(found.ask("services") for _ in range(100)))
        now[0] = 0.9
        within = await found.ask("services")
        now[0] = 1.1
        return [*first, within, await found.ask("services")]

    *same, after = ask(settings_of(clickhouse), work, lambda: now[0])
    assert len({id(each) for each in same}) == 1
    assert after is not same[0]


def test_other_values_are_another_question(clickhouse: EmbeddedClickHouse) -> None:
    async def work(found: Asking) -> Any:
        values = {"until": 1_800_000_000, "instances": ["a"]}
        return await asyncio.gather(
            found.ask("trends", {**values, "slos": ["a"]}), found.ask("trends", {**values, "slos": ["b"]})
        )

    one, other = ask(settings_of(clickhouse), work)
    assert "['a']" in one.sql and "['b']" in other.sql


def test_more_than_can_wait_are_told_to_come_again(gate: Gate, clickhouse: EmbeddedClickHouse) -> None:
    gate.hold()

    async def work(found: Asking) -> Any:
        names = {"instances": ["a"], "slos": ["a"]}
        waiting = [
            asyncio.create_task(found.ask("trends", {"until": 1_800_000_000 + each, **names}))
            for each in range(THREADS + QUEUE)
        ]
        await asyncio.sleep(0)
        with pytest.raises(NoAnswer, match="too many") as refused:
            await found.ask("services")
        assert refused.value.retry_after_s == 1
        gate.open()
        return await asyncio.gather(*waiting, found.ask("trends", {"until": 1_800_000_000, **names}))

    assert len(ask(through(gate, clickhouse), work)) == THREADS + QUEUE + 1


def test_while_it_is_away_nobody_waits_and_the_last_good_answer_is_dated(
    gate: Gate, clickhouse: EmbeddedClickHouse
) -> None:
    now = [0.0]

    async def work(found: Asking) -> None:
        assert found.last_good_at is None
        answered = await found.ask("services")
        assert found.last_good_at == answered.as_of
        gate.shut()
        now[0] = 10
        with pytest.raises(NoAnswer, match="burnline doctor"):
            await found.ask("services")
        tried = gate.accepted
        for _ in range(20):
            with pytest.raises(NoAnswer):
                await found.ask("services")
        assert gate.accepted == tried and found.last_good_at == answered.as_of
        gate.open()
        now[0] = 20
        assert found.away
        assert (await found.ask("services")).as_of > answered.as_of
        assert found.away == ""

    ask(through(gate, clickhouse), work, lambda: now[0])


def test_who_closes_does_not_wait_for_a_server_that_hangs(
    gate: Gate, clickhouse: EmbeddedClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER_S", 300.0)

    async def run() -> None:
        gate.hold()
        found = Asking(through(gate, clickhouse))
        waiting = asyncio.create_task(found.ask("services"))
        async with asyncio.timeout(60):
            while not gate.accepted:
                await asyncio.sleep(0.01)
            await found.close()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())


def test_nothing_can_be_written_even_by_the_writer(clickhouse: EmbeddedClickHouse) -> None:
    async def work(found: Asking) -> None:
        for sql in ("INSERT INTO marks (topic) SELECT 'x'", "SET readonly = 0"):
            with pytest.raises(NoAnswer, match="readonly"):
                await asyncio.to_thread(found._run, sql, {})

    ask(settings_of(clickhouse), work)


def test_a_server_that_is_not_prepared_is_told_apart_from_one_that_is_away(clickhouse: EmbeddedClickHouse) -> None:
    with clickhouse.client() as client:
        client.execute("CREATE DATABASE IF NOT EXISTS page_unprepared")
    url = clickhouse.admin_url.rpartition("/")[0] + "/page_unprepared"
    settings = Settings(clickhouse_url=url, clickhouse_password_file=clickhouse.admin_password_file)

    async def work(found: Asking) -> None:
        with pytest.raises(NoAnswer, match="burnline migrate"):
            await found.ask("fleet")

    ask(settings, work)


@examples(max_examples=20)
@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00")), min_size=1))
def test_sql_that_is_shown_holds_the_values_as_they_are(clickhouse: EmbeddedClickHouse, texts: list[str]) -> None:
    with clickhouse.client() as client:
        ((found,),) = client.execute(f"SELECT {literal(texts)}")
    assert found == texts


def test_values_stand_where_they_are_used_and_are_not_read_again() -> None:
    sql = "SELECT {slo:String}, {more:Array(String)}, {at:Int64}"
    assert shown(sql, {"slo": "{at:Int64}", "more": ["a'b"], "at": 7}) == "SELECT '{at:Int64}', ['a\\'b'], 7"


def test_only_plain_names_become_part_of_a_question() -> None:
    assert "FROM sli_1m" in sql_of("sketches", (("metric", "ttft"), ("view", "sli_1m")))
    with pytest.raises(ValueError, match="no name"):
        sql_of("sketches", (("metric", "ttft"), ("view", "sli_1m; SELECT 1")))


def test_every_question_begins_with_what_it_asks() -> None:
    for file in asking.HOME.glob("*.sql"):
        assert file.read_text("utf-8").startswith("-- "), file
