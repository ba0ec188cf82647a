"""What is live: server-sent events of the first rows of a list, as they change.

    fleet, once a second ──► a view per list ──► its difference to what a client has ──► one client

Law: a client is sent what it lacks when it is ready for it, so nothing queues; who does not read is put out by the
door; streams are counted, and one too many is refused. Values that differ less than can be shown are the same.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import structlog
from aiohttp import web

from pipeline.web.answers import Fresh, Row
from pipeline.web.answers_events import Away, LiveRows
from pipeline.web.asking import NoAnswer
from pipeline.web.doors import HEADERS, REPLY_S, Door
from pipeline.web.fleet import Snapshot, row_of
from pipeline.web.parameters import LIVE_MOST, BadParameter, FleetQuery, fleet_query
from pipeline.web.respond import problem
from pipeline.web.source import Source

STREAMS_MOST = 128
EVERY_S, BEAT_S = 1.0, 5.0
VIEWS_MOST = 32  #: lists that differ: those who look at the same are sent the same, which is made once
STREAMED = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
RETRY = "retry: 2000\n\n"
NAMES = ("q", "slo", "service", "standing", "sort", "limit")

log = structlog.get_logger()


def seen(row: Row) -> tuple[Any, ...]:
    """What of a row can be seen, as coarse as it is shown."""
    return (
        row.standing, row.state, row.severity, row.revision, row.target, row.slo_labels, row.metric, row.description,
        *(_coarse(value, 5) for value in (row.compliance_ratio, row.budget_remaining_ratio, row.coverage_ratio)),
        *(_coarse(each.burn_rate, 2) for each in row.burn), _short(row.time_to_exhaustion_s), _short(row.good),
        _short(row.bad), _short(row.excluded), _short(row.late),
        _coarse(row.sla.budget_remaining_ratio, 4) if row.sla else None,
        None if row.alerts is None
        else [(each.dedup_key, each.severity, each.acknowledged_by) for each in row.alerts],
    )  # fmt: skip


def _coarse(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _short(value: float | None) -> str | None:
    """Three digits of a great number."""
    return None if value is None else f"{value:.3g}"


class View:
    """The first rows of a list, as of one snapshot."""

    def __init__(self, snapshot: Snapshot, found: Any, limit: int) -> None:
        self.fresh = snapshot.fresh
        self.head = {
            "total": len(snapshot.rows), "matched": len(found.places), "summary": found.summary,
            "open_alerts": snapshot.open_alerts,
        }  # fmt: skip
        rows = [row_of(snapshot, place) for place in found.places[:limit]]
        self.rows = {row.id: row for row in rows}
        self.seen = {row.id: seen(row) for row in rows}
        self.order = [row.id for row in rows]
        told = repr((self.head, self.fresh["stale"], self.order, list(self.seen.values())))
        self.id = sha256(told.encode()).hexdigest()[:16]


def difference(former: View | None, now: View) -> LiveRows | None:
    """What a client that has seen `former` lacks; None: nothing."""
    if former is not None and former.id == now.id:
        return None
    had: Mapping[str, Any] = former.seen if former else {}
    order = None if former is not None and former.order == now.order else now.order
    rows = [row for key, row in now.rows.items() if had.get(key) != now.seen[key]]
    return LiveRows(**now.fresh, **now.head, order=order, rows=rows)


class Live:
    """Streams of changes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._views: dict[FleetQuery, tuple[datetime, asyncio.Task[View]]] = {}
        self._streams: Counter[FleetQuery] = Counter()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End every stream."""
        self._stopped.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Stream until the client goes, or we do."""
        try:
            query = fleet_query(request.query.items(), NAMES, LIVE_MOST)
        except BadParameter as error:
            return problem(400, str(error), parameter=error.name)
        is_new = query not in self._streams and len(self._streams) >= VIEWS_MOST
        if is_new or self._streams.total() >= STREAMS_MOST:
            many = "live streams of different lists" if is_new else "live streams"
            return problem(503, f"too many {many}: ask /api/v1/slos now and then instead", retry_after_s=5)
        self._streams[query] += 1
        try:
            return await self._stream(request, query)
        finally:
            self._streams[query] -= 1
            if not self._streams[query]:
                del self._streams[query]
                self._views.pop(query, None)

    async def _stream(self, request: web.Request, query: FleetQuery) -> web.StreamResponse:
        """Begin a stream, and end it whatever happens: nothing else can be said on it any more."""
        response = web.StreamResponse(headers={**HEADERS, **STREAMED})
        response.force_close()
        await response.prepare(request)
        try:
            await self._tell(request, response, query)
        except ConnectionError:
            pass  # it went
        except Exception as error:
            log.error("a live stream failed", exc_info=error)
        return response

    async def _tell(self, request: web.Request, response: web.StreamResponse, query: FleetQuery) -> None:
        seen_id, text, clock = request.headers.get("Last-Event-ID", ""), RETRY, asyncio.get_running_loop().time
        former: View | None = None
        is_away, said_s = False, clock() - BEAT_S
        while not self._stopped.is_set():
            pause_s, beat = EVERY_S, ": nobody answers\n\n"
            try:
                view = await self._view(query)
                is_missed_nothing = former is None and view.id == seen_id
                text += changed(view if is_missed_nothing else former, view)
                former, is_away, beat = view, False, event("beat", Fresh(**view.fresh), view.id)
            except NoAnswer as error:
                text += "" if is_away else event("away", self._away(error))
                former, is_away, seen_id, pause_s = None, True, "", error.retry_after_s
            if "event:" not in text and clock() - said_s >= BEAT_S:
                text += beat
            if text:
                await self._write(request, response, text)
                text, said_s = "", clock()
            await self._rest(pause_s)

    def _away(self, error: NoAnswer) -> Away:
        return Away(detail=str(error), last_good_at=self._source.asking.last_good_at)

    async def _view(self, query: FleetQuery) -> View:
        """Make a view once for all who look at the same.

        Raises: NoAnswer.
        """
        snapshot = await self._source.snapshot()
        as_of, made = self._views.get(query, (None, None))
        if made is None or as_of != snapshot.as_of:
            made = self._source.behind(self._made(snapshot, query))
            self._views[query] = snapshot.as_of, made
        return await asyncio.shield(made)

    async def _made(self, snapshot: Snapshot, query: FleetQuery) -> View:
        found = await self._source.listed(snapshot, query)
        return await asyncio.to_thread(View, snapshot, found, query.limit)

    async def _write(self, request: web.Request, response: web.StreamResponse, text: str) -> None:
        """Send, and give the client as long to read it as any other."""
        if isinstance(request.protocol, Door):
            request.protocol.answer_within(REPLY_S)
        await response.write(text.encode())

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return


def changed(former: View | None, now: View) -> str:
    """Write what has changed; nothing when nothing has."""
    change = difference(former, now)
    return "" if change is None else event("rows", change, now.id)


def event(name: str, said: Any, key: str = "") -> str:
    """Write an event; JSON holds no line break."""
    return "".join(_lines(name, said, key))


def _lines(name: str, said: Any, key: str) -> Iterator[str]:
    if key:
        yield f"id: {key}\n"
    yield f"event: {name}\ndata: {said.model_dump_json()}\n\n"
