"""Watches the worker's own steps, and tells of what is wrong with them in slo.alerts, like of anything else.

    steps ─► concerns, every few seconds ─► what is open, as slo.deliveries says ─► one transaction: an event, and that

It runs in every worker that knows of receivers or quotas, whichever steps it runs. Which worker is responsible for a
concern follows from what it owns: a step that lags is named by the first partition that the worker has of it, so that a
lag of one worker is one alert; a source by the owner of the judge's first partition; a receiver by the owner of its
lane; a quota by the owner of the signals. Law: an event and the entry that says so are written together, after whoever
was responsible before is fenced and the entry is read anew; so two workers that both believe to be responsible tell of
it once.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiokafka
import structlog
from aiokafka.structs import TopicPartition

from pipeline.agents.logbook import OFFSETS, SEPARATOR
from pipeline.agents.parts import Agent, Parts
from pipeline.alerts import OWN, Kind
from pipeline.health import StepFacts
from pipeline.notices import alert_record, source_of
from pipeline.ourselves import Concern, Concerns
from pipeline.records import OutRecord
from pipeline.topics import ALERTS, DELIVERIES
from pipeline.transport.entries import Entries
from pipeline.transport.ledger import TRANSACTION_TIMEOUT_MS

LOOK_S = 5.0
STOP_S = 2.0
DELIVER = "deliver"

log = structlog.get_logger()


class Watcher:
    """Keeps what is open of one worker's concerns."""

    def __init__(
        self, parts: Parts, look: Callable[[], list[Concern]], concerns: Concerns | None = None, look_s: float = LOOK_S
    ) -> None:
        """`look`: what the worker is responsible for now."""
        self._parts, self._look, self._look_s = parts, look, look_s
        self._concerns = concerns or Concerns()
        self._place = TopicPartition(parts.topic(DELIVERIES), 0)
        self._told: dict[str, str] = {}  # entries of receivers that no file names -> the receiver, if it was told
        self._entries: Entries

    async def run(self) -> None:
        """Watch until cancelled, once there is somebody to tell, or a quota; what fails is tried again."""
        while not self._parts.routes.receivers and not self._concerned():
            await asyncio.sleep(self._look_s)
        while True:
            self._concerns.clear()
            self._entries = Entries(self._parts.kafka, self._place.topic, self._place.partition)
            try:
                await self._entries.start()
                await self._read()
                self._say_who_is_forgotten()
                while True:
                    await self.watch()
                    await asyncio.sleep(self._look_s)
            except Exception as error:
                log.warning("what is wrong with ourselves cannot be told yet", error=repr(error))
                await asyncio.sleep(self._look_s)
            finally:
                await self._entries.stop()

    async def watch(self) -> None:
        """Look once, and tell what is due."""
        await self._read()
        found, now_us = self._concerned(), _now_us()
        due = [event["dedup_key"] for event in self._concerns.due(found, now_us)]
        for key in (*due, *self._concerns.forgettable(found, now_us)):
            await self._tell(key)

    def _concerned(self) -> list[Concern]:
        """What we are responsible for; of a receiver that no file names any more, its first that still is named.

        Quotas are told of though nobody is: whoever enforces them reads slo.alerts.
        """
        names = {receiver.name for receiver in self._parts.routes.receivers}
        found = [each for each in self._look() if names or each.kind not in OWN]
        if names and any(dict(each.labels).get("receiver") == min(names) for each in found):
            for last in self._concerns.open.values():
                name = last["labels"].get("receiver")
                if last["kind"] == Kind.RECEIVER_DOWN.name and name not in names:
                    labels = tuple(last["labels"].items())
                    found.append(Concern(Kind.RECEIVER_DOWN, labels, "", f"receiver {name} is in no route any more"))
        return found

    async def _tell(self, key: str) -> None:
        """Fence whoever was responsible, look again, and write what is due still."""
        parts = self._parts
        producer = aiokafka.AIOKafkaProducer(
            **parts.kafka, transactional_id=f"{parts.group(DELIVER)}-{SEPARATOR}{key}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        )  # fmt: skip
        try:
            await producer.start()
            await self._read()
            mine, now_us = [each for each in self._concerned() if each.key == key], _now_us()
            for event in self._concerns.due(mine, now_us):
                source = source_of(parts.settings.topic_prefix, Kind[event["kind"]])
                alert = alert_record(parts.topic(ALERTS), event, source, parts.framing)
                await self._write(producer, key, json.dumps(event).encode(), [alert])
                log.warning("burnline tells of itself", alert=key, reason=event["reason"])
            if self._concerns.forgettable(mine, now_us):
                await self._write(producer, key, None, [])
        finally:
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), STOP_S)

    async def _write(
        self, producer: aiokafka.AIOKafkaProducer, key: str, entry: bytes | None, told: list[OutRecord]
    ) -> None:
        """Write an alert's entry with what is told of it, and know it from then on."""
        name = f"{SEPARATOR}{key}"
        async with producer.transaction():
            for each in (*told, OutRecord(self._place.topic, entry, name.encode(), self._place.partition)):
                await producer.send(
                    each.topic, each.value, key=each.key, partition=each.partition, headers=list(each.headers)
                )
        self._note(name, entry)

    async def _read(self) -> None:
        """Read slo.deliveries to its end."""
        async for key, entry in self._entries.news():
            self._note(key.decode(), entry)

    def _note(self, name: str, entry: bytes | None) -> None:
        receiver, _, key = name.partition(SEPARATOR)
        if receiver:
            if key != OFFSETS and all(each.name != receiver for each in self._parts.routes.receivers):
                self._told[name] = receiver if '"told":[' in (entry or b"").decode() else ""
            return
        try:
            self._concerns.note(key, None if entry is None else json.loads(entry))
        except (ValueError, KeyError, TypeError) as error:
            log.error("what was told of ourselves cannot be read", alert=key, error=repr(error))

    def _say_who_is_forgotten(self) -> None:
        """A receiver whose address is known no more cannot be told that what it was told of is over."""
        for receiver, count in Counter(filter(None, self._told.values())).items():
            log.warning("a receiver that no file names any more was told of alerts, and will not hear of their end",
                        receiver=receiver, alerts=count)  # fmt: skip


def concerns_of(
    agents: Mapping[str, Agent], facts: Iterable[StepFacts], why: Callable[[StepFacts], str]
) -> list[Concern]:
    """What a worker is responsible for; `why` a step lags, in words."""
    found = [each for agent in agents.values() for each in agent.concerns()]
    for each in facts:
        if each.name != DELIVER and each.owned:
            says = why(replace(each, trouble=""))
            found += _lagging(each.name, agents[each.name].step.owned, says)
    return found


def _lagging(step: str, owned: Iterable[Any], says: str) -> list[Concern]:
    """A worker's lag under the first of its partitions; under all others it is well."""
    places = sorted(f"{tp.topic}/{tp.partition}" for tp in owned)
    return [
        Concern(Kind.LAGGING, (("partition", place), ("step", step)), "" if n or not says else f"{step} lags: {says}",
                f"{step} has caught up")
        for n, place in enumerate(places)
    ]  # fmt: skip


def _now_us() -> int:
    return time.time_ns() // 1000
