"""Counts kept answers anew, in the workers that write to ClickHouse: a part at a time, the latest of all first.

What is outdated, since corrections changed, is counted at once; all else takes a twentieth of a core of the server, so
that many SLOs are counted less often, not at more cost. Several workers share the work by looking each time. Nothing
waits for it: a failure is told, counted, and tried again in its turn.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING

import structlog

from pipeline.agents.parts import Parts
from pipeline.metrics import Reading
from pipeline.sinks.clickhouse import FAILURES, client, translated
from pipeline.sinks.refreshed import REFRESHED, Part, due, refresh

if TYPE_CHECKING:
    from pipeline.settings import Settings

LOOK_S = 5.0
SHARE, OUTDATED_SHARE = 0.05, 0.5  #: of the time, that the server counts
FORGET_S = max(of.every_s for of in REFRESHED)
AMONG = 4  #: one of the latest so many, so that two workers seldom count the same

log = structlog.get_logger()


def next_of(parts: Iterable[Part]) -> list[Part]:
    """Return what to count next, of all tables: what is outdated, then what is latest for how old it may be."""
    return sorted(parts, key=lambda part: (part.is_outdated, part.lateness), reverse=True)[:AMONG]


class Refresher:
    """Keeps REFRESHED fresh."""

    def __init__(self, parts: Parts) -> None:
        self._settings: Settings = parts.settings
        self._random = Random()
        # of parts: those that nothing is said of have no row to tell their age by
        self._tried_s: dict[tuple[str, str], float] = {}
        self._rest_until_s = 0.0  # what is only old waits until then
        self._due_parts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._spent_s: defaultdict[str, float] = defaultdict(float)

    async def run(self) -> None:
        """Look until cancelled."""
        while "store" in self._settings.step_names:
            try:
                pause_s = await self.look(time.monotonic())
            except FAILURES as error:
                log.debug("kept answers were not looked at", why=str(translated(error)))
                pause_s = LOOK_S
            except Exception as error:  # a fault of ours must not end the worker's other tasks
                log.error("kept answers were not counted", exc_info=error)
                pause_s = LOOK_S
            await asyncio.sleep(pause_s)

    async def look(self, now_s: float) -> float:
        """Count one part that is due, if any; return how long to pause."""
        self._tried_s = {key: at_s for key, at_s in self._tried_s.items() if now_s - at_s < FORGET_S}
        waiting = [part for part in await asyncio.to_thread(self._due) if self._may_try(part, now_s)]
        self._due_parts = Counter(part.of.table for part in waiting)
        ready = [part for part in waiting if part.is_outdated or now_s >= self._rest_until_s]
        if not ready:
            return LOOK_S
        part = self._random.choice(next_of(ready))
        spent_s = await self._count(part, now_s)
        self._rest_until_s = now_s + spent_s / SHARE
        return min(LOOK_S, spent_s * (1 / (OUTDATED_SHARE if part.is_outdated else SHARE) - 1))

    def readings(self) -> Iterator[Reading]:
        """What /metrics says of it."""
        for of in REFRESHED:
            label = (of.table,)
            yield Reading("burnline_refresh_seconds", self._spent_s[of.table], label)
            yield Reading("burnline_refresh_failures", self._failures[of.table], label)
            yield Reading("burnline_refresh_due", self._due_parts[of.table], label)

    def _may_try(self, part: Part, now_s: float) -> bool:
        tried_s = self._tried_s.get((part.of.table, part.name))
        return tried_s is None or now_s - tried_s >= (LOOK_S if part.is_outdated else part.of.every_s)

    def _due(self) -> list[Part]:
        with client(self._settings) as connection:
            return [part for of in REFRESHED for part in due(connection, of)]

    async def _count(self, part: Part, now_s: float) -> float:
        """Count one part; return the seconds it took."""
        began_s = time.monotonic()
        try:
            await asyncio.to_thread(self._refresh, part)
        except FAILURES as error:
            self._failures[part.of.table] += 1
            log.warning("a kept answer was not counted", of=part.of.table, part=part.name, why=str(translated(error)))
        spent_s = time.monotonic() - began_s
        self._spent_s[part.of.table] += spent_s
        self._tried_s[part.of.table, part.name] = now_s
        return spent_s

    def _refresh(self, part: Part) -> None:
        with client(self._settings) as connection:
            refresh(connection, part.of, part.name)
