"""Capacity against the fleet simulator, whose true knees are known: how far off, how sure, from how many events.

SLOs of first tokens are asked twice of the same events: by verdicts alone, and by how long requests took.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, log, sqrt
from pathlib import Path
from statistics import NormalDist, median
from typing import Any

import numpy as np

from jobs.fleet import FleetSpec
from jobs.fleet.catalogue import MODELS, WORKLOADS, Model, Workload
from pipeline.controls.capacity import CapacitySpec, capacities
from pipeline.slo import Indicator, Objective, Ratio
from tests.bench import report
from tests.capacity_plant import events_of, rows, stretches
from tests.naive import capacity as naive

GOAL = 0.1
RATIOS = (1.0, 0.1, 0.01)
SHARES = (0.35, 0.5, 0.65)  #: of a full batch, at which knees are
STREAMED = [each for each in WORKLOADS if each.stream_ratio > 0.5 and each.output_median]
BY_VERDICTS, BY_TIMES = "ttft, verdicts", "ttft"
METHODS = ("tpot", BY_VERDICTS, BY_TIMES, "e2e")
SURE = NormalDist().inv_cdf(0.95)
COLUMNS = [
    "", "kept", "knees", "measured", "error", "most", "within 10 %", "likely, error", "most", "within 10 %", "below",
    "broken above", "at best",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One SLO of one service and model, and the true knees of its variants."""

    slo: Objective
    metric: str
    model: Model
    knees: tuple[float, ...]
    slope: float = float("nan")  # of the log odds of bad over the log of the load, at the knee


def cases(workload: Workload, share: float) -> list[Case]:
    """SLOs whose knees are at a share of a full batch of the faster variant."""
    model = next(each for each in MODELS if each.name == workload.model)
    load, slowest = share * model.batch_max, exp(naive.TOKEN_SIGMA * NormalDist().inv_cdf(0.99))
    limit = round(model.tpot_us * slowest * (1 + model.batching_cost * share))
    knees = tuple(naive.tpot_knee(model, each, limit, 0.99) for each in model.variants)
    found = [Case(_slo("tpot", workload, limit, "0.99"), "tpot", model, knees)]
    for metric, target in (("ttft", "0.99"), ("e2e", "0.95")):
        values = naive.drawn(workload, model, model.variants[0].slowdown, load, metric)
        slo = _slo(metric, workload, round(float(np.quantile(values, float(target)))), target)
        near = [naive.drawn(workload, model, model.variants[0].slowdown, load * by, metric) for by in (0.9, 1.1)]
        less, more = (float(np.mean(each > slo.indicator.threshold)) for each in near)
        slope = (log(more / (1 - more)) - log(less / (1 - less))) / log(1.1 / 0.9)
        found.append(Case(slo, metric, model, (load, float("nan")), slope))  # of the slower variant it is not known
    return found


def _slo(metric: str, workload: Workload, limit: int, target: str) -> Objective:
    """Of streams, where it is about first tokens: others that are broken off late count as bad, and have no knee."""
    where = {"operation": (workload.operation,), "request_model": (workload.model,)}
    where |= {"stream": ("true",)} if metric == "ttft" else {}
    indicator = Indicator(metric, limit, where=tuple(where.items()))
    name = f"{metric} of {workload.service} on {workload.model}"
    return Objective(name, workload.service, indicator, Ratio.parse(target), 30 * 86_400_000_000)


def measure(seeds: Iterable[int], rate: float = 800.0, count: int = 96, length_s: float = 15.0) -> dict[str, Any]:
    """Look at some fleets for some stretches of a day, and compare every knee that they pass."""
    some = [[case for workload in STREAMED for case in cases(workload, share)] for share in SHARES]
    found: list[dict[str, Any]] = []
    events = 0
    for seed in seeds:
        fleet = events_of(FleetSpec(rate=rate, utilisation=0.9), seed, stretches(count, length_s))
        events += len(fleet)
        for ratio, same in product(RATIOS, some):  # SLOs of one share at a time: each keeps events of its own
            asked = rows(fleet, [case.slo for case in same], ratio, seed)
            found += [{**each, "seed": seed, "ratio": ratio} for case in same for each in _compared(case, asked)]
    return {"events": events, "knees": found}


