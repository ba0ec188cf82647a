"""Charts of one SLO instance, each out of its own question, so that a page can ask for all at once.

Law: a chart says which SQL is behind it, and why there is nothing to draw when there is nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline.controls.comparison import COMPARED
from pipeline.web import charts
from pipeline.web.answers import (
    BudgetChart,
    BurnChart,
    CountsChart,
    Exemplar,
    Exemplars,
    HeatMap,
    LatencyChart,
    Mark,
    Marks,
    Request,
    Requests,
)
from pipeline.web.api import Missing, asked_of, place_of
from pipeline.web.asking import Found
from pipeline.web.charts import Counted, Grid, grid_of
from pipeline.web.definitions import metric_shown, pairs_of
from pipeline.web.fleet import Instance, Snapshot
from pipeline.web.heatmap import Bins, bins_of, heat_map
from pipeline.web.parameters import AlertQuery, BadParameter, Span, known, span_of
from pipeline.web.source import Source

if TYPE_CHECKING:
    from pipeline.spec import Slo

NOTHING = "Nothing was counted in this time"
MARKS_MOST = 500
NO_EVENTS = "No request of this time was kept whole: BURNLINE_EVENTS_ARCHIVE says which are"
NO_SKETCHES = "No request was stored in this time for this SLO's service and labels"


@dataclass(frozen=True)
class Drawn:
    """What a chart is about."""

    snapshot: Snapshot
    row: Instance
    slo: "Slo | None"
    span: Span
    now_s: float

    @property
    def counted(self) -> dict[str, Any]:
        """Which counts are the instance's; of what is counted now, where files say it."""
        revision = self.slo.objective.indicator_revision if self.slo else ""
        return {"slo": self.row.slo, "instance": self.row.instance, "revision": revision}

    def narrowed(self, kept: Sequence[str] = charts.OF_SERIES) -> tuple[dict[str, list[str]], list[str]]:
        """Which labels it is about, and which of them what is `kept` cannot be narrowed to."""
        indicator = self.slo.objective.indicator if self.slo else None
        where, vantage = (indicator.where, indicator.vantage) if indicator else ((), None)
        return charts.narrowed(self.row.labels, where, vantage, kept)

    def of(self, found: Found, grid: Grid, note: str | None) -> dict[str, Any]:
        """What every chart says."""
        return {
            "as_of": found.as_of, "from": grid.since, "to": grid.until, "step_s": grid.step_s, "note": note,
            "sql": found.sql,
        }  # fmt: skip


def counted_in(found: Found) -> Counted:
    return Counted(found["at"], found["good"], found["bad"], found["excluded"])


