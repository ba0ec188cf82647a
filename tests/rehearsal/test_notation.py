"""Notation: promtool's series and rates, against plain loops."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rehearsal.notation import SAMPLES_MAX, Rate, evenly, rate, series, spread
from pipeline.spec.problems import Refused


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        pytest.param("7", (7,), id="one"),
        pytest.param("7x2", (7, 7, 7), id="and so many more, as promtool has it"),
        pytest.param("0+10x3", (0, 10, 20, 30), id="growing"),
        pytest.param("100-50x2", (100, 50, 0), id="falling"),
        pytest.param("1x0 2", (1, 2), id="no more"),
        pytest.param("5 _x1 6", (5, None, None, 6), id="unknown"),
        pytest.param("_", (None,), id="one unknown"),
        pytest.param("  1\n 2 ", (1, 2), id="any blanks"),
    ],
)
def test_series_are_read_as_promtool_reads_them(text: str, samples: tuple[int | None, ...]) -> None:
    assert series(text) == samples


@pytest.mark.parametrize(
    "text", ["", "x3", "1+2", "-1", "10-6x2", "1.5x3", "1x-1", "1x2x3", "stale", "1e9", "\u0661x2"]
)
def test_what_is_no_series_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        series(text)


def test_a_series_has_a_limit_and_says_it() -> None:
    with pytest.raises(Refused, match=str(SAMPLES_MAX)):
        series("1x999999999")
    with pytest.raises(Refused, match="1000000000"):
        series("0+999999999x9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100", Rate(Fraction(100), Fraction(100))), ("0.05", Rate(Fraction(1, 20), Fraction(1, 20))),
     ("1..2.5", Rate(Fraction(1), Fraction(5, 2)))],
)  # fmt: skip
def test_rates(text: str, expected: Rate) -> None:
    assert rate(text) == expected


@pytest.mark.parametrize("text", ["", "..", "1..", "1..2..3", "-1", "1.2345", "2000000", "nan", "1e3"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        rate(text)


thousandths = st.integers(0, 10**6).map(lambda n: Fraction(n, 1000))


@given(thousandths, thousandths, st.integers(1, 200))
def test_a_rate_adds_up_to_its_integral_rounded_down_at_every_second(
    first: Fraction, last: Fraction, seconds: int
) -> None:
    total = 0
    for second, count in enumerate(evenly(Rate(first, last), seconds).tolist(), 1):
        total += count
        assert total == (first * second + (last - first) * second * second / (2 * seconds)) // 1


def test_a_long_fast_ramp_does_not_overflow() -> None:
    counts = evenly(Rate(Fraction(1), Fraction(999_999_999, 1000)), 5_000_000)
    assert counts.min() >= 0
    assert counts.sum() == 5_000_000 * (1 + Fraction(999_999_999, 1000)) / 2 // 1


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=1, max_size=8), st.integers(1, 90))
def test_an_interval_adds_up_to_its_sample_and_is_even(samples: list[int | None], interval_s: int) -> None:
    counts = spread(tuple(samples), interval_s).reshape(-1, interval_s)
    assert counts.sum(axis=1).tolist() == [sample or 0 for sample in samples]
    assert np.ptp(counts, axis=1).max() <= 1