def _compared(case: Case, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    name, model = case.slo.name, case.model.name
    mine = [_only(row, name) for row in asked if name in row["slos"] and row["model"] == model]
    if case.metric != "ttft":
        return _measured(case, case.metric, mine)
    bare = [{**row, "spreads": [([], [], [])]} for row in mine]
    return [*_measured(case, BY_VERDICTS, bare), *_measured(case, BY_TIMES, mine)]


def _measured(case: Case, method: str, mine: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    told = {each.variant: each for each in capacities(CapacitySpec(), mine)}
    compared = []
    for variant, knee in zip(case.model.variants, case.knees, strict=True):
        each = told.get(variant.name)
        if each is not None and knee >= 4:  # of fewer in flight a step of one is more than the goal
            compared.append({
                "slo": case.slo.name, "metric": method, "variant": variant.name, "knee": knee, "state": each.state,
                "capacity": each.in_flight, "broken_at": each.broken_at, "kept": each.kept,
                "at_best": _at_best(case, knee, [row for row in mine if row["variant"] == variant.name]),
                "error": None if each.in_flight is None else each.in_flight / knee - 1,
                "likely_error": None if each.likely is None else each.likely / knee - 1,
            })  # fmt: skip
    return compared


def _at_best(case: Case, knee: float, mine: Sequence[dict[str, Any]]) -> float | None:
    """How far below the knee a bound at 95 % is for what verdicts around it can tell, were the curve known but for its
    height: the log odds of so many good and bad ones, over its slope (Cramer and Rao)."""
    near = [row for row in mine if knee / 1.5 <= row["least"] <= 1.5 * knee]
    good, bad = (sum(row[name][0] for row in near) for name in ("good_kept", "bad_kept"))
    return SURE * sqrt(1 / good + 1 / bad) / case.slope if good and bad and case.slope > 0 else None


def _only(row: dict[str, Any], slo: str) -> dict[str, Any]:
    """A row of one SLO alone: each has its own capacity here."""
    at = row["slos"].index(slo)
    lists = ("slos", "targets", "spreads", "good_kept", "good", "good_squares", "bad_kept", "bad", "bad_squares")
    return {**row, **{name: [row[name][at]] for name in lists}}


def table(result: dict[str, Any]) -> list[list[str]]:
    """A line for every metric and share of events that is kept."""
    lines = []
    for metric in METHODS:
        for ratio in RATIOS:
            some = [each for each in result["knees"] if (each["metric"], each["ratio"]) == (metric, ratio)]
            known = [each for each in some if each["state"] == "measured"]
            columns = []
            for name in ("error", "likely_error"):
                errors = [abs(each[name]) for each in known] or [float("nan")]
                within = sum(error <= GOAL for error in errors) / len(errors)
                columns += [f"{median(errors):.1%}", f"{max(errors):.1%}", f"{within:.0%}"]
            lines.append([
                metric, f"{ratio:.0%}", f"{len(some)}", f"{len(known)}", *columns,
                f"{_share(each['capacity'] <= each['knee'] + 1 for each in known):.0%}",
                f"{_share(each['broken_at'] >= each['knee'] - 1 for each in known):.0%}",
                _median(each["at_best"] for each in known),
            ])  # fmt: skip
    return lines


def _median(found: Iterable[float | None]) -> str:
    told = [each for each in found if each is not None]
    return f"-{median(told):.1%}" if told else "-"


def _share(found: Iterable[bool]) -> float:
    told = list(found)
    return sum(told) / len(told) if told else float("nan")


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw every interval and what is likely against the true knee; first tokens by verdicts and by times."""
    import matplotlib.pyplot as plt

    fig, rows = plt.subplots(
        len(METHODS), len(RATIOS), figsize=(13, 12), sharex=True, sharey=True, layout="constrained"
    )
    for line, metric in zip(rows, METHODS, strict=True):
        for axes, ratio in zip(line, RATIOS, strict=True):
            known = [
                each for each in result["knees"]
                if (each["metric"], each["ratio"], each["state"]) == (metric, ratio, "measured")
            ]  # fmt: skip
            _intervals(axes, known)
            axes.set_title(f"{metric}, {ratio:.0%} kept", fontsize=9)
    fig.supxlabel("true knee, in flight")
    fig.supylabel("capacity to broken at, and likely, over the true knee")
    report.finish(fig, path)


def _intervals(axes: Any, known: Sequence[dict[str, Any]]) -> None:
    axes.axhspan(0.9, 1.1, color=report.THEIRS, alpha=0.3)
    axes.axhline(1.0, color=report.THEIRS, linewidth=1)
    for each in known:
        ends = [each["capacity"] / each["knee"], each["broken_at"] / each["knee"]]
        axes.plot([each["knee"]] * 2, ends, color=report.OURS, alpha=0.4, linewidth=1)
    likely = [1 + each["likely_error"] for each in known]
    axes.scatter([each["knee"] for each in known], likely, s=8, color=report.OURS)
    axes.set_ylim(0.5, 1.6)
