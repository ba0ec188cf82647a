"""Cost against an oracle that pays token by token: every token once, what is unknown unknown, sums that add up."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.cost import (
    DAY_US,
    HEADROOM,
    MONTH_H,
    UNSERVED,
    Announced,
    GpuPrice,
    Price,
    PriceList,
    Range,
    Usage,
    metered,
    per_1k,
    plan,
    unlisted,
)
from pipeline.controls.costing import CostSpec, step
from tests.naive import cost as naive

small = st.integers(0, 60)
picousd = st.integers(0, 10**7)
outcomes = st.sampled_from(["SUCCESS", "ERROR", "CANCELLED", *sorted(UNSERVED)])


@given(
    st.fixed_dictionaries({"input": small, "cached": small, "stored": small, "output": small, "reasoning": small}),
    st.fixed_dictionaries(dict.fromkeys(("input", "cached", "stored", "output", "reasoning"), picousd)),
    outcomes,
)
def test_every_token_is_paid_once_at_its_own_price(use: dict[str, int], price: dict[str, int], outcome: str) -> None:
    usage = Usage(use["input"], use["output"], use["cached"], use["stored"], use["reasoning"], outcome)
    found = metered(
        usage, Price("m", price["input"], price["output"], price["cached"], price["stored"], price["reasoning"])
    )
    exact = {kind: Fraction(each, 10**12) * 1_000_000 for kind, each in price.items()}
    assert found is not None
    assert Fraction(found, 10**12) == naive.metered_usd({**use, "outcome": outcome}, exact)


PRICE = Price("m", input=3, output=7, cached_input=1, cache_write=4, reasoning=7, request=100)


@pytest.mark.parametrize(
    ("usage", "costs"),
    [
        pytest.param(Usage(10, 10), 200, id="plain"),
        pytest.param(Usage(10, 10, reasoning_output_tokens=10), 200, id="reasoning is output"),
        pytest.param(Usage(10, 0, cached_input_tokens=25), 110, id="more cached than read"),
        pytest.param(Usage(10, 0, cached_input_tokens=4, cache_write_input_tokens=10), 128, id="more parts than whole"),
        pytest.param(Usage(0, 0), 100, id="known to be nothing"),
        pytest.param(Usage(None, 5), None, id="input was not counted"),
        pytest.param(Usage(5, None), None, id="output was not counted"),
        pytest.param(Usage(None, None, outcome="SHED"), 0, id="nobody served it"),
        pytest.param(Usage(-5, 1), 107, id="no token is given back"),
    ],
)
def test_what_producers_get_wrong_is_never_paid_twice(usage: Usage, costs: int | None) -> None:
    assert metered(usage, PRICE) == costs


def test_tokens_that_cost_nothing_need_not_be_counted() -> None:
    assert metered(Usage(10, None), Price("m", 3, 0, 3, 3, 0)) == 30


rows = st.fixed_dictionaries({
    "model": st.sampled_from("ab"), "provider": st.sampled_from(["", "x", "y"]), "from": st.integers(0, 12),
})  # fmt: skip


@given(
    st.lists(rows, max_size=8, unique_by=lambda row: (row["model"], row["provider"], row["from"])),
    st.sampled_from("ab"),
    st.sampled_from(["", "x", "z"]),
    st.integers(0, 12),
)
def test_the_price_in_force_is_the_provider_s_own_or_that_of_any(
    prices: list[dict[str, object]], model: str, provider: str, at: int
) -> None:
    listed = [
        Price(str(p["model"]), n, 0, 0, 0, 0, provider=str(p["provider"]), from_us=int(str(p["from"])))
        for n, p in enumerate(prices)
    ]
    found = PriceList("v", tuple(listed)).price(model, provider, at)
    truth = naive.price_of(prices, model, provider, at)
    assert (found and found.input) == (None if truth is None else prices.index(truth))


def test_a_provider_s_own_price_goes_before_a_newer_one_of_any() -> None:
    own, newer = Price("m", 1, 0, 1, 1, 0, provider="p", from_us=5), Price("m", 2, 0, 2, 2, 0, from_us=9)
    prices = PriceList("v", (own, newer))
    assert [prices.price("m", provider, 10) for provider in ("p", "q", "")] == [own, newer, newer]
    assert prices.price("m", "p", 4) is None


def test_an_hour_costs_what_it_did_then() -> None:
    prices = PriceList("v", accelerators=(GpuPrice("h100", 5, 0), GpuPrice("h100", 3, 100), GpuPrice("a100", 1, 200)))
    assert [prices.hour("h100", at) for at in (0, 99, 100, 300)] == [5, 5, 3, 3]
    assert (prices.hour("a100", 199), prices.hour("l4", 500)) == (None, None)


def test_there_is_no_price_of_no_tokens() -> None:
    assert (per_1k(10**12, 0), per_1k(None, 5), per_1k(10**12, None)) == (None, None, None)
    assert per_1k(2 * 10**12, 4_000) == 0.5


@given(
    st.lists(st.integers(1, 10_000), min_size=3, max_size=3), st.lists(st.integers(1, 400), min_size=3, max_size=3),
)  # fmt: skip
def test_replicas_carry_the_peak_and_a_fifth_and_not_one_is_spare(peak: list[int], capacity: list[int]) -> None:
    load, each = Range.of(peak), Range.of(capacity)
    found = plan(load, each, 10)
    assert found is not None
    for replicas, most, holds in zip(found.replicas, load, reversed(each), strict=True):
        assert replicas * holds >= Fraction(most) * HEADROOM
        assert replicas == 1 or (replicas - 1) * holds < Fraction(most) * HEADROOM
    assert found.month == tuple(replicas * 10 * MONTH_H for replicas in found.replicas)
    assert list(found.replicas) == sorted(found.replicas)


def test_an_objective_that_nothing_keeps_has_no_plan() -> None:
    assert plan(Range(1, 2, 3), Range(0, 4, 8), 10) is None


HALF = DAY_US // 2
names, halves = st.sampled_from(["m", "n"]), st.integers(0, 20)
announced = st.lists(
    st.fixed_dictionaries({
        "service": st.sampled_from(["a", "b"]), "model": st.sampled_from(["", "m", "n"]), "at": halves,
        "until": st.none() | st.integers(1, 30),
    }),
    max_size=6, unique_by=lambda each: each["at"],
)  # fmt: skip


@given(announced, st.dictionaries(names, st.sets(halves, max_size=3)), halves)
def test_a_price_change_is_unlisted_while_it_counts_and_no_price_of_the_model_begins_by_it(
    told: list[dict[str, Any]], begins: dict[str, set[int]], start: int
) -> None:
    prices = PriceList(
        "list-1", tuple(Price(name, 1, 1, 1, 1, 1, from_us=at * HALF) for name, some in begins.items() for at in some)
    )
    changes = [
        Announced(
            each["service"], each["model"], each["at"] * HALF, each["until"] and each["until"] * HALF, str(n), (), ""
        )
        for n, each in enumerate(told)
    ]
    found = [int(each.title) for each in unlisted(prices, changes, start * HALF)]
    assert found == naive.unlisted(begins, told, start, 2)


def test_a_price_change_that_names_the_list_is_known_to_it_and_accelerators_count_for_all_models() -> None:
    change = Announced("chat", "", 9 * DAY_US, None, "cheaper", (), "list-2")
    assert unlisted(PriceList("list-1"), [change], 0) == [change]
    assert unlisted(PriceList("list-2"), [change], 0) == []
    rented = PriceList("list-1", accelerators=(GpuPrice("gpu", 1, 9 * DAY_US + 1),))
    assert unlisted(rented, [change], 0) == []
    assert unlisted(rented, [change._replace(model="m")], 0) != []


def test_a_model_whose_cost_cannot_be_told_takes_no_other_with_it() -> None:
    same = {
        "service": "s", "requests": 9, "output_tokens": 1_000, "cost_picousd": 10**12, "good_cost_picousd": 0,
        "good_tokens": 0, "paid_picousd": 0, "paid_tokens": 0, "idle_picousd": 0, "split_picousd": 0,
        "until": datetime(2026, 11, 26, tzinfo=UTC),
    }  # fmt: skip
    rows = [{**same, "model": "odd", "output_tokens": float("inf")}, {**same, "model": "plain"}]
    odd, plain = step(CostSpec(), {}, {"cost": rows}, 1)
    assert (odd.model, odd.state, odd.value) == ("odd", "unknown", None) and "inf" in odd.reason
    assert (plain.model, plain.value) == ("plain", 1.0)
