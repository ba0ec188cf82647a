"""Composites: one promise over several SLOs, judged of what is counted of each member in the same second.

Pure. Members are counted once more for their composite, without groupBy, and all of it goes where the composite's name
is routed to: one judge partition sees every part, and judges them together each second, whatever the partitions,
restarts and order of blocks.

    weightedMean    see pipeline.means
    worstOf         see pipeline.worst_of

A burn rate is that mean's: against its full expected traffic for each part that is younger than the window. Guards and
coverage are of all members together. A composite has no no-data alert of its own: its members have theirs.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts import (
    STEPS,
    Alert,
    AlertPolicy,
    Composed,
    Judged,
    Kind,
    Notice,
    Severity,
    Watched,
    step,
)
from pipeline.budgets import Budgets, budget_of, restored
from pipeline.exemplars import MOST
from pipeline.instances import Instances
from pipeline.kernels import rings as k
from pipeline.means import MeanReading, Measured, Part, observe, spans, spent_code
from pipeline.notices import (
    REMOVED,
    SILENCED,
    Told,
    alert_columns,
    farewell,
    instance_key,
    parts_columns,
    speaking_pair,
    status_columns,
)
from pipeline.watermark import Coverage
from pipeline.worst_of import WorstOf


@dataclass
class State:
    """What is known of one composite beside its parts' rows."""

    alert: Alert = Alert()  # noqa: RUF009 - frozen
    pair: int = 0  # that spoke last
    latched: int = 0  # bits of the pairs that hold on
    last: dict[str, Any] | None = None  # columns of its alert's last event, while that is open
    budgets: Budgets = field(default_factory=Budgets)
    has_told: bool = False  # since its status was written

    @property
    def is_open(self) -> bool:
        return self.alert.is_open or self.budgets.is_open


def counted(spec: Iterable[Composed]) -> tuple[Watched, ...]:
    """What instances are told of: parts keep the windows of their composite, and alert of nothing; the worst of
    slices is a row as any SLO is."""
    parts = (
        Watched(part, AlertPolicy(()), None, tuple(us for pair in each.watched.policy.pairs for us in spans(pair)))
        for each in spec
        for part in each.parts
    )
    return (*(each.watched for each in spec if each.watched.objective.timeslices is not None), *parts)


def _budgets_of(watched: Watched) -> dict[Kind, Watched]:
    found = {kind: budget_of(watched, kind) for kind in STEPS}
    return {kind: budget for kind, budget in found.items() if budget is not None}


def _made_of(composed: Composed) -> dict[str, Any]:
    return {**parts_columns(composed.parts, composed.weights), "counts_revision": None}


class When(Enum):
    """What must be judged at a second."""

    NEVER = 0
    ALERT = 1
    ALL = 2


