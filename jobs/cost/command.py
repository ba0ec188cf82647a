"""The command around it: periods and price lists in, tables or JSON out; `rerate` replays, `what-if` plans."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.screen import harmless, screen
from pipeline.commands.status import Json, print_json, rows, shown
from pipeline.commands.tables import Table
from pipeline.commands.usable import usable
from pipeline.settings import Settings

if TYPE_CHECKING:  # imported when it runs: other commands start without it
    from jobs.cost.what_if import Outcome
    from pipeline.controls.cost import PriceList, Range

app = typer.Typer()
HOUR_S = 3_600
PRICES = "file of prices; the shipped one by default (schemas/prices/default.yaml)"


@app.callback(invoke_without_command=True)
def cost(
    context: typer.Context,
    period: Annotated[str, typer.Option(help="24h, 30d, 2026-10, 2026-Q4 or 2026-10-05/2026-10-12")] = "24h",
    by: Annotated[str, typer.Option(help="service, model, tenant and variant, with commas between")] = "service,model",
    service: Annotated[str, typer.Option(help="only of this service")] = "",
    prices: Annotated[Path | None, typer.Option(help=f"{PRICES}; its overhead is added to what is paid")] = None,
    as_json: Json = False,
) -> None:
    """Say what was spent: metered, for a thousand tokens and a thousand good ones; paid for replicas, idle apart.

    Metered is what events carry. Good tokens are those of events that no SLO counts as bad, where events are kept.
    Paid is the time of replicas that were up, as snapshots say, at the price that they name; what nobody used is idle,
    and borne by who used the rest.

    \b
    burnline cost --period 30d --by tenant
    burnline cost --by model,variant --service chat
    burnline cost --json | jq '.[] | select(.idle_ratio > 0.5) | .model'
    burnline cost what-if chat --metric ttft --threshold 800ms --threshold 1s --target 0.99
    burnline cost rerate --from 2026-11-25 --to 2026-11-26 --prices november.yaml
    """
    if context.invoked_subcommand is not None:
        return
    from jobs.cost.spending import BY, spendings, sql
    from jobs.report.period import PeriodError, period_of

    dimensions = [name.strip() for name in by.split(",")]
    if wrong := [name for name in dimensions if name not in BY]:
        raise typer.BadParameter(f"{wrong[0]!r} is none of {', '.join(BY)}", param_hint="--by")
    try:
        found = period_of(period, "UTC", int(time.time()) + HOUR_S)  # the hour that goes on is in it
    except PeriodError as error:
        raise typer.BadParameter(str(error), param_hint="--period") from error
    listed = _prices(prices)
    answer = rows(sql(dimensions), start=found.start_s, end=found.end_s, service=service)
    told = [each.told for each in spendings(answer, dimensions, listed.overhead)]
    _announce(listed, service, found.start_s)
    if as_json:
        print_json(told)
        return
    screen().print(_table(told, dimensions, found.said) if told else "[dim]no data: nothing was served[/dim]")


def _prices(path: Path | None) -> "PriceList":
    from pipeline.controls.price_files import load

    with usable("the prices"):
        return load(path)


def _announce(prices: "PriceList", service: str, start_s: int) -> None:
    """Say beside the answer, on stderr, which price changes the list does not know."""
    from jobs.cost.spending import ANNOUNCED_SQL, notes

    for line in notes(prices, rows(ANNOUNCED_SQL, service=service), start_s):
        typer.echo(harmless(line), err=True)


def _table(told: list[dict[str, Any]], dimensions: list[str], title: str) -> Table:
    table = Table(*dimensions, title=title, title_justify="left")
    for name in ("requests", "output tokens", "metered", "for 1k tokens", "for 1k good", "paid", "idle", "paid for 1k"):
        table.add_column(name, justify="right")
    for row in told:
        table.add_row(
            *(row[name] or "-" for name in dimensions), f"{row['requests']:,}", f"{row['output_tokens']:,}",
            usd(row["cost_picousd"] or None), price(row["usd_per_1k_tokens"]), price(row["usd_per_1k_good_tokens"]),
            usd(row["paid_picousd"]), shown(row["idle_ratio"], "percent"), price(row["paid_usd_per_1k_tokens"]),
        )  # fmt: skip
    return table


def usd(picousd: int | None) -> str:
    return shown(None) if picousd is None else f"{picousd / 1e12:,.2f} USD"


def price(amount: float | None) -> str:
    return shown(None) if amount is None else f"{amount:.4g} USD"


# -- what if
@app.command("what-if")
def what_if(
    service: Annotated[str, typer.Argument(help="which service")],
    metric: Annotated[str, typer.Option(help="of the objective: ttft, e2e, tpot, error_rate ..")] = "ttft",
    threshold: Annotated[list[str] | None, typer.Option(help="such as 800ms; several are compared")] = None,
    target: Annotated[list[str] | None, typer.Option(help="share that keeps it; several are compared")] = None,
    window: Annotated[str, typer.Option(help="of events and peaks that it is learned from")] = "1d",
    replica_hour: Annotated[str, typer.Option(help="what a replica costs an hour, as '5 USD'; snapshots say")] = "",
    prices: Annotated[
        Path | None, typer.Option(help=f"{PRICES}; of accelerators whose snapshots tell no price")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what an objective would cost: the load a replica may have, replicas for the peak and a fifth, USD a month.

    Each variant is planned as if it served all of its model. Ranges: the least load is the one that surely keeps the
    objective, the most the least one that was seen to break it; peaks are the busiest minute, and those of 1 % and 5 %.

    \b
    burnline cost what-if chat --metric ttft --threshold 500ms --threshold 1s --target 0.99
    burnline cost what-if chat --metric e2e --threshold 2s --target 0.95 --target 0.999 --replica-hour '5 USD'
    """
    from pipeline.spec.problems import Refused, SpecError

    asked = [(metric, limit, share) for limit in threshold or [""] for share in target or ["0.99"]]
    try:
        listed = _prices(prices)
        found = _outcomes(service, asked, window, replica_hour, listed)
    except SpecError as error:
        typer.echo(f"this is no objective:\n{error}", err=True)
        raise typer.Exit(2) from error
    except Refused as refused:
        raise typer.BadParameter(
            f"{refused.rule} -> {refused.remedy}", param_hint="--metric, --window, --replica-hour"
        ) from refused
    _announce(listed, service, int(time.time()))
    if as_json:
        print_json([each.told for each in found])
        return
    none = "[dim]no data: no event that is kept says how busy its endpoint was (adm_running)[/dim]"
    screen().print(_plans(found) if found else none)


