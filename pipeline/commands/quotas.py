"""`burnline quotas`: what tenants have used of what they may, summed up now.

Asked of the slices that are stored, by the quotas of the file of controls: it needs ClickHouse and no worker.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.screen import screen
from pipeline.commands.status import Json, print_json, rows, shown
from pipeline.commands.tables import Table
from pipeline.commands.usable import spec_of

if TYPE_CHECKING:
    from pipeline.controls.quotas import QuotaSpec, Usage

COLOURS = {"within": "green", "near": "yellow", "exceeded": "bold red"}


def quotas(
    tenant: Annotated[str | None, typer.Argument(help="which tenant; without it, all of them")] = None,
    quota: Annotated[str, typer.Option(help="only this quota")] = "",
    exceeded: Annotated[
        bool, typer.Option("--exceeded", help="only who has used more than may be; then exit 1")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what tenants have used of their quotas in this hour, day or month of UTC, and when nothing will be left.

    Quotas are in the section quota of BURNLINE_CONTROLS_FILE. Usage is exact: the sum of what is stored of the period
    that event time is in, without what was turned away. exhausted: when nothing is left if it goes on as in the last
    hour; -: not in this period.

    \b
    burnline quotas
    burnline quotas acme --quota tokens-a-day
    burnline quotas --exceeded --json | jq -r '.[].tenant_id'
    """
    from pipeline.controls.quotas import EXCEEDED, USAGE, ask, usages

    spec = _spec(quota)
    found = usages(spec.quotas, [row for each in ask(spec, (), 0) if each.name == USAGE for row in rows(each.sql)])
    found = [each for each in found if tenant in {None, each.tenant} and (not exceeded or each.state == EXCEEDED)]
    found.sort(key=lambda each: (-each.used_ratio, each.scope))
    if as_json:
        print_json([_said(each) for each in found])
    else:
        screen().print(_table(found) if found else "[dim]no data: nobody has used anything of a quota[/dim]")
    if exceeded and found:
        raise typer.Exit(1)


def _spec(quota: str) -> "QuotaSpec":
    """The quotas of this site, or one of them."""
    from dataclasses import replace

    from pipeline.controls.quotas import NAME, QuotaSpec
    from pipeline.spec.scalars import listed, nearest

    spec = spec_of(NAME)
    assert isinstance(spec, QuotaSpec)
    names = [each.name for each in spec.quotas]
    if not names:
        typer.echo("there are no quotas -> write them into the section quota of BURNLINE_CONTROLS_FILE", err=True)
        raise typer.Exit(2)
    if quota and quota not in names:
        meant = nearest(quota, names)
        remedy = f"did you mean {meant}?" if meant else f"quotas are {listed(names)}"
        raise typer.BadParameter(f"there is no quota {quota!r} -> {remedy}", param_hint="--quota")
    return replace(spec, quotas=tuple(each for each in spec.quotas if quota in {"", each.name}))


def _said(usage: "Usage") -> dict[str, Any]:
    """As JSON has it; amounts of cost in pico-USD."""
    quota = usage.quota
    return {
        "quota": quota.name, "service": quota.service, "tenant_id": usage.tenant, "metric": quota.metric,
        "per": quota.per, "state": usage.state, "used": usage.used, "limit": quota.limit,
        "remaining": usage.remaining, "over": usage.over, "used_ratio": usage.used_ratio,
        "turned_away": usage.turned_away, "recent": usage.recent, "period_start": _moment(usage.period_start_us),
        "period_end": _moment(usage.period_end_us), "exhausted_at": _moment(usage.exhausted_at_us),
        "known_until": _moment(usage.known_until_us),
    }  # fmt: skip


def _moment(us: int | None) -> str | None:
    from pipeline.periods import EPOCH

    return None if us is None else (EPOCH + timedelta(microseconds=us)).isoformat()


def _table(found: "list[Usage]") -> Table:
    known = _moment(found[0].known_until_us)
    table = Table("quota", "tenant", "service", "state", title=f"known until {known}", title_justify="left")
    for name in ("used", "of", "share", "left", "turned away", "exhausted"):
        table.add_column(name, justify="right")
    for each in found:
        quota, colour, gone = each.quota, COLOURS[each.state], _moment(each.exhausted_at_us)
        table.add_row(
            quota.name, each.tenant, quota.service or "all", f"[{colour}]{each.state}[/{colour}]",
            quota.amount(each.used), f"{quota.amount(quota.limit)} per {quota.per}", shown(each.used_ratio, "percent"),
            quota.amount(each.remaining), f"{each.turned_away:,}", gone[:16].replace("T", " ") if gone else "-",
        )  # fmt: skip
    return table
