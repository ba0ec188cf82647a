"""A site with workers, and independent readers of what they wrote. Asks only the outer contract."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition
from fastavro import parse_schema, schemaless_reader
from typer.testing import CliRunner

from pipeline import blocks
from pipeline.cli import app
from pipeline.commands.children import Worker, environment
from pipeline.embedded.site import Site
from pipeline.topics import topic_name
from schemas import avro_text
from tests.forking import ForkedWorker
from tests.narrow import create_narrow_topics

DRAIN_S = 120.0
HEADER_BYTES = 10  #: of single-object framing


class Pipeline:
    """One pipeline on a running site; `overrides` are settings."""

    def __init__(self, site: Site, log_dir: Path, **overrides: Any) -> None:
        self.site, self.log_dir = site, log_dir
        self.settings = site.settings.model_copy(update=overrides)
        self.workers: list[Worker] = []

    def begin_worker(self) -> Worker:
        """Begin to start a worker; its `ready` waits for it."""
        worker = ForkedWorker(self.settings, self.log_dir / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        return worker

    def start_worker(self) -> Worker:
        worker = self.begin_worker()
        worker.ready()
        return worker

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop(15)

    def run(self, *arguments: str) -> Any:
        """Run one `burnline` command with `--json`, and give back what it printed."""
        done = CliRunner().invoke(app, [*arguments, "--json"], env=environment(self.settings))
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask ClickHouse as the reader."""
        client = self.site.clickhouse.client("burnline_reader")
        try:
            found: list[tuple[Any, ...]] = client.execute(sql)
            return found
        finally:
            client.disconnect()

    def records(self, base: str, patience_s: float = DRAIN_S) -> Iterator[Any]:
        """Every committed record of a topic up to its end now; those of one partition in order of offset."""
        config = {
            "bootstrap.servers": self.settings.kafka_brokers,
            "group.id": "reader",  # nobody's: it commits nothing
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
        topic = topic_name(self.settings, base)
        consumer = Consumer(config)
        try:
            left = set(consumer.list_topics(topic, timeout=60).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
            deadline = time.monotonic() + patience_s
            while left:
                assert time.monotonic() < deadline, f"{topic} was not read to its end within {patience_s} s"
                for message in consumer.consume(5_000, timeout=0.1):
                    if message.error() is None:
                        yield message
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        left.discard(message.partition())
                    else:
                        raise AssertionError(message.error())
        finally:
            consumer.close()

    def columns(self, base: str, schema: str) -> Iterator[dict[str, Any]]:
        """Every committed block of a derived topic, decoded."""
        for message in self.records(base):
            yield blocks.decode(schema, message.value())

    def decoded(self, base: str, schema: str) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Every committed record of a topic with its value, read by fastavro."""
        parsed = parse_schema(json.loads(avro_text(schema)))
        for message in self.records(base):
            yield message, read_avro(message.value(), parsed)

    def requests_stored(self) -> int:
        return int(self.ask("SELECT sum(requests) FROM sli")[0][0] or 0)

    def wait_until(self, condition: Callable[[], bool], what: str, patience_s: float = DRAIN_S) -> None:
        """Wait for a condition.

        Raises: AssertionError with the workers' logs when it does not come.
        """
        for _ in looks(patience_s):
            if condition():
                return
            if any(worker.process.poll() not in (None, -9, -15, 0) for worker in self.workers):
                break
        logs = "\n".join(f"{w.log}:\n{w.log.read_text()[-3000:]}" for w in self.workers)
        raise AssertionError(f"{what}: not within {patience_s} s, or a worker died\n{logs}")

    def wait_stored(self, requests: int, patience_s: float = DRAIN_S) -> None:
        self.wait_until(lambda: self.requests_stored() >= requests, f"{requests} requests in ClickHouse", patience_s)

    def becomes(self, read: Callable[[], Any], expected: Any, patience_s: float = DRAIN_S) -> None:
        """Wait for a reading to be what it should be in the end; compare it for the last time when it is not."""
        for _ in looks(patience_s):
            if (found := read()) == expected:
                return
        assert found == expected


def looks(patience_s: float) -> Iterator[None]:
    """Turns to look, while there is patience; between two, others have the machine for as long as a look takes."""
    deadline = time.monotonic() + patience_s
    while (began := time.monotonic()) < deadline:
        yield
        time.sleep(max(0.25, time.monotonic() - began))


def read_avro(value: bytes, schema: Any) -> dict[str, Any]:
    """Read a value in single-object framing with fastavro, not with our decoder."""
    found = schemaless_reader(BytesIO(value[HEADER_BYTES:]), schema, None)
    assert isinstance(found, dict)
    return found


@contextmanager
def pipeline(data_dir: Path, slo_dir: Path, **overrides: Any) -> Iterator[Pipeline]:
    """Start a site, hand out a pipeline without workers, and stop everything."""
    with Site(data_dir, slo_dir=slo_dir) as site:
        running = Pipeline(site, data_dir / "log", **overrides)
        try:
            yield running
        finally:
            running.stop()


@contextmanager
def pipeline_on(site: Site, name: str, slo_dir: Path, **overrides: Any) -> Iterator[Pipeline]:
    """Hand out a pipeline with topics of its own on a site that others use too."""
    own = {"topic_prefix": f"{name}.", "slo_dir": slo_dir, **overrides}
    running = Pipeline(site, site.data_dir / "log" / name, **own)
    create_narrow_topics(running.settings)
    try:
        yield running
    finally:
        running.stop()
