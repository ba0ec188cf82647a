"""Reads one partition of a compacted topic to its end: committed records only, and all that were committed by now.

Law: the end is where the log ends, not where reading of committed records stops for now. Others write to the partition
too, and what was committed behind a transaction of theirs that is still open is hidden until that ends; so a reader
waits for it, no longer than transactions may take. To stop there instead would be to believe in an older state.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka.structs import TopicPartition

FETCH_BYTES = 8 << 20


class Entries:
    """One reader, from `start` to `stop`; it goes on where it was."""

    def __init__(self, options: Mapping[str, Any], topic: str, partition: int) -> None:
        """`options`: aiokafka's connection and security options."""
        self._place = TopicPartition(topic, partition)
        common = {**options, "enable_auto_commit": False}
        self._reader = aiokafka.AIOKafkaConsumer(
            **common, isolation_level="read_committed", auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
        )  # fmt: skip
        # aiokafka asks for ends under a consumer's isolation level
        self._measure = aiokafka.AIOKafkaConsumer(**common, isolation_level="read_uncommitted")

    async def start(self) -> None:
        await self._reader.start()
        await self._measure.start()
        self._reader.assign([self._place])

    async def stop(self) -> None:
        for each in (self._reader, self._measure):
            with suppress(Exception):  # of a broker that is away
                await each.stop()

    async def news(self) -> AsyncIterator[tuple[bytes, bytes | None]]:
        """Key and value of what was committed since the last time."""
        end = (await self._measure.end_offsets([self._place]))[self._place]
        while await self._reader.position(self._place) < end:
            for record in (await self._reader.getmany(timeout_ms=200)).get(self._place, ()):
                yield record.key, record.value


async def state_entries(
    options: Mapping[str, Any], topic: str, partition: int
) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """Read a partition once, from its beginning."""
    entries = Entries(options, topic, partition)
    try:
        await entries.start()
        async for entry in entries.news():
            yield entry
    finally:
        await entries.stop()
