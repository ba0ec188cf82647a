"""Forecasting again with models that were chosen before: their signals hold all that it takes.

To try all models takes seconds a series, to forecast with one of them a tenth of one: so they are tried once a day, and
in between what is told of their worth is what it was then. Pure, but for the models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobs.forecast import candidates
from jobs.forecast.calendars import SIMPLE, Calendar
from jobs.forecast.regressors import Change
from jobs.forecast.telling import NAME, in_words, unknowns
from jobs.forecast.trying import Series, futures, past_at
from pipeline.controls.forecast import Grid, Spread
from pipeline.controls.signal import Signal, key_of


def renewed(
    series: Series, grid: Grid, changes: Sequence[Change], last: Mapping[str, Signal], again_s: float, now_us: int,
    ttl_s: float, calendar: Calendar = SIMPLE,
) -> list[Signal] | None:  # fmt: skip
    """Forecast with the models of the signals published last; None: they do not tell, or were chosen too long ago."""
    horizons = grid.within(len(series.values))
    keys = [key_of(series.service, series.model, NAME, f"{series.quantity}:{each.name}") for each in horizons]
    known = [last[key] for key in keys if key in last]
    if not horizons or len(known) < len(horizons) or not all(_is_usable(each, grid, again_s, now_us) for each in known):
        return None
    past = past_at(series, grid, changes, len(series.values), horizons[-1].steps, calendar)
    chosen = {each.details["model"] for each in known}
    future = futures(chosen, candidates.every(1, candidates.NAMES), past, series.is_total)
    end_us = series.start_us + len(series.values) * grid.step_s * 1_000_000
    found = []
    for horizon, signal in zip(horizons, known, strict=True):
        path = future[signal.details["model"]][horizon.steps - 1 : horizon.steps]
        figures = Spread(*(signal.inputs[f"spread_{name}"] for name in Spread._fields)).around(path)
        low, middle, high = (float(each[0]) for each in figures)
        inputs = {"q10": low, "q50": middle, "q90": high, "at_s": end_us / 1e6 + horizon.steps * grid.step_s}
        found.append(
            replace(
                signal, value=middle, evaluated_at_us=now_us, watermark_us=end_us,
                expires_at_us=now_us + round(ttl_s * 1e6),
                inputs={**signal.inputs, **inputs}, details={**signal.details, "from": in_words(end_us)},
            )
        )  # fmt: skip
    return [*found, *unknowns(series, grid, now_us, ttl_s)]


def _is_usable(signal: Signal, grid: Grid, again_s: float, now_us: int) -> bool:
    of = signal.inputs
    has_all = "model" in signal.details and all(f"spread_{name}" in of for name in Spread._fields)
    return has_all and of.get("step_s") == grid.step_s and now_us / 1e6 - of.get("chosen_at_s", 0) < again_s
