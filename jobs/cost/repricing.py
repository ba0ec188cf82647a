"""`burnline cost rerate`: a replay whose events carry what they cost by a price list; compared, and swapped if asked.

Law: of slices nothing but costs is ever swapped; where they differ from the log in anything else, nothing is. Counts of
SLOs are swapped with them: those about cost follow prices, and whoever asks is told how many differ.
"""

from typing import TYPE_CHECKING, Any

import typer

from jobs.cost.rerating import RATED, SOURCES, Rerating
from jobs.replay.command import in_words, run
from jobs.replay.source import ReplayFailed
from pipeline.controls.cost import PriceList
from pipeline.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.replay.swapping import Report

COST = "cost_picousd"


def reprice(
    settings: Settings, prices: PriceList, span_us: tuple[int, int], facts: bool, apply: bool, wait_s: float,
    dry_run: bool,
) -> dict[str, Any]:  # fmt: skip
    """Rate a range, and say what that comes to.

    Raises: typer.Exit with 1, after saying why it cannot be done.
    """
    from pipeline.app import SetupFailed, parts_of
    from pipeline.commands.worker import compile_kernels
    from pipeline.sinks.clickhouse import FAILURES, Refused, Unavailable, said

    try:
        compile_kernels(settings)
        rerating = Rerating(prices, parts_of(settings).framing, span_us, SOURCES if facts else RATED)
        found = run(settings, *span_us, apply, wait_s, dry_run, rerating, refuse_others)
    except (ReplayFailed, SetupFailed, Unavailable, Refused) as error:
        typer.echo(f"burnline cost rerate: {error}", err=True)
        raise typer.Exit(1) from error
    except FAILURES as error:
        typer.echo(f"burnline cost rerate: {said(error)}", err=True)
        raise typer.Exit(1) from error
    head = {"version": prices.version, "from": in_words(span_us[0]), "to": in_words(span_us[1])}
    if isinstance(found, dict):
        return head | found
    return head | _summary(found) | {"rated": rerating.found.told}


def refuse_others(report: "Report") -> None:
    """See that stored slices are the log's but for costs.

    Raises: ReplayFailed.
    """
    for table in report.tables:
        if not table.table.startswith("slices_"):
            continue
        other = [name for name, sum_ in table.stored.items() if name != COST and table.recomputed[name] != sum_]
        if other or table.missing or table.extra:
            raise ReplayFailed(
                f"{table.table} differs from the log in {', '.join(other) or 'its slices'}, not in costs alone; "
                "nothing was changed. Run `burnline replay` over this range first"
            )


def _summary(report: "Report") -> dict[str, Any]:
    slices = next(table for table in report.tables if table.table == "slices_1h")
    counts = sum(table.different for table in report.tables if table.table.startswith("counts_"))
    return {
        "records": report.records, "dead_letters": report.dead_letters, "slices": slices.slices,
        "different_slices": slices.different, "different_counts": counts, "stored_picousd": slices.stored[COST],
        "rated_picousd": slices.recomputed[COST], "swapped": report.swapped,
    }  # fmt: skip


def show(said: dict[str, Any], console: "Console") -> None:
    """For people."""
    if said.get("dry_run"):
        console.print("\n".join(f"{name}: {value}" for name, value in said.items()))
        return
    found = said["rated"]
    console.print(f"{said['from']} to {said['to']}, prices {said['version']}: {said['records']:,} records read")
    console.print(f"{found['rated']:,} events rated, {found['changed']:,} of them otherwise than before")
    for name, text in (("kept", "carry facts, and keep them"), ("uncounted", "have tokens that nobody counted")):
        if found[name]:
            console.print(f"{found[name]:,} events {text}")
    for model, count in sorted(found["unpriced"].items()):
        console.print(f"{count:,} events of {model} have no price, and keep what they cost")
    stored, rated = said["stored_picousd"] / 1e12, said["rated_picousd"] / 1e12
    console.print(f"cost of the range: {stored:,.4f} USD stored, {rated:,.4f} USD by these prices")
    if said["different_counts"]:
        console.print(
            f"{said['different_counts']:,} slices of SLO counts differ too: of SLOs about cost, or counted by an "
            "earlier definition; --apply replaces these as well"
        )
    if said["swapped"]:
        console.print(f"swapped: {', '.join(said['swapped'])}")
    elif said["different_slices"]:
        console.print("nothing was changed; --apply replaces what is stored")
    else:
        console.print("what is stored is what these prices give")
