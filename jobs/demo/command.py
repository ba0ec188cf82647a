"""The command around `course`. Exit 0 only if the incident's alert fired and cleared."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.screen import screen


def demo(
    data_dir: Annotated[Path, typer.Option(help="servers' data; emptied first")] = Path(".burnline/demo"),
    rate: Annotated[float, typer.Option(help="the fleet's events a second, averaged over the day", min=1)] = 50.0,
    seed: Annotated[int, typer.Option(help="same seed, same events")] = 7,
    keep: Annotated[bool, typer.Option("--keep", help="stay up at the end, until Ctrl-C")] = False,
) -> None:
    """Show the whole pipeline on real servers: history at full speed, an incident, its alert and its recovery."""
    from jobs.demo.course import DemoFailed, play
    from pipeline.commands.children import WorkerFailed
    from pipeline.embedded import EmbeddedError

    console = screen()
    shutil.rmtree(data_dir, ignore_errors=True)
    try:
        play(console, data_dir, rate, seed, keep)
    except (DemoFailed, EmbeddedError, WorkerFailed) as error:
        console.print(f"[bold red]The demo failed:[/bold red] {error}")
        raise typer.Exit(1) from error
