"""Two simple steps in a row, over a real broker: sum what comes per source partition, then keep the totals.

numbers ──► SumFold ──► sums ──► TotalFold ──► totals (compacted, the second step's memory)
"""

import asyncio
import json
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.records import OutRecord, RecordBlock, Unit, UnitFacts
from pipeline.transport import FetchSpec, GroupSpec, KafkaLedger, Step, StepSpec, run_step, step_app

NUMBERS, SUMS, TOTALS = "numbers", "sums", "totals"
SUM_PARTITIONS = 2
SESSION_S = 6.0  # the least that brokers grant


class SumFold:
    """Stateless: one record per unit, the count and sum of a partition's numbers."""

    def __init__(self, prefix: str) -> None:
        self._topic = prefix + SUMS

    def restore(self, key: bytes, value: bytes | None) -> None:
        raise AssertionError("there is no state topic")

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        numbers = [struct.unpack("<q", (block.value(i) or b"")[:8])[0] for block in blocks for i in range(len(block))]
        if not numbers:
            return Unit()
        value = json.dumps([facts.partition, len(numbers), sum(numbers)]).encode()
        return Unit([OutRecord(self._topic, value, partition=facts.partition % SUM_PARTITIONS)])


class TotalFold:
    """Stateful: totals per source partition, kept in a compacted topic."""

    def __init__(self, prefix: str) -> None:
        self._topic = prefix + TOTALS
        self.totals: dict[bytes, list[int]] = {}

    def restore(self, key: bytes, value: bytes | None) -> None:
        self.totals[key] = json.loads(value or b"[0, 0]")

    def fold(self, blocks: list[RecordBlock], facts: UnitFacts) -> Unit:
        changed = set()
        for block in blocks:
            for i in range(len(block)):
                source, count, total = json.loads(block.value(i) or b"")
                key = b"%d" % source
                before = self.totals.get(key, [0, 0])
                self.totals[key] = [before[0] + count, before[1] + total]
                changed.add(key)
        return Unit(
            [OutRecord(self._topic, json.dumps(self.totals[k]).encode(), k, facts.partition) for k in sorted(changed)]
        )


def sum_step(brokers: str, prefix: str) -> Step:
    options = {"bootstrap_servers": brokers}
    spec = StepSpec("sums", (prefix + NUMBERS,), lambda tp: SumFold(prefix), unit_s=0.2)
    return Step(spec, KafkaLedger(options, prefix + "sums"), options)


def total_step(brokers: str, prefix: str) -> Step:
    options = {"bootstrap_servers": brokers}
    spec = StepSpec("totals", (prefix + SUMS,), lambda tp: TotalFold(prefix), state_topic=prefix + TOTALS, unit_s=0.3)
    return Step(spec, KafkaLedger(options, prefix + "totals"), options)


async def run_counting(
    make: Callable[[str, str], Step], brokers: str, prefix: str, data_dir: Path, stop: asyncio.Event
) -> Step:
    """Run a step until stopped; return it."""
    step = make(brokers, prefix)
    group = GroupSpec(prefix + step.spec.name, SESSION_S, 1.0)
    app = step_app(step, group, brokers, {}, FetchSpec(read_committed=make is total_step, wait_ms=50), data_dir)
    await run_step(step, app, stop)
    return step


@asynccontextmanager
async def counting(make: Callable[[str, str], Step], brokers: str, prefix: str, data_dir: Path) -> Any:
    """Run a step inside the block; what it fails with is raised at its end."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_counting(make, brokers, prefix, data_dir, stop))
    try:
        yield task
    finally:
        stop.set()
        await task


def create_topics(brokers: str, prefix: str, partitions: int) -> None:
    compacted = {"cleanup.policy": "compact"}
    wanted = [
        NewTopic(prefix + NUMBERS, partitions, 1),
        NewTopic(prefix + SUMS, SUM_PARTITIONS, 1),
        NewTopic(prefix + TOTALS, SUM_PARTITIONS, 1, config=compacted),
    ]
    create(brokers, wanted)


def create(brokers: str, wanted: list[NewTopic]) -> None:
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})  # its futures end with it
    for future in admin.create_topics(wanted).values():
        future.result(60)


class Numbers:
    """Produces numbers, and knows what their count and sum per partition are."""

    def __init__(self, brokers: str, prefix: str, partitions: int, **options: Any) -> None:
        self._producer = Producer(
            {"bootstrap.servers": brokers, "linger.ms": 10, "enable.idempotence": True, "log_level": 0, **options}
        )
        self._topic, self._partitions = prefix + NUMBERS, partitions
        self.counts: Counter[int] = Counter()
        self.sums: Counter[int] = Counter()

    def send(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            partition = number % self._partitions
            while True:
                try:
                    self._producer.produce(self._topic, struct.pack("<q", number) + b"x" * 92, partition=partition)
                    break
                except BufferError:
                    self._producer.poll(0.05)
            self.counts[partition] += 1
            self.sums[partition] += number
        self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(60) == 0

    @property
    def truth(self) -> dict[int, list[int]]:
        return {p: [self.counts[p], self.sums[p]] for p in sorted(self.counts)}


def committed_records(brokers: str, topic: str, partitions: int) -> Iterator[Any]:
    """Every committed record of a topic so far, by a consumer that knows nothing of this project."""
    reader = Consumer(
        {
            "bootstrap.servers": brokers, "group.id": f"reader of {topic}", "isolation.level": "read_committed",
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "enable.partition.eof": True, "log_level": 0,
        }
    )  # fmt: skip
    reader.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    ended = 0
    while ended < partitions:
        message = reader.poll(60)
        assert message is not None, f"{topic} is not read to its end"
        if message.error() is None:
            yield message
        else:
            ended += 1
    reader.close()


def sums_written(brokers: str, prefix: str) -> dict[int, list[int]]:
    """Count and sum per source partition, out of the sums topic."""
    found: dict[int, list[int]] = {}
    for message in committed_records(brokers, prefix + SUMS, SUM_PARTITIONS):
        source, count, total = json.loads(message.value())
        before = found.setdefault(source, [0, 0])
        before[0] += count
        before[1] += total
    return dict(sorted(found.items()))


def totals_written(brokers: str, prefix: str) -> dict[int, list[int]]:
    """The latest totals per source partition."""
    records = committed_records(brokers, prefix + TOTALS, SUM_PARTITIONS)
    return dict(sorted({int(m.key()): json.loads(m.value()) for m in records}.items()))


async def eventually(look: Callable[[], Any], expected: Any, patience_s: float = 60.0) -> None:
    """Look again until it is as expected; the last look is compared, so that a failure shows both."""
    deadline = time.monotonic() + patience_s
    while (found := await asyncio.to_thread(look)) != expected and time.monotonic() < deadline:
        await asyncio.sleep(0.3)
    assert found == expected
