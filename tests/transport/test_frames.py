"""Responses over a real socket: large ones in place, small ones aiokafka's way, whatever the pieces they come in."""

import asyncio
import io
import random
import ssl
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.transport.frames import LARGE_FIELD, LARGE_FRAME, Frame, FrameIO, FrameProtocol

SIZES = [1, 100, LARGE_FRAME - 1, LARGE_FRAME, 1, LARGE_FRAME * 5 + 3, 7, LARGE_FRAME + 1, LARGE_FRAME * 2]


async def received(frames: list[bytes], pieces: list[int], secure: Path | None = None) -> list[bytes]:
    """Send frames in pieces of these lengths, again and again; return what aiokafka's reading loop gets."""
    stream = b"".join(struct.pack(">i", len(frame)) + frame for frame in frames)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at = turn = 0
        while at < len(stream):
            writer.write(stream[at : at + pieces[turn % len(pieces)]])
            await writer.drain()
            await asyncio.sleep(0)
            at += pieces[turn % len(pieces)]
            turn += 1
        writer.close()

    server_side = client_side = None
    if secure is not None:
        server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_side.load_cert_chain(secure)
        client_side = ssl.create_default_context(cafile=str(secure))
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    reader = asyncio.StreamReader(limit=1 << 16, loop=loop)
    protocol = FrameProtocol(loop.create_future(), reader, loop=loop)
    name = "localhost" if secure else None
    transport, _ = await loop.create_connection(
        lambda: protocol, "127.0.0.1", port, ssl=client_side, server_hostname=name
    )
    try:
        found = []
        for _ in frames:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            found.append(bytes(await reader.readexactly(size)))
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(4)
        return found
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


FRAMES = [random.Random(size).randbytes(size) for size in SIZES]
PIECES = [[1 << 20], [70_000, 3], [LARGE_FRAME + 4, 1], [5000]]


@pytest.mark.parametrize("pieces", PIECES)
def test_frames_come_as_they_were_sent(pieces: list[int]) -> None:
    assert asyncio.run(asyncio.wait_for(received(FRAMES, pieces), 60)) == FRAMES


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", str(path) + ".crt"]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed: apt-get install openssl")
    path.write_text(path.read_text() + Path(str(path) + ".crt").read_text())
    return path


def test_frames_come_through_tls_too(certificate: Path) -> None:
    assert asyncio.run(asyncio.wait_for(received(FRAMES, [70_000, 3], certificate), 60)) == FRAMES


def fed(protocol: FrameProtocol, data: bytes) -> None:
    """Give bytes to a protocol as a transport does."""
    while data:
        room = protocol.get_buffer(-1)[: len(data)]
        room[:] = data[: len(room)]
        protocol.buffer_updated(len(room))
        data = data[len(room) :]


def test_memory_is_used_again_only_when_nobody_looks_at_it() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1 << 16, loop=loop)
        protocol = FrameProtocol(loop.create_future(), reader, loop=loop)

        async def read(byte: int) -> memoryview:
            reading: asyncio.Task[Any] = asyncio.create_task(reader.readexactly(LARGE_FRAME))
            await asyncio.sleep(0)
            fed(protocol, bytes([byte]) * LARGE_FRAME)
            frame: memoryview = await reading
            return frame

        held = [await read(byte) for byte in range(5)]
        part, held = held[4][100:9000], held[:4]  # a field of it is enough
        addresses = [np.frombuffer(frame, np.uint8).ctypes.data for frame in [*held, part]]
        assert len(set(addresses)) == 5
        assert [set(frame) for frame in [*held, part]] == [{byte} for byte in range(5)]
        held.clear()
        again = await read(9)
        assert np.frombuffer(again, np.uint8).ctypes.data == addresses[3]  # the youngest that is free
        assert set(part) == {4}

    asyncio.run(work())


@pytest.mark.parametrize("sent", [0, 1, LARGE_FRAME])
def test_a_stream_that_ends_inside_a_large_frame_is_told(sent: int) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1 << 16, loop=loop)
        protocol = FrameProtocol(loop.create_future(), reader, loop=loop)
        reading: asyncio.Task[Any] = asyncio.create_task(reader.readexactly(LARGE_FRAME * 2))
        await asyncio.sleep(0)
        fed(protocol, bytes(sent))
        protocol.eof_received()
        with pytest.raises(asyncio.IncompleteReadError) as told:
            await asyncio.wait_for(reading, 60)
        assert len(told.value.partial) == sent

    asyncio.run(work())


@pytest.mark.parametrize("sizes", [[2, 4, LARGE_FIELD - 1], [LARGE_FIELD, 0, 3], [8, LARGE_FIELD * 3, 1, 100_000]])
def test_a_large_frame_reads_like_a_file_and_gives_views_of_large_fields(sizes: list[int]) -> None:
    data = random.Random(1).randbytes(sum(sizes) + 10)
    frame, file = FrameIO.BytesIO(memoryview(data)), io.BytesIO(data)
    for size in [*sizes, -1, 5]:
        found, expected = frame.read(size), file.read(size)
        assert bytes(found) == expected
        assert isinstance(found, memoryview) == (len(expected) >= LARGE_FIELD)
    assert isinstance(frame, Frame)
    assert isinstance(FrameIO.BytesIO(data), io.BytesIO)
