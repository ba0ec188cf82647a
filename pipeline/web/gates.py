"""The deploy gates of all services at once, for a page that shows them all: one question, however many look.

Law: what a gate says here is what it says when it is asked alone; what decides is told, and how much of that there is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import Field

from pipeline.controls.comparison import ComparisonSpec, blames, compared
from pipeline.controls.gate import Decision, Policy, Verdict, decide_all, minute_of_week, services_of
from pipeline.web.answers import Answer, Time
from pipeline.web.asking import Found
from pipeline.web.gate import GateReason, Word, policy_of
from pipeline.web.parameters import known
from pipeline.web.source import Source

KEPT_S = 5.0  #: it joins all that is judged
SERVICES_MOST, REASONS_MOST = 200, 4
SPEC = ComparisonSpec()


class ServiceGate(Answer):
    """Whether a service may be changed now, in short."""

    service: str
    verdict: Word
    deciding: int = Field(description="how many SLO instances are as bad as that; 0: it is open")
    reasons: list[GateReason] = Field(description="the first of them; /api/v1/gate/{service} has all")


class Gates(Answer):
    """The gate of every service, the worst first."""

    as_of: Time
    policy: str = Field(description="where the rules are from")
    total: int
    items: list[ServiceGate] = Field(description=f"the first {SERVICES_MOST}")
    sql: str


def gates(source: Source, policy_file: Path | None) -> Callable[[web.Request], Awaitable[Gates]]:
    """Make the handler. Raises in it: BadParameter, NoAnswer."""
    kept: dict[Any, asyncio.Task[Gates]] = {}  # the latest alone

    async def handle(request: web.Request) -> Gates:
        known(request.query.items(), ())
        policy = await asyncio.to_thread(policy_of, policy_file)
        found, fresh, changed = await asyncio.gather(
            source.asking.ask("gate", {"service": ""}, KEPT_S), source.asking.ask("freshness"),
            source.asking.ask("comparison", SPEC.asked(), KEPT_S),
        )  # fmt: skip
        about = services_of(source.slos())
        asked = policy, source.staleness(fresh), minute_of_week(source.now(), policy.time_zone)
        key = (found.as_of, changed.as_of, *asked, *about.items())
        if key not in kept:
            kept.clear()
            kept[key] = source.behind(asyncio.to_thread(gates_of, found, changed, about, *asked))
        return await asyncio.shield(kept[key])

    return handle


def gates_of(
    found: Found, changed: Found, about: Mapping[str, str], policy: Policy, staleness: str, minute: int
) -> Gates:
    """Decide for every service; `about`: of each SLO that is known, judged or not, the services it is about."""
    blamed = blames(compared(SPEC, changed.rows()))
    decided = decide_all(policy, found.rows(), about, staleness, minute, blamed)
    items = [short(service, decision) for service, decision in sorted(decided.items(), key=_worst_first)]
    return Gates(
        as_of=found.as_of, policy=policy.file, total=len(items), items=items[:SERVICES_MOST], sql=found.sql
    )  # fmt: skip


def _worst_first(decided: tuple[str, Decision]) -> tuple[int, str]:
    return -decided[1].verdict, decided[0]


def short(service: str, decision: Decision) -> ServiceGate:
    """Say what decides, and no more of it than somebody reads."""
    deciding = [
        each for each in decision.reasons if each.verdict == decision.verdict and decision.verdict > Verdict.OPEN
    ]
    reasons = [GateReason.model_validate(each.told) for each in deciding[:REASONS_MOST]]
    return ServiceGate(service=service, verdict=decision.verdict.word, deciding=len(deciding), reasons=reasons)
