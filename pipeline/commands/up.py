"""`burnline up`: a whole site in the foreground, until Ctrl-C."""

import json
import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.commands.children import Worker, WorkerFailed
from pipeline.commands.screen import screen
from pipeline.commands.tables import Table


def up(
    data_dir: Annotated[Path, typer.Option(help="everything the servers and workers keep")] = Path(".burnline"),
    slo: Annotated[Path | None, typer.Option(help="directory of SLO files; the shipped examples when unset")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="worker processes; one a core is plenty")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="one line of JSON once ready, nothing else on stdout")
    ] = False,
) -> None:
    """Start an embedded Kafka and ClickHouse, topics, tables and workers; print every address; stop on Ctrl-C."""
    from pipeline.embedded import EmbeddedError
    from pipeline.embedded.site import Site

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    say = Console(stderr=True, quiet=as_json)
    running: list[Worker] = []
    try:
        with (
            Site(data_dir, slo_dir=slo) as site,
            say.status("Starting workers: compiling kernels on the first run"),
        ):
            running += [Worker(site.settings, data_dir / "log" / f"worker-{i}.log") for i in range(workers)]
            workers_up = [worker.ready() for worker in running]
            addresses = {"web_page": f"{workers_up[0]['http']}/", **site.addresses, "workers": workers_up}
            _announce(addresses, as_json)
            _watch(running, stopped)
            for worker in running:
                worker.stop()
    except (EmbeddedError, WorkerFailed) as error:
        typer.echo(f"burnline up: {error}", err=True)
        raise typer.Exit(1) from error
    finally:
        for worker in running:
            worker.kill()


def _announce(addresses: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(addresses))
        return
    table = Table("what", "where", title="Burnline is up. Ctrl-C stops everything.")
    for name, value in addresses.items():
        if name != "workers":
            table.add_row(name.replace("_", " "), str(value))
    for worker in addresses["workers"]:
        table.add_row(f"worker {worker['pid']}", worker["http"])
    screen().print(table)


def _watch(running: list[Worker], stopped: threading.Event) -> None:
    """Wait for a stop; a worker that ends by itself is an error.

    Raises: WorkerFailed.
    """
    while not stopped.wait(0.5):
        for worker in running:
            if worker.process.poll() is not None:
                raise WorkerFailed(f"a worker ended with {worker.process.returncode}; see {worker.log}")
