"""`burnline worker`: one stream worker against configured servers."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.commands.children import stop_at_eof
from pipeline.commands.private import NotPrivate, private_directory
from pipeline.settings import Settings

SWITCH_S = 0.001  #: a thread waits so long for the GIL; ours give it up for kernels often, and want it back soon


def worker(
    steps: Annotated[str | None, typer.Option(help="steps to run, comma separated; BURNLINE_STEPS when unset")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="one line of JSON once ready, nothing else on stdout")
    ] = False,
    warm: Annotated[bool, typer.Option("--warm", help="compile kernels into the cache and exit; for images")] = False,
    lifeline_fd: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Run ingest, judge, store, control, and deliver where there are receivers, until SIGTERM or Ctrl-C."""
    settings = Settings(steps=steps) if steps else Settings()
    compile_kernels(settings)
    if warm:
        return
    from pipeline.app import SetupFailed, run

    if lifeline_fd >= 0:
        stop_at_eof(lifeline_fd)

    def ready(address: str) -> None:
        said = {"pid": os.getpid(), "http": address, "steps": ",".join(settings.step_names)}
        typer.echo(json.dumps(said) if as_json else f"ready: {said['http']} runs {said['steps']}")

    sys.setswitchinterval(SWITCH_S)
    loop = asyncio.new_event_loop()
    try:
        code = loop.run_until_complete(run(settings, ready))
    except SetupFailed as error:
        typer.echo(f"burnline worker: {error}", err=True)
        raise typer.Exit(1) from error
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all that is durable is written; joining threads that wait for a dead broker could take for ever


def kernel_caches() -> list[Path]:
    """Where Numba keeps compiled kernels, unless it is beside their source, which is trusted as much."""
    from pipeline.kernels import judging

    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(chosen)]
    used = Path(judging.judge_rows.stats.cache_path)
    return [] if used.is_relative_to(Path(judging.__file__).parent) else [used]


def compile_kernels(settings: Settings) -> None:
    """Compile what the steps call, or load it from the cache, before any consumer starts; show progress."""
    cache = settings.kernels_dir
    try:
        for directory in (cache, *kernel_caches()):
            private_directory(directory)
    except NotPrivate as error:
        typer.echo(f"burnline worker: {error}", err=True)
        raise typer.Exit(1) from error

    from pipeline.framing import SINGLE_OBJECT
    from pipeline.ingest import warm as warm_ingest
    from pipeline.kernels import fields, judging, longs, record_batches, states
    from pipeline.spec import load

    objectives = load([settings.slo_dir]).objectives
    columns = (
        TextColumn("compiling kernels"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("transport, judge and store", total=None)
        for module in (record_batches, longs, judging, fields, states):
            module.warm()
        warm_ingest(
            cache, SINGLE_OBJECT, objectives,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )  # fmt: skip
