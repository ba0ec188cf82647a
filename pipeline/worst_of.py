"""Worst-of composites: a slice is as good as its worst member; their slices are judged like those of any SLO.

Pure. Members' events are counted in slices of the composite's length, by its own share. When a slice ends, its
members' verdicts are the events of the composite's slice, which is good when all of them are: a member without
traffic has none, and is neither good nor bad. What comes late for a slice that is still kept changes its verdict.
Events in all, and those that came late, are its members' together: an entry has as excluded what it counts for beside
its verdicts.

    member a   |..good..|..bad...|........|
    member b   |..good..|..good..|..good..|        .: no events: no verdict
    composite  |  good  |  bad   |  good  |
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline import timeslices
from pipeline.alerts import Composed
from pipeline.instances import Instances
from pipeline.kernels import rings as k
from pipeline.kernels.slices import KEPT
from pipeline.watermark import Coverage

Entry = tuple[int, int, int, int, int]  # row, second, good, bad, excluded
Late = dict[tuple[int, int], tuple[int, int, int]]  # composite, number of a slice -> members good, bad; events


class WorstOf:
    """The composites of slices of which one judge partition has parts."""

    def __init__(self, spec: Sequence[Composed], instances: Instances) -> None:
        self.spec, self.instances = tuple(spec), instances
        self.length_s = [timeslices.length_s(each.watched.objective) for each in self.spec]
        self.composite_of = {part.name: c for c, each in enumerate(self.spec) for part in each.parts}

    def part_rows(self) -> NDArray[np.int64]:
        """Rows of all parts, ascending: they are judged only together."""
        found = [row for composed in self.spec for row in self.instances.rows_of(composed.parts)]
        return np.array(sorted(found), np.int64)

    def rows(self) -> NDArray[np.int64]:
        """Rows of the composites themselves."""
        return np.array(sorted(self.instances.rows_of(each.watched.objective for each in self.spec)), np.int64)

    def judge(self, until: int, due: NDArray[np.int64], coverage: Coverage) -> NDArray[np.int64]:
        """Let parts take every second up to `until`; return what their slices say of the composites', by second."""
        entries: list[Entry] = []
        for c, composed in enumerate(self.spec):
            rows, length = np.array(sorted(self.instances.rows_of(composed.parts)), np.int64), self.length_s[c]
            if not len(rows):
                continue
            after, counted = int(self.instances.bank.rows.words[rows, k.AT].min()), self._counted(c)
            for n in range(after // length, until // length):
                self.instances.advance(rows, n * length + length, due, coverage)
                if (entry := self._entry(c, n, after, counted)) is not None:
                    entries.append(entry)
                    counted += sum(entry[2:])
            self.instances.advance(rows, until, due, coverage)
        entries.sort(key=lambda entry: entry[1])
        return np.array(entries, np.int64).reshape(-1, 5)

    def _counted(self, c: int) -> int:
        """Events that its own row knows of."""
        row = self.instances.rows.get(self.instances.key_of(self.spec[c].watched.objective.name))
        return 0 if row is None else int(self.instances.words(row)[k.TOTAL])

    def _entry(self, c: int, n: int, after: int, counted: int) -> Entry | None:
        """What a slice that has just ended says; `counted`: events before it."""
        good, bad = self._verdicts(c, n)
        row = self._row(c, after) if good + bad else None
        if row is None:
            return None
        length, words = self.length_s[c], self.instances.words(row)
        second = n * length + length - 1
        if words[k.FIRST] < 0:  # it exists since its first slice began
            second = n * length
            words[[k.AT, k.FIRST]] = second, second
        rows = self.instances.rows_of(self.spec[c].parts)
        total = int(self.instances.bank.rows.words[rows, k.TOTAL].sum())
        return row, second, good, bad, max(total - counted - good - bad, 0)

    def _row(self, c: int, at: int) -> int | None:
        objective = self.spec[c].watched.objective
        return self.instances.row_of(objective.name, objective.indicator_revision, "", at)

    def _verdicts(self, c: int, n: int) -> tuple[int, int]:
        """Count the members whose slice was good, and those whose slice was bad."""
        cells, found = self.instances.bank.rows.cells, [0, 0]
        for row in self.instances.rows_of(self.spec[c].parts):
            if self.instances.words(row)[k.FIRST] < 0:
                continue
            objective = int(self.instances.words(row)[k.OBJECTIVE])
            place = self.instances.bank.layouts[objective].kept_at + n % KEPT
            good, bad = (int(number) for number in cells[row, place])
            if good + bad:
                row_of_slices = self.instances.bank.tables.slices[objective]
                target, scale = int(row_of_slices[k.TARGET]), int(row_of_slices[k.SCALE])
                found[good * scale < (good + bad) * target] += 1
        return found[0], found[1]

    def before(self, late: NDArray[np.int64], judged_s: int) -> Late:
        """What slices say now that late entries fall into, and of how many events; verdicts of those that are kept."""
        found: Late = {}
        for row, second, *events in late.tolist():
            c = self.composite_of.get(self.instances.known[row].key.slo)
            if c is not None:
                n = second // self.length_s[c]
                good, bad, known = found.get((c, n)) or (*self._kept_verdicts(c, n, judged_s), 0)
                found[c, n] = good, bad, known + sum(events)
        return found

    def _kept_verdicts(self, c: int, n: int, judged_s: int) -> tuple[int, int]:
        now = judged_s // self.length_s[c]
        return self._verdicts(c, n) if now - KEPT < n < now else (0, 0)

    def amended(self, before: Late, judged_s: int) -> NDArray[np.int64]:
        """Return late entries of composites: what differs from before, and the events that came late."""
        entries: list[Entry] = []
        for (c, n), (good, bad, events) in before.items():
            now_good, now_bad = self._kept_verdicts(c, n, judged_s)
            more_good, more_bad = now_good - good, now_bad - bad
            is_known = self.instances.key_of(self.spec[c].watched.objective.name) in self.instances.rows
            row = self._row(c, judged_s) if is_known or more_good or more_bad else None
            if row is not None:
                second = min(n * self.length_s[c] + self.length_s[c], judged_s) - 1
                entries.append((row, second, more_good, more_bad, events - more_good - more_bad))
        return np.array(entries, np.int64).reshape(-1, 5)
