"""What a controller is told and what it may order.

Law: nothing in a `Seen` is of a second at or after `known_s`, which stands still while telemetry is away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class History:
    """A number for every second of the run. Shapes: (second,), and (second, class) of what is told by class."""

    names: tuple[str, ...]  # of the classes, in the order of the columns
    offered: Ints  # by arrival
    shed: Ints  # by arrival
    good: Ints  # by completion
    bad: Ints  # by completion; without what was shed, with what gave up waiting
    gave_up: Ints  # by the time of giving up: part of bad
    served_ms: Ints  # (second,): what those that completed spent in a batch, queue excluded
    completed: Ints  # (second,)
    running: Ints
    waiting: Ints
    ready: Ints
    starting: Ints
    draining: Ints
    cpu_ratio: NDArray[np.float64]  # of a ready replica, mean over them

    @classmethod
    def empty(cls, names: tuple[str, ...], seconds: int) -> "History":
        """Nothing has happened yet."""
        shapes = dict.fromkeys(("offered", "shed", "good", "bad", "gave_up"), (seconds, len(names)))
        counts = {
            each.name: np.zeros(shapes.get(each.name, (seconds,)), np.int64)
            for each in fields(cls)
            if each.name not in ("names", "cpu_ratio")
        }
        return cls(names=names, cpu_ratio=np.zeros(seconds), **counts)

    def until(self, second: int) -> "History":
        """What was before a second; the same memory."""
        arrays = {each.name: getattr(self, each.name)[:second] for each in fields(self) if each.name != "names"}
        return replace(self, **arrays)


@dataclass(frozen=True)
class Seen:
    """What is known at a moment; of the history only what was before `known_s`."""

    at_s: int
    known_s: int
    history: History
    cold_starts_s: tuple[float, ...] = ()  # of replicas that became ready until now
    current: int = 0  # replicas that were ordered: ready and starting

    @property
    def age_s(self) -> int:
        return self.at_s - self.known_s

    def last(self, window_s: int, ago_s: int = 0) -> slice:
        """The seconds of a window that ends with what is known, or so long before."""
        end = max(self.known_s - ago_s, 0)
        return slice(max(end - window_s, 0), end)

    def offered_rps(self, window_s: int = 60, ago_s: int = 0) -> float:
        """Requests that arrived a second, shed ones too."""
        return _mean(self.history.offered[self.last(window_s, ago_s)].sum(axis=1))

    def counts(self, name: str, window_s: int) -> tuple[int, int, int]:
        """Return good, bad and shed of a class over a window."""
        column, span, of = self.history.names.index(name), self.last(window_s), self.history
        good, bad, shed = (int(each[span, column].sum()) for each in (of.good, of.bad, of.shed))
        return good, bad, shed

    def service_s(self, window_s: int = 60) -> float | None:
        """What requests that completed spent in a batch, on average; None: none did."""
        span = self.last(window_s)
        completed = int(self.history.completed[span].sum())
        return float(self.history.served_ms[span].sum()) / completed / 1000 if completed else None

    def cpu_ratio(self, window_s: int = 30) -> float:
        return _mean(self.history.cpu_ratio[self.last(window_s)])

    @property
    def waiting(self) -> int:
        """How many wait, as of the last second that is known."""
        return int(self.history.waiting[-1]) if self.known_s else 0

    @property
    def running(self) -> int:
        return int(self.history.running[-1]) if self.known_s else 0

    @property
    def ready(self) -> int:
        return int(self.history.ready[-1]) if self.known_s else self.current


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0


@dataclass(frozen=True)
class Orders:
    """What is to be so from now on; None, or a class that is not named: as it was."""

    replicas: int | None = None
    shed: Mapping[str, float] = field(default_factory=dict)  # class -> share of its arrivals to turn away


class Controller(Protocol):
    """Decides every `every_s` seconds."""

    @property
    def every_s(self) -> int: ...

    def __call__(self, seen: Seen) -> Orders: ...