class Charts:
    """Every chart of an SLO instance."""

    def __init__(self, source: Source) -> None:
        self._source, self._ask = source, source.asking.ask

    async def _drawn(self, request: web.Request) -> Drawn:
        """Read what is asked for.

        Raises: BadParameter, Missing, NoAnswer.
        """
        name, values = request.match_info["name"], known(request.query.items(), ("instance", "from", "to"))
        now = self._source.now().timestamp()
        span, snapshot = span_of(values, now), await self._source.snapshot()
        place = place_of(snapshot, name, values.get("instance"))
        if place is None and values.get("instance") is None and any(row.slo == name for row in snapshot.rows):
            raise BadParameter("instance", f"{name} has several: name one of /api/v1/slos?slo=NAME")
        if place is None:
            raise Missing(f"nothing is judged of such an instance of {name!r}: /api/v1/slos lists all")
        return Drawn(snapshot, snapshot.rows[place], self._source.slos().get(name), span, now)

    async def budget(self, request: web.Request) -> BudgetChart:
        drawn = await self._drawn(request)
        row = drawn.row
        window = Span(int(row.window_start.timestamp()), int(row.window_end.timestamp()))
        grid = grid_of(window)
        unit = 60 if charts.tier(grid, drawn.now_s) == "1m" else 3_600
        step = max(grid.step_s, unit)
        found = await self._counts(drawn, window.since // step * step, window.until, step)
        events = (1 - row.target) * (row.good + row.bad)
        line = charts.budget(counted_in(found), step, events, (row.good, row.bad), window.until)
        return BudgetChart(
            **drawn.of(found, Grid(*window, step), line.note), t=line.t, remaining_ratio=line.values,
            window_start=row.window_start, window_end=row.window_end, budget_events=events,
        )  # fmt: skip

    async def burn(self, request: web.Request) -> BurnChart:
        drawn = await self._drawn(request)
        grid, windows = grid_of(drawn.span), [each[0] for each in drawn.row.windows]
        longest = max(windows, default=0)
        unit = charts.burn_unit(grid, longest, drawn.now_s)
        grid = charts.coarse(grid, unit)
        found = await self._counts(drawn, (grid.since - longest) // unit * unit, grid.until, unit)
        rates = charts.burn(grid, counted_in(found), unit, windows, drawn.row.target)
        return BurnChart(
            **drawn.of(found, grid, None if len(found) else NOTHING), t=[at + grid.step_s for at in grid.starts],
            windows=rates, thresholds=pairs_of(drawn.slo),
        )  # fmt: skip

    async def counts(self, request: web.Request) -> CountsChart:
        drawn = await self._drawn(request)
        grid = grid_of(drawn.span)
        found = await self._counts(drawn, grid.since, grid.until, grid.step_s)
        note = None if len(found) else NOTHING
        return CountsChart(**drawn.of(found, grid, note), t=grid.starts, **charts.counts(grid, counted_in(found)))

    async def _counts(self, drawn: Drawn, since: int, until: int, step: int) -> Found:
        view = f"slo_counts_{charts.tier(Grid(since, until, step), drawn.now_s)}"
        asked = {"since": since, "until": until, "step": step, **drawn.counted}
        return await self._ask("counts", asked, parts={"view": view})

    async def latency(self, request: web.Request) -> LatencyChart:
        drawn = await self._drawn(request)
        grid = grid_of(drawn.span)
        metric, is_judged, objective_us = metric_shown(drawn.slo)
        found, note = await self._sketches(drawn, metric)
        at, requests, quantiles = (list(chain(*found[name])) for name in ("steps", "requests", "quantiles_us"))
        return LatencyChart(
            **drawn.of(found, grid, note), metric=metric, t=grid.starts, **charts.percentiles(grid, at, quantiles),
            requests=charts.on_grid(grid, at, requests), objective_us=objective_us, is_shown_metric_judged=is_judged,
        )  # fmt: skip

    async def heatmap(self, request: web.Request) -> HeatMap:
        drawn = await self._drawn(request)
        grid = grid_of(drawn.span, charts.COLUMNS)
        metric, _, objective_us = metric_shown(drawn.slo)
        found, note = await self._sketches(drawn, metric)
        columns: list[Bins | None] = charts.on_grid(
            grid, found["at"], [bins_of(bytes.fromhex(state)) for state in found["state"]]
        )
        drawn_map = heat_map(columns)
        return HeatMap(
            **drawn.of(found, grid, note), metric=metric, t=grid.starts, edges_us=drawn_map.edges_us,
            counts=drawn_map.counts, objective_us=objective_us,
        )  # fmt: skip

    async def _sketches(self, drawn: Drawn, metric: str) -> tuple[Found, str | None]:
        """One question for both charts: merging sketches is most of what a page costs."""
        chosen, beyond = drawn.narrowed()
        fine, (since, until, column) = grid_of(drawn.span), grid_of(drawn.span, charts.COLUMNS)
        view = f"sli_{charts.tier(Grid(since, until, fine.step_s), drawn.now_s)}"
        asked = {"service": drawn.row.service, "since": since, "until": until, "step": fine.step_s, "column": column}
        found = await self._ask("sketches", {**asked, **chosen}, parts={"view": view, "metric": metric})
        if not len(found):
            return found, NO_SKETCHES
        return found, f"Of all values of {', '.join(beyond)}: sketches are not kept by it" if beyond else None

    async def marks(self, request: web.Request) -> Marks:
        drawn = await self._drawn(request)
        one, span = {"slo": drawn.row.slo, "instance": drawn.row.instance}, drawn.span._asdict()
        query = AlertQuery("all", *drawn.span, drawn.row.slo, instance=drawn.row.instance, limit=MARKS_MOST)
        alerts = await self._ask("alerts", asked_of(query))
        is_corrected = await self._source.has_corrections()
        corrections = (await self._ask("corrections", {**one, **span}, 10)).rows() if is_corrected else ()
        revisions, notes = await self._ask("revisions", one), await self._ask("notes", {"slo": one["slo"], **span})
        about = {name: drawn.narrowed()[0][name] for name in ("request_model", "variant", "region")}
        changes = await self._ask("changes", {"service": drawn.row.service, **about, **span})
        keys = set(alerts["dedup_key"])
        items = [
            *map(_alert, alerts.rows()),
            *map(_correction, corrections),
            *map(_change, changes.rows()),
            *(_revision(each) for each in list(revisions.rows())[:-1] if _is_within(each["first_at"], drawn.span)),
            *(_note(each) for each in notes.rows() if each["dedup_key"] in keys),
        ]
        return Marks(**drawn.of(alerts, Grid(*drawn.span, 1), None), items=sorted(items, key=lambda each: each.at))

    async def exemplars(self, request: web.Request) -> Exemplars:
        drawn = await self._drawn(request)
        found = await self._ask(
            "exemplars", {"slo": drawn.row.slo, "instance": drawn.row.instance, **drawn.span._asdict()}
        )
        first: dict[str, Exemplar] = {}
        for each in found.rows():
            first.setdefault(each["trace_id"], Exemplar(**each))
        note = None if first else "No alert of this time carried a trace"
        return Exemplars(**drawn.of(found, Grid(*drawn.span, 1), note), items=list(first.values()))

    async def requests(self, request: web.Request) -> Requests:
        drawn = await self._drawn(request)
        metric = "ttft" if metric_shown(drawn.slo)[0] == "ttft" else "e2e"
        chosen, beyond = drawn.narrowed(charts.OF_REQUESTS)
        asked = {"service": drawn.row.service, **chosen, **drawn.span._asdict()}
        found = await self._ask("requests", asked, parts={"column": f"{metric}_us"})
        wider = f"Of all values of {', '.join(beyond)}: this list cannot be narrowed to it" if beyond else None
        note = wider if len(found) else NO_EVENTS
        items = [Request(**each) for each in found.rows()]
        return Requests(**drawn.of(found, Grid(*drawn.span, 1), note), metric=metric, items=items)

    @property
    def all(self) -> dict[str, Callable[[web.Request], Any]]:
        """By the last part of their paths."""
        return {
            "budget": self.budget, "burn": self.burn, "counts": self.counts, "latency": self.latency,
            "heatmap": self.heatmap, "marks": self.marks, "exemplars": self.exemplars,
            "requests": self.requests,
        }  # fmt: skip


def _is_within(at: Any, span: Span) -> bool:
    return bool(span.since <= at.timestamp() < span.until)


def _mark(kind: str, at: Any, title: str, detail: str, **more: Any) -> Mark:
    return Mark(**{"kind": kind, "at": at, "until": None, "severity": None, "title": title, "detail": detail,
                   "dedup_key": None, "change_id": None, **more})  # fmt: skip


def _alert(row: dict[str, Any]) -> Mark:
    title = f"{row['severity'].capitalize()} {row['kind'].lower().replace('_', ' ')} alert"
    more = {"until": row["resolved_at"], "severity": row["severity"], "dedup_key": row["dedup_key"]}
    return _mark("alert", row["fired_at"], title, row["reason"], **more)


def _correction(row: dict[str, Any]) -> Mark:
    title = f"Correction {row['correction']}"
    return _mark("correction", row["range_start"], title, f"{row['reason']} ({row['who']})", until=row["range_end"])


def _change(row: dict[str, Any]) -> Mark:
    title = f"{row['kind'].capitalize()}: {row['title']}" if row["title"] else row["kind"].capitalize()
    by = f" ({row['actor']})" if row["actor"] else ""
    more = {"until": row["until"], "change_id": row["change_id"] if row["kind"] in COMPARED else None}
    return _mark("change", row["at"], title, f"{'; '.join(row['knobs'])}{by}".strip(), **more)


def _revision(row: dict[str, Any]) -> Mark:
    return _mark("revision", row["first_at"], f"Revision {row['revision']}", "Counted in another way from here on")


def _note(row: dict[str, Any]) -> Mark:
    title = f"Acknowledged by {row['who']}" if row["what"] == "ACK" else f"Note by {row['who']}"
    return _mark("note", row["written_at"], title, row["text"], dedup_key=row["dedup_key"])
