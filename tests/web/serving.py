"""The page and its API on a port of 127.0.0.1, in a thread of their own; and a database for each that asks."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.settings import Settings
from pipeline.spec import load
from pipeline.web.server import Endpoints, Health, Server
from pipeline.web.site import Site
from pipeline.web.source import Slos


class Served:
    """A server that can go away and come back to the same address."""

    def __init__(self, settings: Settings, token: str | None = None, slos: Slos | None = None) -> None:
        """`slos`: those of the settings' files when left out."""
        self._settings, self._token, self._bind, self._slos = settings, token, "127.0.0.1:0", slos
        self._loop: asyncio.AbstractEventLoop | None = None
        self.address = ""

    def start(self) -> None:
        self._loop, ready = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._loop, ready), daemon=True)
        self._thread.start()
        ready.wait(60)
        self.address = self._server.address
        self._bind = self.address.removeprefix("http://")

    def _run(self, loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        slos = load([self._settings.slo_dir]).told
        site = Site(self._settings, self._slos or (lambda: slos))
        self._server = Server(Endpoints(lambda: b"", Health, Health, site), self._bind, self._token)
        loop.run_until_complete(self._server.start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(self._server.stop())
        loop.close()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)
            self._loop = None


@contextmanager
def serving(settings: Settings, token: str | None = None, slos: Slos | None = None) -> Iterator[Served]:
    """Serve until the block ends."""
    served = Served(settings, token, slos)
    served.start()
    try:
        yield served
    finally:
        served.stop()
