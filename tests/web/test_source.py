"""Where lists come from: made once for all, apart from the loop that answers; and what is old is not known."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.settings import Settings
from pipeline.web.asking import Asking
from pipeline.web.fleet import Instance, Snapshot
from pipeline.web.parameters import FleetQuery
from pipeline.web.source import ALERTS_OLD, Source
from tests.web.fleets import instance, snapshot


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
            pass
        assert fleet.open_alerts == {"critical": 1, "warning": 2, "info": 0} and not fleet.staleness
        ahead = ALERTS_OLD
        assert (await source.snapshot()).open_alerts is None
        await source.close()

    asyncio.run(main())
