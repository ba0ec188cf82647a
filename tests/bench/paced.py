"""A steady producer in a process of its own: `python -m tests.bench.paced PLAN OUT`, both JSON files.

Every tick it sends the next stretch of the base with fresh times, and notes when. Instances turn bad one after the
other; what was sent of each instance in each tick is written into OUT, so that the reader of alerts knows which tick
made each of them due. Late ticks are not skipped: the rate achieved is what OUT says.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from pipeline.encoding import EventColumns, EventEncoder, Words
from pipeline.sli import FAILURE_KINDS, OUTCOMES
from tests.bench.exporter import Exporter
from tests.bench.fleet_events import fleet_columns, series_of
from tests.bench.topic import OPTIONS, PARTITIONS, send

TICK_S = 0.05
SERVICE = "chat"
SUCCESS, ERROR = OUTCOMES.index("SUCCESS"), OUTCOMES.index("ERROR")


@dataclass(frozen=True)
class PacePlan:
    """What to send; times in seconds since the first tick."""

    brokers: str
    topic: str
    rate: int
    seconds: float
    models: int
    base: int = 100_000
    series: int = 1_000
    bad_from_s: float = 1e9  # the first model turns bad
    bad_every_s: float = 1.0  # and then another one
    settle_s: float = 10.0  # after the last event, for the last alerts
    attack_from_s: float = 1e9  # from then on one event in `attack_every` has a tenant nobody has seen
    attack_every: int = 50
    metrics_port: int = 0  # where counters of what was sent are shown; 0: nowhere


@dataclass
class Sent:
    """Ticks: their event time, which is also when they began to be sent; events of each model in them."""

    event_us: list[int] = field(default_factory=list)
    good: list[list[int]] = field(default_factory=list)
    bad: list[list[int]] = field(default_factory=list)
    events: int = 0
    intruders: int = 0  # tenants made up by the attack
    elapsed_s: float = 0.0
    late_s_max: float = 0.0  # the farthest behind its schedule


class Steady:
    """The base, and how a stretch of it becomes events of now."""

    def __init__(self, plan: PacePlan) -> None:
        columns = fleet_columns(plan.base, plan.series)
        self.model = (series_of(columns)[0] % plan.models).astype(np.int32)
        names = tuple(f"model-{number:02d}" for number in range(plan.models))
        zeros = np.zeros(plan.base, np.int32)
        self.columns = EventColumns(
            {**columns.columns, "service": Words((SERVICE,), zeros), "request_model": Words(names, self.model)}
        )
        self.plan, self._at, self._encoder, self.intruders = plan, 0, EventEncoder(), 0

    def stretch(self, count: int) -> NDArray[np.int64]:
        """Rows of the next events."""
        rows = (self._at + np.arange(count)) % self.plan.base
        self._at += count
        return rows

    def attacked(self, tenants: Words) -> Words:
        """Give one row in `attack_every` a tenant of its own: as many new series as there are such rows."""
        codes = tenants.codes.copy()
        count, known = len(codes[:: self.plan.attack_every]), len(tenants.words)
        names = [f"intruder-{number:09d}" for number in range(self.intruders, self.intruders + count)]
        codes[:: self.plan.attack_every] = np.arange(known, known + count)
        self.intruders += count
        return Words((*tenants.words, *names), codes)

    def values(
        self, rows: NDArray[np.int64], at_us: int, is_bad: NDArray[np.bool_], is_attack: bool = False
    ) -> list[bytes]:
        """Encode rows as events that complete at `at_us`."""
        events = self.columns.take(rows)
        changed: dict[str, Any] = {
            "completed_at": np.full(len(rows), at_us), "emitted_at": np.full(len(rows), at_us),
            "received_at": at_us - events["e2e_us"], "attempt": np.ones(len(rows), np.int64),
            "final_attempt": np.ones(len(rows), np.bool_),
            "outcome": np.where(is_bad, ERROR, SUCCESS).astype(np.int32),
            "failure_kind": np.where(is_bad, FAILURE_KINDS.index("EXECUTION"), 0).astype(np.int32),
            "http_status": np.where(is_bad, 500, 200),
        }  # fmt: skip
        if is_attack:
            changed["tenant_id"] = self.attacked(events["tenant_id"])
        return self._encoder.encode(EventColumns({**events.columns, **changed})).records()


def run(plan: PacePlan) -> Sent:
    """Send until the time is over."""
    steady, sent = Steady(plan), Sent()
    producer = Producer({"bootstrap.servers": plan.brokers} | OPTIONS | {"linger.ms": 5, "compression.type": "lz4"})
    due_of = plan.bad_from_s + plan.bad_every_s * np.arange(plan.models)
    steady.values(steady.stretch(100), time.time_ns() // 1000, np.zeros(100, np.bool_))  # compiles
    exporter = Exporter(plan.metrics_port, plan.models) if plan.metrics_port else None
    began, count = time.monotonic(), round(plan.rate * TICK_S)
    for tick in range(round(plan.seconds / TICK_S)):
        behind_s = time.monotonic() - began - tick * TICK_S
        if behind_s < 0:
            time.sleep(-behind_s)
        sent.late_s_max = max(sent.late_s_max, behind_s)
        rows, at_us = steady.stretch(count), time.time_ns() // 1000
        models = steady.model[rows]
        is_bad = due_of[models] <= tick * TICK_S
        values = steady.values(rows, at_us, is_bad, is_attack=tick * TICK_S >= plan.attack_from_s)
        for partition in range(PARTITIONS):
            send(producer, plan.topic, partition, values[partition::PARTITIONS])
        every, bad = (np.bincount(each, minlength=plan.models) for each in (models, models[is_bad]))
        _note(sent, at_us, every, bad)
        if exporter is not None:
            exporter.count(every, bad)
    while producer.flush(1.0):
        pass
    sent.elapsed_s, sent.intruders = time.monotonic() - began, steady.intruders
    return sent


def _note(sent: Sent, at_us: int, every: NDArray[Any], bad: NDArray[Any]) -> None:
    sent.event_us.append(at_us)
    sent.good.append((every - bad).tolist())
    sent.bad.append(bad.tolist())
    sent.events += int(every.sum())


def main(plan: str, out: str) -> None:
    """Run a plan."""
    sent = run(PacePlan(**json.loads(Path(plan).read_text())))
    Path(out).write_text(json.dumps(asdict(sent)))


if __name__ == "__main__":
    main(*sys.argv[1:])
