"""Benchmark `frontier`: is the Pareto frontier that a few hours show the true one of the simulated fleet?

Truth is what ten times as much of the fleet shows, under another seed; a trial sees eight hours of each configuration.
A verdict is wrong when it is sure (dominated, or on the frontier with 90 %) and the truth is otherwise.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from jobs.frontier.drawing import figure
from pipeline.controls.frontier import DOMINATED, ON, FrontierSpec, Placed, placed
from tests.fleet_frontier import histories

STRETCHES, TRUE_STRETCHES, TRUE_SEED = 8, 80, 3
SPEC = FrontierSpec()


def measure(trials: int) -> dict[str, Any]:
    """Compare trials with the truth."""
    true = placed(histories(TRUE_STRETCHES, TRUE_SEED), SPEC)
    seen = [placed(histories(STRETCHES, 10 + trial), SPEC) for trial in range(trials)]
    known = {each.point.config: each for each in true}
    curve = {config for config, each in known.items() if each.state == ON}
    return {
        "trials": trials, "stretches": STRETCHES, "configurations": len(known), "true_frontier": len(curve),
        "wrong": sum(is_wrong(each, known[each.point.config]) for some in seen for each in some),
        "sure": sum(is_sure(each) for some in seen for each in some),
        "found": sum(each.state == ON and each.point.config in curve for some in seen for each in some),
        "cost_error_ratio": mean(_off(each, known, "cost") for some in seen for each in some),
        "p99_error_ratio": mean(_off(each, known, "p99_us") for some in seen for each in some),
        "points": [_row(each, known[each.point.config]) for each in seen[0]],
        "placed": (seen[0], true),
    }  # fmt: skip


def is_sure(each: Placed) -> bool:
    return each.state == DOMINATED or (each.state == ON and each.confidence >= SPEC.confidence_least_ratio)


def is_wrong(each: Placed, true: Placed) -> bool:
    """Sure, and otherwise than it is."""
    return is_sure(each) and (each.state == ON) != (true.by is None)


def _off(each: Placed, known: Any, name: str) -> float:
    true = getattr(known[each.point.config].point, name).value
    return abs(float(getattr(each.point, name).value) / true - 1)


def _row(each: Placed, true: Placed) -> dict[str, Any]:
    point = each.point
    assert point.cost and point.p99_us and true.point.cost and true.point.p99_us
    return {
        "configuration": point.config.label, "state": each.state, "confidence": each.confidence,
        "true_state": true.state, "usd_per_1k_tokens": point.cost.value, "p99_us": point.p99_us.value,
        "true_usd_per_1k_tokens": true.point.cost.value, "true_p99_us": true.point.p99_us.value,
        "requests": point.requests,
    }  # fmt: skip


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One trial, a line a configuration."""
    return [
        [p["configuration"], p["true_state"], p["state"], f"{p['confidence']:.0%}", f"{p['usd_per_1k_tokens']:.3e}",
         f"{p['true_usd_per_1k_tokens']:.3e}", f"{p['p99_us'] / 1e6:.2f}", f"{p['true_p99_us'] / 1e6:.2f}"]
        for p in result["points"]
    ]  # fmt: skip


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw one trial over the truth."""
    seen, true = result["placed"]
    figure(seen, "simulated fleet, eight hours of each configuration", "e2e", _curve(true)).savefig(path, dpi=120)


def _curve(true: Sequence[Placed]) -> list[tuple[float, float]]:
    return [
        (each.point.cost.value, each.point.p99_us.value)
        for each in true
        if each.state == ON and each.point.cost and each.point.p99_us
    ]
