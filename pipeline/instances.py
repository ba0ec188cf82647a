"""Instances: who is judged. SLO instances <-> rows of the bank, their alerts, their entries in slo.state.

Pure. Law: a row, its alert and the partition's clock are all there is to an instance; what `snapshot` wrote,
`restore` brings back at any later judged second, as if nothing had come for the instance in between.

An instance whose SLO is gone, or whose indicator changed, is forgotten; but an open alert stays open over a
changed indicator or policy and is judged anew, and one that nobody judges any more is resolved with that reason,
so that what fired is resolved.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import slo, timeslices
from pipeline.alerts import Alert, Judged, Notice, Severity, Watched, step
from pipeline.blocks import decode, encode
from pipeline.budgets import Budgets, restored
from pipeline.exemplars import Exemplars
from pipeline.framing import Framing
from pipeline.kernels import judging
from pipeline.kernels import rings as k
from pipeline.notices import (
    REMOVED,
    SILENCED,
    Reading,
    Told,
    alert_columns,
    farewell,
    instance_key,
    speaking_pair,
)
from pipeline.periods import Calendar, Turns
from pipeline.plans import tables
from pipeline.watermark import Coverage
from pipeline.windows import Bank, pack, start_of, unpack

UNMEASURED_S = 60
Missing = dict[tuple[int, int], tuple[int, int]]  #: what tells a window -> its slices that were not measured, all


def reach_s(span_s: int, period: tuple[int, int] | None, at: int) -> int:
    """Seconds of slices that a compliance window reaches back; a calendar's, to the slice in which it begins."""
    return span_s if period is None else (at // k.SLICE_S - period[0] // k.SLICE_S) * k.SLICE_S


@dataclass
class Unmeasured:
    """What statuses tell of time that was not measured: of a hundredth of a window more at once, else by and by.

    A young window is known by one slice more every 10 s, one of 30 days for 30 days: a status of each instance, for
    nothing. What an alert may do meanwhile follows from the kernel's own codes.
    """

    told: Missing = field(default_factory=dict)
    due_s: int = 0

    def is_news(self, now: Missing, at: int) -> bool:
        """Whether every status tells `now` from second `at` on."""
        if now.keys() == self.told.keys():
            more = [(missing - self.told[name][0], slices) for name, (missing, slices) in now.items()]
            if not any(by and (by * 100 >= slices or at >= self.due_s) for by, slices in more):
                return False
        self.told, self.due_s = now, at + UNMEASURED_S
        return True


class InstanceKey(NamedTuple):
    """One SLO instance, whatever its revision."""

    slo: str
    labels: str

    @property
    def text(self) -> str:
        return instance_key(self.slo, self.labels)


@dataclass
class Instance:
    """What the bank's row does not hold."""

    key: InstanceKey
    alert: Alert = Alert()  # noqa: RUF009 - frozen
    pair: int = 0  # that spoke last
    last: dict[str, Any] | None = None  # columns of its alert's last event, while that is open
    budgets: Budgets = field(default_factory=Budgets)

    @property
    def is_open(self) -> bool:
        """Whether somebody was told of something that is not over."""
        return self.alert.is_open or self.budgets.is_open


class Instances:
    """All instances of one judge partition."""

    def __init__(self, spec: Sequence[Watched], limit: int) -> None:
        self.spec = tuple(spec)
        self.limit = limit
        self.refused = 0  # entries of instances past the limit
        self.objective_of = {watched.objective.name: o for o, watched in enumerate(self.spec)}
        self.bank = Bank(*tables(self.spec))
        layouts = self.bank.layouts
        self.rolling_s = {span for each in layouts for span in each.spans_s[: -1 if each.is_calendar else None]}
        self.with_calendar: dict[Calendar, list[int]] = {}  # -> objectives
        for o, watched in enumerate(self.spec):
            if watched.objective.calendar is not None:
                self.with_calendar.setdefault(watched.objective.calendar, []).append(o)
        self.turns = Turns(self.with_calendar)
        self.exemplars = Exemplars()
        self.rows: dict[tuple[str, str], int] = {}  # InstanceKey -> row
        self.known: dict[int, Instance] = {}  # row -> instance
        self.told: set[int] = set()  # rows whose alert told something since statuses were written
        self.gone: set[str] = set()  # keys to write tombstones for
        self.removed: set[str] = set()  # those whose SLO is no more: their judgements go too
        self.farewells: list[dict[str, Any]] = []  # columns of events that resolve what nobody judges any more

    def row_of(self, name: str, revision: str, labels: str, at: int) -> int | None:
        """Return the row of an instance, a new one if need be; None: no such SLO any more, or too many."""
        if not self._is_counted(name, revision):
            return None
        row = self.rows.get(InstanceKey(name, labels))
        if row is None and len(self.rows) >= self.limit:
            self.refused += 1
            return None
        return self._admit(InstanceKey(name, labels), self.objective_of[name], at) if row is None else row

    def rows_named(
        self, names: Sequence[str], revisions: Sequence[str], labels: Sequence[str], at: int
    ) -> list[int | None]:
        """`row_of` for many instances at once: most of them are known."""
        found, pairs = (
            list(map(self.rows.get, zip(names, labels, strict=True))),
            set(zip(names, revisions, strict=True)),
        )
        counted = {(name, revision) for name, revision in pairs if self._is_counted(name, revision)}
        if len(counted) == len(pairs) and None not in found:
            return found
        told = zip(found, names, revisions, labels, strict=True)
        return [
            row if row is not None and (name, revision) in counted else self.row_of(name, revision, text, at)
            for row, name, revision, text in told
        ]

    def _is_counted(self, name: str, revision: str) -> bool:
        """Whether counts of this revision are an SLO's of now."""
        o = self.objective_of.get(name)
        return o is not None and self.spec[o].objective.indicator_revision == revision

    def _admit(self, key: InstanceKey, o: int, at: int) -> int:
        """Give an instance a row. What a restored state holds was admitted once, whatever the limit is now."""
        row = self.bank.take(o, at)
        self.rows[key] = row
        self.known[row] = Instance(key)
        self.gone.discard(key.text)
        self.removed.discard(key.text)
        return row

    def pieces(self, after: int, until: int) -> Iterator[int]:
        """Yield the ends of the pieces of (after, until] in which no period of a calendar ends; turn behind each."""
        self.turn(after)
        at = after - 1
        while at != until:
            at = self.turns.next_s(until)
            yield at
            self.turn(at)

    def turn(self, at: int) -> None:
        """Put calendars into the periods that a judged second is in; the kernel has emptied what ended there."""
        tables = self.bank.tables
        for calendar in self.turns.move(at):
            since, until = self.turns.now[calendar]
            for o in self.with_calendar[calendar]:
                tables.periods[o] = since, until
                tables.windows[o, tables.sizes[o, k.WINDOWS] - 1, k.SPAN_S] = until - since

    def key_of(self, name: str) -> InstanceKey:
        """The key of an SLO without groupBy."""
        return InstanceKey(name, "")

    def rows_of(self, objectives: Iterable[slo.Objective]) -> list[int]:
        """Rows of those SLOs without groupBy that have one."""
        known = (self.rows.get(self.key_of(each.name)) for each in objectives)
        return [row for row in known if row is not None]

    def words(self, row: int) -> NDArray[np.int64]:
        words: NDArray[np.int64] = self.bank.rows.words[row]
        return words

    def watched(self, row: int) -> Watched:
        return self.spec[int(self.words(row)[k.OBJECTIVE])]

    def reading(self, row: int, coverage: Coverage) -> Reading:
        """Read an instance at the second it is judged up to."""
        return next(self.readings([row], coverage))

    def readings(self, rows: Iterable[int], coverage: Coverage) -> Iterator[Reading]:
        """Read instances; what those of one SLO share is looked up once."""
        frames: dict[tuple[int, int], tuple[tuple[int, int] | None, list[tuple[int, int]]]] = {}
        for row in rows:
            words = self.words(row).tolist()
            o, at, first_s, known_s = words[k.OBJECTIVE], words[k.AT], words[k.FIRST], words[k.KNOWN]
            if (o, at) not in frames:
                frames[o, at] = self._frame(o, at, coverage)
            period, measured = frames[o, at]
            objective, spans, sums = self.spec[o].objective, self.bank.layouts[o].spans_s, self.bank.sums(row)
            excluded = words[k.EXCLUDED]
            if objective.timeslices is not None and first_s >= 0:
                start_s = start_of(at, spans[-1]) if period is None else period[0]
                excluded = timeslices.excluded(objective, max(start_s, first_s, known_s), at, sum(sums[-1]))
            yield Reading(at, first_s, spans, sums, measured, excluded, words[k.LATE], words[k.TOTAL], period, known_s)

    def _frame(self, o: int, at: int, coverage: Coverage) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
        """The period of an SLO's calendar, and what was measured of each of its windows."""
        spans, calendar = self.bank.layouts[o].spans_s, self.spec[o].objective.calendar
        period = None if calendar is None else self._period(calendar, at)
        return period, [coverage.measured(span, at) for span in (*spans[:-1], reach_s(spans[-1], period, at))]

    def _period(self, calendar: Calendar, at: int) -> tuple[int, int]:
        """The period of a second up to which is judged: of the last one's end, the next."""
        since, until = self.turns.now[calendar]
        return (since, until) if at < until else calendar.period_s(at)

    def missing(self, coverage: Coverage, at: int) -> Missing:
        """Return, of every window there is, how many slices were not measured, and of how many."""
        windows = {(span, 0): span for span in self.rolling_s}
        windows.update((period, reach_s(0, period, at)) for period in self.turns.now.values())
        found = {name: coverage.measured(span, at) for name, span in windows.items()}
        return {name: (expected - measured, expected) for name, (measured, expected) in found.items()}

    def hand_out(self, entries: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sort entries by row for `advance`, and tell every row where its own lie; those before are taken back."""
        due = np.empty_like(entries)
        judging.hand_out(self.bank.rows, entries, due)
        return due

    def advance(self, rows: NDArray[np.int64], until: int, due: NDArray[np.int64], coverage: Coverage) -> list[Told]:
        """Judge some rows up to a second, with the entries handed out; return what there is to tell."""
        bank, stops, told = self.bank, np.empty_like(rows), []
        measured = coverage.base, coverage.counts
        while len(rows):
            stopped = judging.judge_rows(
                bank.rows, bank.tables, due, rows, until, *measured, bank.hands, stops, bank.lost
            )
            rows = stops[:stopped].copy()
            told += [each for row in rows.tolist() for each in self.step(row, coverage)]
        return told

    def amend(self, late: NDArray[np.int64]) -> None:
        """Add entries of seconds that are judged already."""
        judging.amend_rows(self.bank.rows, self.bank.tables, late, self.bank.lost)

    def step(self, row: int, coverage: Coverage) -> list[Told]:
        """Let alerts and budgets of a row that a kernel stopped take the second at which it stopped."""
        instance, code = self.known[row], int(self.words(row)[k.CODE])
        reading = self.reading(row, coverage)
        told = instance.budgets.step(self.watched(row), instance.key.labels, code, reading)
        burning = self._step(row, reading)
        if told or burning:
            self.told.add(row)
        return [*([burning] if burning else []), *told]

    def _step(self, row: int, reading: Reading) -> Told | None:
        """Let the alert of a row take the second at which it stopped."""
        instance, watched, words = self.known[row], self.watched(row), self.words(row)
        before, code, hold_s = instance.alert, int(words[k.CODE]), watched.policy.clear.hold_s
        judged = Judged(int(words[k.AT]), Severity(code & 3), bool(code & k.SUSPECT), bool(code & k.UNMEASURED))
        instance.alert, notice = step(before, judged, hold_s)
        wake = instance.alert.wake_s(hold_s)
        words[k.WAKE] = k.NEVER if wake is None else wake
        if notice is None:
            return None
        if notice is not Notice.RESOLVED:
            pair = speaking_pair(watched, int(words[k.LATCHED]), instance.alert.severity)
            instance.pair = instance.pair if pair is None else pair
        told = Told(notice, watched, instance.key.labels, instance.alert, instance.pair, reading)
        if notice is Notice.RESOLVED:
            instance.last = None
            return told._replace(alert=before)
        long_s = watched.policy.pairs[instance.pair].long_us // 1_000_000
        told = told._replace(exemplars=self.exemplars.of(row, judged.second - long_s, judged.second))
        instance.last = alert_columns(told, 0)
        return told

    def expire(self, at: int, waiting: NDArray[np.int64]) -> None:
        """Forget instances whose every window is empty and whose alert is closed."""
        words = self.bank.rows.words
        for row in np.setdiff1d(np.array(sorted(self.known), np.int64), waiting).tolist():
            if words[row, k.FIRST] < 0 or self.known[row].is_open or not self.bank.is_over(row, at):
                continue
            key = self.known.pop(row).key
            del self.rows[key]
            self.bank.give_back(row)
            self.exemplars.forget(row)
            self.gone.add(key.text)

    def touch(self, keys: Iterable[InstanceKey]) -> None:
        """Have entries of these instances written again, as far as they are known."""
        rows = [self.rows[key] for key in keys if key in self.rows]
        self.bank.rows.words[rows, k.TOUCHED] = 1

    def touched(self) -> list[int]:
        """Rows that their entry in slo.state no longer describes."""
        return [row for row in self.known if self.words(row)[k.TOUCHED]]

    def snapshot(self, row: int, applied_offset: int, framing: Framing) -> bytes:
        """Write an instance's entry, and count its row as untouched from now on."""
        instance, objective = self.known[row], self.watched(row).objective
        words = self.words(row)
        facts = {
            "indicator": objective.indicator_revision,
            "alert": instance.alert.numbers,
            "pair": instance.pair,
            "exemplars": self._past_exemplars(row),
            "last": instance.last,
            "budgets": instance.budgets.snapshot(),
            "form": timeslices.form(objective),
        }
        columns = {
            "slo": instance.key.slo, "revision": objective.revision, "instance": instance.key.labels,
            "applied_offset": applied_offset, "judged_s": int(words[k.AT]), "first_s": int(words[k.FIRST]),
            "payload": pack(facts, self.bank.snapshot(row)),
        }  # fmt: skip
        words[k.TOUCHED] = 0
        return encode("judge_state", columns, framing)

    def _past_exemplars(self, row: int) -> list[tuple[int, str]]:
        at, rings = int(self.words(row)[k.AT]), self.bank.layouts[self.words(row)[k.OBJECTIVE]]
        return self.exemplars.past(row, at, at - max(rings.spans_s[:-1], default=0))

    def restore(self, value: bytes, at: int, framing: Framing) -> None:
        """Bring an instance back, advanced to the judged second `at`."""
        state = decode("judge_state", value, framing)
        key = InstanceKey(state["slo"], state["instance"])
        facts, arrays = unpack(state["payload"])
        o = self.objective_of.get(key.slo)
        alert, objective = Alert.of(facts["alert"]), self.spec[o].objective if o is not None else None
        pairs = 0 if o is None else len(self.spec[o].policy.pairs)
        last = facts.get("last") if alert.is_open else None
        if last and not pairs:
            self.farewells.append(farewell(last, at + 1, REMOVED if o is None else SILENCED))
        budgets, farewells = restored(facts.get("budgets", {}), None if o is None else self.spec[o], at)
        self.farewells += farewells
        if o is None or objective is None:
            self.gone.add(key.text)
            self.removed.add(key.text)
            return
        form = timeslices.form(objective)
        is_counted = (facts["indicator"], facts.get("form", [])) == (objective.indicator_revision, form)
        row = self._admit(key, o, at) if is_counted or alert.is_open or budgets.is_open else None
        if row is None:
            self.gone.add(key.text)
            return
        words = self.words(row)
        if is_counted:
            self.bank.restore(row, at, arrays)
            self.exemplars.restore(row, facts.get("exemplars", ()))
        else:
            words[k.FIRST] = words[k.LAST] = at
        self.known[row] = Instance(key, alert, min(facts["pair"], pairs - 1), last, budgets) if pairs else Instance(key)
        words[k.MOVED] = 1
        if state["revision"] != objective.revision or not is_counted or farewells:
            words[[k.LATCHED, k.CODE, k.WAKE, k.TOUCHED]] = 0, self.known[row].budgets.code, at, 1
