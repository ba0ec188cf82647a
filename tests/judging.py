"""What tests of the judge share: blocks of counts, presets, a driver of the fold, its outputs read back."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.alerts import AlertPolicy, ClearRule, Guards, Severity, Watched, WindowPair
from pipeline.blocks import decode, encode
from pipeline.judgement import JudgeFold, Judgement, JudgeSpec
from pipeline.records import PADDING, OutRecord, RecordBlock, Unit, UnitFacts
from pipeline.slo import Indicator, Objective, Ratio
from schemas import HOME

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
T0 = 1_700_000_000  #: a second that no cell size divides


QUICK = AlertPolicy(
    (
        WindowPair(Severity.CRITICAL, Ratio(10, 1), 600_000_000, 60_000_000),
        WindowPair(Severity.WARNING, Ratio(2, 1), 3_600_000_000, 400_000_000),
    )
)


LONG = AlertPolicy(
    (
        WindowPair(Severity.CRITICAL, Ratio(10, 1), 3_600_000_000, 45_000_000),
        WindowPair(Severity.WARNING, Ratio(2, 1), 9_000_000_000, 777_000_000),
    )
)


def seconds(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def preset(name: str, guards: Guards = Guards()) -> AlertPolicy:  # noqa: B008 - frozen
    """Read a shipped preset without the loader of SLO files."""
    data = YAML(typ="safe").load((HOME / "alert_windows" / f"{name}.yaml").read_text())
    pairs = tuple(
        WindowPair(
            Severity[pair["severity"].upper()],
            Ratio.parse(str(pair["factor"])),
            seconds(pair["long"]) * 1_000_000,
            seconds(pair["short"]) * 1_000_000,
        )
        for pair in data["pairs"]
    )
    clear = ClearRule(Ratio.parse(str(data["clear"]["margin"])), seconds(data["clear"]["hold"]) * 1_000_000)
    return AlertPolicy(pairs, guards, clear)


def watched(
    name: str = "chat",
    target: str = "0.999",
    policy: AlertPolicy | None = None,
    window: str = "30d",
    **more: str,
) -> Watched:
    objective = Objective(
        name, "svc", Indicator("error_rate"), Ratio.parse(target), seconds(window) * 1_000_000,
        more.get("revision", "r1"), more.get("indicator_revision", "i1"),
    )  # fmt: skip
    return Watched(objective, policy or preset("default"), "https://runbooks.example/chat")


Entry = tuple[str, str, int, int, int, int]  # slo, labels, second, good, bad, excluded


def counts(entries: Sequence[Entry] = (), **facts: Any) -> dict[str, Any]:
    """Columns of one slo.counts block. Facts in seconds: newest (event time), idle, flushed (the unit's moment).

    `exemplars`: (slo, labels, trace id) of instances that have entries.
    """
    names = list(dict.fromkeys((slo, labels) for slo, labels, *_ in entries))
    numbers = np.array([entry[2:] for entry in entries], np.int64).reshape(-1, 4)
    newest = facts.get("newest", float(numbers[:, 0].max()) + 0.5 if entries else None)
    slices = facts.get("slices", np.unique(numbers[:, 0] // 10))
    exemplars = facts.get("exemplars", [])
    return {
        "source_topic": "inference.events",
        "source_partition": facts.get("partition", 0), "source_partitions": facts.get("partitions", 1),
        "first_offset": 0, "next_offset": 0, "part": facts.get("part", 0), "parts": facts.get("parts", 1),
        "max_event_time": None if newest is None else int(newest * 1_000_000),
        "idle_us": int(facts.get("idle", 0) * 1_000_000), "measured_slices": np.array(slices, np.int64),
        "flushed_at": int(facts.get("flushed", facts.get("idle", 0)) * 1_000_000), "slos": [slo for slo, _ in names],
        "revisions": [facts.get("revision", "i1")] * len(names), "instances": [labels for _, labels in names],
        "instance_index": np.array([names.index(entry[:2]) for entry in entries], np.int64),
        "slice_start_s": numbers[:, 0], "good": numbers[:, 1], "bad": numbers[:, 2],
        "excluded": numbers[:, 3],
        "exemplar_instances": np.array([names.index(each[:2]) for each in exemplars], np.int64),
        "exemplar_trace_ids": [trace_id for *_, trace_id in exemplars],
    }  # fmt: skip


def steady(start: int, end: int, good: int, bad: int = 0, slo: str = "chat", labels: str = "") -> list[Entry]:
    """An entry for each second."""
    return [(slo, labels, second, good, bad, 0) for second in range(start, end)]


def record_block(values: Sequence[bytes], first_offset: int = 0) -> RecordBlock:
    lengths = np.array([len(value) for value in values], np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    buffer = np.frombuffer(b"".join(values) + bytes(PADDING), np.uint8)
    none = np.zeros(len(values), np.int64)
    end = first_offset + len(values)
    return RecordBlock(
        "slo.counts", 0, first_offset, end, buffer, starts[:-1], lengths, none, none.astype(np.int32) - 1,
        none, np.arange(first_offset, end),
    )  # fmt: skip


@dataclass
class Driver:
    """Feeds blocks to a fold as the transport would, and keeps what the topics would keep."""

    spec: JudgeSpec
    partition: int = 0  # of slo.counts
    partitions: int = 1
    log: list[dict[str, Any]] = field(default_factory=list)  # slo.counts
    alerts: list[dict[str, Any]] = field(default_factory=list)
    alert_records: list[OutRecord] = field(default_factory=list)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    state: dict[bytes, bytes] = field(default_factory=dict)
    committed: int = 0
    position: int = 0
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.fold = JudgeFold(self.spec)

    def crash(self) -> None:
        """Lose the memory; start from the topics."""
        self.fold = JudgeFold(self.spec)
        for key, value in self.state.items():
            self.fold.restore(key, value)
        self.position = self.committed

    def send(self, *blocks: dict[str, Any]) -> None:
        self.log.extend(blocks)

    def unit(self, blocks: int | None = None, pass_s: float = 1.0) -> Unit:
        """Fold the next so many blocks (all by default); `pass_s` of processing time goes by."""
        end = len(self.log) if blocks is None else min(self.position + blocks, len(self.log))
        values = [encode("slo_counts", columns) for columns in self.log[self.position : end]]
        self.now_s += pass_s
        facts = UnitFacts(
            "slo.counts", self.partition, self.partitions, self.position, end, int(self.now_s * 1_000_000)
        )
        unit = self.fold.fold([record_block(values, self.position)] if values else [], facts)
        self.position = end
        self._keep(unit)
        return unit

    def feed(self, *blocks: dict[str, Any]) -> Unit:
        self.send(*blocks)
        return self.unit()

    def _keep(self, unit: Unit) -> None:
        for record in unit.records:
            if record.topic == "slo.alerts":
                self.alerts.append(decode("burn_rate_alert", record.value or b""))
                self.alert_records.append(record)
            elif record.topic == "slo.status" and record.value is None:
                self.statuses.pop((record.key or b"").decode(), None)
            elif record.topic == "slo.status":
                self.statuses[(record.key or b"").decode()] = decode("slo_status", record.value or b"")
            elif record.value is None:
                self.state.pop(record.key or b"", None)
            else:
                self.state[record.key or b""] = record.value
        if unit.commit:
            self.committed = self.position

    @property
    def told(self) -> list[tuple[int, str, str]]:
        """(second, event, severity) of every event of burn-rate alerts."""
        return self.told_of("BURN_RATE")

    def told_of(self, kind: str) -> list[tuple[int, str, str]]:
        """(second, event, severity) of every event of one kind of alert."""
        mine = [alert for alert in self.alerts if alert["kind"] == kind]
        return [(a["window_end"] // 1_000_000, a["event"], a["severity"]) for a in mine]


def spec(*each: Watched, **more: Any) -> JudgeSpec:
    return JudgeSpec(each or (watched(),), **more)


def slices_of(second: Iterable[int]) -> list[int]:
    return sorted({each // 10 for each in second})


#: how far time goes on; how far back other entries lie, and their counts
steps = st.lists(
    st.tuples(
        st.integers(0, 4_000),  # how far time goes on
        st.lists(st.tuples(st.integers(0, 9_500), *[st.integers(0, 50)] * 3), max_size=6),  # how far back, counts
    ),
    min_size=1,
    max_size=12,
)


def blocks_of(plan, second=T0):
    """Each step: one entry at a new newest second, and others that lie back, some of them late."""
    blocks = []
    for gap, others in plan:
        second += gap
        entries = [("chat", "", second, 1, 0, 0)]
        entries += [("chat", "", second - back, *numbers) for back, *numbers in others]
        blocks.append(counts(entries, newest=second + 0.5))
    return blocks


def played(spec: JudgeSpec, entries: Sequence[Entry], cut: int = 10_000, crashes: Collection[int] = ()) -> Driver:
    """Feed blocks of `cut` entries, a unit each; crash behind the units of these numbers."""
    driver = Driver(spec)
    driver.send(*(counts(entries[i : i + cut]) for i in range(0, len(entries), cut)))
    units = 0
    while driver.position < len(driver.log):
        driver.unit(1)
        units += 1
        if units in crashes:
            driver.crash()
    return driver


def brought_back(judge: Judgement, rules: JudgeSpec, entries: Iterable[bytes] | None = None) -> Judgement:
    """A judgement restored from what another one would write now, or from other `entries` of instances."""
    if entries is None:
        entries = [judge.instances.snapshot(row, 0, rules.framing) for row in judge.instances.known]
    again = Judgement(rules)
    again.restore(decode("judge_state", judge.snapshot(0, rules.framing))["payload"], entries, rules.framing)
    return again


def on_and_again(rules: JudgeSpec, blocks: Sequence[dict[str, Any]], cut: int) -> tuple[Judgement, Judgement]:
    """A judgement of all blocks, and one that was put away behind `cut` of them and brought back."""
    on = Judgement(rules)
    for block in blocks[:cut]:
        on.observe(block)
    on.judge()
    again = brought_back(on, rules)
    for judge in (on, again):
        for block in blocks[cut:]:
            judge.observe(block)
        judge.judge()
    return on, again
