"""`burnline scrape`: looks at engines' own metrics again and again, and writes snapshots to inference.snapshots."""

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.screen import screen
from pipeline.commands.status import Json, shown
from pipeline.commands.tables import Table
from pipeline.commands.usable import usable
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.publishing import Writer
    from pipeline.sources.scrape_targets import Targets

COLUMNS = ("endpoint_id", "engine", "model", "running", "waiting", "kv_usage", "finished", "output_tokens")


def scrape(
    targets: Annotated[Path, typer.Option(help="YAML file of replicas and how to look at them")],
    once: Annotated[bool, typer.Option("--once", help="look once; 1: some replica does not answer")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look, and write nothing")] = False,
    as_json: Json = False,
) -> None:
    """Look at the metrics of vLLM, SGLang, TGI, Triton, TensorRT-LLM or llm-d's endpoint picker, and write snapshots.

    Snapshots tell how many requests run and wait at each replica, and which hang: what hangs sends no event. One of
    these runs for all replicas; a second one only writes the same again. With --json a snapshot is a line.

    \b
    burnline scrape --targets replicas.yaml
    burnline scrape --targets replicas.yaml --once --dry-run   does it see what it should?
    burnline ask hung-requests
    """
    from pipeline.publishing import Writer
    from pipeline.snapshots import SNAPSHOT
    from pipeline.sources.scrape_targets import load
    from pipeline.topics import SNAPSHOTS

    with usable("the targets"):
        wanted = load(targets)
    writer = None if dry_run else Writer(Settings(), SNAPSHOTS, SNAPSHOT)
    found = asyncio.run(_run(wanted, writer, once, as_json))
    if any(each["error"] for each in found):
        raise typer.Exit(1)


async def _run(wanted: "Targets", writer: "Writer | None", once: bool, as_json: bool) -> list[dict[str, Any]]:
    """Look at all of them, at a pace: what took too long is not made up for."""
    from pipeline.sources.scraping import client_of, look_at_all
    from pipeline.topics import TopicsError

    async with client_of(wanted) as client:
        due_s = time.monotonic()
        while True:
            found = await look_at_all(client, wanted.targets, wanted.timeout_s)
            try:
                if writer is not None:
                    await asyncio.to_thread(writer.write, [(each["endpoint_id"], each) for each in found])
            except TopicsError as error:
                if once:
                    raise
                typer.echo(f"{error}; {len(found)} snapshots are lost", err=True)  # the next ones say how it is then
            if once or as_json:
                _print(found, as_json)
            if once:
                return found
            due_s = max(due_s + wanted.every_s, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for each in found:
            typer.echo(json.dumps(each))
        return
    table = Table(*COLUMNS, "")
    for each in found:
        said = f"[red]{each['error']}[/red]" if each["error"] else "" if each["ready"] else "[yellow]not ready[/yellow]"
        table.add_row(*(shown(each[name]) for name in COLUMNS), said)
    screen().print(table)