def _outcomes(
    service: str, asked: list[tuple[str, str, str]], window: str, replica_hour: str, prices: "PriceList"
) -> "list[Outcome]":
    """Plan each objective.

    Raises: SpecError, Refused.
    """
    from jobs.cost.what_if import PEAKS_SQL, REPLICAS_SQL, objective_of, outcomes, question, replica_hours
    from pipeline.controls.capacity import CapacitySpec
    from pipeline.controls.cost import Range
    from pipeline.controls.files import seconds
    from pipeline.spec.scalars import money

    spec, hour = CapacitySpec(window_s=seconds(window)), money(replica_hour) if replica_hour else None
    objectives = [(objective_of(service, *each), each) for each in asked]
    peaks = {row["model"]: Range.of(row["peaks"]) for row in rows(PEAKS_SQL, service=service, window_s=spec.window_s)}
    hours = replica_hours(rows(REPLICAS_SQL, service=service, window_s=spec.window_s), prices, time.time_ns() // 1000)
    found: list[Outcome] = []
    for objective, said in objectives:
        sql, values = question(spec, objective)
        answer = rows(sql, **values)
        given = hours if hour is None else {(row["model"], row["variant"]): hour for row in answer}
        found += outcomes(spec, objective, said, answer, peaks, given)
    return found


def _plans(found: "list[Outcome]") -> Table:
    table = Table("model", "variant", "objective", "load", title="what it takes", title_justify="left")
    for name in ("in flight", "requests/s a replica", "peak requests/s", "replicas", "USD a month"):
        table.add_column(name, justify="right")
    for each in found:
        month = each.plan.month if each.plan and each.replica_hour is not None else None
        table.add_row(
            each.model, each.variant or "any", f"{each.metric} {each.threshold} {each.target}".replace("  ", " "),
            each.state, shown(each.in_flight), span(each.rps, "{:,.2f}"), span(each.peak_rps, "{:,.2f}"),
            span(each.plan and each.plan.replicas, "{:,.0f}"),
            span(month, "{:,.0f}", 1e12) if each.replica_hour is not None else "[dim]no price[/dim]",
        )  # fmt: skip
    return table


def span(found: "Range | None", form: str, divisor: float = 1.0) -> str:
    """Write a range: what is likely, and its ends when they differ."""
    if found is None:
        return shown(None)
    least, likely, most = (form.format(each / divisor) for each in found)
    return likely if least == most else f"{likely} ({least} to {most})"


# -- rated anew
@app.command()
def rerate(
    start: Annotated[str, typer.Option("--from", help="begin of the range, event time; ISO 8601, UTC")],
    end: Annotated[str, typer.Option("--to", help="end of the range; it is widened to whole hours")],
    prices: Annotated[Path | None, typer.Option(help=PRICES)] = None,
    facts: Annotated[bool, typer.Option("--facts", help="also what a provider charged, and accelerator time")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="replace stored costs by those that were computed")] = False,
    wait_s: Annotated[float, typer.Option(help="how long to wait for the store to be as far as the log")] = 120.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be read, compute nothing")] = False,
    as_json: Json = False,
) -> None:
    """Rate a range of events by a price list, and compare with stored costs; they are replaced only with --apply.

    Events stay as they were sent: the log, and events that are kept whole, say what they said. Costs are computed into
    a shadow first; what differs in anything but costs is for `burnline replay`. That one, with --apply, brings back
    the costs that events carry.
    """
    from jobs.cost.repricing import reprice, show
    from jobs.pacing import PaceError
    from jobs.replay.command import whole_hours

    listed = _prices(prices)
    try:
        span_us = whole_hours(start, end, time.time_ns() // 1000)
    except PaceError as error:
        raise typer.BadParameter(str(error)) from error
    said = reprice(Settings(), listed, span_us, facts, apply, wait_s, dry_run)
    typer.echo(json.dumps(said)) if as_json else show(said, screen())
