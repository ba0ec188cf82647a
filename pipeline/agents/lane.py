"""One receiver's lane through slo.alerts: its own consumer group, its own state, its own patience.

    getmany ─► round: events of different incidents ─► one transaction: what will be told ─► told, side by side
               ─► one transaction: what was told, and offsets

A receiver that is away holds back its own lane only, and Kafka keeps the queue: nothing is read on until what was read
is told. All partitions go to one member of the group, since an incident joins alerts of all of them; others stand by.
Laws: of one incident at most one notification is sent and not yet committed, so a crash between the two sends that one
again, with the same key and id, or what it began is told to be over; the group's producer fences a former owner, who
asks before each attempt whether it is the owner still.
"""

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import aiokafka
import structlog
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.structs import TopicPartition

from pipeline.agents.logbook import LaneSpec, Logbook
from pipeline.agents.telling import Teller
from pipeline.blocks import Malformed, decode
from pipeline.delivery.holding import Holding, Promised, Reason, Sources
from pipeline.delivery.incidents import (
    Incidents,
    acknowledgement,
    after,
    announced,
    as_told,
    entries,
    restore,
    taken,
    wanted,
)
from pipeline.delivery.notification import AlertEvent, Incident, Notification
from pipeline.framing import UnknownSchema
from pipeline.records import OutRecord
from pipeline.transport import Position, StepCounters
from pipeline.transport.memberships import member_of

ROUND = 16  #: notifications under way at once
TICK_S = 1.0  #: between looks at what silences and waits have held back
FORGET_S = 60.0
NOWHERE: Mapping[TopicPartition, int] = {}
LEAVE_S = 5.0  #: what is under way may end when the partitions go; what is sent and not committed is sent again

Done = TypeVar("Done")

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
        self._logbook = Logbook(spec, counters)
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
        """Take over all partitions, or none; not in here, as aiokafka sends no heartbeats meanwhile."""
        mine = set(assigned)
        self.spec.joined(member_of(self._consumer))
        await self._let_go()
        self._is_leaving = False
        if mine:
            self._work = asyncio.create_task(self._until_failed(mine), name=f"deliver to {self.spec.receiver}")
        else:
            self.has_joined = True

    async def _let_go(self) -> None:
        self._is_leaving = True
        work, self._work = self._work, None
        if work is not None:
            await asyncio.wait([work], timeout=LEAVE_S if self.owned else 0)
            work.cancel()
            await asyncio.wait([work])
        self.owned = set()
        await self._logbook.close()

    async def _take_over(self, mine: set[TopicPartition]) -> None:
        """Fence the former owner, remember what was told, and read on behind it."""
        self._incidents = Incidents()
        await self._logbook.open(self._restore)
        self._waiting = set()
        self.promise(self.holding.sources.promised)
        known = self._logbook.offsets
        committed = {tp: known.get(tp) if (at := await self._consumer.committed(tp)) is None else at for tp in mine}
        self._logbook.offsets = {tp: at for tp, at in committed.items() if at is not None}
        is_new = all(offset is None for offset in committed.values())
        self._behind = await self._consumer.end_offsets(list(mine))
        self._silent_until = self._behind if is_new else {}
        for tp, offset in committed.items():
            self._consumer.seek(tp, offset or 0)
        self.owned, self.has_joined = mine, True

    def _restore(self, dedup_key: str, entry: bytes | None) -> None:
        try:
            restore(self._incidents, dedup_key, entry)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            self.teller.counters.unreadable += 1
            log.error("what was told of an alert cannot be read", receiver=self.spec.receiver, alert=dedup_key,
                      error=repr(error))  # fmt: skip

    async def _until_failed(self, mine: set[TopicPartition]) -> None:
        try:
            await self._take_over(mine)
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
        wanted_now = {key: note for key, each in changed.items() if (note := self._wanted(each, now_us)) is not None}
        if self.teller.type.is_http:  # a topic is told in the transaction that says so
            await self._commit({key: announced(changed[key], each) for key, each in wanted_now.items()})
        told = await _all_or_none(self.teller.tell(each, self._logbook.prove) for each in wanted_now.values())
        for key, notification in wanted_now.items():
            before = self._incidents.by_key.get(key, changed[key]) if self.teller.type.is_http else changed[key]
            changed[key] = after(before, notification, time.time_ns() // 1000)
        await self._commit(changed, offsets, [record for records in told for record in records])

    async def _commit(
        self,
        changed: Mapping[str, Incident],
        offsets: Mapping[TopicPartition, int] = NOWHERE,
        told: Iterable[OutRecord] = (),
    ) -> None:
        """Write down how incidents are now, and know them so from then on."""
        found = [entries(self._incidents.by_key.get(key), incident) for key, incident in changed.items()]
        await self._logbook.commit({name: entry for each in found for name, entry in each.items()}, offsets, told)
        for incident in changed.values():
            self._put(incident)

    def _wanted(self, incident: Incident, now_us: int) -> Notification | None:
        def is_held(event: AlertEvent, is_told: bool) -> bool:
            return self.holding.why(event, is_told, now_us) is not None

        found = wanted(incident, is_held, self._grouping, now_us)
        if found is None:
            return None
        labels_of = self.holding.sources.promised.labels_of
        return replace(found, labels={**{each.dedup_key: labels_of(each) for each in found.open}, **found.labels})

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
            await self._logbook.commit(dict.fromkeys(gone), {})

    async def _has_caught_up(self) -> bool:
        """Whether all that lay in the queue was told once: it may hold the end of what waits."""
        self._behind = {tp: end for tp, end in self._behind.items() if await self._consumer.position(tp) < end}
        return not self._behind

    async def _repeat(self) -> None:
        open_now = (
            (as_told(event, told), told.labels)
            for incident in self._incidents.by_key.values()
            for event in incident.alerts.values()
            if event.is_open and (told := incident.told.get(event.dedup_key)) is not None
        )
        await self.teller.repeat(open_now, self._logbook.prove)

    async def _tell_who_cares(self, now_us: int) -> None:
        """Tell, once an incident, that somebody takes care of it."""
        if not (self.teller.type.acknowledges and self.acknowledged):
            return
        for incident in list(self._incidents.by_key.values()):
            notification = acknowledgement(incident, self.acknowledged)
            if notification is not None:
                await self.teller.tell(notification, self._logbook.prove)
                await self._commit({incident.key: after(incident, notification, now_us)})

    async def _end_silence(self) -> None:
        """Commit a new receiver's start, once all that is old is read."""
        if not self._silent_until:
            return
        ends = self._silent_until
        if all([await self._consumer.position(tp) >= end for tp, end in ends.items()]):
            found = [entries(None, incident) for incident in self._incidents.by_key.values()]
            read = {tp: await self._consumer.position(tp) for tp in ends}
            await self._logbook.commit({name: entry for each in found for name, entry in each.items()}, read)
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
        waits = any(self._may_be_told(incident, event) for event in incident.alerts.values())
        (self._waiting.add if waits else self._waiting.discard)(incident.key)

    def _may_be_told(self, incident: Incident, event: AlertEvent) -> bool:
        if (told := incident.told.get(event.dedup_key)) is not None:
            return event.sequence > told.sequence
        return self.holding.is_routed(event) if event.is_open else event.dedup_key in incident.telling

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


async def _all_or_none(works: Iterable[Coroutine[Any, Any, Done]]) -> list[Done]:
    """Do work side by side. Once one part fails none goes on: what it tells then, nobody would know of."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
