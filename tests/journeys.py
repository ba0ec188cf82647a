"""Plans of composites' parts, as entries of the judge."""

from collections.abc import Iterable, Sequence

from pipeline.slo import PART
from tests.judging import T0, Entry, steady

Stretch = tuple[int, int, int, int]  # seconds after T0: start, end; good and bad of each


def entries_of(*parts: Iterable[Stretch], name: str = "journey") -> list[Entry]:
    """Entries of parts a, b, ... by second."""
    found = [
        entry
        for member, stretches in zip("abcdefgh", parts, strict=False)
        for start, end, good, bad in stretches
        for entry in steady(T0 + start, T0 + end, good, bad, f"{name}{PART}{member}")
    ]
    return sorted(found, key=lambda entry: entry[2])


def stretches_of(plan: Iterable[tuple[int, int | None]]) -> list[Stretch]:
    """Stretches behind each other: seconds, bad of ten events in each; None: no events."""
    start, found = 0, []
    for length, bad in plan:
        if bad is not None:
            found.append((start, start + length, 10 - bad, bad))
        start += length
    return found


def clocked(entries: Sequence[Entry], seconds: int = 30) -> list[Entry]:
    """The same, and a part that says for so long what time it is."""
    end = max((entry[2] for entry in entries), default=T0)
    return [*entries, *steady(end + 1, end + seconds, 10, slo=f"journey{PART}a")]
