"""Capacity against the fleet simulator, whose true knees are known: how far off, how sure, from how many events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp
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
COLUMNS = [
    "", "kept", "knees", "measured", "error", "most", "within 10 %", "likely, error", "most", "within 10 %", "below",
    "broken above",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One SLO of one service and model, and the true knees of its variants."""

    slo: Objective
    metric: str
    model: Model
    knees: tuple[float, ...]


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
        found.append(Case(slo, metric, model, (load, float("nan"))))  # of the slower variant it is not known
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
    told = {each.variant: each for each in capacities(CapacitySpec(), mine)}
    compared = []
    for variant, knee in zip(case.model.variants, case.knees, strict=True):
        each = told.get(variant.name)
        if each is not None and knee >= 4:  # of fewer in flight a step of one is more than the goal
            compared.append({
                "slo": name, "metric": case.metric, "variant": variant.name, "knee": knee, "state": each.state,
                "capacity": each.in_flight, "broken_at": each.broken_at, "kept": each.kept,
                "error": None if each.in_flight is None else each.in_flight / knee - 1,
                "likely_error": None if each.likely is None else each.likely / knee - 1,
            })  # fmt: skip
    return compared


def _only(row: dict[str, Any], slo: str) -> dict[str, Any]:
    """A row of one SLO alone: each has its own capacity here."""
    at = row["slos"].index(slo)
    lists = ("slos", "targets", "good_kept", "good", "good_squares", "bad_kept", "bad", "bad_squares")
    return {**row, **{name: [row[name][at]] for name in lists}}


def table(result: dict[str, Any]) -> list[list[str]]:
    """A line for every metric and share of events that is kept."""
    lines = []
    for metric in ("tpot", "ttft", "e2e"):
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
            ])  # fmt: skip
    return lines


def _share(found: Iterable[bool]) -> float:
    told = list(found)
    return sum(told) / len(told) if told else float("nan")


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw every capacity that was measured from the fewest events against its true knee."""
    fig, axes = report.figure("Capacity against the true knee", "true knee, in flight", "capacity, in flight")
    known = [each for each in result["knees"] if each["state"] == "measured" and each["ratio"] == min(RATIOS)]
    most = max((each["knee"] for each in known), default=1.0)
    axes.plot([0, most], [0, most], color=report.THEIRS)
    axes.fill_between([0, most], [0, 0.9 * most], [0, 1.1 * most], color=report.THEIRS, alpha=0.3, label="within 10 %")
    for metric, marker in (("tpot", "o"), ("ttft", "^"), ("e2e", "s")):
        some = [each for each in known if each["metric"] == metric]
        axes.scatter(
            [each["knee"] for each in some], [each["capacity"] for each in some], s=16, marker=marker, label=metric
        )
    axes.legend()
    report.finish(fig, path)
