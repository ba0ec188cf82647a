"""Quotas: what a tenant may take in an hour, a day or a month of requests, tokens or cost; what it has taken, exactly.

Usage is the sum of stored slices of the period that event time is in, in integers: what was turned away is no usage.
Laws: used = what the slices say, of the vantage that reports most; remaining + used >= limit, with equality while the
quota is kept; a quota is exceeded when more was used than may be. Late events belong to the period they happened in. No
more tenants are told of than `told_most`, those that have used most first; the others are counted. Nothing here turns
anybody away. Pure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.alerts import Kind
from pipeline.controls.questions import Question, Row, Rows, files
from pipeline.controls.signal import Signal, check_life, every
from pipeline.ourselves import NAME as OURSELVES
from pipeline.ourselves import Concern
from pipeline.periods import us_of
from pipeline.slo import Objective
from pipeline.spec.problems import Refused
from pipeline.spec.scalars import listed, money_text

NAME, USAGE = "quota", "quota_usage"
REQUESTS, TOKENS, COST = METRICS = ("requests", "tokens", "cost")
PERIODS = ("hour", "day", "month")  #: of UTC, since whole hours are stored
RECENT = "recent"  #: the hour that ends with what is known, for the rate
RECENT_S = 3_600
WITHIN, NEAR, EXCEEDED = STATES = ("within", "near", "exceeded")
COUNT_MOST = (1 << 63) - 1  #: an alert's counts have 64 bits, 9 million USD
SEPARATOR = "/"  #: in a scope, between quota and tenant
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Quota:
    """What may be used of one thing in a period, by each of its tenants."""

    name: str
    per: str  # of PERIODS
    requests: int | None = None
    tokens: int | None = None  # in and out
    cost_picousd: int | None = None
    service: str = ""  # "": of all services together
    tenants: tuple[str, ...] = ()  # none: each that there is
    near_ratio: float = 0.8

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Refused("a quota's name has small letters, digits, dashes and points", "write name: tokens-a-day")
        if self.per not in PERIODS:
            raise Refused("a quota is per hour, day or month of UTC", f"write per: {listed(PERIODS)}")
        if len([each for each in self._limits.values() if each is not None]) != 1:
            raise Refused("a quota limits one thing", "write either requests, tokens or cost")
        if self.limit < 1:
            raise Refused("a quota leaves something", "write 1 or more")

    @property
    def _limits(self) -> dict[str, int | None]:
        return {REQUESTS: self.requests, TOKENS: self.tokens, COST: self.cost_picousd}

    @property
    def metric(self) -> str:
        return next(name for name, limit in self._limits.items() if limit is not None)

    @property
    def limit(self) -> int:
        return next(limit for limit in self._limits.values() if limit is not None)

    def amount(self, number: int) -> str:
        """Write an amount of it for people."""
        return money_text(number) if self.metric == COST else f"{number:,} {self.metric}"


@dataclass(frozen=True)
class QuotaSpec:
    """All quotas."""

    every_s: float = 60.0  # it sums up a month
    ttl_s: float = 180.0
    told_most: int = 1_000  # tenants, of all quotas together
    quotas: tuple[Quota, ...] = ()

    def __post_init__(self) -> None:
        names = [each.name for each in self.quotas]
        if len(set(names)) < len(names):
            raise Refused("names of quotas are taken once", "give each a name of its own")
        check_life(self.every_s, self.ttl_s)


class Usage(NamedTuple):
    """One tenant's use of one quota, in the period that event time is in. Amounts of cost in pico-USD."""

    quota: Quota
    tenant: str
    used: int
    recent: int  # in the hour that ends with what is known
    turned_away: int  # requests of the period that a quota refused
    period_start_us: int
    period_end_us: int
    known_until_us: int

    @property
    def remaining(self) -> int:
        return max(self.quota.limit - self.used, 0)

    @property
    def over(self) -> int:
        return max(self.used - self.quota.limit, 0)

    @property
    def used_ratio(self) -> float:
        return self.used / self.quota.limit

    @property
    def state(self) -> str:
        return EXCEEDED if self.over else NEAR if self.used_ratio >= self.quota.near_ratio else WITHIN

    @property
    def exhausted_at_us(self) -> int | None:
        """When nothing remains, if it goes on as in the last hour; None: not within the period."""
        if not self.remaining:
            return self.known_until_us
        if not self.recent:
            return None
        at_us = self.known_until_us + -(-self.remaining * RECENT_S * 1_000_000 // self.recent)
        return at_us if at_us < self.period_end_us else None

    @property
    def scope(self) -> str:
        return f"{self.quota.name}{SEPARATOR}{self.tenant}"


def ask(spec: QuotaSpec, objectives: Sequence[Objective], now_us: int) -> Sequence[Question]:
    """Ask only where there are quotas."""
    return files(USAGE)(spec, objectives, now_us) if spec.quotas else ()


def usages(quotas: Iterable[Quota], rows: Sequence[Row], seen: Iterable[tuple[str, str]] = ()) -> list[Usage]:
    """Sum up every tenant's use of every quota.

    `seen`: quota and tenant of which something was told before; whoever has used nothing since has used nothing.
    """
    if not rows:
        return []
    sums = _greatest_vantage(rows)
    periods = {row["period"]: row for row in rows}
    known_until_us = us_of(rows[0]["known_at"])
    found = []
    for quota in quotas:
        period = periods[quota.per]
        tenants = quota.tenants or {
            tenant for service, tenant, _ in sums if quota.service in ("", service) and tenant
        } | {tenant for name, tenant in seen if name == quota.name}
        for tenant in sorted(tenants):
            now, recent = (_sum(sums, quota, tenant, period) for period in (quota.per, RECENT))
            span = (us_of(period["period_start"]), us_of(period["period_end"]))
            found.append(Usage(quota, tenant, now[0], recent[0], now[1], *span, known_until_us))
    return found


def _greatest_vantage(rows: Iterable[Row]) -> dict[tuple[str, str, str], Row]:
    """(service, tenant, period) -> what the vantage says that reports most requests."""
    found: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        place = (row["service"], row["tenant_id"], row["period"])
        if place not in found or row["requests"] > found[place]["requests"]:
            found[place] = row
    return found


def _sum(sums: Mapping[tuple[str, str, str], Row], quota: Quota, tenant: str, period: str) -> tuple[int, int]:
    """Return what was used, and how many requests a quota refused."""
    mine = [
        row for (service, who, when), row in sums.items()
        if who == tenant and when == period and quota.service in ("", service)
    ]  # fmt: skip
    return sum(row[quota.metric] for row in mine), sum(row["rate_limited"] for row in mine)


def step(spec: QuotaSpec, previous: Mapping[str, Signal], rows: Rows, now_us: int) -> list[Signal]:
    """Tell of the tenants that have used most, and how many there are."""
    seen = [
        (name, tenant)
        for each in previous.values() if each.name == NAME and each.state in (NEAR, EXCEEDED)
        for name, _, tenant in [each.scope.partition(SEPARATOR)] if tenant
    ]  # fmt: skip
    found = usages(spec.quotas, rows.get(USAGE, ()), seen)
    # whose quota was exceeded is told of until it is kept again, or its alert would stay open
    known = {f"{name}{SEPARATOR}{tenant}" for name, tenant in seen}
    told = sorted(found, key=lambda each: (each.scope not in known, -each.used_ratio, each.scope))[: spec.told_most]
    return [
        *every(lambda quota: _overview(spec, quota, found, told, now_us), spec.quotas if found else ()),
        *every(lambda each: _signal(spec, each, now_us), told),
    ]


def _signal(spec: QuotaSpec, usage: Usage, now_us: int) -> Signal:
    quota, exhausted_us = usage.quota, usage.exhausted_at_us
    inputs = {
        "used": float(usage.used), "limit": float(quota.limit), "remaining": float(usage.remaining),
        "recent_per_s": usage.recent / RECENT_S, "turned_away": float(usage.turned_away),
    }  # fmt: skip
    if exhausted_us is not None:
        inputs["exhausted_in_s"] = (exhausted_us - usage.known_until_us) / 1e6
    used, limit = quota.amount(usage.used), quota.amount(quota.limit)
    return Signal(
        service=quota.service, model="", name=NAME, scope=usage.scope, state=usage.state, value=usage.used_ratio,
        unit="share of the quota", reason=f"{usage.tenant} has used {used} of {limit} this {quota.per}",
        evaluated_at_us=now_us, expires_at_us=now_us + round(spec.ttl_s * 1e6), watermark_us=usage.known_until_us,
        window_s=(usage.known_until_us - usage.period_start_us) // 1_000_000, inputs=inputs,
        details={
            "quota": quota.name, "tenant_id": usage.tenant, "metric": quota.metric, "per": quota.per,
            "period_start": str(usage.period_start_us), "period_end": str(usage.period_end_us),
            # inputs are floats; these are exact, of cost in pico-USD
            "used": str(usage.used), "limit": str(quota.limit),
        },
    )  # fmt: skip


def _overview(
    spec: QuotaSpec, quota: Quota, found: Iterable[Usage], told: Iterable[Usage], now_us: int
) -> Signal:  # fmt: skip
    mine = [each for each in found if each.quota is quota]
    left_out = len(mine) - sum(each.quota is quota for each in told)
    counts = {state: sum(each.state == state for each in mine) for state in STATES}
    worst = next((state for state in reversed(STATES) if counts[state]), WITHIN)
    return Signal(
        service=quota.service, model="", name=NAME, scope=quota.name, state=worst, value=float(counts[EXCEEDED]),
        unit="tenants over it", samples=len(mine),
        reason=f"{counts[EXCEEDED]} of {len(mine)} tenants are over {quota.amount(quota.limit)} per {quota.per}",
        evaluated_at_us=now_us, expires_at_us=now_us + round(spec.ttl_s * 1e6),
        inputs={**{state: float(count) for state, count in counts.items()}, "left_out": float(left_out)},
        details={"quota": quota.name, "metric": quota.metric, "per": quota.per, "limit": str(quota.limit)},
    )  # fmt: skip


# -- quota.exceeded, in the way of alerts about ourselves
def concerns(spec: QuotaSpec, published: Mapping[str, Signal], now_us: int) -> list[Concern]:
    """What the owner of the signals is responsible for: each tenant that was told of."""
    quotas = {(each.service, each.name): each for each in spec.quotas}
    found: dict[str, Concern] = {}
    for signal in published.values():
        tenant = signal.details.get("tenant_id")
        if signal.name != NAME or tenant is None:
            continue
        quota = quotas.get((signal.service, signal.details["quota"]))
        is_gone = quota is None or tenant not in (quota.tenants or (tenant,))
        concern = _concern(signal, tenant, is_gone, now_us)
        if not is_gone or concern.key not in found:  # a quota that is of another service now was told of under both
            found[concern.key] = concern
    return list(found.values())


def _concern(signal: Signal, tenant: str, is_gone: bool, now_us: int) -> Concern:
    told = signal.details
    says: str | None = "the quota is exceeded" if signal.state == EXCEEDED else ""
    if signal.is_expired(now_us):
        says = None  # nobody can say
    used, limit = int(told["used"]), int(told["limit"])
    return Concern(
        Kind.QUOTA, (("tenant_id", tenant),), "" if is_gone else says,
        "it has no such quota any more" if is_gone else "the quota is kept again", told["quota"],
        {
            "service": signal.service or OURSELVES, "metric": told["metric"], "target": float(limit),
            "long_window_s": (int(told["period_end"]) - int(told["period_start"])) // 1_000_000,
            "long_good": min(used, limit), "long_bad": min(max(used - limit, 0), COUNT_MOST),
        },
    )  # fmt: skip
