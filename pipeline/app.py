"""The composition root: settings to a running worker. The only place that knows every part.

Each step is a Faust app of its own in its own consumer group, on one event loop. A step that fails is made anew from
what was written; one that fails again and again ends the worker, for its supervisor to see.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import structlog

from pipeline import grants
from pipeline.agents.control import control
from pipeline.agents.correcting import Corrector
from pipeline.agents.deliver import deliver
from pipeline.agents.ingest import ingest
from pipeline.agents.judge import judge
from pipeline.agents.parts import Agent, Parts
from pipeline.agents.refreshing import Refresher
from pipeline.agents.reports import Reporter, facts_of
from pipeline.agents.store import store
from pipeline.agents.watching import Watcher, concerns_of
from pipeline.controls.sections import sections
from pipeline.dead_letters import TooManyDeadLetters
from pipeline.delivery.routes import Routes
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.health import StepFacts, stuck
from pipeline.ingest import warm
from pipeline.metrics import Reading, render
from pipeline.reload import Reloader
from pipeline.settings import Settings
from pipeline.sinks.routes import routes_of
from pipeline.sources import registry
from pipeline.spec import SpecError, load
from pipeline.topics import (
    ALERTS,
    CHANGES,
    COUNTS,
    EVENTS,
    NAMES,
    SIGNALS,
    SLICES,
    SNAPSHOTS,
    STATE,
    STATUS,
    TopicsError,
    cluster,
    faust_config,
    topic_name,
)
from pipeline.transport import GroupSpec, Memberships, Step, leave_for_the_dead, run_step, step_app
from pipeline.web import keda_port
from pipeline.web.server import Endpoints, Health, Server
from pipeline.web.site import Site

AGENTS: dict[str, Callable[[Parts], Agent]] = {
    "ingest": ingest, "judge": judge, "store": store, "deliver": deliver, "control": control,
}  # fmt: skip

#: what each of our topics holds
SCHEMAS = {
    COUNTS: "slo_counts",
    SLICES: "slo_slice",
    STATE: "judge_state",
    STATUS: "slo_status",
    ALERTS: "burn_rate_alert",
    CHANGES: "config_change",
    SNAPSHOTS: "engine_snapshot",
    SIGNALS: "control_signal",
}

FAILURES_S = 120.0  #: BURNLINE_LIMIT_FAILURES of a step within it end the worker
RETRY_S = 1.0

log = structlog.get_logger()


class SetupFailed(RuntimeError):
    """The worker cannot start; the message says what to do."""


def parts_of(settings: Settings) -> Parts:
    """Load the SLOs and look at the topics.

    Raises: SetupFailed.
    """
    try:
        slos = load([settings.slo_dir]).checked()
    except SpecError as error:
        raise SetupFailed(f"the SLO files cannot be used:\n{error}") from error
    for problem in slos.unmeasured:
        log.warning("SLO not measured", problem=str(problem))
    _check_controls(settings)
    return Parts(settings, slos, _framing(settings), _partitions(settings), _routes(settings))


def _check_controls(settings: Settings) -> None:
    try:
        sections(settings.controls_file, settings.gate_policy, settings.trailing_s)
    except SpecError as error:
        raise SetupFailed(f"the file of controls, or the gate's policy, cannot be used:\n{error}") from error


def _routes(settings: Settings) -> Routes:
    try:
        return routes_of(settings)
    except SpecError as error:
        raise SetupFailed(f"the alert routes cannot be used:\n{error}") from error


def _framing(settings: Settings) -> Framing:
    if settings.schema_registry_url is None:
        return SINGLE_OBJECT
    outputs = {topic_name(settings, base): name for base, name in SCHEMAS.items()}
    try:
        others = (topic_name(settings, base) for base in (CHANGES, SNAPSHOTS, SIGNALS))  # these anybody may write
        return registry.framing(settings.schema_registry_url, topic_name(settings, EVENTS), outputs, others)
    except registry.RegistryError as error:
        raise SetupFailed(str(error)) from error


def _partitions(settings: Settings) -> dict[str, int]:
    try:
        admin, seen = cluster(settings)
    except TopicsError as error:
        raise SetupFailed(str(error)) from error
    if refused := grants.missing(admin, grants.worker(settings)):
        raise SetupFailed(grants.refusal(refused))
    found = seen.topics
    wanted = [topic_name(settings, base) for base in NAMES]
    if absent := [name for name in wanted if name not in found]:
        raise SetupFailed(f"topics are missing: {', '.join(absent)}. Run `burnline migrate`")
    return {name: len(found[name].partitions) for name in wanted}


def remedy(error: Exception) -> dict[str, str]:
    """What to do about a failure that only somebody else can mend; nothing for all others."""
    if "AuthorizationFailed" not in str(error):
        return {}
    return {"remedy": f"the broker does not allow it: {grants.DOCUMENT} lists all that a worker needs"}


class Worker:
    """Runs a worker's steps."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.stop = parts, asyncio.Event()
        self.agents: dict[str, Agent] = {}
        self.stopped: dict[str, str] = {}  # step -> why it waits for somebody
        self.failures: Counter[str] = Counter()  # of steps, whose own counters begin anew with each
        self._reporter = Reporter(parts.settings)
        self._reloader = Reloader(parts, self.agents)
        self._corrector = Corrector(parts)
        self._refresher = Refresher(parts)
        self._watcher = Watcher(parts, lambda: concerns_of(self.agents, self.facts(), self._reporter.lag))

    async def run(self, ready: Callable[[str], None]) -> int:
        """Run until stopped; return 0, or 1 when a step could not go on."""
        settings = self.parts.settings
        token = settings.secret("http_token") or None
        site = Site(settings, lambda: self.parts.slos.told)
        server = Server(Endpoints(self.metrics, self.live, self.ready, site), settings.http_bind, token)
        await server.start()
        announcing = asyncio.create_task(self._announce(server.address, ready))
        running = (
            self._reporter.run(self.facts), self._reloader.run(), self._corrector.run(), self._refresher.run(),
            self._watcher.run(),
        )  # fmt: skip
        others = [asyncio.create_task(each) for each in running]
        try:
            async with keda_port.serving(settings, site.source):
                ended = await asyncio.gather(*(self._keep(name) for name in settings.step_names))
        finally:
            announcing.cancel()
            for task in others:
                task.cancel()
            await server.stop()
        return 0 if all(ended) else 1

    async def _announce(self, address: str, ready: Callable[[str], None]) -> None:
        while self.ready().reasons:
            await asyncio.sleep(0.05)
        ready(address)

    async def _keep(self, name: str) -> bool:
        """Run one step, anew after each failure; False when it fails too often."""
        failures: list[float] = []
        while not self.stop.is_set():
            try:
                await self._run_once(name)
            except Exception as error:
                if isinstance(error.__cause__, TooManyDeadLetters):
                    return await self._wait_for_somebody(name, str(error.__cause__))
                said = {"step": name, "error": str(error), **remedy(error)}
                log.error("a step failed and is made anew from what was written", **said)
                self.failures[name] += 1
                failures = [at for at in failures if at > time.monotonic() - FAILURES_S] + [time.monotonic()]
                if len(failures) >= self.parts.settings.limit_failures:
                    log.error("a step keeps failing: the worker ends", step=name, exc_info=error)
                    self.stop.set()
                    return False
                await asyncio.sleep(RETRY_S)
        return True

    async def _wait_for_somebody(self, name: str, why: str) -> bool:
        """Stay stopped, and not ready: a restart would only do it again. The other steps go on."""
        log.error("a step has stopped until somebody decides", step=name, why=why)
        self.stopped[name] = why
        await self.stop.wait()
        return False

    async def _run_once(self, name: str) -> None:
        settings = self.parts.settings
        agent = self.agents[name] = AGENTS[name](self.parts)
        if agent.run is not None:
            await agent.run(self.stop)
            return
        assert isinstance(agent.step, Step)
        group_name, session_s = self.parts.group(name), settings.session_timeout_s
        group = GroupSpec(group_name, session_s, session_s / 10, partial(self.parts.joined, group_name))
        app = step_app(
            agent.step, group, settings.kafka_brokers, faust_config(settings), agent.fetch, settings.data_dir
        )
        await run_step(agent.step, app, self.stop)

    # -- what it says of itself
    def live(self) -> Health:
        """Alive by progress: every step that owns partitions has written a unit lately."""
        return Health(tuple(why for facts in self.facts() if (why := stuck(facts))))

    def facts(self) -> list[StepFacts]:
        """What each step says of itself now."""
        now_s = time.monotonic()
        return [facts_of(name, agent, now_s, time.time(), self._reporter) for name, agent in self.agents.items()]

    def ready(self) -> Health:
        """Ready when every step has its partitions and what was written of them."""
        waiting = [
            name
            for name in self.parts.settings.step_names
            if name not in self.stopped and (name not in self.agents or not self.agents[name].step.is_assigned)
        ]
        stopped = (f"{name} has stopped: {why}" for name, why in self.stopped.items())
        return Health(
            (*stopped, *(f"{name} has no partitions yet" for name in waiting)),
            (*self._reloader.notes(), *self._corrector.notes()),
        )

    def metrics(self, accept: str = "") -> bytes:
        return render(self._readings(), accept)

    def _readings(self) -> Iterator[Reading]:
        now_s = time.monotonic()
        for name, agent in self.agents.items():
            step, counters = agent.step, agent.step.counters
            values = {
                "blocks": counters.blocks, "records": counters.records, "bytes": counters.bytes,
                "stale_blocks": counters.stale_blocks, "queue_waits": counters.queue_waits,
                "units": counters.units, "units_failed": counters.units_failed,
                "fenced": counters.fenced, "lost_offsets": counters.lost_offsets,
                "restored_entries": counters.restored_entries, "transaction_seconds": counters.transaction_s,
                "transaction_seconds_last": counters.transaction_s_last, "fold_seconds": counters.fold_s,
                "queued_bytes": counters.queued_bytes, "held_bytes": counters.held_bytes,
                "oldest_in_flight_seconds": step.oldest_in_flight_s(now_s),
                "owned_partitions": len(step.owned), "seconds_since_progress": now_s - counters.progress_at_s,
            }  # fmt: skip
            yield from (Reading(f"burnline_{key}", value, (name,)) for key, value in values.items())
            yield from agent.readings()
            yield Reading("burnline_stopped", int(name in self.stopped), (name,))
            yield Reading("burnline_step_failures", self.failures[name], (name,))
        for facts in self.facts():
            yield from self._reporter.readings(facts)
        yield from self._reloader.readings()
        yield from self._refresher.readings()
        yield Reading("burnline_resident_bytes", _resident_bytes())


def _resident_bytes() -> int:
    """Resident memory now; the peak where /proc is not."""
    import resource
    from pathlib import Path

    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def run(settings: Settings, ready: Callable[[str], None]) -> int:
    """Run a worker until SIGTERM or SIGINT; `ready` is told its address once. Returns the exit code.

    Raises: SetupFailed.
    """
    parts = parts_of(settings)
    if parts.framing is not SINGLE_OBJECT:  # decoders of schemas that only the registry knows
        warm(settings.kernels_dir, parts.framing, parts.slos.objectives)
    memberships = Memberships(settings.data_dir / "members")
    await leave_for_the_dead(memberships.left_behind, parts.kafka)
    worker = Worker(replace(parts, joined=memberships.note))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop.set)
    try:
        return await worker.run(ready)
    finally:
        memberships.close()
