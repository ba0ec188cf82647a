"""`burnline alerts replay`: what would have paged with a definition, out of stored counts or the log of events.

Asks ClickHouse; judges nothing itself: `pipeline.rehearsal` plays counts through the real judge. With incidents that
people marked, it says which pages were right, which incidents somebody was paged for, and after how many minutes.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pipeline.commands.screen import screen
from pipeline.commands.slo_output import print_json, print_problems
from pipeline.commands.status import Json, rows
from pipeline.commands.tables import Table
from pipeline.periods import EPOCH, in_zone

if TYPE_CHECKING:
    from pipeline.alerts import AlertPolicy, Composed
    from pipeline.commands.alerts_recount import Recounted
    from pipeline.rehearsal.history import Period
    from pipeline.rehearsal.paging import Incident, Weighed
    from pipeline.rehearsal.playing import Told
    from pipeline.spec import Slo, SloSet

SEVERITIES = ("info", "warning", "critical")
PAGES_SHOWN = 20
DAY_S = 86_400

INSTANCES_SQL = """\
SELECT instance, sum(bad) AS bad FROM slo_counts_1h WHERE slo = {slo:String} AND revision = {counted:String}
AND slice_start >= fromUnixTimestamp({first:Int64}) AND slice_start < fromUnixTimestamp({until:Int64})
GROUP BY instance ORDER BY bad DESC, instance"""


def replay(
    slo: Annotated[Path, typer.Option("--slo", exists=True, help="SLO file or directory: the definition")],
    start: Annotated[str, typer.Option("--from", help="begin of the time to tell of; ISO 8601, UTC")],
    end: Annotated[str, typer.Option("--to", help="its end; now when it is not said")] = "",
    incidents: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CSV or YAML: start, end, and perhaps name and slo")
    ] = None,
    severity: Annotated[
        str, typer.Option(help="what pages: from this severity on: critical, warning or info")
    ] = "critical",
    instances: Annotated[int, typer.Option(min=1, max=10_000, help="how many instances to play, worst first")] = 100,
    recount: Annotated[
        bool, typer.Option("--recount", help="count anew what the log of events still holds: of what nobody counts yet")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell what would have paged with a definition, how much of that was right, and how soon."""
    from pipeline.spec import load

    if severity not in SEVERITIES:
        raise typer.BadParameter(f"{severity!r} is none of {', '.join(SEVERITIES)}", param_hint="--severity")
    asked = Asked(*_span(start, end), severity.upper(), _marked(incidents), instances)
    found = load([slo])
    if found.problems:
        print_problems(found.problems, to_stderr=True)
        raise typer.Exit(1)
    counted = _recounted(found, asked) if recount else None
    told = [_told(each.name, each.policy, asked, counted, partial(_of_slo, each)) for each in found.slos]
    told += [_told(whole.watched.objective.name, whole.watched.policy, asked, counted, partial(_of_composite, whole))
             for whole in found.composed]  # fmt: skip
    if as_json:
        print_json(told)
        return
    _print(told, severity)


class Asked(NamedTuple):
    """What is to be told."""

    since: int
    until: int
    severity: str
    marked: "Sequence[Incident]"
    most: int  # instances


NOTHING = "nothing is stored of what it counts; with --recount it is counted anew, as far as the log reaches back"
UNSEEN = "the log has no event that it counts"
UNALERTED = "does not alert"


