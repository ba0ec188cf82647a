"""The worker's port against random requests: each gets an HTTP answer or a closed door, and the next is served."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutating import mutated
from tests.security.test_http import Running, everything, get, status

MARKER = b"marker-4be7"
CORPUS = [
    get("/metrics"),
    get("/healthz?" + MARKER.decode(), "Accept: text/html"),
    get("/readyz", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AA=="),
    b"POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + MARKER[:5] + b"\r\n0\r\n\r\n",
    b"PUT /x HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nabcd",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,2-3\r\nCookie: a=b; c\r\n\r\n",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_request_is_answered_or_put_out(server: Running, seed: int) -> None:
    request = mutated(Random(seed), CORPUS)
    with server.connect() as client:
        with suppress(OSError):  # a server that has heard enough may close while we send
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)  # what is not a request yet will not become one
        answer = everything(client)
    assert answer == b"" or 100 <= status(answer) < 500 or status(answer) == 503  # what /readyz says here
    assert MARKER not in answer and b"Traceback" not in answer and b"aiohttp" not in answer


def test_the_server_is_still_there(server: Running) -> None:
    assert server.answers()
