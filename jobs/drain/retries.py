"""Retries among dead letters: of the letters of one event, one is fed again. Pure.

    source partition   A ........ B ............................ C        one event id
                       |<- window ->|                            later than that: an event of its own
                       fed          left: a retry of A           fed

Law: the letters of one event id and one source partition, each within the window of the one before, are one event, of
which one letter is fed, in all runs together; the first that was chosen is. A letter that was fed again and came back
is the letter that it was. As in ingest (pipeline.duplicates), a retry is the same bytes, and times are append times in
seconds. Refuses to know what was counted at once: a letter whose retry came when it could be read counts beside it.
"""

import json
import struct
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from pipeline.duplicates import EVENT_ID
from pipeline.framing import Framing, UnknownSchema
from pipeline.wire import Cursor, reader_of

SCHEMA = "inference_event"


class Coming(NamedTuple):
    """One letter, as far as retries are concerned."""

    name: object  # of the event; None: it cannot be read
    partition: int  # where it came from first, before it was ever fed again
    offset: int
    second: int  # of its first append
    is_chosen: bool
    was_fed: bool


def retries(letters: Sequence[Coming], window_s: int) -> list[bool]:
    """For each letter whether it was chosen and is no more than a retry of one that is fed, or was."""
    found, same = [False] * len(letters), dict[tuple[int, object], list[int]]()
    for number, letter in enumerate(letters):
        if letter.name is not None:
            same.setdefault((letter.partition, letter.name), []).append(number)
    for numbers in same.values():
        if len(numbers) > 1:
            for event in _events(letters, numbers, window_s):
                _leave_one(letters, event, found)
    return found


def _events(letters: Sequence[Coming], numbers: list[int], window_s: int) -> list[list[int]]:
    """Letters of one id, divided where more than the window lies between two."""
    numbers = sorted(numbers, key=lambda number: (letters[number].second, letters[number].offset))
    events = [numbers[:1]]
    for before, number in pairwise(numbers):
        if letters[number].second - letters[before].second > window_s:
            events.append([])
        events[-1].append(number)
    return events


def _leave_one(letters: Sequence[Coming], event: list[int], found: list[bool]) -> None:
    going = [number for number in event if letters[number].is_chosen and not letters[number].was_fed]
    kept = {letters[number].offset for number in event if letters[number].was_fed}
    kept = kept or {letters[number].offset for number in going[:1]}
    for number in going:
        found[number] = letters[number].offset not in kept


class EventIds:
    """Reads the event id out of a record, whoever wrote it."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing

    def of(self, value: bytes | None) -> object:
        """Return the id; None: there is none, or it cannot be read."""
        try:
            text, start = self._framing.split(SCHEMA, value or b"")
            cursor, name = Cursor(value or b"", start), None
            for read in _readers(text):
                name = read(cursor)
        except (UnknownSchema, IndexError, UnicodeDecodeError, struct.error):
            return None
        return name or None


@cache
def _readers(schema_text: str) -> tuple[Callable[[Cursor], Any], ...]:
    """Readers of a writer's fields up to the event id; none when it has none, or behind a field we cannot read."""
    readers = []
    schema = json.loads(schema_text)
    for field in schema.get("fields", ()) if isinstance(schema, dict) else ():
        try:
            readers.append(reader_of(field["type"]))
        except (KeyError, ValueError):
            return ()
        if field["name"] == EVENT_ID:
            return tuple(readers)
    return ()
