"""Fuzz targets that people write: SLO files, mappings, scenarios; and requests to the worker's port.

Each text is read, or refused with a reason; each request gets an answer or a closed door. Nothing else is raised.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from jobs.fleet import ScenarioError, load_scenario
from jobs.traces.mapping import MappingError, load_mapping
from pipeline.spec import parse, presets
from schemas import HOME
from tests.fuzz.native import Target
from tests.security.test_http import Running, everything, get, status

MARKER = b"marker-4be7"
REQUESTS = [
    get("/metrics"),
    get("/healthz?" + MARKER.decode(), "Accept: text/html"),
    get("/readyz", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AA=="),
    b"POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + MARKER[:5] + b"\r\n0\r\n\r\n",
    b"PUT /x HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nabcd",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,2-3\r\nCookie: a=b; c\r\n\r\n",
]


def as_it_is(_: Random, data: bytes) -> bytes:
    return data


def _texts(*folders: str) -> list[bytes]:
    return [path.read_bytes() for folder in folders for path in sorted((HOME / folder).glob("*.yaml"))]


def slos(_: Path) -> Target:
    """Files of both languages: SLOs, or problems with a place and a way out."""

    def check(inputs: list[bytes]) -> None:
        for data in inputs:
            found = parse({"f": data}, presets())
            for problem in (*found.problems, *found.unmeasured, *found.assumed):
                assert problem.line >= 1 and problem.rule and problem.remedy

    return Target(_texts("slo", "openslo", "corrections"), check, as_it_is, 1)


def _files(folder: str, load: Callable[[Path], Any], refusal: type[Exception], home: Path) -> Target:
    file = home / f"{folder}.yaml"

    def check(inputs: list[bytes]) -> None:
        for data in inputs:
            file.write_bytes(data)
            try:
                load(file)
            except refusal as error:
                assert str(error)

    return Target(_texts(folder), check, as_it_is, 1)


def http(_: Path) -> Target:
    """Requests to a server of its own, which must still be there at the end."""
    server = Running()

    def check(inputs: list[bytes]) -> None:
        for request in inputs:
            answer = ask(server, request)
            assert answer == b"" or 100 <= status(answer) < 500 or status(answer) == 503  # what /readyz says here
            assert MARKER not in answer and b"Traceback" not in answer and b"aiohttp" not in answer
        assert server.answers()

    return Target(REQUESTS, check, as_it_is, 20)


def ask(server: Running, request: bytes) -> bytes:
    """Send bytes and say that there are no more: what is not a request yet will not become one."""
    with server.connect() as client:
        with suppress(OSError):  # a server that has heard enough may close while we send
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        return everything(client)


TEXTS: dict[str, Callable[[Path], Target]] = {
    "slos": slos,
    "mappings": partial(_files, "mappings", load_mapping, MappingError),
    "scenarios": partial(_files, "scenarios", load_scenario, ScenarioError),
    "http": http,
}
