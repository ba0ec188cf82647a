"""A gate in front of a TCP server: open, shut, or holding what comes, as a network that fails does."""

import asyncio
import contextlib
import threading
from typing import Any
from urllib.parse import urlsplit


class Gate:
    """`port` leads to a server's; `shut` breaks what is open, `hold` lets nothing through until `open`."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 9000
        self._loop, self._is_open = asyncio.new_event_loop(), asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self.accepted, self._server = 0, None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self.open()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def open(self) -> None:
        """Let everything through."""
        self._do(self._listen())
        self._loop.call_soon_threadsafe(self._is_open.set)

    def hold(self) -> None:
        """Accept, and say nothing."""
        self._loop.call_soon_threadsafe(self._is_open.clear)

    def shut(self) -> None:
        """Break every connection, and take none."""
        self._do(self._end())

    def close(self) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        self._writers.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        passing = asyncio.create_task(self._join(reader, writer))
        self._passing.add(passing)
        passing.add_done_callback(self._passing.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._is_open.wait()
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            self._writers.add(far_writer)
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()
