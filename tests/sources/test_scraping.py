"""A look at a replica costs the other looks nothing but its own time."""

import asyncio
from time import process_time, thread_time
from typing import Any

import httpx

from pipeline.sources.engines import all_engines
from pipeline.sources.scrape_targets import Target, Targets
from pipeline.sources.scraping import client_of, look

WIDE = "".join(f'tgi_queue_size{{a="{number}"}} 1\n' for number in range(20_000)).encode()
REPLICA = Target("http://a:1", "chat", "a")


def test_what_a_replica_tells_is_read_where_nobody_waits_for_it() -> None:
    async def looked() -> dict[str, Any]:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(WIDE)))
        async with httpx.AsyncClient(transport=transport) as client:
            return await look(client, REPLICA, 60.0)

    assert all_engines()  # read before anything is measured
    ours_s, all_s = thread_time(), process_time()
    assert asyncio.run(looked())["waiting"] == 20_000
    assert thread_time() - ours_s < (process_time() - all_s) / 2


def test_what_a_replica_sets_is_not_sent_to_it_again() -> None:
    async def kept() -> int:
        async with client_of(Targets(2.0, 1.0, (REPLICA,))) as client:
            request = httpx.Request("GET", "http://a.svc/metrics")
            client.cookies.extract_cookies(httpx.Response(200, headers={"Set-Cookie": "a=b"}, request=request))
            return len(client.cookies)

    assert asyncio.run(kept()) == 0
