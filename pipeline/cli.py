"""The `burnline` command: parses, calls, prints. Exit codes: 0 ok, 1 failed, 2 usage.

Jobs are plugged in by entry points (group `burnline.commands`), so that the pipeline never imports them.
"""

import os
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from pipeline.commands import (
    alerts,
    ask,
    capacity,
    change,
    doctor,
    gate,
    logs,
    quotas,
    scrape,
    signals,
    slo,
    status,
    tail,
    up,
    web,
    worker,
)
from pipeline.commands.private import NotPrivate, private_directory
from pipeline.settings import Settings, SettingsError, unusable
from pipeline.topics import TopicsError

app = typer.Typer(
    name="burnline",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The streaming SLO engine for AI inference: Kafka events in, exact SLIs, budgets and burn-rate alerts out.",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"burnline {version('burnline')}")
        raise typer.Exit


@app.callback()
def front_door(
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
    log_json: Annotated[bool, typer.Option("--log-json", help="logs as JSON lines")] = False,
    say_version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Set up logs for every command; run no compiled kernel that somebody else could have written."""
    del say_version
    if log_level not in {"debug", "info", "warning", "error"}:
        raise typer.BadParameter(f"{log_level!r} is none of debug, info, warning, error", param_hint="--log-level")
    logs.configure(log_level, log_json)
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        try:
            private_directory(Path(chosen))
        except NotPrivate as error:
            typer.echo(f"burnline: NUMBA_CACHE_DIR: {error}", err=True)
            raise typer.Exit(1) from error


app.command()(up.up)
app.command()(worker.worker)
app.command()(web.web)
app.command("status")(status.status)
app.command()(tail.tail)
app.add_typer(alerts.app, name="alerts")
app.add_typer(change.app, name="change")
app.command()(gate.gate)
app.command()(signals.signals)
app.command()(capacity.capacity)
app.command()(quotas.quotas)
app.command()(scrape.scrape)
app.command()(ask.ask)
app.command()(doctor.doctor)
app.add_typer(slo.app, name="slo")
for _entry in sorted(entry_points(group="burnline.commands"), key=lambda entry: entry.name):
    if isinstance(_job := _entry.load(), typer.Typer):
        app.add_typer(_job, name=_entry.name)
    else:
        app.command(_entry.name)(_job)


def _is_text(word: str) -> bool:
    """Whether it can be sent and shown: bytes that are no UTF-8 come as halves of characters."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def main() -> None:
    """Run, and end Ctrl-C, arguments that are no text and settings that cannot be used without a traceback."""
    if (odd := next((word for word in sys.argv[1:] if not _is_text(word)), None)) is not None:
        typer.echo(f"burnline: an argument is no UTF-8: {odd!a} -> write it as UTF-8", err=True)
        sys.exit(2)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        for each in unusable(error):
            typer.echo(f"burnline: {each}", err=True)
        sys.exit(2)
    except (SettingsError, TopicsError) as error:
        typer.echo(f"burnline: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
