"""A seeded schedule: producers, workers and accidents in any order, then peace; and what must have come of it.

Everything follows from the seed. An accident is never mended by the schedule: a killed worker's partitions wait for a
rebalance, a sleeper keeps its memory until it wakes, a transaction left open blocks its readers.
"""

from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

from fastavro import parse_schema, schemaless_writer
from faust.types import TP

from pipeline.framing import single_object_header
from pipeline.records import OutRecord
from schemas import avro_text
from tests.event_samples import MODELS, START_US, sample, spoilt
from tests.naive import counts as naive
from tests.naive.events import READER, refused
from tests.simulation.pipeline_broker import Broker, Database, Fenced
from tests.simulation.pipeline_steps import PARTITIONS, TOPICS, Clock, Died, Member, objectives

HEADER = single_object_header(avro_text("inference_event"))
SCHEMA = parse_schema(READER)
EVENTS = "inference.events"
WORKERS = 3
ACTS = 110
#: microseconds by which producers' clocks are wrong: right, minutes behind, seconds ahead, hours ahead
SKEWS_US = (0, 0, 0, 0, -150_000_000, 3_000_000, 7_200_000_000)
LATE_US = (0, 0, 0, 0, 900_000, 30_000_000)
STEPS_S = (-40.0, -3.0, 15.0)  #: of a host's clock
DEATHS = 0.02  #: at each point of a unit that is being written
QUIET_S = 30.0  #: nothing comes any more for so long, and every batch of the store ends


