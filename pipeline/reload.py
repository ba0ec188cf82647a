"""Hot reload: what the SLO directory holds is put in force without a restart, all of it or nothing.

Law: a change is told by content, however files are swapped; it is taken once two looks see the same, so that no set
is judged that somebody is still writing. While a file is refused the set in force stays, and the reason is said once.

    look ── same ──► nothing         judge ─── a whole interval later ───► ingest
      └── other, settled ──► loaded ──► prepared by every step ──► in force, from each step's next unit on

Judges turn first: an SLO that a judge knows and no ingest counts yet is harmless, counts of an unknown SLO are lost to
the judge. Workers look at their own moments; within the interval all judges have turned. Refuses to know what a step
does to turn: it prepares in a thread, and gives back what puts the new set in force.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Protocol

import structlog

from pipeline.agents.parts import Parts
from pipeline.metrics import Reading
from pipeline.spec import Files, SloSet, SpecError, loaded, read

SETTLE_S = 1.0  #: files that did not change for so long are whole
TURNS = ("judge", "deliver", "ingest")  #: in this order
NAMES_MOST = 20  #: of SLOs in a line of the log

log = structlog.get_logger()


class Turning(Protocol):
    """What reloading asks of a step."""

    @property
    def succeed(self) -> Callable[[SloSet], Callable[[], None]]:
        """Prepare other SLOs, in a thread; what it returns puts them in force, between two units."""


class Reloader:
    """Keeps a worker's steps at what the SLO directory holds."""

    def __init__(self, parts: Parts, agents: Mapping[str, Turning], settle_s: float = SETTLE_S) -> None:
        """`parts` are told of every change; `agents` are looked up when it is their turn, for steps are made anew."""
        self.parts, self.agents, self._settle_s = parts, agents, settle_s
        self.refused = ""  # why what the directory holds is not in force; the empty string: it is
        self.reloads = 0
        self._seen = ""

    async def run(self) -> None:
        """Look until cancelled."""
        every_s = self.parts.settings.slo_reload_s
        while every_s:
            await asyncio.sleep(every_s)
            try:
                await self.look()
            except Exception as error:  # a fault of ours must not end the judging that goes on
                self.refused = repr(error)
                log.error("SLO files were not taken", exc_info=error)

    async def look(self) -> None:
        """Look once, and do what has to be done."""
        files = await asyncio.to_thread(read, [self.parts.settings.slo_dir])
        while (seen := digest(files)) != self._seen:
            await asyncio.sleep(self._settle_s)
            again = await asyncio.to_thread(read, [self.parts.settings.slo_dir])
            if digest(again) == seen:
                self._seen = seen
                return await self._take(files)
            files = again
        return None

    async def _take(self, files: Files) -> None:
        try:
            slos = await asyncio.to_thread(lambda: loaded(files).checked())
            if promises(slos) != promises(self.parts.slos):
                await self._turn(slos)
        except (SpecError, ValueError) as error:
            self.refused = str(error)
            log.error("SLO files are refused, those in force stay", why=self.refused)
            return
        if self.refused:
            log.info("SLO files are whole again")
        self.refused = ""
        self.parts.slos = slos

    async def _turn(self, slos: SloSet) -> None:
        """Prepare every step, so that all or none turn; then let them turn.

        Raises: ValueError when a step cannot take it; nothing has turned then.
        """
        ready = {}
        for name in TURNS:
            if (agent := self.agents.get(name)) is not None:
                ready[name] = agent, await asyncio.to_thread(agent.succeed, slos)
        former, self.parts.slos = self.parts.slos, slos  # a step that is made anew has them from now on
        log.info("SLOs are put in force", revision=revision(slos), **differences(former, slos))
        for name, (agent, put) in ready.items():
            if name == TURNS[-1]:
                await asyncio.sleep(self.parts.settings.slo_reload_s)
            now = self.agents[name]
            if now is agent:
                put()
            else:  # made anew, perhaps of the former ones
                (await asyncio.to_thread(now.succeed, slos))()
        self.reloads += 1

    def notes(self) -> tuple[str, ...]:
        """What a reader of our health should know."""
        return (f"SLO files are refused, those in force stay: {self.refused}",) if self.refused else ()

    def readings(self) -> Iterator[Reading]:
        """Which set is in force, and whether another one is refused."""
        slos = self.parts.slos
        yield Reading("burnline_slos", len(slos.slos))
        yield Reading("burnline_slo_revision", 1, (revision(slos),))
        yield Reading("burnline_slo_reloads", self.reloads)
        yield Reading("burnline_slo_reload_failed", int(bool(self.refused)))


def digest(files: Files) -> str:
    """Tell contents apart, and which files cannot be read."""
    told = sha256(repr(files.problems).encode())
    for name, text in sorted(files.texts.items()):
        told.update(f"{name}\0{len(text)}\0".encode() + text)
    return told.hexdigest()


def revision(slos: SloSet) -> str:
    """Name a set by the revisions in it: workers that say the same judge the same."""
    plain = [(each.objective.name, each.objective.revision) for each in slos.watched]
    whole = [(each.watched.objective, each.weights) for each in slos.composed]
    of_several = [(objective.name, objective.revision, *weights) for objective, weights in whole]
    return sha256(repr(sorted(plain + of_several)).encode()).hexdigest()[:12]


def promises(slos: SloSet) -> dict[str, Any]:
    """What is judged under each name: an SLO, or a composite of several."""
    plain = {each.objective.name: each for each in slos.watched}
    return plain | {each.watched.objective.name: each for each in slos.composed}


def differences(former: SloSet, now: SloSet) -> dict[str, list[str]]:
    """Names of SLOs that came, changed or went."""
    old, new = promises(former), promises(now)
    found = {
        "added": sorted(new.keys() - old.keys()),
        "changed": sorted(name for name in new.keys() & old.keys() if new[name] != old[name]),
        "removed": sorted(old.keys() - new.keys()),
    }
    return {what: _few(names) for what, names in found.items() if names}


def _few(names: list[str]) -> list[str]:
    more = len(names) - NAMES_MOST
    return [*names[:NAMES_MOST], f"and {more} more"] if more > 0 else names
