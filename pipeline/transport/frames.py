"""Responses of megabytes, received once: straight into memory of their own, and parsed without copies.

aiokafka reads through asyncio's StreamReader: the socket's bytes are collected in a growing buffer, copied out of
it, and copied again field by field, which was two thirds of a consumer's processor time. Here a large response is
received where it stays, and its large fields are views of it. Small responses take aiokafka's way.
"""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiokafka.client as client_module
import aiokafka.conn as conn_module
import numpy as np
from numpy.typing import NDArray

from pipeline.transport.upstream import rebound

LARGE_FRAME = 256 << 10
LARGE_FIELD = 4 << 10
SCRATCH_BYTES = 64 << 10
KEPT_FRAMES = 2  #: one is being taken apart while the next is received


def references_of(memories: tuple[NDArray[np.uint8], ...]) -> list[int]:
    """How many references there are to each; every view of it is one."""
    return [sys.getrefcount(memory) for memory in memories]


UNUSED = references_of((np.empty(1, np.uint8),))[0]  #: as this Python counts them


class FrameReader(asyncio.StreamReader):
    """A StreamReader whose large `readexactly` is filled by the protocol itself. Made by changing a reader's class."""

    # asyncio's own; upstream.py looks for them
    _buffer: bytearray
    _eof: bool
    _exception: Exception | None
    _wait_for_data: Callable[[str], Awaitable[None]]
    _wakeup_waiter: Callable[[], None]
    _maybe_resume_transport: Callable[[], None]

    _target: memoryview | None = None  # what is being filled
    _filled = 0
    _kept: tuple[NDArray[np.uint8], ...] = ()  # memory of former responses

    async def readexactly(self, n: int) -> Any:
        """Return n bytes: a memoryview of fresh memory when they are many.

        Raises: IncompleteReadError when the stream ends before; what broke the connection.
        """
        if n < LARGE_FRAME:
            return await super().readexactly(n)
        target, have = self._memory(n), min(len(self._buffer), n)
        target[:have] = self._buffer[:have]
        del self._buffer[:have]
        self._target, self._filled = target, have
        try:
            while self._filled < n:
                if self._exception is not None:
                    raise self._exception
                if self._eof:
                    raise asyncio.IncompleteReadError(bytes(target[: self._filled]), n)
                await self._wait_for_data("readexactly")
        finally:
            self._target = None
        self._maybe_resume_transport()
        return target.toreadonly()

    def _memory(self, n: int) -> memoryview:
        """Return n bytes that nobody looks at any more.

        Fresh memory costs a page fault every 4 KB: in a consumer's thread, a third of its processor time.
        """
        for references, kept in zip(references_of(self._kept), self._kept, strict=True):
            if references == UNUSED and len(kept) >= n:
                return kept[:n].data
        fresh = np.empty(n, np.uint8)
        self._kept = (fresh, *self._kept)[:KEPT_FRAMES]
        return fresh[:n].data

    def room(self) -> memoryview | None:
        """Where the next bytes belong; None: into the common buffer."""
        return None if self._target is None else self._target[self._filled :] or None

    def took(self, size: int) -> None:
        """Note that `size` bytes have come into `room`."""
        self._filled += size
        if self._target is not None and self._filled == len(self._target):
            self._wakeup_waiter()


class FrameProtocol(conn_module.AIOKafkaProtocol, asyncio.BufferedProtocol):
    """The connection's protocol, asked by the transport where to receive to."""

    def __init__(self, closed: Any, reader: Any, *, loop: Any) -> None:
        reader.__class__ = FrameReader
        super().__init__(closed, reader, loop=loop)
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._is_direct = False

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the response's own memory, or the scratch."""
        del sizehint
        reader = self._stream_reader
        room = None if reader is None else reader.room()
        self._is_direct = room is not None
        return self._scratch if room is None else room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was received."""
        reader = self._stream_reader
        if reader is None:
            return
        if self._is_direct:
            reader.took(nbytes)
        else:
            reader.feed_data(bytes(self._scratch[:nbytes]))


class Frame:
    """A large response to be parsed, read as from io.BytesIO; large fields are views."""

    __slots__ = ("_at", "_view")

    def __init__(self, view: memoryview) -> None:
        self._view, self._at = view, 0

    def read(self, size: int = -1) -> bytes | memoryview:
        """Return the next bytes."""
        stop = len(self._view) if size < 0 else self._at + size
        piece = self._view[self._at : stop]
        self._at += len(piece)
        return piece if len(piece) >= LARGE_FIELD else bytes(piece)


class FrameIO:
    """Stands for the module `io` where a response is parsed."""

    @staticmethod
    def BytesIO(response: bytes | memoryview) -> Any:  # noqa: N802 - the name it stands for
        """Open a response."""
        return Frame(response) if isinstance(response, memoryview) else io.BytesIO(response)


class FrameConnection(conn_module.AIOKafkaConnection):
    """A connection to one broker."""

    connect = rebound(conn_module.AIOKafkaConnection.connect, AIOKafkaProtocol=FrameProtocol)
    _handle_frame = rebound(conn_module.AIOKafkaConnection._handle_frame, io=FrameIO)


class FrameClient(client_module.AIOKafkaClient):
    """A client whose connections to brokers are of this kind. Made by changing a client's class."""

    _get_conn = rebound(
        client_module.AIOKafkaClient._get_conn,
        create_conn=rebound(conn_module.create_conn, AIOKafkaConnection=FrameConnection),
    )
