"""Laws: classes of least worth go first; limits fall fast and rise slowly; shedding never feeds on what it sheds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.controls.class_facts import ClassFacts, Load, Promise, Situation
from pipeline.controls.classes import ServiceClass
from pipeline.controls.limiter import Limit, LimitSpec, burning_class, next_limit, shed_shares
from pipeline.spec.problems import Refused
from tests.naive import shedding as naive

C = ServiceClass
SPEC = LimitSpec()
NOW = 1_000_000_000_000
S = 1_000_000
WORKS = {C.CRITICAL: 10.0, C.HIGH_FAST: 10.0, C.LOW: 20.0}
UNITS = st.dictionaries(st.sampled_from(C), st.integers(0, 40), min_size=1)


def seen(served: float = 40.0, **bad: int) -> Situation:
    """A situation of 10 s in which each class had 100 requests, so many of them bad."""
    situation = Situation(NOW, 10.0)
    for each in WORKS:
        promise = Promise(each.name, 0.99, 100 - bad.get(each.name, 0), bad.get(each.name, 0), 0, 0, False)
        situation.classes[each] = ClassFacts([promise], Load(work=served * 10 / len(WORKS)))
    return situation


def after(limit: Limit, situation: Situation, now_us: int = NOW, capacity: float | None = None) -> Limit:
    return next_limit(SPEC, limit, situation, WORKS, capacity, now_us)


@given(UNITS, st.integers(0, 200))
def test_classes_of_least_worth_are_shed_first_as_if_it_were_done_unit_by_unit(
    works: dict[ServiceClass, int], limit: int
) -> None:
    found = shed_shares(float(limit), {each: float(units) for each, units in works.items()})
    assert found == {each: pytest.approx(share) for each, share in naive.shares(limit, works).items()}


@given(UNITS)
def test_without_a_limit_nobody_is_shed(works: dict[ServiceClass, int]) -> None:
    assert set(shed_shares(None, {each: float(units) for each, units in works.items()}).values()) == {0.0}


def test_a_class_that_burns_critically_sets_a_limit_under_what_was_served() -> None:
    assert after(Limit(), seen()) == Limit()
    assert after(Limit(), seen(CRITICAL=9)) == Limit()  # 9x
    assert after(Limit(), seen(CRITICAL=10)) == Limit(20.0, None, NOW)


@pytest.mark.parametrize(
    ("promise", "is_burning"),
    [
        pytest.param(Promise("s", 0.99, 90, 10, 0, 0, False), True, id="10x"),
        pytest.param(Promise("s", 0.99, 91, 9, 0, 0, False), False, id="9x"),
        pytest.param(Promise("s", 0.99, 91, 9, 0, 0, True), True, id="9x, and a critical alert is open"),
        pytest.param(Promise("s", 0.99, 100, 0, 0, 0, True), False, id="an alert, and nothing burns now"),
        pytest.param(Promise("s", 0.99, 10, 9, 0, 0, False), False, id="too few events"),
        pytest.param(Promise("s", 0.99, 16, 4, 0, 0, False), False, id="too few bad ones"),
        pytest.param(Promise("s", 0.99, 0, 0, 0, 0, True), False, id="no data"),
    ],
)
def test_what_burns_needs_evidence(promise: Promise, is_burning: bool) -> None:
    situation = Situation(NOW, 10.0, {C.CRITICAL: ClassFacts([promise])})
    assert burning_class(SPEC, Limit(), situation) == (C.CRITICAL if is_burning else None)


def test_the_class_of_least_worth_has_nobody_to_be_shed_for_it() -> None:
    assert after(Limit(), seen(LOW=50)) == Limit()


def test_it_is_cut_again_only_once_the_last_cut_could_show() -> None:
    limit = Limit(20.0, None, NOW)
    assert after(limit, seen(CRITICAL=50), NOW + 44 * S) == limit
    assert after(limit, seen(CRITICAL=50), NOW + 45 * S) == Limit(14.0, 20.0, NOW + 45 * S)


def test_it_is_not_cut_under_what_nobody_sheds() -> None:
    limit = Limit(9.0, 12.0, NOW)
    assert after(limit, seen(CRITICAL=50), NOW + 3600 * S) == limit


def test_classes_that_are_shed_do_not_say_that_it_burns() -> None:
    """A class whose shed requests are bad would else cut the limit until nobody of it is left."""
    limit = Limit(32.0, None, NOW, touched=C.HIGH_FAST)
    late = NOW + 3600 * S
    assert after(limit, seen(HIGH_FAST=100, LOW=100), late).work_s == 32.0
    assert after(replace(limit, touched=C.LOW), seen(HIGH_FAST=100), late).work_s == pytest.approx(22.4)


@pytest.mark.parametrize(
    ("burned_s", "capacity", "calm_s", "raised"),
    [
        pytest.param(None, None, 29, 20.0, id="too soon"),
        pytest.param(None, None, 30, 21.2, id="nothing is known of more"),
        pytest.param(23.0, None, 30, 20.08, id="near where it burned"),
        pytest.param(24.0, None, 30, 21.2, id="still far from there"),
        pytest.param(23.0, None, 300, 21.2, id="it burned there long ago"),
        pytest.param(None, 23.0, 300, 20.08, id="near the capacity that is measured now"),
        pytest.param(23.0, 46.0, 30, 20.08, id="the lesser of both"),
        pytest.param(23.0, 46.0, 300, 21.2, id="there is more than when it burned"),
    ],
)
def test_it_rises_while_all_is_calm_and_slowly_near_what_is_too_much(
    burned_s: float | None, capacity: float | None, calm_s: int, raised: float
) -> None:
    calm = Limit(20.0, burned_s, NOW, NOW)
    assert after(calm, seen(), NOW + calm_s * S, capacity).work_s == pytest.approx(raised)


def test_it_does_not_rise_while_anything_burns() -> None:
    calm = Limit(20.0, None, NOW, NOW)
    assert after(calm, seen(CRITICAL=1), NOW + 30 * S) == replace(calm, calm_since_us=None)  # 1x


def test_it_is_kept_for_a_load_that_comes_back_and_then_given_up() -> None:
    limit = Limit(50.0, 30.0, NOW, NOW, C.LOW)  # all of 40 is let in
    assert after(limit, seen(), NOW + 299 * S) == limit
    assert after(limit, seen(), NOW + 300 * S) == Limit()


@pytest.mark.parametrize("changes", [{"calm_below": 10.0}, {"cut_ratio": 1.0}, {"first_cut_ratio": 0.0}])
def test_limits_that_cannot_work_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(Refused):
        LimitSpec(**changes)
