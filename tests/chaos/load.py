"""Continuous load from a process of its own, which keeps the exact truth: `python -m tests.chaos.load`.

The first line on stdin is a LoadPlan, each further one a command, all of them JSON: `{"pause": true}` sends nothing
more and answers with the truth once all is delivered; `{"pause": false, "partitions": 12}` goes on, over so many. EOF
ends it. Idempotent and patient: what it has sent arrives once, however long the broker is away.
"""

import json
import queue
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from jobs.fleet import Truth
from pipeline.encoding import EventColumns, EventEncoder, Words
from pipeline.sli import FAILURE_KINDS, OUTCOMES, Case
from pipeline.spec import load
from tests.bench.fleet_events import fleet_columns, series_of
from tests.bench.topic import OPTIONS, send

TICK_S = 0.05
CASES = tuple(case.name.lower() for case in Case)
SERVICE = "chat"
BASE, SERIES = 20_000, 200
SUCCESS, ERROR = OUTCOMES.index("SUCCESS"), OUTCOMES.index("ERROR")
PATIENT = {"enable.idempotence": True, "acks": "all", "message.timeout.ms": 600_000, "linger.ms": 5, "log_level": 0,
           "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000}  # fmt: skip


@dataclass(frozen=True)
class LoadPlan:
    """What to send. A model is all bad for `burst_s`, then the next one, `burst_every_s` later."""

    brokers: str
    topic: str
    slo_dir: str
    rate: int = 20_000
    partitions: int = 8
    models: int = 12
    quiet_s: float = 12.0
    burst_every_s: float = 6.0
    burst_s: float = 8.0
    skews_s: list[float] = field(default_factory=lambda: [0.0])  # by how much producers' clocks are wrong


class Events:
    """A base of drawn events, and how a stretch of it becomes events of now."""

    def __init__(self, plan: LoadPlan) -> None:
        columns = fleet_columns(BASE, SERIES)
        self.plan, self._at = plan, 0
        self.model = (series_of(columns)[0] % plan.models).astype(np.int32)
        names = tuple(f"model-{number:02d}" for number in range(plan.models))
        service = Words((SERVICE,), np.zeros(BASE, np.int32))
        self._columns = EventColumns({**columns.columns, "service": service, "request_model": Words(names, self.model)})

    def next(self, count: int, now_us: int, elapsed_s: float) -> EventColumns:
        """Events that complete now, by their producers' clocks."""
        rows = (self._at + np.arange(count)) % BASE
        self._at += count
        events, is_bad = self._columns.take(rows), self._is_bad(self.model[rows], elapsed_s)
        skews_us = (np.array(self.plan.skews_s) * 1e6).astype(np.int64)
        at_us = now_us + skews_us[np.arange(count) // self.plan.partitions % len(skews_us)]  # in every partition
        changed: dict[str, Any] = {
            "completed_at": at_us, "emitted_at": at_us, "received_at": at_us - events["e2e_us"],
            "attempt": np.ones(count, np.int64), "final_attempt": np.ones(count, np.bool_),
            "outcome": np.where(is_bad, ERROR, SUCCESS).astype(np.int32),
            "failure_kind": np.where(is_bad, FAILURE_KINDS.index("EXECUTION"), 0).astype(np.int32),
            "http_status": np.where(is_bad, 500, 200),
        }  # fmt: skip
        return EventColumns({**events.columns, **changed})

    def _is_bad(self, models: NDArray[np.int32], elapsed_s: float) -> NDArray[np.bool_]:
        plan = self.plan
        since_s = elapsed_s - plan.quiet_s - models * plan.burst_every_s
        around_s = plan.models * plan.burst_every_s
        return (since_s >= 0) & (since_s % around_s < plan.burst_s)


def bursts(plan: LoadPlan, elapsed_s: float) -> int:
    """How many bursts have been whole by then."""
    whole = (elapsed_s - plan.quiet_s - plan.burst_s) / plan.burst_every_s
    return max(int(whole) + 1, 0) if whole >= 0 else 0


class Load:
    """Sends until told otherwise."""

    def __init__(self, plan: LoadPlan, commands: "queue.Queue[dict[str, Any] | None]") -> None:
        self.plan, self._commands = plan, commands
        self.partitions = plan.partitions
        self.truth = Truth(load([plan.slo_dir]).checked().objectives, latencies=False)
        self._producer = self._connected()
        self._events, self._encoder = Events(plan), EventEncoder()

    def _connected(self) -> Producer:
        """A producer with fresh knowledge of the topic."""
        return Producer({"bootstrap.servers": self.plan.brokers} | OPTIONS | PATIENT)

    def run(self) -> None:
        """Tick after tick; ticks that are late are not left out."""
        count, sent_s = round(self.plan.rate * TICK_S), 0.0
        self._encoder.encode(self._events.next(100, time.time_ns() // 1000, 0.0))  # compiles
        say({"ready": True})
        began_s = time.monotonic()
        while True:
            began_s += self._obey(sent_s, time.monotonic() - began_s)
            behind_s = time.monotonic() - began_s - sent_s
            if behind_s < 0:
                time.sleep(-behind_s)
            self._send(self._events.next(count, time.time_ns() // 1000, sent_s))
            sent_s += TICK_S

    def _send(self, events: EventColumns) -> None:
        values = self._encoder.encode(events).records()
        for partition in range(self.partitions):
            send(self._producer, self.plan.topic, partition, values[partition :: self.partitions])
        self.truth.add(events)

    def _obey(self, sent_s: float, took_s: float) -> float:
        """Do as told; return for how long nothing was sent. Sending `sent_s` of events took `took_s`."""
        began_s, is_paused = time.monotonic(), False
        while is_paused or not self._commands.empty():
            command = self._commands.get()
            if command is None:
                sys.exit(0)
            self.partitions = command.get("partitions", self.partitions)
            is_paused = command["pause"]
            while self._producer.flush(1.0):
                pass
            if is_paused:
                say(self._told(sent_s, took_s))
            else:
                self._producer = self._connected()
        return time.monotonic() - began_s

    def _told(self, sent_s: float, took_s: float) -> dict[str, Any]:
        requests: dict[str, int] = {}
        for (labels, _), counters in self.truth.slices().items():
            model = labels[1]
            requests[model] = requests.get(model, 0) + sum(counters[name] for name in CASES)
        return {
            "events": self.truth.events, "totals": self.truth.totals(), "requests": requests,
            "bursts": bursts(self.plan, sent_s), "rate": self.truth.events / took_s,
        }  # fmt: skip


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    plan = LoadPlan(**json.loads(sys.stdin.readline()))
    commands: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            commands.put(json.loads(line))
        commands.put(None)

    threading.Thread(target=listen, daemon=True).start()
    Load(plan, commands).run()


def first_line(plan: LoadPlan) -> str:
    return json.dumps(asdict(plan)) + "\n"


def write_slos(directory: Path) -> Path:
    """One SLO that fires within seconds of a burst and one that is only counted."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "chaos.yaml").write_text(SLOS.format(service=SERVICE))
    return directory


SLOS = """\
apiVersion: burnline/v1
kind: SLO
metadata: {{name: errors}}
spec:
  service: {service}
  indicator: {{metric: error_rate, groupBy: [request_model]}}
  target: 0.99
  timeWindow: {{duration: 1h, isRolling: true}}
  alerting: {{pairs: [{{severity: critical, factor: 10, long: 20s, short: 5s}}]}}
---
apiVersion: burnline/v1
kind: SLO
metadata: {{name: quick}}
spec:
  service: {service}
  indicator: {{metric: e2e, op: lte, threshold: 2s, groupBy: [region]}}
  target: 0.9
  timeWindow: {{duration: 30d, isRolling: true}}
  alerting: {{preset: default}}
"""

if __name__ == "__main__":
    main()
