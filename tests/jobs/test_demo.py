"""The demo waits for a slow machine, and not for what does not come."""

from itertools import chain, count, repeat

from jobs.demo.course import patiently


def test_what_moves_is_waited_for_however_long_and_what_stands_still_is_given_up() -> None:
    moving = count(1)
    assert patiently(lambda: next(moving), lambda seen: seen == 9, patience_s=0.001) == 9
    stuck = chain([1, 2], repeat(3))
    assert patiently(lambda: next(stuck), lambda seen: seen == 9, patience_s=0.001) == 3
