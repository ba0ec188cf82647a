"""Laws: usage is exact, what remains and what was used make the limit; no more tenants are told of than may be."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.quotas import Quota, QuotaSpec, Usage, ask, concerns, step, usages
from pipeline.controls.signal import Signal
from pipeline.spec.problems import Refused
from tests.naive import quotas as naive

KNOWN = datetime(2026, 11, 26, 10, 30, tzinfo=UTC)
NOW = round(KNOWN.timestamp() * 1e6)
S = 1_000_000
DAY = Quota("tokens-a-day", "day", tokens=1000)
SPEC = QuotaSpec(quotas=(DAY,))


def rows(requests: list[naive.Request], known: datetime = KNOWN) -> list[dict[str, Any]]:
    """As infra/clickhouse/controls/quota_usage.sql answers."""
    day = known.replace(hour=0, minute=0)
    spans = {
        "hour": (known.replace(minute=0), known.replace(minute=0) + timedelta(hours=1)),
        "day": (day, day + timedelta(1)),
        "month": (day.replace(day=1), datetime(2026, 12, 1, tzinfo=UTC)), "recent": (known - timedelta(hours=1), known),
    }  # fmt: skip
    found = []
    for period, (start, end) in spans.items():
        about = {"known_at": known, "period": period, "period_start": start, "period_end": end}
        nobody = dict.fromkeys(("requests", "tokens", "cost", "rate_limited"), 0)
        found.append({**about, "service": "", "tenant_id": "", "vantage": "", **nobody})
        places = {(each.service, each.tenant, each.vantage) for each in requests}
        for service, tenant, vantage in sorted(places):
            mine = [r for r in requests if (r.service, r.tenant, r.vantage) == (service, tenant, vantage)]
            mine = [r for r in mine if start <= r.at < end]
            found.append({
                **about, "service": service, "tenant_id": tenant, "vantage": vantage,
                "requests": sum(r.outcome not in ("SHED", "RATE_LIMITED") for r in mine),
                "tokens": sum(r.tokens for r in mine), "cost": sum(r.cost for r in mine),
                "rate_limited": sum(r.outcome == "RATE_LIMITED" for r in mine),
            })  # fmt: skip
    return found


def taken(tenant: str, tokens: int, ago_min: int = 120, outcome: str = "SUCCESS", **more: Any) -> naive.Request:
    about = {"service": "chat", "vantage": "GATEWAY", "cost": 0} | more
    return naive.Request(KNOWN - timedelta(minutes=ago_min), tenant=tenant, outcome=outcome, tokens=tokens, **about)


def usage(*requests: naive.Request, quota: Quota = DAY) -> Usage:
    (found,) = usages((quota,), rows(list(requests)))
    return found


def told(*requests: naive.Request, spec: QuotaSpec = SPEC, previous: dict[str, Signal] | None = None) -> list[Signal]:
    return step(spec, previous or {}, {"quota_usage": rows(list(requests))}, NOW)


REQUESTS = st.lists(
    st.builds(
        naive.Request,
        st.integers(0, 60 * 24 * 40).map(lambda minutes: KNOWN - timedelta(minutes=minutes)),
        st.sampled_from(("chat", "search")), st.sampled_from(("acme", "zen")), st.sampled_from(("GATEWAY", "ENGINE")),
        st.sampled_from(("SUCCESS", "ERROR", "SHED", "RATE_LIMITED")), st.integers(0, 1000), st.integers(0, 10**9),
    ),
    max_size=30,
)  # fmt: skip


@given(REQUESTS, st.sampled_from(("hour", "day", "month")), st.sampled_from(("requests", "tokens", "cost_picousd")),
       st.sampled_from(("", "chat")))  # fmt: skip
def test_usage_is_what_summing_up_every_request_gives(
    requests: list[naive.Request], per: str, limited: str, service: str
) -> None:
    quota = Quota("q", per, service=service, tenants=("acme",), **{limited: 5})  # type: ignore[arg-type]
    (found,) = usages((quota,), rows(requests))
    metric = limited.removesuffix("_picousd")
    assert found.used == naive.used(requests, KNOWN, per, "acme", service, metric)
    assert found.remaining - found.over == quota.limit - found.used
    assert not (found.remaining and found.over)


@pytest.mark.parametrize(
    ("tokens", "state", "remaining", "over"),
    [
        pytest.param(0, "within", 1000, 0, id="nothing"),
        pytest.param(799, "within", 201, 0, id="well within"),
        pytest.param(800, "near", 200, 0, id="near"),
        pytest.param(1000, "near", 0, 0, id="all of it, and no more"),
        pytest.param(1001, "exceeded", 0, 1, id="one too many"),
    ],
)
def test_a_quota_is_exceeded_when_more_was_used_than_may_be(tokens: int, state: str, remaining: int, over: int) -> None:
    found = usage(taken("acme", tokens))
    assert (found.state, found.remaining, found.over) == (state, remaining, over)


def test_of_vantages_that_report_as_much_the_same_one_always_counts() -> None:
    both = (taken("acme", 2), taken("acme", 1, vantage="ENGINE"))
    assert usage(*both).used == usage(*both[::-1]).used == 1


def test_the_time_of_exhaustion_goes_on_as_in_the_last_hour() -> None:
    assert usage(taken("acme", 400), taken("acme", 100, ago_min=10)).exhausted_at_us == NOW + 5 * 3600 * S
    assert usage(taken("acme", 400)).exhausted_at_us is None  # nothing lately
    assert usage(taken("acme", 10, ago_min=10)).exhausted_at_us is None  # not before the day is over
    assert usage(taken("acme", 1000)).exhausted_at_us == NOW


def test_what_a_quota_turned_away_is_no_usage_but_counted() -> None:
    quota = Quota("q", "day", requests=10)
    found = usage(
        taken("acme", 0), taken("acme", 0, outcome="RATE_LIMITED"), taken("acme", 0, outcome="SHED"), quota=quota
    )
    assert (found.used, found.turned_away) == (1, 1)


def test_nothing_is_told_when_nothing_is_known_or_asked_for() -> None:
    assert step(SPEC, {}, {"quota_usage": []}, NOW) == []
    assert list(ask(QuotaSpec(), (), NOW)) == []
    assert [each.name for each in ask(SPEC, (), NOW)] == ["quota_usage"]


def test_tenants_are_told_of_one_by_one_and_together() -> None:
    overview, zen, acme = told(taken("acme", 300), taken("zen", 1200))
    assert (overview.scope, overview.state, overview.value) == ("tokens-a-day", "exceeded", 1.0)
    assert overview.inputs == {"within": 1.0, "near": 0.0, "exceeded": 1.0, "left_out": 0.0}
    assert (zen.scope, zen.state, zen.value) == ("tokens-a-day/zen", "exceeded", 1.2)
    assert zen.reason == "zen has used 1,200 tokens of 1,000 tokens this day"
    assert zen.inputs["remaining"] == 0.0
    assert (zen.details["used"], zen.details["limit"]) == ("1200", "1000")
    assert (acme.state, acme.inputs["remaining"]) == ("within", 700.0)
    assert {each.expires_at_us for each in (overview, zen, acme)} == {NOW + 180 * S}


def test_those_that_have_used_most_are_told_of_and_the_others_counted() -> None:
    spec = QuotaSpec(told_most=2, quotas=(DAY,))
    overview, *others = told(*(taken(f"t{n}", n * 100) for n in range(5)), spec=spec)
    assert [each.details["tenant_id"] for each in others] == ["t4", "t3"]
    assert (overview.inputs["left_out"], overview.samples) == (3.0, 5)


def test_cost_is_exact_beyond_what_a_float_holds() -> None:
    quota = Quota("spend", "month", cost_picousd=9_007_199_254_740_993)
    _, found = told(taken("acme", 0, cost=9_007_199_254_740_994), spec=QuotaSpec(quotas=(quota,)))
    assert found.state == "exceeded"
    assert found.details["used"] == "9007199254740994"
    assert "USD" in found.reason


def said(signals: list[Signal], now_us: int = NOW, spec: QuotaSpec = SPEC) -> list[tuple[str, str | None, str]]:
    found = concerns(spec, {each.key: each for each in signals}, now_us)
    return [(each.key, each.says, each.well) for each in found]


def test_an_exceeded_quota_is_a_concern_of_its_tenant() -> None:
    signals = told(taken("acme", 300), taken("zen", 1200))
    assert said(signals) == [
        ("tokens-a-day|tenant_id=zen|quota", "the quota is exceeded", "the quota is kept again"),
        ("tokens-a-day|tenant_id=acme|quota", "", "the quota is kept again"),
    ]
    zen = concerns(SPEC, {each.key: each for each in signals}, NOW)[0].figures
    assert zen == {"service": "burnline", "metric": "tokens", "target": 1000.0, "long_window_s": 86_400,
                   "long_good": 1000, "long_bad": 200}  # fmt: skip


def test_of_what_has_expired_nobody_can_say_and_of_a_quota_that_is_gone_all_is_well() -> None:
    signals = told(taken("zen", 1200))
    assert [each[1] for each in said(signals, NOW + 180 * S)] == [None]
    assert said(signals, NOW + 180 * S, QuotaSpec())[0][1:] == ("", "it has no such quota any more")
    others = QuotaSpec(quotas=(replace(DAY, tenants=("acme",)),))
    assert said(signals, NOW + 180 * S, others)[0][1:] == ("", "it has no such quota any more")


def test_a_quota_that_is_of_another_service_now_is_one_concern() -> None:
    """What was told of the service it had does not close what is told of the one it has."""
    of_search = QuotaSpec(quotas=(replace(DAY, service="search"),))
    before, now = told(taken("zen", 1200)), told(taken("zen", 1200, service="search"), spec=of_search)
    for signals in ([*before, *now], [*now, *before]):
        assert [each[1] for each in said(signals, spec=of_search)] == ["the quota is exceeded"]
    assert [each[1] for each in said(before, spec=of_search)] == [""]


def test_a_tenant_that_uses_nothing_any_more_is_told_of_until_its_quota_is_kept() -> None:
    """In a new period it has no row; what was open would stay so for ever."""
    before = {each.key: each for each in told(taken("zen", 1200))}
    _, zen, _ = told(taken("acme", 1), previous=before)
    assert (zen.details["tenant_id"], zen.state, zen.value) == ("zen", "within", 0.0)
    _, only = told(taken("acme", 1), previous=before, spec=QuotaSpec(told_most=1, quotas=(DAY,)))
    assert only.details["tenant_id"] == "zen"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": "Tokens a day"}, id="name"),
        pytest.param({"per": "week"}, id="period"),
        pytest.param({"tokens": None}, id="limits nothing"),
        pytest.param({"requests": 5}, id="limits two things"),
        pytest.param({"tokens": 0}, id="leaves nothing"),
    ],
)
def test_quotas_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        Quota(**{"name": "q", "per": "day", "tokens": 5, **changes})


def test_names_are_taken_once() -> None:
    with pytest.raises(Refused, match="once"):
        QuotaSpec(quotas=(DAY, DAY))
