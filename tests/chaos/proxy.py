"""A bad network between workers and the broker: delays, cuts, and a door that shuts on some requests.

Knows of Kafka's protocol only that a request is a length and begins with the number of its kind.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from typing import Any

from pipeline.embedded.kafka import EmbeddedKafka
from pipeline.embedded.kafka_security import HOST, Ports

#: AddOffsetsToTxn, EndTxn, TxnOffsetCommit
COMMITS = frozenset({25, 26, 28})


class Proxy:
    """Listens on a port of its own and forwards to `target`; its knobs may be turned at any time."""

    def __init__(self, seed: int = 0) -> None:
        self.target = self.port = 0
        self.delay_s, self.refused = 0.0, frozenset[int]()
        self.cuts = 0
        self._random = random.Random(seed)
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._do(asyncio.start_server(self._serve, HOST, 0, limit=1 << 22))
        self.port = self._server.sockets[0].getsockname()[1]

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def cut(self) -> None:
        """Cut every connection."""
        self._do(self._cut())

    async def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def stop(self) -> None:
        self._server.close()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(HOST, self.target, limit=1 << 22)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        try:
            ways = [
                asyncio.create_task(self._requests(reader, back)),
                asyncio.create_task(self._answers(there, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        finally:
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = await reader.readexactly(4)
                request = await reader.readexactly(int.from_bytes(size, "big"))
                is_refused = int.from_bytes(request[:2], "big") in self.refused and self._random.random() < 0.5
                is_lost = self._random.random() < 0.5  # else it arrives, and only its answer is lost
                if self.delay_s:
                    await asyncio.sleep(self.delay_s * self._random.uniform(0.5, 1.5))
                if not (is_refused and is_lost):
                    writer.write(size + request)
                    await writer.drain()
                if is_refused:
                    self.cuts += 1
                    await asyncio.sleep(0 if is_lost else 0.05)  # the broker may do it; its answer comes too late
                    return

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 18):
                if self.delay_s or self.refused:
                    await asyncio.sleep(max(self.delay_s, 0.06 if self.refused else 0.0))
                writer.write(data)
                await writer.drain()


class ProxiedKafka(EmbeddedKafka):
    """A broker with two doors: its own, and one for whoever comes through the proxy."""

    def __init__(self, data_dir: Any, proxy: Proxy) -> None:
        super().__init__(data_dir)
        self.proxy = proxy

    @property
    def proxied(self) -> str:
        """Bootstrap servers behind the proxy."""
        return f"{HOST}:{self.proxy.port}"

    def _write_properties(self, ports: Ports) -> None:
        super()._write_properties(ports)
        self.proxy.target = ports.own
        text = self._properties.read_text()
        for setting, more in (
            ("advertised.listeners=", f",PROXIED://{self.proxied}"),
            ("listeners=", f",PROXIED://{HOST}:{ports.own}"),
            ("listener.security.protocol.map=", ",PROXIED:PLAINTEXT"),
        ):
            lines = [line + more if line.startswith(setting) else line for line in text.splitlines()]
            text = "\n".join(lines)
        self._properties.write_text(text + "\ninter.broker.listener.name=PLAINTEXT\n")
