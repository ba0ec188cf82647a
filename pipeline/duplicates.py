"""Duplicates by producers' retries: an event whose event_id has come before, in its source partition, is left out.

    block ──► marked in order ──► what is no duplicate is folded ──► refused? then a retry of it is folded in its place

Law: of the records of one id that come within the window of each other, the first that can be counted is counted, and
those behind it are left out: nobody's first coming is. What is decided of a record depends only on the records of its
partition whose append time lies within the window before it; so whoever reads these again first decides as one who
read all. It rests on retries being the same bytes, and on append times (LogAppendTime), of which the greatest so far is
the time; never on our clock. What `drain-dead-letters` feeds again is never left out: a version that could not read it
put it aside, and the next, reading the same log, could take it for counted.
Pure. Memory: 12 bytes for each of twice as many slots as the ids allowed, a partition; see kernels.duplicates.
"""

import json
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.framing import Framing
from pipeline.kernels import duplicates as k
from pipeline.kernels import event_ids as ids_kernel
from pipeline.kernels.avro import FIXED_BYTES_MOST
from pipeline.kernels.bits import PAD, address_of
from pipeline.kernels.event_ids import FIXED, LONG, NO_UNION, TEXT
from pipeline.kernels.reasons import GOOD
from pipeline.records import RecordBlock

REDRIVEN = "x-burnline-redriven"  #: header of what `drain-dead-letters` feeds again
EVENT_ID = "event_id"
DUPLICATES = "duplicates"
FORGOTTEN = "event_ids_forgotten"  #: ids that had to make room while they were young
KINDS = {
    "int": (LONG, 0), "long": (LONG, 0), "enum": (LONG, 0), "string": (TEXT, 0), "bytes": (TEXT, 0),
    "boolean": (FIXED, 1), "float": (FIXED, 4), "double": (FIXED, 8),
}  # fmt: skip


@cache
def steps_to_id(schema_text: str) -> NDArray[np.int64] | None:
    """How to find the event id in the values of a writer; None: it has none, or it stands behind a nested field."""
    steps: list[tuple[int, int, int]] = []
    schema = json.loads(schema_text)
    for each in schema.get("fields", ()) if isinstance(schema, dict) else ():
        if (step := _step(each["type"])) is None:
            return None
        steps.append(step)
        if each["name"] == EVENT_ID:
            return np.array(steps, np.int64)
    return None


def _step(kind: Any) -> tuple[int, int, int] | None:
    null_branch = NO_UNION
    if isinstance(kind, list):
        if len(kind) != 2 or kind.count("null") != 1:
            return None
        null_branch = kind.index("null")
        kind = kind[1 - null_branch]
    name = kind["type"] if isinstance(kind, dict) else kind
    if name == "fixed":
        return (FIXED, int(kind["size"]), null_branch) if 0 <= int(kind["size"]) <= FIXED_BYTES_MOST else None
    return (*KINDS[name], null_branch) if isinstance(name, str) and name in KINDS else None


class EventIds:
    """Finds the ids of a block's values, whoever wrote them."""

    def __init__(self, framing: Framing, schema: str) -> None:
        """`schema` names the events'."""
        self._framing, self._name = framing, schema

    def of(self, block: RecordBlock) -> NDArray[np.uint64]:
        """Hash every id.

        Shapes: (record,) u64; 0: no id, or nobody knows the writer.
        """
        found = np.zeros(len(block), np.uint64)
        buffer, starts, lengths = (
            np.ascontiguousarray(block.buffer),
            np.ascontiguousarray(block.value_start, np.int64),
            np.ascontiguousarray(block.value_length, np.int32),
        )
        left = len(block)
        for header, text in self._framing.known(self._name).items():
            steps = steps_to_id(text) if left else None
            if steps is not None:
                plain = np.frombuffer(header, np.uint8)
                left -= ids_kernel.read_ids(address_of(buffer), buffer.size - PAD, starts, lengths, plain, steps, found)
        return found


@dataclass(frozen=True)
class WindowSpec:
    """How long event ids are remembered, and how many of a partition."""

    window_s: int
    ids: int


