"""What every agent is built from; made once per worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.framing import Framing
from pipeline.grants import group_name
from pipeline.settings import Settings
from pipeline.spec import SloSet
from pipeline.topics import aiokafka_config, topic_name
from pipeline.transport import FetchSpec, KafkaLedger, Step


@dataclass
class Parts:
    """A worker's common parts."""

    settings: Settings
    slos: SloSet
    framing: Framing
    partitions: Mapping[str, int]  # full topic name -> partitions, as the broker has them
    kafka: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.kafka = aiokafka_config(self.settings)

    def topic(self, base: str) -> str:
        return topic_name(self.settings, base)

    def group(self, step: str) -> str:
        return group_name(self.settings, step)

    def ledger(self, step: str) -> KafkaLedger:
        return KafkaLedger(self.kafka, self.group(step))


@dataclass
class Agent:
    """A step, how it is fetched, and what it says of itself beyond its counters."""

    step: Step
    fetch: FetchSpec
    readings: Any = tuple  # () -> iterable of pipeline.metrics.Reading
    succeed: Callable[[SloSet], Callable[[], None]] = lambda _: lambda: None  # see pipeline.reload; called in a thread
    tried_at_s: Callable[[], float] = lambda: float("-inf")  # monotonic time of the last write refused for now
