"""A deliverer in a process of its own, for tests that kill it, or stop it where it stands.

Says `ready` on stdout once it owns all partitions and is through with them, and `lost` when they go.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipeline.agents.deliver import Deliverer
from pipeline.agents.parts import Parts
from pipeline.delivery.receivers import INSIDE
from pipeline.delivery.routes import Receiver, Route, Routes
from pipeline.framing import SINGLE_OBJECT
from pipeline.settings import Settings
from pipeline.spec import SloSet
from tests.agents.delivering import settings_for


def hooks(urls: Mapping[str, str]) -> tuple[Receiver, ...]:
    return tuple(Receiver(name, "webhook", url, allow=INSIDE) for name, url in urls.items())


@contextmanager
def dying(settings: Settings, urls: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a deliverer that tells webhooks of everything; it is ready, and gone in the end."""
    said = json.dumps([settings.kafka_brokers, settings.topic_prefix, urls])
    process = subprocess.Popen([sys.executable, "-m", __name__, said], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip
    try:
        until_said(process, "ready")
        yield process
    finally:
        process.kill()
        process.wait()


def until_said(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"it ended before it was {word}")


async def main(brokers: str, prefix: str, urls: Mapping[str, str]) -> None:
    receivers = hooks(urls)
    routes = Routes(receivers, (Route(tuple(urls)),))
    deliverer = Deliverer(Parts(settings_for(brokers, prefix), SloSet(), SINGLE_OBJECT, {}, routes))
    running = asyncio.create_task(deliverer.run(asyncio.Event()))
    await _until(lambda: len(deliverer.owned) == 3 * len(urls) and is_through(deliverer))
    print("ready", flush=True)
    await _until(lambda: len(deliverer.owned) < 3 * len(urls))
    print("lost", flush=True)
    await running


def is_through(deliverer: Deliverer) -> bool:
    at = deliverer.positions()
    return bool(at) and all(each.end is not None and not each.waiting for each in at.values())


async def _until(holds) -> None:  # type: ignore[no-untyped-def]
    while not holds():
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(*json.loads(sys.argv[1])))
