"""Charts: rows of counts and percentiles on a grid of steps. What was not counted is a gap.

Pure. Law: sums first, divided once; a burn rate over a window is that of the counts in it, whatever the steps; the
budget's line ends at the budget that was judged.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from pipeline.series import BASE_LABELS, LABELS
from pipeline.web.answers import Rates, Series, WindowRates
from pipeline.web.parameters import Span

POINTS, COLUMNS = 720, 120  #: of a line, and of a heat map
STEPS_S = (60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 604_800)
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
FINE_MOST_S = 14 * DAY_S  #: beyond it hours are read, not minutes
MINUTES_KEPT_S = 119 * DAY_S
TOLERANCE = 0.1  #: of what is judged against what is stored: the last minutes are on their way


class Counted(NamedTuple):
    """Counts of one instance, ascending by time."""

    at: Sequence[int]
    good: Sequence[int]
    bad: Sequence[int]
    excluded: Sequence[int]


class Grid(NamedTuple):
    """Steps that cover a span; the last may still be filling."""

    since: int
    until: int
    step_s: int

    @property
    def starts(self) -> list[int]:
        return list(range(self.since, self.until, self.step_s))


def grid_of(span: Span, points: int = POINTS) -> Grid:
    """Choose the smallest step that makes few enough points."""
    wanted = (span.until - span.since) / points
    step = next((each for each in STEPS_S if each >= wanted), STEPS_S[-1])
    return _stepped(span, step)


def coarse(grid: Grid, least_s: int) -> Grid:
    """Cover the same in steps no shorter than cells of which they are made."""
    return grid if grid.step_s >= least_s else _stepped(Span(grid.since, grid.until), least_s)


def _stepped(span: Span, step: int) -> Grid:
    return Grid(span.since // step * step, -(-span.until // step) * step, step)


def tier(grid: Grid, now_s: float) -> str:
    """Which tier has what a grid needs: minutes, or hours."""
    return "1m" if grid.step_s < HOUR_S and grid.since > now_s - MINUTES_KEPT_S else "1h"


def on_grid(grid: Grid, at: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """Put values at their steps; None where there is none."""
    found = dict(zip(at, values, strict=True))
    return [found.get(start) for start in grid.starts]


def counts(grid: Grid, found: Counted) -> dict[str, Series]:
    """Good, bad and excluded of each step."""
    return {name: on_grid(grid, found.at, getattr(found, name)) for name in ("good", "bad", "excluded")}


def burn_unit(grid: Grid, longest_s: int, now_s: float) -> int:
    """Cells of which counts windows are added up: a minute, or an hour where that were too many."""
    is_fine = grid.until - grid.since + longest_s <= FINE_MOST_S and grid.since - longest_s > now_s - MINUTES_KEPT_S
    return MINUTE_S if is_fine else HOUR_S


def burn(grid: Grid, found: Counted, unit_s: int, windows_s: Iterable[int], target: float) -> list[WindowRates]:
    """Burn rate of each window that ends with a step; None without data, or where cells are longer than the window."""
    good, bad = [0, *accumulate(found.good)], [0, *accumulate(found.bad)]
    ends = [start + grid.step_s for start in grid.starts]
    last = found.at[-1] + unit_s if found.at else 0
    rates = []
    for window_s in windows_s:
        line: Rates = []
        for end in ends:
            low, high = (bisect_left(found.at, edge) for edge in (end - window_s, end))
            eligible = good[high] - good[low] + bad[high] - bad[low]
            is_known = window_s >= unit_s and eligible > 0 and end <= last + grid.step_s
            line.append(round((bad[high] - bad[low]) / eligible / (1 - target), 6) if is_known else None)
        rates.append(WindowRates(window_s=window_s, burn_rate=line))
    return rates


class Line(NamedTuple):
    """A line, or why there is none."""

    t: list[int]
    values: Rates
    note: str | None = None


NOT_A_SUM = (
    "The budget of this SLO is no sum of stored counts (it counts slices of time, is a composite, or its counting was "
    "changed within the window): only what is left now is known"
)


def budget(found: Counted, unit_s: int, budget_events: float, judged: tuple[int, int], end: int) -> Line:
    """What was left of the budget after each cell since the window began; `judged`: good and bad of the window, now."""
    eligible, stored = sum(judged), sum(found.good) + sum(found.bad)
    if not eligible or budget_events <= 0:
        return Line([], [], "Nothing was eligible in the window: the budget is unknown")
    if abs(stored - eligible) > TOLERANCE * eligible:
        return Line([], [], NOT_A_SUM)
    t = [at + unit_s for at in found.at if at + unit_s < end]
    values: Rates = [round(1 - bad / budget_events, 6) for bad in accumulate(found.bad[: len(t)])]
    return Line([*t, end], [*values, round(1 - judged[1] / budget_events, 6)])


def percentiles(grid: Grid, at: Sequence[int], quantiles: Sequence[Sequence[float]]) -> dict[str, Rates]:
    """Lines of p50, p95 and p99; a sketch of nothing says not a number, or nothing at all."""
    told = [[value if value > 0 else None for value in each] or [None] * 3 for each in quantiles]
    return {
        f"{name}_us": on_grid(grid, at, [each[place] for each in told])
        for place, name in enumerate(("p50", "p95", "p99"))
    }


#: labels of stored series that percentiles can be narrowed to, and of requests that are kept whole
OF_SERIES = tuple(label for label in BASE_LABELS if label != "service")
OF_REQUESTS = tuple(label for label in LABELS if label != "service")


def narrowed(
    labels: Mapping[str, str], where: Iterable[tuple[str, Any]], vantage: str | None, kept: Sequence[str] = OF_SERIES
) -> tuple[dict[str, list[str]], list[str]]:
    """Which values of which labels an instance is about; and the labels that what is `kept` cannot be narrowed to."""
    chosen: dict[str, list[str]] = {label: [] for label in kept}
    beyond: list[str] = []
    for label, accepted in where:
        if label in chosen and isinstance(accepted, tuple):
            chosen[label] = list(accepted)
        elif label != "service":
            beyond.append(label)
    if vantage:
        chosen["vantage"] = [vantage]
    for label, value in labels.items():
        if label in chosen:
            chosen[label] = [value]
        elif label != "service":
            beyond.append(label)
    return chosen, sorted({label for label in beyond if not chosen.get(label)})
