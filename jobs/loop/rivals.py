"""Autoscalers that are in use: Kubernetes' HorizontalPodAutoscaler on CPU, and on a queue signal, as it decides.

Rules and figures: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm details;
default behaviour: no stabilization up, 300 s down, at most 4 pods or 100 % more in 15 s). Metrics are read every 15 s.
The queue signal is what llm-d's and KServe's guides scale on with KEDA: requests that run or wait, per replica.
"""

import math
from dataclasses import dataclass, field

from jobs.loop.seen import Orders, Seen

TOLERANCE = 0.1
STABLE_DOWN_S = 300
ADDED_LEAST = 4  #: pods that may be added at once, or as many as there are


@dataclass
class _Behaviour:
    """Limits of how fast the recommendation is followed; remembers recommendations."""

    most: int
    told: list[tuple[int, int]] = field(default_factory=list)

    def order(self, wanted: int, seen: Seen) -> Orders:
        self.told = [each for each in self.told if each[0] > seen.at_s - STABLE_DOWN_S] + [(seen.at_s, wanted)]
        if wanted < seen.current:
            wanted = min(max(replicas for _, replicas in self.told), seen.current)
        up = seen.current + max(ADDED_LEAST, seen.current)
        return Orders(replicas=max(min(wanted, up, self.most), 1))


@dataclass
class CpuThreshold:
    """HPA on the mean CPU utilisation of ready pods. Pods that are not ready count as idle when it would add some."""

    target: float = 0.8  # Kubernetes' default
    most: int = 40
    every_s: int = 15

    def __post_init__(self) -> None:
        self._behaviour = _Behaviour(self.most)

    def __call__(self, seen: Seen) -> Orders:
        return self._behaviour.order(self.wanted(seen), seen)

    def wanted(self, seen: Seen) -> int:
        ready, current = max(min(seen.ready, seen.current), 1), seen.current
        ratio = seen.cpu_ratio() / self.target
        if abs(ratio - 1) <= TOLERANCE or not seen.known_s:
            return current
        if ratio < 1:
            return min(math.ceil(ratio * ready), current)
        with_idle = ratio * ready / current
        return current if with_idle <= 1 + TOLERANCE else math.ceil(with_idle * current)


@dataclass
class Reactive:
    """HPA on requests in flight, waiting ones too: so many a replica."""

    target: float
    most: int = 40
    every_s: int = 15

    def __post_init__(self) -> None:
        self._behaviour = _Behaviour(self.most)

    def __call__(self, seen: Seen) -> Orders:
        in_flight = seen.running + seen.waiting
        wanted = per_replica(in_flight, self.target, seen.current) if seen.known_s else seen.current
        return self._behaviour.order(wanted, seen)


def per_replica(value: float, target: float, current: int, tolerance: float = TOLERANCE) -> int:
    """Return how many replicas the HPA wants by an external metric of type AverageValue."""
    ratio = value / (target * current)
    return current if abs(ratio - 1) <= tolerance else math.ceil(value / target)


@dataclass(frozen=True)
class Fixed:
    """As many as there are, whatever comes."""

    replicas: int
    every_s: int = 3_600

    def __call__(self, seen: Seen) -> Orders:
        return Orders(replicas=self.replicas)
