"""What the demo prints: a live view while it runs, a summary at the end. Text only; nothing is computed here."""

from datetime import UTC, datetime
from math import isnan
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from jobs.demo.watch import SeenAlert, Watch
from pipeline.alerts import Kind
from pipeline.commands.fleet import labelled
from pipeline.commands.tables import Table

SHOWN_INSTANCES = 12
SPARE = ("bad", "target")  #: of rows of ClickHouse, on a narrow terminal
COLOURS = {"CRITICAL": "bold red", "WARNING": "yellow", "NONE": "green", "INFO": "cyan"}


def clock(us: int) -> str:
    return f"{datetime.fromtimestamp(us / 1e6, UTC):%Y-%m-%d %H:%M:%S}" if us else "-"


def ratio(value: float | None, digits: int = 3) -> str:
    return "no data" if value is None else f"{value:.{digits}%}"


def burn(value: float | None) -> str:
    return "no data" if value is None else f"{value:,.1f}x"


def live(phase: str, produced: int, watch: Watch) -> RenderableType:
    """The view while it runs: where event time is, and the SLO instances that burn most."""
    head = Text.assemble(
        (f"{phase}\n", "bold"),
        f"event time {clock(watch.watermark_us)}   produced {produced:,}   counted {watch.ingested:,}   "
        f"alerts {len(watch.alerts)}",
    )
    table = Table("SLO", "instance", "state", "compliance", "budget left", "burn, short", "burn, long", box=None)
    ordered = sorted(watch.statuses.values(), key=lambda status: -(shortest_burn(status) or -1.0))
    for status in ordered[:SHOWN_INSTANCES]:
        colour = COLOURS[status["severity"]]
        table.add_row(
            status["slo"], status["instance"] or "-", Text(f"{status['state']} {status['severity']}", colour),
            ratio(status["compliance_ratio"]), ratio(status["budget_remaining_ratio"], 1),
            burn(shortest_burn(status)), burn(longest_burn(status)),
        )  # fmt: skip
    return Group(head, table)


def shortest_burn(status: dict[str, Any]) -> float | None:
    rates: list[float | None] = status["windows_burn_rate"]
    return rates[0] if rates else None


def longest_burn(status: dict[str, Any]) -> float | None:
    rates: list[float | None] = status["windows_burn_rate"]
    return rates[-1] if rates else None


def alert_table(alerts: list[SeenAlert], delays_s: dict[tuple[str, int], float]) -> Table:
    """Alert events in order, with how long after the event they were in the topic."""
    table = Table("event time", "kind", "alert", "severity", "SLO", "instance", "burn long / short",
                  "in the topic after", title="Alerts (topic slo.alerts)")  # fmt: skip
    for seen in alerts:
        record = seen.record
        delay = delays_s.get((record["dedup_key"], record["sequence"]))
        table.add_row(
            clock(record["window_end"]), record["kind"].lower().replace("_", " "), record["event"],
            Text(record["severity"], COLOURS[record["severity"]]),
            record["slo"], record["instance"] or "-",
            figure(record),
            "-" if delay is None else f"{delay:.1f} s",
        )  # fmt: skip
    return table


def figure(record: dict[str, Any]) -> str:
    """What an alert was judged on: burn rates of both windows, or the share of a budget that is spent."""
    if record["kind"] == Kind.BUDGET.name:
        return f"{record['burn_rate_factor']:.0%} spent"
    return f"{burn(record['long_burn_rate'])} / {burn(record['short_burn_rate'])}"


def sql_table(title: str, columns: list[str], rows: list[tuple[Any, ...]]) -> Table:
    """Rows of ClickHouse as they came."""
    table = Table(*columns, title=title, spare=[name for name in SPARE if name in columns])
    for row in rows:
        cells = zip(columns, map(_cell, row), strict=True)
        table.add_row(*(labelled(cell) if name == "instance" else cell for name, cell in cells))
    return table


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, list) and value and all(each is None for each in value)):
        return "no data"
    if isinstance(value, list):
        return " / ".join(map(_cell, value))
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return "no data" if isnan(value) else f"{value:,.5g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
