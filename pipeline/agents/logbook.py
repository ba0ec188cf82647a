"""A lane's memory: which alerts its receiver was told of, and how far it has read, in entries of slo.deliveries.

    open: fence the former owner, read the entries ─► commit: entries and offsets, one transaction each time

Law: whoever was fenced commits nothing, so after a transaction nobody else has taken over, nor will for most of a
session. `prove` says until when; what is sent by then contradicts nothing that another owner has told. Offsets are kept
here too: a group that nobody joins for a week is forgotten by Kafka, and its receiver is not new when it comes back.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiokafka
import structlog
from aiokafka.structs import TopicPartition

from pipeline.framing import Framing
from pipeline.records import OutRecord
from pipeline.transport import StepCounters
from pipeline.transport.entries import state_entries
from pipeline.transport.ledger import RETRY_MS, TRANSACTION_TIMEOUT_MS

SEPARATOR = "|"  #: between the receiver and the alert, in keys of slo.deliveries
OFFSETS = "@offsets"  #: in the place of an alert; no SLO's name begins with @
STOP_S = 2.0
FRESH, HOLDS = 0.5, 0.75  #: of a session: a proof is renewed when it is so old, and holds so long

log = structlog.get_logger()


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
    joined: Callable[[str], None] = lambda member: None  # told which member of the group this is


class NotOwner(RuntimeError):
    """Somebody else tells this receiver by now."""


class Logbook:
    """One owner's hold of the memory, from `open` to `close`."""

    def __init__(self, spec: LaneSpec, counters: StepCounters) -> None:
        """`counters`: of all lanes together."""
        self._spec, self._counters = spec, counters
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._writing = asyncio.Lock()
        self._proved_at_s = float("-inf")  # monotonic, when the last transaction that was committed began
        self.offsets: dict[TopicPartition, int] = {}  # everything below is done

    async def open(self, restore: Callable[[str, bytes | None], None]) -> None:
        """Fence the former owner, then hand over each entry: the alert's key and what was told of it."""
        self._producer = aiokafka.AIOKafkaProducer(
            **self._spec.kafka, transactional_id=f"{self._spec.group}-", transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            retry_backoff_ms=RETRY_MS,
        )  # fmt: skip
        await self._producer.start()
        self.offsets = {}
        prefix = f"{self._spec.receiver}{SEPARATOR}"
        async for key, value in state_entries(self._spec.kafka, self._spec.deliveries, 0):
            name = key.decode()
            if name == prefix + OFFSETS:
                self.offsets = offsets_of(self._spec.alerts, value)
            elif name.startswith(prefix):
                restore(name.removeprefix(prefix), value)

    async def close(self) -> None:
        """Let go; what it cannot finish dies with its epoch."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), STOP_S)

    async def commit(
        self,
        entries: Mapping[str, bytes | None],
        offsets: Mapping[TopicPartition, int],
        told: Iterable[OutRecord] = (),
    ) -> None:
        """Write entries, offsets, and what a topic is told, all of it or nothing."""
        records = [*told, *(self._record(name, value) for name, value in entries.items())]
        async with self._writing:
            if offsets:
                self.offsets |= offsets
                records.append(self._record(OFFSETS, offsets_entry(self.offsets)))
            if records:
                await self._write(records, offsets)

    async def prove(self) -> float:
        """Make sure that this is the owner still; return until when that holds, of the monotonic clock.

        Raises: NotOwner, aiokafka's ProducerFenced, or whatever a broker that is away raises.
        """
        if self._producer is None:
            raise NotOwner("the partitions went while something was told")
        if not self._is_fresh():
            async with self._writing:
                if not self._is_fresh():  # others have waited too
                    await self._write([self._record(OFFSETS, offsets_entry(self.offsets))], {})
        if self._producer is None:
            raise NotOwner("the partitions went while something was about to be told")
        return self._proved_at_s + HOLDS * self._spec.session_s

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._proved_at_s <= FRESH * self._spec.session_s

    def _record(self, name: str, value: bytes | None) -> OutRecord:
        key = f"{self._spec.receiver}{SEPARATOR}{name}".encode()
        return OutRecord(self._spec.deliveries, value, key, 0)

    async def _write(self, records: list[OutRecord], offsets: Mapping[TopicPartition, int]) -> None:
        if self._producer is None:  # whose partitions went has nothing more to say
            return
        producer, began_s, began_at_s = self._producer, time.perf_counter(), time.monotonic()
        async with producer.transaction():
            sent = [
                await producer.send(r.topic, r.value, key=r.key, partition=r.partition, headers=list(r.headers))
                for r in records
            ]
            await asyncio.gather(*sent)
            if offsets:
                await producer.send_offsets_to_transaction(dict(offsets), self._spec.group)
        self._proved_at_s = began_at_s
        self._counters.wrote(time.perf_counter() - began_s, time.monotonic())


def offsets_entry(offsets: Mapping[TopicPartition, int]) -> bytes:
    """Write how far a receiver is."""
    return json.dumps({"offsets": {str(tp.partition): offset for tp, offset in sorted(offsets.items())}}).encode()


def offsets_of(topic: str, entry: bytes | None) -> dict[TopicPartition, int]:
    """Read it; what cannot be read is nothing, as of a new receiver."""
    try:
        said = json.loads(entry or b"{}").get("offsets", {})
        return {TopicPartition(topic, int(partition)): int(offset) for partition, offset in said.items()}
    except (AttributeError, TypeError, ValueError) as error:
        log.error("how far a receiver was told cannot be read", error=repr(error))
        return {}
