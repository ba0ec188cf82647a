"""Benchmark `ingest`: the whole ingest job, ours and the rivals', on one broker and one topic, results compared."""

import contextlib
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline import blocks, topics
from pipeline.commands.children import Worker
from pipeline.embedded.kafka import EmbeddedKafka
from pipeline.series import BASE_LABELS
from pipeline.settings import Settings
from tests.bench import processes, topic
from tests.bench.by_hand import Sums
from tests.bench.fleet_events import make_base, write_slos
from tests.bench.rivals import Run

PATIENCE_S = 600.0
POLL_S = 0.25
VERDICTS = ("good", "bad", "excluded")


@dataclass(frozen=True)
class IngestPlan:
    """How much of everything."""

    base: int = 200_000
    repeats: int = 40
    series: int = 1_000
    codec: str = "lz4"
    runs: int = 3
    rivals: tuple[str, ...] = ("stock", "confluent")


@dataclass
class OurRun:
    """One run of `burnline worker --steps ingest`."""

    events: int
    units: int
    events_per_s: float  # first to last unit, by the broker's timestamps
    wall_events_per_s: float  # from the worker's being ready to its last commit
    cpu_seconds: float
    broker_cpu_seconds: float
    rss_bytes: int
    differences: int = -1  # sums that are not `repeats` x the stock agent's; -1: not compared


def measure(plan: IngestPlan, home: Path, data_dir: Path) -> dict[str, Any]:
    """Run everything; kernels are compiled into `data_dir`, the server lives in `home`."""
    with EmbeddedKafka(home / "kafka", heap="1g") as kafka:
        return measure_on(kafka, plan, home, data_dir)


def measure_on(kafka: EmbeddedKafka, plan: IngestPlan, home: Path, data_dir: Path, prefix: str = "") -> dict[str, Any]:
    """Run everything on a broker that is there."""
    base = make_base(plan.base, plan.series)
    settings = Settings(
        kafka_brokers=kafka.brokers, slo_dir=write_slos(home / "slo"), data_dir=data_dir, steps="ingest",
        topic_prefix=prefix,
    )  # fmt: skip
    topic.create(settings)
    filled = topic.fill(settings, base, plan.repeats, plan.codec)
    rivals, sums = {}, {}
    for kind in plan.rivals:
        rivals[kind], sums[kind] = run_rival(kind, settings, min(filled.per_partition), home / f"{kind}.json")
    ours = []
    for number in range(plan.runs):
        log = home / f"worker{number}.log"
        run, found = run_ours(settings, f"{prefix}bench{number}", filled, kafka.pid, log)
        if "stock" in sums:
            run.differences = found.differences(sums["stock"].times(plan.repeats))
        ours.append(run)
    agree = {kind: sums[kind].differences(sums["stock"]) for kind in sums} if "stock" in sums else {}
    return {
        "plan": asdict(plan), "filled": asdict(filled), "mean_event_bytes": base.mean_bytes, "series": base.series,
        "ours": [asdict(run) for run in ours], "rivals": {kind: asdict(run) for kind, run in rivals.items()},
        "rivals_differ": agree,
    }  # fmt: skip


def run_rival(kind: str, settings: Settings, per_partition: int, out: Path) -> tuple[Run, Sums]:
    """Run one rival over the first base of each partition."""
    source, target = topics.topic_name(settings, topics.EVENTS), topics.topic_name(settings, topic.FLUSHED)
    where = kind, settings.kafka_brokers, source, target, per_partition, out
    with processes.module("tests.bench.rivals", *where) as process:
        processes.finished(process, PATIENCE_S)
    result = json.loads(out.read_text())
    sums = Sums()
    for flushed in result["flushed"]:
        sums.add_flush(flushed.encode())
    return Run(**result["run"]), sums


def run_ours(settings: Settings, group: str, filled: topic.Filled, broker_pid: int, log: Path) -> tuple[OurRun, Sums]:
    """Run a worker in a group of its own until everything is committed."""
    settings = settings.model_copy(update={"group": group})
    before = {name: ends(settings, name) for name in (topics.COUNTS, topics.SLICES)}
    worker = Worker(settings, log)
    try:
        worker.ready()
        began = time.monotonic()
        watch, broker = processes.Watch(worker.process.pid), processes.Watch(broker_pid)
        wait_committed(settings, f"{group}-{settings.topic_prefix}ingest", filled.events, worker)
        wall_s = time.monotonic() - began
        usage, broker_usage = watch.stop(), broker.stop()
    finally:
        worker.stop()
    sums, units = read_derived(settings, before)
    ordered = sorted(units.values())
    span_s = (ordered[-1][0] - ordered[0][0]) / 1000
    rate = (filled.events - ordered[0][1]) / span_s if span_s else 0.0
    run = OurRun(
        filled.events, len(ordered), rate, filled.events / wall_s, usage.cpu, broker_usage.cpu, usage.peak_bytes
    )
    return run, sums


