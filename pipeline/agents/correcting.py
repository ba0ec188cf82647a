"""Corrections of the SLO directory, kept in force by the workers that write to ClickHouse: nobody has to run a command.

What a directory says when a worker starts, and each change of it, is put in force: a new document is applied, a changed
one is a version more, one that is gone is withdrawn. Between changes only what recurs is written out further ahead. So
while two workers have different directories, as in a rollout, each speaks once, and not against the other for ever.

Law: any number of workers that see the same change record it once, for all of them write the same version. What
somebody withdrew stays withdrawn, and each change of the directory logs it; what was withdrawn since no file had it
comes back with its file. A start withdraws nothing: what went meanwhile is for `burnline slo correct --prune`.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from pipeline.agents.parts import Parts
from pipeline.sinks.clickhouse import FAILURES, client, translated
from pipeline.sinks.corrections import Overtaken, settle
from pipeline.spec.correction_versions import PRUNED, Step, Version, steps, withdrawn

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.spec.corrections import Correction

LOOK_S = 5.0
RENEW_S = 3_600.0
WHO = "burnline worker"

log = structlog.get_logger()


def put_in_force(
    settings: "Settings", corrections: Iterable["Correction"], gone: Collection[str], is_change: bool, now: datetime
) -> list[Step]:
    """Record what follows from a directory; return what there is to say. Raises: Overtaken, clickhouse-driver's."""

    def decide(known: Mapping[str, Version]) -> list[Step]:
        done = [each for each in steps(corrections, known, now) if is_change or each.what == "extended"]
        lost = (known[name] for name in gone if name in known and known[name].is_in_force)
        return [*done, *(withdrawn(last, WHO, PRUNED, now) for last in lost)]

    with client(settings) as connection:
        return [each for each in settle(connection, decide) if each.what != "unchanged"]


class Corrector:
    """Keeps corrections as the SLO directory has them."""

    def __init__(self, parts: Parts) -> None:
        """`parts.slos` is replaced at each reload of the directory."""
        self.parts = parts
        self.failed = ""  # why what the directory holds is not in force
        self._applied: dict[str, str] | None = None  # name -> digest, of what was put in force; None: nothing was yet
        self._renewed_at_s = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        while "store" in self.parts.settings.step_names:
            try:
                await self.look(asyncio.get_running_loop().time())
            except Exception as error:  # a fault of ours must not end the worker's other tasks
                self.failed = repr(error)
                log.error("corrections were not put in force", exc_info=error)
            await asyncio.sleep(LOOK_S)

    async def look(self, now_s: float) -> None:
        """Look once, and record what is due; `now_s`: monotonic."""
        corrections = self.parts.slos.corrections
        wanted = {each.name: each.digest for each in corrections}
        is_change = wanted != self._applied
        if not is_change and now_s - self._renewed_at_s < RENEW_S:
            return
        if wanted or self._applied:
            gone, now = (self._applied or {}).keys() - wanted.keys(), datetime.now(UTC)
            try:
                done = await asyncio.to_thread(put_in_force, self.parts.settings, corrections, gone, is_change, now)
            except (*FAILURES, Overtaken) as error:
                self.failed = str(error if isinstance(error, Overtaken) else translated(error))
                log.warning("corrections are not in force yet", why=self.failed)
                return
            for each in done:
                log.info("correction", name=each.correction, said=each.text)
        self.failed, self._applied, self._renewed_at_s = "", wanted, now_s

    def notes(self) -> tuple[str, ...]:
        """What a reader of our health should know."""
        return (f"corrections are not in force yet: {self.failed}",) if self.failed else ()