class Composites:
    """The composites of which one judge partition has parts."""

    def __init__(self, spec: Sequence[Composed], instances: Instances) -> None:
        self.spec = tuple(each for each in spec if each.watched.objective.timeslices is None)
        self.instances = instances
        self.worst = WorstOf([each for each in spec if each.watched.objective.timeslices is not None], instances)
        self.states = {each.watched.objective.name: State() for each in self.spec}
        self.budgets = {each.watched.objective.name: _budgets_of(each.watched) for each in self.spec}
        #: columns of a status that say what it is made of
        self.made_of = {each.watched.objective.name: _made_of(each) for each in spec}
        self.farewells: list[dict[str, Any]] = []  # columns of events that resolve what nobody judges any more

    def rows(self) -> NDArray[np.int64]:
        """Rows that are judged here, ascending."""
        return np.union1d(self.part_rows(), self.worst.rows())

    def part_rows(self) -> NDArray[np.int64]:
        """Rows that have no judgement of their own, ascending."""
        return np.union1d(self.mean_rows(), self.worst.part_rows())

    def mean_rows(self, open_only: bool = False) -> NDArray[np.int64]:
        """Rows of parts of means, ascending; or of those whose composite has something open."""
        found = [row for each in self.spec if not open_only or self._state(each).is_open for row in self._rows(each)]
        return np.array(sorted(found), np.int64)

    def _rows(self, composed: Composed) -> list[int]:
        return self.instances.rows_of(composed.parts)

    def _state(self, composed: Composed) -> State:
        return self.states[composed.watched.objective.name]

    def judge(self, coverage: Coverage, until: int, due: NDArray[np.int64]) -> list[Told]:
        """Take every second up to `until`, with the entries handed out."""
        told, rows, bank = [], self.mean_rows(), self.instances.bank.rows
        after = int(bank.words[rows, k.AT].min(initial=until))
        for second in range(after + 1, until + 1):
            before = bank.sums[rows]
            self.instances.advance(rows, second, due, coverage)
            moved = set(rows[(bank.sums[rows] != before).any(axis=(1, 2))].tolist())
            told += [
                each
                for composed in self.spec
                if (when := self._when(composed, second, moved, is_first=second == after + 1)) is not When.NEVER
                for each in self._step(composed, coverage, second, when)
            ]
        if self.worst.spec:
            due = self.instances.hand_out(self.worst.judge(until, due, coverage))
            told += self.instances.advance(self.worst.rows(), until, due, coverage)
        return told

    @contextmanager
    def amending(self, late: NDArray[np.int64], judged_s: int) -> Iterator[None]:
        """Let late entries of parts, added meanwhile, change what was made of them."""
        before = self.worst.before(late, judged_s)
        yield
        if before:
            self.instances.amend(self.worst.amended(before, judged_s))

    def _parts(self, composed: Composed, coverage: Coverage) -> list[Part]:
        """The parts that have begun."""
        found = []
        for part, weight in zip(composed.parts, composed.weights, strict=True):
            row = self.instances.rows.get(self.instances.key_of(part.name))
            if row is not None and self.instances.words(row)[k.FIRST] >= 0:
                found.append((weight, self.instances.reading(row, coverage)))
        return found

    def _when(self, composed: Composed, second: int, moved: set[int], is_first: bool) -> When:
        """Say what a second may change: nothing, what forgets, or budgets too, which remember."""
        rows, watched = self._rows(composed), composed.watched
        first_s = self.instances.bank.rows.words[rows, k.FIRST].max(initial=-1)
        if first_s < 0:
            return When.NEVER
        longest_s = max((us for pair in watched.policy.pairs for us in spans(pair)), default=0) // 1_000_000
        is_young = second - first_s <= longest_s
        if is_young or second % k.SLICE_S == 0 or not moved.isdisjoint(rows):
            return When.ALL
        wake = self._state(composed).alert.wake_s(watched.policy.clear.hold_s)
        return When.ALERT if is_first or (wake is not None and second >= wake) else When.NEVER

    def _step(self, composed: Composed, coverage: Coverage, second: int, when: When) -> list[Told]:
        state, watched, words = self._state(composed), composed.watched, self.instances.bank.rows.words
        firsts = words[self._rows(composed), k.FIRST]
        measured = Measured(coverage, second, int(firsts[firsts >= 0].min()))
        if measured.is_silent():
            state.alert, _ = step(state.alert, Judged(second, Severity.NONE, is_unmeasured=True), 0)
            return []
        reading = MeanReading.of(self._parts(composed, coverage))
        state.latched, judged = observe(watched, reading, state.latched, measured)
        code = state.budgets.code
        if when is When.ALL and not judged.is_unmeasured:
            code = spent_code(watched.policy, self.budgets[watched.objective.name], reading, state.budgets, measured)
        burning = self._tell(composed, state, judged, reading)
        told = [*([burning] if burning else []), *state.budgets.step(watched, "", code, reading)]
        state.has_told = state.has_told or bool(told)
        return told

    def _tell(self, composed: Composed, state: State, judged: Judged, reading: MeanReading) -> Told | None:
        before, watched = state.alert, composed.watched
        state.alert, notice = step(before, judged, watched.policy.clear.hold_s)
        if notice is None:
            return None
        if notice is Notice.RESOLVED:
            state.last = None
            return Told(notice, watched, "", before, state.pair, reading)
        pair = speaking_pair(watched, state.latched, state.alert.severity)
        state.pair = state.pair if pair is None else pair
        told = Told(notice, watched, "", state.alert, state.pair, reading)
        long_s = watched.policy.pairs[state.pair].long_us // 1_000_000
        told = told._replace(exemplars=self._exemplars(composed, judged.second - long_s, judged.second))
        state.last = alert_columns(told, 0)
        return told

    def _exemplars(self, composed: Composed, start: int, end: int) -> tuple[str, ...]:
        """Up to five traces, of all parts in turn."""
        of_parts = (self.instances.exemplars.of(row, start, end) for row in self._rows(composed))
        in_turn = (trace_id for each in zip_longest(*of_parts) for trace_id in each if trace_id is not None)
        return tuple(dict.fromkeys(in_turn))[:MOST]

    def statuses(self, coverage: Coverage, judged_at_us: int) -> list[dict[str, Any]]:
        """Columns of the status of every composite whose judgement changed since."""
        words, found = self.instances.bank.rows.words, []
        for composed in self.spec:
            rows, state = self._rows(composed), self._state(composed)
            has_moved = state.has_told or words[rows, k.MOVED].any()
            columns = self.status(composed, coverage, judged_at_us) if has_moved else None
            if columns is not None:
                found.append(columns)
                words[rows, k.MOVED], state.has_told = 0, False
        return found

    def status(self, composed: Composed, coverage: Coverage, judged_at_us: int) -> dict[str, Any] | None:
        """Columns of a composite's status; None: none of its parts has begun."""
        parts, state = self._parts(composed, coverage), self._state(composed)
        if not parts:
            return None
        reading = MeanReading.of(parts)
        columns = status_columns(composed.watched, "", state.alert, reading, judged_at_us)
        return columns | state.budgets.columns | self.made_of[composed.watched.objective.name]

    def snapshot(self) -> dict[str, Any]:
        """Write what is not as it begins."""
        return {
            each.watched.objective.name: {
                "revision": each.watched.objective.revision, "alert": state.alert.numbers, "pair": state.pair,
                "latched": state.latched, "last": state.last, "budgets": state.budgets.snapshot(),
            }
            for each in self.spec
            if self._rows(each) and (state := self._state(each))
        }  # fmt: skip

    def restore(self, facts: dict[str, Any], at: int) -> None:
        """Take what `snapshot` gave, at the judged second `at`; what nobody judges any more is resolved."""
        known = {each.watched.objective.name: each.watched for each in self.spec}
        for name, saved in facts.items():
            watched, alert = known.get(name), Alert.of(saved["alert"])
            budgets, farewells = restored(saved["budgets"], watched, at)
            self.farewells += farewells
            if watched is None:
                self.instances.removed.add(instance_key(name, ""))
            if watched is None or not watched.policy.pairs:
                if alert.is_open and saved["last"]:
                    self.farewells.append(farewell(saved["last"], at + 1, REMOVED if watched is None else SILENCED))
                continue
            is_same = saved["revision"] == watched.objective.revision
            pair = min(saved["pair"], len(watched.policy.pairs) - 1)
            self.states[name] = State(alert, pair, saved["latched"] if is_same else 0, saved["last"], budgets, True)

    def adopt(self, at: int) -> None:
        """Give an open composite rows to be judged by when its parts' own were not restored: all are counted anew."""
        for composed in self.spec:
            if self._state(composed).is_open and not self._rows(composed):
                for part in composed.parts:
                    row = self.instances.row_of(part.name, part.indicator_revision, "", at)
                    if row is not None:
                        self.instances.words(row)[[k.FIRST, k.LAST, k.TOUCHED]] = at, at, 1