class Window:
    """The ids that came last in one source partition, for as long as somebody owns it."""

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        self._hashes, self._stamps = k.window(spec.ids)
        self._now_s = 1
        self._told: Counter[str] = Counter()

    def sift(
        self, block: RecordBlock, ids: NDArray[np.uint64], fold: Callable[[RecordBlock], NDArray[np.uint8]]
    ) -> None:
        """Fold what is no duplicate; count what is.

        `fold` may be called more than once, each time with other records of the block, and returns their codes (see
        kernels.reasons).
        """
        codes = self._mark(ids, block.append_time_ms)
        is_folded, is_good = codes != k.DUPLICATE, np.zeros(len(block), bool)
        for at in _with_headers(block, np.flatnonzero(~is_folded)):
            is_folded[at] = is_redriven(block, at)
        chosen = np.flatnonzero(is_folded)
        is_good[chosen] = fold(_only(block, chosen)) == GOOD
        if not is_good[chosen].all():
            self._take_retries(block, ids, codes, is_folded, is_good, fold)
        self._told[DUPLICATES] += len(block) - int(is_folded.sum())

    def tell(self) -> Counter[str]:
        """Return what was counted since the last call."""
        told, self._told = self._told, Counter()
        return told

    def _mark(self, ids: NDArray[np.uint64], append_time_ms: NDArray[np.int64]) -> NDArray[np.uint8]:
        now_s = np.maximum(np.maximum.accumulate(append_time_ms // 1000), self._now_s) if len(ids) else append_time_ms
        codes = np.empty(len(ids), np.uint8)
        self._told[FORGOTTEN] += k.mark(self._hashes, self._stamps, ids, now_s, self.spec.window_s, codes)
        self._now_s = int(now_s[-1]) if len(ids) else self._now_s
        return codes

    def _take_retries(
        self,
        block: RecordBlock,
        ids: NDArray[np.uint64],
        codes: NDArray[np.uint8],
        is_folded: NDArray[np.bool_],
        is_good: NDArray[np.bool_],
        fold: Callable[[RecordBlock], NDArray[np.uint8]],
    ) -> None:
        """Some could not be counted: the first retry behind each is no duplicate. One a round, until one counts."""
        troubled = np.unique(ids[is_folded & ~is_good & (ids != 0)])
        places = np.flatnonzero(np.isin(ids, troubled))
        places = places[np.argsort(ids[places], kind="stable")]
        of_one = np.split(places, np.searchsorted(ids[places], troubled[1:])) if len(troubled) else []
        is_marked, counted = codes == k.DUPLICATE, np.zeros(len(troubled), bool)
        going = {number: _retries(mine.tolist(), is_marked, is_folded, is_good) for number, mine in enumerate(of_one)}
        while going:
            chosen = []
            for number, retries in list(going.items()):
                try:
                    chosen.append(next(retries))
                except StopIteration as end:
                    counted[number] = end.value
                    del going[number]
            if chosen:
                chosen.sort()
                is_good[chosen] = fold(_only(block, np.array(chosen))) == GOOD
        k.settle(self._hashes, troubled, counted)


def _retries(
    places: list[int], is_marked: NDArray[np.bool_], is_folded: NDArray[np.bool_], is_good: NDArray[np.bool_]
) -> Generator[int, None, bool]:
    """Yield what of one id has to be folded after all, one after the other; return whether it counts in the end."""
    has_counted = True  # what is marked before anything else was counted in an earlier block
    for at in places:
        if not is_marked[at]:
            has_counted = False
        elif not has_counted and not is_folded[at]:
            is_folded[at] = True
            yield at
        has_counted |= bool(is_good[at])
    return has_counted


def _only(block: RecordBlock, chosen: NDArray[np.intp]) -> RecordBlock:
    """A block with some of its records."""
    if len(chosen) == len(block):
        return block
    return block.some(chosen, block.first_offset, block.next_offset)


def _with_headers(block: RecordBlock, chosen: NDArray[np.intp]) -> list[int]:
    """Those of some records that have headers: their number stands right behind the value, and is 0 for most."""
    counts = block.buffer[block.value_start[chosen] + np.maximum(block.value_length[chosen], 0)]
    found: list[int] = chosen[counts != 0].tolist()
    return found


def is_redriven(block: RecordBlock, at: int) -> bool:
    """Whether a record is one that was put aside and is fed again."""
    try:
        return any(name == REDRIVEN for name, _ in block.headers(at))
    except (IndexError, ValueError):
        return False


def warm() -> None:
    """Compile now."""
    k.warm()
    ids_kernel.warm()
