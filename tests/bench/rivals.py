"""The rivals, each in a process of its own: `python -m tests.bench.rivals KIND BROKERS TOPIC FLUSHED EVENTS OUT`.

`stock`: an ordinary Faust agent on the ordinary transport. `confluent`: librdkafka's batches in a loop. Both read the
first EVENTS of each partition and write what they summed into OUT as JSON.
"""

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from tests.bench.by_hand import ByHand
from tests.bench.topic import PARTITIONS

FLUSH_S = 10.0


@dataclass
class Run:
    """What a rival did; times from its first event to its last."""

    events: int = 0
    delivered: int = 0  # with those behind the last one that counts
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    rss_bytes: int = 0


class Course:
    """Takes events up to a number of each partition, and the time from the first to the last."""

    def __init__(self, per_partition: int) -> None:
        self.job, self.run, self.flushed = ByHand(), Run(), list[bytes]()
        self._left, self._per = per_partition * PARTITIONS, per_partition
        self._began: tuple[float, float] | None = None

    def take(self, offset: int, value: bytes) -> bool:
        """Take one event; True when that was the last."""
        if self._began is None:
            self._began = time.perf_counter(), time.process_time()
        self.run.delivered += 1
        if offset >= self._per:
            return False
        self.job.add(value)
        self._left -= 1
        return self._left == 0

    def flush(self) -> list[bytes]:
        """Close what was gathered."""
        messages = self.job.flush()
        self.flushed += messages
        return messages

    def finish(self) -> None:
        """Take the times."""
        assert self._began is not None
        self.run.events = self._per * PARTITIONS
        self.run.seconds = time.perf_counter() - self._began[0]
        self.run.cpu_seconds = time.process_time() - self._began[1]
        self.run.rss_bytes = psutil.Process().memory_info().rss

    def save(self, out: Path) -> None:
        """Write the run and the sums."""
        out.write_text(json.dumps({"run": asdict(self.run), "flushed": [f.decode() for f in self.flushed]}))


async def stock(brokers: str, topic: str, target: str, course: Course) -> None:
    """Run the Faust agent until the course is over."""
    import faust

    app = faust.App(
        f"stock-{os.getpid()}", broker=f"kafka://{brokers}", topic_allow_declare=False, topic_disable_leader=True,
        web_enabled=False, value_serializer="raw", store="memory://", datadir=tempfile.mkdtemp(),
        broker_commit_interval=2.0,
    )  # fmt: skip
    source = app.topic(topic, value_type=bytes, value_serializer="raw")
    flushed = app.topic(target, value_type=bytes, value_serializer="raw")
    done = asyncio.get_running_loop().create_future()

    async def agent(stream: Any) -> None:
        async for event in stream.events():
            if course.take(event.message.offset, event.value):
                await flush()
                course.finish()
                done.set_result(None)

    async def flush() -> None:
        for message in course.flush() if not done.done() else ():
            await flushed.send(value=message)

    app.agent(source)(agent)
    app.timer(FLUSH_S)(flush)
    await app.start()
    crashed = asyncio.create_task(app.wait_until_stopped())
    await asyncio.wait([done, crashed], return_when=asyncio.FIRST_COMPLETED)
    if not done.done():
        raise RuntimeError("the agent crashed") from app.crash_reason


def confluent(brokers: str, topic: str, course: Course) -> None:
    """Consume batch by batch until the course is over."""
    from confluent_kafka import Consumer

    options = {"bootstrap.servers": brokers, "group.id": f"confluent-{os.getpid()}", "auto.offset.reset": "earliest",
               "queued.min.messages": 1_000_000, "fetch.queue.backoff.ms": 1, "log_level": 0}  # fmt: skip
    consumer = Consumer(options)
    consumer.subscribe([topic])
    next_flush = time.monotonic() + FLUSH_S
    is_over = False
    while not is_over:
        for message in consumer.consume(5000, timeout=1.0):
            is_over = course.take(message.offset(), message.value()) or is_over
        if time.monotonic() > next_flush:
            course.flush()
            next_flush += FLUSH_S
    course.flush()
    course.finish()


def main(kind: str, brokers: str, topic: str, target: str, events: str, out: str) -> None:
    """Run one rival."""
    logging.basicConfig(level=logging.ERROR)
    course = Course(int(events))
    if kind == "stock":
        asyncio.run(_stock_only(brokers, topic, target, course, Path(out)))
    confluent(brokers, topic, course)
    course.save(Path(out))


async def _stock_only(brokers: str, topic: str, target: str, course: Course, out: Path) -> None:
    code = 1
    try:
        await stock(brokers, topic, target, course)
        course.save(out)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)  # a Faust app takes its time to leave, and has nothing left that counts


if __name__ == "__main__":
    main(*sys.argv[1:])
