"""The log of inference.events as blocks: where a range of event time begins in it, and reading from there.

Law: an event is appended no earlier than FUTURE_US before it happened, as far as it counts at all (what is further in
the future is moved to its append time). So all of a range lies behind the first record appended FUTURE_US before it
begins; and in front of nothing, since an event may be late by days: the log is read to its end.
"""

import time
from collections.abc import AsyncIterator
from typing import Any

from aiokafka.structs import TopicPartition

from pipeline.decoding import FoldSpec
from pipeline.records import RecordBlock
from pipeline.settings import Settings
from pipeline.topics import aiokafka_config
from pipeline.transport.consumer import FetchSpec, consumer_class

FUTURE_US = FoldSpec.future_us
SILENCE_S = 60.0


class ReplayFailed(RuntimeError):
    """The replay cannot be done, or not now; nothing of what is stored has changed unless the message says so."""


class Log:
    """One topic's committed records."""

    def __init__(self, settings: Settings, topic: str, partitions: int) -> None:
        self.topic = topic
        self._consumer: Any = consumer_class({topic}, settings.limit_batch_bytes)(
            **aiokafka_config(settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            max_partition_fetch_bytes=FetchSpec.partition_bytes,
            fetch_max_bytes=FetchSpec.request_bytes,
        )
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]

    async def __aenter__(self) -> "Log":
        """Connect."""
        await self._consumer.start()
        self._consumer.assign(self._places)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go."""
        await self._consumer.stop()

    async def ends(self) -> dict[int, int]:
        """Offsets behind the last records now."""
        found = await self._consumer.end_offsets(self._places)
        return {place.partition: int(end) for place, end in found.items()}

    async def begins(self, from_us: int) -> dict[int, int]:
        """Where event time from `from_us` on may begin.

        Raises: ReplayFailed when some of it has been deleted already.
        """
        from_ms = (from_us - FUTURE_US) // 1000
        starts = await self._consumer.beginning_offsets(self._places)
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._places, max(from_ms, 0)))
        ends = await self.ends()
        begins: dict[int, int] = {}
        for place in self._places:
            at, start = found[place], int(starts[place])
            begins[place.partition] = ends[place.partition] if at is None else int(at.offset)
            if start > 0 and at is not None and at.offset <= start:
                oldest = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at.timestamp / 1000))
                raise ReplayFailed(
                    f"the range starts before the log: {self.topic}/{place.partition} begins at offset {start}, of "
                    f"{oldest}. Retention has taken what was before, so counts of it would be too low; begin later"
                )
        return begins

    async def blocks(self, begins: dict[int, int], ends: dict[int, int]) -> AsyncIterator[RecordBlock]:
        """Read [begin, end) of every partition.

        Raises: ReplayFailed when the broker gives nothing for a long time.
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
                        yield block
                if blocks and blocks[-1].next_offset >= ends[place.partition]:
                    left.discard(place)
                    self._consumer.pause(place)
            if time.monotonic() - heard_s > SILENCE_S:
                raise ReplayFailed(f"the broker gave nothing of {self.topic} for {SILENCE_S:.0f} s")
