"""What an endpoint serves by its load, and how long a burst lasts: against a clock that ticks."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.controls.load_curve import Curve, burst_s, curve_of, served, sustained_ratio
from tests.naive import capacity as naive

LOADS = st.lists(st.tuples(st.integers(1, 200), st.floats(0.1, 60), st.floats(1, 1000)), min_size=1, max_size=20)


def batched(growth: float) -> Curve:
    """Residence grows with what is in flight, as of a batch: 1 s alone."""
    return curve_of((n, 1 + growth * n, 100.0) for n in range(1, 101))


@given(LOADS)
@example([(42, 1.375, 1.0), (61, 0.375, 1.0)])
def test_more_in_flight_never_serves_less(loads: list[tuple[float, float, float]]) -> None:
    curve = curve_of(loads)
    rates = [served(curve, load) for load in range(250)]
    assert rates == sorted(rates) and rates[0] == 0
    assert rates[-1] == curve[-1].served


def test_what_falls_is_pooled_by_its_weight() -> None:
    """At 20 fewer were served than at 10: both are as they are together, three to one."""
    curve = curve_of([(10, 1.0, 300.0), (20, 2.5, 100.0), (30, 1.0, 1.0)])
    assert [each.served for each in curve] == pytest.approx([9.5, 9.5, 30])


@pytest.mark.parametrize(
    ("growth", "now", "factor"),
    [(0.01, 5.0, 20.0), (0.01, 20.0, 3.0), (0.01, 60.0, 1.5), (0.05, 20.0, 2.0), (0.05, 60.0, 1.05)],
)
def test_a_burst_lasts_as_long_as_a_clock_says(growth: float, now: float, factor: float) -> None:
    curve = batched(growth)
    expected = naive.burst_s(lambda n: n / (1 + growth * n), now, 80, factor, 0.01)
    assert burst_s(curve, now, 80, factor) == (None if expected is None else pytest.approx(expected, rel=0.02))


def test_what_the_limit_serves_lasts_for_ever_and_more_does_not() -> None:
    curve = batched(0.01)
    most = sustained_ratio(curve, 20, 80)
    assert most == pytest.approx((80 / 1.8) / (20 / 1.2))
    assert burst_s(curve, 20, 80, most * 0.99) is None
    assert (burst_s(curve, 20, 80, most * 1.01) or 0) > 10


def test_what_is_over_the_limit_already_lasts_no_time_and_without_load_nothing_is_known() -> None:
    assert burst_s(batched(0.01), 90, 80, 2.0) == 0.0
    assert burst_s((), 0, 80, 2.0) is None and sustained_ratio((), 0, 80) is None
    assert burst_s(batched(0.01), 0, 80, 2.0) is None
