"""The door of the worker's port: how many come in at once, how long each may stay, how much each may say.

One request a connection. Law: a client that is slow, silent or one too many costs a socket for seconds and nothing
else; what cannot be read as HTTP gets a bare answer, and nothing of it is repeated or logged.
"""

import asyncio
import hmac
from http import HTTPStatus
from typing import Any

from aiohttp import web

CONNECTIONS_MOST = 256  #: a page asks for a dozen things at once, and keeps a stream open
REQUEST_S = 5.0  #: from the connection to the end of the request's head
REPLY_S = 30.0  #: from there to the end of the answer
LINE_BYTES = 4096  #: of the request line
FIELD_BYTES = 4096  #: of one header
FIELDS_MOST = 64
BODY_BYTES = 1024  #: nobody has to send one

#: scripts, frames and sniffing: nothing that is served here needs them
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "burnline",
}

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def host_and_port(text: str) -> tuple[str, int] | None:
    """Read `host:port`, an IPv6 address in brackets; None: it is neither."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        return None
    return host.strip("[]"), int(port)


def written(host: str, port: int) -> str:
    """Write an address as `host_and_port` reads it."""
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def refusal(status: int, reason: str) -> web.Response:
    """An answer that says no more than its status does."""
    said = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": reason}
    response = web.json_response(said, status=status, headers=HEADERS, content_type="application/problem+json")
    response.force_close()
    return response


def is_token(said: str, token: str) -> bool:
    """Whether an Authorization header bears the token; takes as long for a near miss as for a far one."""
    return hmac.compare_digest(said.encode("utf-8", "surrogateescape"), f"Bearer {token}".encode())


def is_loopback_name(host: str) -> bool:
    """Whether a Host header names this machine.

    A page on the web can make its own name point here, and read what a browser on this machine may read; its name
    stays in the header.
    """
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower() in LOOPBACK


class Door(web.RequestHandler):
    """One connection."""

    __slots__ = ("_deadline", "_is_refused")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, for a while, or say at once that there is no room."""
        self._deadline: asyncio.TimerHandle | None = None
        manager = self._manager
        assert manager is not None and isinstance(transport, asyncio.Transport)
        self._is_refused = len(manager.connections) >= CONNECTIONS_MOST
        if self._is_refused:
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            transport.close()
            return
        super().connection_made(transport)
        self._leave_within(REQUEST_S)

    def data_received(self, data: bytes) -> None:
        if not self._is_refused:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._is_refused:
            super().connection_lost(exc)

    def answer_within(self, seconds: float) -> None:
        """The request is whole: what is left is ours to do, and the client's to read."""
        self._leave_within(seconds)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read, or what broke us, without a word of it."""
        del request, exc, message
        return refusal(status, "bad request" if status < 500 else "internal error")

    def log_exception(self, *_: Any, **__: Any) -> None:
        """Say nothing: the exception holds what the client sent."""

    def _leave_within(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._out)

    def _out(self) -> None:
        if self.transport is not None:
            self.transport.abort()  # not close: that would wait for the client to read
