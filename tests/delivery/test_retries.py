"""Trying again: waits double, some chance is taken off them, and a receiver that fails is probed by one at a time."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.retries import CLOSED, Breaker, Circuit, RetrySpec, failed

SPEC = RetrySpec(first_us=100, longest_us=3_000, asked_us_most=5_000, failures_most=3)
DRAWS = st.floats(0, 1, exclude_max=True)


def waits(draw: float, count: int) -> list[int]:
    """Each failure comes at the time of its attempt."""
    breaker, found, now_us = CLOSED, [], 1_000
    for _ in range(count):
        breaker = failed(breaker, SPEC, now_us, draw, "no")
        found.append(breaker.retry_us - now_us)
        now_us = breaker.retry_us
    return found


def test_waits_double_up_to_the_longest() -> None:
    assert waits(0.0, 7) == [100, 200, 400, 800, 1_600, 3_000, 3_000]


@given(DRAWS)
def test_chance_takes_up_to_half_away(draw: float) -> None:
    for wait, whole in zip(waits(draw, 7), waits(0.0, 7), strict=True):
        assert whole / 2 <= wait <= whole


def test_the_breaker_opens_after_failures_in_a_row_and_remembers_the_first() -> None:
    breaker, now_us = CLOSED, 10
    for count in range(1, 5):
        breaker = failed(breaker, SPEC, now_us, 0.0, f"no {count}")
        assert breaker.circuit(SPEC) is (Circuit.OPEN if count >= 3 else Circuit.CLOSED)
        now_us = breaker.retry_us
    assert (breaker.since_us, breaker.why) == (10, "no 4")


@given(st.lists(DRAWS, min_size=1, max_size=5))
def test_failures_of_several_under_way_count_once(draws: list[float]) -> None:
    breaker = failed(CLOSED, SPEC, 0, 0.0, "no")
    for draw in draws:
        assert failed(breaker, SPEC, breaker.retry_us - 1, draw, "too") == breaker


def test_a_longer_wait_is_granted_up_to_its_own_limit() -> None:
    assert failed(CLOSED, SPEC, 0, 0.0, "", 700).retry_us == 700
    assert failed(CLOSED, SPEC, 0, 0.0, "", 7).retry_us == 100
    assert failed(CLOSED, SPEC, 0, 0.0, "", 10**12).retry_us == 5_000


def test_a_thousand_failures_overflow_nothing() -> None:
    assert failed(Breaker(100_000, 1, 2, ""), SPEC, 5, 0.0, "").retry_us == 3_005
