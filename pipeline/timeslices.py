"""Timeslices: budgets that are counted in slices of time, as the kernel and a reader want them.

Pure. A slice of a Timeslices SLO is one good or one bad; of RatioTimeslices, a million parts shared by its ratio, so
that sums stay integers: compliance is the mean of the slices' ratios, each rounded to a millionth. One in which
nothing was eligible has no verdict; those since the instance exists are what is excluded. Windows that alert count
slices too. A throughput or a cost is held against the slice as a whole. Law: tests/naive/slices.py.
"""

from pipeline.kernels import rings
from pipeline.kernels import slices as kernel
from pipeline.kernels.slices import UNIT
from pipeline.sli import METRICS, Kind
from pipeline.slo import Objective

SECOND_US = 1_000_000
MILLION = 1_000_000  #: rates are in millionths a second
PER_TOKENS = 1_000  #: cost is of so many
_RULES = {Kind.SERVED: kernel.SERVED, Kind.TOKENS: kernel.TOKENS, Kind.COST: kernel.COST}


def length_s(objective: Objective) -> int:
    """Seconds of a slice; 0: events are counted."""
    return 0 if objective.timeslices is None else objective.timeslices.slice_us // SECOND_US


def row(objective: Objective, kept_at: int) -> tuple[int, ...]:
    """Write the columns of kernels.rings: LENGTH_S, KEPT_AT, TARGET, SCALE, RULE and OFFERED."""
    slices, indicator = objective.timeslices, objective.indicator
    if slices is None:
        return (0,) * rings.SLICE_COLUMNS
    if slices.is_whole:
        rule = _RULES[METRICS[indicator.metric].kind]
        scale = PER_TOKENS if rule == kernel.COST else MILLION
        return length_s(objective), kept_at, indicator.threshold or 0, scale, rule, indicator.offered
    target, scale = (0, 0) if slices.target is None else (slices.target.numerator, slices.target.scale)
    return length_s(objective), kept_at, target, scale, kernel.SHARE, 0


def are_sums(objective: Objective) -> bool:
    """Whether slices keep sums, not counts of events."""
    return row(objective, 0)[rings.RULE] >= kernel.TOKENS


def form(objective: Objective) -> list[int]:
    """Return what cells of different forms cannot be added for: what is counted, and when a slice is good."""
    if objective.timeslices is None:
        return []
    length, _, *rest = row(objective, 0)
    return [length, *(rest if objective.timeslices.is_whole else rest[:2])]


def parts(objective: Objective) -> int:
    """How much one of what is counted counts for: an event, a slice, or the millionths of one."""
    slices = objective.timeslices
    return UNIT if slices is not None and slices.target is None else 1


def excluded(objective: Objective, start_s: int, end_s: int, counted: int) -> int:
    """Slices that ended in [start_s, end_s) without a verdict; `counted`: good and bad there."""
    slice_s, each = length_s(objective), parts(objective)
    return max((end_s // slice_s - start_s // slice_s) * each - counted, 0)
