"""Duplicates the obvious way: a dictionary that never forgets when each id came last and whether it counted."""

from collections.abc import Iterable
from typing import NamedTuple


class Coming(NamedTuple):
    """One record: its id (nothing: it has none), the second it was appended, whether it can be counted."""

    name: object
    second: int
    is_good: bool = True
    is_redriven: bool = False


def left_out(records: Iterable[Coming], window_s: int) -> list[bool]:
    """For each record whether it is a duplicate: its id came at most `window_s` seconds ago, and counted then."""
    last: dict[object, tuple[int, bool]] = {}
    now, found = 0, []
    for record in records:
        now = max(now, record.second)  # the broker's clock may step back; ours does not follow
        came, has_counted = last.get(record.name, (-1, False))
        is_known = bool(record.name) and came >= 0 and came + window_s >= now and has_counted
        found.append(is_known and not record.is_redriven)
        last[record.name] = now, is_known or record.is_good
    return found
