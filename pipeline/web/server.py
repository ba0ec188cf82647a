"""Metrics, health, the page and its API over HTTP. Loopback unless a token is set; only changes can be told.

Refuses to know what the numbers mean: it is given a page of metrics, two judgements of health, and the site. Who may
stay how long is the door's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from pipeline.metrics import content_type
from pipeline.web.doors import (
    BODY_BYTES,
    FIELD_BYTES,
    FIELDS_MOST,
    HEADERS,
    LINE_BYTES,
    LOOPBACK,
    REPLY_S,
    Door,
    host_and_port,
    is_loopback_name,
    is_token,
    refusal,
    written,
)
from pipeline.web.site import Site

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBES = ("/healthz", "/readyz")  #: an orchestrator's probes have no token; without it they get no reasons

IS_KNOWN = web.RequestKey("is_known", bool)

log = structlog.get_logger()


class BindRefused(ValueError):
    """The address is not loopback and no token guards it."""


@dataclass(frozen=True)
class Health:
    """A judgement and its reasons; empty reasons: healthy."""

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what somebody should know, and no reason to send the traffic elsewhere

    def response(self, with_reasons: bool = True) -> web.Response:
        said: dict[str, Any] = {"status": "unhealthy" if self.reasons else "ok"}
        if with_reasons:
            said["reasons"] = list(self.reasons)
            said |= {"notes": list(self.notes)} if self.notes else {}
        return web.json_response(said, status=503 if self.reasons else 200)


@dataclass(frozen=True)
class Endpoints:
    """What the port serves."""

    metrics: Callable[[str], bytes] | None  # of an Accept header
    live: Callable[[], Health]
    ready: Callable[[], Health]
    site: Site | None = None


def parse_bind(text: str, token: str | None) -> tuple[str, int]:
    """Read `host:port`.

    Raises: BindRefused for an address off loopback without a token; ValueError for no address at all.
    """
    if (found := host_and_port(text)) is None:
        raise ValueError(f"BURNLINE_HTTP_BIND is host:port, for example 127.0.0.1:8080, not {text!r}")
    if found[0] not in LOOPBACK and not token:
        raise BindRefused(
            f"refusing to listen on {found[0]} without a token: set BURNLINE_HTTP_TOKEN_FILE, or bind to 127.0.0.1"
        )
    return found


def build(endpoints: Endpoints, token: str | None) -> web.Application:
    """Build the application; with a token every path wants it as a bearer, and probes say less without."""
    app = web.Application(middlewares=[_guard(token, endpoints.site)], client_max_size=BODY_BYTES)

    async def metrics(request: web.Request) -> web.Response:
        assert endpoints.metrics is not None
        accept = request.headers.get("Accept", "")
        return web.Response(body=endpoints.metrics(accept), headers={"Content-Type": content_type(accept)})

    async def live(request: web.Request) -> web.Response:
        return endpoints.live().response(request[IS_KNOWN])

    async def ready(request: web.Request) -> web.Response:
        return endpoints.ready().response(request[IS_KNOWN])

    if endpoints.metrics is not None:
        app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", live)
    app.router.add_get("/readyz", ready)
    if endpoints.site is not None:
        endpoints.site.add_to(app)
    return app


def _guard(token: str | None, site: Site | None) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.protocol, Door):
            request.protocol.answer_within(REPLY_S)
        request[IS_KNOWN] = not token or is_token(request.headers.get("Authorization", ""), token)
        is_told = site is not None and site.is_told(request)
        is_open = request.path in PROBES or (site is not None and site.is_open(request.rel_url.raw_path))
        if refused := _refused(request, token, is_open or is_told, is_told):
            return refused
        try:
            response = await handler(request)
        except web.HTTPException as error:
            return refusal(error.status, error.reason)
        except Exception as error:
            log.error("an answer failed", exc_info=error)
            return refusal(500, "internal error")
        if not response.prepared:  # a stream has done so itself
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            response.force_close()
        return response

    return guard


def _refused(request: web.Request, token: str | None, is_open: bool, takes_body: bool) -> web.Response | None:
    """Say no before any handler is asked: to strangers, to borrowed names, and to bodies."""
    if not request[IS_KNOWN] and not is_open:
        response = refusal(401, "a bearer token is needed")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    host = request.headers.get("Host")
    if not token and host is not None and not is_loopback_name(host):
        return refusal(421, "this address is for this machine: ask by 127.0.0.1 or localhost")
    if request.can_read_body and not takes_body:
        return refusal(413, "nothing here takes a body")
    return None


class Server:
    """One listening port; `address` is known after start."""

    def __init__(self, endpoints: Endpoints, bind: str, token: str | None = None) -> None:
        self._host, self._port = parse_bind(bind, token)
        self._runner = web.AppRunner(build(endpoints, token), access_log=None, handle_signals=False)
        self._listening: asyncio.Server | None = None
        self.address = ""

    async def start(self) -> None:
        await self._runner.setup()
        loop, http = asyncio.get_running_loop(), self._runner.server
        assert http is not None
        limits = {"max_line_size": LINE_BYTES, "max_field_size": FIELD_BYTES, "max_headers": FIELDS_MOST}
        self._listening = await loop.create_server(
            lambda: Door(http, loop=loop, access_log=None, lingering_time=0, **limits),  # type: ignore[arg-type]
            self._host,
            self._port,
        )
        host, port = self._listening.sockets[0].getsockname()[:2]
        self.address = f"http://{written(host, port)}"

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()
