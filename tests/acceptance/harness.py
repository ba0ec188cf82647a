"""A site with workers, and independent readers of what they wrote. Asks only the outer contract."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from pipeline import blocks
from pipeline.commands.children import Worker
from pipeline.embedded.site import Site
from pipeline.topics import topic_name

DRAIN_S = 120.0


class Pipeline:
    """A running site."""

    def __init__(self, site: Site, log_dir: Path) -> None:
        self.site, self.log_dir = site, log_dir
        self.settings = site.settings
        self.workers: list[Worker] = []

    def start_worker(self) -> Worker:
        worker = Worker(self.settings, self.log_dir / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        worker.ready()
        return worker

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask ClickHouse as the reader."""
        client = self.site.clickhouse.client("burnline_reader")
        try:
            found: list[tuple[Any, ...]] = client.execute(sql)
            return found
        finally:
            client.disconnect()

    def records(self, base: str, idle_s: float = 3.0) -> Iterator[Any]:
        """Every committed record of a topic, read by a group of nobody."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka_brokers,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        topic = topic_name(self.settings, base)
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        try:
            last = time.monotonic()
            while time.monotonic() - last < idle_s:
                for message in consumer.consume(1000, timeout=0.5):
                    if message.error() is None:
                        last = time.monotonic()
                        yield message
        finally:
            consumer.close()

    def columns(self, base: str, schema: str) -> Iterator[dict[str, Any]]:
        """Every committed block of a derived topic, decoded."""
        for message in self.records(base):
            yield blocks.decode(schema, message.value())

    def requests_stored(self) -> int:
        return int(self.ask("SELECT sum(requests) FROM sli")[0][0] or 0)

    def wait_until(self, condition: Callable[[], bool], what: str, patience_s: float = DRAIN_S) -> None:
        """Wait for a condition.

        Raises: AssertionError with the workers' logs when it does not come.
        """
        deadline = time.monotonic() + patience_s
        while not condition():
            dead = [w for w in self.workers if w.process.poll() not in (None, -9, -15, 0)]
            if time.monotonic() > deadline or dead:
                logs = "\n".join(f"{w.log}:\n{w.log.read_text()[-3000:]}" for w in self.workers)
                raise AssertionError(f"{what}: not within {patience_s} s, or a worker died\n{logs}")
            time.sleep(0.25)

    def wait_stored(self, requests: int, patience_s: float = DRAIN_S) -> None:
        self.wait_until(lambda: self.requests_stored() >= requests, f"{requests} requests in ClickHouse", patience_s)


@contextmanager
def pipeline(data_dir: Path, slo_dir: Path, **overrides: Any) -> Iterator[Pipeline]:
    """Start a site, hand out a pipeline without workers, and stop everything."""
    with Site(data_dir, slo_dir=slo_dir) as site:
        running = Pipeline(site, data_dir / "log")
        running.settings = running.settings.model_copy(update=overrides)
        try:
            yield running
        finally:
            for worker in running.workers:
                worker.stop(15)
