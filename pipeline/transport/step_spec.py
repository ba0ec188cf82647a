"""What a step is made of: its topics, its folds, and how long and how large its units are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from faust.types import TP

from pipeline.transport.owned import Fold

#: times as long as a unit took nothing is begun: an alert waits for units, and a busy machine has fewer of them
PAUSE = 8


@dataclass(frozen=True)
class StepSpec:
    """One step."""

    name: str
    topics: tuple[str, ...]
    make_fold: Callable[[TP], Fold]
    state_topic: str | None = None  # same partition number as the topic's
    unit_s: float = 1.0
    unit_s_of: Mapping[str, float] = field(default_factory=dict)  # topics with another one
    unit_s_least: float | None = None  # units with news are written as often as they cost little; None: each `unit_s`
    unit_bytes: int = 16 << 20
    queue_bytes: int = 64 << 20  # of all partitions; what is over waits in Kafka
    holds_input: bool = False  # a unit is as large as what it was made of, which counts until it is written
    threads: int = 1

    def seconds(self, topic: str) -> float:
        """Longest unit of a topic."""
        return self.unit_s_of.get(topic, self.unit_s)

    def seconds_with_news(self, topic: str, busy_s: float) -> float:
        """How long after a unit the next one may begin that has blocks, when the last took `busy_s`."""
        longest = self.seconds(topic)
        return longest if self.unit_s_least is None else min(max(PAUSE * busy_s, self.unit_s_least), longest)
