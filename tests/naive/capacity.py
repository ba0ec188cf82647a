"""Oracle of capacity: the true knees of the fleet simulator, and bursts by a clock that ticks.

A replica with n in flight makes a token in  alone x slowdown x (1 + cost x n / batch) x exp(0.06 z);  the first one
waits for a step of the batch and for its prompt. So the compliance of any load is known, and the greatest load that
keeps a target is where it falls below.
"""

from collections.abc import Callable
from math import exp, log
from statistics import NormalDist
from typing import Any

import numpy as np

from jobs.fleet.catalogue import Model, Variant, Workload
from pipeline.slo import Objective
from tests.naive import events as naive
from tests.naive.events import Event

TOKEN_SIGMA = 0.06


def tpot_knee(model: Model, variant: Variant, threshold_us: float, target: float) -> float:
    """The load at which just `target` of the requests have at most the threshold a token: in closed form."""
    slowest = model.tpot_us * variant.slowdown * exp(TOKEN_SIGMA * NormalDist().inv_cdf(target))
    return model.batch_max / model.batching_cost * (threshold_us / slowest - 1)


def drawn(
    workload: Workload, model: Model, slowdown: float, running: float, met: str
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """What ttft or e2e many random requests have, in microseconds, with so many running and none in line."""
    rng, n = np.random.default_rng(7), 400_000
    factor = (1 + model.batching_cost * running / model.batch_max) * slowdown
    read = np.clip(workload.input_median * np.exp(workload.input_sigma * rng.standard_normal(n)), 1, 65_536)
    read *= 1 - np.minimum(2 * rng.random(n) * workload.cached_ratio, 0.98)
    token = model.tpot_us * factor * np.exp(TOKEN_SIGMA * rng.standard_normal(n))
    first = 300 + token * rng.random(n)
    first += (12_000 + read * model.prefill_us_per_token) * factor * np.exp(0.12 * rng.standard_normal(n))
    if met == "ttft":
        return np.asarray(first)
    written = np.ceil(workload.output_median * np.exp(workload.output_sigma * rng.standard_normal(n)))
    return np.asarray(first + token * (np.clip(written, 1, 2048) - 1))


def burst_s(served: Callable[[float], float], now: float, limit: float, factor: float, tick_s: float) -> float | None:
    """Count the ticks until what comes and is not served passes the limit; None: not within five minutes."""
    in_flight, at_s, arrivals = now, 0.0, factor * served(now)
    while in_flight < limit:
        in_flight += (arrivals - served(in_flight)) * tick_s
        at_s += tick_s
        if at_s > 300:
            return None
    return at_s


def verdict(event: Event, objective: Objective) -> int:
    """1 good, 2 bad, 0 excluded or no concern of the SLO."""
    indicator = objective.indicator
    wanted = {"service": (objective.service,), **dict(indicator.where)}
    if indicator.vantage is not None:
        wanted["vantage"] = (indicator.vantage,)
    if not all(naive.label(event, name) in accepted for name, accepted in wanted.items()):
        return 0
    if indicator.final_attempts_only and not event["final_attempt"]:
        return 0
    return ("excluded", "good", "bad").index(naive.judged(event, indicator))


def bin_of(load: int) -> int:
    """The least load of a bin: every load up to 31, then 16 bins each time it doubles."""
    width = 1
    while load // width > 31:
        width *= 2
    return load // width * width


def tallied(events: list[Event], objectives: list[Objective]) -> dict[tuple[str, str, int], list[float]]:
    """By model, variant and bin: what good and bad events of each SLO stand for, in turn."""
    found: dict[tuple[str, str, int], list[float]] = {}
    for event in events:
        if event["adm_running"] is None or event["adm_running"] < 0:
            continue
        in_flight = event["adm_running"] + max(event["adm_waiting"] or 0, 0)
        key = (event["request_model"], event["variant"] or "", bin_of(in_flight))
        sums = found.setdefault(key, [0.0] * 2 * len(objectives))
        for number, objective in enumerate(objectives):
            said = verdict(event, objective)
            if said:
                sums[2 * number + said - 1] += event["sample_weight"] / event["sample_ratio"]
    return found


def log_time(load: float, height: float, slope: float, bend: float) -> float:
    """Mean log of the time over the threshold at a load, of a plant that slows down in this way; height is at 40."""
    apart = log(load / 40)
    return height + slope * apart + bend * apart * apart


def cell_of(event: Event, objective: Objective) -> int | None:
    """Twentieths of a log by which a first token is past the threshold, from -120 on; None: nothing is told of it."""
    indicator, said = objective.indicator, verdict(event, objective)
    field = {"ttft": "ttft_us", "prefill": "prefill_us"}.get(indicator.metric)
    if field is None or not indicator.at_most or not said:
        return None
    value, threshold = event[field], indicator.threshold
    if said == 2 and (value is None or value <= threshold):
        return 120  # bad for another reason
    found = -120
    while found < 119 and max(value, 1e-9 * threshold) > threshold * exp(0.05 * (found + 1)):
        found += 1
    return min(found, -1) if said == 1 else max(found, 0)


def spreads(events: list[Event], objectives: list[Objective]) -> dict[tuple[str, str, int], list[dict[int, float]]]:
    """By model, variant and bin: of each SLO, what is in each cell."""
    found: dict[tuple[str, str, int], list[dict[int, float]]] = {}
    for event in events:
        if event["adm_running"] is None or event["adm_running"] < 0:
            continue
        in_flight = event["adm_running"] + max(event["adm_waiting"] or 0, 0)
        mine = found.setdefault(
            (event["request_model"], event["variant"] or "", bin_of(in_flight)), [{} for _ in objectives]
        )
        for cells, objective in zip(mine, objectives, strict=True):
            if (cell := cell_of(event, objective)) is not None:
                cells[cell] = cells.get(cell, 0.0) + event["sample_weight"] / event["sample_ratio"]
    return found
