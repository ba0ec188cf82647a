"""Heat maps: sketches of the server read bin by bin, and added up into rows that a page can draw.

Pure. Law: every count of a sketch is in one row, and a row's edges are edges of bins: nothing is estimated. The format
is that of pipeline.kernels.states, which writes it.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.kernels.ddsketch import GAMMA

ROWS = 48
DENSE, SPARSE = 0x0C, 0x04
HEAD_BYTES = 1 + 8 + 8  #: the mapping, which is the same in all of ours
POSITIVE, NEGATIVE, ZERO = 0x01, 0x03, 0x04


class Bins(NamedTuple):
    """Counts by key; a key's bin is [GAMMA^key, GAMMA^(key + 1)) microseconds. `below`: under 1 us."""

    counts: dict[int, float]
    below: float = 0.0


class Map(NamedTuple):
    """Rows of a heat map: edges ascending, a column of counts each, None where nothing is known."""

    edges_us: list[float]
    counts: list[list[int] | None]


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _signed(data: bytes, at: int) -> tuple[int, int]:
    number, at = _unsigned(data, at)
    return (number >> 1) ^ -(number & 1), at


def _store(data: bytes, at: int) -> tuple[dict[int, float], int]:
    kind, (size, at) = data[at], _unsigned(data, at + 1)
    counts: dict[int, float] = {}
    if kind == DENSE:
        first, at = _signed(data, at)
        _, at = _signed(data, at)
        for offset, (count,) in enumerate(struct.iter_unpack("<d", data[at : at + 8 * size])):
            if count:
                counts[first + offset] = count
        return counts, at + 8 * size
    key = 0
    for _ in range(size):
        delta, at = _signed(data, at)
        key += delta
        counts[key] = struct.unpack_from("<d", data, at)[0]
        at += 8
    return counts, at


def bins_of(state: bytes) -> Bins:
    """Read a state of quantilesDD; an empty one has no bins.

    Raises: ValueError when it is none, or of another relative error.
    """
    try:
        if struct.unpack_from("<d", state, 1)[0] != GAMMA or state[HEAD_BYTES] != POSITIVE:
            raise ValueError("a sketch of another relative error")
        counts, at = _store(state, HEAD_BYTES + 1)
        if state[at] != NEGATIVE:
            raise ValueError("no sketch")
        _, at = _store(state, at + 1)
        return Bins(counts, struct.unpack_from("<d", state, at + 1)[0])
    except (IndexError, struct.error) as error:
        raise ValueError("no sketch, or half of one") from error


def heat_map(columns: Sequence[Bins | None], rows: int = ROWS) -> Map:
    """Add bins up into so many rows at most, all of one height on a logarithmic scale."""
    keys = [key for bins in columns if bins for key in bins.counts]
    keys += [-1 for bins in columns if bins and bins.below]
    if not keys:
        return Map([], [None for _ in columns])
    low, high = min(keys), max(keys)
    height = -(-(high - low + 1) // rows)
    count = -(-(high - low + 1) // height)
    edges = [GAMMA ** (low + height * row) for row in range(count + 1)]
    return Map(edges, [_column(bins, low, height, count) for bins in columns])


def _column(bins: Bins | None, low: int, height: int, count: int) -> list[int] | None:
    if bins is None or not (bins.counts or bins.below):
        return None
    sums = [0.0] * count
    for key, number in bins.counts.items():
        sums[(key - low) // height] += number
    sums[0] += bins.below
    return [round(each) for each in sums]
