"""Where a range of event time begins in the log of inference.events.

Law: an event is appended no earlier than FUTURE_US before it happened, as far as it counts at all (what is further in
the future is moved to its append time). So all of a range lies behind the first record appended FUTURE_US before it
begins; and in front of nothing, since an event may be late by days: the log is read to its end. Where duplicates are
left out, what is decided of the first record hangs on those within the window before it: these are read too.
"""

import time

from pipeline.decoding import FoldSpec
from pipeline.transport.log import Log

FUTURE_US = FoldSpec.future_us


class ReplayFailed(RuntimeError):
    """The replay cannot be done, or not now; nothing of what is stored has changed unless the message says so."""


async def begins(log: Log, from_us: int, window_s: int) -> dict[int, int]:
    """Where event time from `from_us` on may begin: partition -> offset.

    Raises: ReplayFailed when some of it has been deleted already.
    """
    from_ms = (from_us - FUTURE_US) // 1000 - 1000 * (window_s + 1 if window_s else 0)  # windows are in whole seconds
    starts, ends = await log.starts(), await log.ends()
    found: dict[int, int] = {}
    for partition, at in (await log.since(from_ms)).items():
        found[partition] = ends[partition] if at is None else at.offset
        if starts[partition] > 0 and at is not None and at.offset <= starts[partition]:
            oldest = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at.append_time_ms / 1000))
            raise ReplayFailed(
                f"the range starts before the log: {log.topic}/{partition} begins at offset {starts[partition]}, of "
                f"{oldest}. Retention has taken what was before, so counts of it would be too low; begin later"
            )
    return found
