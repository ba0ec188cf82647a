"""A receiver that keeps what it hears, and answers as its rules say, or as a test wants it to."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Heard(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Reply(NamedTuple):
    """What to answer."""

    status: int = 200
    body: bytes = b"ok"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Listening:
    """Requests in the order in which they came; wait with `until`."""

    answer: Callable[[Heard], Reply]
    port: int = 0
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        """Begin to listen later: with `open`."""
        self.heard: list[Heard] = []
        self._connections: list[socket.socket] = []
        self._news = threading.Condition()
        self._server: ThreadingHTTPServer | None = None

    def url(self, path: str = "/") -> str:
        return f"http{'s' * bool(self.tls)}://127.0.0.1:{self.port}{path}"

    def open(self) -> None:
        """Listen, on the same port as before."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer._connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                heard = Heard(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                reply = outer.answer(heard)
                with outer._news:  # before it is answered: whoever asked may have gone
                    outer.heard.append(heard)
                    outer._news.notify_all()
                self.send_response(reply.status)
                for name, value in (*reply.headers, ("content-length", str(len(reply.body)))):
                    self.send_header(name, value)
                with suppress(OSError):
                    self.end_headers()
                    self.wfile.write(reply.body)

            do_GET = do_POST  # noqa: N815 - the library's name

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Go away; whoever calls is refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        while self._connections:  # kept alive, they would go on answering
            with suppress(OSError):
                self._connections.pop().shutdown(socket.SHUT_RDWR)

    def until(self, holds: Callable[[list[Heard]], bool], deadline_s: float = 60.0) -> list[Heard]:
        """Wait until what was heard fits; return it."""
        with self._news:
            assert self._news.wait_for(lambda: holds(self.heard), deadline_s), self.heard
            return list(self.heard)


@contextmanager
def listening(
    answer: Callable[[Heard], Reply] = lambda _: Reply(), tls: ssl.SSLContext | None = None
) -> Iterator[Listening]:
    receiver = Listening(answer, tls=tls)
    receiver.open()
    try:
        yield receiver
    finally:
        receiver.close()
