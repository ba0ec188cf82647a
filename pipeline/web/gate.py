"""The deploy gate over HTTP: what `burnline gate` says, for whoever would rather ask a port than run a command.

The policy is read anew when its file has changed: nobody who is held up waits for a restart.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

from aiohttp import web
from pydantic import Field

from pipeline.controls.comparison import ComparisonSpec, blames, compared
from pipeline.controls.gate import Policy, decide, facts_of, minute_of_week, promised, services_of
from pipeline.controls.gate_files import load
from pipeline.spec import SpecError
from pipeline.spec.files import stamp_of
from pipeline.web.answers import Answer, Time
from pipeline.web.api import Missing
from pipeline.web.asking import NoAnswer
from pipeline.web.parameters import known
from pipeline.web.source import Source

Word = Literal["open", "caution", "frozen"]


class GateReason(Answer):
    """What was decided for one SLO instance."""

    verdict: Word
    slo: str
    instance: str
    rule: str = Field(description="of the policy that decided; unknown: too little is known")
    text: str = Field(description="why, in words")


class Gate(Answer):
    """Whether a service may be changed now."""

    as_of: Time
    service: str
    verdict: Word = Field(description="the worst of its SLO instances; what is unknown is never open")
    is_known: bool = Field(description="false: of something that it decides by too little is known")
    policy: str = Field(description="where the rules are from")
    reasons: list[GateReason] = Field(
        description="one for each SLO instance, the worst first; and for SLOs never judged"
    )
    sql: str


def gate(source: Source, policy_file: Path | None) -> Callable[[web.Request], Awaitable[Gate]]:
    """Make the handler. Raises in it: BadParameter, Missing, NoAnswer."""

    async def handle(request: web.Request) -> Gate:
        known(request.query.items(), ())
        service, policy = request.match_info["service"], await asyncio.to_thread(policy_of, policy_file)
        spec = ComparisonSpec()
        found, fresh, changed = await asyncio.gather(
            source.asking.ask("gate", {"service": service}), source.asking.ask("freshness"),
            source.asking.ask("comparison", spec.asked(service)),
        )  # fmt: skip
        slos = promised(services_of(source.slos()), service)
        if not (len(found) or slos) and (others := (await source.asking.ask("services"))["service"]):
            raise Missing(f"no SLO about {service!r} has been judged; services are {', '.join(others[:20])}")
        staleness = source.staleness(fresh)
        blamed = blames(compared(spec, changed.rows()))
        facts = [facts_of(row, staleness, blamed) for row in found.rows()]
        decision = decide(policy, facts, minute_of_week(source.now(), policy.time_zone), slos)
        reasons = [GateReason.model_validate(each.told) for each in decision.reasons]
        return Gate(
            as_of=found.as_of, service=service, verdict=decision.verdict.word, is_known=decision.is_known,
            policy=policy.file, reasons=reasons, sql=found.sql,
        )  # fmt: skip

    return handle


def policy_of(file: Path | None) -> Policy:
    """Read the policy, unless it is as it was.

    Raises: NoAnswer.
    """
    try:
        return _read(file, stamp_of(file))
    except SpecError as error:
        raise NoAnswer(f"the policy of the gate cannot be used: {error}") from error


@lru_cache(maxsize=4)
def _read(file: Path | None, written: tuple[int, ...] | None) -> Policy:
    """Read it once for each time it was written; what is refused is read again."""
    return load(file)
