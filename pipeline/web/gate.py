"""The deploy gate over HTTP: what `burnline gate` says, for whoever would rather ask a port than run a command.

The policy is read anew for each answer: nobody who is held up waits for a restart.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from aiohttp import web
from pydantic import Field

from pipeline.controls.gate import Policy, decide, facts_of, minute_of_week
from pipeline.controls.gate_files import load
from pipeline.spec import SpecError
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
    policy: str = Field(description="where the rules are from")
    reasons: list[GateReason] = Field(description="one for each SLO instance, the worst first")
    sql: str


def gate(source: Source, policy_file: Path | None) -> Callable[[web.Request], Awaitable[Gate]]:
    """Make the handler. Raises in it: BadParameter, Missing, NoAnswer."""

    async def handle(request: web.Request) -> Gate:
        known(request.query.items(), ())
        service, policy = request.match_info["service"], await asyncio.to_thread(_policy, policy_file)
        found = await source.asking.ask("gate", {"service": service})
        if not len(found) and (others := (await source.asking.ask("services"))["service"]):
            raise Missing(f"no SLO about {service!r} has been judged; services are {', '.join(others[:20])}")
        decision = decide(policy, map(facts_of, found.rows()), minute_of_week(source.now(), policy.time_zone))
        return Gate(
            as_of=found.as_of, service=service, verdict=decision.verdict.word, policy=policy.file,
            reasons=[GateReason(**{**each._asdict(), "verdict": each.verdict.word}) for each in decision.reasons],
            sql=found.sql,
        )  # fmt: skip

    return handle


def _policy(file: Path | None) -> Policy:
    try:
        return load(file)
    except SpecError as error:
        raise NoAnswer(f"the policy of the gate cannot be used: {error}") from error
