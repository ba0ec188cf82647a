"""Pacing: speeds, times, and waiting that is neither early nor deaf."""

import threading
import time

import pytest

from jobs.pacing import Pace, PaceError, parse_speed, parse_time_us


@pytest.mark.parametrize(
    ("text", "factor"), [("real", 1.0), ("full", None), ("max", None), ("x60", 60.0), ("2.5", 2.5)]
)
def test_speeds_are_real_full_or_a_factor(text: str, factor: float | None) -> None:
    assert parse_speed(text) == factor


@pytest.mark.parametrize("text", ["", "fast", "x", "0", "-1", "x0"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(PaceError, match="is no speed"):
        parse_speed(text)


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert parse_time_us("1970-01-01T00:00:01.5") == parse_time_us("1970-01-01T01:00:01.5+01:00") == 1_500_000
    assert abs(parse_time_us("now") / 1e6 - time.time()) < 60
    with pytest.raises(PaceError):
        parse_time_us("tomorrow")


def test_event_time_is_due_no_earlier_than_its_factor_says() -> None:
    pace, began = Pace(1_000_000, 100.0), time.monotonic()
    assert not pace.wait(1_000_000 + 20_000_000, threading.Event())
    assert time.monotonic() - began >= 0.2


def test_a_pace_that_is_told_to_stop_does_not_wait() -> None:
    (stop := threading.Event()).set()
    assert Pace(0, 1.0).wait(3_600_000_000, stop) and Pace(0, None).wait(0, stop)
    assert not Pace(0, None).wait(3_600_000_000, threading.Event())
