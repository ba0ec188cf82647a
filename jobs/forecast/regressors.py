"""Regressors: what was changed or announced, as columns beside a series, by what was known at the time of the forecast.

Law: nothing that was told after `known_us` is in a column. A campaign, a maintenance or a holiday that has no past has
no effect that could be learned, so it has no column. Pure.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.controls.forecast import Floats

SPANS = ("MAINTENANCE", "NOTE", "HOLIDAY")  #: what begins and ends
STEPS = ("DEPLOY", "ROLLBACK", "KNOB", "PRICE")  #: what lasts until the next one
CAMPAIGN = "campaign"  #: the knob of a note that names one: what has the same name has the same effect
STEPS_MOST = 3  #: the newest
AROUND_RATIO = 0.02  #: of the history, on either side, or a step cannot be told from noise
SPAN_LEAST = 2.0  #: steps of the past


class Change(NamedTuple):
    """A row of config_changes, as far as forecasts care."""

    kind: str
    name: str
    at_us: int
    until_us: int | None
    told_us: int
    model: str = ""  # "": all models of the service


class Regressors(NamedTuple):
    """Columns by name. Shapes: past (step, column), future (step, column)."""

    names: tuple[str, ...]
    past: Floats
    future: Floats

    @property
    def coming(self) -> tuple[str, ...]:
        """Those that are going to be in force."""
        return tuple(
            name for name, column in zip(self.names, self.future.T, strict=True) if column.any() and ":" in name
        )


def none(steps: int, ahead: int) -> Regressors:
    """No columns."""
    return Regressors((), np.zeros((steps, 0)), np.zeros((ahead, 0)))


def regressors(
    changes: Iterable[Change], start_us: int, step_us: int, steps: int, ahead: int, known_us: int
) -> Regressors:
    """Lay out what was known at `known_us` over `steps` of history from `start_us` on, and `ahead` of the future."""
    edges = start_us + np.arange(steps + ahead + 1, dtype=np.int64) * step_us
    known = [each for each in changes if each.told_us <= known_us]
    columns = {**_spans(known, edges, steps), **_steps(known, edges, steps)}
    if not columns:
        return none(steps, ahead)
    every = np.column_stack(list(columns.values()))
    return Regressors(tuple(columns), every[:steps], every[steps:])


def _spans(changes: Sequence[Change], edges: NDArray[np.int64], steps: int) -> dict[str, Floats]:
    """Share of each step that a campaign or a maintenance covers."""
    found: dict[str, Floats] = {}
    for each in changes:
        if each.kind in SPANS and each.until_us is not None and each.name:
            covered = np.minimum(edges[1:], each.until_us) - np.maximum(edges[:-1], each.at_us)
            share = np.clip(covered / (edges[1] - edges[0]), 0.0, 1.0)
            label = f"{each.kind.lower()}:{each.name}"
            found[label] = np.minimum(found.get(label, 0.0) + share, 1.0)
    return {name: column for name, column in sorted(found.items()) if column[:steps].sum() >= SPAN_LEAST}


def _steps(changes: Sequence[Change], edges: NDArray[np.int64], steps: int) -> dict[str, Floats]:
    """One from a change on; only changes with enough history on both sides."""
    around = max(int(steps * AROUND_RATIO), 2)
    found: dict[str, Floats] = {}
    for each in sorted(changes, key=lambda change: -change.at_us):
        at = int(np.searchsorted(edges, each.at_us))
        if each.kind in STEPS and around <= at <= steps - around and len(found) < STEPS_MOST:
            found[f"{each.kind.lower()}@{each.at_us}"] = (edges[:-1] >= each.at_us).astype(np.float64)
    return found
