"""The frontier as a plot: cost against P99, each configuration with its error, the frontier as a line.

Pure but for matplotlib's own files. A state is said by its marker too, not by colour alone.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.controls.frontier import BREAKING, DOMINATED, ON, SURE, THIN, UNDECIDED, Measure, Placed

#: state -> colour, marker, words
LOOKS = {
    ON: ("#1a7f37", "o", "on the frontier"), DOMINATED: ("#c62a32", "v", "beaten"),
    UNDECIDED: ("#9a6700", "D", "perhaps beaten"), BREAKING: ("#6e40c9", "X", "breaks its objectives"),
    THIN: ("#8c959f", ".", "too little traffic"),
}  # fmt: skip
WIDTH_IN, HEIGHT_IN = 8.0, 4.6
LABELS_MOST = 40


def figure(found: Sequence[Placed], title: str, latency: str, truth: Sequence[tuple[float, float]] = ()) -> Any:
    """Draw one group; `truth`: cost and P99 in microseconds of configurations that are known to be on the frontier."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    axes = drawing.add_subplot()
    shown = [each for each in found if each.point.cost and each.point.p99_us]
    for state, (colour, marker, words) in LOOKS.items():
        mine = [each for each in shown if each.state == state]
        if mine:
            axes.errorbar(
                *_columns(mine), fmt=marker, color=colour, ecolor=colour, elinewidth=0.8, capsize=2, label=words
            )
    if truth:
        xs, ys = zip(*sorted((ms / 1000, usd) for usd, ms in truth), strict=True)
        axes.plot(xs, ys, color="#0550ae", linewidth=0.8, linestyle=":", marker="+", label="true frontier")
    curve = sorted((_ms(each), _usd(each)) for each in shown if each.state == ON)
    axes.plot([x for x, _ in curve], [y for _, y in curve], color=LOOKS[ON][0], linewidth=1.2)
    for each in shown[:LABELS_MOST]:
        axes.annotate(each.point.config.label, (_ms(each), _usd(each)), fontsize=8, xytext=(4, 4),
                      textcoords="offset points")  # fmt: skip
    axes.set(xlabel=f"P99 of {latency}, ms", ylabel=f"USD for 1,000 output tokens, {_basis(found)}", title=title)
    axes.grid(linewidth=0.4)
    if shown:
        axes.legend(fontsize=8)
    return drawing


def _columns(mine: Sequence[Placed]) -> tuple[list[float], list[float], list[float], list[float]]:
    """Positions and half lengths of error bars; an error that nobody knows is not drawn."""
    costs = [each.point.cost or Measure(0, 0) for each in mine]
    p99s = [each.point.p99_us or Measure(0, 0) for each in mine]
    finite = [[SURE * m.error if m.error < abs(m.value) else 0.0 for m in column] for column in (costs, p99s)]
    return [_ms(e) for e in mine], [_usd(e) for e in mine], finite[0], [error / 1000 for error in finite[1]]


def _basis(found: Sequence[Placed]) -> str:
    return found[0].basis if found else ""


def _ms(each: Placed) -> float:
    return each.point.p99_us.value / 1000 if each.point.p99_us else 0.0


def _usd(each: Placed) -> float:
    return each.point.cost.value if each.point.cost else 0.0
