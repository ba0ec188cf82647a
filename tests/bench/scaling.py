"""Benchmark `scaling`: what autoscalers are worth in a closed loop: SLO minutes lost, and accelerator hours.

Each lives through the same requests of the plant of jobs.loop, by seed. Rivals are Kubernetes' HPA on CPU and on
requests in flight. Every one is tried at each setting of its own knob: the curve is what it can do, the first setting
what one has who has measured nothing (Kubernetes' default of 80 % CPU; four fifths of a batch). `tuned` is the setting
that loses least for no more than Burnline's hours: found with the truth at hand, so nobody has it at first. The plant's
CPU follows its load without noise, which is kinder to the rival than engines are.

    ramp   10 to 50 requests/s in 20 min     surge  three times as many at once, for 15 min
    rush   the same, as on the day before    daily  24 h, 5 to 40 requests/s
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jobs.loop import LOADS, Controller, PlantSpec, Rehearsed, noisy, run, surge
from jobs.loop.advised import Advised
from jobs.loop.loads import Rates
from jobs.loop.rivals import CpuThreshold, Reactive
from jobs.loop.scores import score
from jobs.loop.yesterday import Yesterday
from pipeline.controls.scaling import ScaleSpec
from tests.bench import report

PLANT = PlantSpec()
OURS, FORESEEN, CPU, FLIGHT = "burnline", "burnline, with forecast", "HPA on CPU", "HPA on requests in flight"
COLOURS = {OURS: report.OURS, FORESEEN: "#12365a", CPU: "#c98b2b", FLIGHT: "#7a7a7a"}
RUSH_LATE_S = 120  #: by so much the day before was earlier or later
TRACE_S = 60
FIGURES = ("minutes_lost", "gpu_hours", "bad_ratio", "replicas_most", "orders", "flaps")


class Shape(NamedTuple):
    """A load, its history of two days, and how often it is drawn."""

    rates: Callable[[int], Rates]
    before: Callable[[int], tuple[Rates, Rates]] | None = None
    seeds: int = 5


def _rush_before(seed: int) -> tuple[Rates, Rates]:
    rng = np.random.default_rng(seed)
    first, second = (1_200 + int(rng.integers(-RUSH_LATE_S, RUSH_LATE_S)) for _ in range(2))
    return noisy(surge(from_s=first), 1_000 + seed), noisy(surge(from_s=second), 2_000 + seed)


def _day_before(seed: int) -> tuple[Rates, Rates]:
    return noisy(LOADS["daily"](), 1_000 + seed), noisy(LOADS["daily"](), 2_000 + seed)


SHAPES: Mapping[str, Shape] = {
    "ramp": Shape(lambda seed: noisy(LOADS["ramp"](), seed)),
    "surge": Shape(lambda seed: noisy(surge(), seed)),
    "rush": Shape(lambda seed: noisy(surge(), 100 + seed), _rush_before),
    "daily": Shape(lambda seed: noisy(LOADS["daily"](), seed), _day_before, seeds=2),
}


@dataclass(frozen=True)
class Policy:
    """An autoscaler and the settings of its knob, the first one that it has by itself."""

    name: str
    knob: str
    settings: Sequence[float]
    make: Callable[[float, Yesterday | None], Controller]


def _ours(headroom: float, before: Yesterday | None) -> Advised:
    return Advised(PLANT, ScaleSpec(headroom=headroom), forecast=before)


POLICIES = (
    Policy(CPU, "target", (0.8, 0.6, 0.55, 0.5, 0.45, 0.4), lambda setting, _: CpuThreshold(setting)),
    Policy(
        FLIGHT, "a replica", tuple(PLANT.batch_most * share for share in (0.8, 0.5, 0.4, 0.35, 0.3, 0.25)),
        lambda setting, _: Reactive(setting),
    ),
    Policy(OURS, "headroom", (1.2, 1.0, 1.1, 1.35, 1.5), lambda setting, _: _ours(setting, None)),
    Policy(FORESEEN, "headroom", (1.2, 1.0, 1.1, 1.35, 1.5), _ours),
)  # fmt: skip


@dataclass
class Worth:
    """What a policy did at a setting under a shape of load: means over the seeds, and each seed's minutes and hours."""

    shape: str
    policy: str
    knob: str
    setting: float
    is_default: bool
    minutes: int
    means: dict[str, float] = field(default_factory=dict)
    minutes_lost: list[int] = field(default_factory=list)
    gpu_hours: list[float] = field(default_factory=list)
    trace: dict[str, list[float]] = field(default_factory=dict)  # of the first seed, by the minute


