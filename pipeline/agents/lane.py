"""One receiver's lane through slo.alerts: its own consumer group, its own state, its own patience.

    getmany ─► round: events of different incidents ─► told, side by side ─► one transaction: what was told, and offsets

A receiver that is away holds back its own lane only, and Kafka keeps the queue: nothing is read on until what was read
is told. All partitions go to one member of the group, since an incident joins alerts of all of them; others stand by.
Laws: of one incident at most one notification is sent and not yet committed, so a crash between the two sends that one
again, with the same key and id; the group's producer fences a former owner, whose commit then fails.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import aiokafka
import structlog
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.structs import TopicPartition

from pipeline.agents.telling import Teller
from pipeline.blocks import Malformed, decode
from pipeline.delivery.holding import Holding, Promised, Reason, Sources
from pipeline.delivery.incidents import Incidents, acknowledgement, after, as_told, entries, restore, taken, wanted
from pipeline.delivery.notification import AlertEvent, Incident, Notification
from pipeline.framing import Framing, UnknownSchema
from pipeline.records import OutRecord
from pipeline.transport import Position, StepCounters
from pipeline.transport.ledger import RETRY_MS, TRANSACTION_TIMEOUT_MS, state_entries

ROUND = 16  #: notifications under way at once
TICK_S = 1.0  #: between looks at what silences and waits have held back
FORGET_S = 60.0
LEAVE_S = 5.0  #: what is under way may end when the partitions go; what is sent and not committed is sent again
SEPARATOR = "|"  #: between the receiver and the alert, in keys of slo.deliveries

log = structlog.get_logger()


class OneOwner(RoundRobinPartitionAssignor):  # type: ignore[misc]
    """Gives every partition to one member; the others wait for it to go."""

    name = "burnline-one-owner"

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        owner = min(members)
        topics = sorted(set(members[owner].subscription))
        found = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, found if member == owner else [], b"")
            for member in members
        }


@dataclass(frozen=True)
class LaneSpec:
    """Where a lane reads, and what it remembers."""

    receiver: str
    group: str
    alerts: str  # topics, with their prefix
    deliveries: str
    kafka: Mapping[str, Any]  # aiokafka's options
    framing: Framing
    session_s: float
    site: str = ""  # see GroupingSpec


class LaneFailed(RuntimeError):
    """The lane's memory is void; make it anew."""


