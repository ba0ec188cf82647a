"""What runs leave behind: JSON and a plot of the lags for each, a table of them, and one of all faults."""

import json
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from tests.bench import report as bench
from tests.chaos.session import Result
from tests.chaos.verdict import PLACES


def replay(result: Result) -> str:
    """The command that lives through it again."""
    faults = " ".join(f"--fault {name}" for name in result.faults)
    how = " --together" * (len(result.faults) > 1) + f" --rounds {result.rounds}" * (result.rounds is not None)
    return f"python -m tests.chaos --seed {result.seed} {faults}{how} --rate {result.rate_asked}"


def as_json(result: Result) -> dict[str, Any]:
    return {**asdict(result), "is_good": result.is_good, "replay": replay(result)}


def save(result: Result, around: dict[str, Any], out: Path) -> None:
    """Write a run's JSON and its plot, beside those of other runs."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**around, "load_after": os.getloadavg(), **as_json(result)}, indent=1, default=str)
    path = out / f"{result.faults[0]}{'-and-more' * (len(result.faults) > 1)}-{result.seed}.json"
    path.write_text(text.replace("Infinity", "null") + "\n")
    plot(result, path.with_suffix(".png"))


def saved(out: Path) -> list[Result]:
    """What earlier runs left in a folder, in order of their names."""
    reader = TypeAdapter(Result)
    return [reader.validate_json(path.read_text()) for path in sorted(out.glob("*.json"))]


def show(results: Sequence[Result]) -> None:
    """Print a row for each run: missing/extra in each place, as events or counts."""
    names = ("fault", "seed", "runs", "events", "counts", "slices", "tiers 10s, 1m, 1h", "alerts", "recovery s", "")
    console = _print("Faults; missing/extra in each place", names, [_row(result) for result in results])
    for result in results:
        for line in (*result.problems, *result.notes):
            console.print(f"{result.fault}: {line}", style="red" if line in result.problems else "dim", highlight=False)
        if not result.is_good:
            console.print(f"  replay: {replay(result)}", highlight=False, soft_wrap=True)


def summarise(results: Sequence[Result], order: Sequence[str], plot_path: Path) -> None:
    """Print a row for each fault over all its runs, and draw how long recovery took.

    Faults that shared a session share its events, and what would be missing or too much in it.
    """
    of_fault = {name: [result for result in results if name in result.faults] for name in order}
    names = ("fault", "runs", "injected", "events", "events/s", "missing", "extra", "alerts", "alerts again",
             "all again", "")  # fmt: skip
    _print("Faults over all runs, in all places; seconds until as before: median, most", names, [
        _summary(name, found) if found else [name, "0", *[""] * 8, "NOT RUN"] for name, found in of_fault.items()
    ])  # fmt: skip
    plot_recoveries({name: recoveries(name, found) for name, found in of_fault.items() if found}, plot_path)


def recoveries(fault: str, results: Sequence[Result]) -> dict[str, list[float]]:
    """Seconds from each heal until alerts came as before, and until everything was; what never was is infinite."""
    marks = [mark for result in results for mark in result.marks if mark.fault == fault]
    found = {"alerts": [mark.judged_s for mark in marks], "all": [mark.recovery_s for mark in marks]}
    return {what: [math.inf if s is None else s for s in seconds] for what, seconds in found.items()}


def _range(seconds: Sequence[float]) -> str:
    """Median and most."""
    return f"{statistics.median(seconds):.1f}, {max(seconds):.1f}" if seconds else "-"


def _summary(name: str, results: Sequence[Result]) -> list[str]:
    missing = sum(
        found.missing - result.lost_in(place) for result in results for place, found in result.differences.items()
    )
    extra = sum(found.extra for result in results for found in result.differences.values())
    lost = sum(result.lost_events for result in results)
    seconds = recoveries(name, results)
    return [
        name, str(len(results)), str(len(seconds["all"])),
        f"{sum(result.events for result in results):,}" + f" ({lost:,} lost)" * bool(lost),
        f"{min(result.rate for result in results):,.0f}", f"{missing:,}", f"{extra:,}",
        f"{sum(result.alerts.told for result in results)}",
        _range(seconds["alerts"]), _range(seconds["all"]),
        "ok" if all(result.is_good for result in results) else "FAILED",
    ]  # fmt: skip


def _print(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> Console:
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number in {0, len(names) - 1} else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(width=max(Console().width, 150))
    console.print(table)
    return console


def _row(result: Result) -> list[str]:
    def shown(place: str) -> str:
        found = result.differences.get(place)
        return f"{found.missing:,}/{found.extra:,}" if found else "-"

    tiers = sorted({shown(place) for place in PLACES[2:]})
    alerts = f"{result.alerts.told}/{result.alerts.expected}" + (
        f" +{result.alerts.repeated}" * (result.alerts.repeated > 0)
    )
    recoveries = [mark.recovery_s for mark in result.marks]
    known = [each for each in recoveries if each is not None]
    worst = "never" if None in recoveries else f"{max(known, default=math.nan):.1f}"
    lost = f" ({result.lost_events:,} lost and reported)" if result.lost_events else ""
    return [result.fault, str(result.seed), str(len(result.marks)), f"{result.events:,}{lost}", shown("counts"),
            shown("slices"), ", ".join(tiers), alerts, worst, "ok" if result.is_good else "FAILED"]  # fmt: skip


def plot(result: Result, path: Path) -> None:
    """Draw the lags over time with the faults' marks."""
    title = f"{result.fault}, seed {result.seed}: {result.events:,} events"
    drawn, axes = bench.figure(title, "seconds", "seconds behind")
    seconds = [sample["at_s"] for sample in result.samples]
    rate = max(result.rate, 1.0)
    series = {
        "ingest: events not committed / rate": [sample["events"] / rate for sample in result.samples],
        "judge: event time not judged": [sample["judge_s"] for sample in result.samples],
        "store: not in ClickHouse": [sample["store_s"] for sample in result.samples],
    }
    for (label, values), colour in zip(series.items(), (bench.OURS, "#2a9d5c", bench.THEIRS), strict=True):
        finite = [value if value < 1e6 else math.nan for value in values]
        axes.plot(seconds, finite, label=label, color=colour)
    for mark in result.marks:
        axes.axvspan(mark.inject_s, mark.heal_s, color=bench.GOAL, alpha=0.15, linewidth=0)
        if mark.recovery_s is not None:
            axes.axvline(mark.heal_s + mark.recovery_s, color=bench.GOAL, linestyle=":")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    bench.finish(drawn, path)


def plot_recoveries(seconds_of: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """Draw each recovery as a point, a line for each fault."""
    title = "From the end of a fault until alerts come as before, and until ClickHouse has everything as before"
    drawn, axes = bench.figure(title, "seconds", "")
    drawn.set_size_inches(9, 1.2 + 0.3 * len(seconds_of))
    for what, colour in (("all", bench.THEIRS), ("alerts", bench.OURS)):
        points = [(s, row) for row, found in enumerate(seconds_of.values()) for s in found[what] if s < math.inf]
        axes.scatter([s for s, _ in points], [row for _, row in points], color=colour, label=what)
    axes.legend(frameon=False)
    axes.set_yticks(range(len(seconds_of)), list(seconds_of))
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.grid(axis="x", alpha=0.3)
    bench.finish(drawn, path)
