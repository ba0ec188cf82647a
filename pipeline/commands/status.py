"""`burnline status`: what is true now, asked of ClickHouse in plain SQL; and how others ask, write and show it."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.commands.screen import screen
from pipeline.settings import Settings

STATUS_SQL = """\
SELECT c.slo AS slo, c.instance AS instance, c.compliance_ratio AS compliance_ratio, c.target AS target,
       c.coverage_ratio AS coverage_ratio, b.budget_remaining_ratio AS budget_remaining_ratio,
       b.time_to_exhaustion_s AS time_to_exhaustion_s, b.exhaustion_burn_rate AS exhaustion_burn_rate,
       b.exhaustion_window_s AS exhaustion_window_s, b.sla_target AS sla_target,
       b.sla_budget_remaining_ratio AS sla_budget_remaining_ratio, c.good AS good, c.bad AS bad,
       c.window_end AS window_end
FROM compliance AS c
INNER JOIN error_budget AS b USING (slo, instance)
ORDER BY isNull(b.budget_remaining_ratio), b.budget_remaining_ratio, slo, instance"""

UNITS = {"percent": "{:.3%}", "factor": "{:,.1f}x", "milliseconds": "{:,.0f} ms"}

Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")]


def rows(sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """Ask ClickHouse; one dictionary a row.

    Raises: typer.Exit with 1, after saying why, when it does not answer.
    """
    found, columns = _asked(
        sql, parameters or None, with_column_types=True, settings={"server_side_params": 1} if parameters else None
    )
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in found]


def write(table: str, *found: dict[str, Any]) -> None:
    """Add rows to a table, all with the columns of the first.

    Raises: typer.Exit with 1, after saying why, when ClickHouse does not take them.
    """
    _asked(f"INSERT INTO {table} ({', '.join(found[0])}) VALUES", list(found))


def _asked(*arguments: Any, **options: Any) -> Any:
    from pipeline.sinks.clickhouse import FAILURES, client, translated

    connection = client(Settings())
    try:
        return connection.execute(*arguments, **options)
    except FAILURES as error:
        typer.echo(f"{translated(error)}\n  -> `burnline doctor` says what is wrong with the set-up", err=True)
        raise typer.Exit(1) from error
    finally:
        connection.disconnect()


def shown(value: Any, kind: str = "") -> str:
    """Write a value for people; what is unknown looks unknown."""
    if value is None:
        return "[dim]no data[/dim]"
    if kind == "seconds":
        return f"{value / 86400:.1f} d" if value >= 86400 else f"{value / 3600:.1f} h"
    if kind in UNITS:
        return UNITS[kind].format(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" if isinstance(value, float) else str(value)


def print_json(found: list[dict[str, Any]]) -> None:
    typer.echo(
        json.dumps(found, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value))
    )


def status(as_json: Json = False) -> None:
    """Compliance and error budget of every SLO instance, what burns most on top."""
    found = rows(STATUS_SQL)
    if as_json:
        print_json(found)
        return
    screen().print(status_table(found))


def status_table(found: list[dict[str, Any]]) -> Table:
    """Lay out rows of compliance and error_budget for people."""
    table = Table("SLO", "instance", "compliance", "target", "budget left", "exhausted in", "coverage", "good", "bad")
    for row in found:
        budget = row["budget_remaining_ratio"]
        colour = "" if budget is None else "red" if budget < 0 else "yellow" if budget < 0.5 else "green"
        table.add_row(
            row["slo"], row["instance"] or "-",
            shown(row["compliance_ratio"], "percent"), shown(row["target"], "percent"),
            f"[{colour}]{shown(budget, 'percent')}[/{colour}]" if colour else shown(budget),
            exhausted_in(row),
            shown(row["coverage_ratio"], "percent"), shown(row["good"]), shown(row["bad"]),
        )  # fmt: skip
    return table


def exhausted_in(row: dict[str, Any]) -> str:
    """Say how long the budget lasts, and the burn rate that this assumes: 3.2 d at 1.4x."""
    if row["time_to_exhaustion_s"] is None:
        return "-"
    rest, rate = shown(row["time_to_exhaustion_s"], "seconds"), row["exhaustion_burn_rate"]
    return rest if rate is None else f"{rest} at {shown(rate, 'factor')}"