def measure(shapes: Mapping[str, Shape] = SHAPES, policies: Sequence[Policy] = POLICIES) -> dict[str, Any]:
    """Let every policy live through every load."""
    worths = [
        worth_of(name, shape, policy, setting)
        for name, shape in shapes.items()
        for policy in policies
        if shape.before or policy.name != FORESEEN
        for setting in policy.settings
    ]
    truth = {"knee": PLANT.knee, "knee_rps": PLANT.knee_rps, "cold_start_p95_s": PLANT.cold_start_p95_s}
    return {"plant": truth, "worths": [asdict(each) for each in worths]}


def worth_of(name: str, shape: Shape, policy: Policy, setting: float) -> Worth:
    runs = [_live(shape, policy, setting, seed) for seed in range(1, shape.seeds + 1)]
    scores = [score(each) for each in runs]
    return Worth(
        shape=name, policy=policy.name, knob=policy.knob, setting=setting, is_default=setting == policy.settings[0],
        minutes=scores[0].minutes,
        means={figure: float(np.mean([getattr(each, figure) for each in scores])) for figure in FIGURES},
        minutes_lost=[each.minutes_lost for each in scores],
        gpu_hours=[each.gpu_hours for each in scores],
        trace=_trace(runs[0]) if setting == policy.settings[0] else {},
    )  # fmt: skip


def _live(shape: Shape, policy: Policy, setting: float, seed: int) -> Rehearsed:
    """Begin with what the load of the first minute needs, a fifth kept."""
    rates = shape.rates(seed)
    before = Yesterday(*shape.before(seed)) if shape.before and policy.name == FORESEEN else None
    replicas = int(np.ceil(1.2 * rates[:60].mean() / PLANT.knee_rps))
    return run(PLANT, rates, seed, [policy.make(setting, before)], replicas)


def _trace(of: Rehearsed) -> dict[str, list[float]]:
    """What is drawn: replicas that are ready, and how many the load of each minute needs."""
    history = of.history
    needed = history.offered.sum(axis=1) / PLANT.knee_rps
    return {"ready": _by_minute(history.ready), "needed": _by_minute(needed)}


def _by_minute(values: Any) -> list[float]:
    whole = len(values) // TRACE_S * TRACE_S
    means: list[float] = np.round(values[:whole].reshape(-1, TRACE_S).mean(axis=1), 2).tolist()
    return means


