"""Duplicates the obvious way: a dictionary of first comings that never forgets, and says so of what is too old."""

from collections.abc import Iterable


def duplicates(records: Iterable[tuple[int, int]], window_s: int) -> list[bool]:
    """For each (id, second): whether it came before, at most `window_s` seconds ago."""
    first: dict[int, int] = {}
    found = []
    for name, now_s in records:
        is_known = name in first and first[name] + window_s >= now_s
        found.append(is_known)
        if not is_known:
            first[name] = now_s
    return found
