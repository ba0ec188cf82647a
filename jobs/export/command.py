"""The command around it: a range in, lines out, a progress bar on a terminal."""

import gzip
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from jobs.pacing import PaceError, parse_time_us
from pipeline.commands.status import Json
from pipeline.settings import Settings

if TYPE_CHECKING:
    from jobs.export.asking import Source
    from jobs.export.formats import Kept

HOUR_US = 3_600_000_000


def command(
    file: Annotated[Path, typer.Argument(help="where to write; .gz is compressed, - is stdout")],
    form: Annotated[str, typer.Option("--format", help="mooncake or dynamo (dynamo.request.trace.v1)")] = "mooncake",
    start: Annotated[str, typer.Option("--from", help="begin of arrivals, ISO 8601, UTC; an hour before --to")] = "",
    end: Annotated[str, typer.Option("--to", help="end of arrivals")] = "now",
    service: Annotated[str, typer.Option(help="only of this service")] = "",
    model: Annotated[str, typer.Option(help="only of this model")] = "",
    block_tokens: Annotated[int, typer.Option(min=0, help="tokens of a block; 0: 512 for mooncake, 64 for dynamo")] = 0,
    sampled: Annotated[
        bool, typer.Option("--sampled", help="where events are a sample, thin them to one share")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say how much there is, write nothing")] = False,
    as_json: Json = False,
) -> None:
    """Write events that are kept whole as a trace: for AIPerf, DynoSim, and to warm up Dynamo's planner.

    Every attempt that an engine answered is a request, as its gateway saw it. Prompts are not known: their blocks are
    made up so that as many tokens are shared as were cached. A whole trace needs BURNLINE_EVENTS_ARCHIVE=all.

    \b
    burnline export-trace chat.jsonl --service chat --from 2026-11-26T08:00Z --to 2026-11-26T09:00Z
    burnline export-trace chat.jsonl.gz --format dynamo --sampled
    """
    from jobs.export.formats import BLOCK_TOKENS

    if form not in BLOCK_TOKENS:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(BLOCK_TOKENS)}", param_hint="--format")
    span, tokens = _span(start, end), block_tokens or BLOCK_TOKENS[form]
    with _source(span, service, model) as source:
        kept = source.kept()
        ratio = _ratio(kept, sampled or dry_run)
        written = 0 if dry_run else _write(file, source, form, tokens, ratio, kept.usable)
    said = {
        "file": str(file), "format": form, "block_tokens": tokens, "events": kept.events, "usable": kept.usable,
        "stands_for": round(kept.stands_for), "ratio": ratio, "written": written, "dry_run": dry_run,
    }  # fmt: skip
    typer.echo(json.dumps(said) if as_json else _in_words(said), err=str(file) == "-")


def _span(start: str, end: str) -> tuple[int, int]:
    try:
        to_us = parse_time_us(end)
        from_us = parse_time_us(start) if start else to_us - HOUR_US
    except PaceError as error:
        raise typer.BadParameter(str(error), param_hint="--from, --to") from error
    if from_us >= to_us:
        raise typer.BadParameter("--to must be later than --from", param_hint="--to")
    return from_us, to_us


def _ratio(kept: "Kept", sampled: bool) -> float:
    """What share of all requests is written.

    Raises: typer.Exit with 1, after saying why, for a sample that nobody asked for.
    """
    if not kept.is_whole and not sampled:
        typer.echo(
            f"events are a sample: {kept.events:,} are kept of about {kept.stands_for:,.0f}. --sampled thins them to "
            f"one share of {kept.ratio:g}; for a whole trace set BURNLINE_EVENTS_ARCHIVE=all",
            err=True,
        )
        raise typer.Exit(1)
    return min(kept.ratio, 1.0)


@contextmanager
def _source(span: tuple[int, int], service: str, model: str) -> "Iterator[Source]":
    from jobs.export.asking import Source
    from pipeline.sinks.clickhouse import FAILURES, client, said

    connection = client(Settings())
    try:
        yield Source(connection, *span, service, model)
    except FAILURES as error:
        typer.echo(f"burnline export-trace: {said(error)}", err=True)
        raise typer.Exit(1) from error
    finally:
        connection.disconnect()


def _write(file: Path, source: "Source", form: str, tokens: int, ratio: float, total: int) -> int:
    """Write all of it, under another name until it is whole."""
    try:
        if str(file) == "-":
            return _lines(sys.stdout, source, form, tokens, ratio, total)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with gzip.open(draft, "wt") if file.suffix == ".gz" else draft.open("w", encoding="utf-8") as out:
                written = _lines(out, source, form, tokens, ratio, total)
            draft.replace(file)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
    except OSError as error:
        typer.echo(f"{file} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    return written


def _lines(out: "IO[Any]", source: "Source", form: str, tokens: int, ratio: float, total: int) -> int:
    from jobs.export.formats import FORMATS, Blocks

    blocks, first_us, written = Blocks(tokens), 0, 0
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("writing", total=total)
        for hour in source.hours():
            for event in source.events(*hour, ratio):
                first_us = first_us or event["received_us"]
                line = FORMATS[form](event, blocks.of(event), first_us, tokens)
                out.write(json.dumps(line, separators=(",", ":")) + "\n")
                written += 1
            bar.update(task, completed=written)
    return written


def _in_words(said: dict[str, Any]) -> str:
    if said["dry_run"]:
        return f"{said['usable']:,} of {said['events']:,} events have tokens in and out; nothing was written"
    left = said["events"] - said["usable"]
    part = f", a share of {said['ratio']:g} of all" if said["ratio"] < 1 else ""
    return f"{said['written']:,} requests written to {said['file']}{part}; {left:,} without tokens left out"
