"""What a step may hold at once: bytes that wait to be folded, and bytes of units that are not written yet.

Law: nobody is let in while both together reach the limit. Whoever was let in may pass it, by one block each.
"""

import asyncio

from pipeline.transport.counters import StepCounters


class Room:
    """Counts in a step's counters; `wait` is the back-pressure."""

    def __init__(self, counters: StepCounters, bytes_most: int) -> None:
        self._counters, self._most = counters, bytes_most
        self._has_some = asyncio.Event()
        self._has_some.set()

    @property
    def is_full(self) -> bool:
        return not self._has_some.is_set()

    @property
    def is_half_full(self) -> bool:
        """Whether what waits to be folded is half of all there may be."""
        return self._counters.queued_bytes >= self._most // 2

    async def wait(self) -> None:
        """Return once there is room, or none is kept any more."""
        await self._has_some.wait()

    def open_up(self) -> None:
        """Let in whoever waits."""
        self._has_some.set()

    def change(self, queued: int = 0, held: int = 0) -> None:
        """Note bytes that have come or gone."""
        self._counters.queued_bytes += queued
        self._counters.held_bytes += held
        if self._counters.queued_bytes + self._counters.held_bytes < self._most:
            self._has_some.set()
        else:
            self._has_some.clear()
