"""The plant: one service of one model, second by second: arrivals by class, a queue, batches on replicas, verdicts.

Pure. Continuous batching: with n requests on a replica everything takes slow(n) = 1 + batching_cost x n / batch_most
times as long as alone; beyond batch_most requests wait, first come first served whatever their class, as engines do by
default. A request's speed is that of its admission, as capacity is defined (by what was in flight at admission). Its
verdict comes with its completion: good when each objective of its class holds, bad when not, when it gave up waiting,
and when it was shed (counted apart). An ordered replica is ready after a cold start; one that is given up drains.

    knee: the most requests a replica may have in flight while every class still meets its target: `PlantSpec.knee`
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from jobs.loop.seen import Controller, History, Orders, Seen

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassSpec:
    """A class of requests; without objectives nothing of it is bad but what gave up."""

    name: str
    share: float
    priority: int  # below 0: sheddable, what is shed of it is tracked apart
    ttft_s: float | None = None
    tpot_s: float | None = None
    target: float = 0.99

    @property
    def has_slo(self) -> bool:
        return self.ttft_s is not None or self.tpot_s is not None


CLASSES = (
    ClassSpec("CRITICAL", 0.20, 3, ttft_s=1.0, tpot_s=0.033),
    ClassSpec("HIGH_FAST", 0.30, 2, ttft_s=1.0, tpot_s=0.033),
    ClassSpec("HIGH_SLOW", 0.20, 1, ttft_s=5.0, tpot_s=0.060),
    ClassSpec("LOW", 0.20, 0, ttft_s=15.0, target=0.95),
    ClassSpec("NO_SLO", 0.10, -1),
)


@dataclass(frozen=True)
class PlantSpec:
    """Speeds of a 70B model on two accelerators, in round figures; see jobs/fleet/catalogue.py."""

    classes: tuple[ClassSpec, ...] = CLASSES
    batch_most: int = 48
    batching_cost: float = 1.0  # how much longer a token takes in a full batch than alone, as a share
    prefill_s: float = 0.1
    tpot_s: float = 0.020  # alone
    tpot_sigma: float = 0.08  # from request to request
    tokens_mean: float = 200.0
    tokens_sigma: float = 0.7
    patience_s: float = 30.0  # who waits longer goes away
    cold_start_s: float = 90.0  # median
    cold_start_sigma: float = 0.25
    drain_s: int = 10
    gpus: int = 2  # a replica
    cpu_idle_ratio: float = 0.15  # of the CPU that a replica asked for; the rest grows with the tokens it writes
    cpu_full_ratio: float = 0.90

    def slow(self, in_flight: float) -> float:
        """How many times as long as alone everything takes with so many on a replica."""
        return 1 + self.batching_cost * in_flight / self.batch_most

    def service_s(self, in_flight: float) -> float:
        """How long a mean request takes with so many on its replica, without waiting."""
        return (self.prefill_s + self.tokens_mean * self.tpot_s) * self.slow(in_flight)

    @cached_property
    def knee(self) -> float:
        """The true concurrent capacity of a replica: the most in flight at which every class meets its target."""
        limits = [
            each.tpot_s / self.tpot_s / math.exp(NormalDist().inv_cdf(each.target) * self.tpot_sigma)
            for each in self.classes
            if each.tpot_s is not None
        ]
        most = (min(limits) - 1) * self.batch_most / self.batching_cost if limits else float(self.batch_most)
        return min(max(most, 0.0), self.batch_most)

    @property
    def knee_rps(self) -> float:
        """Requests a second that a replica serves at the knee: Little's law."""
        return self.knee / self.service_s(self.knee)

    @property
    def cold_start_p95_s(self) -> float:
        return self.cold_start_s * math.exp(NormalDist().inv_cdf(0.95) * self.cold_start_sigma)

    def cpu_ratio(self, in_flight: float) -> float:
        """What a replica's CPU does: it follows the tokens written, which a fuller batch raises less and less."""
        of_full = (in_flight / self.slow(in_flight)) / (self.batch_most / self.slow(self.batch_most))
        return self.cpu_idle_ratio + (self.cpu_full_ratio - self.cpu_idle_ratio) * of_full


@dataclass(frozen=True)
class Requests:
    """Every request of a run, in the order of arrival. Shapes: (request,)."""

    at_s: Floats
    kind: NDArray[np.int64]  # class
    alone_s: Floats  # from first token to last, alone
    slow_most: Floats  # slower than that, and its TPOT is bad
    ttft_most_s: Floats
    luck: Floats  # in [0, 1): below the share that is shed of its class, it is
    first: NDArray[np.int64]  # (second + 1,): which request is the first of a second


