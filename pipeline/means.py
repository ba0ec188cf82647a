"""Means: several parts at one judged second as one reading, and the judgement of it, as kernels.judging judges a row.

Pure. Exact: shares are added as fractions of integers, and divided last.

    compliance = sum w_i good_i / eligible_i  /  sum w_i, over the parts that had traffic
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline import slo
from pipeline.alerts import STEPS, AlertPolicy, Judged, Kind, Severity, Watched, WindowPair
from pipeline.budgets import SHIFTS, Budgets, Spent
from pipeline.kernels import rings as k
from pipeline.notices import Reading
from pipeline.slo import Ratio
from pipeline.watermark import Coverage

Part = tuple[int, Reading]  # weight, one member's counts


class MeanReading(Reading):
    """Several parts at one judged second: counts are of all together, ratios are the weighted mean's."""

    parts: tuple[Part, ...] = ()
    means: dict[int, tuple[int, int]]  # window -> expected(window), once asked for

    @classmethod
    def of(cls, parts: Sequence[Part]) -> "MeanReading":
        readings = [reading for _, reading in parts]
        first = readings[0]
        sums = [
            (sum(r.sums[w][0] for r in readings), sum(r.sums[w][1] for r in readings)) for w in range(len(first.sums))
        ]
        made = cls(
            first.second, min(r.first_s for r in readings), first.spans_s, sums, first.measured,
            sum(r.excluded for r in readings), sum(r.late for r in readings), sum(r.total for r in readings),
            first.period_s, min(max(r.first_s, r.known_s) for r in readings),
        )  # fmt: skip
        made.parts, made.means = tuple(parts), {}
        return made

    def ratio(self, window: int = -1) -> tuple[int, int]:
        return self._mean(window, is_expected=False)

    def expected(self, window: int) -> tuple[int, int]:
        """(good, bad) of a window as if each part had had its full expected traffic."""
        if window not in self.means:
            self.means[window] = self._mean(window, is_expected=True)
        return self.means[window]

    def _mean(self, window: int, is_expected: bool) -> tuple[int, int]:
        """Integers (good, bad) in the proportion of the mean; 0, 0: no part had traffic."""
        bad, all_, weights = 0, 1, 0
        for weight, reading in self.parts:
            own = sum(reading.sums[window])
            if not own:
                continue
            lived, span = (reading.lived(window), reading.span_s(window)) if is_expected else (1, 1)
            bad, all_ = bad * own * span + weight * reading.sums[window][1] * lived * all_, all_ * own * span
            weights += weight
        return (all_ * weights - bad, bad) if weights else (0, 0)

    def burn(self, watched: Watched, window: int) -> float | None:
        return slo.burn_rate(watched.objective.target, *self.expected(window))

    def burns(self, watched: Watched, window: int, factor: Ratio) -> bool:
        """burn >= factor, exactly, in integers; never without a bad event."""
        good, bad = self.expected(window)
        return bad > 0 and slo.burns_at_least(watched.objective.target, factor, good, bad)


class Measured(NamedTuple):
    """What was measured until a judged second, for a composite that exists since `first_s`."""

    coverage: Coverage
    second: int
    first_s: int

    def is_silent(self) -> bool:
        """Whether the last whole slice is unmeasured."""
        is_old = self.second // k.SLICE_S > self.first_s // k.SLICE_S
        return is_old and not self.coverage.measured(k.SLICE_S, self.second)[0]

    def is_covered(self, span_s: int, least: Ratio) -> bool:
        """Whether enough of a window was measured, of the part in which the composite existed."""
        end = self.second // k.SLICE_S
        slices = end - max(end - -(-span_s // k.SLICE_S), self.first_s // k.SLICE_S)
        if slices <= 0:
            return True
        seen = self.coverage.measured(slices * k.SLICE_S, self.second)[0]
        return seen * least.scale >= least.numerator * slices


def observe(watched: Watched, reading: MeanReading, latched: int, measured: Measured) -> tuple[int, Judged]:
    """Judge a composite's windows: which pairs hold on, and what the second says; as kernels.judging does of a row."""
    level = frozen = Severity.NONE
    is_suspect, any_measured = False, not watched.policy.pairs
    for p, pair in enumerate(watched.policy.pairs):
        bit = 1 << p
        if not all(measured.is_covered(us // 1_000_000, watched.policy.guards.min_coverage) for us in spans(pair)):
            frozen = max(frozen, pair.severity) if latched & bit else frozen
            continue
        any_measured = True
        latched, is_doubtful = _latch(watched, reading, pair, bit, latched)
        is_suspect = is_suspect or is_doubtful
        level = max(level, pair.severity) if latched & bit else level
    is_unmeasured = frozen > level or not any_measured
    return latched, Judged(reading.second, max(level, frozen), is_suspect, is_unmeasured)


def spans(pair: WindowPair) -> tuple[int, int]:
    return pair.long_us, pair.short_us


def _latch(watched: Watched, reading: MeanReading, pair: WindowPair, bit: int, latched: int) -> tuple[int, bool]:
    """Let one pair go, or hold it; tell too whether it burns on too little evidence."""
    policy = watched.policy
    long, short = (reading.spans_s.index(us // 1_000_000) for us in spans(pair))
    if latched & bit and not reading.burns(watched, short, policy.clear.factor(pair.factor)):
        latched &= ~bit
    if not (reading.burns(watched, short, pair.factor) and reading.burns(watched, long, pair.factor)):
        return latched, False
    return (latched | bit, False) if _has_evidence(policy, reading, long) else (latched, True)


def _has_evidence(policy: AlertPolicy, reading: Reading, window: int) -> bool:
    good, bad = reading.sums[window]
    return good + bad >= policy.guards.min_events and bad >= policy.guards.min_bad


def spent_code(
    policy: AlertPolicy, of: Mapping[Kind, Watched], reading: MeanReading, budgets: Budgets, measured: Measured
) -> int:
    """Say how many steps of each budget are spent, as a row's code does; `of`: kind -> the budget."""
    code = 0
    known = measured._replace(first_s=reading.known_s)
    if not known.is_covered(reading.second - reading.start_s, policy.guards.min_coverage):
        return budgets.code
    has_evidence = _has_evidence(policy, reading, -1)
    for kind, budget in of.items():
        steps, taken = STEPS[kind], budgets.of.get(kind, Spent()).steps
        while has_evidence and taken < len(steps) and reading.burns(budget, -1, steps[taken].spent):
            taken += 1
        while taken and not reading.burns(budget, -1, policy.clear.factor(steps[taken - 1].spent)):
            taken -= 1
        code |= taken << SHIFTS[kind]
    return code
