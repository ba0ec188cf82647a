"""What a tenant has used, request by request: (when, service, tenant, vantage, what became of it, tokens, cost)."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple


class Request(NamedTuple):
    at: datetime
    service: str
    tenant: str
    vantage: str
    outcome: str
    tokens: int
    cost: int


def starts(at: datetime, per: str) -> datetime:
    """When the hour, day or month began that a moment is in."""
    at = at.replace(minute=0, second=0, microsecond=0)
    if per in ("day", "month"):
        at = at.replace(hour=0)
    return at.replace(day=1) if per == "month" else at


def used(requests: Iterable[Request], known: datetime, per: str, tenant: str, service: str, metric: str) -> int:
    """Sum up what a tenant used in the period of `known`; of vantages the one that reports most of a service."""
    total = 0
    mine = [each for each in requests if each.tenant == tenant and starts(each.at, per) == starts(known, per)]
    for name in {each.service for each in mine if service in ("", each.service)}:
        by_vantage: dict[str, list[Request]] = {}
        for each in mine:
            if each.service == name:
                by_vantage.setdefault(each.vantage, []).append(each)
        let_in = {
            vantage: [each for each in some if each.outcome not in ("SHED", "RATE_LIMITED")]
            for vantage, some in by_vantage.items()
        }
        best = max(sorted(let_in), key=lambda vantage: len(let_in[vantage]))
        values = {"requests": len(let_in[best]), "tokens": sum(each.tokens for each in by_vantage[best]),
                  "cost": sum(each.cost for each in by_vantage[best])}  # fmt: skip
        total += values[metric]
    return total
