"""Exemplars: up to five traces of bad events for each SLO instance, the newest minute first.

Pure. An exemplar has the second of its instance's newest bad entry in its block: blocks do not say more. Within a
minute the first come first, so what is known at second t is the same however far ahead blocks were read; for the
same reason exemplars of seconds that the watermark has passed are not kept at all.
Memory: five a row, about 1 KB, and five more for each minute that waits for the watermark.
"""

from collections.abc import Iterable

MOST = 5
MINUTE_S = 60
MOST_CHARACTERS = 128  #: of a trace id, which has 32; as many as ingest passes on, see pipeline.trace_ids

Exemplar = tuple[int, str]  # second, trace id


class Exemplars:
    """Exemplars of the rows of one judge partition, past and ahead."""

    def __init__(self) -> None:
        self._found: dict[int, list[Exemplar]] = {}  # row -> in order of rank

    def add(self, row: int, second: int, trace_id: str, judged_s: int) -> None:
        """Note an exemplar; every second before `judged_s` has been judged."""
        found = self._found.setdefault(row, [])
        if len(found) >= 2 * MOST:
            found = self._found[row] = _kept(found, judged_s)
        if len(trace_id) <= MOST_CHARACTERS and (second, trace_id) not in found:
            found.append((second, trace_id))
            found.sort(key=_rank)
            same = [at for at, each in enumerate(found) if each[0] // MINUTE_S == second // MINUTE_S]
            del found[same[0] + MOST : same[-1] + 1]

    def of(self, row: int, start: int, end: int) -> tuple[str, ...]:
        """Return up to five traces of seconds before `end`, from the minute of `start` on."""
        start -= start % MINUTE_S
        found = (trace_id for second, trace_id in self._found.get(row, ()) if start <= second < end)
        return tuple(dict.fromkeys(found))[:MOST]

    def past(self, row: int, judged_s: int, oldest_s: int) -> list[Exemplar]:
        """Return what a row keeps of judged seconds, from the minute of `oldest_s` on; the rest is forgotten."""
        if row not in self._found:
            return []
        found = [each for each in _kept(self._found[row], judged_s) if each[0] >= oldest_s - oldest_s % MINUTE_S]
        if found:
            self._found[row] = found
        else:
            del self._found[row]
        return [each for each in found if each[0] < judged_s]

    def ahead(self, judged_s: int) -> list[tuple[int, Exemplar]]:
        """Return (row, exemplar) of seconds that are not judged yet."""
        return [(row, each) for row, found in self._found.items() for each in found if each[0] >= judged_s]

    def restore(self, row: int, found: Iterable[Iterable[int | str]]) -> None:
        """Add what `past` or `ahead` gave."""
        known = self._found.setdefault(row, [])
        known += [(int(second), str(trace_id)) for second, trace_id in found]
        known.sort(key=_rank)

    def forget(self, row: int) -> None:
        self._found.pop(row, None)


def _rank(exemplar: Exemplar) -> tuple[int, int, str]:
    second, trace_id = exemplar
    return -(second // MINUTE_S), second, trace_id


def _kept(found: list[Exemplar], judged_s: int) -> list[Exemplar]:
    """What can still be asked for: all that is ahead, and of what is judged the first that differ."""
    past = dict.fromkeys(trace_id for second, trace_id in found if second < judged_s)
    chosen = set(list(past)[:MOST])
    return [each for each in found if each[0] >= judged_s or each[1] in chosen]