@dataclass(frozen=True)
class Rehearsed:
    """What came of a run."""

    spec: PlantSpec
    history: History
    cold_starts_s: tuple[float, ...]
    orders: tuple[tuple[int, int], ...]  # (second, replicas) of every order that changed something


def draw(spec: PlantSpec, rates: Floats, seed: int) -> Requests:
    """Draw every request; Poisson within each second."""
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, 2])))
    counts = rng.poisson(rates)
    first = np.concatenate([[0], np.cumsum(counts)])
    n = int(first[-1])
    at_s = np.sort(np.repeat(np.arange(len(rates)), counts) + rng.random(n))
    kind = rng.choice(len(spec.classes), n, p=_shares(spec))
    tokens = np.exp(spec.tokens_sigma * rng.standard_normal(n) - spec.tokens_sigma**2 / 2) * spec.tokens_mean
    speed = np.exp(spec.tpot_sigma * rng.standard_normal(n)) * spec.tpot_s
    tpot_most = np.array([np.inf if each.tpot_s is None else each.tpot_s for each in spec.classes])
    ttft_most = np.array([np.inf if each.ttft_s is None else each.ttft_s for each in spec.classes])
    return Requests(at_s, kind, tokens * speed, tpot_most[kind] / speed, ttft_most[kind], rng.random(n), first)


def _shares(spec: PlantSpec) -> Floats:
    shares: Floats = np.array([each.share for each in spec.classes])
    shares /= shares.sum()
    return shares


@dataclass
class _Replicas:
    """Replicas by what they are doing."""

    rng: np.random.Generator
    spec: PlantSpec
    ready: int
    starting: list[tuple[float, float]] = field(default_factory=list)  # (ready at, how long it takes), unordered
    draining: list[int] = field(default_factory=list)  # gone at
    cold_starts_s: list[float] = field(default_factory=list)

    @property
    def current(self) -> int:
        return self.ready + len(self.starting)

    def order(self, replicas: int, at_s: int) -> None:
        """Start what is missing; of what is too much let first those go that are not ready yet."""
        wanted = max(replicas, 1)
        for _ in range(wanted - self.current):
            takes_s = self.spec.cold_start_s * math.exp(self.spec.cold_start_sigma * self.rng.standard_normal())
            self.starting.append((at_s + takes_s, takes_s))
        self.starting.sort()
        while self.current > wanted:
            if self.starting:
                self.starting.pop()
            else:
                self.ready -= 1
                self.draining.append(at_s + self.spec.drain_s)

    def pass_to(self, at_s: int) -> None:
        while self.starting and self.starting[0][0] <= at_s:
            self.cold_starts_s.append(self.starting.pop(0)[1])
            self.ready += 1
        while self.draining and self.draining[0] <= at_s:
            self.draining.pop(0)


def run(
    spec: PlantSpec,
    rates: Floats,
    seed: int,
    controllers: Sequence[Controller],
    replicas: int,
    blackouts: Sequence[tuple[int, int]] = (),
    lag_s: int = 5,
) -> Rehearsed:
    """Let a service live through a load, and controllers give orders.

    Units:  rates in requests a second, one for each second of the run.
    blackouts: seconds [from, to) in which telemetry is away; lag_s: what is known always ends so far behind.
    """
    seconds = len(rates)
    fleet = _Replicas(np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, 3]))), spec, replicas)
    floor = _Floor(spec, draw(spec, rates, seed), seconds)
    history = floor.history
    orders: list[tuple[int, int]] = []
    known_s = 0
    for second in range(seconds):
        fleet.pass_to(second)
        if not any(start <= second < end for start, end in blackouts):
            known_s = max(second - lag_s, 0)
        for controller in controllers:
            if second % controller.every_s == 0:
                seen = Seen(second, known_s, history.until(known_s), tuple(fleet.cold_starts_s), fleet.current)
                _obey(controller(seen), fleet, floor, second, orders)
        floor.pass_second(second, fleet.ready, len(fleet.draining))
        history.ready[second], history.starting[second] = fleet.ready, len(fleet.starting)
        history.draining[second] = len(fleet.draining)
    return Rehearsed(spec, history, tuple(fleet.cold_starts_s), tuple(orders))


