"""A step's plain counters; the metrics read them when somebody asks."""

from dataclasses import dataclass


@dataclass
class StepCounters:
    """Only go up, but for the gauges at the end."""

    blocks: int = 0
    records: int = 0
    bytes: int = 0
    stale_blocks: int = 0
    queue_waits: int = 0  # blocks that had to wait for room
    units: int = 0
    units_failed: int = 0
    fenced: int = 0
    lost_offsets: int = 0
    restored_entries: int = 0
    transaction_s: float = 0.0
    transaction_s_last: float = 0.0
    transaction_s_max: float = 0.0
    fold_s: float = 0.0
    queued_bytes: int = 0
    held_bytes: int = 0  # of units that are not written yet
    progress_at_s: float = 0.0  # monotonic time of the last unit written

    def took(self, records: int, size: int) -> None:
        """Note a block."""
        self.blocks += 1
        self.records += records
        self.bytes += size

    def wrote(self, elapsed_s: float, now_s: float) -> None:
        """Note a unit that is durable."""
        self.units += 1
        self.transaction_s += elapsed_s
        self.transaction_s_last = elapsed_s
        self.transaction_s_max = max(self.transaction_s_max, elapsed_s)
        self.progress_at_s = now_s
