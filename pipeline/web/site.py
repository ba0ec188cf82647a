"""The site: the page's files, the API that the page uses, and the table of its routes.

Law: the table is the whole truth: what is served is what the API's own description says. One path alone can be told
something: changes.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel

from pipeline.web import answers, answers_events
from pipeline.web.api import Lists, guarded
from pipeline.web.asking import Asking
from pipeline.web.changes import PATH, Telling
from pipeline.web.compared import Compared, comparing
from pipeline.web.drawn import Charts
from pipeline.web.files import DOCUMENT, Files
from pipeline.web.gate import Gate, gate
from pipeline.web.gates import Gates, gates
from pipeline.web.live import Live
from pipeline.web.openapi import IN_PATH, document
from pipeline.web.respond import KEPT, is_same, sent
from pipeline.web.signals import ModelSignals, Signals, signals, signals_of_model
from pipeline.web.source import Source

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.spec import Slo

API = "/api/v1"


class Route(NamedTuple):
    """A path under /api/v1, what answers it, and how it is described."""

    path: str
    handle: Callable[[web.Request], Awaitable[BaseModel]]
    model: type[BaseModel]
    summary: str
    parameters: tuple[str, ...] = ()  # names of pipeline.web.openapi.PARAMETERS


FLEET = ("q", "slo", "service", "label", "standing", "sort", "group", "limit", "cursor", "trend")
ALERTS = ("state", "from", "to", "slo", "service", "instance", "severity", "kind", "limit", "cursor")
CHART = ("instance", "from", "to")


def routes(source: Source, gate_policy: Path | None = None) -> list[Route]:
    """Every route that answers with JSON; `gate_policy`: file of the deploy gate's rules, the shipped ones without."""
    lists, charts = Lists(source), Charts(source).all
    one = "/slos/{name}"
    return [
        Route("/slos", lists.fleet, answers.Fleet, "Every SLO instance, what burns first", FLEET),
        Route(one, lists.slo, answers.OneSlo, "One SLO: its definition and one instance", ("instance",)),
        Route(f"{one}/budget", charts["budget"], answers.BudgetChart, "What was left of the budget", CHART),
        Route(f"{one}/burn", charts["burn"], answers.BurnChart, "Burn rates, by window", CHART),
        Route(f"{one}/counts", charts["counts"], answers.CountsChart, "Good, bad and excluded", CHART),
        Route(f"{one}/latency", charts["latency"], answers.LatencyChart, "Percentiles, out of sketches", CHART),
        Route(f"{one}/heatmap", charts["heatmap"], answers.HeatMap, "How many were how slow", CHART),
        Route(f"{one}/marks", charts["marks"], answers.Marks, "Alerts, changes, corrections, revisions, notes", CHART),
        Route(f"{one}/compared", comparing(source), Compared, "What a change did to it", ("instance", "change")),
        Route(f"{one}/exemplars", charts["exemplars"], answers.Exemplars, "Traces of bad requests", CHART),
        Route(f"{one}/requests", charts["requests"], answers.Requests, "Requests that are kept whole", CHART),
        Route("/alerts", lists.alerts, answers_events.Alerts, "Alerts, those that are open first", ALERTS),
        Route("/alerts/{dedup_key}", lists.alert, answers_events.OneAlert, "One alert and its events", ("fired_at",)),
        Route("/signals", signals(source), Signals, "What controls publish", ("service", "name")),
        Route("/signals/{service}/{model}", signals_of_model(source), ModelSignals, "What is in force for a model"),
        Route("/gates", gates(source, gate_policy), Gates, "Which services may be changed now"),
        Route("/gate/{service}", gate(source, gate_policy), Gate, "Whether a service may be changed now"),
        Route("/pipeline", lists.pipeline, answers_events.Pipeline, "How the pipeline itself is"),
    ]


class Site:
    """Page and API on somebody's port."""

    def __init__(
        self,
        settings: "Settings",
        slos: "Callable[[], Mapping[str, Slo]]",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        has_brokers: bool = True,
    ) -> None:
        """`slos`: those that files hold now, by name; `has_brokers`: there is a Kafka to tell of changes.

        Nothing is asked yet. Raises: SettingsError.
        """
        self.source = Source(Asking(settings), slos, now, settings.trailing_s)
        self._files, self._live, self._gate_policy = Files(), Live(self.source), settings.gate_policy
        self._is_for_all = not settings.secret("http_token")
        self._telling = Telling(settings, has_brokers, now)

    def is_open(self, raw_path: str) -> bool:
        """Whether a path holds no data, so that nobody has to say who they are."""
        return self._files.find(raw_path) is not None

    def is_told(self, request: web.Request) -> bool:
        """Whether a request tells us something: it has a body, and is asked for a token of its own."""
        return request.method == "POST" and request.path == API + PATH

    def add_to(self, app: web.Application) -> None:
        """Serve it."""
        table = routes(self.source, self._gate_policy)
        for route in table:
            path = IN_PATH.sub(r"{\1:[^/]+}", API + route.path)  # a name may hold braces too
            app.router.add_get(path, guarded(self.source, route.handle))
        app.router.add_post(API + PATH, self._telling.handle)
        app.router.add_get(f"{API}/live", self._live.handle)
        app.router.add_get(f"{API}/openapi.json", _described(document(table)))
        app.router.add_get("/{path:.*}", self._file)
        app.on_shutdown.append(self._stop)
        app.on_cleanup.append(self._close)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._files.find(request.rel_url.raw_path)
        if found is None:
            raise web.HTTPNotFound
        if found is self._files.find(DOCUMENT) and self._is_for_all:
            self.source.behind(self.source.snapshot())  # its scripts will ask for that once they are loaded
        return found.response(request)

    async def _stop(self, _: Any) -> None:
        self._live.stop()

    async def _close(self, _: Any) -> None:
        self._telling.close()
        await self.source.close()


def _described(body: bytes) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    etag = sha256(body).hexdigest()[:20]
    headers = {**KEPT, "ETag": f'W/"{etag}"'}

    async def described(request: web.Request) -> web.StreamResponse:
        if is_same(request, etag):
            return web.Response(status=304, headers=headers)
        return sent(request, body, headers, "application/json")

    return described
