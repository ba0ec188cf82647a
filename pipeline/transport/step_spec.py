"""What a step is made of: its topics, its folds, and how long and how large its units are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from faust.types import TP

from pipeline.transport.owned import Fold

PATIENCE = 1.25  #: units that wait for the end of a cell wait so many cells at the most


@dataclass(frozen=True)
class StepSpec:
    """One step."""

    name: str
    topics: tuple[str, ...]
    make_fold: Callable[[TP], Fold]
    state_topic: str | None = None  # same partition number as the topic's
    unit_s: float = 1.0
    unit_s_of: Mapping[str, float] = field(default_factory=dict)  # topics with another one
    ends_with_cells: bool = False  # units end with the broker's clock, just behind multiples of `unit_s`
    unit_bytes: int = 16 << 20
    queue_bytes: int = 64 << 20  # of all partitions; what is over waits in Kafka
    holds_input: bool = False  # a unit is as large as what it was made of, which counts until it is written
    threads: int = 1

    def seconds(self, topic: str) -> float:
        """Longest unit of a topic."""
        return self.unit_s_of.get(topic, self.unit_s) * (PATIENCE if self.ends_with_cells else 1)

    def cell_ms(self, topic: str) -> float | None:
        """Milliseconds of a cell; None: units end when they are due."""
        return self.unit_s_of.get(topic, self.unit_s) * 1000 if self.ends_with_cells else None
