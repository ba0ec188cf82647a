"""Timeslices: budgets that are counted in slices of time, as the kernel and a reader want them.

Pure. A slice of a Timeslices SLO is one good or one bad; of RatioTimeslices, a million parts shared by its ratio, so
that sums stay integers: compliance is the mean of the slices' ratios, each rounded to a millionth. One in which
nothing was eligible has no verdict; those since the instance exists are what is excluded. Windows that alert count
slices too. Law: tests/naive/slices.py.
"""

from pipeline.alerts import Guards
from pipeline.kernels.slices import UNIT
from pipeline.slo import Objective, Timeslices

SECOND_US = 1_000_000


def length_s(objective: Objective) -> int:
    """Seconds of a slice; 0: events are counted."""
    return 0 if objective.timeslices is None else objective.timeslices.slice_us // SECOND_US


def row(objective: Objective, kept_at: int) -> tuple[int, int, int, int]:
    """Write LENGTH_S, KEPT_AT, TARGET and SCALE of kernels.rings."""
    slices = objective.timeslices
    if slices is None:
        return 0, 0, 0, 0
    target, scale = (0, 0) if slices.target is None else (slices.target.numerator, slices.target.scale)
    return length_s(objective), kept_at, target, scale


def form(objective: Objective) -> list[int]:
    """Return what cells of different forms cannot be added for: what is counted, and when a slice is good."""
    return [] if objective.timeslices is None else [number for i, number in enumerate(row(objective, 0)) if i != 1]


def parts(objective: Objective) -> int:
    """How much one of what is counted counts for: an event, a slice, or the millionths of one."""
    slices = objective.timeslices
    return UNIT if slices is not None and slices.target is None else 1


def excluded(objective: Objective, start_s: int, end_s: int, counted: int) -> int:
    """Slices that ended in [start_s, end_s) without a verdict; `counted`: good and bad there."""
    slice_s, each = length_s(objective), parts(objective)
    return max((end_s // slice_s - start_s // slice_s) * each - counted, 0)


def guards(slices: Timeslices | None, long_us: int) -> Guards:
    """Least evidence where a file asks for none; `long_us`: the shortest long window.

    A slice is evidence as such, and a window has few: half of them are enough, and one that is bad.
    """
    plain = Guards()
    if slices is None:
        return plain
    most = max(long_us // slices.slice_us // 2, 1)
    return Guards(min(plain.min_events, most), 0 if slices.target is None else 1, plain.min_coverage)
