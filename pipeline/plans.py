"""Plans: what the kernel is told of each SLO: its rings, windows, thresholds, guards and steps, as integers.

Pure. Thresholds are those of pipeline.slo; what does not fit into 63 bits is refused.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline import slo, timeslices
from pipeline.alerts import STEPS, Watched
from pipeline.budgets import FIRST_ROW, budget_of
from pipeline.kernels import rings as k
from pipeline.windows import Layout, layout

MOST = (1 << 63) - 1


def layout_of(watched: Watched) -> Layout:
    """Lay out the rings that an SLO needs."""
    spans, objective = {us for pair in watched.policy.pairs for us in (pair.long_us, pair.short_us)}, watched.objective
    spans |= set(watched.spans_us)
    alerts, compliance_s = (us // 1_000_000 for us in spans), objective.window_us // 1_000_000
    slices = timeslices.length_s(objective), timeslices.are_sums(objective)
    return layout(alerts, compliance_s, objective.calendar is not None, *slices)


def tables(spec: Sequence[Watched]) -> tuple[list[Layout], k.Tables]:
    """Write every SLO's windows, thresholds and guards as the kernel wants them.

    Raises: ValueError when a threshold does not fit into 63 bits.
    """
    layouts = [layout_of(watched) for watched in spec]
    count = len(layouts)
    pairs_most = max((len(watched.policy.pairs) for watched in spec), default=0)
    tiers_most = max((len(each.tiers) for each in layouts), default=1)
    windows_most = max((len(each.spans_s) for each in layouts), default=1)
    made = k.Tables(
        np.zeros((count, tiers_most, 4), np.int64),
        np.zeros((count, windows_most, 2), np.int64),
        np.zeros((count, max(pairs_most, 1), k.PAIR_COLUMNS), np.int64),
        np.zeros((count, 4), np.int64),
        np.zeros((count, 4), np.int64),
        np.zeros((count, k.BUDGET_STEPS + k.SLA_STEPS, k.PAIR_COLUMNS), np.int64),
        np.zeros((count, 2), np.int64),
        np.zeros((count, k.SLICE_COLUMNS), np.int64),
    )
    for o, (watched, rings) in enumerate(zip(spec, layouts, strict=True)):
        made.tiers[o, : len(rings.tiers)] = np.array(rings.tiers, np.int64).reshape(-1, 4)
        made.windows[o, : len(rings.spans_s)] = list(zip(rings.spans_s, rings.tier_of, strict=True))
        for p, row in enumerate(_pair_rows(watched, rings)):
            made.pairs[o, p] = row
        _write_steps(made.steps[o], watched, rings)
        guards = watched.policy.guards
        least = guards.min_coverage
        each = timeslices.parts(watched.objective)
        made.guards[o] = guards.min_events * each, guards.min_bad * each, least.numerator, least.scale
        made.slices[o] = timeslices.row(watched.objective, rings.kept_at)
        made.sizes[o] = len(rings.tiers), len(rings.spans_s), len(watched.policy.pairs), rings.tier_of[-1]
    return layouts, made


def _write_steps(steps: NDArray[np.int64], watched: Watched, rings: Layout) -> None:
    """Write the steps of both budgets; they stand on the compliance window."""
    for kind in STEPS:
        budget, last = budget_of(watched, kind), len(rings.spans_s) - 1
        for i, (_, _, *rest) in enumerate(_pair_rows(budget, rings) if budget else ()):
            steps[FIRST_ROW[kind] + i] = last, last, *rest


def _pair_rows(watched: Watched, rings: Layout) -> list[tuple[int, ...]]:
    target = watched.objective.target
    rows: list[tuple[int, ...]] = []
    for pair in watched.policy.pairs:
        fire = slo.threshold(target, pair.factor)
        clear = slo.threshold(target, watched.policy.clear.factor(pair.factor))
        if max(*fire, *clear) * max(rings.spans_s) > MOST:
            raise ValueError(f"{watched.objective.name}: target and factor have too many digits")
        long, short = (rings.spans_s.index(us // 1_000_000) for us in (pair.long_us, pair.short_us))
        rows.append((long, short, int(pair.severity), *fire, *clear, 0))
    return rows
