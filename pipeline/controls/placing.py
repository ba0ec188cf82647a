"""The frontier as a signal: of every running configuration whether another beats it, and what next steps would cost.

Pure. The value is the share of its cost that the one who beats it most would save, 0 on the frontier; what had too
little traffic is unknown. One signal a model, class and variant: scope is class/variant.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.controls.cost import HOUR_US, MONTH_H
from pipeline.controls.frontier import (
    BREAKING,
    DOMINATED,
    ON,
    THIN,
    UNDECIDED,
    Config,
    FrontierSpec,
    History,
    Hour,
    Placed,
    Steps,
    groups,
    is_running,
    placed,
    steps,
)
from pipeline.controls.questions import Rows
from pipeline.controls.signal import UNKNOWN, Signal, every

NAME = "frontier"


def step(spec: FrontierSpec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
    """Say of every running configuration where it stands."""
    del previous
    found = []
    for some in groups(map(history_of, rows[NAME])).values():
        known = placed(some, spec)
        points = [each.point for each in known]
        running = [each for each in known if is_running(each.point, points, spec)]
        walks = [(each, steps(known, each)) for each in latest(running)]
        found += every(lambda walk: _signal(spec, *walk, now_us), walks)
    return found


def latest(running: Iterable[Placed]) -> list[Placed]:
    """Of each variant the epoch that served last: the one before may have served an hour ago."""
    newest: dict[str, Placed] = {}
    for each in running:
        before = newest.get(each.point.config.variant)
        if before is None or each.point.last_s > before.point.last_s:
            newest[each.point.config.variant] = each
    return list(newest.values())


def history_of(row: Mapping[str, Any]) -> History:
    """Read a row of infra/clickhouse/controls/frontier.sql."""
    config = Config(*(row[name] for name in ("service", "model", "priority_class", "variant", "epoch")))
    quantiles: Sequence[float] = row["quantiles_us"]
    hours = tuple(Hour(*hour) for hour in sorted(row["hours"], key=lambda hour: hour[0]))
    return History(config, hours, () if not quantiles or quantiles[0] < 0 else tuple(quantiles))


def _signal(spec: FrontierSpec, each: Placed, walk: Steps, now_us: int) -> Signal:
    point, is_known = each.point, each.state != THIN
    config = point.config
    return Signal(
        service=config.service, model=config.model, name=NAME,
        scope="/".join(part for part in (config.priority_class, config.variant) if part),
        state=each.state if is_known else UNKNOWN, value=each.saving_ratio if is_known else None,
        unit="share of its cost that another configuration would save", reason=reason(each, walk),
        confidence=each.confidence if is_known else None, samples=point.requests, inputs=figures(each, walk),
        details={
            "epoch": config.epoch, "basis": each.basis, "beaten_by": each.by.label if each.by else "",
            "stricter": _name(walk.stricter), "looser": _name(walk.looser), "latency": spec.latency,
        },
        evaluated_at_us=now_us, expires_at_us=now_us + round(spec.ttl_s * 1e6),
        watermark_us=min(point.last_s * 1_000_000 + HOUR_US, now_us),  # clocks of events may be ahead
        window_s=round(spec.window_s),
    )  # fmt: skip


def _name(each: Placed | None) -> str:
    return each.point.config.label if each else ""


def figures(each: Placed, walk: Steps) -> dict[str, float]:
    """Everything that is known, by name."""
    point = each.point
    told: dict[str, float | None] = {
        "usd_per_1k_tokens": _value(each), "p99_us": _p99(each),
        "tokens_per_gpu_s": point.throughput.value if point.throughput else None,
        "compliance_ratio": point.compliance.value if point.compliance else None,
        "hours": point.hours, "distance_ratio": each.distance, "usd_an_hour": point.usd_an_hour,
        "saving_usd_a_month": each.saving_ratio * point.usd_an_hour * MONTH_H,
    }  # fmt: skip
    for name, other in (("stricter", walk.stricter), ("looser", walk.looser)):
        if other is not None:
            told |= {f"{name}_usd_per_1k_tokens": _value(other), f"{name}_p99_us": _p99(other)}
    return {name: float(figure) for name, figure in told.items() if figure is not None}


def _value(each: Placed) -> float | None:
    return each.point.cost.value if each.point.cost else None


def _p99(each: Placed) -> float | None:
    return each.point.p99_us.value if each.point.p99_us else None


def reason(each: Placed, walk: Steps) -> str:
    """Say it in a sentence."""
    point = each.point
    told = {
        ON: "no other configuration beats it in cost, P99 and throughput",
        DOMINATED: f"{each.by.label if each.by else ''} is nowhere worse, and costs {each.saving_ratio:.0%} less",
        UNDECIDED: f"{each.by.label if each.by else ''} looks nowhere worse, but it may be luck",
        BREAKING: "it breaks its objectives: too many of its requests are bad",
        THIN: f"too little is known: {point.requests:,} requests in {point.hours} hours",
    }[each.state]
    cost, steps_told = _value(each), []
    for name, other in (("faster", walk.stricter), ("cheaper", walk.looser)):
        theirs = _value(other) if other else None
        if other is not None and cost and theirs is not None:
            steps_told.append(f"the next {name} is {other.point.config.label} at {theirs / cost:.2f} times its cost")
    return "; ".join([told, *steps_told])
