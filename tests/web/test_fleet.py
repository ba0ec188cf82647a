"""The fleet in memory: what stands where, and pages that hold each row once."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.standing import STANDINGS, Freshness
from pipeline.web.fleet import Known, Snapshot, group_of, listed, matched, page, row_of
from pipeline.web.parameters import SORTS, FleetQuery, unsealed
from tests.web.fleets import NOW, instance, snapshot


def test_an_instance_stands_as_everywhere() -> None:
    rows = instance("a"), instance("b", state="FIRING", severity="CRITICAL", compliance_ratio=None)
    assert snapshot(*rows, instance("c", state="FIRING")).standings == ["ok", "critical", "info"]


def test_nothing_is_well_once_nobody_judges() -> None:
    found = snapshot(
        instance("a"), instance("b", state="FIRING", severity="CRITICAL"), as_of=NOW + timedelta(seconds=121)
    )
    assert found.standings == ["stale", "stale"]
    assert found.fresh == {
        "as_of": NOW + timedelta(seconds=121), "watermark": NOW, "stale": True, "stale_s": 121.0,
        "stale_reason": "nothing has been judged for 2 min 1 s",
    }  # fmt: skip
    nothing = snapshot().fresh
    assert (nothing["stale"], nothing["watermark"], nothing["stale_s"]) == (True, None, None)


def test_the_age_of_judgements_is_told_by_the_clock_that_wrote_them() -> None:
    """The host of the page is an hour ahead of ClickHouse."""
    fresh = Freshness(NOW, NOW - timedelta(seconds=3), NOW, "")
    found = Snapshot([instance("a")], NOW + timedelta(hours=1), "SELECT 1", fresh, fresh.staleness(0))
    assert (found.standings, found.fresh["stale_s"]) == (["ok"], 3.0)


def test_alerts_that_are_not_known_are_not_none() -> None:
    found = snapshot(instance("a"), alerts=None)
    assert (found.open_alerts, row_of(found, 0).alerts) == (None, None)
    assert (snapshot(instance("a")).open_alerts, row_of(snapshot(instance("a")), 0).alerts) == (
        {"critical": 0, "warning": 0, "info": 0}, [],
    )  # fmt: skip


def test_one_instance_may_be_silent_while_the_others_go_on() -> None:
    assert snapshot(instance("a"), instance("b", judged_at=NOW - timedelta(hours=3))).standings == ["ok", "ok"]


SHARES = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]))
ROWS = st.lists(
    st.builds(
        lambda slo, region, state, share, burn, service: instance(
            slo, region, state=state, severity="CRITICAL" if state == "FIRING" else "NONE", compliance_ratio=share,
            budget_remaining_ratio=share, service=service, windows=[(300, burn, 1.0)], time_to_exhaustion_s=share,
        ),
        st.sampled_from(["a", "b", "c-d"]), st.sampled_from([f"r{i}" for i in range(12)]),
        st.sampled_from(["OK", "FIRING", "FROZEN"]), SHARES, st.one_of(st.none(), st.sampled_from([0.0, 1.0, 20.0])),
        st.sampled_from(["chat", "search"]),
    ),
    max_size=30, unique_by=lambda row: row.key,
)  # fmt: skip
QUERIES = st.fixed_dictionaries(
    {
        "words": st.sampled_from([(), ("eu",), ("r1",), ("chat", "a")]),
        "sort": st.sampled_from(SORTS),
        "is_turned": st.booleans(),
        "group": st.sampled_from(["", "slo", "service", "standing", "label:region", "label:none"]),
        "limit": st.integers(1, 7),
    }
).map(lambda chosen: FleetQuery(**chosen))


@settings(max_examples=50)
@given(ROWS, QUERIES)
def test_pages_together_hold_every_row_once_in_the_order_of_the_list(rows: list[Any], query: FleetQuery) -> None:
    found = snapshot(*rows)
    whole = listed(found, query)
    seen: list[int] = []
    places, cursor = page(whole, query)
    while cursor is not None:
        seen += places
        places, cursor = page(whole, query._replace(after=unsealed(cursor, query.signature)))
    assert [*seen, *places] == list(whole.places)
    assert Counter(whole.places) == Counter(matched(found, query))
    assert whole.summary == {name: sum(found.standings[p] == name for p in whole.places) for name in STANDINGS}


@given(ROWS, QUERIES)
def test_what_is_unknown_comes_last_either_way(rows: list[Any], query: FleetQuery) -> None:
    found = snapshot(*rows)
    whole = listed(found, query._replace(sort="budget", group=""))
    budgets = [found.rows[place].budget_remaining_ratio for place in whole.places]
    known = [budget for budget in budgets if budget is not None]
    assert budgets == [*sorted(known, reverse=query.is_turned), *[None] * (len(budgets) - len(known))]


@given(ROWS, st.sampled_from(["slo", "service", "standing", "label:region"]))
def test_groups_stand_together_and_the_worst_comes_first(rows: list[Any], group: str) -> None:
    found = snapshot(*rows)
    whole = listed(found, FleetQuery(group=group))
    keys = [group_of(found, place, group) for place in whole.places]
    assert whole.groups is not None
    assert list(dict.fromkeys(keys)) == [each.key for each in whole.groups]
    assert [each.instances for each in whole.groups] == [keys.count(each.key) for each in whole.groups]
    worst = [min(STANDINGS.index(name) for name, count in each.summary.items() if count) for each in whole.groups]
    assert worst == sorted(worst)


def test_burning_comes_first_and_what_burns_most_of_that() -> None:
    rows = [
        instance("well"), instance("none", compliance_ratio=None), instance("spent", budget_remaining_ratio=-1.0),
        instance("warns", state="FIRING", severity="WARNING", windows=[(300, 90.0, 1.0)]),
        instance("pages", state="FIRING", severity="CRITICAL", windows=[(300, 20.0, 1.0)]),
        instance("pages-more", state="FIRING", severity="CRITICAL", windows=[(300, 30.0, 1.0)]),
    ]  # fmt: skip
    found = snapshot(*rows)
    names = [found.rows[place].slo for place in listed(found, FleetQuery()).places]
    assert names == ["pages-more", "pages", "warns", "spent", "none", "well"]


FILTERS = [
    pytest.param(FleetQuery(words=("gold",)), ["a"], id="a label of the SLO"),
    pytest.param(FleetQuery(words=("eu", "chat")), ["a"], id="two words"),
    pytest.param(FleetQuery(labels=(("team", "gold"),)), ["a"], id="a label of the SLO by name"),
    pytest.param(FleetQuery(labels=(("region", "us"),)), ["b"], id="a label of the instance by name"),
    pytest.param(FleetQuery(slo="b"), ["b"], id="an SLO"),
    pytest.param(FleetQuery(service="search"), ["b"], id="a service"),
    pytest.param(FleetQuery(standings=("ok",), words=("e",)), ["a", "b"], id="a standing"),
    pytest.param(FleetQuery(words=("%", "_")), [], id="what SQL would take for anything"),
]


@pytest.mark.parametrize(("query", "names"), FILTERS)
def test_a_filter_finds_what_it_says(query: FleetQuery, names: list[str]) -> None:
    rows = instance("a"), instance("b", "us", service="search")
    found = snapshot(*rows, known={"a": Known({"team": "gold"}, "ttft", "")})
    assert sorted(found.rows[place].slo for place in matched(found, query)) == names


def test_a_row_without_files_says_that_it_does_not_know_them() -> None:
    row = row_of(snapshot(instance("a", windows=[])), 0)
    assert (row.metric, row.description, row.slo_labels, row.burn_rate, row.sla) == (None, None, None, None, None)
