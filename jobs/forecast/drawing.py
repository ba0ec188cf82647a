"""The past of a series and what is forecast of it, as a plot in characters."""

import numpy as np

from jobs.forecast.trying import Tried

WIDTH, HEIGHT = 110, 16
PAST_TIMES = 2  #: of the past twice as much is drawn as of the future


def drawn(found: Tried, width: int = WIDTH) -> str:
    """Draw the end of a series and q10, q50 and q90 of what comes; "" when nothing is forecast of it."""
    import plotext as plt

    bands = [each.path for each in found.outlooks if each.path is not None]
    if not bands:
        return ""
    series, step_h = found.series, found.grid.step_s / 3600
    paths = [np.concatenate([band[index] for band in bands]) for index in range(3)]
    past = series.values[-max(PAST_TIMES * len(paths[0]), 24) :]
    plt.clear_figure()
    plt.theme("clear")
    plt.plot_size(min(width, WIDTH), HEIGHT)
    plt.title(f"{series.service} {series.model}: {series.quantity} in {series.unit}, steps of {found.grid.step_s} s")
    if not series.is_total:  # of totals the past is no beginning
        plt.plot(list((np.arange(len(past)) - len(past) + 1) * step_h), _plain(past), marker=".", label="was")
    hours = list((np.arange(len(paths[0])) + 1) * step_h)
    for path, marker, label in zip(paths, ("-", "*", "+"), ("q10", "q50", "q90"), strict=True):
        plt.plot(hours, _plain(path), marker=marker, label=label)
    plt.xlabel("hours from what is known")
    text: str = plt.uncolorize(plt.build())
    plt.clear_figure()
    return "\n".join(line.rstrip() for line in text.splitlines())


def _plain(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[float]:
    return [float(each) for each in np.nan_to_num(values)]
