"""The control agent: what ClickHouse answers -> the pure step of each control -> slo.signals.

It is a step over slo.signals itself: whoever owns its partition has read the latest signal of each key, which is all
the memory that controls have, and reads what jobs publish there too. Questions are asked in threads, and the step waits
for none: one that takes long delays its own control. Law: an owner that was fenced publishes nothing; while ClickHouse
is away nothing is published, and signals expire. A control that fails stops no other.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from faust.types import TP

from pipeline import snapshots
from pipeline.agents import signal_gauges
from pipeline.agents.parts import Agent, Parts
from pipeline.agents.signal_memory import Memory
from pipeline.blocks import encode
from pipeline.controls import quotas
from pipeline.controls.questions import SLOS, Rows, answers
from pipeline.controls.sections import sections
from pipeline.controls.signal import SCHEMA, Signal, Untellable, due
from pipeline.controls.table import CONTROLS, Control
from pipeline.foreign import AHEAD_US, Unusable
from pipeline.metrics import Reading
from pipeline.ourselves import Concern
from pipeline.records import OutRecord, RecordBlock, Unit, UnitFacts
from pipeline.sinks.asker import Asker, Refused, Unavailable
from pipeline.spec.files import stamp_of
from pipeline.spec.problems import SpecError
from pipeline.topics import SIGNALS
from pipeline.transport import FetchSpec, Step, StepSpec

if TYPE_CHECKING:
    from pipeline.spec import SloSet

UNIT_S = 0.25  #: between looks at what is due, and what was answered
ASKING_MOST = 3  #: controls that ask at once
LOOK_US = 10_000_000  #: between looks at the file

log = structlog.get_logger()


class Specs:
    """The specs in force. A file that has changed is read again; one that cannot be used leaves them as they were."""

    def __init__(self, parts: Parts) -> None:
        """Read them. Raises: SpecError."""
        self._settings = parts.settings
        self._written, self._looked_us = self._stamp(), 0
        self.now = sections(parts.settings.controls_file, parts.settings.gate_policy, parts.settings.trailing_s)

    def look(self, now_us: int) -> None:
        """Look whether a file has changed."""
        if now_us - self._looked_us < LOOK_US:
            return
        self._looked_us, written = now_us, self._stamp()
        if written == self._written:
            return
        self._written, settings = written, self._settings
        try:
            self.now = sections(settings.controls_file, settings.gate_policy, settings.trailing_s)
        except SpecError as error:
            log.error("the file of controls cannot be used; what was in force stays so", problems=str(error))

    def _stamp(self) -> tuple[Any, ...]:
        return tuple(stamp_of(file) for file in (self._settings.controls_file, self._settings.gate_policy))


def in_thread(work: Callable[[], None]) -> None:
    """Do it beside everything else. Nobody waits for it at the end: it only asks."""
    threading.Thread(target=work, name="control asks", daemon=True).start()


class ControlFold:
    """The fold of slo.signals: keeps what is published, has asked what is due, and decides on what was answered."""

    def __init__(
        self,
        parts: Parts,
        specs: Specs,
        controls: Sequence[Control] = CONTROLS,
        begin: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        """`begin` has some work done, now or later."""
        self.memory = Memory(parts.settings.limit_signals_kept)
        self.published: Mapping[str, Signal] = self.memory.published
        self.counters: defaultdict[tuple[str, str], float] = defaultdict(float)  # (metric, control)
        self._parts, self._specs, self._controls, self._begin = parts, specs, controls, begin
        self._askers = {control.name: Asker(parts.settings) for control in controls}
        self._asking: dict[str, Future[Rows]] = {}  # by control
        self._topic = parts.topic(SIGNALS)
        self._due_us = {control.name: 0 for control in controls}
        self._unanswered: set[str] = set()  # controls whose last question had no answer

    # -- what is published
    def restore(self, key: bytes, value: bytes | None) -> None:
        self._note((key or b"").decode("utf-8", "replace"), value, time.time_ns() // 1000)

    def _note(self, key: str, value: bytes | None, now_us: int) -> None:
        if value is None:
            self.memory.drop(key)
            return
        try:
            signal = Signal.read(snapshots.read(snapshots.SIGNAL, value, -1, self._parts.framing))
            if (ahead_us := signal.evaluated_at_us - now_us) > AHEAD_US:  # it would stay until that time has come
                raise Untellable(f"decided {ahead_us / 1e6:,.0f} s from now: is the clock right of who published it?")
        except (Unusable, Untellable) as error:
            self.counters["burnline_signals_unreadable", ""] += 1
            log.error("a signal cannot be read", key=key, error=str(error))
            return
        last = self.published.get(signal.key)
        if last is None or last.evaluated_at_us <= signal.evaluated_at_us:
            self.memory.keep(signal, now_us)

    # -- what is due
    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        """Take what others have published; ask what is due; decide on what was answered."""
        now_us = facts.flushed_at_us
        for block in blocks:
            for index in range(len(block)):
                self._note((block.key(index) or b"").decode("utf-8", "replace"), block.value(index), now_us)
        self._specs.look(now_us)
        records = [OutRecord(self._topic, None, key.encode(), 0) for key in self.memory.gone(now_us)]
        self._ask(now_us)
        for control in self._controls:
            if (answered := self._asking.get(control.name)) is not None and answered.done():
                del self._asking[control.name]
                records += self._told(control, answered, now_us)
        return Unit(records)

    def _ask(self, now_us: int) -> None:
        """Begin to ask for the controls that have waited longest."""
        waiting = (each for each in self._controls if each.name not in self._asking)
        for control in sorted(waiting, key=lambda each: self._due_us[each.name]):
            if len(self._asking) >= ASKING_MOST or now_us < self._due_us[control.name]:
                return
            spec = self._specs.now[control.name]
            self._due_us[control.name] = now_us + round(spec.every_s * 1e6)
            future = self._asking[control.name] = Future[Rows]()
            self._begin(partial(self._answer, control, spec, now_us, future))

    def _answer(self, control: Control, spec: Any, now_us: int, future: "Future[Rows]") -> None:
        """In a thread."""
        began_s, slos = time.monotonic(), self._parts.slos
        try:
            questions = control.ask(spec, slos.objectives, now_us)
            rows = {SLOS: promised(slos), **answers(questions, self._askers[control.name].rows, self._partly(control))}
            self.counters["burnline_control_seconds", control.name] += time.monotonic() - began_s
            future.set_result(rows)
        except Exception as error:
            future.set_exception(error)

    def _partly(self, control: Control) -> Callable[[str, Exception], None]:
        def tell(part: str, error: Exception) -> None:
            self.counters["burnline_control_unanswered", control.name] += 1
            log.warning(
                "a control has no answer to a part of what it asks", control=control.name, part=part, error=str(error)
            )

        return tell

    def _told(self, control: Control, answered: "Future[Rows]", now_us: int) -> list[OutRecord]:
        """What is worth publishing of what a control decides."""
        worth = due(self._decided(control, answered, now_us), self.published, now_us)
        told = [signal for signal in worth if self.memory.keep(signal, now_us)]
        self.counters["burnline_signals_published", control.name] += len(told)
        return [self._record(signal) for signal in told]

    def _decided(self, control: Control, answered: "Future[Rows]", now_us: int) -> list[Signal]:
        """What it decides; nothing, where that cannot be now."""
        try:
            signals = control.step(self._specs.now[control.name], self.published, answered.result(), now_us)
        except (Unavailable, Refused) as error:
            self.counters["burnline_control_unanswered", control.name] += 1
            if control.name not in self._unanswered:  # a server that is away for an hour is no news each time
                log.warning("a control has no answers: what it said expires", control=control.name, error=str(error))
            self._unanswered.add(control.name)
            return []
        except Exception as error:
            self.counters["burnline_control_failures", control.name] += 1
            log.error("a control failed: what it said expires", control=control.name, exc_info=error)
            return []
        self._unanswered.discard(control.name)
        most = self._parts.settings.limit_signals
        self.counters["burnline_signals_refused", control.name] += max(len(signals) - most, 0)
        return signals[:most]

    def _record(self, signal: Signal) -> OutRecord:
        return OutRecord(self._topic, encode(SCHEMA, signal.columns, self._parts.framing), signal.key.encode(), 0)


def promised(slos: "SloSet") -> list[dict[str, Any]]:
    """What SLO files promise, as rows."""
    return [
        {
            "slo": name, "service": slo.objective.service, "metric": slo.objective.indicator.metric,
            "target": slo.objective.target.numerator / slo.objective.target.scale,
        }
        for name, slo in slos.told.items()
    ]  # fmt: skip


def control(parts: Parts) -> Agent:
    """Build the agent. Raises: SpecError."""
    specs, folds = Specs(parts), dict[int, ControlFold]()

    def make_fold(tp: TP) -> ControlFold:
        folds[tp.partition] = ControlFold(parts, specs, CONTROLS if tp.partition == 0 else ())
        return folds[tp.partition]

    topic = parts.topic(SIGNALS)
    step = StepSpec("control", (topic,), make_fold, state_topic=topic, unit_s=UNIT_S)
    agent = Agent(
        Step(step, parts.ledger("control"), parts.kafka),
        FetchSpec(request_bytes=4 << 20, block_bytes=1 << 20, read_committed=True),
    )

    def owned() -> ControlFold | None:
        return folds.get(0) if TP(topic, 0) in agent.step.owned else None

    def readings() -> Iterator[Reading]:
        if (fold := owned()) is not None:
            yield from _readings(fold, time.time_ns() // 1000, parts.settings.limit_signal_series)

    def concerns() -> list[Concern]:
        if (fold := owned()) is None:
            return []
        return quotas.concerns(specs.now[quotas.NAME], dict(fold.published), time.time_ns() // 1000)

    agent.readings, agent.concerns = readings, concerns
    return agent


def _readings(fold: ControlFold, now_us: int, series_most: int) -> Iterator[Reading]:
    for (name, which), value in list(fold.counters.items()):
        yield Reading(name, value, (which,) if which else ())
    yield Reading("burnline_signals_not_kept", fold.memory.refused)
    for name, count in list(fold.memory.forgotten.items()):
        yield Reading("burnline_signals_forgotten", count, (name,))
    known: Mapping[str, Signal] = dict(fold.published)
    yield Reading("burnline_signals", sum(not each.is_expired(now_us) for each in known.values()))
    yield from signal_gauges.readings(known.values(), now_us, series_most)
