"""How long alerts take: arithmetic against an incident played second by second."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alerts import AlertPolicy, ClearRule, Guards, Severity, WindowPair
from pipeline.slo import Ratio, Timeslices
from pipeline.spec import presets
from pipeline.spec.detection import budget_spent, detection_s, exhaustion_s, firing_ratio, reset_s, timings
from tests.naive import detection as naive

S = 1_000_000
DAY = 86_400 * S
TARGETS = ("0.9", "0.95", "0.99", "0.995", "0.999", "0.5")
FACTORS = ("1", "1.5", "2", "6", "14.4")


def _pair(factor: str, long_s: int, short_s: int) -> WindowPair:
    return WindowPair(Severity.CRITICAL, Ratio.parse(factor), long_s * S, short_s * S)


@settings(max_examples=300)
@given(
    st.sampled_from(TARGETS),
    st.sampled_from(FACTORS),
    st.integers(2, 90),
    st.integers(1, 89),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_detection_is_what_playing_the_incident_gives(
    target: str, factor: str, long_s: int, short_s: int, bad: int, eligible: int
) -> None:
    short_s, bad = min(short_s, long_s - 1), min(bad, eligible)
    found = detection_s(Ratio.parse(target), _pair(factor, long_s, short_s), Fraction(bad, eligible))
    budget = 1 - Fraction(target)
    assert found == naive.fires_after(budget, Fraction(factor), long_s, short_s, bad, eligible, 2 * long_s)


@settings(max_examples=300)
@given(
    st.sampled_from(TARGETS),
    st.sampled_from(FACTORS),
    st.sampled_from(("0", "0.1", "0.25", "0.99")),
    st.integers(1, 60),
    st.integers(0, 30),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_reset_is_what_playing_the_recovery_gives(
    target: str, factor: str, margin: str, short_s: int, hold_s: int, bad: int, eligible: int
) -> None:
    bad = min(bad, eligible)
    pair, clear = _pair(factor, short_s + 1, short_s), ClearRule(Ratio.parse(margin), hold_s * S)
    found = reset_s(Ratio.parse(target), pair, clear, Fraction(bad, eligible))
    budget = 1 - Fraction(target)
    if Fraction(bad, eligible) < Fraction(factor) * budget:
        assert found is None
    else:
        under = Fraction(factor) * (1 - Fraction(margin))
        assert found == naive.clears_after(budget, under, short_s, hold_s, bad, eligible)


@settings(max_examples=200)
@given(
    st.sampled_from(TARGETS), st.sampled_from(FACTORS), st.sampled_from(("0", "0.1", "0.99")), st.integers(1, 7),
    st.integers(2, 12), st.integers(1, 11), st.integers(0, 9), st.integers(1, 20), st.sampled_from((None, "0.5", "1")),
)  # fmt: skip
def test_times_of_slices_are_what_playing_them_gives(
    target: str, factor: str, margin: str, slice_s: int, long: int, short: int, hold_s: int, bad: int, good: str | None
) -> None:
    windows = long * slice_s, min(short, long - 1) * slice_s
    slices = Timeslices(slice_s * S, None if good is None else Ratio.parse(good))
    clear = ClearRule(Ratio.parse(margin), hold_s * S)
    policy = AlertPolicy((_pair(factor, *windows),), Guards(), clear)
    (timing,) = timings(Ratio.parse(target), policy, (Fraction(bad, 20),), slices)
    share = Fraction(bad, 20) if good is None else Fraction(1 - Fraction(bad, 20) < Fraction(good))
    budget = 1 - Fraction(target)
    fires = naive.fires_after_slices(budget, Fraction(factor), windows, slice_s, share, 2 * windows[0])
    assert timing.detection_s == (fires,)
    under = Fraction(factor) * (1 - Fraction(margin))
    if fires is not None:
        cleared = naive.clears_after_slices(budget, under, windows[1], hold_s, slice_s, share)
        assert timing.reset_s == (cleared,)


@pytest.mark.parametrize(
    ("preset", "error_ratio", "expected"),
    [
        pytest.param("workbook", "0.15", (346, 864, 1728, 1728), id="15 % errors page at 5.76 min"),
        pytest.param("workbook", "1", (52, 130, 260, 260), id="a total outage pages in 51.84 s"),
        pytest.param("default", "0.15", (240, 1152), id="15 % errors, default preset"),
        pytest.param("default", "0.01", (3600, 17280), id="the boundary fires, after the whole window"),
        pytest.param("default", "0.0099999", (None, 17281), id="under the boundary only the slow pair fires"),
        pytest.param("default", "0.001", (None, None), id="spending the budget exactly is no alert"),
    ],
)
def test_the_presets_at_99_9_percent(preset: str, error_ratio: str, expected: tuple[int | None, ...]) -> None:
    """The figures of promtool and of the SRE Workbook, to the second above them."""
    (timing,) = timings(Ratio.parse("0.999"), presets().windows[preset], (Fraction(error_ratio),))
    assert timing.detection_s == expected


def test_without_margin_and_hold_15_percent_errors_clear_4_52_minutes_after_the_end() -> None:
    pair = presets().windows["workbook"].pairs[0]
    assert reset_s(Ratio.parse("0.999"), pair, ClearRule(Ratio(0, 1), 0), Fraction("0.15")) == 272


def test_the_workbooks_pairs_spend_2_5_10_and_10_percent_of_30_days() -> None:
    spent = [budget_spent(pair, 30 * DAY) for pair in presets().windows["workbook"].pairs]
    assert spent == [Fraction(2, 100), Fraction(5, 100), Fraction(10, 100), Fraction(10, 100)]


def test_a_factor_at_the_limit_needs_every_request_bad() -> None:
    assert firing_ratio(Ratio.parse("0.9"), _pair("10", 60, 5)) == 1


@pytest.mark.parametrize(
    ("target", "error_ratio", "expected"),
    [
        pytest.param("0.999", "1", 2_592, id="an outage spends the 43.2 min of 30 days"),
        pytest.param("0.999", "0.001", 30 * 86_400, id="at 1x it lasts as long as the window"),
        pytest.param("0.99", "0.15", 172_800, id="at 15x a fifteenth of it"),
    ],
)
def test_a_budget_is_gone_after_the_window_over_the_burn_rate(target: str, error_ratio: str, expected: int) -> None:
    assert exhaustion_s(Ratio.parse(target), 30 * DAY, Fraction(error_ratio)) == expected
