"""`python -m tests.simulation --schedules 10000`: the simulation's nightly form; a failing seed can be replayed."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.simulation.pipeline_oracle import problems
from tests.simulation.pipeline_world import EVENTS, World

CHUNK = 20  #: seeds a process lives through before it reports
SHOWN = 5


def lived(seeds: range, kernels: Path) -> tuple[int, list[tuple[int, list[str]]]]:
    """Events of these schedules, and what is wrong with which."""
    events, failed = 0, []
    for seed in seeds:
        world = World(seed, kernels)
        try:
            world.run()
            found = problems(world)
        except Exception as error:  # whatever breaks a schedule is a finding
            found = [repr(error)]
        events += sum(len(world.broker.logs[tp].entries) for tp in world.broker.of(EVENTS))
        if found:
            failed.append((seed, found))
    return events, failed


def results(seeds: range, processes: int, kernels: Path) -> Iterator[tuple[int, int, list[tuple[int, list[str]]]]]:
    """(schedules, events, failures) as they are done."""
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(partial(lived, kernels=kernels), chunk): chunk for chunk in chunks}
        for done in as_completed(running):
            yield len(running[done]), *done.result()


def main(
    schedules: Annotated[int, typer.Option(help="how many", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(help="of the first; each further one is one more")] = 0,
    processes: Annotated[int, typer.Option(help="at once", min=1)] = os.cpu_count() or 1,
) -> None:
    """Live through seeded schedules of the pure core; exit 1 when one of them does not add up."""
    console = Console(stderr=True)
    columns = (TextColumn("schedules"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"),
               TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
    events, failed = 0, 0
    with (
        tempfile.TemporaryDirectory(prefix="burnline-simulation-") as kernels,
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("", total=schedules, said="")
        for count, more, failures in results(range(seed, seed + schedules), processes, Path(kernels)):
            events += more
            failed += len(failures)
            for which, found in failures:
                typer.echo(f"seed {which}: replay with python -m tests.simulation --schedules 1 --seed {which}")
                typer.echo("\n".join(f"  {line}" for line in found[:SHOWN]))
            bar.update(task, advance=count, said=f"{events:,} events, {failed} failed")
    typer.echo(f"{schedules:,} schedules, seeds {seed} to {seed + schedules - 1}: {events:,} events, {failed} failed")
    raise typer.Exit(int(failed > 0))


if __name__ == "__main__":
    typer.run(main)
