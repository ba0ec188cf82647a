"""Worst-of composites: a slice is as good as its worst member; their slices are judged like those of any SLO.

Pure. Members' events are counted in slices of the composite's length, by its own share. When a slice ends, its
members' verdicts are the events of the composite's slice, which is good when all of them are: a member without
traffic has none, and is neither good nor bad. What comes late for a slice that is still kept changes its verdict.

    member a   |..good..|..bad...|........|
    member b   |..good..|..good..|..good..|        .: no events: no verdict
    composite  |  good  |  bad   |  good  |
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline import timeslices
from pipeline.alerts import Composed
from pipeline.instances import Instances
from pipeline.kernels import rings as k
from pipeline.kernels.slices import KEPT
from pipeline.watermark import Coverage

Entry = tuple[int, int, int, int, int]  # row, second, good, bad, excluded
Slices = dict[tuple[int, int], tuple[int, int]]  # composite, number of a slice -> members good, bad


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
            after = int(self.instances.bank.rows.words[rows, k.AT].min())
            for n in range(after // length, until // length):
                self.instances.advance(rows, n * length + length, due, coverage)
                entries += self._entries(c, n, after)
            self.instances.advance(rows, until, due, coverage)
        entries.sort(key=lambda entry: entry[1])
        return np.array(entries, np.int64).reshape(-1, 5)

    def _entries(self, c: int, n: int, after: int) -> Iterator[Entry]:
        """What a slice that has just ended says."""
        good, bad = self._verdicts(c, n)
        row = self._row(c, after) if good + bad else None
        if row is None:
            return
        length, words = self.length_s[c], self.instances.words(row)
        second = n * length + length - 1
        if words[k.FIRST] < 0:  # it exists since its first slice began
            second = n * length
            words[[k.AT, k.FIRST]] = second, second
        yield row, second, good, bad, 0

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
                target, scale = (int(number) for number in self.instances.bank.tables.slices[objective, -2:])
                found[good * scale < (good + bad) * target] += 1
        return found[0], found[1]

    def ended(self, late: NDArray[np.int64], judged_s: int) -> Slices:
        """What slices say now that late entries fall into, of those that have ended and are kept."""
        found: Slices = {}
        for row, second in late[:, :2].tolist():
            c = self.composite_of.get(self.instances.known[row].key.slo)
            if c is not None:
                n, now = second // self.length_s[c], judged_s // self.length_s[c]
                if now - KEPT < n < now:
                    found[c, n] = self._verdicts(c, n)
        return found

    def amended(self, before: Slices, judged_s: int) -> NDArray[np.int64]:
        """Return late entries of composites: what differs from before."""
        entries: list[Entry] = []
        for (c, n), (good, bad) in before.items():
            now_good, now_bad = self._verdicts(c, n)
            row = self._row(c, judged_s) if (now_good, now_bad) != (good, bad) else None
            if row is not None:
                second = n * self.length_s[c] + self.length_s[c] - 1
                entries.append((row, second, now_good - good, now_bad - bad, 0))
        return np.array(entries, np.int64).reshape(-1, 5)
