"""Event ids that outlive their owner: whoever takes a source partition reads again what its window has to remember.

    log    |------------------|===== window before the last record =====|---- read on here ---->|
                                        folded, counted nowhere         committed offset

Law: a partition's window knows its records in front of the committed offset and no others, so a unit that was never
written leaves nothing behind: every owner begins with a window of his own. What retention has taken is not remembered,
nor what is further back than READ_TIMES as many records as the window has slots: then it has had to forget anyway.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from faust.types import TP

from pipeline.duplicates import Window, WindowSpec
from pipeline.kernels.duplicates import slots_for
from pipeline.records import RecordBlock
from pipeline.transport import KafkaLedger
from pipeline.transport.log import Log

READ_TIMES = 4
AT_ONCE = 4  #: partitions


class RememberingLedger(KafkaLedger):
    """Fences a partition, then fills its window; `windows` are taken by the folds that begin behind it."""

    def __init__(
        self,
        options: Mapping[str, Any],
        group: str,
        spec: WindowSpec,
        batch_bytes: int,
        remember: Callable[[RecordBlock, Window], None],
    ) -> None:
        """`remember(block, window)` runs in a thread."""
        super().__init__(options, group)
        self.windows: dict[int, Window] = {}
        self.seconds = 0.0
        self._spec, self._batch_bytes, self._remember = spec, batch_bytes, remember
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def open(self, tp: TP) -> int | None:
        """Fence first: from then on nobody else commits an offset, and what lies in front of it is settled."""
        position = await super().open(tp)
        try:
            async with self._turn:
                began_s = time.monotonic()
                self.windows[tp.partition] = await self._window(tp)
                self.seconds += time.monotonic() - began_s
        except BaseException:
            await self.release(tp)
            raise
        return position

    async def _window(self, tp: TP) -> Window:
        window, partition = Window(self._spec), tp.partition
        async with Log(self._options, tp.topic, [partition], self._batch_bytes, self._group) as log:
            end, start = await log.committed(partition), (await log.starts())[partition]
            if end is None or not start < end <= (await log.ends())[partition]:  # nothing, or of another log
                return window
            last = await log.last_before(partition, end)
            if last is None:
                return window
            first = (await log.since((last.append_time_ms // 1000 - self._spec.window_s) * 1000))[partition]
            furthest = max(start, end - READ_TIMES * slots_for(self._spec.ids))
            begin = max(furthest, min(last.offset, first.offset) if first else start)
            async for block in log.blocks({partition: begin}, {partition: end}):
                await asyncio.to_thread(self._remember, block, window)
        return window