def _span(start: str, end: str) -> tuple[int, int]:
    """Read the time to tell of, in whole minutes."""
    moments = []
    for option, text in (("--from", start), ("--to", end)):
        try:
            at = datetime.fromisoformat(text) if text else datetime.now(UTC)
        except ValueError as error:
            raise typer.BadParameter(f"{text!r} is no time -> write 2026-11-20T00:00Z", param_hint=option) from error
        moments.append(int(in_zone(at).timestamp()) // 60 * 60)
    since, until = moments
    if since >= until:
        raise typer.BadParameter("must be later than --from", param_hint="--to")
    return since, until


def _marked(file: Path | None) -> "list[Incident]":
    from pipeline.rehearsal.paging import incidents_of

    try:
        return incidents_of(file.read_text(encoding="utf-8"), file.suffix.lower() == ".csv") if file else []
    except (ValueError, OSError) as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(1) from error


class Alerted(NamedTuple):
    """The alerts of some of so many instances."""

    instances: int
    alerts: "dict[str, tuple[Told, ...]]"


Play = Callable[["Period", int, "Recounted | None"], Alerted]


def _told(name: str, policy: "AlertPolicy", asked: Asked, recounted: "Recounted | None", play: Play) -> dict[str, Any]:
    """Play one SLO, and weigh what would have paged."""
    from pipeline.alerts import Severity
    from pipeline.rehearsal.paging import pages_of, weigh

    if not policy.pairs:
        return {"slo": name, "text": UNALERTED}
    period = _period(policy, asked)
    many, judged = play(period, asked.most, recounted)
    if not many:
        return {"slo": name, "text": NOTHING if recounted is None else UNSEEN}
    least = Severity[asked.severity]
    pages = [page for instance, alerts in judged.items() for page in pages_of(instance, alerts, least)]
    own = [
        each for each in asked.marked
        if each.slo in {"", name} and each.start_s < asked.until and each.end_s > asked.since
    ]  # fmt: skip
    text = "judged out of stored counts" if recounted is None else "judged out of events counted anew"
    left = f"; the {len(judged)} worst of {many} instances" if many > len(judged) else ""
    since = recounted.since if recounted is not None else 0
    short = f"; the log has all of it from {_time(since)} on only" if since > period.first else ""
    return {"slo": name, "text": f"{text}{left}{short}", **_facts(weigh(pages, own), period)}


def _of_slo(slo: "Slo", period: "Period", most: int, recounted: "Recounted | None") -> Alerted:
    """Play the worst instances of an SLO, out of stored counts or of what was counted anew."""
    from pipeline.commands.slo_history import played
    from pipeline.rehearsal.history import judged
    from pipeline.spec import SloSet

    if recounted is None:
        of = {"slo": slo.name, "counted": slo.objective.indicator_revision}
        names = [row["instance"] for row in rows(INSTANCES_SQL, **of, first=period.first, until=period.until)]
        found = played((slo,), of, names[:most], period) if names else {}
        return Alerted(len(names), {name: judged[0].alerts for name, judged in found.items()})
    (watched,) = SloSet((slo,)).watched
    counted = recounted.counted.get(slo.name, {})
    worst = sorted(counted, key=lambda name: (-int(counted[name].bad.sum()), name))[:most]
    alerts = {name: judged(watched, counted[name], recounted.measured, period).alerts for name in worst}
    return Alerted(len(counted), alerts)


def _of_composite(whole: "Composed", period: "Period", _: int, recounted: "Recounted | None") -> Alerted:
    """Play a composite, by what was counted for it of each member: all its instances together."""
    from pipeline.commands.slo_history import measured_in, stored
    from pipeline.rehearsal.history import judged_together, nothing_of

    if recounted is None:
        names = [{"slo": part.name, "counted": part.indicator_revision} for part in whole.parts]
        counted, measured = [stored(of, "", period) for of in names], measured_in(period)
    else:
        counted = [recounted.counted.get(part.name, {}).get("", nothing_of("")) for part in whole.parts]
        measured = recounted.measured
    if not any(len(each.slice_start_s) for each in counted):
        return Alerted(0, {})
    return Alerted(1, {"": judged_together(whole, counted, measured, period).alerts})


def _recounted(found: "SloSet", asked: Asked) -> "Recounted":
    """Count anew what any of the SLOs needs."""
    from rich.console import Console
    from rich.progress import Progress

    from pipeline.commands.alerts_recount import recounted
    from pipeline.commands.worker import compile_kernels
    from pipeline.rehearsal.history import Period
    from pipeline.settings import Settings

    policies = [slo.policy for slo in found.slos] + [whole.watched.policy for whole in found.composed]
    firsts = [_period(policy, asked).first for policy in policies if policy.pairs] or [asked.since]
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("counting anew", total=None)
        settings = Settings()
        compile_kernels(settings)
        whole = Period(min(firsts), asked.since, asked.until)
        return recounted(settings, found, whole, lambda done, every: bar.update(task, completed=done, total=every))


def _period(policy: "AlertPolicy", asked: Asked) -> "Period":
    """Play long enough before, so that no alert window begins empty, as far as it is stored."""
    from pipeline.rehearsal.history import KEPT_S, MINUTE_S, Period

    longest_s = max(pair.long_us // 1_000_000 for pair in policy.pairs)
    now = int(datetime.now(UTC).timestamp())
    first = max(asked.since - longest_s, now - KEPT_S) // MINUTE_S * MINUTE_S
    return Period(min(first, asked.since), asked.since, asked.until)


def _facts(weighed: "Weighed", period: "Period") -> dict[str, Any]:
    """All of it by name, for machines."""
    right = set(weighed.right)
    minutes = [each / 60 for each in weighed.detection_s]
    return {
        "since": _time(period.since), "until": _time(period.until), "pages": len(weighed.pages),
        "pages_a_day": len(weighed.pages) * DAY_S / (period.until - period.since), "right": len(right),
        "precision": weighed.precision, "recall": weighed.recall,
        "minutes_to_detect": {"median": median(minutes), "most": minutes[-1]} if minutes else None,
        "alerts": [
            {**page._asdict(), "fired": _time(page.fired_s),
             "resolved": None if page.resolved_s is None else _time(page.resolved_s),
             "is_right": page in right if weighed.found else None}
            for page in weighed.pages
        ],
        "incidents": [
            {"name": each.incident.name, "start": _time(each.incident.start_s), "end": _time(each.incident.end_s),
             "minutes_to_detect": None if each.after_s is None else each.after_s / 60}
            for each in weighed.found
        ],
    }  # fmt: skip


def _time(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def _print(told: Sequence[dict[str, Any]], severity: str) -> None:

    table = Table("SLO", f"pages ({severity})", "a day", "right", "precision", "incidents found", "minutes to detect")
    for each in told:
        if "pages" not in each:
            table.add_row(each["slo"], each["text"], *["-"] * 5)
            continue
        found = sum(one["minutes_to_detect"] is not None for one in each["incidents"])
        minutes, is_marked = each["minutes_to_detect"], bool(each["incidents"])
        table.add_row(
            each["slo"], str(each["pages"]), f"{each['pages_a_day']:.2g}", str(each["right"]) if is_marked else "-",
            "-" if each["precision"] is None else f"{each['precision']:.0%}",
            f"{found} of {len(each['incidents'])}" if is_marked else "-",
            "-" if minutes is None else f"{minutes['median']:.1f}, at most {minutes['most']:.1f}",
        )  # fmt: skip
    screen().print(table)
    for each in told:
        for line in _lines(each):
            typer.echo(line)


def _lines(told: dict[str, Any]) -> list[str]:
    """Each page, and each incident that nobody was paged for."""
    alerts = told.get("alerts", [])
    marks = {True: "right", False: "wrong", None: ""}
    lines = [
        f"{told['slo']}: {page['fired']} to {page['resolved'] or 'the end'}  {page['instance'] or '-'}  "
        f"{page['severity'].lower()}  {marks[page['is_right']]}".rstrip()
        for page in alerts[:PAGES_SHOWN]
    ]
    if len(alerts) > PAGES_SHOWN:
        lines.append(f"{told['slo']}: and {len(alerts) - PAGES_SHOWN} more pages; --json has all")
    missed = [each for each in told.get("incidents", []) if each["minutes_to_detect"] is None]
    return [
        *lines,
        *(f"{told['slo']}: nobody would have been paged for {each['name']}, {each['start']}" for each in missed),
    ]
