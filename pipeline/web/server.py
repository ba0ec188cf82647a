"""Metrics and health over HTTP, read only. Loopback unless a token is set.

Refuses to know what the numbers mean: it is given a page of metrics and two judgements of health.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK = ("127.0.0.1", "::1", "localhost")

#: nothing here is a page yet: no scripts, no frames, no sniffing
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class BindRefused(ValueError):
    """The address is not loopback and no token guards it."""


@dataclass(frozen=True)
class Health:
    """A judgement and its reasons; empty reasons: healthy."""

    reasons: tuple[str, ...] = ()

    def response(self) -> web.Response:
        return web.json_response(
            {"status": "unhealthy" if self.reasons else "ok", "reasons": list(self.reasons)},
            status=503 if self.reasons else 200,
        )


@dataclass(frozen=True)
class Endpoints:
    """What the port serves."""

    metrics: Callable[[], bytes]
    live: Callable[[], Health]
    ready: Callable[[], Health]


def parse_bind(text: str, token: str | None) -> tuple[str, int]:
    """Read `host:port`.

    Raises: BindRefused for an address off loopback without a token; ValueError for no address at all.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"BURNLINE_HTTP_BIND is host:port, for example 127.0.0.1:8080, not {text!r}")
    host = host.strip("[]")
    if host not in LOOPBACK and not token:
        raise BindRefused(
            f"refusing to listen on {host} without a token: set BURNLINE_HTTP_TOKEN_FILE, or bind to 127.0.0.1"
        )
    return host, int(port)


def build(endpoints: Endpoints, token: str | None) -> web.Application:
    """Build the application; with a token every path but health wants it as a bearer."""
    app = web.Application(middlewares=[_guard(token)], client_max_size=1024)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=endpoints.metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def live(_: web.Request) -> web.Response:
        return endpoints.live().response()

    async def ready(_: web.Request) -> web.Response:
        return endpoints.ready().response()

    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", live)
    app.router.add_get("/readyz", ready)
    return app


def _guard(token: str | None) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        said = request.headers.get("Authorization", "").encode()
        if token and request.path == "/metrics" and not hmac.compare_digest(said, f"Bearer {token}".encode()):
            return web.json_response({"error": "a bearer token is needed"}, status=401, headers=HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = web.json_response({"error": error.reason}, status=error.status)
        response.headers.update(HEADERS)
        return response

    return guard


class Server:
    """One listening port; `address` is known after start."""

    def __init__(self, endpoints: Endpoints, bind: str, token: str | None = None) -> None:
        self._host, self._port = parse_bind(bind, token)
        self._runner = web.AppRunner(build(endpoints, token), access_log=None)
        self.address = ""

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def stop(self) -> None:
        await self._runner.cleanup()
