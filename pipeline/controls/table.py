"""The table of controls: what each asks ClickHouse, how often, and the step that makes signals of the answers.

Law: a step is a pure function of its spec, the signals that are published, rows and the time. State is the signal that
was published last, so whoever takes over goes on where the former owner was. Answers that are missing are never made
up: without rows there is no step, and signals expire. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.controls import capacity, costing, frontier, gating, headroom, placing, pooling, quotas, scaling, shedding
from pipeline.controls.questions import Ask, Question, Rows, files
from pipeline.controls.signal import Signal

__all__ = ["CONTROLS", "Control", "Question", "Rows", "files"]


@dataclass(frozen=True)
class Control:
    """One control. Its spec is a frozen dataclass with `every_s`, and a section of the file of controls by its name."""

    name: str
    spec: type[Any]
    ask: Ask
    step: Callable[[Any, Mapping[str, Signal], Rows, int], list[Signal]]  # of spec, what is published, rows, time in us


CONTROLS: tuple[Control, ...] = (
    Control("gate", gating.GateSpec, gating.ask, gating.step),
    Control(headroom.NAME, capacity.CapacitySpec, headroom.ask, headroom.step),
    Control(costing.NAME, costing.CostSpec, files("cost"), costing.step),
    Control(placing.NAME, frontier.FrontierSpec, files("frontier"), placing.step),
    Control(shedding.NAME, shedding.SheddingSpec, shedding.ask, shedding.step),
    Control(scaling.NAME, scaling.ScaleSpec, scaling.ask, pooling.step),
    Control(quotas.NAME, quotas.QuotaSpec, quotas.ask, quotas.step),
)
