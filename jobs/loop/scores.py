"""What a run was worth: SLO minutes lost, accelerator hours, and how often it changed its mind.

A minute of a class is lost when less than its target was good of what was eligible in it; what was shed counts as bad
unless its priority is below 0. A minute of the service is lost when a class lost it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jobs.loop.plant import ClassSpec, Rehearsed
from jobs.loop.seen import History

MINUTE_S = 60
FLAP_S = 600  #: an order that takes back the one before within so long is a flap
ELIGIBLE_LEAST = 30  #: of a minute that can be lost


@dataclass(frozen=True)
class Score:
    """Of a whole run."""

    minutes: int
    minutes_lost: int
    minutes_lost_by_class: dict[str, int]
    bad_ratio: float  # of everything with an SLO
    shed_ratio: float  # of everything
    gpu_hours: float
    replicas_mean: float
    replicas_most: int
    orders: int
    flaps: int


def score(run: Rehearsed) -> Score:
    lost = {each.name: lost_minutes(run.history, each) for each in run.spec.classes if each.has_slo}
    any_lost = np.any(np.stack(list(lost.values())), axis=0)
    of, held = run.history, run.history.ready + run.history.starting + run.history.draining
    promised = [each for each in run.spec.classes if each.has_slo]
    bad = sum(int(bad_of(of, each).sum()) for each in promised)
    good = sum(int(of.good[:, of.names.index(each.name)].sum()) for each in promised)
    return Score(
        minutes=len(any_lost),
        minutes_lost=int(any_lost.sum()),
        minutes_lost_by_class={name: int(each.sum()) for name, each in lost.items()},
        bad_ratio=bad / max(good + bad, 1),
        shed_ratio=float(of.shed.sum() / max(of.offered.sum(), 1)),
        gpu_hours=float(held.sum()) * run.spec.gpus / 3600,
        replicas_mean=float(held.mean()),
        replicas_most=int(held.max()),
        orders=len(run.orders),
        flaps=flaps(run.orders),
    )


def bad_of(history: History, each: ClassSpec) -> NDArray[np.int64]:
    """Bad requests of a class, by the second."""
    column = history.names.index(each.name)
    shed = history.shed[:, column] if each.priority >= 0 else 0
    bad: NDArray[np.int64] = history.bad[:, column] + shed
    return bad


def lost_minutes(history: History, each: ClassSpec) -> NDArray[np.bool_]:
    """Tell of every whole minute whether a class lost it."""
    good = _by_minute(history.good[:, history.names.index(each.name)])
    bad = _by_minute(bad_of(history, each))
    lost: NDArray[np.bool_] = (good + bad >= ELIGIBLE_LEAST) & (good < each.target * (good + bad))
    return lost


def _by_minute(values: NDArray[np.int64]) -> NDArray[np.int64]:
    whole = len(values) // MINUTE_S * MINUTE_S
    sums: NDArray[np.int64] = values[:whole].reshape(-1, MINUTE_S).sum(axis=1)
    return sums


def flaps(orders: tuple[tuple[int, int], ...]) -> int:
    """Count the orders that take back the one before, within FLAP_S."""
    steps = [(at_s, replicas - before) for (_, before), (at_s, replicas) in pairwise(orders)]
    return sum(first * second < 0 and then_s - at_s <= FLAP_S for (at_s, first), (then_s, second) in pairwise(steps))
