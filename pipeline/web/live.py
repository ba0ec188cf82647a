"""What is live: server-sent events of the first rows of a list, as they change.

    fleet, once a second ──► a view per list ──► its difference to what a client has ──► one client

Law: a client is sent what it lacks when it is ready for it, so nothing queues; who does not read is put out by the
door; streams are counted, and one too many is refused. Values that differ less than can be shown are the same.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from aiohttp import web

from pipeline.web.answers import Fresh, Row
from pipeline.web.answers_events import Away, LiveRows
from pipeline.web.asking import NoAnswer
from pipeline.web.doors import HEADERS, REPLY_S, Door
from pipeline.web.fleet import Snapshot, row_of
from pipeline.web.parameters import BadParameter, FleetQuery, fleet_query
from pipeline.web.respond import problem
from pipeline.web.source import Source

STREAMS_MOST = 128
ROWS_MOST = 500
EVERY_S, BEAT_S = 1.0, 5.0
VIEWS_MOST = 32
STREAMED = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
RETRY = "retry: 2000\n\n"
NAMES = ("q", "slo", "service", "standing", "sort", "limit")


def seen(row: Row) -> tuple[Any, ...]:
    """What of a row can be seen, as coarse as it is shown."""
    return (
        row.standing, row.state, row.severity, row.revision, row.target, row.slo_labels, row.metric, row.description,
        *(_coarse(value, 5) for value in (row.compliance_ratio, row.budget_remaining_ratio, row.coverage_ratio)),
        *(_coarse(each.burn_rate, 2) for each in row.burn), _short(row.time_to_exhaustion_s), _short(row.good),
        _short(row.bad), _short(row.excluded), _short(row.late),
        _coarse(row.sla.budget_remaining_ratio, 4) if row.sla else None,
        [(each.dedup_key, each.severity, each.acknowledged_by) for each in row.alerts],
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
        self._views: OrderedDict[Any, View] = OrderedDict()
        self._streams = 0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End every stream."""
        self._stopped.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Stream until the client goes, or we do."""
        try:
            query = fleet_query(request.query.items(), NAMES)
        except BadParameter as error:
            return problem(400, str(error), parameter=error.name)
        if query.limit > ROWS_MOST:
            return problem(400, f"limit: a whole number from 1 to {ROWS_MOST}", parameter="limit")
        if self._streams >= STREAMS_MOST:
            return problem(503, "too many live streams: ask /api/v1/slos now and then instead", retry_after_s=5)
        self._streams += 1
        try:
            return await self._stream(request, query)
        finally:
            self._streams -= 1

    async def _stream(self, request: web.Request, query: FleetQuery) -> web.StreamResponse:
        response = web.StreamResponse(headers={**HEADERS, **STREAMED})
        response.force_close()
        await response.prepare(request)
        seen_id, text, clock = request.headers.get("Last-Event-ID", ""), RETRY, asyncio.get_running_loop().time
        former: View | None = None
        is_away, said_s = False, clock() - BEAT_S
        with contextlib.suppress(ConnectionError):  # it went
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
        return response

    def _away(self, error: NoAnswer) -> Away:
        return Away(detail=str(error), last_good_at=self._source.asking.last_good_at)

    async def _view(self, query: FleetQuery) -> View:
        """Make a view once for all who look at the same.

        Raises: NoAnswer.
        """
        snapshot = await self._source.snapshot()
        key = (snapshot.as_of, query)
        if key not in self._views:
            self._views[key] = View(snapshot, self._source.listed(snapshot, query), query.limit)
            while len(self._views) > VIEWS_MOST:
                self._views.popitem(last=False)
        return self._views[key]

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
