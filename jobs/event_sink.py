"""Where made events go: the topic inference.events, fast and without loss, or a list.

A sink counts what was delivered and what was not; the caller decides what a loss means. Keys are request ids,
so attempts of one request share a partition; the client's own hash chooses it.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from confluent_kafka import KafkaError, Message, Producer

from pipeline import grants, topics
from pipeline.encoding import EventColumns, EventEncoder, texts
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.settings import Settings

QUEUE_MESSAGES, QUEUE_KIB = 500_000, 262_144
FULL_WAIT_S = 0.02
FLUSH_WAIT_S = 1.0
# Idempotent: a retry of the client never doubles an event. Large batches compress better.
# Only failures are reported back: a Python call per delivered message would halve the rate.
OPTIONS = {
    "enable.idempotence": True,
    "linger.ms": 20,
    "batch.size": 1 << 20,
    "batch.num.messages": 50_000,
    "compression.type": "lz4",
    "queue.buffering.max.messages": QUEUE_MESSAGES,
    "queue.buffering.max.kbytes": QUEUE_KIB,
    "delivery.report.only.error": True,
    "client.id": "burnline-producer",
    "log_level": 3,  # a coordinator that still loads is asked again; what fails is counted and said
}


class EventSink(Protocol):
    """Takes events; `flush` returns when all of them have arrived or are known to be lost."""

    sent: int
    sent_bytes: int
    failed: int

    def send(self, events: EventColumns) -> None: ...

    def flush(self) -> None: ...


@dataclass
class ListEventSink:
    """Keeps events: for tests, dry runs and for whoever wants columns."""

    parts: list[EventColumns] = field(default_factory=list)
    keep: bool = True
    sent: int = 0
    sent_bytes: int = 0
    failed: int = 0

    def send(self, events: EventColumns) -> None:
        self.sent += len(events)
        if self.keep:
            self.parts.append(events)

    def flush(self) -> None:
        """Nothing is under way."""


class KafkaEventSink:
    """Writes to `<prefix>inference.events`, with the broker's timestamps. Flushes as it is left."""

    def __init__(self, settings: Settings, framing: Framing = SINGLE_OBJECT) -> None:
        """Look whether we may send at all: the client itself would try for minutes, and not say why.

        Raises: TopicsError.
        """
        self.topic = topics.topic_name(settings, topics.EVENTS)
        admin, found = topics.cluster(settings)
        if refused := grants.missing(admin, grants.producer(settings)):
            raise topics.TopicsError(grants.refusal(refused))
        if self.topic not in found.topics:
            raise topics.TopicsError(f"topics are missing: {self.topic}. Run `burnline migrate`")
        self.sent = self.sent_bytes = self.failed = 0
        self.first_error = ""
        self._encoder = EventEncoder.framed(framing)
        self._producer = Producer(topics.confluent_config(settings) | OPTIONS)

    def send(self, events: EventColumns) -> None:
        """Encode and queue events; waits while the client's queue is full."""
        if not len(events):
            return
        encoded = self._encoder.encode(events)
        keys = texts(events["request_id"])
        messages = [{"value": v, "key": k} for v, k in zip(encoded.records(), keys, strict=True)]
        self.sent += len(messages)
        self.sent_bytes += int(encoded.offsets[-1])
        while messages:
            queued = self._producer.produce_batch(self.topic, messages, on_delivery=self._lost)
            self._producer.poll(0)
            if queued == len(messages):
                return
            messages = [message for message in messages if self._wants_again(message)]
            if messages:
                self._producer.poll(FULL_WAIT_S)

    def _wants_again(self, message: dict[str, Any]) -> bool:
        error = message.pop("_error", None)
        if error is None:
            return False
        if error.code() == KafkaError._QUEUE_FULL:
            return True
        self._lost(error, None)
        return False

    def _lost(self, error: KafkaError | None, message: Message | None) -> None:
        if error is not None:
            del message
            self.failed += 1
            self.first_error = self.first_error or error.str()

    def flush(self) -> None:
        """Wait for every event; failures are counted in `failed`."""
        while self._producer.flush(FLUSH_WAIT_S):
            pass

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Flush."""
        self.flush()
