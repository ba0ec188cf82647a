"""Laws: figures have few digits, and never say all or nothing of what is not."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.delivery import words_figures as figures


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"), (0.25, "250 ms"), (1, "1 s"), (59.9, "59 s"), (60, "1 min"), (65, "1 min 5 s"), (600, "10 min"),
        (3_600, "1 h"), (3_659, "1 h"), (4_800, "1 h 20 min"), (36_100, "10 h"), (86_400, "1 d"), (187_000, "2 d 3 h"),
        (30 * 86_400, "30 d"), (-3, "0 ms"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert figures.lasting(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "no data"), (0.0, "0 %"), (0.0516, "5.2 %"), (0.00031, "0.031 %"), (0.5, "50 %"), (1.0, "100 %"),
        (0.9999, "99.99 %"), (0.99994, "99.994 %"), (0.996, "99.6 %"), (1e-7, "0.00001 %"), (3.4, "340 %"),
    ],
)  # fmt: skip
def test_shares(ratio: float | None, text: str) -> None:
    assert figures.share(ratio) == text


@pytest.mark.parametrize(
    ("target", "text"), [(0.99, "99 %"), (0.9995, "99.95 %"), (0.999, "99.9 %"), (0.9999999, "99.99999 %")]
)
def test_targets_are_written_as_in_their_files(target: float, text: str) -> None:
    assert figures.promised(target) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(None, "no data"), (0.0, "0x"), (0.42, "0.42x"), (2.0, "2x"), (14.39, "14x"), (1000.0, "1,000x")]
)
def test_burn_rates(rate: float | None, text: str) -> None:
    assert figures.times(rate) == text


@pytest.mark.parametrize(
    ("micros", "text"), [(870, "870 us"), (320_400, "320 ms"), (1_404_000, "1.4 s"), (65e6, "1 min 5 s")]
)
def test_latencies(micros: float, text: str) -> None:
    assert figures.quickly(micros) == text


@given(st.integers(1, 10**9), st.integers(1, 10**9))
@settings(max_examples=50)
def test_a_share_of_some_is_neither_all_nor_nothing(some: int, others: int) -> None:
    text = figures.share(some / (some + others))
    assert text not in {"0 %", "100 %"}
    shown = float(text.removesuffix(" %").replace(",", "")) / 100
    assert shown == pytest.approx(some / (some + others), rel=0.06)


@given(st.text(max_size=300))
@settings(max_examples=50)
def test_what_producers_write_stays_on_its_line_and_is_short(text: str) -> None:
    cleaned = figures.clean(text)
    assert cleaned.isprintable()
    assert len(cleaned) <= figures.MOST_CHARACTERS


@given(st.text("ab ", min_size=1, max_size=200), st.integers(2, 100))
@settings(max_examples=50)
def test_what_is_cut_shows_it(text: str, most: int) -> None:
    cut = figures.cut(text, most)
    assert len(cut) <= most
    assert cut == text if len(text) <= most else re.match(r".*…$", cut)


def test_one_is_no_plural() -> None:
    assert [figures.many(count, "requests") for count in (0, 1, 1_234)] == ["0 requests", "1 request", "1,234 requests"]
