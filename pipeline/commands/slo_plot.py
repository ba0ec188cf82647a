"""Detection and reset times as a plot in characters, for `burnline slo show`."""

from pipeline.spec import Slo
from pipeline.spec.detection import timings
from pipeline.spec.explanation import ERROR_RATIOS
from pipeline.spec.scalars import duration_text, fraction, written

WIDTH, HEIGHT = 76, 18
MARKERS = "*o+x#%@="
#: seconds at which the time axis has a mark
TICKS_S = (1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 2_592_000)


def detection_plot(slo: Slo, width: int = WIDTH) -> str:
    """Draw how long each pair takes to fire, by the share of bad requests, on logarithmic scales.

    Returns "" when no pair fires at any usual share.
    """
    import plotext as plt

    told = timings(slo.objective.target, slo.policy, ERROR_RATIOS, slo.objective.timeslices)
    drawn: list[float] = []
    plt.clear_figure()
    plt.theme("clear")
    plt.plot_size(min(width, WIDTH), HEIGHT)
    plt.title(f"{slo.name}: fires after, by share of bad requests")
    for number, pair in enumerate(slo.policy.pairs):
        points = [(float(t.error_ratio) * 100, t.detection_s[number]) for t in told]
        x, y = [e for e, s in points if s is not None], [float(s) for _, s in points if s is not None]
        if x:
            label = f"{pair.severity.name.lower()} {written(fraction(pair.factor))}x {duration_text(pair.long_us)}"
            plt.plot(x, y, marker=MARKERS[number % len(MARKERS)], label=label)
            drawn += y
    if not drawn:
        return ""
    plt.xscale("log")
    plt.yscale("log")
    marks = [tick for tick in TICKS_S if min(drawn) / 3 <= tick <= max(drawn) * 3]
    plt.yticks(marks, [duration_text(tick * 1_000_000) for tick in marks])
    shares = [float(ratio) * 100 for ratio in ERROR_RATIOS if float(ratio) * 100 in _decades()]
    plt.xticks(shares, [f"{share:g} %" for share in shares])
    text: str = plt.uncolorize(plt.build())
    plt.clear_figure()
    return "\n".join(line.rstrip() for line in text.splitlines())


def _decades() -> set[float]:
    return {0.1, 1.0, 10.0, 50.0, 100.0}
