"""What is told of forecasts: signals for others to act on, and rows of the same for people. Pure."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from jobs.forecast.spending import HOUR_S, Spending
from jobs.forecast.trying import Outlook, Series, Tried
from pipeline.controls.forecast import Grid
from pipeline.controls.signal import Signal, every, unknown

NAME = "forecast"
FORECAST, FALLBACK = "forecast", "fallback"  #: states: by a model that proved itself; by seasonal-naive


def signals(found: Tried, now_us: int, ttl_s: float) -> Iterator[Signal]:
    """Tell what was forecast of a series, one signal a horizon."""
    yield from every(lambda outlook: _signal(found, outlook, now_us, ttl_s), found.outlooks)
    yield from unknowns(found.series, found.grid, now_us, ttl_s)


def unknowns(series: Series, grid: Grid, now_us: int, ttl_s: float) -> Iterator[Signal]:
    """Tell of horizons that the history is too short for."""
    within = grid.within(len(series.values))
    for horizon in (each for each in grid.horizons if each not in within):
        seen = len(series.values) * grid.step_s / HOUR_S
        reason = f"{seen:.1f} hours of history are too few to try forecasts of {horizon.name} on"
        yield unknown(NAME, series.service, series.model, reason, now_us, ttl_s, f"{series.quantity}:{horizon.name}")


def _signal(found: Tried, outlook: Outlook, now_us: int, ttl_s: float) -> Signal:
    series, horizon, choice = found.series, outlook.horizon, outlook.choice
    scope = f"{series.quantity}:{horizon.name}"
    if outlook.path is None:
        reason = "too few forecasts of the past are known to tell an interval"
        return unknown(NAME, series.service, series.model, reason, now_us, ttl_s, scope)
    low, middle, high = (float(each[-1]) for each in outlook.path)
    end_us = end_us_of(found)
    proof, every, worth = choice.proof, choice.scores.get(choice.model), outlook.measured
    horizon_s = horizon.steps * found.grid.step_s
    figures = {
        "q10": low, "q50": middle, "q90": high, "horizon_s": horizon_s, "step_s": found.grid.step_s,
        "at_s": end_us / 1e6 + horizon_s, "mase": every.mase if every else None,
        "relative_mae": proof.relative if proof and not choice.is_fallback else 1.0 if choice.is_fallback else None,
        "coverage": worth.coverage, "pinball": worth.pinball, "chosen_at_s": now_us // 1_000_000,
        **{f"spread_{name}": each for name, each in (outlook.spread._asdict() if outlook.spread else {}).items()},
    }  # fmt: skip
    rivals = {
        f"rival:{name}": f"{each.relative:.3f}" for name, each in choice.scores.items() if each.relative is not None
    }
    coming = {"coming": ", ".join(found.coming)} if found.coming else {}
    return Signal(
        service=series.service, model=series.model, name=NAME, scope=scope,
        state=FALLBACK if choice.is_fallback else FORECAST, value=middle, unit=series.unit, reason=choice.reason,
        evaluated_at_us=now_us, expires_at_us=now_us + round(ttl_s * 1e6), watermark_us=end_us,
        window_s=len(series.values) * found.grid.step_s, samples=len(found.backtest.origins),
        confidence=worth.coverage,
        inputs={name: each for name, each in figures.items() if each is not None and math.isfinite(each)},
        details={"model": choice.model, "from": in_words(end_us), **coming, **rivals},
    )  # fmt: skip


def end_us_of(found: Tried) -> int:
    """Event time up to which a series is known, and from which horizons count."""
    return found.series.start_us + len(found.series.values) * found.grid.step_s * 1_000_000


def in_words(moment_us: int) -> str:
    """Write a time as ISO 8601."""
    return f"{datetime.fromtimestamp(moment_us / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}"


REASONS = {
    "spent": "the budget is spent",
    "exhausts": "at what is forecast to be bad the budget will be spent",
    "at_risk": "only if as much is bad as in the worst tenth of forecasts will the budget be spent",
    "holds": "not even in the worst tenth of forecasts will the budget be spent",
}


def budget_signal(found: Spending, now_us: int, ttl_s: float) -> Signal:
    """Tell when a budget will be spent."""
    budget, scope = found.budget, f"budget:{found.budget.slo}:{found.budget.instance}"
    if found.state == "unknown":
        reason = "too little history to forecast what will be bad"
        return unknown(NAME, budget.service, "", reason, now_us, ttl_s, scope)
    figures = {
        "soonest_s": found.soonest_s, "latest_s": found.latest_s, "foreseen_s": found.foreseen_s,
        "budget_remaining_ratio": budget.remaining_ratio,
    }  # fmt: skip
    models = {each.choice.model for each in found.bad.outlooks}
    return Signal(
        service=budget.service, model="", name=NAME, scope=scope, state=found.state, value=found.likely_s, unit="s",
        reason=_reason(found),
        evaluated_at_us=now_us, expires_at_us=now_us + round(ttl_s * 1e6), watermark_us=end_us_of(found.bad),
        window_s=len(budget.bad) * HOUR_S, samples=len(found.bad.backtest.origins),
        inputs={name: float(each) for name, each in figures.items() if each is not None},
        details={"slo": budget.slo, "instance": budget.instance, "model": ", ".join(sorted(models))},
    )  # fmt: skip


def _reason(found: Spending) -> str:
    said = REASONS[found.state]
    return said if found.state == "spent" else f"{said} within {found.foreseen_s // HOUR_S} h"


def rows(told: Iterable[Signal]) -> list[dict[str, Any]]:
    """Lay signals out for machines, as the view `forecast` has them."""
    return [
        {
            **each.inputs, **each.details, "chosen": each.details.get("model", ""),
            "service": each.service, "model": each.model, "quantity": each.scope.partition(":")[0],
            "horizon": each.scope.partition(":")[2], "state": each.state, "value": each.value, "unit": each.unit,
            "reason": each.reason, "samples": each.samples, "confidence": each.confidence,
        }
        for each in told
    ]  # fmt: skip
