"""Where lists come from: made once for all, apart from the loop that answers; and what is old is not known."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings
from pipeline.web.asking import Asking, NoAnswer
from pipeline.web.fleet import Instance, Snapshot
from pipeline.web.parameters import FleetQuery
from pipeline.web.source import ALERTS_OLD, Source
from tests.web.fleets import instance, snapshot
from tests.web.gate import Gate
from tests.web.serving import serving


class Watched(list[Instance]):
    """Rows that know which threads go through them."""

    def __init__(self, *rows: Instance) -> None:
        super().__init__(rows)
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[Instance]:
        self.threads.add(threading.get_ident())
        return super().__iter__()


def test_a_list_is_made_once_for_all_and_not_where_others_wait() -> None:
    rows = Watched(instance("a"), instance("b"))
    fleet = Snapshot(rows, snapshot(*rows).as_of, "SELECT 1", snapshot(*rows).freshness)
    rows.threads.clear()

    async def main() -> None:
        source = Source(Asking(Settings()), dict)
        query = FleetQuery(sort="budget")
        one, other = await asyncio.gather(source.listed(fleet, query), source.listed(fleet, query._replace(limit=1)))
        assert one is other and len(one.places) == 2
        await source.close()

    asyncio.run(main())
    assert rows.threads and threading.get_ident() not in rows.threads


def test_an_order_is_made_once_for_a_snapshot() -> None:
    fleet = snapshot(instance("a"), instance("b"))
    assert fleet.ordered("budget", True) is fleet.ordered("budget", True)
    assert fleet.ordered("budget", True) is not fleet.ordered("budget", False)


@pytest.mark.servers
def test_alerts_that_were_open_a_while_ago_are_not_known_to_be_so_now(reading: Settings) -> None:
    ahead = timedelta(0)

    async def main() -> None:
        nonlocal ahead
        source = Source(Asking(reading), dict, lambda: datetime.now(UTC) + ahead, reading.trailing_s)
        until_s = time.monotonic() + 90
        while (fleet := await source.snapshot()).open_alerts is None and time.monotonic() < until_s:
            await asyncio.sleep(0.01)
        assert fleet.open_alerts == {"critical": 1, "warning": 2, "info": 0} and not fleet.staleness
        ahead = ALERTS_OLD
        assert (await source.snapshot()).open_alerts is None
        await source.close()

    asyncio.run(main())


def through(gate: Gate, server: EmbeddedClickHouse, settings: Settings, **more: Any) -> Settings:
    url = settings.clickhouse_url.replace(f":{server.port}/", f":{gate.port}/")
    return settings.model_copy(update={"clickhouse_url": url, **more})


@pytest.mark.servers
def test_who_looks_does_not_wait_for_the_next_look_and_what_stood_long_ago_is_not_answered(
    reading: Settings, clickhouse: EmbeddedClickHouse
) -> None:
    gate, ahead = Gate(clickhouse.url), timedelta(0)
    gated = through(gate, clickhouse, reading)

    async def main() -> None:
        nonlocal ahead
        source = Source(Asking(gated), dict, lambda: datetime.now(UTC) + ahead)
        first = found = await source.snapshot()
        gate.shut()
        async with asyncio.timeout(90):
            with pytest.raises(NoAnswer):
                while True:
                    assert await source.snapshot() is first
                    ahead += timedelta(milliseconds=100)
                    await asyncio.sleep(0.01)
            gate.open()
            ahead = timedelta(0)
            while found is first:
                with suppress(NoAnswer):
                    found = await source.snapshot()
                await asyncio.sleep(0.01)
            ahead = timedelta(hours=1)
            last = found
            while last is found:
                with suppress(NoAnswer):
                    last = await source.snapshot()
                    assert last is not found
        assert last.as_of > found.as_of > first.as_of
        await source.close()

    try:
        asyncio.run(main())
    finally:
        gate.close()


@pytest.mark.servers
def test_the_fleet_is_looked_up_while_the_page_is_loaded_but_not_for_strangers(
    reading: Settings, clickhouse: EmbeddedClickHouse, tmp_path: Path
) -> None:
    gate, token = Gate(clickhouse.url), tmp_path / "token"
    token.write_text("open sesame")
    try:
        with serving(through(gate, clickhouse, reading, http_token_file=token), "open sesame") as served:
            assert httpx.get(f"{served.address}/").status_code == 200
        assert gate.accepted == 0
        with serving(through(gate, clickhouse, reading)) as served:
            assert httpx.get(f"{served.address}/main.js").status_code == 200
            assert gate.accepted == 0
            assert httpx.get(f"{served.address}/alerts").status_code == 200
            until_s = time.monotonic() + 90
            while not gate.accepted and time.monotonic() < until_s:
                time.sleep(0.01)
        assert gate.accepted
    finally:
        gate.close()
