"""The deploy gate as a signal: of every service what `burnline gate` says, for rollouts that watch a topic or a view.

Pure. Law: what is unknown is never open here either; a service of which nothing is known has no value.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline.controls.comparison import ComparisonSpec, blames, compared
from pipeline.controls.files import NOT_WRITTEN
from pipeline.controls.gate import (
    UNKNOWN as NO_RULE,
)
from pipeline.controls.gate import (
    Decision,
    Policy,
    Rule,
    Verdict,
    decide_all,
    minute_of_week,
)
from pipeline.controls.questions import Question, files, sql_of
from pipeline.controls.signal import UNKNOWN, Signal, check_life, every
from pipeline.periods import EPOCH, us_of
from pipeline.standing import Freshness

if TYPE_CHECKING:
    from pipeline.slo import Objective

#: nothing may be changed while no policy was given
CLOSED = Policy((Rule("otherwise", Verdict.FROZEN, "no policy was given"),))


@dataclass(frozen=True)
class GateSpec:
    """How often the gates are looked at, and how long what they say holds."""

    every_s: float = 30.0  # it joins all that is judged
    ttl_s: float = 120.0
    service: str = field(default="", metadata=NOT_WRITTEN)  # asked about: all
    policy: Policy = field(default=CLOSED, metadata=NOT_WRITTEN)  # BURNLINE_GATE_POLICY
    trailing_s: float = field(default=0.0, metadata=NOT_WRITTEN)  # how far event time trails in any case

    def __post_init__(self) -> None:
        check_life(self.every_s, self.ttl_s)


def ask(spec: GateSpec, objectives: Sequence["Objective"], now_us: int) -> list[Question]:
    """Ask what the page asks, and what changes did."""
    asked = files("gate", "freshness", folder="page")(spec, objectives, now_us)
    return [*asked, Question("comparison", sql_of("page/comparison"), ComparisonSpec().asked(spec.service))]


def step(
    spec: GateSpec, previous: Mapping[str, Signal], rows: Mapping[str, Sequence[Mapping[str, Any]]], now_us: int
) -> list[Signal]:
    """Decide for every service."""
    del previous
    if not rows["freshness"]:
        return []
    fresh = Freshness(**rows["freshness"][0])
    about = {row["slo"]: row["service"] for row in rows["slos"]}
    blamed = blames(compared(ComparisonSpec(), rows["comparison"]))
    minute = minute_of_week(EPOCH + timedelta(microseconds=now_us), spec.policy.time_zone)
    decided = decide_all(spec.policy, rows["gate"], about, fresh.staleness(spec.trailing_s), minute, blamed)
    watermark_us = None if fresh.event_time is None else us_of(fresh.event_time)

    def told(each: tuple[str, Decision]) -> Signal:
        return _signal(spec, *each, _figures(rows["gate"], each[0]), watermark_us, now_us)

    return every(told, sorted(decided.items(), key=lambda each: each[0]))


def _signal(
    spec: GateSpec, service: str, decision: Decision, figures: dict[str, float], watermark_us: int | None, now_us: int
) -> Signal:
    reasons, worst = decision.reasons, decision.reasons[0]
    known = [each for each in reasons if each.rule != NO_RULE]
    counts = {word.word: float(sum(each.verdict == word for each in reasons)) for word in Verdict}
    return Signal(
        service=service, model="", name="gate", scope="",
        state=decision.verdict.word if known else UNKNOWN,
        value=float(decision.verdict) if known else None, unit="0 open, 1 caution, 2 frozen",
        reason=f"{worst.slo}: {worst.text}" if worst.slo else worst.text,
        evaluated_at_us=now_us, expires_at_us=now_us + round(spec.ttl_s * 1e6), watermark_us=watermark_us,
        samples=len(reasons), confidence=len(known) / len(reasons), inputs={**counts, **figures},
        details={
            "is_known": str(decision.is_known).lower(), "rule": worst.rule, "slo": worst.slo,
            "instance": worst.instance, "policy": spec.policy.file,
        },
    )  # fmt: skip


def _figures(rows: Iterable[Mapping[str, Any]], service: str) -> dict[str, float]:
    """The least budget that is left, and the greatest burn rate, of the SLO instances of a service."""
    mine = [row for row in rows if service in row["service"].split(",")]
    left = [row["budget_remaining_ratio"] for row in mine if row["budget_remaining_ratio"] is not None]
    burns = [row["burn_rate"] for row in mine if row["burn_rate"] is not None]
    return ({"budget_remaining_ratio_min": min(left)} if left else {}) | (
        {"burn_rate_max": max(burns)} if burns else {}
    )
