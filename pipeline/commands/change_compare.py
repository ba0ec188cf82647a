"""`burnline change compare`: what a change did to each SLO, as a verdict with its statistics.

Asked of counts in ClickHouse alone, by whoever may read them, as often as one likes.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.fleet import labelled
from pipeline.commands.screen import screen
from pipeline.commands.status import Json, print_json, question, rows, shown
from pipeline.commands.tables import Table

if TYPE_CHECKING:
    from pipeline.controls.comparison import Change, Comparison, ComparisonSpec
    from pipeline.controls.sequential import Interval

COLOURS = {"worse": "bold red", "better": "green", "no_difference": "dim", "not_yet": "yellow"}
STEPS = 12  #: of infra/clickhouse/page/comparison.sql, on each side of a change


def compare(
    change_id: Annotated[str, typer.Argument(help="which change, by its --id; without it, all of late")] = "",
    service: Annotated[str, typer.Option(help="only changes of this service")] = "",
    since: Annotated[str, typer.Option(help="how far back changes are looked at")] = "1d",
    window: Annotated[str, typer.Option(help="at most so much before a change and after it")] = "1h",
    alpha: Annotated[
        float, typer.Option(help="how likely a change that does nothing may be called worse or better, at any look")
    ] = 0.01,
    margin: Annotated[
        str, typer.Option(help="so much of the bad share that the target allows is no difference")
    ] = "0.1",
    against: Annotated[
        str, typer.Option(help="before: just before it; week: the same time a week earlier; both: they must agree")
    ] = "both",
    as_json: Json = False,
) -> None:
    """Say whether deploys, rollbacks and knobs made SLOs worse or better, and what that cost of the error budget.

    Bad requests after a change are compared with those just before it and at the same time a week earlier, of each SLO
    instance that the change can concern. worse, better: apart by more than chance, however often you look;
    no_difference: surely less than the margin apart; not_yet: nothing can be told. A change is looked at until the next
    one that concerns some of the same.

    \b
    burnline change compare                        what was changed in the last day
    burnline change compare "$RUN_ID" --window 6h  one change, over a longer time
    burnline change compare --json | jq '.[] | select(.verdict == "worse") | .title'
    """
    from pipeline.controls.comparison import compared, worst_first

    spec = _spec(since, window, alpha, margin, against)
    found = worst_first(compared(spec, rows(question("comparison"), **spec.asked(service, change_id))))
    if as_json:
        print_json([each.told for each in found])
        return
    console = screen()
    if not found:
        console.print("[dim]nothing to compare: no deploy, rollback or knob, or no SLO that it can concern[/dim]")
    for change, group in groupby(found, key=lambda each: each.change):
        console.print(_table(change, list(group)))


def _spec(since: str, window: str, alpha: float, margin: str, against: str) -> "ComparisonSpec":
    from pipeline.controls.comparison import BASELINES, ComparisonSpec
    from pipeline.controls.files import ratio, seconds
    from pipeline.spec.problems import Refused

    if against != "both" and against not in BASELINES:
        raise typer.BadParameter(f"write {', '.join(BASELINES)} or both", param_hint="--against")
    chosen = tuple(BASELINES) if against == "both" else (against,)
    try:
        return ComparisonSpec(seconds(window), seconds(since), alpha, ratio(margin), chosen)
    except Refused as refused:
        raise typer.BadParameter(f"{refused.rule} -> {refused.remedy}", param_hint="SPEC") from refused


def _table(change: "Change", found: "Sequence[Comparison]") -> Table:
    until = "in force" if change.ended_at is None else f"until {shown(change.ended_at)}"
    only = " ".join(each for each in (change.request_model, change.variant, change.region) if each)
    head = f"{shown(change.at)} UTC, {change.kind} of {change.service}{f' ({only})' if only else ''}: {change.title}"
    table = Table("SLO", "instance", "verdict", "before|after", title=f"{head}, {until}", title_justify="left")
    for name in ("bad", "difference", "budget", "p"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for each in found:
        effect, colour = each.effect, COLOURS[each.verdict]
        table.add_row(
            each.slo, labelled(each.instance), f"[{colour}]{each.verdict.value}[/{colour}]", _drawn(each),
            f"{each.after.bad:,}", _within(None if effect is None else effect.difference_within),
            _within(each.budget_excess_within), "-" if effect is None else f"{effect.p_value:.2g}", each.reason,
        )  # fmt: skip
    return table


def _within(interval: "Interval | None") -> str:
    return "-" if interval is None else " to ".join(f"{each:+.2%}" for each in interval)


def _drawn(each: "Comparison") -> str:
    """Draw burn rates in front of the change and behind it."""
    from pipeline.commands.fleet import sparkline

    def burns(steps: range) -> str:
        shares = (each.steps[at].bad_ratio if at in each.steps else None for at in steps)
        return sparkline(None if share is None else share / (1 - each.target) for share in shares)

    return f"{burns(range(-STEPS, 0))}|{burns(range(STEPS))}"