class Lane(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads, tells, commits."""

    def __init__(self, spec: LaneSpec, teller: Teller, holding: Holding, counters: StepCounters) -> None:
        """`counters`: of all lanes together."""
        self.spec, self.teller, self.holding, self.counters = spec, teller, holding, counters
        self._grouping = replace(teller.receiver.grouping, site=spec.site)
        self.has_joined = False
        self.owned: set[TopicPartition] = set()
        self.suppressed: dict[Reason, int] = dict.fromkeys(Reason, 0)
        self.progress_at_s = time.monotonic()
        self.acknowledged: Mapping[tuple[str, int], str] = {}  # (dedup key, start) -> who takes care
        self.oldest_append_ms: int | None = None  # of what is being told
        self._incidents = Incidents()
        self._waiting: set[str] = set()  # incidents that hold something untold
        self._read: dict[TopicPartition, int] = {}  # everything below is done
        self._silent_until: dict[TopicPartition, int] = {}  # a new receiver is told of what is open, not of the past
        self._behind: dict[TopicPartition, int] = {}  # ends of what lay in the queue and is not told yet
        self._forget_at_s = time.monotonic() + FORGET_S
        self._work: asyncio.Task[None] | None = None
        self._is_leaving = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._consumer = aiokafka.AIOKafkaConsumer(
            **spec.kafka, group_id=spec.group, isolation_level="read_committed", enable_auto_commit=False,
            auto_offset_reset="earliest", partition_assignment_strategy=(OneOwner,),
            session_timeout_ms=round(spec.session_s * 1000), heartbeat_interval_ms=round(spec.session_s * 100),
            max_poll_interval_ms=1 << 30,  # a receiver may be away for hours
            max_poll_records=4 * ROUND,
        )  # fmt: skip

    # -- comes and goes
    async def run(self) -> None:
        """Run until cancelled.

        Raises: LaneFailed, or whatever a start raises.
        """
        try:
            await self._consumer.start()
            self._consumer.subscribe([self.spec.alerts], listener=self)
            await self._until_known_to_fail()
        finally:
            await self._let_go()
            with suppress(Exception):
                await self._consumer.stop()
            await self._let_go()  # what was assigned while it stopped

    async def _until_known_to_fail(self) -> None:
        """Wait for a failure. Who owns nothing reads nothing, and must ask whether its coordinator has failed."""
        while not (await asyncio.wait([self._failed], timeout=TICK_S))[0]:
            if not self._consumer.assignment():
                await self._consumer.getmany()
        await self._failed

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        del revoked
        await self._let_go()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over all partitions, or none; aiokafka swallows what is raised here."""
        mine = set(assigned)
        try:
            if mine:
                await self._take_over(mine)
        except Exception as error:
            self._fail(error)
        self.has_joined = True

    async def _let_go(self) -> None:
        self._is_leaving = True
        work, self._work = self._work, None
        if work is not None:
            await asyncio.wait([work], timeout=LEAVE_S)
            work.cancel()
            await asyncio.wait([work])
        self.owned = set()
        if self._producer is not None:
            producer, self._producer = self._producer, None
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), 2.0)

    async def _take_over(self, mine: set[TopicPartition]) -> None:
        """Fence the former owner, remember what was told, and read on behind it."""
        await self._let_go()
        self._producer = aiokafka.AIOKafkaProducer(
            **self.spec.kafka, transactional_id=f"{self.spec.group}-", transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            retry_backoff_ms=RETRY_MS,
        )  # fmt: skip
        await self._producer.start()
        self._incidents = Incidents()
        prefix = f"{self.spec.receiver}{SEPARATOR}"
        async for key, value in state_entries(self.spec.kafka, self.spec.deliveries, 0):
            name = key.decode()
            if name.startswith(prefix):
                self._restore(name.removeprefix(prefix), value)
        self._waiting = set()
        self.promise(self.holding.sources.promised)
        committed = {tp: await self._consumer.committed(tp) for tp in mine}
        is_new = all(offset is None for offset in committed.values())
        self._behind = await self._consumer.end_offsets(list(mine))
        self._silent_until = self._behind if is_new else {}
        for tp, offset in committed.items():
            self._consumer.seek(tp, offset or 0)
        self.owned, self._is_leaving = mine, False
        self._work = asyncio.create_task(self._until_failed(), name=f"deliver to {self.spec.receiver}")

    def _restore(self, dedup_key: str, entry: bytes | None) -> None:
        try:
            restore(self._incidents, dedup_key, entry)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            self.teller.counters.unreadable += 1
            log.error("what was told of an alert cannot be read", receiver=self.spec.receiver, alert=dedup_key,
                      error=repr(error))  # fmt: skip

    async def _until_failed(self) -> None:
        try:
            while not self._is_leaving:
                self.progress_at_s = time.monotonic()
                await self._end_silence()
                await self._tell_what_waited()
                found = await self._consumer.getmany(timeout_ms=round(TICK_S * 1000), max_records=4 * ROUND)
                records = deque(record for each in found.values() for record in each)
                if records:
                    self.counters.took(len(records), sum(len(record.value or b"") for record in records))
                await self._take(records)
                self._read = {tp: await self._consumer.position(tp) for tp in self.owned}
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(LaneFailed(f"deliver to {self.spec.receiver}: {error!r}"))

    # -- events
    async def _take(self, records: deque[Any]) -> None:
        while records:
            now_us = time.time_ns() // 1000
            changed: dict[str, Incident] = {}
            offsets: dict[TopicPartition, int] = {}  # behind what is told with this round
            self.oldest_append_ms = min(record.timestamp for record in records)
            while records and len(changed) < ROUND:
                record = records[0]
                event = self._event(record)
                incident = self._taken(event, now_us) if event is not None else None
                if incident is not None and incident.key in changed:
                    break
                records.popleft()
                if event is not None and incident is not None:
                    self._note(event, incident, now_us)
                place = TopicPartition(record.topic, record.partition)
                offsets[place] = record.offset + 1
                if incident is not None and self._silent_until:
                    self._put(incident)  # told, if it is still open, once all that is old is read
                elif incident is not None:
                    changed[incident.key] = incident
            if not self._silent_until:
                await self._tell(changed, offsets, now_us)
            self.oldest_append_ms = None

    def _event(self, record: Any) -> AlertEvent | None:
        if record.value is None:
            return None
        try:
            return AlertEvent.of(decode("burn_rate_alert", record.value, self.spec.framing))
        except (Malformed, UnknownSchema, KeyError, ValueError) as error:
            self.teller.counters.unreadable += 1
            log.error("an alert cannot be read", receiver=self.spec.receiver, partition=record.partition,
                      offset=record.offset, error=repr(error))  # fmt: skip
            return None

    def _taken(self, event: AlertEvent, now_us: int) -> Incident | None:
        labels = self.holding.sources.promised.labels_of(event)
        return taken(self._incidents, self._grouping, event, labels, now_us)

    def _note(self, event: AlertEvent, incident: Incident, now_us: int) -> None:
        self.holding.sources.note(event)
        why = self.holding.why(event, event.dedup_key in incident.told, now_us)
        if why is not None:
            self.suppressed[why] += 1

    # -- what there is to tell
    async def _tell(self, changed: dict[str, Incident], offsets: dict[TopicPartition, int], now_us: int) -> None:
        """Tell of incidents side by side; then commit that, with the offsets behind their events."""
        notifications = {key: self._wanted(incident, now_us) for key, incident in changed.items()}
        wanted_now = [each for each in notifications.values() if each is not None]
        mirrored = await asyncio.gather(*(self.teller.tell(each) for each in wanted_now))
        records = [record for told in mirrored for record in told]
        for key, notification in notifications.items():
            if notification is not None:
                changed[key] = after(changed[key], notification, time.time_ns() // 1000)
        for key, incident in changed.items():
            records += self._entries(entries(self._incidents.by_key.get(key), incident))
        await self._commit(records, offsets)
        for incident in changed.values():
            self._put(incident)

    def _wanted(self, incident: Incident, now_us: int) -> Notification | None:
        def is_held(event: AlertEvent, is_told: bool) -> bool:
            return self.holding.why(event, is_told, now_us) is not None

        return wanted(incident, is_held, self._grouping, now_us)

    async def _tell_what_waited(self) -> None:
        """Tell what is held back no longer, and say again what must not be forgotten."""
        if self._silent_until or not await self._has_caught_up():
            return
        now_us = time.time_ns() // 1000
        waiting = [self._incidents.by_key[key] for key in self._waiting if key in self._incidents.by_key]
        due = {incident.key: incident for incident in waiting if self._wanted(incident, now_us)}
        for start in range(0, len(due), ROUND):
            await self._tell(dict(list(due.items())[start : start + ROUND]), {}, time.time_ns() // 1000)
            await self._repeat()
        await self._tell_who_cares(now_us)
        await self._repeat()
        if time.monotonic() >= self._forget_at_s:
            self._forget_at_s = time.monotonic() + FORGET_S
            gone = [name for incident in self._incidents.forget(now_us) for name in incident.alerts]
            await self._commit(self._entries(dict.fromkeys(gone)), {})

    async def _has_caught_up(self) -> bool:
        """Whether all that lay in the queue was told once: it may hold the end of what waits."""
        self._behind = {tp: end for tp, end in self._behind.items() if await self._consumer.position(tp) < end}
        return not self._behind

    async def _repeat(self) -> None:
        await self.teller.repeat(
            as_told(event, incident.told[event.dedup_key])
            for incident in self._incidents.by_key.values()
            for event in incident.alerts.values()
            if event.is_open and event.dedup_key in incident.told
        )

    async def _tell_who_cares(self, now_us: int) -> None:
        """Tell, once an incident, that somebody takes care of it."""
        if not (self.teller.type.acknowledges and self.acknowledged):
            return
        for incident in list(self._incidents.by_key.values()):
            notification = acknowledgement(incident, self.acknowledged)
            if notification is not None:
                await self.teller.tell(notification)
                cared_for = after(incident, notification, now_us)
                await self._commit(self._entries(entries(incident, cared_for)), {})
                self._put(cared_for)

    async def _end_silence(self) -> None:
        """Commit a new receiver's start, once all that is old is read."""
        if not self._silent_until:
            return
        ends = self._silent_until
        if all([await self._consumer.position(tp) >= end for tp, end in ends.items()]):
            found = [entries(None, incident) for incident in self._incidents.by_key.values()]
            records = [record for each in found for record in self._entries(each)]
            await self._commit(records, {tp: await self._consumer.position(tp) for tp in ends})
            self._silent_until = {}

    def _put(self, incident: Incident) -> None:
        former = self._incidents.by_key.get(incident.key)
        known = former.alerts if former else {}
        self._incidents.put(incident)
        self._note_waiting(incident)
        for name, event in incident.alerts.items():
            if known.get(name) is not event:  # other sources may be in force than when it came
                self.holding.sources.note(event)

    def _note_waiting(self, incident: Incident) -> None:
        """Remember incidents that time may change: what is not routed here never is told."""
        waits = any(
            event.is_open and self.holding.is_routed(event)
            if (told := incident.told.get(event.dedup_key)) is None
            else event.sequence > told.sequence
            for event in incident.alerts.values()
        )
        (self._waiting.add if waits else self._waiting.discard)(incident.key)

    def _entries(self, changed: Mapping[str, bytes | None]) -> list[OutRecord]:
        prefix = f"{self.spec.receiver}{SEPARATOR}"
        return [OutRecord(self.spec.deliveries, value, (prefix + name).encode(), 0) for name, value in changed.items()]

    async def _commit(self, records: list[OutRecord], offsets: Mapping[TopicPartition, int]) -> None:
        if not (records or offsets) or self._producer is None:
            return
        producer, began_s = self._producer, time.perf_counter()
        async with producer.transaction():
            sent = [
                await producer.send(r.topic, r.value, key=r.key, partition=r.partition, headers=list(r.headers))
                for r in records
            ]
            await asyncio.gather(*sent)
            if offsets:
                await producer.send_offsets_to_transaction(dict(offsets), self.spec.group)
        self.counters.wrote(time.perf_counter() - began_s, time.monotonic())

    # -- what it says of itself
    @property
    def open_incidents(self) -> int:
        """Incidents that the receiver believes to be open."""
        return sum(incident.is_told for incident in self._incidents.by_key.values())

    def positions(self) -> dict[TopicPartition, Position]:
        """How far each partition is told, and how far it goes."""
        return {tp: Position(self._read.get(tp, 0), self._consumer.highwater(tp)) for tp in self.owned}

    def promise(self, known: Promised) -> None:
        """Put other SLOs in force."""
        self.holding.sources = Sources(self.holding.sources.inhibitions, known)
        for incident in self._incidents.by_key.values():
            self._note_waiting(incident)
            for event in incident.alerts.values():
                self.holding.sources.note(event)

    def oldest_s(self, now_s: float) -> float:
        """Age of the oldest record that is being told, by the broker's time; 0: none is."""
        return 0.0 if self.oldest_append_ms is None else max(now_s - self.oldest_append_ms / 1000, 0.0)
