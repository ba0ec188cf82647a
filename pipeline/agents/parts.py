"""What every agent is built from; made once per worker."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.delivery.routes import Routes
from pipeline.framing import Framing
from pipeline.grants import group_name
from pipeline.ourselves import Concern
from pipeline.settings import Settings
from pipeline.spec import SloSet
from pipeline.topics import aiokafka_config, topic_name
from pipeline.transport import FetchSpec, KafkaLedger, Position, StepCounters


@dataclass
class Parts:
    """A worker's common parts."""

    settings: Settings
    slos: SloSet
    framing: Framing
    partitions: Mapping[str, int]  # full topic name -> partitions, as the broker has them
    routes: Routes = Routes()  # noqa: RUF009 - frozen
    joined: Callable[[str, str], None] = lambda group, member: None  # told which member of which group this worker is
    kafka: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.kafka = aiokafka_config(self.settings)

    def topic(self, base: str) -> str:
        return topic_name(self.settings, base)

    def group(self, step: str) -> str:
        return group_name(self.settings, step)

    def ledger(self, step: str) -> KafkaLedger:
        return KafkaLedger(self.kafka, self.group(step))


class Working(Protocol):
    """What health asks of a step, whoever runs it."""

    @property
    def counters(self) -> StepCounters:
        """What it has done, and when last."""

    @property
    def owned(self) -> Mapping[Any, Any]:
        """What it works on, by partition."""

    @property
    def is_assigned(self) -> bool:
        """Whether it has what the group gives it."""

    def positions(self) -> Mapping[Any, Position]:
        """How far each partition is done, and how far it goes."""

    def oldest_in_flight_s(self, now_s: float) -> float:
        """Age of the oldest input that is not written yet."""

    def open_transaction_s(self, now_s: float) -> float:
        """Age of the oldest transaction or insert under way."""


@dataclass
class Agent:
    """A step, how it is fetched, and what it says of itself beyond its counters."""

    step: Working
    fetch: FetchSpec
    readings: Any = tuple  # () -> iterable of pipeline.metrics.Reading
    succeed: Callable[[SloSet], Callable[[], None]] = lambda _: lambda: None  # see pipeline.reload; called in a thread
    tried_at_s: Callable[[], float] = lambda: float("-inf")  # monotonic time of the last write refused for now
    run: Callable[[asyncio.Event], Awaitable[None]] | None = None  # until told to stop; None: as a Faust app
    trouble: Callable[[], str] = lambda: ""  # what somebody has to look at, though nothing lags
    concerns: Callable[[], list[Concern]] = list  # what it is responsible for, beside that it may lag
