"""A topic's committed records as blocks, read outside of any group's assignment: from here to there, and no further."""

import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from aiokafka.structs import TopicPartition

from pipeline.records import RecordBlock
from pipeline.transport.consumer import FetchSpec, consumer_class
from pipeline.transport.record_blocks import BATCH_BYTES_MAX

SILENCE_S = 60.0


class LogSilent(TimeoutError):
    """The broker gives nothing of records that it says it has."""


class Place(NamedTuple):
    """A record of a partition."""

    offset: int
    append_time_ms: int


class Log:
    """Some partitions of one topic."""

    def __init__(
        self,
        options: Mapping[str, Any],
        topic: str,
        partitions: Collection[int],
        batch_bytes: int = BATCH_BYTES_MAX,
        group: str | None = None,
    ) -> None:
        """`options`: aiokafka's, to connect with. `group`: whose committed offsets may be asked for."""
        self.topic = topic
        self._consumer: Any = consumer_class({topic}, batch_bytes)(
            **options,
            group_id=group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            max_partition_fetch_bytes=FetchSpec.partition_bytes,
            fetch_max_bytes=FetchSpec.request_bytes,
        )
        self._places = [TopicPartition(topic, partition) for partition in partitions]

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        self._consumer.assign(self._places)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go."""
        await self._consumer.stop()

    async def starts(self) -> dict[int, int]:
        """Offsets of the first records that are left."""
        found = await self._consumer.beginning_offsets(self._places)
        return {place.partition: int(start) for place, start in found.items()}

    async def ends(self) -> dict[int, int]:
        """Offsets behind the last records now."""
        found = await self._consumer.end_offsets(self._places)
        return {place.partition: int(end) for place, end in found.items()}

    async def committed(self, partition: int) -> int | None:
        """The group's offset; None: there is none."""
        offset: int | None = await self._consumer.committed(TopicPartition(self.topic, partition))
        return offset

    async def since(self, append_time_ms: int) -> dict[int, Place | None]:
        """The first record of each partition that was appended then or later; None: there is none."""
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._places, max(append_time_ms, 0)))
        return {
            place.partition: None if at is None else Place(int(at.offset), int(at.timestamp))
            for place, at in found.items()
        }

    async def last_before(self, partition: int, end: int) -> Place | None:
        """The last record in front of an offset; None: none is left. Offsets in between may hold no records."""
        start, last, back = (await self.starts())[partition], None, 1
        while last is None and (begin := max(start, end - back)) < end:
            back = 16 * back if begin > start else 0
            async for block in self.blocks({partition: begin}, {partition: end}):
                if len(block):
                    last = Place(int(block.offset[-1]), int(block.append_time_ms[-1]))
        return last

    async def blocks(self, begins: Mapping[int, int], ends: Mapping[int, int]) -> AsyncIterator[RecordBlock]:
        """Read [begin, end) of each partition.

        Raises: LogSilent.
        """
        left = {place for place in self._places if begins[place.partition] < ends[place.partition]}
        self._consumer.pause(*(place for place in self._places if place not in left))
        self._consumer.resume(*left)
        for place in left:
            self._consumer.seek(place, begins[place.partition])
        heard_s = time.monotonic()
        while left:
            for place, blocks in (await self._consumer.getmany(timeout_ms=200, max_records=4)).items():
                heard_s = time.monotonic()
                for block in blocks:
                    if block.first_offset < ends[place.partition]:
                        yield until(block, ends[place.partition])
                if blocks and blocks[-1].next_offset >= ends[place.partition]:
                    left.discard(place)
                    self._consumer.pause(place)
            if time.monotonic() - heard_s > SILENCE_S:
                raise LogSilent(f"the broker gave nothing of {self.topic} for {SILENCE_S:.0f} s")


def until(block: RecordBlock, end: int) -> RecordBlock:
    """A block without what lies behind `end`."""
    if block.next_offset <= end:
        return block
    return block.some(slice(int(np.searchsorted(block.offset, end))), block.first_offset, end)
