"""What the demo sees of the pipeline: the derived topics, read like any other consumer would.

Reads committed records only. Knows nothing of the worker but what it wrote.
"""

from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from pipeline import blocks
from pipeline.alerts import Kind
from pipeline.settings import Settings
from pipeline.topics import ALERTS, COUNTS, STATUS, confluent_config, topic_name


@dataclass(frozen=True)
class SeenAlert:
    """One alert event and when the broker had it."""

    record: dict[str, Any]
    appended_ms: int


@dataclass
class Watch:
    """The latest of everything, kept up to date by `poll`."""

    settings: Settings
    ingested: int = 0  # events folded, by the offsets of slo.counts
    first_ms: int = 0  # broker time of the first and the last unit
    last_ms: int = 0
    watermark_us: int = 0
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: list[SeenAlert] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = {"group.id": "demo", "isolation.level": "read_committed", "auto.offset.reset": "earliest",
                   "enable.auto.commit": False, "fetch.wait.max.ms": 50}  # fmt: skip
        self._consumer = Consumer({**confluent_config(self.settings), **options})
        self._names = {topic_name(self.settings, base): base for base in (COUNTS, STATUS, ALERTS)}
        found = self._consumer.list_topics(timeout=10).topics
        self._consumer.assign(
            [TopicPartition(name, partition, 0) for name in self._names for partition in found[name].partitions]
        )
        self._next: dict[int, int] = {}

    def poll(self, timeout_s: float) -> None:
        """Take what has come."""
        for message in self._consumer.consume(2000, timeout=timeout_s):
            if message.error() is None and message.value() is not None:
                {COUNTS: self._counts, STATUS: self._status, ALERTS: self._alert}[self._names[message.topic()]](message)

    def close(self) -> None:
        self._consumer.close()

    def _counts(self, message: Message) -> None:
        unit = blocks.decode("slo_counts", message.value())
        known = self._next.get(unit["source_partition"], 0)
        if unit["next_offset"] > known:
            self._next[unit["source_partition"]] = unit["next_offset"]
            self.ingested += unit["next_offset"] - known
            self.last_ms = message.timestamp()[1]
            self.first_ms = self.first_ms or self.last_ms

    def _status(self, message: Message) -> None:
        status = blocks.decode("slo_status", message.value())
        self.statuses[message.key().decode()] = status
        self.watermark_us = max(self.watermark_us, status["watermark"])

    def _alert(self, message: Message) -> None:
        self.alerts.append(SeenAlert(blocks.decode("burn_rate_alert", message.value()), message.timestamp()[1]))

    def fired(self, slo_event: str) -> list[SeenAlert]:
        """Events of burn-rate alerts: FIRED, UPDATED or RESOLVED. What an incident spent stays spent."""
        burning = (alert for alert in self.alerts if alert.record["kind"] == Kind.BURN_RATE.name)
        return [alert for alert in burning if alert.record["event"] == slo_event]
