"""What runs leave behind: a table, JSON and a plot of the lags for each."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import report as bench
from tests.chaos.session import Result
from tests.chaos.verdict import PLACES


def replay(result: Result, rate: int) -> str:
    """The command that lives through it again; several faults in one session are the short form's."""
    if "+" in result.fault:
        return f"BURNLINE_TEST_SEED={result.seed} pytest tests/chaos/test_chaos.py"
    return f"python -m tests.chaos --seed {result.seed} --fault {result.fault} --rounds {result.rounds} --rate {rate}"


def as_json(result: Result, rate: int) -> dict[str, Any]:
    return {**asdict(result), "is_good": result.is_good, "replay": replay(result, rate)}


def save(results: Sequence[Result], around: dict[str, Any], rate: int, out: Path) -> None:
    """Write chaos.json, and a plot for each run."""
    out.mkdir(parents=True, exist_ok=True)
    everything = {**around, "results": [as_json(result, rate) for result in results]}
    (out / "chaos.json").write_text(json.dumps(everything, indent=1, default=str).replace("Infinity", "null") + "\n")
    for result in results:
        plot(result, out / f"{result.fault}-{result.seed}.png")


def show(results: Sequence[Result], rate: int) -> None:
    """Print the table: missing/extra in each place, as events or counts."""
    table = Table(title=f"Faults at {rate:,} events/s; missing/extra in each place", title_justify="left")
    names = ("fault", "seed", "runs", "events", "counts", "slices", "tiers 10s, 1m, 1h", "alerts", "recovery s", "")
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number in {0, 9} else "right")
    for result in results:
        table.add_row(*_row(result))
    console = Console(width=max(Console().width, 150))
    console.print(table)
    for result in results:
        for line in (*result.problems, *result.notes):
            console.print(f"{result.fault}: {line}", style="red" if line in result.problems else "dim", highlight=False)
        if not result.is_good:
            console.print(f"  replay: {replay(result, rate)}", highlight=False)


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
