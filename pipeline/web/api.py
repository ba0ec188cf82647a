"""The API's routes: what each path answers, with which parameters, out of which question.

Law: read only. What cannot be understood is refused by name; what ClickHouse does not answer is said, with the time of
its last good answer, and is never made up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from pipeline.web import events
from pipeline.web.answers import Corrected, Fleet, OneSlo, Revision
from pipeline.web.answers_events import Alerts, OneAlert, Pipeline
from pipeline.web.asking import NoAnswer
from pipeline.web.definitions import definition_of
from pipeline.web.fleet import RANK, STEP_S, Snapshot, page, row_of, sibling_of
from pipeline.web.parameters import AlertQuery, BadParameter, alert_query, fleet_query, instant, known, readable, sealed
from pipeline.web.respond import answer, problem
from pipeline.web.source import Source

SIBLINGS_MOST = 200

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Missing(LookupError):
    """There is no such thing; the message says what there is."""


def guarded(source: Source, handle: Callable[[web.Request], Awaitable[BaseModel]]) -> Handler:
    """Answer with what a handler returns, or refuse with what it raises."""

    async def handled(request: web.Request) -> web.StreamResponse:
        try:
            for name, value in request.match_info.items():
                readable(name, value)
            said = await handle(request)
        except BadParameter as error:
            return problem(400, str(error), parameter=error.name)
        except Missing as error:
            return problem(404, str(error))
        except NoAnswer as error:
            return unanswered(source, error)
        return await asyncio.to_thread(answer, request, said, said.as_of)  # type: ignore[attr-defined]

    return handled


def unanswered(source: Source, error: NoAnswer) -> web.Response:
    """Say that ClickHouse does not answer, and when it did."""
    return problem(503, str(error), last_good_at=source.asking.last_good_at, retry_after_s=error.retry_after_s)


def place_of(snapshot: Snapshot, name: str, instance: str | None) -> int | None:
    """Find an SLO's instance, or its only one; None: there is none, or several to choose from."""
    if instance is not None:
        return snapshot.places.get((name, instance))
    found = [place for key, place in snapshot.places.items() if key[0] == name]
    return found[0] if len(found) == 1 else None


