"""The deliverer's shell: a lane for each receiver, and what all of them must know: words, silences, SLOs in force.

A lane that fails is made anew from what it committed, and stops nobody else. Silences and acknowledgements are looked
up every few seconds in ClickHouse, silences also in every Alertmanager that is a receiver; while one is away its last
ones stay, each until its own end. A receiver that is down, or has refused something, is told in health like a step that
lags.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from clickhouse_driver import Client

from pipeline.agents.lane import Lane
from pipeline.agents.logbook import LaneSpec
from pipeline.agents.parts import Agent, Parts
from pipeline.agents.telling import Teller
from pipeline.alerts import Kind
from pipeline.delivery import alertmanager
from pipeline.delivery.context import NOTHING, Context, of_slo
from pipeline.delivery.holding import Holding, Sources
from pipeline.delivery.notification import AlertEvent, Notification, Words
from pipeline.delivery.receivers import TYPES
from pipeline.delivery.requests import bearer
from pipeline.delivery.routes import Receiver
from pipeline.delivery.silences import COLUMNS, Silence, is_expired, of_alertmanager, of_row
from pipeline.delivery.words import words
from pipeline.metrics import Reading
from pipeline.ourselves import Concern
from pipeline.periods import us_of
from pipeline.settings import SettingsError
from pipeline.sinks.clickhouse import FAILURES, client
from pipeline.sinks.contexts import Contexts
from pipeline.sinks.receivers import Caller, Unreachable
from pipeline.sinks.routes import promised
from pipeline.topics import ALERTS, DELIVERIES
from pipeline.transport import FetchSpec, Position, StepCounters

if TYPE_CHECKING:
    from pipeline.spec import SloSet

LOOK_S = 5.0  #: between looks at silences and acknowledgements
SILENCES_SQL = f"SELECT {', '.join(COLUMNS)} FROM silences WHERE ends_at > now64(6)"
ACKNOWLEDGED_SQL = """\
SELECT dedup_key, fired_at, who FROM alert_notes
WHERE what = 'ACK' AND written_at > now64(6) - INTERVAL 7 DAY ORDER BY written_at DESC"""
SILENCES_BYTES = 16 << 20  #: of an Alertmanager's, expired ones too
RETRY_S, RETRY_S_MOST = 1.0, 30.0
ASKING_MOST = 4  #: contexts wanted at once: each may take a second, and nobody's page waits for thousands
BUDGET_S, BUDGET_OF_S = 3.0, 10.0  #: spent on contexts, of so many seconds
DOWN_S = 30.0  #: many are made anew, or have too much to do, for a moment
FIRST_LOOK_S = 10.0  #: lanes wait so long for silences, lest a restart pages what they hold back

Answered = TypeVar("Answered")

log = structlog.get_logger()


def deliver(parts: Parts) -> Agent:
    """Build the agent."""
    deliverer = Deliverer(parts)
    return Agent(
        deliverer,
        FetchSpec(),
        deliverer.readings,
        deliverer.succeed,
        lambda: deliverer.tried_at_s,
        run=deliverer.run,
        trouble=deliverer.trouble,
        concerns=deliverer.concerns,
    )


class Deliverer:
    """Runs the lanes. Looks like a step to whoever asks how it goes."""

    def __init__(self, parts: Parts, down_s: float = DOWN_S) -> None:
        """`down_s`: who takes nothing for so long is down, and that is an alert."""
        self.parts, self._counters, self._down_s = parts, StepCounters(), down_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="contexts")
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="silences")
        self._slos, self._contexts = parts.slos, Contexts(parts.settings, parts.slos)
        self._promised = promised(parts.slos)
        self._asking = 0
        self._asked: list[tuple[float, float]] = []  # when lately, and how long it took
        self._looked = asyncio.Event()  # for silences, once
        self._silences: dict[str, tuple[Silence, ...]] = {}  # by where they were read
        self._lanes: dict[str, Lane] = {}
        self._tellers = {receiver.name: self._teller(receiver) for receiver in parts.routes.receivers}
        self._broken: dict[str, str] = {}  # receiver -> why its lane cannot go on

    def _teller(self, receiver: Receiver) -> Teller:
        site = self.parts.settings.topic_prefix
        return Teller(receiver, self._promised, self._said, self._said_at_once, site=site)

    async def _said(self, notification: Notification) -> Words:
        """Put a notification into words; whatever goes wrong with them, the notification goes out."""
        try:
            return words(notification, await self._context_of(notification.alert))
        except Exception as error:
            log.error("no words for a notification", incident=notification.key, exc_info=error)
            return notification.said

    def _said_at_once(self, notification: Notification) -> Words:
        try:
            return words(notification, self._of_files(notification.alert))
        except Exception as error:
            log.error("no words for a repetition", incident=notification.key, exc_info=error)
            return notification.said

    def _of_files(self, event: AlertEvent) -> Context:
        slo = self._slos.told.get(event.slo)
        return of_slo(slo) if slo else NOTHING

    async def _context_of(self, event: AlertEvent) -> Context:
        """What is known beside an alert; when many wait for that, what SLO files say is enough."""
        began_s = time.monotonic()
        self._asked = [(at_s, took_s) for at_s, took_s in self._asked if began_s - at_s < BUDGET_OF_S]
        if self._asking >= ASKING_MOST or sum(took_s for _, took_s in self._asked) >= BUDGET_S:
            return self._of_files(event)
        self._asking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(self._contexts.of, event))
        finally:
            self._asking -= 1
            ended_s = time.monotonic()
            self._asked.append((ended_s, ended_s - began_s))

    # -- runs
    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop."""
        tasks = [asyncio.create_task(self._keep(receiver)) for receiver in self.parts.routes.receivers]
        tasks.append(asyncio.create_task(self._watch()))
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.gather(*(teller.close() for teller in self._tellers.values()))
            self._contexts.close()
            for pool in (self._thread, self._looking):
                pool.shutdown(wait=False, cancel_futures=True)

    async def _keep(self, receiver: Receiver) -> None:
        """Run one lane, anew after each failure."""
        delay_s = RETRY_S
        with suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), FIRST_LOOK_S)
        while True:
            began_s = time.monotonic()
            try:
                lane = self._lanes[receiver.name] = Lane(
                    self._spec(receiver), self._tellers[receiver.name], self._holding(receiver), self._counters
                )
                await lane.run()
            except Exception as error:
                self._counters.units_failed += 1
                self._broken[receiver.name] = str(error)
                log.error("a lane failed and is made anew from what was committed", receiver=receiver.name,
                          error=str(error))  # fmt: skip
            delay_s = RETRY_S if time.monotonic() - began_s > RETRY_S_MOST else min(2 * delay_s, RETRY_S_MOST)
            await asyncio.sleep(delay_s)
            self._broken.pop(receiver.name, None)

    def _spec(self, receiver: Receiver) -> LaneSpec:
        parts = self.parts
        group = f"{parts.group('deliver')}-{receiver.name}"
        prefix = parts.settings.topic_prefix
        site = f"{prefix}{receiver.name}" if prefix else ""  # one site alone has the keys it always had
        return LaneSpec(
            receiver.name, group, parts.topic(ALERTS), parts.topic(DELIVERIES), parts.kafka, parts.framing,
            parts.settings.session_timeout_s, site, partial(parts.joined, group),
        )  # fmt: skip

    def _holding(self, receiver: Receiver) -> Holding:
        sources = Sources(self.parts.routes.inhibitions, self._promised)
        is_record = TYPES[receiver.type].is_record
        return Holding(receiver.name, self.parts.routes, sources, self._all_silences(), is_record)

    # -- silences and acknowledgements
    def _all_silences(self) -> tuple[Silence, ...]:
        return tuple(each for found in self._silences.values() for each in found)

    async def _watch(self) -> None:
        managers = [each for each in self.parts.routes.receivers if each.type == "alertmanager"]
        callers = {each.name: Caller(each.allow) for each in managers}
        try:
            while True:
                places = {each.name: self._from_alertmanager(each, callers[each.name]) for each in managers}
                asked = {**places, "": self._ask(_silences)}
                await asyncio.gather(*(self._note_silences(place, each) for place, each in asked.items()))
                self._looked.set()
                acknowledged = await self._ask(_acknowledged)
                for lane in self._lanes.values():
                    lane.acknowledged = lane.acknowledged if acknowledged is None else acknowledged
                await asyncio.sleep(LOOK_S)
        finally:
            for caller in callers.values():
                await caller.close()

    async def _note_silences(self, place: str, asked: Awaitable[tuple[Silence, ...] | None]) -> None:
        """Put a place's silences in force as they come, whatever holds up others."""
        found = await asked
        if found is not None:
            self._silences[place] = found
            for lane in self._lanes.values():
                lane.holding.silences = self._all_silences()

    async def _ask(self, question: Callable[[Client], Answered]) -> Answered | None:
        """Ask ClickHouse something; None: it does not answer, or has no such view yet."""
        try:
            work = partial(_asked, self.parts, question)
            return await asyncio.get_running_loop().run_in_executor(self._looking, work)
        except (*FAILURES, SettingsError) as error:
            log.debug("silences and acknowledgements cannot be read", error=repr(error))
        except Exception as error:  # a row that nobody can have written ends no watch
            log.error("silences and acknowledgements cannot be understood", exc_info=error)
        return None

    async def _from_alertmanager(self, receiver: Receiver, caller: Caller) -> tuple[Silence, ...] | None:
        try:
            sheet = self._tellers[receiver.name].sheet()
            address = sheet.address.rstrip("/") + alertmanager.SILENCES
            answer = await caller.get(address, bearer(sheet), SILENCES_BYTES)
            if answer.status == 200:
                said = json.loads(answer.body)
                return _understood(receiver.name, [each for each in said if not is_expired(each)])
        except (Unreachable, SettingsError) as error:
            log.debug("silences of an Alertmanager cannot be read", receiver=receiver.name, error=str(error))
        except Exception as error:
            log.error("silences of an Alertmanager cannot be understood", receiver=receiver.name, error=repr(error))
        return None

    # -- SLO files change
    def succeed(self, slos: "SloSet") -> Callable[[], None]:
        """Prepare other SLOs; what it returns puts them in force."""
        contexts, known = Contexts(self.parts.settings, slos), promised(slos)

        def put() -> None:
            self._slos, self._contexts, self._promised = slos, contexts, known
            for name, lane in self._lanes.items():
                self._tellers[name].promised = known
                lane.promise(known)

        return put

    # -- what it says of itself
    @property
    def counters(self) -> StepCounters:
        """Of all lanes together; the progress is that of the lane that made none for longest."""
        working = (lane.progress_at_s for lane in self._lanes.values() if lane.owned)
        self._counters.progress_at_s = min(working, default=time.monotonic())
        return self._counters

    @property
    def owned(self) -> dict[Any, Lane]:
        """Partitions at work, of all lanes."""
        return {(name, tp): lane for name, lane in self._lanes.items() for tp in lane.owned}

    @property
    def is_assigned(self) -> bool:
        """Whether every lane has its partitions, or stands by, or is known to be broken."""
        names = [receiver.name for receiver in self.parts.routes.receivers]
        return all(name in self._broken or (name in self._lanes and self._lanes[name].has_joined) for name in names)

    @property
    def tried_at_s(self) -> float:
        return max((teller.tried_at_s for teller in self._tellers.values()), default=float("-inf"))

    def trouble(self) -> str:
        """What is wrong with which receivers."""
        said = [*self._broken.values(), *(teller.trouble() for teller in self._tellers.values())]
        return "; ".join(each for each in said if each)

    def concerns(self) -> list[Concern]:
        """Whether each receiver that we tell takes what it is told."""
        owned = (name for name, lane in self._lanes.items() if lane.owned)
        return [
            Concern(Kind.RECEIVER_DOWN, (("receiver", name),), self._tellers[name].down(self._down_s),
                    f"receiver {name} answers again")
            for name in owned
        ]  # fmt: skip

    def positions(self) -> dict[Any, Position]:
        """How far each lane is in each of its partitions."""
        return {(name, tp): at for name, lane in self._lanes.items() for tp, at in lane.positions().items()}

    def oldest_in_flight_s(self, now_s: float) -> float:
        """Age of the oldest record that is being told."""
        del now_s
        return max((lane.oldest_s(time.time()) for lane in self._lanes.values()), default=0.0)

    def open_transaction_s(self, now_s: float) -> float:
        del now_s
        return 0.0

    def readings(self) -> Iterator[Reading]:
        """Counters and gauges, by receiver."""
        for name, teller in self._tellers.items():
            counters, receiver = teller.counters, (name,)
            yield Reading("burnline_notifications_sent", counters.sent, receiver)
            yield Reading("burnline_notifications_refused", counters.refused, receiver)
            yield Reading("burnline_notifications_retried", counters.retried, receiver)
            yield Reading("burnline_notifications_repeated", counters.repeated, receiver)
            yield Reading("burnline_alerts_unreadable", counters.unreadable, receiver)
            yield Reading("burnline_receiver_down", int(teller.breaker.circuit(teller.spec)), receiver)
        for name, lane in self._lanes.items():
            yield Reading("burnline_notifications_oldest_seconds", lane.oldest_s(time.time()), (name,))
            yield Reading("burnline_open_incidents", lane.open_incidents, (name,))
            for reason, count in lane.suppressed.items():
                yield Reading("burnline_alerts_suppressed", count, (name, reason.value))


def _understood(receiver: str, said: list[Any]) -> tuple[Silence, ...]:
    found = [of_alertmanager(each) for each in said]
    left_out = [each.get("id") for each, silence in zip(said, found, strict=True) if silence is None]
    if left_out:
        log.warning("silences of an Alertmanager are left out", receiver=receiver, silences=left_out[:10],
                    count=len(left_out))  # fmt: skip
    return tuple(silence for silence in found if silence is not None)


def _asked(parts: Parts, question: Callable[[Client], Answered]) -> Answered:
    """Blocking."""
    connection = client(parts.settings, connect_timeout=2, send_receive_timeout=5)
    try:
        return question(connection)
    finally:
        connection.disconnect()


def _silences(connection: Client) -> tuple[Silence, ...]:
    return tuple(of_row(dict(zip(COLUMNS, row, strict=True))) for row in connection.execute(SILENCES_SQL))


def _acknowledged(connection: Client) -> dict[tuple[str, int], str]:
    found = connection.execute(ACKNOWLEDGED_SQL)
    return {(key, us_of(fired_at)): who for key, fired_at, who in found}
