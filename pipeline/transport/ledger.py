"""Where a step writes: Kafka in transactions, or any store that knows how far it is.

Law: after `open` no former owner of the partition can write; `write` returns once the unit is durable, all of
it or nothing. A ledger that fails is not asked again for that partition: the truth is what was written.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

import aiokafka
from aiokafka.structs import TopicPartition
from faust.types import TP

from pipeline.records import Unit, UnitFacts

#: a worker that dies inside a transaction holds readers of the derived topics back so long
TRANSACTION_TIMEOUT_MS = 10_000
REQUEST_BYTES_MAX = 16 << 20
#: a unit sends one record of up to some hundred KB to each partition, a batch of its own
BATCH_BYTES = 1 << 20
#: a transaction's first send meets the broker's verification, which answers "not yet": aiokafka's 100 ms would
#: be the whole transaction's time over again
RETRY_MS = 50
STOP_S = 2.0


class Ledger(Protocol):
    """What a step needs of the place it writes to."""

    async def open(self, tp: TP) -> int | None:
        """Fence former owners; return where to read on.

        None: at the group's committed offset, without one at the log's start.
        """

    async def write(self, tp: TP, unit: Unit, facts: UnitFacts) -> None:
        """Make a unit durable."""

    async def release(self, tp: TP) -> None:
        """Let go of a partition."""

    async def close(self) -> None:
        """Let go of everything."""


class KafkaLedger:
    """One transactional producer per owned partition; its id is the fence.

    aiokafka sends no group metadata with offsets, so the fence is the transactional id, not the generation.
    """

    def __init__(self, options: Mapping[str, Any], group: str) -> None:
        """`options`: aiokafka's connection and security options."""
        self._options, self._group = dict(options), group
        self._producers: dict[TP, aiokafka.AIOKafkaProducer] = {}

    async def open(self, tp: TP) -> int | None:
        """Raise the epoch of the partition's producer: whatever the former owner left open is aborted."""
        await self.release(tp)
        producer = self._producers[tp] = aiokafka.AIOKafkaProducer(
            **self._options,
            transactional_id=f"{self._group}-{tp.topic}-{tp.partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_request_size=REQUEST_BYTES_MAX,
            max_batch_size=BATCH_BYTES,
            retry_backoff_ms=RETRY_MS,
            # aiokafka writes LZ4 at level 9: eight times zstd's processor time, and larger
            compression_type="zstd",
        )
        try:
            await producer.start()
        except BaseException:  # also when the partition is taken away meanwhile
            await self.release(tp)
            raise
        return None

    async def write(self, tp: TP, unit: Unit, facts: UnitFacts) -> None:
        """Write records, and with `commit` a new offset, in one transaction; a unit without news costs none.

        An old offset is not committed again: of a topic made anew meanwhile it would be a wrong one.
        """
        has_news = unit.commit and facts.next_offset > facts.first_offset
        if not unit.records and not has_news:
            return
        producer = self._producers[tp]
        async with producer.transaction():
            sent = [
                await producer.send(r.topic, r.value, key=r.key, partition=r.partition, headers=list(r.headers))
                for r in unit.records
            ]
            await asyncio.gather(*sent)
            if has_news:
                place = TopicPartition(tp.topic, tp.partition)
                await producer.send_offsets_to_transaction({place: facts.next_offset}, self._group)

    async def release(self, tp: TP) -> None:
        """Stop the partition's producer; what it cannot finish dies with its epoch."""
        producer = self._producers.pop(tp, None)
        if producer is not None:
            await _stopped(producer)

    async def close(self) -> None:
        """Stop all producers."""
        await asyncio.gather(*(self.release(tp) for tp in list(self._producers)))


async def _stopped(producer: aiokafka.AIOKafkaProducer) -> None:
    with contextlib.suppress(Exception):  # a fenced or broken producer has nothing left that counts
        await asyncio.wait_for(producer.stop(), STOP_S)
