"""Benchmark `judge`: one judge partition by its instances, in this process, on one core.

Every instance has an entry a second. Measured apart: what judging takes for an instance and second, what a second of
the stream takes with decoding and statuses, cut into four units as the worker cuts it, what a whole snapshot and its
return take, and the memory of an instance. What comes back from a snapshot must have the same sums.
"""

import time
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.blocks import decode, encode
from pipeline.instances import Instances
from pipeline.judgement import PARTITION_KEY, JudgeFold, Judgement, JudgeSpec
from pipeline.kernels import judging
from pipeline.records import UnitFacts
from pipeline.windows import row_bytes
from tests.bench.report import GOAL, OURS, figure
from tests.judging import T0, counts, preset, record_block, watched

UNITS_A_SECOND = 4
NEVER_US = 1 << 60
TRACED = 5_000  #: instances whose objects are weighed
GOALS = {"stream_ms": 100, "bytes": 24 << 10}  #: of a second of 10,000 instances; of an instance
INSTANCES = (100, 1_000, 10_000, 100_000)


@dataclass
class JudgeCost:
    """What a partition of so many instances costs."""

    preset: str
    windows: int
    instances: int
    judged_ns: float  # an instance and second
    stream_ms: float  # a second of the stream, without snapshots
    snapshot_ms: float  # of the whole partition
    snapshot_bytes: float  # an instance
    restore_ms: float
    rings_bytes: int  # an instance whose windows are full
    objects_bytes: float  # an instance, beside its rings


def measure(instances: tuple[int, ...], seconds: int) -> dict[str, Any]:
    """Measure each preset with each number of instances."""
    judging.warm()
    costs = [_cost(name, count, seconds) for name in ("default", "workbook") for count in instances]
    return {"seconds": seconds, "goals": GOALS, "costs": [asdict(cost) for cost in costs]}


def spec_of(name: str, instances: int) -> JudgeSpec:
    """One SLO; snapshots are taken by hand."""
    slo = watched(policy=preset(name))
    return JudgeSpec((slo,), limit_instances=instances, snapshot_us=NEVER_US, busy_snapshot_us=NEVER_US)


def block(labels: list[str], second: int) -> bytes:
    """Encode a second of one source partition; one event in 100,000 is bad."""
    every, at = np.arange(len(labels)), T0 + second
    bad = ((every + second) % 1_000 == 0).astype(np.int64)
    columns = {
        **counts((), newest=at + 0.999, slices=[at // 10], flushed=second + 1),
        "slos": ["chat"] * len(labels), "revisions": ["i1"] * len(labels), "instances": labels,
        "instance_index": every, "slice_start_s": np.full(len(labels), at), "good": 100 - bad, "bad": bad,
        "excluded": np.zeros(len(labels), np.int64),
    }  # fmt: skip
    return encode("slo_counts", columns)


def _cost(name: str, instances: int, seconds: int) -> JudgeCost:
    spec = spec_of(name, instances)
    labels = [f"region=eu-west,request_model=model-{number:06d}" for number in range(instances)]
    fold = JudgeFold(spec)
    streamed = [_streamed_ns(fold, labels, second) for second in range(seconds)]
    judged = [_judged_ns(fold.judgement, labels, seconds + second) for second in range(seconds)]
    bank, known = fold.judgement.instances.bank, fold.judgement.instances.known
    began = time.thread_time_ns()
    entries = {known[row].key.text: fold.judgement.instances.snapshot(row, 0, spec.framing) for row in known}
    entries[PARTITION_KEY] = fold.judgement.snapshot(0, spec.framing)
    written = time.thread_time_ns() - began
    again = JudgeFold(spec)
    for key, value in entries.items():
        again.restore(key.encode(), value)
    began = time.thread_time_ns()
    again.fold([], UnitFacts("slo.counts", 0, 1, 0, 0, 0))
    restored = time.thread_time_ns() - began
    if any(again.judgement.instances.bank.sums(row) != bank.sums(row) for row in known):
        raise AssertionError("what came back from the snapshot counts something else")
    rings = bank.layouts[0]
    return JudgeCost(
        name, len(rings.spans_s), instances, float(np.median(judged)) / instances, float(np.median(streamed)) / 1e6,
        written / 1e6, sum(map(len, entries.values())) / instances, restored / 1e6, row_bytes(rings),
        _objects_bytes(spec),
    )  # fmt: skip


def _streamed_ns(fold: JudgeFold, labels: list[str], second: int) -> int:
    """Let a second of the stream go by: the block comes in one of its units."""
    values = record_block([block(labels, second)], second)
    began = time.thread_time_ns()
    for number in range(UNITS_A_SECOND):
        facts = UnitFacts("slo.counts", 0, 1, second, second + 1, second * 1_000_000)
        fold.fold([values] if number == 0 else [], facts)
    return time.thread_time_ns() - began


def _judged_ns(judgement: Judgement, labels: list[str], second: int) -> int:
    """Judge a second whose entries are there already."""
    judgement.observe(decode("slo_counts", block(labels, second)))
    began = time.thread_time_ns()
    judgement.judge()
    return time.thread_time_ns() - began


def _objects_bytes(spec: JudgeSpec) -> float:
    """Weigh what Python keeps of an instance."""
    tracemalloc.start()
    instances = Instances(spec.watched, TRACED)
    before, _ = tracemalloc.get_traced_memory()
    rings = sum(array.nbytes for array in instances.bank.rows)
    for number in range(TRACED):
        instances.row_of("chat", "i1", f"region=eu-west,request_model=model-{number:06d}", T0)
    rings = sum(array.nbytes for array in instances.bank.rows) - rings
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before - rings) / TRACED


def rows(result: dict[str, Any]) -> list[list[str]]:
    """Lay out a result for people."""
    return [
        [cost["preset"], f"{cost['instances']:,}", f"{cost['judged_ns']:.0f}", f"{cost['stream_ms']:,.1f}",
         f"{cost['snapshot_ms']:,.0f}", f"{cost['snapshot_bytes'] / 1024:.1f}", f"{cost['restore_ms']:,.0f}",
         f"{(cost['rings_bytes'] + cost['objects_bytes']) / 1024:.1f}"]
        for cost in result["costs"]
    ]  # fmt: skip


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw a second of the stream, and a snapshot, over the number of instances."""
    drawn, axes = figure("A judge partition, one core", "SLO instances", "ms of processor")
    for name, style in (("default", "-"), ("workbook", "--")):
        mine = [cost for cost in result["costs"] if cost["preset"] == name]
        counted = [cost["instances"] for cost in mine]
        axes.plot(counted, [cost["stream_ms"] for cost in mine], style, color=OURS, label=f"{name}: a second")
        axes.plot(counted, [cost["snapshot_ms"] for cost in mine], style, color=GOAL, label=f"{name}: a snapshot")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(GOALS["stream_ms"], color=GOAL, linewidth=0.8)
    axes.legend()
    drawn.savefig(path)
