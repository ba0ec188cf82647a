"""Where answers come from: a snapshot of the fleet, refreshed while somebody looks, and trends of what is looked at.

Law: one question a second for all who ask, less often where it takes long; a list is made once for a snapshot, whoever
asks for it. While somebody looks nobody waits for the next snapshot, however long it takes: the last one is answered,
and says when it was asked for. After a failure, and when nobody has looked for a while, it is not known to stand.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.standing import Freshness, trend
from pipeline.web.answers import OpenAlert, Rates
from pipeline.web.asking import KEPT_S, Asking, Found, NoAnswer
from pipeline.web.definitions import known_of
from pipeline.web.fleet import STEP_S, STEPS, Instance, Listed, Snapshot, listed
from pipeline.web.parameters import FleetQuery

if TYPE_CHECKING:
    from pipeline.spec import Slo

SHARE = 4  #: of the time between two snapshots, one part is spent on making one
LOOKED = timedelta(seconds=5)  #: after it was due: somebody still looks, a page that has no stream too
ALERTS_S, ALERTS_WAIT_S = 5.0, 0.3
ALERTS_OLD = timedelta(seconds=30)  #: what was open before that is not known to be so now
TRENDS_S, TRENDS_WAIT_S, TRENDS_MOST = 60.0, 0.25, 20_000
LISTS_MOST = 64
ACTED_ON_THREADS = 2

Slos = Callable[[], Mapping[str, "Slo"]]
Alerts = Mapping[tuple[str, str], Sequence[OpenAlert]]


class Source:
    """Everything that is asked for more than once."""

    def __init__(
        self,
        asking: Asking,
        slos: Slos,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        trailing_s: float = 0.0,
    ) -> None:
        """`slos`: those that files hold now, by name; `trailing_s`: how far event time trails in any case."""
        self.asking, self.slos, self.now, self._trailing_s = asking, slos, now, trailing_s
        self.acted_on = asking.beside(ACTED_ON_THREADS)  # what scalers follow, whatever pages ask for
        self._snapshot: Snapshot | None = None
        self._due_at: datetime | None = None
        self._refreshing: asyncio.Task[Snapshot] | None = None
        self._stands = False  # the snapshot, while it is refreshed
        self._alerts: tuple[datetime, Alerts] | None = None
        self._trends: OrderedDict[tuple[str, str], tuple[datetime, Rates]] = OrderedDict()
        self._lists: OrderedDict[Any, asyncio.Task[Listed]] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def snapshot(self) -> Snapshot:
        """Return the fleet as it was last found, and look again when that is due.

        Raises: NoAnswer.
        """
        now, kept, due_at = self.now(), self._snapshot, self._due_at
        if kept is not None and due_at is not None and now < due_at:
            return kept
        if self._refreshing is None or self._refreshing.done():
            self._stands = due_at is not None and now < due_at + LOOKED
            self._refreshing = self.behind(self._refresh())
        if kept is not None and self._stands:
            return kept
        return await asyncio.shield(self._refreshing)

    async def _refresh(self) -> Snapshot:
        found, fresh, alerts = await asyncio.gather(
            self.asking.ask("fleet", kept_s=0), self.asking.ask("freshness", kept_s=0), self._open_alerts()
        )
        slos = self.slos()
        self._snapshot = await asyncio.to_thread(
            snapshot_of, found, slos, alerts, freshness_of(fresh), self.staleness(fresh)
        )
        self._due_at = found.as_of + timedelta(seconds=max(KEPT_S, SHARE * found.took_s))
        self._lists.clear()
        return self._snapshot

    def staleness(self, fresh: Found) -> str:
        """Say, by an answer of freshness.sql, why what is judged is not of now; the empty string: it is."""
        return freshness_of(fresh).staleness(self._trailing_s)

    async def _open_alerts(self) -> Alerts | None:
        """Return open alerts, those of a moment ago when it takes long, and None when they are not known.

        Raises: nothing: the fleet says what fires without them.
        """
        asked = self.behind(self.asking.ask("open_alerts", kept_s=ALERTS_S))
        asked.add_done_callback(self._take_alerts)
        await asyncio.wait([asked], timeout=ALERTS_WAIT_S)
        return self._alerts[1] if self._alerts and self.now() - self._alerts[0] < ALERTS_OLD else None

    def _take_alerts(self, asked: "asyncio.Task[Found]") -> None:
        if asked.cancelled() or asked.exception() is not None:
            return
        found = asked.result()
        if self._alerts is None or found.as_of > self._alerts[0]:
            self._alerts = found.as_of, alerts_of(found)

    async def has_corrections(self) -> bool:
        """Whether any are in force: working out what they leave out costs as much as all else of an SLO's page.

        Raises: NoAnswer.
        """
        return bool((await self.asking.ask("has_corrections"))["is_there"][0])

    async def listed(self, snapshot: Snapshot, query: FleetQuery) -> Listed:
        """Filter and sort, once for all who ask for the same, and where nobody waits for it."""
        key = (snapshot.as_of, query._replace(limit=0, after=None, has_trend=True))
        if key not in self._lists:
            self._lists[key] = self.behind(asyncio.to_thread(listed, snapshot, query))
            while len(self._lists) > LISTS_MOST:
                self._lists.popitem(last=False)
        return await asyncio.shield(self._lists[key])

    async def trends(self, snapshot: Snapshot, places: Sequence[int]) -> list[Rates | None]:
        """Return the trend of each row; None where it is not known yet.

        Raises: NoAnswer.
        """
        rows, now = [snapshot.rows[place] for place in places], self.now()
        missing = [row for row in rows if row.key not in self._trends or self._trends[row.key][0] < now]
        if missing and snapshot.watermark is not None:
            asked = self.behind(self._ask_trends(missing, int(snapshot.watermark.timestamp())))
            await asyncio.wait([asked], timeout=TRENDS_WAIT_S)
        return [found[1] if (found := self._trends.get(row.key)) else None for row in rows]

    async def _ask_trends(self, rows: Sequence[Instance], watermark_s: int) -> None:
        until = -(-watermark_s // STEP_S) * STEP_S
        names = {"slos": [row.slo for row in rows], "instances": [row.instance for row in rows]}
        found = await self.asking.ask("trends", {"until": until, **names})
        cells = dict(zip(zip(found["slo"], found["instance"], strict=True), found["cells"], strict=True))
        # not all at once: they would all be asked for again at once
        for place, row in enumerate(rows):
            until_at = found.as_of + timedelta(seconds=TRENDS_S * (1 + place % 8 / 8))
            self._trends[row.key] = until_at, trend(row.target, cells.get(row.key, ((), (), ())), STEPS)
            self._trends.move_to_end(row.key)
        while len(self._trends) > TRENDS_MOST:
            self._trends.popitem(last=False)

    def behind(self, work: Awaitable[Any]) -> "asyncio.Task[Any]":
        """Do something that somebody may wait for, or nobody."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # a loop keeps no task alive
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(task.exception(), NoAnswer):
            self._due_at = None  # look again at once

    async def close(self) -> None:
        """Let go of everything."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(self.asking.close(), self.acted_on.close())


def freshness_of(found: Found) -> Freshness:
    """Read an answer of freshness.sql."""
    return Freshness(**next(found.rows()))


def snapshot_of(
    found: Found, slos: Mapping[str, "Slo"], alerts: Alerts | None, freshness: Freshness, staleness: str
) -> Snapshot:
    """Put an answer of fleet.sql into a snapshot."""
    rows = [Instance._make(row) for row in zip(*(found[name] for name in Instance._fields), strict=True)]
    made = Snapshot(rows, found.as_of, found.sql, freshness, staleness, known_of(slos), alerts)
    made.ordered("standing", is_turned=False)  # here, in a thread, and not where others wait
    return made


def alerts_of(found: Found) -> dict[tuple[str, str], list[OpenAlert]]:
    """Put open alerts beside the SLO instances they are about."""
    made: dict[tuple[str, str], list[OpenAlert]] = {}
    for row in found.rows():
        key = row.pop("slo"), row.pop("instance")
        made.setdefault(key, []).append(OpenAlert(**row))
    return made
