"""`python -m tests.chaos`: inject faults under continuous load on real servers, and count what came of every event."""

import json
import logging
import math
import random
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.bench.report import surroundings
from tests.chaos import report
from tests.chaos.faults import FAULTS
from tests.chaos.session import Fault, Result, Session, Skipped

OUT, RECOVERY = Path("bench-results") / "chaos", "recovery.png"


def main(
    fault: Annotated[list[str] | None, typer.Option(help="which; all when not given")] = None,
    seed: Annotated[int | None, typer.Option(help="same seed, same times and choices")] = None,
    rate: Annotated[int, typer.Option(help="events a second", min=100)] = 20_000,
    rounds: Annotated[int | None, typer.Option(help="how often a fault is injected", min=1)] = None,
    patience_s: Annotated[
        float,
        typer.Option("--patience", help="most seconds that a recovery is watched; else as each fault says"),
    ] = math.inf,
    as_json: Annotated[bool, typer.Option("--json", help="one line of JSON a run, and nothing else on stdout")] = False,
    out: Annotated[Path, typer.Option(help="where results go")] = OUT,
    keep: Annotated[Path | None, typer.Option(help="keep logs and data of the runs here")] = None,
    together: Annotated[bool, typer.Option("--together", help="one after the other in one session")] = False,
    report_only: Annotated[
        bool, typer.Option("--report", help="run nothing: all faults over all runs in `out`")
    ] = False,
) -> None:
    """Faults under load; exit 1 when an event is missing, counted twice, or an alert is not as it should be."""
    unknown = [name for name in fault or () if name not in FAULTS]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(FAULTS)}")
    if report_only:
        report.summarise(report.saved(out), list(fault or FAULTS), out / RECOVERY)
        return
    logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)  # it tells every refused connection
    first = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    console, around, results = Console(stderr=True, quiet=as_json), surroundings(), []
    names = list(fault or FAULTS)
    for some in [names] if together else [[name] for name in names]:
        name = ", ".join(some)
        console.print(f"{name}, seed {first} ...", style="dim", highlight=False)
        try:
            result = live_through(tuple(FAULTS[each] for each in some), first, rate, rounds, keep, patience_s)
        except Skipped as why:
            console.print(f"{name} skipped: {why}", style="yellow")
            continue
        results.append(result)
        if as_json:
            typer.echo(json.dumps({k: v for k, v in report.as_json(result).items() if k != "samples"}))
        report.save(result, around, out)
    if not as_json:
        report.show(results)
        report.summarise(results, names, out / RECOVERY)
    raise typer.Exit(int(not all(result.is_good for result in results)))


def live_through(
    faults: tuple[Fault, ...], seed: int, rate: int, rounds: int | None, keep: Path | None, patience_s: float
) -> Result:
    """One run on a fresh site; a run that breaks is a result too, with its seed."""
    with tempfile.TemporaryDirectory(prefix="burnline-chaos-") as place:
        home = Path(place) if keep is None else keep / f"{faults[0].name}-{seed}"
        shutil.rmtree(home, ignore_errors=True)  # what another run left there would be counted
        home.mkdir(parents=True)
        try:
            with Session(home, faults, seed, rate, patience_s) as session:
                return session.run(rounds)
        except Skipped:
            raise
        except Exception as error:  # what is broken is told with its seed, and the next fault has its turn
            name = "+".join(fault.name for fault in faults)
            where = traceback.format_exc().splitlines()[-7:]
            return Result(name, seed, rounds, rate, problems=[f"the run broke: {error!r}"], notes=where)


if __name__ == "__main__":
    typer.run(main)
