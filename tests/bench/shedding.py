"""Benchmark `shedding`: a surge of three times the load on a fleet that stays as it is, with and without the advice.

Closed loop: the plant of jobs/loop obeys `pipeline.controls.shedding`, which sees of it what ClickHouse would tell.
Eight replicas hold 25 requests a second at their knee; 45 come for 15 minutes. A class keeps its SLO when the share of
its requests that were good over the whole run is its target or more; what was shed is bad, unless its priority is below
0. `alike` sheds every class alike down to what the replicas truly hold, as a gateway does that knows no classes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from jobs.loop import Controller, Orders, PlantSpec, Rehearsed, Seen, noisy, run, surge
from jobs.loop.scores import bad_of, lost_minutes
from jobs.loop.shedder import PLACE, Shedder
from pipeline.controls.signal import Signal
from tests.bench import report

REPLICAS, RPS, FACTOR = 8, 15.0, 3.0
FROM_S, FOR_S, SECONDS = 1_200, 900, 4_800
PLANT = PlantSpec()
ERROR = 0.95  #: of a capacity that is measured: within 10 % of the true knee
COLOURS = {"CRITICAL": "#c0392b", "HIGH_FAST": "#e08e0b", "HIGH_SLOW": "#7d6608", "LOW": "#1b6ca8", "NO_SLO": "#9b9b9b"}


def measured_capacity() -> Signal:
    """What the control of capacity says of a replica."""
    return Signal(
        service=PLACE[0], model=PLACE[1], name="capacity", scope="", state="measured", value=PLANT.knee, unit="",
        reason="", evaluated_at_us=0, expires_at_us=10**15, inputs={"rps_per_endpoint": PLANT.knee_rps * ERROR},
    )  # fmt: skip


@dataclass(frozen=True)
class Alike:
    """Every class alike, by the true capacity."""

    every_s: int = 5

    def __call__(self, seen: Seen) -> Orders:
        offered = seen.offered_rps(20)
        share = max(1 - seen.ready * PLANT.knee_rps / offered, 0.0) if offered else 0.0
        return Orders(shed={each.name: share for each in PLANT.classes})


STRATEGIES: dict[str, Callable[[], Sequence[Controller]]] = {
    "off": lambda: (),
    "alike": lambda: (Alike(),),
    "advice": lambda: (Shedder(PLANT),),
    "advice, capacity measured": lambda: (Shedder(PLANT, capacity=measured_capacity()),),
}


class Fared(NamedTuple):
    """What became of a class in a run."""

    name: str
    compliance_ratio: float
    is_kept: bool
    shed_ratio: float
    minutes_lost: int


@dataclass(frozen=True)
class Run:
    """One run."""

    seed: int
    classes: tuple[Fared, ...]
    shed_ratio: float
    good: int
    first_s: int | None  # of the surge until somebody was shed
    last_s: int | None  # behind the surge until nobody was


def rehearsed(controllers: Sequence[Controller], seed: int, blackouts: Sequence[tuple[int, int]] = ()) -> Rehearsed:
    load = noisy(surge(RPS, FACTOR, FROM_S, FOR_S, SECONDS), seed)
    return run(PLANT, load, seed, controllers, replicas=REPLICAS, blackouts=blackouts)


def fared(came: Rehearsed) -> tuple[Fared, ...]:
    of, found = came.history, []
    for each in came.spec.classes:
        column = of.names.index(each.name)
        good, bad = int(of.good[:, column].sum()), int(bad_of(of, each).sum())
        ratio = good / max(good + bad, 1)
        lost = int(lost_minutes(of, each).sum()) if each.has_slo else 0
        shed_ratio = float(of.shed[:, column].sum() / max(of.offered[:, column].sum(), 1))
        found.append(Fared(each.name, ratio, not each.has_slo or ratio >= each.target, shed_ratio, lost))
    return tuple(found)


def run_of(came: Rehearsed, seed: int) -> Run:
    of, shed_at = came.history, np.flatnonzero(came.history.shed.sum(axis=1))
    return Run(
        seed, fared(came), float(of.shed.sum() / of.offered.sum()), int(of.good.sum()),
        int(shed_at[0]) - FROM_S if len(shed_at) else None, int(shed_at[-1]) - FROM_S - FOR_S if len(shed_at) else None,
    )  # fmt: skip


def measure(seeds: Iterable[int]) -> dict[str, Any]:
    """Run every strategy on every seed."""
    strategies = {
        name: [asdict(run_of(rehearsed(make(), seed), seed)) for seed in seeds] for name, make in STRATEGIES.items()
    }
    for runs in strategies.values():
        for each in runs:
            each["classes"] = {
                name: dict(zip(Fared._fields, (name, *rest), strict=True)) for name, *rest in each["classes"]
            }
    return {
        "replicas": REPLICAS, "rps": RPS, "factor": FACTOR, "surge_s": FOR_S, "seconds": SECONDS,
        "knee_rps": PLANT.knee_rps * REPLICAS, "strategies": strategies,
    }  # fmt: skip


def rows(result: dict[str, Any]) -> list[list[str]]:
    """For each strategy: how each class fared, the middle of all seeds, and in how many it kept its SLO."""
    found = []
    for name, runs in result["strategies"].items():
        cells = [name]
        for each in PLANT.classes:
            of = [run["classes"][each.name] for run in runs]
            kept = f" ({sum(one['is_kept'] for one in of)}/{len(of)})" if each.has_slo else ""
            cells.append(f"{median(one['compliance_ratio'] for one in of):.2%}{kept}")
        lost = median(run["classes"]["CRITICAL"]["minutes_lost"] for run in runs)
        first, last = ([run[at] for run in runs if run[at] is not None] for at in ("first_s", "last_s"))
        cells += [
            f"{lost:g} min", f"{median(run['shed_ratio'] for run in runs):.1%}",
            f"{median(run['good'] for run in runs):,.0f}", f"{median(first):g} s" if first else "-",
            f"{median(last):g} s" if last else "-",
        ]  # fmt: skip
        found.append(cells)
    return found


COLUMNS = (
    "", *(f"{each.name}, {each.target:.0%}" if each.has_slo else each.name for each in PLANT.classes), "CRITICAL lost",
    "shed", "good", "first shed", "last shed",
)  # fmt: skip


def plot(seed: int, path: Path) -> None:
    """Draw one seed: what CRITICAL got, what was let in, and who was shed."""
    shedder = Shedder(PLANT)
    off, on = rehearsed((), seed), rehearsed((shedder,), seed)
    drawn, (top, middle, bottom) = report.figures(
        f"A surge of {FACTOR:g}x on {REPLICAS} replicas, advice off and on (seed {seed})", "minutes",
        ("CRITICAL: good of a minute", "requests/s", "shed requests/s, by class"),
    )  # fmt: skip
    minutes = np.arange(SECONDS // 60)
    for came, label, colour in ((off, "advice off", report.THEIRS), (on, "advice on", report.OURS)):
        good = came.history.good[:, 0].reshape(-1, 60).sum(axis=1)
        top.plot(minutes, good / np.maximum(good + came.history.bad[:, 0].reshape(-1, 60).sum(axis=1), 1), label=label,
                 color=colour)  # fmt: skip
    top.axhline(PLANT.classes[0].target, color=report.GOAL, linestyle=":", label="target")
    offered, shed = (each.sum(axis=1).reshape(-1, 60).mean(axis=1) for each in (on.history.offered, on.history.shed))
    middle.plot(minutes, offered, color=report.THEIRS, label="offered")
    middle.plot(minutes, offered - shed, color=report.OURS, label="let in")
    middle.axhline(PLANT.knee_rps * REPLICAS, color=report.GOAL, linestyle=":", label="what every SLO is kept at")
    gone = on.history.shed.reshape(SECONDS // 60, 60, -1).mean(axis=1).T
    bottom.stackplot(minutes, gone[::-1], labels=on.history.names[::-1], colors=[*COLOURS.values()][::-1])
    for axes in (top, middle, bottom):
        axes.legend(frameon=False, loc="center right")
    report.finish(drawn, path)
