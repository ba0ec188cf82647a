"""What a step is made of: its topics, its folds, and how long and how large its units are.

    event time   |         second s          |
    aligned units         ^                  '.^ p0 ^ p1 .. ^ p7      all of s is counted soon behind its end
    taking turns   ^ p3      ^ p4    ^ p5       ^ p6    ^ p7   ^ p0   .. and here when the last one has had its turn

A second is judged once every partition has counted it, so an alert waits for the last of them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from faust.types import TP

from pipeline.transport.owned import Fold

#: times as long as a unit took nothing is begun: an alert waits for units, and a busy machine has fewer of them
PAUSE = 8
AFTER_S = 0.06  #: behind a second's end its last events are on their way
SPREAD_S = 0.12  #: within which partitions take turns all the same


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
    is_aligned: bool = False  # units of all partitions end just behind whole seconds of the clock
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

    def due(self, topic: str, turn: float, busy_s: float, wall_s: float) -> tuple[float, float]:
        """Seconds until the unit behind one that begins now, and until the one behind it if that has blocks.

        `turn`: share of the topic's partitions whose turn comes first. `wall_s`: the clock, which may jump.
        """
        longest, news = self.seconds(topic), self.seconds_with_news(topic, busy_s)
        if not self.is_aligned:
            return longest, news
        behind_s = wall_s - AFTER_S - turn * SPREAD_S
        halved = longest / 2 ** int(math.log2(longest / news))
        return _until_next(behind_s, longest), _until_next(behind_s, halved)

    def first_due(self, topic: str, turn: float, wall_s: float) -> tuple[float, float]:
        """The same of a partition that has just been taken."""
        if self.is_aligned:
            return self.due(topic, turn, 0.0, wall_s)
        return turn * self.seconds(topic), turn * self.seconds_with_news(topic, 0.0)


def _until_next(behind_s: float, cell_s: float) -> float:
    """Seconds to the end of a cell; to that of the next one, when it is so near that it would be met twice."""
    left_s = cell_s - behind_s % cell_s
    return left_s if 2 * left_s >= cell_s else left_s + cell_s
