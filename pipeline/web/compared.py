"""What a change did to one SLO instance, over HTTP: what `burnline change compare` says, for the marks of a page.

Law: the same verdict for the same counts, and as sure: of how many instances it is one is counted, not asked.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from aiohttp import web
from pydantic import Field

from pipeline.controls.comparison import ComparisonSpec, Verdict, compared
from pipeline.web.answers import Answer, Time
from pipeline.web.api import Missing
from pipeline.web.parameters import BadParameter, known
from pipeline.web.source import Source

SPEC = ComparisonSpec()
KEPT_S = 10.0  #: minutes are compared
NOTHING = "no deploy, rollback or knob of that change_id concerns it, or its budget is not counted in requests"


class Compared(Answer):
    """Bad requests after a change beside those just before it and a week earlier."""

    as_of: Time
    slo: str
    instance: str
    change_id: str
    title: str
    at: Time
    ended_at: datetime | None = Field(description="by the next change of some of the same; null: it is in force")
    verdict: Verdict = Field(description="not_yet: nothing can be told")
    reason: str
    bad_ratio: float | None = Field(description="share of bad after it; null: nothing was counted")
    difference_within: list[float] | None = Field(description="of shares of bad, at least and at most, at any look")
    budget_excess_ratio: float | None = Field(description="share of the budget spent beyond what was usual")
    sql: str


def comparing(source: Source) -> Callable[[web.Request], Awaitable[Compared]]:
    """Make the handler. Raises in it: BadParameter, Missing, NoAnswer."""

    async def handle(request: web.Request) -> Compared:
        slo, values = request.match_info["name"], known(request.query.items(), ("instance", "change"))
        if not (change := values.get("change", "")):
            raise BadParameter("change", "name the change_id of a mark of /api/v1/slos/NAME/marks")
        asked = SPEC.asked(change_id=change, slo=slo, instance=values.get("instance", ""))
        found = await source.asking.ask("comparison", asked, KEPT_S)
        one = next(iter(compared(SPEC, found.rows())), None)
        if one is None:
            raise Missing(NOTHING)
        effect = one.effect
        return Compared(
            as_of=found.as_of, slo=one.slo, instance=one.instance, change_id=one.change.change_id,
            title=one.change.title, at=one.change.at, ended_at=one.change.ended_at, verdict=one.verdict,
            reason=one.reason, bad_ratio=one.after.bad_ratio,
            difference_within=None if effect is None else list(effect.difference_within),
            budget_excess_ratio=one.budget_excess_ratio, sql=found.sql,
        )  # fmt: skip

    return handle
