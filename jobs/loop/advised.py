"""A service that follows Burnline's own recommendation: the control's step, fed with what the plant lets be seen.

The rows are those that infra/clickhouse/controls/scale*.sql would give of the same events. The capacity is what the
capacity control would have measured: the true knee, times how wrong it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from jobs.loop.plant import PlantSpec
from jobs.loop.seen import Orders, Seen
from jobs.loop.yesterday import STEP_S
from pipeline.controls.loads import CELL_S, TREND_S
from pipeline.controls.pooling import step
from pipeline.controls.scaling import ScaleSpec
from pipeline.controls.signal import Signal
from pipeline.periods import EPOCH

SERVICE, MODEL = "plant", "m"
BURN_WINDOW_S = 300
STARTS_LEAST = 3  #: cold starts that must have been seen before they are believed
CAPACITY_CONFIDENCE = 0.9

Forecast = Callable[[Seen], Mapping[int, tuple[float, float]]]  #: q50 and q90 of the load, by the horizon in seconds


@dataclass
class Advised:
    """Orders what the signal `scale` says."""

    plant: PlantSpec
    spec: ScaleSpec = field(default_factory=ScaleSpec)
    capacity_ratio: float = 1.0  # measured over true
    forecast: Forecast | None = None
    told: list[Signal] = field(default_factory=list)

    @property
    def every_s(self) -> int:
        return round(self.spec.every_s)

    def __call__(self, seen: Seen) -> Orders:
        if not seen.known_s:
            return Orders()
        now_us = seen.at_s * 1_000_000
        previous = {each.key: each for each in (*self.told[-1:], *self._others(seen, now_us))}
        (signal,) = step(self.spec, previous, rows_of(self.plant, self.spec, seen), now_us)
        self.told.append(signal)
        return Orders(replicas=None if signal.value is None else int(signal.value))

    def _others(self, seen: Seen, now_us: int) -> list[Signal]:
        """The signals of capacity and forecast that are in force."""
        rps, knee = self.plant.knee_rps * self.capacity_ratio, self.plant.knee * self.capacity_ratio
        found = [_told("capacity", "", knee, {"rps_per_endpoint": rps}, now_us)]
        for horizon_s, (middle, high) in (self.forecast(seen) if self.forecast else {}).items():
            inputs = {"horizon_s": float(horizon_s), "step_s": float(STEP_S), "q90": high}
            found.append(_told("forecast", f"load:{horizon_s}s", middle, inputs, now_us))
        return found


def _told(name: str, scope: str, value: float, inputs: Mapping[str, float], now_us: int) -> Signal:
    return Signal(
        service=SERVICE, model=MODEL, name=name, scope=scope, state="measured", value=value, unit="requests",
        reason="as the plant is", evaluated_at_us=now_us, expires_at_us=now_us + 60_000_000, inputs=inputs,
        confidence=CAPACITY_CONFIDENCE,
    )  # fmt: skip


def rows_of(plant: PlantSpec, spec: ScaleSpec, seen: Seen) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Write down what is seen as ClickHouse would answer."""
    pool = {"service": SERVICE, "model": MODEL, "variant": ""}
    of, end = seen.history, seen.known_s
    begin = end - min(round(max(spec.calm_s, TREND_S)), end) // CELL_S * CELL_S
    # An event comes when its request ends.
    ended = (of.good[begin:end] + of.bad[begin:end] + of.shed[begin:end]).sum(axis=1)
    cells = ended[::-1].reshape(-1, CELL_S).mean(axis=1)
    in_flight = (of.running + of.waiting)[max(begin - CELL_S, 0) : end][::-1][::CELL_S]
    load = {
        **pool, "vantage": "GATEWAY", "age_s": float(seen.age_s), "known_at": EPOCH + timedelta(seconds=seen.known_s),
        "loads": cells.tolist(), "day_requests": 1.0,
    }  # fmt: skip
    starts = seen.cold_starts_s
    p95_s = float(np.quantile(starts or (0.0,), 0.95))
    cold = {**pool, "source": "engines", "p95_s": p95_s, "starts": len(starts), "accelerator": "h100"}
    engines = {**pool, "replicas": seen.ready, "ready": seen.ready, "waiting": seen.waiting}
    engines["in_flight"] = in_flight.tolist()
    return {
        "scale": [load],
        "scale_engines": [engines],
        "scale_cold_starts": [cold] if len(starts) >= STARTS_LEAST else [],
        "scale_pressure": [
            row for each in plant.classes if each.has_slo for row in _burn(seen, each.name, each.target)
        ],
        "slos": [{"slo": each.name, "metric": "ttft"} for each in plant.classes],
    }


def _burn(seen: Seen, name: str, target: float) -> list[dict[str, Any]]:
    good, bad, shed = seen.counts(name, BURN_WINDOW_S)
    if not good + bad + shed:
        return []
    rate = (bad + shed) / (good + bad + shed) / (1 - target)
    of = {"slo": name, "service": SERVICE, "model": "", "variant": ""}
    return [{**of, "burn_rate": rate, "window_s": BURN_WINDOW_S}]
