"""Independent readers: confluent-kafka, committed records only; fastavro; SQL. They know nothing of a worker."""

import json
from collections import Counter
from functools import cache
from io import BytesIO
from typing import Any

from clickhouse_driver import Client
from confluent_kafka import Consumer, TopicPartition
from fastavro import parse_schema, schemaless_reader

from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from schemas import avro_text
from tests.naive.blocks import bare

HEADER_BYTES = 10  #: of single-object framing
TALLIES = ("good", "bad", "excluded")
OUTCOMES = ("success", "error", "timeout", "cancelled", "shed", "rate_limited", "rejected", "unknown")
TIERS = ("", "_1m", "_1h")  #: of the views; the finest one has no suffix
Totals = dict[tuple[str, ...], int]


def read_value(schema: str, value: bytes) -> dict[str, Any]:
    """Read one value with fastavro, times as integers."""
    found: Any = schemaless_reader(BytesIO(value[HEADER_BYTES:]), _plain(schema), None)
    return dict(found)


@cache
def _plain(schema: str) -> Any:
    """A schema without logical types."""
    return parse_schema(bare(json.loads(avro_text(schema))))


class Tail:
    """One topic from its start, read on whenever asked; only committed records, in order of offset."""

    def __init__(self, brokers: str, topic: str, schema: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers, "group.id": "nobody's", "isolation.level": "read_committed",
                "enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50, "log_level": 0,
                "reconnect.backoff.max.ms": 500,
            }
        )  # fmt: skip
        self._schema = schema
        found = self._consumer.list_topics(topic, timeout=20).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in found])

    def read(self, most_s: float = 0.3) -> list[Any]:
        """Messages that have come; empty when nothing came for `most_s`."""
        found: list[Any] = []
        while batch := self._consumer.consume(2_000, timeout=most_s):
            found += [message for message in batch if message.error() is None]
            most_s = 0.05
        return found

    def decoded(self, message: Any) -> dict[str, Any]:
        return read_value(self._schema, message.value())

    def close(self) -> None:
        self._consumer.close()


class Sums:
    """Running sums of slo.counts and slo.slices; the counts' blocks are kept, in order, for a judge."""

    def __init__(self, brokers: str) -> None:
        self._counts_tail = Tail(brokers, "slo.counts", "slo_counts")
        self._slices_tail = Tail(brokers, "slo.slices", "slo_slice")
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.slices: Counter[tuple[str, ...]] = Counter()
        self.log: dict[int, list[Any]] = {}  # partition -> messages of slo.counts
        self.ahead_us = 0  # the farthest that an event time was ahead of its unit

    def read(self) -> None:
        for message in self._counts_tail.read():
            self.log.setdefault(message.partition(), []).append(message)
            self._add_counts(self._counts_tail.decoded(message))
        for message in self._slices_tail.read():
            self._add_slices(self._slices_tail.decoded(message))

    def _add_counts(self, block: dict[str, Any]) -> None:
        for entry, index in enumerate(block["instance_index"]):
            for name in TALLIES:
                self.counts[block["slos"][index], block["instances"][index], name] += block[name][entry]
        if block["max_event_time"] is not None:
            self.ahead_us = max(self.ahead_us, block["max_event_time"] - block["flushed_at"])

    def _add_slices(self, block: dict[str, Any]) -> None:
        width, model = len(block["label_names"]), block["label_names"].index("request_model")
        for entry, series in enumerate(block["series_index"]):
            self.slices[(block["labels"][series * width + model],)] += sum(block[name][entry] for name in OUTCOMES)

    def close(self) -> None:
        self._counts_tail.close()
        self._slices_tail.close()


def ask(clickhouse: EmbeddedClickHouse, sql: str, user: str = READER) -> list[tuple[Any, ...]]:
    """Ask on a connection of its own."""
    client: Client = clickhouse.client(user, connect_timeout=3, send_receive_timeout=20)
    try:
        rows: list[tuple[Any, ...]] = client.execute(sql)
        return rows
    finally:
        client.disconnect()


def stored_counts(clickhouse: EmbeddedClickHouse, tier: str) -> Totals:
    rows = ask(
        clickhouse,
        f"SELECT slo, instance, sum(good), sum(bad), sum(excluded) FROM slo_counts{tier} GROUP BY slo, instance",
    )
    return {(slo, of, name): int(n) for slo, of, *sums in rows for name, n in zip(TALLIES, sums, strict=True)}


def stored_slices(clickhouse: EmbeddedClickHouse, tier: str) -> Totals:
    rows = ask(clickhouse, f"SELECT request_model, sum(requests) FROM sli{tier} GROUP BY request_model")
    return {(model,): int(requests) for model, requests in rows}


def alert_rows(clickhouse: EmbeddedClickHouse) -> set[str]:
    return {str(row[0]) for row in ask(clickhouse, "SELECT ce_id FROM alerts")}
