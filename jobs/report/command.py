"""The command around it: options in, two files and their plots out, a summary on the terminal."""

import json
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from pipeline.commands.status import Json, ask
from pipeline.settings import Settings

if TYPE_CHECKING:  # imported when it runs: other commands start without it
    from jobs.report.findings import Report
    from jobs.report.period import Period
    from pipeline.spec import Slo

FORMS = "2026-10, 2026-Q4, 2026, 30d, 12h or 2026-10-05/2026-10-12"


def command(
    period: Annotated[str, typer.Option(help=f"{FORMS}; days and hours end with the data")] = "30d",
    zone: Annotated[str, typer.Option(help="time zone in which months and days begin")] = "UTC",
    team: Annotated[str, typer.Option(help="only SLOs of this owner, or team, of their files")] = "",
    service: Annotated[str, typer.Option(help="only SLOs of this service")] = "",
    out: Annotated[Path, typer.Option(help="directory that gets report.html, report.md and plots/")] = Path("report"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what was found, write nothing")] = False,
    as_json: Json = False,
) -> None:
    """Write a report of a period: what was promised, kept and broken, what spent it, incidents, SLAs, what to do.

    The page stands alone: it opens without a network and runs no script. The same period gives the same bytes.

    \b
    burnline report --period 2026-10 --zone Europe/Berlin --out october
    burnline report --period 7d --team serving
    burnline report --period 2026-Q4 --json --dry-run | jq .verdicts
    """
    from pipeline.sinks.clickhouse import Refused, Unavailable

    try:
        with Console(stderr=True).status("asking ClickHouse") if sys.stderr.isatty() else nullcontext():
            found = _report(period, zone, team, service)
    except (Unavailable, Refused) as error:
        typer.echo(f"{error}\n  -> `burnline doctor` says what is wrong with the set-up", err=True)
        raise typer.Exit(1) from error
    written = [] if dry_run else _write(found, out)
    said = _summary(found)
    typer.echo(json.dumps({**said, "files": written}) if as_json else _in_words(said, written))


def _report(text: str, zone: str, team: str, service: str) -> "Report":
    from jobs.report.asking import data_end_s, gather
    from jobs.report.findings import report_of
    from jobs.report.period import PeriodError, period_of
    from jobs.report.provisioning import MONEY_SQL, SIGNALS_SQL, provisions

    end_s = data_end_s(ask)
    if end_s is None:
        typer.echo("no data: no SLO was judged yet; `burnline doctor` says whether anything is wrong", err=True)
        raise typer.Exit(1)
    try:
        period = period_of(text, zone, end_s)
    except PeriodError as error:
        raise typer.BadParameter(str(error), param_hint="--period, --zone") from error
    files = _files()
    report, span = report_of(gather(ask, period, end_s, files), period, files, team, service), _seconds(period)
    advised = provisions(report.findings, ask(MONEY_SQL, **span), ask(SIGNALS_SQL, **span))
    return replace(report, provisions=advised)


def _seconds(period: "Period") -> dict[str, int]:
    return {"start": period.start_s, "end": period.end_s}


def _files() -> "Mapping[str, Slo]":
    """Owners, consequences and promises in words, where there are SLO files that can be read."""
    from pipeline.spec import load

    return load([Settings().slo_dir]).told


def _write(report: "Report", out: Path) -> list[str]:
    from jobs.report.document import Plot, html, markdown
    from jobs.report.plots import standing_alone
    from jobs.report.writing import blocks, title

    try:
        found = list(blocks(report))
    except ModuleNotFoundError as error:
        typer.echo(f"plots need {error.name}: pip install 'burnline[report]'", err=True)
        raise typer.Exit(1) from error
    texts = {"report.html": html(title(report), found), "report.md": markdown(found)}
    texts |= {f"plots/{plot.name}.svg": standing_alone(plot.svg) for plot in found if isinstance(plot, Plot)}
    try:
        for name, text in texts.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{out} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    return [str(out / name) for name in texts]


def _summary(report: "Report") -> dict[str, Any]:
    return {
        "period": report.period.text, "zone": report.period.zone, "start_s": report.period.start_s,
        "end_s": report.period.end_s, "until_s": report.until_s, "verdicts": dict(report.verdicts),
        "incidents": len(report.incidents), "provisions": [each.told for each in report.provisions],
        "slos": [
            {"slo": f.slo, "service": f.service, "owner": f.owner, "verdict": f.verdict, "target": f.target,
             "good": f.tally.good, "bad": f.tally.bad, "compliance_ratio": f.tally.compliance,
             "budget_remaining_ratio": f.tally.budget_left, "sla": f.sla_verdict,
             "sla_budget_remaining_ratio": f.nearest_sla[1].budget_left if f.nearest_sla and f.is_told else None}
            for f in report.findings
        ],
    }  # fmt: skip


def _in_words(said: dict[str, Any], written: list[str]) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(said["verdicts"].items())) or "no SLO fits"
    lines = [f"{said['period']}: {counts}; incidents: {said['incidents']}"]
    lines += [f"  {each['slo']}: {each['verdict']}" for each in said["slos"] if each["verdict"] != "kept"]
    return "\n".join([*lines, *written[:2]])
