"""Recounting: what a definition would have counted, out of the log of events; for `burnline alerts replay --recount`.

The same fold that ingest runs, over what the topic still holds, to its end: an event may be late by days. Nothing is
written, no group is joined. Law: what it counts of a definition that is in force is what is stored of it.
"""

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import topics
from pipeline.agents.ingest import fold_spec, window_spec
from pipeline.blocks import decode
from pipeline.decoding import EventFold
from pipeline.duplicates import WindowSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.records import Unit
from pipeline.refolding import COUNTS, Refold
from pipeline.rehearsal.history import MINUTE_S, Counted, Period
from pipeline.sources import registry
from pipeline.transport.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.settings import Settings
    from pipeline.spec import SloSet

SLICE_S = 10


class Recounted(NamedTuple):
    """What was counted anew."""

    counted: dict[str, dict[str, Counted]]  # SLO -> instance
    measured: NDArray[np.int64]  # starts of the minutes in which any event fell
    records: int
    since: int  # second from which on the log has everything


class Tally:
    """Counts of SLOs by slices of ten seconds, block by block."""

    def __init__(self, events: EventFold, window: WindowSpec | None = None) -> None:
        """`window`: where duplicates are left out."""
        self._sums: dict[tuple[str, str], dict[int, NDArray[np.int64]]] = defaultdict(dict)
        self._minutes: set[int] = set()
        self._refold = Refold(events, self._count, window)
        self.add, self.flush = self._refold.add, self._refold.flush

    def _count(self, unit: Unit, _: int) -> None:
        for record in unit.records:
            if record.topic == COUNTS:
                self._take(decode("slo_counts", record.value or b""))

    def _take(self, columns: "dict[str, NDArray[np.int64]]") -> None:
        self._minutes.update((columns["measured_slices"] * SLICE_S // MINUTE_S * MINUTE_S).tolist())
        names = list(zip(columns["slos"], columns["instances"], strict=True))
        starts = columns["slice_start_s"] // SLICE_S * SLICE_S
        tallies = np.column_stack([columns[name] for name in ("good", "bad", "excluded")])
        for number, start, row in zip(columns["instance_index"].tolist(), starts.tolist(), tallies, strict=True):
            sums = self._sums[names[number]]
            sums[start] = sums[start] + row if start in sums else row

    def result(self, since: int) -> Recounted:
        """All of it."""
        counted: dict[str, dict[str, Counted]] = defaultdict(dict)
        for (slo, instance), sums in self._sums.items():
            tallies = np.array(list(sums.values()), np.int64)
            counted[slo][instance] = Counted(instance, np.array(list(sums), np.int64), *tallies.T)
        return Recounted(dict(counted), np.array(sorted(self._minutes), np.int64), self._refold.records, since)


def recounted(
    settings: "Settings", slos: "SloSet", period: Period, progress: "Callable[[int, int], None]"
) -> Recounted:
    """Count a period of event time for some SLOs; `progress(done, all)` is told how far it is, in records.

    Raises: typer.Exit with 1, after saying why.
    """
    topic, url = topics.topic_name(settings, topics.EVENTS), settings.schema_registry_url
    try:
        framing = registry.framing(url, topic, {}) if url else SINGLE_OBJECT
    except registry.RegistryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    seen = topics.cluster(settings)[1].topics.get(topic)
    if seen is None:
        typer.echo(f"there is no topic {topic}: nothing can be counted anew", err=True)
        raise typer.Exit(1)
    spec = fold_spec(settings)
    tally = Tally(EventFold(spec, slos.objectives, framing, settings.kernels_dir), window_spec(settings))
    log = partial(Log, topics.aiokafka_config(settings), topic, seen.partitions, settings.limit_batch_bytes)
    before_ms = spec.future_us // 1000 + 1000 * settings.duplicates_window_s
    return tally.result(asyncio.run(_read(log, tally, period, before_ms, progress)))


async def _read(
    make_log: "Callable[[], Log]", tally: Tally, period: Period, before_ms: int,
    progress: "Callable[[int, int], None]",
) -> int:  # fmt: skip
    """Read what may be of the period; return the second from which on the log has all of it."""
    async with make_log() as log:
        starts, ends = await log.starts(), await log.ends()
        first = await log.since(period.first * 1000 - before_ms)
        begins = {p: ends[p] if at is None else at.offset for p, at in first.items()}
        lost = [at.append_time_ms // 1000 for p, at in first.items() if at and starts[p] > 0 and at.offset <= starts[p]]
        done, every = 0, sum(ends[p] - begins[p] for p in begins)
        async for block in log.blocks(begins, ends):
            await asyncio.to_thread(tally.add, block)
            done += block.next_offset - block.first_offset
            progress(min(done, every), every)
        await asyncio.to_thread(tally.flush)
        return max([period.first, *lost])