def tuned(worths: Sequence[Mapping[str, Any]], ours: Mapping[str, Any]) -> Mapping[str, Any]:
    """Choose what loses least for no more hours than ours; when all cost more, the cheapest."""
    cheap = [each for each in worths if each["means"]["gpu_hours"] <= ours["means"]["gpu_hours"]]
    if not cheap:
        return min(worths, key=lambda each: each["means"]["gpu_hours"])
    return min(cheap, key=lambda each: (each["means"]["minutes_lost"], each["means"]["gpu_hours"]))


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The table: each policy as it comes, and rivals tuned."""
    shown = []
    for shape in dict.fromkeys(each["shape"] for each in result["worths"]):
        for worth, how in chosen(result, shape):
            means, knob = worth["means"], f"{worth['knob']} {worth['setting']:.3g}"
            shown.append([
                shape, worth["policy"], f"{knob}{how}", f"{means['minutes_lost']:.1f} of {worth['minutes']}",
                f"{means['bad_ratio'] * 100:.2f} %", f"{means['gpu_hours']:.1f}", f"{means['replicas_most']:.0f}",
                f"{means['orders']:.0f}", f"{means['flaps']:.1f}",
            ])  # fmt: skip
    return shown


def chosen(result: Mapping[str, Any], shape: str) -> list[tuple[Mapping[str, Any], str]]:
    """Return the rows of a shape: defaults, and what rivals can do at best for the same hours."""
    of = [each for each in result["worths"] if each["shape"] == shape]
    ours = next(each for each in of if each["policy"] == OURS and each["is_default"])
    found = [(each, "") for each in of if each["is_default"] and each["policy"] not in (OURS, FORESEEN)]
    found += [(tuned([each for each in of if each["policy"] == name], ours), ", tuned") for name in (CPU, FLIGHT)]
    return found + [(each, "") for each in of if each["is_default"] and each["policy"] in (OURS, FORESEEN)]


def wrong(result: Mapping[str, Any]) -> str:
    """Say where ours is not better than what one has who measured nothing, or goes to and fro."""
    said = []
    for shape in dict.fromkeys(each["shape"] for each in result["worths"]):
        of = {each["policy"]: each for each, how in chosen(result, shape) if not how}
        ours, others = of[OURS]["means"], [of[CPU]["means"], of[FLIGHT]["means"]]
        if ours["minutes_lost"] >= min(each["minutes_lost"] for each in others):
            said.append(f"{shape}: {ours['minutes_lost']} minutes lost")
        if ours["flaps"] > max(1.0, of[OURS]["minutes"] / 240):
            said.append(f"{shape}: {ours['flaps']} flaps")
    return "; ".join(said)


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Draw replicas over time above, and what each policy can do below: left and down is better."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shapes = list(dict.fromkeys(each["shape"] for each in result["worths"]))
    drawn, axes = pyplot.subplots(2, len(shapes), figsize=(4.2 * len(shapes), 7), layout="constrained", squeeze=False)
    for column, shape in enumerate(shapes):
        of = [each for each in result["worths"] if each["shape"] == shape]
        _draw_trace(axes[0][column], of)
        _draw_curves(axes[1][column], of)
        axes[0][column].set_title(shape, loc="left")
    axes[0][0].set_ylabel("ready replicas; grey: needed")
    axes[1][0].set_ylabel("SLO minutes lost")
    drawn.legend(*axes[1][-1].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    report.finish(drawn, path)


def _draw_trace(axes: Any, of: Sequence[Mapping[str, Any]]) -> None:
    defaults = [each for each in of if each["is_default"]]
    hours = np.arange(len(defaults[0]["trace"]["needed"])) / 60
    axes.fill_between(hours, defaults[0]["trace"]["needed"], color="#e8e8e8")
    for each in defaults:
        axes.step(hours, each["trace"]["ready"], where="post", color=COLOURS[each["policy"]], linewidth=1.4)
    axes.set_xlabel("hours")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_curves(axes: Any, of: Sequence[Mapping[str, Any]]) -> None:
    for name in dict.fromkeys(each["policy"] for each in of):
        mine = sorted((each for each in of if each["policy"] == name), key=lambda each: each["means"]["gpu_hours"])
        xs, ys = [each["means"]["gpu_hours"] for each in mine], [each["means"]["minutes_lost"] for each in mine]
        axes.plot(xs, ys, color=COLOURS[name], marker=".", linewidth=1, label=name)
        default = next(each for each in mine if each["is_default"])["means"]
        axes.plot(default["gpu_hours"], default["minutes_lost"], "o", color=COLOURS[name], markersize=9)
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=-0.3)
    axes.set_xlabel("accelerator hours; large: its default")
    axes.spines[["top", "right"]].set_visible(False)
