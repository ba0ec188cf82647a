"""SLO formulas against fractions."""

from decimal import InvalidOperation
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline import slo
from pipeline.slo import Ratio

targets = st.integers(1, 8).flatmap(
    lambda digits: st.builds(Ratio, st.integers(1, 10**digits - 1), st.just(10**digits))
)
factors = st.builds(Ratio, st.integers(1, 10_000), st.sampled_from([1, 10, 100]))
numbers = st.integers(0, 10**12)


def exact(ratio: Ratio) -> Fraction:
    return Fraction(ratio.numerator, ratio.scale)


@pytest.mark.parametrize(
    ("text", "numerator", "scale"),
    [("0.999", 999, 1000), ("0.9990", 999, 1000), ("14.4", 144, 10), ("10", 10, 1), ("-0.5", -5, 10)],
)
def test_decimals_are_read_as_they_stand(text, numerator, scale):
    assert Ratio.parse(text) == Ratio(numerator, scale)


def test_what_is_no_decimal_is_refused():
    with pytest.raises(InvalidOperation):
        Ratio.parse("ninety-nine")


@given(targets, factors, numbers, numbers, st.integers(1, 3_600), st.integers(1, 3_600))
def test_burning_at_least_a_factor_is_exact(target, factor, good, bad, lived, more):
    span = lived + more
    assume(good + bad > 0)
    burn = Fraction(bad * lived, (good + bad) * span) / (1 - exact(target))
    assert slo.burns_at_least(target, factor, good, bad, lived, span) == (burn >= exact(factor))
    assert slo.burn_rate(target, good, bad, lived, span) == pytest.approx(float(burn))


def test_the_boundary_fires():
    target, ten = Ratio.parse("0.999"), Ratio.parse("10")
    assert slo.burns_at_least(target, ten, 99_000, 1_000)
    assert not slo.burns_at_least(target, ten, 99_001, 1_000)


def test_no_data_is_none_and_never_fires():
    target = Ratio.parse("0.99")
    assert slo.compliance_ratio(0, 0) is None
    assert slo.burn_rate(target, 0, 0) is None
    assert slo.budget_remaining_ratio(target, 0, 0) is None
    assert not slo.burns_at_least(target, Ratio(0, 1), 0, 0)


@given(targets, numbers, numbers)
def test_budget_left_is_what_was_not_spent(target, good, bad):
    assume(good + bad > 0)
    spent = Fraction(bad, good + bad) / (1 - exact(target))
    assert slo.budget_remaining_ratio(target, good, bad) == pytest.approx(float(1 - spent), abs=1e-9)
    assert slo.budget_events(target, good + bad) == pytest.approx(float((1 - exact(target)) * (good + bad)))


def test_budget_minutes_of_a_month():
    assert slo.budget_minutes(Ratio.parse("0.999"), 30 * 86_400_000_000) == pytest.approx(43.2)


@pytest.mark.parametrize(
    ("good", "bad", "rate", "expected"),
    [
        pytest.param(999_500, 500, 1.0, 15 * 86_400, id="half the budget at burn 1 lasts half the window"),
        pytest.param(990_000, 10_000, 5.0, 0.0, id="overspent"),
        pytest.param(1_000, 0, 0.0, None, id="not burning"),
        pytest.param(0, 0, None, None, id="no data"),
    ],
)
def test_time_to_exhaustion(good, bad, rate, expected):
    window_us = 30 * 86_400_000_000
    assert slo.time_to_exhaustion_s(Ratio.parse("0.999"), good, bad, window_us, rate) == (
        None if expected is None else pytest.approx(expected)
    )


def test_a_total_outage_burns_at_the_greatest_rate():
    target = Ratio.parse("0.999")
    assert slo.greatest_burn_rate(target) == slo.burn_rate(target, 0, 10) == 1_000