class Lists:
    """Fleet, one SLO, alerts, pipeline."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def fleet(self, request: web.Request) -> Fleet:
        query = fleet_query(request.query.items())
        snapshot = await self._source.snapshot()
        found = await self._source.listed(snapshot, query)
        places, cursor = page(found, query)
        trends = await self._source.trends(snapshot, places) if query.has_trend else [None] * len(places)

        def made() -> Fleet:
            return Fleet(
                **snapshot.fresh, total=len(snapshot.rows), matched=len(found.places), summary=found.summary,
                open_alerts=snapshot.open_alerts, groups=found.groups,
                items=[row_of(snapshot, place, each) for place, each in zip(places, trends, strict=True)],
                trend_step_s=STEP_S, next_cursor=cursor, sql=snapshot.sql,
            )  # fmt: skip

        return await asyncio.to_thread(made)  # a thousand rows take long enough for others to notice

    async def slo(self, request: web.Request) -> OneSlo:
        name, values = request.match_info["name"], known(request.query.items(), ("instance",))
        snapshot, slo = await self._source.snapshot(), self._source.slos().get(request.match_info["name"])
        of_slo = sorted(
            (place for key, place in snapshot.places.items() if key[0] == name),
            key=lambda place: (RANK[snapshot.standings[place]], snapshot.rows[place].instance),
        )
        instance = values.get("instance")
        place = place_of(snapshot, name, instance)
        if (slo is None and not of_slo) or (instance is not None and place is None and of_slo):
            raise Missing(f"no SLO {name!r} has such an instance: /api/v1/slos lists all")
        row = None if place is None else row_of(snapshot, place)
        asked = {"slo": name, "instance": row.instance if row else ""}
        revisions = await self._source.asking.ask("revisions", asked)
        is_corrected = row is not None and await self._source.has_corrections()
        corrected = await self._source.asking.ask("corrected", asked, 10) if is_corrected else None
        current = slo.objective.indicator_revision if slo else next(iter(revisions["revision"]), "")
        return OneSlo(
            **snapshot.fresh, slo=name, instance=row.instance if row else instance, row=row,
            instances=[sibling_of(snapshot, place) for place in of_slo[:SIBLINGS_MOST]], instances_total=len(of_slo),
            definition=definition_of(slo) if slo else None,
            revisions=[Revision(**each, is_current=each["revision"] == current) for each in revisions.rows()],
            corrections=next((Corrected(**each) for each in corrected.rows() if each["names"]), None)
            if corrected else None,
            sql={"row": snapshot.sql, "revisions": revisions.sql}
            | ({"corrections": corrected.sql} if corrected else {}),
        )  # fmt: skip

    async def alerts(self, request: web.Request) -> Alerts:
        query = alert_query(request.query.items(), self._source.now().timestamp())
        found = await self._source.asking.ask("alerts", asked_of(query))
        snapshot = await self._source.snapshot()
        rows = list(found.rows())
        items = [events.alert_of(row, found.as_of) for row in rows[: query.limit]]
        is_end = len(rows) <= query.limit
        last = rows[min(query.limit, len(rows)) - 1] if rows else {}
        key = None if is_end else (last["resolved_at"] is not None, -last["fired_us"], last["dedup_key"])
        return Alerts(
            as_of=found.as_of, open=snapshot.open_alerts, items=items,
            next_cursor=sealed(key, query.signature) if key else None, sql=found.sql,
        )  # fmt: skip

    async def alert(self, request: web.Request) -> OneAlert:
        key, values = request.match_info["dedup_key"], known(request.query.items(), ("fired_at",))
        fired_us = round(instant("fired_at", values["fired_at"]).timestamp() * 1e6) if "fired_at" in values else 0
        parts = key.split("|")  # a name may hold one itself
        slos = ["|".join(parts[:end]) for end in range(1, len(parts) + 1)]
        found = await self._source.asking.ask("alert", {"dedup_key": key, "slos": slos, "fired_us": fired_us})
        row = next(found.rows(), None)
        if row is None:
            raise Missing("no such alert fired then: /api/v1/alerts lists all")
        which = {"dedup_key": key, "slos": slos, "fired_us": row["fired_us"]}
        told = await self._source.asking.ask("alert_events", which)
        return OneAlert(
            as_of=found.as_of, alert=events.alert_of(row, found.as_of),
            events=[events.event_of(each) for each in told.rows()], sql={"alert": found.sql, "events": told.sql},
        )  # fmt: skip

    async def pipeline(self, request: web.Request) -> Pipeline:
        known(request.query.items(), ())
        snapshot = await self._source.snapshot()
        stages = await self._source.asking.ask("stages")
        letters = await self._source.asking.ask("dead_letters", kept_s=5)
        late = await self._source.asking.ask("late_events", kept_s=5)
        return Pipeline(
            **{**snapshot.fresh, "as_of": stages.as_of}, **events.pipeline_of(stages, letters, late),
            sql={"stages": stages.sql, "dead_letters": letters.sql, "late_events": late.sql},
        )  # fmt: skip


def asked_of(query: AlertQuery) -> dict[str, Any]:
    """Put a query as alerts.sql takes it."""
    is_resolved, fired, key = query.after if query.after and len(query.after) == 3 else (0, 0, "")
    if not (isinstance(fired, int) and isinstance(key, str)):
        raise BadParameter("cursor", "it belongs to another list: leave it out to begin anew")
    return {
        "state": query.state, "since": query.since, "until": query.until, "slo": query.slo, "service": query.service,
        "any_instance": int(query.instance is None), "instance": query.instance or "", "severity": query.severity,
        "kind": query.kind, "is_first": int(query.after is None), "after_resolved": int(bool(is_resolved)),
        "after_fired": fired, "after_key": key, "most": query.limit + 1,
    }  # fmt: skip