class World:
    """One schedule."""

    def __init__(self, seed: int, kernels: Path) -> None:
        self.random = Random(seed)
        self.broker, self.database = Broker(PARTITIONS, now_ms=START_US // 1000), Database()
        self.truth, self.refused = naive.Totals(), Counter[tuple[int, int]]()
        self.now_us, self.weather = START_US, 0
        self.skew_us = [self.random.choice(SKEWS_US) for _ in range(4)]  # of four producers
        clocks = [Clock(START_US + self.random.randrange(-2_000_000, 2_000_000)) for _ in range(WORKERS)]
        self.members = {
            step: [Member(step, self.broker, self.database, kernels, self.random, clock) for clock in clocks]
            for step in TOPICS
        }
        self.done = Counter[str]()
        for step in TOPICS:
            self._rebalance(step)

    def run(self) -> None:
        """Live through all acts, then let everything come to rest."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (8, self.produce), (44, self.work), (12, self.pass_time), (2, self.kill), (3, self.sleep), (4, self.wake),
            (4, self.rebalance), (2, self.step_clock), (2, self.time_out), (3, self.stale_block),
        ]  # fmt: skip
        weights = [weight for weight, _ in acts]
        for _, act in self.random.choices(acts, weights, k=ACTS):
            self.done[act.__name__] += 1
            act()
        self._rest()

    # -- producers
    def produce(self) -> None:
        """A few events, some of them bad, late or useless."""
        producer, tp = self.random.randrange(4), TP(EVENTS, self.random.randrange(PARTITIONS[EVENTS]))
        if self.random.random() < 0.2:
            self.weather = self.random.randrange(8)
        for _ in range(self.random.randint(1, 16)):
            self._send(tp, self._event(producer))

    def _event(self, producer: int) -> dict[str, Any]:
        if self.random.random() < 0.02:
            return spoilt(self.random)
        event = sample(self.random)
        at = self.now_us + self.skew_us[producer] - self.random.choice(LATE_US)
        is_bad = self.weather >> MODELS.index(event["request_model"]) & 1 and self.random.random() < 0.6
        outcome = ("ERROR", 500) if is_bad else ("SUCCESS", 200)
        times = {"completed_at": at, "received_at": at - 1000, "emitted_at": at}
        return event | times | dict(zip(("outcome", "http_status"), outcome, strict=True)) | {"failure_kind": "NONE"}

    def _send(self, tp: TP, event: dict[str, Any]) -> None:
        stream = BytesIO()
        schemaless_writer(stream, SCHEMA, event)
        is_torn = self.random.random() < 0.01
        value = HEADER + (stream.getvalue()[:-1] if is_torn else stream.getvalue())
        if is_torn or refused(event):
            self.refused[tp.partition, len(self.broker.logs[tp].entries)] += 1
        else:
            naive.add(self.truth, event, self.broker.now_ms, objectives())
        self.broker.logs[tp].append(OutRecord(tp.topic, value, b"k"), self.broker.now_ms)

    # -- workers
    def _works(self) -> list[tuple[Member, TP]]:
        awake = [member for members in self.members.values() for member in members if not member.is_asleep]
        return [(member, tp) for member in awake for tp in member.works]

    def work(self) -> None:
        """Every partition that is awake gets on by one thing."""
        works = self._works()
        self.random.shuffle(works)
        for member, tp in works:
            if tp in member.works:
                self._one_thing(member, tp)

    def _one_thing(self, member: Member, tp: TP) -> None:
        what = self.random.random()
        try:
            if what < 0.4:
                member.fetch(tp, self.random.randint(1, 60))
            elif what < 0.6:
                member.fold(tp)
            else:
                member.write(tp, self.random.choice((2, 7, 100)), self._dies)
        except Died:
            self._killed(self.members[member.step].index(member))
        except Fenced:
            self.done["fenced"] += 1
            member.forget()

    def _dies(self, point: str) -> bool:
        is_dead = self.random.random() < DEATHS
        self.done[point] += is_dead
        return is_dead

    def _killed(self, worker: int) -> None:
        for members in self.members.values():
            members[worker].forget()
            members[worker].is_asleep = False

    def kill(self) -> None:
        self._killed(self.random.randrange(WORKERS))

    def sleep(self) -> None:
        """A worker is stopped, its memory stays."""
        worker = self.random.randrange(WORKERS)
        for members in self.members.values():
            members[worker].is_asleep = True

    def wake(self) -> None:
        for members in self.members.values():
            for member in members:
                member.is_asleep = False

    def stale_block(self) -> None:
        """A block arrives that was read before a seek."""
        if works := self._works():
            member, tp = self.random.choice(works)
            member.fetch_stale(tp)

    def rebalance(self) -> None:
        self._rebalance(self.random.choice(list(TOPICS)))

    def _rebalance(self, step: str) -> None:
        """Who is awake lets go, in order or too late, and takes a new share; who sleeps knows nothing of it."""
        awake = [member for member in self.members[step] if not member.is_asleep]
        for member in awake:
            if self.random.random() < 0.8:
                member.release()
            member.works.clear()
        if awake:
            shares: dict[Member, list[TP]] = {member: [] for member in awake}
            for topic in TOPICS[step]:
                for tp in self.broker.of(topic):
                    shares[self.random.choice(awake)].append(tp)
            for member, tps in shares.items():
                member.own(tps)

    # -- time
    def pass_time(self) -> None:
        self._go_on(self.random.choice((0.3, 1.0, 1.0, 4.0)))

    def _go_on(self, seconds: float) -> None:
        self.now_us += int(seconds * 1e6)
        self.broker.now_ms += int(seconds * 1e3)
        for member in self.members["ingest"]:  # all steps of a worker share its clock
            member.clock.go_on(seconds)

    def step_clock(self) -> None:
        """A host's clock is set: a worker's or the broker's."""
        step_s, host = self.random.choice(STEPS_S), self.random.randrange(WORKERS + 1)
        if host == WORKERS:
            self.broker.now_ms += int(step_s * 1e3)
        else:
            self.members["ingest"][host].clock.us += int(step_s * 1e6)

    def time_out(self) -> None:
        """The broker aborts what has been open for too long."""
        self.broker.time_out()

    # -- the end
    def _rest(self) -> None:
        """Everybody is awake and sound; what was sent goes all the way."""
        self.wake()
        self.broker.time_out()
        for step in TOPICS:
            self._rebalance(step)
        self._all_through("ingest")
        latest_us = max(member.clock.us for member in self.members["ingest"])
        for member in self.members["ingest"]:
            member.clock.us = latest_us
        for _ in range(3):
            self._go_on(QUIET_S)
            self._all_through("ingest")
        self._all_through("judge")
        self._all_through("store")

    def _all_through(self, step: str) -> None:
        for member in self.members[step]:
            for tp, work in member.works.items():
                while work.position < self.broker.logs[tp].stable_end:
                    member.fetch(tp, 200)
                for _ in range(3):
                    member.fold(tp)
                    member.write(tp)
