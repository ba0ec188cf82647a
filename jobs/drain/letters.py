"""What becomes of a dead letter: fed again, or left where it is and why. Pure.

Law: a record that is fed again is the original, byte for byte, with one header more, REDRIVEN: how many times it was
fed again and where it came from first. Fed again it has a new offset and a new append time, and is judged by these:
the broker's clock is the only one that no producer can move, and a header that could make a record younger could be
forged by anybody. So an event that was too far in the future may have happened by now and then counts when it says;
one that has grown older than BURNLINE_LIMIT_AGE_S meanwhile comes back as `too_old`; every other counts in the
slices of its own event time, and is late.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from pipeline.dead_letters import KEPT_ALL, Headers, split_headers
from pipeline.duplicates import REDRIVEN
from pipeline.stored_records import MARKER

HEADER_BYTES_MOST = 4_096  #: of REDRIVEN: ours are some hundred, longer ones are not ours


class Fate(StrEnum):
    """What becomes of a letter."""

    FED = "fed"
    DONE = "fed before"
    NOT_CHOSEN = "not chosen"
    OTHER_TOPIC = "from another topic"
    CUT = "not whole"
    SPENT = "fed too often"
    RETRY = "a retry of one that is fed"


@dataclass(frozen=True)
class Choice:
    """Which letters are meant. Times are those at which they were put aside."""

    topic: str
    reasons: frozenset[str] = frozenset()  # none: all
    since_ms: int = 0
    until_ms: int = 1 << 62
    max_redrives: int = 3


@dataclass(frozen=True)
class Letter:
    """One dead letter without its key and value."""

    headers: Headers  # of the record itself
    reason: str
    topic: str
    partition: int
    offset: int
    append_time_ms: int  # -1: not known
    is_whole: bool
    put_aside_ms: int

    @property
    def redriven(self) -> dict[str, object]:
        """What the last drain said of it; nothing when it was never fed again."""
        for name, value in self.headers:
            if name == REDRIVEN and value is not None and len(value) <= HEADER_BYTES_MOST:
                try:
                    said = json.loads(value)
                except (ValueError, RecursionError):
                    continue
                if isinstance(said, dict) and type(said.get("redrives")) is int:
                    return said
        return {}

    @property
    def redrives(self) -> int:
        """How many times it was fed again. A producer who forges this keeps his own record aside, no other."""
        said = self.redriven.get("redrives", 0)
        return said if isinstance(said, int) else 0

    @property
    def first(self) -> tuple[int, int, int]:
        """Where it came from before it was ever fed again, and when it was appended there: partition, offset, ms."""
        said, own = self.redriven, (self.partition, self.offset, self.append_time_ms)
        partition, offset, time_ms = (
            found if type(found := said.get(name)) is int else number
            for name, number in zip(("partition", "offset", "append_time_ms"), own, strict=True)
        )
        return partition, offset, self.put_aside_ms if time_ms < 0 else time_ms  # the first release did not say it

    def again(self) -> Headers:
        """Headers of the record to feed: the original's, and where it came from first."""
        origin: dict[str, object] = {
            "topic": self.topic, "partition": self.partition, "offset": self.offset,
            "append_time_ms": self.append_time_ms, "reason": self.reason,
        }  # fmt: skip
        said = json.dumps(origin | self.redriven | {"redrives": self.redrives + 1})
        return (*((n, v) for n, v in self.headers if n != REDRIVEN), (REDRIVEN, said.encode()))


def read_letter(headers: Headers, put_aside_ms: int) -> Letter | None:
    """Read a record of the dead letters' topic; None: it is no letter."""
    own, about = split_headers(headers)
    try:
        return Letter(
            own,
            about["reason"].decode(),
            about["topic"].decode(),
            int(about["partition"]),
            int(about["offset"]),
            int(about.get("append_time", b"-1")),
            _is_whole(about),
            put_aside_ms,
        )
    except (KeyError, ValueError):
        return None


def _is_whole(about: dict[str, bytes]) -> bool:
    """The first release said it in the detail only."""
    return about["kept"] == KEPT_ALL if "kept" in about else not about["detail"].endswith(b"bytes are kept")


def fate(letter: Letter, choice: Choice) -> Fate:
    """Decide; whether it was fed before is known only once all has been read."""
    if letter.topic != choice.topic:
        return Fate.OTHER_TOPIC
    if choice.reasons and letter.reason not in choice.reasons:
        return Fate.NOT_CHOSEN
    if not choice.since_ms <= letter.put_aside_ms < choice.until_ms:
        return Fate.NOT_CHOSEN
    if not letter.is_whole:
        return Fate.CUT
    return Fate.SPENT if letter.redrives >= choice.max_redrives else Fate.FED


# -- markers: what was fed again, written beside the letters in the transaction that feeds them
def marker(offsets: Sequence[int]) -> bytes:
    """Write ascending offsets of one partition as ranges, both ends included."""
    edges = [0, *(i for i, (a, b) in enumerate(pairwise(offsets), 1) if b != a + 1), len(offsets)]
    return json.dumps([[offsets[a], offsets[b - 1]] for a, b in pairwise(edges)]).encode()


def is_marker(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Tell a marker from a letter."""
    return [name for name, _ in headers] == [MARKER]