def wait_committed(settings: Settings, group: str, events: int, worker: Worker) -> None:
    """Wait until the group's offsets reach the end; asking costs the broker next to nothing.

    Raises: RuntimeError when the worker ends or nothing comes of it in time.
    """
    name = topics.topic_name(settings, topics.EVENTS)
    asking = Consumer(topics.confluent_config(settings) | {"group.id": group})
    wanted = [TopicPartition(name, p) for p in range(topic.PARTITIONS)]
    deadline = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline and worker.process.poll() is None:
            with contextlib.suppress(KafkaException):  # a busy broker may not answer in time
                if sum(max(each.offset, 0) for each in asking.committed(wanted, timeout=10)) >= events:
                    return
            time.sleep(POLL_S)
    finally:
        asking.close()
    raise RuntimeError(f"the worker did not read everything; its log ends:\n{worker.log.read_text()[-2000:]}")


def reader(settings: Settings) -> Consumer:
    """Make a consumer of committed records that belongs to no group."""
    options = {"group.id": "bench-reader", "isolation.level": "read_committed", "enable.auto.commit": False}
    return Consumer(topics.confluent_config(settings) | options)


def ends(settings: Settings, base: str) -> list[int]:
    """Where each partition of a topic ends."""
    consumer, name = reader(settings), topics.topic_name(settings, base)
    count = len(consumer.list_topics(name, timeout=60).topics[name].partitions)
    found = [consumer.get_watermark_offsets(TopicPartition(name, p), timeout=10)[1] for p in range(count)]
    consumer.close()
    return found


def read_values(settings: Settings, base: str, starts: list[int], idle_s: float = 2.0) -> list[tuple[int, bytes]]:
    """Read committed records from given offsets to the end: (broker's timestamp in ms, value)."""
    consumer, name = reader(settings), topics.topic_name(settings, base)
    consumer.assign([TopicPartition(name, p, start) for p, start in enumerate(starts)])
    found, last = [], time.monotonic()
    while time.monotonic() - last < idle_s:
        for message in consumer.consume(500, timeout=0.2):
            if message.error() is None:
                last = time.monotonic()
                found.append((message.timestamp()[1], message.value()))
    consumer.close()
    return found


def read_derived(
    settings: Settings, starts: dict[str, list[int]]
) -> tuple[Sums, dict[tuple[int, int], tuple[int, int]]]:
    """Sum what ingest wrote; and its units: (partition, first offset) -> (last timestamp in ms, records)."""
    sums, units = Sums(), defaultdict[tuple[int, int], tuple[int, int]](lambda: (0, 0))
    for stamp_ms, value in read_values(settings, topics.COUNTS, starts[topics.COUNTS]):
        block = blocks.decode("slo_counts", value)
        unit, size = (block["source_partition"], block["first_offset"]), block["next_offset"] - block["first_offset"]
        if size:
            units[unit] = max(units[unit], (stamp_ms, size))
        add_counts(sums, block)
    for _, value in read_values(settings, topics.SLICES, starts[topics.SLICES]):
        add_slices(sums, blocks.decode("slo_slice", value))
    return sums, dict(units)


def add_counts(sums: Sums, block: dict[str, Any]) -> None:
    """Add one block of slo.counts."""
    columns = [block[name].tolist() for name in ("instance_index", "slice_start_s", *VERDICTS)]
    for index, second, *line in zip(*columns, strict=True):
        for verdict, count in enumerate(line):
            sums.counts[block["slos"][index], block["instances"][index], second, verdict] += count


def add_slices(sums: Sums, block: dict[str, Any]) -> None:
    """Add one block of slo.slices."""
    if block["label_names"] != list(BASE_LABELS):
        raise RuntimeError(f"labels are {block['label_names']}")
    width, at = len(BASE_LABELS), dict.fromkeys(("e2e", "ttft", "tpot"), 0)
    labels = block["labels"]
    for entry, (series, start_s) in enumerate(
        zip(block["series_index"].tolist(), block["slice_start_s"].tolist(), strict=True)
    ):
        key = (*labels[series * width : (series + 1) * width], start_s // 10)
        for metric, first in at.items():
            at[metric] = stop = first + int(block[f"{metric}_lengths"][entry])
            if stop > first:  # bins of one slice are distinct
                bins, counts = block[f"{metric}_bins"][first:stop], block[f"{metric}_counts"][first:stop]
                sums.bins((*key, metric))[bins] += counts
