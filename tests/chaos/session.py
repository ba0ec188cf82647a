"""One run: servers, workers and load; a fault, so many times; then rest, and what has come of all of it.

load ──────────────────────────────────────────────────────────┐ pause
steady  │ inject .. heal │ recovered │ inject .. heal │ recovered │ drained, compared, stopped, alerts compared
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self

from pipeline.embedded.site import Site
from pipeline.topics import EVENTS, topics
from tests.chaos import readers, verdict
from tests.chaos.crew import Crew
from tests.chaos.lag import LagWatch
from tests.chaos.load import LoadPlan, first_line, write_slos
from tests.chaos.proxy import ProxiedKafka, Proxy
from tests.narrow import EVENTS_MOST, create_narrow_topics

SESSION_S = 6.0  #: the least that brokers grant
STEADY_S = 10.0
RECOVERY_S = 150.0
DRAIN_S = 90.0


class Skipped(RuntimeError):
    """This machine cannot do it; the message says what it would need."""


def nothing(session: "Session") -> None:
    """Nothing to do."""


@dataclass(frozen=True)
class Fault:
    """One way to go wrong. `check` says what else is wrong at the end, in words."""

    name: str
    inject: Callable[["Session"], None]
    heal: Callable[["Session"], None] = nothing
    prepare: Callable[["Session"], None] = nothing  # before servers start
    check: Callable[["Session"], list[str]] = lambda session: []
    clean: Callable[["Session"], None] = nothing
    rounds: int = 1
    workers: int = 2
    is_proxied: bool = False
    skews_s: tuple[float, ...] = (0.0,)
    recovery_s: float = RECOVERY_S  # the longest that it may take, under load


@dataclass
class Mark:
    """A fault's time on the lag's axis."""

    fault: str
    inject_s: float
    heal_s: float
    judged_s: float | None = None  # from heal until alerts come as before; None: not as long as we looked
    recovery_s: float | None = None  # and until ClickHouse has them, and everything else, as before


@dataclass
class Result:
    """Of one run."""

    fault: str
    seed: int
    rounds: int | None  # that were asked for; None: as many as each fault has
    rate_asked: int
    events: int = 0
    rate: float = 0.0  # that came about
    differences: dict[str, verdict.Difference] = field(default_factory=dict)
    alerts: verdict.Alerts = field(default_factory=verdict.Alerts)
    marks: list[Mark] = field(default_factory=list)
    samples: list[Any] = field(default_factory=list)
    deaths: int = 0
    lost_events: int = 0  # that had to be lost, and were reported
    rss_peak_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.problems

    @property
    def faults(self) -> list[str]:
        """Those that shared the session."""
        return self.fault.split("+")

    def lost_in(self, place: str) -> int:
        """What has to be missing there: each event is in both SLOs."""
        return self.lost_events * (2 if place.startswith("counts") else 1)


class Session:
    """What a fault may lay its hands on."""

    def __init__(
        self,
        home: Path,
        faults: tuple[Fault, ...],
        seed: int,
        rate: int,
        patience_s: float = math.inf,
        is_hurried: bool = False,
    ) -> None:
        """`patience_s` is the longest that lags are waited for, before a fault and behind it.

        In a hurry they are measured only: the next fault comes once everybody has been at work since the last one. On a
        machine that others keep busy lags may never be as before, and what is counted does not hang on them. Topics are
        narrow then, too.
        """
        self.home, self.faults, self.seed, self.rate, self.patience_s = home, faults, seed, rate, patience_s
        self.is_hurried, self.chance, self.round = is_hurried, Random(seed), 0
        self.environment: dict[str, str] = {}  # of workers and ClickHouse
        self.memory: dict[str, Any] = {}  # what a fault notes for its heal or check
        self.notes: list[str] = []
        self.failures: list[str] = []
        self.lost_events = 0
        self.proxy = Proxy(seed) if any(fault.is_proxied for fault in faults) else None
        self.site = Site(home / "site", slo_dir=write_slos(home / "slo"))
        if self.proxy:
            self.site.kafka = ProxiedKafka(home / "site" / "kafka", self.proxy)
        self.marks: list[Mark] = []
        self.workers = max(fault.workers for fault in faults)

    def __enter__(self) -> Self:
        """Start everything."""
        try:
            for fault in self.faults:
                fault.prepare(self)
            self.site.kafka.start()  # a JVM does not live with a clock of ours
            if self.is_hurried:
                create_narrow_topics(self.site.settings)
            with _environment(self.environment):
                self.site.start()
            brokers = self.site.kafka.proxied if isinstance(self.site.kafka, ProxiedKafka) else self.site.kafka.brokers
            self.settings = self.site.settings.model_copy(
                update={
                    "kafka_brokers": brokers,
                    "session_timeout_s": SESSION_S,
                    "data_dir": Path(".burnline").resolve(),
                }
            )
            self.crew = Crew(self.settings, self.home / "log", self.workers, self.environment)
            self.crew.start()
            self.load = LoadProcess(self.plan)
            self.sums = readers.Sums(self.site.kafka.brokers)
            self.watch = LagWatch(
                self.site.kafka.brokers, self.site.clickhouse, lambda: self.crew.pids, EVENTS,
                f"{self.settings.group}-ingest",
            )  # fmt: skip
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        for name in ("load", "watch", "crew", "sums"):
            part = getattr(self, name, None)
            if part is not None:
                (part.close if name == "sums" else part.stop)()
        self.site.stop()
        if self.proxy:
            self.proxy.stop()
        for fault in self.faults:
            fault.clean(self)

    @property
    def plan(self) -> LoadPlan:
        skews = [skew for fault in self.faults for skew in fault.skews_s]
        partitions = EVENTS_MOST if self.is_hurried else topics()[EVENTS].partitions
        return LoadPlan(
            self.site.kafka.brokers, EVENTS, str(self.settings.slo_dir), self.rate, partitions, skews_s=skews
        )

    def run(self, rounds: int | None = None) -> Result:
        """Live through the faults and judge what came of it."""
        time.sleep(STEADY_S)
        for fault in self.faults:
            for self.round in range(rounds or fault.rounds):
                self._suffer(fault)
        result = Result("+".join(fault.name for fault in self.faults), self.seed, rounds, self.rate)
        self._rest(result)
        for fault in self.faults:
            result.problems += fault.check(self)
        result.problems += self.failures
        result.marks, result.notes = self.marks, self.notes
        result.samples = [asdict(sample) for sample in self.watch.samples]
        result.rss_peak_bytes = max((sample.rss_bytes for sample in self.watch.samples), default=0)
        return result

    def patiently(self, condition: Callable[[], bool], patience_s: float) -> bool:
        """Wait for a condition; say whether it came."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.3)
        return True

    def rss_bytes(self) -> int:
        """Of the largest worker, lately."""
        return max(sample.rss_bytes for sample in self.watch.samples[-4:])

    def _suffer(self, fault: Fault) -> None:
        time.sleep(self.chance.uniform(2.0, 4.0))
        if not self.patiently(self._is_ready, min(RECOVERY_S, self.patience_s)):
            self.notes.append(f"{fault.name}: the pipeline was not steady before it")
        limits = self.watch.limits(self.rate)
        inject_s = self.watch.now_s()
        fault.inject(self)
        fault.heal(self)
        mark = Mark(fault.name, inject_s, self.watch.now_s())
        self.marks.append(mark)
        patience_s = min(fault.recovery_s, self.patience_s)
        deadline = time.monotonic() + patience_s
        while not self._is_over(mark) and time.monotonic() < deadline:
            time.sleep(0.2)
            mark.judged_s = self.watch.recovered_s(mark.heal_s, limits[:2])
            mark.recovery_s = self.watch.recovered_s(mark.heal_s, limits)
        if not self._is_over(mark):
            awaited = "nothing new was stored" if self.is_hurried else "lags were not as before"
            self.notes.append(f"{fault.name}: {awaited} within {patience_s:.0f} s, under load")

    def _is_ready(self) -> bool:
        """Whether the next fault would find everybody at work."""
        healed_s = self.marks[-1].heal_s if self.marks else 0.0
        return self.watch.went_on(healed_s) if self.is_hurried else self.watch.is_steady()

    def _is_over(self, mark: Mark) -> bool:
        return self.watch.went_on(mark.heal_s) if self.is_hurried else mark.recovery_s is not None

    def _rest(self, result: Result) -> None:
        truth = verdict.Truth.of(self.load.pause())
        result.events, result.rate = truth.events, truth.rate
        self._drain(result, truth)
        self._compare_alerts(result, truth)
        result.deaths, result.lost_events = len(self.crew.deaths), self.lost_events
        for place, found in result.differences.items():
            if (found.missing, found.extra) != (result.lost_in(place), 0):
                result.problems.append(f"{place}: {found.missing:,} missing, {found.extra:,} extra")

    def _drain(self, result: Result, truth: verdict.Truth) -> None:
        """Compare until all is there, or for so long nothing more has come: a busy machine takes its time."""
        deadline, least = time.monotonic() + DRAIN_S, -1
        while time.monotonic() < deadline:
            result.differences = verdict.differences(truth, self.sums, self.site.clickhouse)
            missing = sum(found.missing for found in result.differences.values())
            if least < 0 or missing < least:
                deadline, least = time.monotonic() + DRAIN_S, missing
            if not any(found.missing or found.extra for found in result.differences.values()):
                return
            if self.lost_events and result.differences["slices_1h"].missing == self.lost_events:
                time.sleep(3)
                result.differences = verdict.differences(truth, self.sums, self.site.clickhouse)
                return
            time.sleep(0.5)

    def _compare_alerts(self, result: Result, truth: verdict.Truth) -> None:
        """First wait for what is due by now; then stop the workers, and look for what never was due."""
        due = verdict.judged_alone(self.settings, self.sums.log)
        deadline = time.monotonic() + 40
        while due.keys() - dict(list(self.watch.alerts)).keys() and time.monotonic() < deadline:
            time.sleep(0.5)
        absent = due.keys() - dict(list(self.watch.alerts)).keys()
        time.sleep(3.0)  # the store writes the last ones
        self.crew.stop()
        self.watch.stop()
        self.sums.read()
        later = verdict.judged_alone(self.settings, self.sums.log)
        expected = {name: later[name] for name in later.keys() & (due.keys() | dict(self.watch.alerts).keys())}
        stored = readers.alert_rows(self.site.clickhouse)
        late = {name for name, _ in self.watch.alerts} - due.keys()  # told while the workers stopped
        result.alerts = verdict.alerts_of(self.watch.alerts, expected, stored | late)
        if absent:
            result.alerts.problems.append(f"{len(absent)} alerts did not come within 40 s")
        result.problems += result.alerts.problems
        if result.alerts.fired < min(truth.bursts, self.plan.models) - 1 and "skew" not in result.fault:
            result.problems.append(f"{result.alerts.fired} alerts fired, but there were {truth.bursts} bursts")


class LoadProcess:
    """The load, and what to tell it."""

    def __init__(self, plan: LoadPlan) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.load"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._write(first_line(plan))
        self._answer()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load ended with {self._process.wait()}")
        said: dict[str, Any] = json.loads(line)
        return said

    def pause(self) -> dict[str, Any]:
        """Send nothing more; return the truth once everything is delivered."""
        self._write('{"pause": true}\n')
        return self._answer()

    def go_on(self, **changes: Any) -> None:
        self._write(json.dumps({"pause": False, **changes}) + "\n")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


class _environment:  # noqa: N801  a context manager used as a function
    """Variables for what is started meanwhile."""

    def __init__(self, extra: Mapping[str, str]) -> None:
        self._extra = extra

    def __enter__(self) -> None:
        self._before = dict(os.environ)
        os.environ.update(self._extra)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)