def _obey(given: Orders, fleet: _Replicas, floor: "_Floor", second: int, orders: list[tuple[int, int]]) -> None:
    if given.replicas is not None and given.replicas != fleet.current:
        fleet.order(given.replicas, second)
        orders.append((second, fleet.current))
    for name, share in given.shed.items():
        floor.shed_ratio[floor.history.names.index(name)] = share


class _Floor:
    """Requests that wait and run, and the history that is written of them."""

    def __init__(self, spec: PlantSpec, requests: Requests, seconds: int) -> None:
        self.spec, self.requests = spec, requests
        self.shed_ratio = np.zeros(len(spec.classes))
        self._order = np.empty(len(requests.at_s), np.int64)  # who was let in, in their order
        self._head = self._tail = 0
        self._running = 0
        # One row more than there are seconds: for what completes after the run.
        ended = np.zeros((seconds + 1, 2, len(spec.classes)), np.int64)
        self._ended, self._leaving = ended.reshape(-1), np.zeros(seconds + 1, np.int64)
        self._served_ms = np.zeros(seconds + 1, np.int64)
        self.history = replace(
            History.empty(tuple(each.name for each in spec.classes), seconds),
            good=ended[:-1, 0], bad=ended[:-1, 1], completed=self._leaving[:-1], served_ms=self._served_ms[:-1],
        )  # fmt: skip

    def pass_second(self, second: int, ready: int, draining: int) -> None:
        self._running -= int(self._leaving[second])
        self._let_in(second)
        on = max(ready + draining, 1)
        in_flight = self._running / on
        free = int(ready * (self.spec.batch_most - in_flight))
        self._admit(second, min(max(free, 0), self._tail - self._head), on)
        self._give_up(second)
        of = self.history
        of.running[second], of.waiting[second] = self._running, self._tail - self._head
        of.cpu_ratio[second] = self.spec.cpu_ratio(self._running / on)

    def _let_in(self, second: int) -> None:
        first, last = self.requests.first[second], self.requests.first[second + 1]
        came = np.arange(first, last)
        kinds = self.requests.kind[first:last]
        self.history.offered[second] = np.bincount(kinds, minlength=len(self.shed_ratio))
        if self.shed_ratio.any():
            is_shed = self.requests.luck[first:last] < self.shed_ratio[kinds]
            self.history.shed[second] = np.bincount(kinds[is_shed], minlength=len(self.shed_ratio))
            came = came[~is_shed]
        self._order[self._tail : self._tail + len(came)] = came
        self._tail += len(came)

    def _admit(self, second: int, many: int, on: int) -> None:
        """Take the first of the queue: as they come while there is room, evenly over the second when there is not."""
        if not many:
            return
        chosen = self._order[self._head : self._head + many]
        is_full = many < self._tail - self._head
        at_s = self.requests.at_s[chosen]
        start_s = np.maximum(at_s, second + (np.arange(many) / many if is_full or at_s[0] < second else 0.0))
        slow = self.spec.slow(min((self._running + many / 2) / on, self.spec.batch_most))
        ttft_s = start_s - at_s + self.spec.prefill_s * slow
        took_s = (self.spec.prefill_s + self.requests.alone_s[chosen]) * slow
        is_bad = (ttft_s > self.requests.ttft_most_s[chosen]) | (slow > self.requests.slow_most[chosen])
        end = np.clip(start_s + took_s, second + 1, len(self._leaving) - 1).astype(np.int64)
        self._note(chosen, end, took_s, is_bad)
        self._head += many
        self._running += many

    def _note(
        self, chosen: NDArray[np.int64], end: NDArray[np.int64], took_s: Floats, is_bad: NDArray[np.bool_]
    ) -> None:
        np.add.at(self._leaving, end, 1)
        np.add.at(self._served_ms, end, (took_s * 1000).astype(np.int64))
        np.add.at(self._ended, (end * 2 + is_bad) * len(self.spec.classes) + self.requests.kind[chosen], 1)

    def _give_up(self, second: int) -> None:
        """Those who came first waited longest."""
        if self._head == self._tail:
            return
        waiting = self._order[self._head : self._tail]
        many = int(np.searchsorted(self.requests.at_s[waiting], second + 1 - self.spec.patience_s))
        if many:
            gone = np.bincount(self.requests.kind[waiting[:many]], minlength=len(self.shed_ratio))
            self.history.gave_up[second] += gone
            self.history.bad[second] += gone
            self._head += many
