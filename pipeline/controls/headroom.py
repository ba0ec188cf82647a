"""Capacity as a signal: what an endpoint holds, against what it has to hold; how much more load, and for how long.

Pure. Law: what is said of now is left out when what is known has ended too long ago; capacity is of the whole window,
and stays. A capacity that no load was seen to pass is `at_least`. Where some SLO is kept at no load it is `unmet`: when
that SLO fares alike at all loads, more endpoints would not mend it, and the value is what the others allow; when it
fares the worse the greater the load is, capacity is below all that was met, and there is no value.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pipeline.controls.capacity import AT_LEAST, MEASURED, UNKNOWN, UNMET, Capacity, CapacitySpec, capacities
from pipeline.controls.load_curve import burst_s, served, sustained_ratio
from pipeline.controls.predicates import WHAT, literal, slowed, verdict
from pipeline.controls.questions import Question, Rows, sql_of
from pipeline.controls.shift import CELLS, NEVER, STEP
from pipeline.controls.signal import Signal, every
from pipeline.periods import us_of
from pipeline.sli import METRICS, OF_SLICES, Kind
from pipeline.slo import PART, Objective

NAME = "capacity"
#: what is no matter of the load that a request met: a limit of load itself, and attempts that failed elsewhere
UNRELATED = (*OF_SLICES, Kind.RUNNING, Kind.ATTEMPT)
BURSTS = {"burst_1_5x_s": 1.5, "burst_2x_s": 2.0, "burst_3x_s": 3.0}  #: factors of the load of now


def is_judged(objective: Objective) -> bool:
    """Whether capacity is asked for by an SLO. Parts of a composite are judged as the SLOs they are."""
    return METRICS[objective.indicator.metric].kind not in UNRELATED and PART not in objective.name


def ask(spec: CapacitySpec, objectives: Sequence[Objective], now_us: int) -> list[Question]:
    """Ask of every service that has SLOs, in one look at its events."""
    del now_us  # what is known ends at the watermark
    services: dict[str, list[Objective]] = {}
    for each in filter(is_judged, objectives):
        services.setdefault(each.service, []).append(each)
    return [
        Question(NAME, _sql(some), {"service": service, "window_s": spec.window_s, "now_s": spec.now_s}, service)
        for service, some in services.items()
    ]


def _sql(objectives: Sequence[Objective]) -> str:
    targets = (f"{each.target.numerator}e-{len(str(each.target.scale)) - 1}" for each in objectives)
    written = {
        "slos": ", ".join(literal(each.name) for each in objectives),
        "targets": ", ".join(map(literal, targets)),
        "what": WHAT,
        "verdicts": ", ".join(map(verdict, objectives)),
        "cells": ", ".join(_cell(number, each) for number, each in enumerate(objectives, 1)),
        "spreads": ", ".join(_spread(number, each) for number, each in enumerate(objectives, 1)),
    }
    sql = sql_of(f"controls/{NAME}")
    for name, text in written.items():
        sql = sql.replace(f"/* {name} */", text)
    return sql


def _cell(number: int, objective: Objective) -> str:
    """The cell (pipeline/controls/shift.py) of an event; what is bad for another reason than its time stays so."""
    ratio = slowed(objective)
    if ratio is None:
        return "toInt16(0)"
    cell = f"toInt16(greatest({-CELLS}, least({CELLS - 1}, ceil(log(greatest({ratio}, 1e-9)) / {STEP}) - 1)))"
    late = f"if({ratio} > 1, greatest(toInt16(0), {cell}), toInt16({NEVER}))"
    return f"if(verdicts[{number}] = 1, least(toInt16(-1), {cell}), {late})"


def _spread(number: int, objective: Objective) -> str:
    if slowed(objective) is None:
        return "(CAST([], 'Array(Int16)'), CAST([], 'Array(Float64)'), CAST([], 'Array(Float64)'))"
    return f"sumMapIf([cells[{number}]], [weight], [weight * weight], verdicts[{number}] > 0)"


def step(spec: CapacitySpec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
    """Say what every endpoint holds."""
    del previous
    found = rows.get(NAME, ())  # without SLOs nothing was asked
    newest = {row["service"]: (row["watermark"], row["age_s"]) for row in found}
    return every(lambda each: _signal(spec, each, *newest[each.service], now_us), capacities(spec, found))


def _signal(spec: CapacitySpec, found: Capacity, watermark: datetime, age_s: float, now_us: int) -> Signal:
    is_fresh = age_s <= spec.stale_s
    return Signal(
        service=found.service, model=found.model, name=NAME, scope=found.variant, state=found.state,
        value=None if found.in_flight is None else float(found.in_flight), unit="requests in flight at one endpoint",
        reason=reason(found), confidence=spec.confidence_ratio, samples=found.kept, inputs=figures(found, is_fresh),
        details={
            "limited_by": found.limited_by, "unmet": ", ".join(found.named(UNMET)),
            "unknown": ", ".join(found.named(UNKNOWN)),
        },
        evaluated_at_us=now_us, expires_at_us=now_us + round(spec.ttl_s * 1e6),
        watermark_us=us_of(watermark), window_s=round(spec.window_s),
    )  # fmt: skip


def figures(found: Capacity, is_fresh: bool) -> dict[str, float]:
    """Everything that is known, by name; of now only what is fresh."""
    limit, now = found.in_flight, found.now if is_fresh else None
    told: dict[str, float | None] = {
        "capacity": limit, "capacity_likely": found.likely, "broken_at": found.broken_at, "peak": found.peak,
        "headroom_ratio": found.headroom_ratio, "now": now,
    }  # fmt: skip
    if limit and found.curve:
        rate = served(found.curve, limit)
        told |= {"rps_per_endpoint": rate, "residence_s": limit / rate if rate else None}
        if now:
            told["sustained_ratio"] = sustained_ratio(found.curve, now, limit)
            told |= {name: burst_s(found.curve, now, limit, factor) for name, factor in BURSTS.items()}
    return {name: float(figure) for name, figure in told.items() if figure is not None}


def reason(found: Capacity) -> str:
    """Say it in a sentence."""
    if found.in_flight is None:
        broken = found.named(UNMET)
        return f"no load that was met kept {', '.join(broken)}" if broken else "too few events say what any load does"
    said = f"{found.in_flight:,} in flight at one endpoint keep every SLO"
    if found.broken_at is not None:
        said += f"; at {found.broken_at:,} {found.limited_by} is broken"
    elif found.state in {AT_LEAST, MEASURED}:
        said += ", and no greater load was met that breaks one"
    unmet = found.named(UNMET)
    return f"{said}; no load kept {', '.join(unmet)}" if unmet else said
