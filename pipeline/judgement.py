"""The judge: a pure fold of slo.counts blocks into alerts, statuses and the judge's own state.

Judgement runs once for each second the watermark passes, over windows that end there (definitions
2.7). Entries ahead of the watermark wait for it; entries behind it amend the windows, are counted as
late, and never judge the past again. All of it is a function of the blocks, never of the cut into
units: a late entry first lets the seconds before it be judged.

A window that began before its instance did is judged against its full expected traffic: eligible x
span / lived. So an SLO of 99.9 % that is 2 minutes old does not page in its first bad minute, but when
the bad events are 10x the budget of a whole hour's traffic: 36 s of total outage.

Snapshots: what is known at one offset of slo.counts goes to slo.state in one unit with commit=True: the
entry `@partition` (clock, coverage, waiting entries) and every instance touched since its last entry.
Other units are sent with commit=False: after a crash their blocks are read again and give the same
alerts with the same ce_id.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.alerts import Composed, Watched
from pipeline.blocks import Malformed, decode, encode
from pipeline.composites import Composites
from pipeline.composites import counted as counted_for
from pipeline.framing import SINGLE_OBJECT, Framing, UnknownSchema
from pipeline.instances import Instances, Unmeasured
from pipeline.kernels import rings as k
from pipeline.no_data import NoData
from pipeline.notices import Told, alert_columns, alert_record, status_columns, status_records, withdrawal
from pipeline.plans import layout_of
from pipeline.records import OutRecord, RecordBlock, Unit, UnitFacts
from pipeline.watermark import Coverage, SourceClock, Waiting
from pipeline.windows import in_pieces, pack, unpack

PARTITION_KEY = "@partition"  #: of slo.state; no SLO name begins with @
NO_ROW = -1


@dataclass(frozen=True)
class JudgeSpec:
    """What a judge is told once."""

    watched: tuple[Watched, ...]
    composed: tuple[Composed, ...] = ()
    grace_us: int = 2_000_000
    source_idle_us: int = 3_000_000
    source_silence_us: int = 300_000_000
    status_topic: str = "slo.status"
    alerts_topic: str = "slo.alerts"
    state_topic: str = "slo.state"
    framing: Framing = SINGLE_OBJECT
    source: str = "burnline/judge"  # ce_source
    limit_instances: int = 10_000  # a partition
    limit_waiting: int = 500_000  # rows and seconds of a partition that wait for the watermark
    limit_statuses: int = 250  # a unit; what is over waits for the next. One costs 20 us, judging it 0.3 us
    snapshot_us: int = 30_000_000  # between snapshots, of processing time
    # A notice goes with a snapshot in the same unit, so that a crash does not repeat it. Past so many touched
    # instances a snapshot is heavy, and notices may be repeated (same ce_id) within `busy_snapshot_us`.
    busy_instances: int = 2_000
    busy_snapshot_us: int = 5_000_000


class Judgement:
    """State and step of one judge partition, over decoded columns of slo.counts."""

    def __init__(self, spec: JudgeSpec) -> None:
        self.spec = spec
        self.clock = SourceClock(spec.grace_us, spec.source_idle_us)
        counted = (*spec.watched, *counted_for(spec.composed))
        spans = [span for watched in counted for span in layout_of(watched).spans_s]
        self.coverage = Coverage(spec.source_silence_us, max(spans, default=0) // k.SLICE_S + 2)
        self.waiting = Waiting()
        self.instances = Instances(counted, spec.limit_instances)
        self.composites = Composites(spec.composed, self.instances)
        self.no_data = NoData(spec.watched, [each.spans_s for each in self.instances.bank.layouts])
        self.judged_s: int | None = None
        self.told: list[Told] = []
        self.counters = {"entries_unknown": 0, "entries_late": 0, "entries_hurried": 0}

    def observe(self, columns: Mapping[str, Any]) -> None:
        """Take one block: entries and facts of one unit of one source partition."""
        rows = self._rows(columns)
        entries = self._entries(columns, rows)
        slices = columns["measured_slices"].tolist()
        second = self.clock.second
        if second is not None:
            is_late = entries[:, 1] < second
            if is_late.any() or any(each < second // k.SLICE_S for each in slices):
                self.judge()
                self._amend(entries[is_late])
                entries = entries[~is_late]
        self.coverage.observe(slices)
        self.waiting.add(entries)
        self._add_exemplars(columns, rows, second or 0)
        if columns["part"] == columns["parts"] - 1:
            facts = ("source_partition", "source_partitions", "max_event_time", "idle_us", "flushed_at")
            self.clock.observe(*(columns[name] for name in facts))
            if self.judged_s is None:  # where it begins is what was known when the watermark was, however units are cut
                self.judge()
            self._hurry()  # not before: what is measured comes with a unit's last part

    def _hurry(self) -> None:
        """Judge the earliest seconds before the watermark has passed them, when more wait than may.

        Nothing is lost: what comes for them later is late, and amends. To take no more instead would be to wait for
        ever: what lets the watermark go on comes behind, in the same partition.
        """
        limit = self.spec.limit_waiting
        if not self.waiting.is_over(limit):
            return
        self.judge()  # what the watermark has passed waits for the end of the unit only
        if (before := len(self.waiting)) > limit:
            self.clock.hurry(self.waiting.halving_second(limit))
            self.judge()
            self.counters["entries_hurried"] += before - len(self.waiting)

    def _rows(self, columns: Mapping[str, Any]) -> NDArray[np.int64]:
        """Return the row of each of a block's instances; NO_ROW: of an unknown SLO, or one too many."""
        names, revisions, labels = (columns[name] for name in ("slos", "revisions", "instances"))
        rows = self.instances.rows_named(names, revisions, labels, self.judged_s or 0)
        return np.array([NO_ROW if row is None else row for row in rows], np.int64)

    def _entries(self, columns: Mapping[str, Any], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a block's entries as (n, 5) row, second, good, bad, excluded; those without a row are left out."""
        picked = [columns[name] for name in ("slice_start_s", "good", "bad", "excluded")]
        entries: NDArray[np.int64] = np.stack([rows[columns["instance_index"]], *picked], axis=1)
        known: NDArray[np.int64] = entries[entries[:, 0] != NO_ROW]
        self.counters["entries_unknown"] += len(entries) - len(known)
        return known

    def _add_exemplars(self, columns: Mapping[str, Any], rows: NDArray[np.int64], passed_s: int) -> None:
        """Note a block's exemplars, of its instances' newest bad seconds; `passed_s`: the watermark's second."""
        numbers = columns["exemplar_instances"].tolist()
        if not numbers:
            return
        is_bad, newest = columns["bad"] > 0, np.full(len(rows), -1, np.int64)
        np.maximum.at(newest, columns["instance_index"][is_bad], columns["slice_start_s"][is_bad])
        for number, trace_id in zip(numbers, columns["exemplar_trace_ids"], strict=True):
            if rows[number] != NO_ROW and newest[number] >= passed_s:
                row, second = int(rows[number]), int(newest[number])
                self.instances.exemplars.add(row, second, trace_id, self.judged_s or 0)

    def _amend(self, late: NDArray[np.int64]) -> None:
        self.counters["entries_late"] += len(late)
        with self.composites.amending(late, self.judged_s or 0):
            self.instances.amend(late)

    def judge(self) -> None:
        """Judge every second the watermark has passed."""
        until = self.clock.second
        if until is None:
            return
        after = self._begin(until) if self.judged_s is None else self.judged_s
        self.coverage.settle(until // k.SLICE_S)
        for end in self.instances.pieces(after, until):
            self._judge(end)
        self.told += self.no_data.judge(self.coverage, after, until)
        self.judged_s = until
        self.coverage.trim()

    def _judge(self, until: int) -> None:
        instances, composites = self.instances, self.composites
        due = instances.hand_out(self.waiting.take(until))
        alone = np.setdiff1d(instances.bank.active(), composites.rows(), assume_unique=True)
        self.told += instances.advance(alone, until, due, self.coverage)
        self.told += composites.judge(self.coverage, until, due)

    def _begin(self, until: int) -> int:
        """Start at the first second that anything is known of; return it."""
        earliest = self.waiting.earliest()
        first = until if earliest is None else min(earliest, until)
        self.coverage.start(min([first // k.SLICE_S, *self.coverage.ahead]))
        self.instances.bank.rows.words[self.instances.bank.active(), k.AT] = first
        return first

    def snapshot(self, applied_offset: int, framing: Framing) -> bytes:
        """Write the partition's own entry."""
        coverage, arrays = self.coverage.snapshot()
        waiting = self.waiting.everything()
        keys = {row: [*self.instances.known[row].key] for row in np.unique(waiting[:, 0]).tolist()}
        facts = {
            **self.clock.snapshot(), "coverage": coverage, "judged_s": self.judged_s,
            "keys": [[row, *key, self._indicator(row)] for row, key in keys.items()],
            "counters": self.counters, "no_data": self.no_data.snapshot(),
            "composites": self.composites.snapshot(),
            "exemplars": self.instances.exemplars.ahead(self.judged_s or 0),
        }  # fmt: skip
        columns = {
            "slo": PARTITION_KEY, "revision": "", "instance": "", "applied_offset": applied_offset,
            "judged_s": self.judged_s or 0, "first_s": 0,
            "payload": pack(facts, {**arrays, "waiting": waiting}),
        }  # fmt: skip
        return encode("judge_state", columns, framing)

    def _indicator(self, row: int) -> str:
        return self.instances.watched(row).objective.indicator_revision

    def restore(self, payload: bytes, instances: list[bytes], framing: Framing) -> None:
        """Bring everything back: the partition's payload and the values of all instances' entries."""
        facts, arrays = unpack(payload)
        self.judged_s = facts["judged_s"]
        self.clock.restore(facts)
        self.coverage.restore(facts["coverage"], arrays["measured"], arrays["ahead"])
        self.counters.update(facts["counters"])
        at = self.judged_s or 0
        if self.judged_s is not None:
            self.instances.turn(at)
        self.no_data.restore(facts.get("no_data", {"is_heard": bool(self.coverage.counts[-1]), "alerts": {}}), at)
        self.composites.restore(facts.get("composites", {}), at)
        for value in instances:
            self.instances.restore(value, at, framing)
        self.composites.adopt(at)
        waiting, row_of = arrays["waiting"].copy(), {}
        for row, name, labels, indicator in facts["keys"]:
            row_of[row] = self.instances.row_of(name, indicator, labels, at)
        for row, exemplar in facts.get("exemplars", ()):
            if (now := row_of[row]) is not None:
                self.instances.exemplars.restore(now, [exemplar])
        rows = [row_of[row] for row in waiting[:, 0].tolist()]
        waiting[:, 0] = [NO_ROW if row is None else row for row in rows]
        self.waiting.add(waiting[waiting[:, 0] != NO_ROW])


class JudgeFold:
    """The step of one judge partition, as the transport drives it: bytes in, records out."""

    def __init__(self, spec: JudgeSpec) -> None:
        self.spec = spec
        self.judgement = Judgement(spec)
        self.applied_offset = 0
        self._stored: dict[bytes, bytes] | None = {}  # entries of slo.state; None once they are loaded
        self._snapshot_at_us: int | None = None
        self._applied_at_snapshot = 0
        self._unmeasured = Unmeasured()
        self._cursor = 0  # row after the last status written
        self._pieces = 0  # records that the partition's own entry takes
        self._counters = {"blocks_unreadable": 0, "blocks_repeated": 0, "statuses_deferred": 0}

    @property
    def counters(self) -> dict[str, int]:
        """What was left out or put off, since the fold exists."""
        judgement = self.judgement
        more = {
            "instances": len(judgement.instances.rows),
            "instances_refused": judgement.instances.refused,
            "events_clipped": int(judgement.instances.bank.lost[0]),
            "entries_waiting": len(judgement.waiting),
        }
        return {**judgement.counters, **self._counters, **more}

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one record of slo.state; the last one of a key counts."""
        if self._stored is None:
            raise ValueError("state comes before the first unit")
        if value is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = value

    def _load(self) -> None:
        stored, self._stored = self._stored or {}, None
        own = sorted((key for key in stored if key.startswith(PARTITION_KEY.encode())), key=lambda key: (len(key), key))
        self._pieces, partition = len(own), b"".join(map(stored.pop, own))
        if partition:
            state = decode("judge_state", partition, self.spec.framing)
            self.applied_offset = self._applied_at_snapshot = state["applied_offset"]
            self.judgement.restore(state["payload"], list(stored.values()), self.spec.framing)
        elif stored:
            raise ValueError(f"slo.state has {len(stored)} instances but no entry {PARTITION_KEY}")

    def succeeded(self, spec: JudgeSpec) -> "JudgeFold":
        """Return the fold that goes on from here under other SLOs, as after a restart. Its next unit is a snapshot."""
        new = JudgeFold(spec)
        if self._stored is not None:  # nothing was folded yet
            new._stored = self._stored
            return new
        instances, framing = self.judgement.instances, self.spec.framing
        touched = [instances.known[row].key for row in instances.touched()]
        for row, instance in instances.known.items():
            new.restore(instance.key.text.encode(), instances.snapshot(row, self.applied_offset, framing))
        new.restore(PARTITION_KEY.encode(), self.judgement.snapshot(self.applied_offset, framing))
        new._load()
        new.judgement.instances.touch(touched)
        new.judgement.instances.gone |= instances.gone
        new.judgement.instances.removed |= instances.removed
        new._pieces = self._pieces
        new.judgement.instances.refused += instances.refused
        new.judgement.instances.bank.lost += instances.bank.lost
        new._counters, new._applied_at_snapshot, new._snapshot_at_us = self._counters, -1, -spec.snapshot_us
        return new

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        """Take one unit of one partition of slo.counts."""
        if self._stored is not None:
            self._load()
        self.judgement.no_data.own(facts.partition, facts.partitions)
        for block in blocks:
            for index, offset in enumerate(block.offset.tolist()):
                if offset < self.applied_offset:
                    self._counters["blocks_repeated"] += 1
                else:
                    self._observe(block.value(index))
        self.applied_offset = max(self.applied_offset, facts.next_offset)
        self.judgement.judge()
        notices = self._notices(facts)
        records = [*notices, *self._statuses(facts)]
        is_due = self._is_snapshot_due(facts.flushed_at_us, bool(notices))
        return Unit([*records, *self._snapshot(facts)] if is_due else records, commit=is_due)

    def _observe(self, value: bytes | None) -> None:
        try:
            columns = decode("slo_counts", value or b"", self.spec.framing)
        except (UnknownSchema, Malformed):
            self._counters["blocks_unreadable"] += 1
        else:
            self.judgement.observe(columns)

    def _notices(self, facts: UnitFacts) -> list[OutRecord]:
        told, self.judgement.told = self.judgement.told, []
        told.sort(key=lambda t: (t.reading.second, t.watched.objective.name, t.labels, t.kind))
        spec, at = self.spec, facts.flushed_at_us
        columns = [
            *({**each, "evaluated_at": at} for each in self._farewells()),
            *(alert_columns(each, at) for each in told),
        ]
        return [alert_record(spec.alerts_topic, each, spec.source, spec.framing) for each in columns]

    def _farewells(self) -> list[dict[str, Any]]:
        judgement = self.judgement
        several = (judgement.instances, judgement.no_data, judgement.composites)
        told = [each for some in several for each in some.farewells]
        for some in several:
            some.farewells.clear()
        return sorted(told, key=lambda columns: columns["dedup_key"])

    def _statuses(self, facts: UnitFacts) -> list[OutRecord]:
        """Write the status of instances whose judgement changed, alerts first, then in turn, at most so many a unit."""
        judgement, instances = self.judgement, self.judgement.instances
        if judgement.judged_s is None:
            return []
        words, active = instances.bank.rows.words, instances.bank.active()
        if self._unmeasured.is_news(instances.missing(judgement.coverage, judgement.judged_s), judgement.judged_s):
            words[active, k.MOVED] = 1
        active = np.setdiff1d(active, judgement.composites.part_rows(), assume_unique=True)
        moved = active[(words[active, k.MOVED] == 1) & (words[active, k.FIRST] >= 0)]
        first = np.intersect1d(moved, np.array(sorted(instances.told), np.int64))
        rest = np.setdiff1d(moved, first, assume_unique=True)
        room = max(self.spec.limit_statuses - len(first), 0)
        turn = np.concatenate([first, np.roll(rest, -int(np.searchsorted(rest, self._cursor)))[:room]])
        instances.told.clear()
        self._counters["statuses_deferred"] += len(moved) - len(turn)
        self._cursor = int(turn[-1]) + 1 if len(turn) > len(first) else self._cursor
        words[turn, k.MOVED] = 0
        composed = judgement.composites.statuses(judgement.coverage, facts.flushed_at_us)
        columns = [*composed, *self._status_columns(turn.tolist(), facts.flushed_at_us)]
        return status_records(self.spec.status_topic, columns, self.spec.framing)

    def _status_columns(self, rows: list[int], judged_at_us: int) -> Iterator[dict[str, Any]]:
        instances = self.judgement.instances
        for row, reading in zip(rows, instances.readings(rows, self.judgement.coverage), strict=True):
            instance, watched = instances.known[row], instances.watched(row)
            columns = status_columns(watched, instance.key.labels, instance.alert, reading, judged_at_us)
            made_of = self.judgement.composites.made_of.get(watched.objective.name, {})
            yield columns | instance.budgets.columns | made_of

    def _is_snapshot_due(self, now_us: int, has_notices: bool) -> bool:
        if self._snapshot_at_us is None:
            self._snapshot_at_us = now_us
        if self.applied_offset == self._applied_at_snapshot:
            return False
        age_us, spec = abs(now_us - self._snapshot_at_us), self.spec  # a clock may be set back by hours
        if has_notices and age_us < spec.busy_snapshot_us:
            return len(self.judgement.instances.touched()) <= spec.busy_instances
        return has_notices or age_us >= spec.snapshot_us

    def _snapshot(self, facts: UnitFacts) -> list[OutRecord]:
        judgement, spec = self.judgement, self.spec
        instances = judgement.instances
        if judgement.judged_s is not None:
            kept = judgement.waiting.everything()[:, 0], judgement.composites.mean_rows(open_only=True)
            instances.expire(judgement.judged_s, np.concatenate(kept))
        written = [
            (instances.known[row].key.text, instances.snapshot(row, self.applied_offset, spec.framing))
            for row in instances.touched()
        ]
        own = in_pieces(PARTITION_KEY, judgement.snapshot(self.applied_offset, spec.framing), self._pieces)
        self._pieces = sum(value is not None for _, value in own)
        entries = [*((key, None) for key in sorted(instances.gone)), *written, *own]
        withdrawn = [withdrawal(spec.status_topic, key, judgement.judged_s or 0) for key in sorted(instances.removed)]
        instances.gone.clear()
        instances.removed.clear()
        self._snapshot_at_us, self._applied_at_snapshot = facts.flushed_at_us, self.applied_offset
        return [*withdrawn, *(OutRecord(spec.state_topic, v, key.encode(), facts.partition) for key, v in entries)]
