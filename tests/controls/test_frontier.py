"""The frontier against an oracle that compares every pair; and what is thin, breaking or luck is told apart."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.frontier import (
    BREAKING,
    DOMINATED,
    LEVELS,
    METERED,
    ON,
    PAID,
    THIN,
    UNDECIDED,
    Config,
    FrontierSpec,
    History,
    Hour,
    basis_of,
    gap,
    placed,
    point_of,
    ratio,
    steps,
)
from tests.naive import frontier as naive

SPEC = FrontierSpec()
USD = 10**12


def history(name: str, cost: float, p99_ms: float, throughput: float = 100.0, **more: Any) -> History:
    """Steady hours: `cost` USD for a thousand tokens, `throughput` tokens for a second of an accelerator."""
    hours, noise, tokens = more.get("hours", 5), more.get("noise", 0.0), 100_000
    return History(
        Config("s", "m", "standard", name, more.get("epoch", "")),
        tuple(
            Hour(
                3600 * hour, more.get("requests", 1_000), more.get("bad", 0), tokens,
                round(cost * tokens / 1000 * USD * (1 + noise * (-1) ** hour)), round(tokens / throughput * 1e6),
                more.get("paid"), p99_ms * 1000 * (1 + noise * (-1) ** hour),
            )
            for hour in range(hours)
        ),
        tuple(p99_ms * 1000 * (1 + more.get("spread", 0.0) * (level - 0.99)) for level in LEVELS),
    )  # fmt: skip


def states(found: list[Any]) -> dict[str, str]:
    return {each.point.config.variant: each.state for each in found}


figures = st.fixed_dictionaries({
    "cost": st.integers(1, 6), "p99": st.integers(1, 6), "throughput": st.integers(1, 3),
})  # fmt: skip


@given(st.lists(figures, min_size=1, max_size=9))
def test_without_noise_the_frontier_is_what_no_pair_beats(rows: list[dict[str, int]]) -> None:
    points = {f"v{n}": row for n, row in enumerate(rows)}
    found = placed([history(n, p["cost"], p["p99"], 10 * p["throughput"]) for n, p in points.items()], SPEC)
    by_name = {each.point.config.variant: each for each in found}
    true = naive.frontier(points)
    assert {name for name, each in by_name.items() if each.state == ON} == true
    for name, each in by_name.items():
        assert each.state in {ON, DOMINATED}
        assert (each.by is None) == (name in true)
        if each.by is not None:
            assert naive.beats(points[each.by.variant], points[name])
            assert each.saving_ratio == pytest.approx(1 - points[each.by.variant]["cost"] / points[name]["cost"])
        assert (each.distance > 0) <= (name not in true)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0.1, 100)), min_size=2, max_size=20))
def test_the_error_of_a_ratio_is_that_of_leaving_hours_out(pairs: list[tuple[float, float]]) -> None:
    above, below = [a for a, _ in pairs], [b for _, b in pairs]
    found = ratio(above, below)
    assert found is not None
    assert found.value == pytest.approx(sum(above) / sum(below))
    assert found.error == pytest.approx(naive.error_of_ratio(above, below), abs=1e-9)


def test_one_hour_shows_no_error_and_none_no_figure() -> None:
    found = ratio([1.0], [2.0])
    assert found is not None and math.isinf(found.error)
    assert ratio([1.0], [0.0]) is None


def test_a_difference_within_the_noise_is_not_called_dominated() -> None:
    sure = placed([history("a", 1.0, 100, noise=0.01), history("b", 1.5, 150, noise=0.01)], SPEC)
    assert states(sure) == {"a": ON, "b": DOMINATED}
    assert sure[1].confidence >= 0.9
    near = placed([history("a", 1.0, 100, noise=0.2), history("b", 1.05, 101, noise=0.2)], SPEC)
    assert states(near) == {"a": ON, "b": UNDECIDED}
    assert near[1].confidence < 0.9


@pytest.mark.parametrize(
    ("more", "state"),
    [
        pytest.param({"requests": 10}, THIN, id="few requests"),
        pytest.param({"hours": 2, "requests": 9_000}, THIN, id="few hours"),
        pytest.param({"bad": 11}, BREAKING, id="it breaks its objectives"),
        pytest.param({"bad": 10}, ON, id="just kept"),
        pytest.param({"bad": None}, ON, id="nobody judges it"),
    ],
)
def test_what_does_not_count_beats_nobody(more: dict[str, Any], state: str) -> None:
    found = placed([history("best", 0.5, 50, **more), history("rest", 1.0, 100)], SPEC)
    assert states(found) == {"best": state, "rest": DOMINATED if state == ON else ON}


def test_what_is_paid_is_compared_only_where_all_of_it_is_known() -> None:
    known, other = history("a", 1.0, 100, paid=3 * USD), history("b", 2.0, 100, paid=None)
    assert (basis_of([known]), basis_of([known, other])) == (PAID, METERED)
    assert point_of(known, PAID).usd_an_hour == 3.0
    paid = placed([known], SPEC)[0]
    assert (paid.basis, paid.point.cost and paid.point.cost.value) == (PAID, pytest.approx(0.03))


def test_what_was_paid_is_of_the_hours_in_which_it_is_known() -> None:
    """Snapshots are kept for a week: of what served before it is not known, and of what runs it is."""
    before, now = history("a", 1.0, 100, throughput=900.0), history("a", 1.0, 100, hours=3, paid=3 * USD)
    both = now._replace(hours=(*before.hours, *now.hours))
    of_now, of_both = point_of(now, PAID), point_of(both, PAID)
    assert (of_both.cost, of_both.throughput, of_both.usd_an_hour) == (of_now.cost, of_now.throughput, 3.0)
    assert (of_both.requests, of_both.hours) == (8_000, 8)
    assert basis_of([now, both]) == PAID
    free = before._replace(hours=tuple(hour._replace(metered=0) for hour in before.hours))
    assert (basis_of([both, before]), basis_of([both, free]), basis_of([free])) == (METERED, PAID, METERED)
    assert point_of(free, PAID).cost is None


def test_a_rank_interval_is_wider_with_fewer_requests() -> None:
    few, many = (point_of(history("a", 1, 100, requests=n, spread=9), METERED).p99_us for n in (200, 20_000))
    assert few is not None and many is not None
    assert few.error > many.error > 0


def test_the_next_steps_go_along_the_frontier() -> None:
    found = placed(
        [history("fast", 4, 50), history("middle", 2, 100), history("slow", 1, 400), history("bad", 3, 120)], SPEC
    )
    of = {each.point.config.variant: each for each in found}
    assert states(found) == {"fast": ON, "middle": ON, "slow": ON, "bad": DOMINATED}
    for name, expected in {
        "middle": ("middle", "fast", "slow"), "bad": ("middle", "fast", "slow"), "fast": ("fast", None, "middle"),
        "slow": ("slow", "middle", None),
    }.items():  # fmt: skip
        walk = steps(found, of[name])
        assert tuple(each and each.point.config.variant for each in walk) == expected
    assert of["bad"].saving_ratio == pytest.approx(1 / 3)
    assert of["bad"].distance == pytest.approx(0.0)  # as many tokens a second: on that axis nobody is better
    assert gap(of["fast"].point, of["slow"].point) == 0.0


def test_how_far_a_configuration_is_from_the_frontier() -> None:
    found = placed([history("a", 1.0, 100, 200), history("b", 2.0, 125, 100)], SPEC)
    assert found[1].distance == pytest.approx(0.2)  # 20 % faster it would be beaten on no axis by more
