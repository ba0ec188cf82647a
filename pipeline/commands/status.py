"""`burnline status`: what is true now, asked of ClickHouse in plain SQL; and how others ask, write and show it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console, Group
from rich.live import Live

import infra
from pipeline.commands import fleet
from pipeline.commands.screen import screen
from pipeline.settings import Settings
from pipeline.standing import Freshness

if TYPE_CHECKING:
    from clickhouse_driver import Client

QUESTIONS = infra.HOME / "clickhouse" / "page"  #: the page asks the same
UNITS = {"percent": "{:.3%}", "factor": "{:,.1f}x", "milliseconds": "{:,.0f} ms"}

Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout and nothing else")]


def rows(sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """Ask ClickHouse; one dictionary a row.

    Raises: typer.Exit with 1, after saying why, when it does not answer.
    """
    with or_exit():
        return ask(sql, **parameters)


def ask(sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """Ask ClickHouse; one dictionary a row.

    Raises: sinks.clickhouse.Unavailable, Refused.
    """
    found, columns = _asked(
        sql, parameters or None, with_column_types=True, settings={"server_side_params": 1} if parameters else None
    )
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in found]


def question(name: str) -> str:
    """Return the SQL that the page asks too."""
    return (QUESTIONS / f"{name}.sql").read_text("utf-8")


def freshness() -> Freshness:
    """Ask how fresh judgements are.

    Raises: sinks.clickhouse.Unavailable, Refused.
    """
    return Freshness(**ask(question("freshness"))[0])


def write(table: str, *found: dict[str, Any]) -> None:
    """Add rows to a table, all with the columns of the first.

    Raises: typer.Exit with 1, after saying why, when ClickHouse does not take them.
    """
    with or_exit():
        _asked(f"INSERT INTO {table} ({', '.join(found[0])}) VALUES", list(found))


def _asked(*arguments: Any, **options: Any) -> Any:
    from pipeline.sinks.clickhouse import FAILURES, translated

    connection = _connection(Settings())
    try:
        return connection.execute(*arguments, **options)
    except FAILURES as error:
        connection.disconnect()  # the next question connects anew
        raise translated(error) from error


@lru_cache(1)
def _connection(settings: Settings) -> "Client":
    """One for all that a command asks; it connects with the first question."""
    from pipeline.sinks.clickhouse import client

    return client(settings)


@contextmanager
def or_exit() -> Iterator[None]:
    """Say why ClickHouse does not answer, and exit with 1."""
    from pipeline.sinks.clickhouse import Refused, Unavailable

    try:
        yield
    except (Unavailable, Refused) as error:
        typer.echo(f"{error}\n  -> `burnline doctor` says what is wrong with the set-up", err=True)
        raise typer.Exit(1) from error


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


def status(
    slo: Annotated[str, typer.Option(help="only instances of this SLO")] = "",
    service: Annotated[str, typer.Option(help="only of this service")] = "",
    label: Annotated[list[str] | None, typer.Option(help="only with this label, as region=eu; repeatable")] = None,
    state: Annotated[list[str] | None, typer.Option(help=f"only in this state: {', '.join(fleet.STATES)}")] = None,
    sort: Annotated[str, typer.Option(help=f"by {', '.join(fleet.SORTS)}")] = "state",
    limit: Annotated[int, typer.Option(min=0, help="most rows of the table; 0: all")] = 100,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="look again and again, until Ctrl-C")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.5, help="seconds between two looks of --watch")] = 2.0,
    as_json: Json = False,
) -> None:
    """State, compliance, error budget, burn rate and trend of every SLO instance, what burns most on top.

    What is unknown looks unknown: without data, without coverage, or not judged any more, a row is dim.

    \b
    burnline status                                 what burns most on top
    burnline status --state critical --state spent  what needs somebody now
    burnline status --service chat --label region=eu --sort burn
    burnline status --watch                         again and again, until Ctrl-C
    burnline status --json | jq '.[] | select(.budget_remaining_ratio < 0.25) | .slo'
    """
    choice = _choice(label or [], state or [], sort)
    look = partial(_look, slo, service, choice, 0 if as_json else limit)
    if watch:
        with or_exit():
            watching(look, partial(time.sleep, every_s), as_json)
        return
    with or_exit():
        found = look()
    if as_json:
        print_json(found.rows)
        return
    screen().print(_page(found))


def _choice(labels: list[str], states: list[str], sort: str) -> fleet.Choice:
    pairs = [text.partition("=") for text in labels]
    if wrong := [text for text, (name, sign, _) in zip(labels, pairs, strict=True) if not (name and sign)]:
        raise typer.BadParameter(f"{wrong[0]!r} is no label: write name=value", param_hint="--label")
    if odd := [word for word in states if word not in fleet.STATES]:
        raise typer.BadParameter(f"{odd[0]!r} is none of {', '.join(fleet.STATES)}", param_hint="--state")
    if sort not in fleet.SORTS:
        raise typer.BadParameter(f"{sort!r} is none of {', '.join(fleet.SORTS)}", param_hint="--sort")
    return fleet.Choice(tuple((name, value) for name, _, value in pairs), tuple(states), sort)


class Seen(NamedTuple):
    """Rows of a fleet that are shown, how many more fit, and how fresh they are, in words."""

    rows: list[dict[str, Any]]
    left: int = 0
    freshness: str = ""


def _look(slo: str, service: str, choice: fleet.Choice, limit: int) -> Seen:
    fresh, asked = freshness(), ask(fleet.FLEET_SQL, slo=slo, service=service)
    staleness = fresh.staleness(Settings().trailing_s)
    found = fleet.chosen(fleet.fleet(asked, fresh, bool(staleness)), choice)
    rows = found[:limit] if limit else found
    sql, parameters = fleet.trend_question(rows)
    shown = fleet.with_trends(rows, ask(sql, **parameters))
    return Seen(shown, len(found) - len(rows), fleet.freshness(fresh, staleness))


def _page(seen: Seen) -> Group:
    if not seen.rows:
        return Group("[dim]no data: no SLO instance that fits was judged yet[/dim]")
    more = f"[dim]{seen.left:,} more: --limit 0 shows all, --state and --service fewer[/dim]"
    return Group(fleet.table(seen.rows), *([more] if seen.left else []), seen.freshness)


def watching(
    look: Callable[[], Seen], pause: Callable[[], None], as_json: bool, page: Callable[[Seen], Group] = _page
) -> None:
    """Look and show, until Ctrl-C. A server that went away is said, beside what was seen last.

    Raises: Unavailable, Refused, when even the first look fails.
    """
    from pipeline.sinks.clickhouse import Refused, Unavailable

    console, found, trouble = screen(), look(), ""
    with _live(console, as_json, page) as show:
        try:
            while True:
                show(found, trouble)
                pause()
                try:
                    found, trouble = look(), ""
                except (Unavailable, Refused) as error:
                    trouble = str(error)
        except KeyboardInterrupt:
            return


@contextmanager
def _live(console: Console, as_json: bool, page: Callable[[Seen], Group]) -> Iterator[Callable[[Seen, str], None]]:
    """Show in place on a terminal; elsewhere one table, or one line of JSON, after the other."""
    if as_json:
        yield _line
    elif not console.is_terminal:
        yield lambda found, trouble: console.print(_seen(page(found), trouble))
    else:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            yield lambda found, trouble: live.update(_seen(page(found), trouble), refresh=True)


def _line(found: Seen, trouble: str) -> None:
    if trouble:
        typer.echo(trouble, err=True)
    else:
        print_json(found.rows)


def _seen(page: Group, trouble: str) -> Group:
    return Group(f"[red]{trouble}; what follows was seen before that[/red]", page) if trouble else page
