"""Retries among letters the obvious way: whoever can be reached by steps no longer than the window is one event."""

from collections.abc import Sequence

from jobs.drain.retries import Coming


def fed(letters: Sequence[Coming], window_s: int) -> set[int]:
    """Which letters are fed now: of each event the first that is chosen, unless one of it was fed before."""
    found = set()
    for number, letter in enumerate(letters):
        if not letter.is_chosen or letter.was_fed:
            continue
        event = _reached(letters, number, window_s)
        origins = {letters[other].offset for other in event if letters[other].was_fed}
        if not origins:
            chosen = [letters[other] for other in event if letters[other].is_chosen]
            origins = {min(chosen, key=lambda each: (each.second, each.offset)).offset}
        if letter.offset in origins:
            found.add(number)
    return found


def _reached(letters: Sequence[Coming], start: int, window_s: int) -> set[int]:
    if letters[start].name is None:
        return {start}
    reached, new = {start}, [start]
    while new:
        at = letters[new.pop()]
        for number, other in enumerate(letters):
            is_same = (other.name, other.partition) == (at.name, at.partition)
            if is_same and abs(other.second - at.second) <= window_s and number not in reached:
                reached.add(number)
                new.append(number)
    return reached
