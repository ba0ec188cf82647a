"""Seeding: the cells of a ring that a snapshot has not, or not so far back, out of the cells that it has.

Pure. An SLO whose windows were edited goes on with the history that is there: finer cells are added up, which is exact;
of coarser ones, what finer cells do not account for is spread evenly over the time they do not cover.

    wanted, 5 min    |--|--|--|--|--|--|--|--|--|--|--|--|
    1 h              |-----------|-----------|-----            spread
    10 s                                  |||||||||||          added up
                                                      ^ saved

Law: sums over whole coarse cells are those of the snapshot; where finer cells reach, so is every cell.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import rings as k

Cells = tuple[NDArray[np.int64], NDArray[Any]]  # numbers, counted from the epoch; good and bad of each


class Seeds(NamedTuple):
    """Cells of one size, and since when they are whole."""

    numbers: NDArray[np.int64]
    values: NDArray[Any]
    since_s: int


def numbers_of(ages: NDArray[np.int32], at: int, size: int) -> NDArray[np.int64]:
    """Numbers of cells that are so many cells old."""
    return (at - 1) // size - ages.astype(np.int64)


def coarsest(parts: Mapping[str, NDArray[Any]]) -> int:
    """Size of a snapshot's largest cells."""
    return max(int(name.removeprefix("cells")) for name in parts if name.startswith("cells"))


def excluded_of(parts: Mapping[str, NDArray[Any]]) -> Cells:
    """First second and number of each cell that says what was excluded; old snapshots do not say how large it is."""
    if "excluded" not in parts:
        return np.zeros(0, np.int64), np.zeros(0, np.uint32)
    size = int(parts["excluded_size"][0]) if "excluded_size" in parts else coarsest(parts)
    return numbers_of(parts["ages_excluded"], int(parts["words"][k.AT]), size) * size, parts["excluded"]


def cells_of(size: int, longest_s: int, parts: Mapping[str, NDArray[Any]]) -> Seeds:
    """The cells of one size, for windows up to `longest_s`."""
    saved = int(parts["words"][k.AT])
    reach: dict[int, int] = dict(parts["reach"].tolist()) if "reach" in parts else {}
    if f"cells{size}" in parts and reach.get(size, longest_s) >= longest_s:
        return Seeds(*_own(size, parts), (saved - longest_s) // size * size)
    first, last = (saved - longest_s) // size, (saved - 1) // size
    cells = np.zeros((last - first + 1, 2), np.int64)
    since = _newest(size, first, cells, reach, parts)
    for coarse in sorted(each for each in reach if each > size):
        since = _older(size, first, cells, since, coarse, parts, (saved - reach[coarse]) // coarse * coarse)
    counted = np.flatnonzero(cells.any(axis=1))
    return Seeds(first + counted, cells[counted], since)


def _own(size: int, parts: Mapping[str, NDArray[Any]]) -> Cells:
    return numbers_of(parts[f"ages{size}"], int(parts["words"][k.AT]), size), parts[f"cells{size}"]


def _newest(
    size: int, first: int, cells: NDArray[np.int64], reach: Mapping[int, int], parts: Mapping[str, NDArray[Any]]
) -> int:
    """Fill in what the finest fitting cells say; return the second from which on that is whole."""
    saved = int(parts["words"][k.AT])
    source = max((each for each in reach if each <= size), default=None)
    if source is None:
        return saved
    whole = (saved - reach[source]) // source * source
    since = min(-(-whole // size) * size, saved)
    numbers, values = _own(source, parts)
    starts = numbers * source
    chosen = (starts >= since) & (starts >= first * size)
    np.add.at(cells, starts[chosen] // size - first, values[chosen].astype(np.int64))
    return since


def _older(
    size: int, first: int, cells: NDArray[np.int64], since: int, coarse: int, parts: Mapping[str, NDArray[Any]],
    begins: int,
) -> int:  # fmt: skip
    """Spread coarser cells over the time before `since`; return from when on is known now."""
    numbers, values = _own(coarse, parts)
    starts = numbers * coarse
    wanted = (starts >= begins) & (starts < since) & (starts + coarse > first * size)
    for start, value in zip(starts[wanted].tolist(), values[wanted], strict=True):
        own = slice(max(start // size - first, 0), max((start + coarse) // size - first, 0))
        left = np.maximum(value.astype(np.int64) - cells[own].sum(axis=0), 0)
        count = -(-(min(start + coarse, since) - start) // size)
        places = start // size - first + np.arange(count)
        spread = np.diff(left[None, :] * np.arange(count + 1)[:, None] // count, axis=0)
        inside = (places >= 0) & (places < len(cells))
        cells[places[inside]] += spread[inside]
    return min(since, begins)
