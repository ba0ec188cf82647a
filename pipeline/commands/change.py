"""`burnline change`: tell of a deploy, a knob, a maintenance; and what was told.

A change is a record of inference.changes, as anybody else may write one. It is told when the broker has it; the store
keeps it within seconds. Told again with the same name it is the same change, so a pipeline that runs twice may say so.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from pipeline.commands import change_compare
from pipeline.commands.alerts_silence import moment
from pipeline.commands.screen import harmless, screen
from pipeline.commands.status import Json, print_json, rows, shown
from pipeline.commands.tables import Table
from pipeline.periods import us_of
from pipeline.settings import Settings

COLON = "\0"  #: stands for an escaped one

LIST_SQL = """\
SELECT at, until, kind, service, request_model, variant, region, title, knobs, actor, url, config_epoch, change_id
FROM config_changes
WHERE at >= {since:DateTime64(6, 'UTC')} AND ({service:String} = '' OR service = {service:String})
ORDER BY at DESC, change_id LIMIT {limit:UInt32}"""

app = typer.Typer(no_args_is_help=True, help="Tell of deploys and other changes, list and compare them.")
app.command("compare")(change_compare.compare)


@app.command()
def add(
    service: Annotated[str, typer.Option(help="which service, as its events name it")],
    kind: Annotated[str, typer.Option(help="deploy, rollback, knob, scale, maintenance, price or note")],
    title: Annotated[str, typer.Option(help="in a few words, as people are to read it in a notification")],
    model: Annotated[str, typer.Option(help="only of this model; of all when it is not said")] = "",
    variant: Annotated[str, typer.Option(help="only of this variant")] = "",
    region: Annotated[str, typer.Option(help="only in this region")] = "",
    knobs: Annotated[
        list[str] | None,
        typer.Option("--set", help=r"knob=after or knob=before:after; repeatable; a colon in a value is written \:"),
    ] = None,
    at: Annotated[str, typer.Option(help="from when on, such as 2026-11-26T18:00Z; now when it is not said")] = "",
    until: Annotated[str, typer.Option(help="until when, as of a maintenance")] = "",
    url: Annotated[str, typer.Option(help="where to read more")] = "",
    actor: Annotated[str, typer.Option(help="who did it")] = "",
    name: Annotated[str, typer.Option("--id", help="its name; made of all that is said when it is not given")] = "",
    epoch: Annotated[str, typer.Option(help="the configuration behind it; the variant, or a hash of the knobs")] = "",
    as_json: Json = False,
) -> None:
    """Tell of a change, and return once the broker has it.

    \b
    burnline change add --service chat --kind deploy --title "vllm 0.9.1" --id "$RUN_ID" --url "$RUN_URL"
    burnline change add --service chat --kind knob --title "larger batches" --set max_num_seqs=256:512
    burnline change add --service chat --kind maintenance --title "new switch" --until 2026-11-26T04:00Z
    """
    from pipeline import changes, grants
    from pipeline.publishing import Writer
    from pipeline.topics import CHANGES

    before, after = knobs_of(knobs or [])
    told, flaws = changes.drafted({
        "change_id": name, "at": us_of(moment("--at", at)) if at else None, "kind": kind, "service": service,
        "title": title, "request_model": model or None, "variant": variant or None, "region": region or None,
        "before": before, "after": after, "actor": actor, "url": url or None,
        "until": us_of(moment("--until", until)) if until else None, "config_epoch": epoch or None,
    }, us_of(datetime.now(UTC)))  # fmt: skip
    if flaws:
        raise typer.BadParameter(flaws[0].detail, param_hint=OPTIONS.get(flaws[0].field, f"--{flaws[0].field}"))
    settings = Settings()
    Writer(settings, CHANGES, changes.SCHEMA, grants.change_writer(settings)).write([(service, told)])
    if as_json:
        print_json([{**told, "at": _time(told["at"]), "until": _time(told["until"])}])
        return
    typer.echo(
        harmless(f"{told['change_id']}: {kind.lower()} of {service} from {shown(_time(told['at']))} UTC on: {title}")
    )


#: field -> option, where they differ
OPTIONS = {
    "change_id": "--id",
    "request_model": "--model",
    "before": "--set",
    "after": "--set",
    "config_epoch": "--epoch",
}


@app.command("list")
def list_(
    service: Annotated[str, typer.Option(help="only of this service")] = "",
    since: Annotated[str, typer.Option(help="since when: 7d, 12h, or a time such as 2026-11-26T18:00Z")] = "7d",
    limit: Annotated[int, typer.Option(min=1, help="most of them, the newest")] = 100,
    as_json: Json = False,
) -> None:
    """List changes, the newest first."""
    found = rows(LIST_SQL, since=_since(since), service=service, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        screen().print(f"[dim]no changes since {shown(_since(since))} UTC[/dim]")
        return
    table = Table("at", "kind", "service", "only of", "title", "knobs", "who", "until", "id")
    for row in found:
        scope = " ".join(row[label] for label in ("request_model", "variant", "region") if row[label])
        until = "-" if row["until"] is None else shown(row["until"])
        table.add_row(
            shown(row["at"]), row["kind"].lower(), row["service"], scope or "-", row["title"],
            ", ".join(row["knobs"]) or "-", row["actor"] or "-", until, row["change_id"],
        )  # fmt: skip
    screen().print(table)


def knobs_of(given: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    r"""Read knob=after and knob=before:after; `\:` is a colon of a value.

    Raises: typer.BadParameter, with what to write instead.
    """
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for text in given:
        knob, equals, values = text.replace(r"\:", COLON).partition("=")
        first, *rest = values.split(":")
        if not knob or not equals or len(rest) > 1 or knob in after:
            remedy = r"write knob=after or knob=before:after, each knob once; a colon in a value is written \:"
            raise typer.BadParameter(f"{text!r} is no knob -> {remedy}", param_hint="--set")
        if rest:
            before[knob] = first.replace(COLON, ":")
        after[knob] = (rest[0] if rest else first).replace(COLON, ":")
    return before, after


def _since(text: str) -> datetime:
    from pipeline.spec import scalars
    from pipeline.spec.problems import Refused

    try:
        return datetime.now(UTC) - timedelta(microseconds=scalars.duration(text))
    except Refused:
        return moment("--since", text)


def _time(time_us: int | None) -> datetime | None:
    return None if time_us is None else datetime.fromtimestamp(time_us / 1e6, UTC)
