"""Writes records of one topic from outside of a worker's steps: signals of jobs, snapshots of engines, changes.

Blocking, and idempotent as Kafka's producer is. Raises TopicsError alone, whose message says what to do.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline import grants
from pipeline.blocks import encode
from pipeline.controls.signal import SCHEMA, Signal
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.sources import registry
from pipeline.topics import SIGNALS, TIMEOUT_S, TopicsError, cluster, confluent_config, topic_name

if TYPE_CHECKING:
    from pipeline.settings import Settings

ACK_S = 20.0
QUEUE_MOST = 10_000  #: records that the broker has not taken yet; who writes more waits
FULL_WAIT_S = 0.02


class Writer:
    """A producer of one topic, for as long as somebody writes."""

    def __init__(
        self, settings: "Settings", base: str, schema: str, needed: Iterable[grants.Grant] = (),
        ack_s: float = ACK_S, timeout_s: float = TIMEOUT_S, queue_most: int = QUEUE_MOST,
    ) -> None:  # fmt: skip
        """Look whether we may write at all: the client would try for long, and not say why.

        `needed`: what has to be granted; `ack_s`: for the broker to take a record; `timeout_s`: to find a broker.
        Raises: TopicsError.
        """
        from confluent_kafka import Producer

        self._topic, self._schema, self._ack_s = topic_name(settings, base), schema, ack_s
        admin, seen = cluster(settings, timeout_s)
        if refused := grants.missing(admin, needed) if needed else []:
            raise TopicsError(grants.refusal(refused))
        if self._topic not in seen.topics:
            raise TopicsError(f"topics are missing: {self._topic}. Run `burnline migrate`")
        self._framing = _framing(settings, self._topic, schema)
        options = {
            "enable.idempotence": True, "message.timeout.ms": round(ack_s * 1000),
            "queue.buffering.max.messages": queue_most,
            "log_level": 0,  # what is wrong is raised; the client would repeat it on stderr as long as it lives
        }  # fmt: skip
        self._producer = Producer({**confluent_config(settings), **options})

    def write(self, records: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Write records, each a key and columns; return how many, once the broker has them all.

        Raises: TopicsError, soon after the first that it does not take.
        """
        refusals, count = list[str](), 0
        for key, columns in records:
            self._queue(key.encode(), encode(self._schema, columns, self._framing), refusals)
            if refusals:
                break
            count += 1
        if self._producer.flush(2 * self._ack_s):
            refusals.append(f"no answer within {2 * self._ack_s:.0f} s")
        if refusals:
            raise TopicsError(f"{self._topic} does not take what is written: {refusals[0]}")
        return count

    def _queue(self, key: bytes, value: bytes, refusals: list[str]) -> None:
        """Queue a record once there is room: what waits in front is taken, or refused within `ack_s`."""
        from confluent_kafka import KafkaException

        while not refusals:
            try:
                self._producer.produce(
                    self._topic,
                    value,
                    key,
                    on_delivery=lambda error, _: refusals.append(error.str()) if error else None,
                )
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(FULL_WAIT_S)
            except KafkaException as error:
                refusals.append(error.args[0].str())


def publish(settings: "Settings", signals: Iterable[Signal]) -> int:
    """Publish signals of a job, as forecasts: controls see them among what is published; return how many.

    Raises: TopicsError.
    """
    return Writer(settings, SIGNALS, SCHEMA).write((signal.key, signal.columns) for signal in signals)


def _framing(settings: "Settings", topic: str, schema: str) -> Framing:
    url = settings.schema_registry_url
    try:
        return registry.framing(url, topic, {topic: schema}) if url else SINGLE_OBJECT
    except registry.RegistryError as error:
        raise TopicsError(str(error)) from error
