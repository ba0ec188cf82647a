"""Blocks for tests that do not look into them: one byte of value per record."""

import numpy as np

from pipeline.records import PADDING, RecordBlock


def block(
    first: int, following: int, partition: int = 0, size: int = 0, topic: str = "events", appended_ms: int = 0
) -> RecordBlock:
    """One record per offset of [first, following); `size`: bytes of the buffer, at the least."""
    count = following - first
    zeros, appended = np.zeros(count, np.int64), np.full(count, appended_ms)
    return RecordBlock(
        topic, partition, first, following, np.zeros(max(count + PADDING, size), np.uint8),
        np.arange(count), np.ones(count, np.int32), zeros, zeros.astype(np.int32), appended,
        np.arange(first, following),
    )  # fmt: skip
