"""`burnline change`: tell of a deploy, a knob, a maintenance; and what was told.

A change is a record of inference.changes, as anybody else may write one. It is told when the broker has it; the store
keeps it within seconds. Told again with the same name it is the same change, so a pipeline that runs twice may say so.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.table import Table

from pipeline.commands import change_compare
from pipeline.commands.alerts_silence import moment
from pipeline.commands.screen import harmless, screen
from pipeline.commands.status import Json, print_json, rows, shown
from pipeline.periods import us_of
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.framing import Framing

ACK_S = 30.0  #: the broker takes a record within so long, or the command fails
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
    from pipeline import changes

    before, after = knobs_of(knobs or [])
    now = datetime.now(UTC)
    told: dict[str, Any] = {
        "at": us_of(moment("--at", at) if at else now), "kind": _kind(kind), "service": service, "title": title,
        "request_model": model or None, "variant": variant or None, "region": region or None, "before": before,
        "after": after, "actor": actor, "url": url or None, "until": us_of(moment("--until", until)) if until else None,
        "config_epoch": epoch or changes.epoch_of(variant, after),
    }  # fmt: skip
    told["change_id"] = name or changes.id_of(told)
    if (found := changes.flaw(told, us_of(now))) is not None:
        raise typer.BadParameter(found.detail, param_hint=OPTIONS.get(found.field, f"--{found.field}"))
    _fits(told)
    send(Settings(), told)
    if as_json:
        print_json([{**told, "at": _time(told["at"]), "until": _time(told["until"])}])
        return
    typer.echo(
        harmless(f"{told['change_id']}: {kind.lower()} of {service} from {shown(_time(told['at']))} UTC on: {title}")
    )


def _fits(told: Mapping[str, Any]) -> None:
    """Refuse what is too large for a record, as ingest would, behind our back.

    Raises: typer.BadParameter.
    """
    from pipeline.blocks import encode
    from pipeline.changes import SCHEMA
    from pipeline.foreign import VALUE_BYTES_MOST
    from pipeline.framing import SINGLE_OBJECT

    length = len(encode(SCHEMA, told, SINGLE_OBJECT))  # whose header is no shorter than a registry's
    if length > VALUE_BYTES_MOST:
        why = (
            f"all of it has {length:,} bytes, more than {VALUE_BYTES_MOST:,} -> tell of fewer knobs, or of shorter ones"
        )
        raise typer.BadParameter(why, param_hint="--set")


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


def send(settings: Settings, told: Mapping[str, Any]) -> None:
    """Write a change, and wait until the broker has it.

    Raises: TopicsError when Kafka cannot be used; typer.Exit with 1, after saying why, when it does not take it.
    """
    from confluent_kafka import Producer

    from pipeline.blocks import encode
    from pipeline.changes import SCHEMA
    from pipeline.topics import confluent_config

    topic, refusals = _topic(settings), list[str]()
    options = {"enable.idempotence": True, "message.timeout.ms": round(ACK_S * 1000), "client.id": "burnline-change"}
    producer = Producer({**confluent_config(settings), **options})
    producer.produce(
        topic, encode(SCHEMA, told, _framing(settings, topic)), told["service"].encode(),
        on_delivery=lambda error, _: refusals.append(error.str()) if error else None,
    )  # fmt: skip
    if producer.flush(2 * ACK_S):
        refusals.append(f"no answer within {2 * ACK_S:.0f} s")
    if refusals:
        _fail(f"{topic} does not take the change: {refusals[0]}")


def _topic(settings: Settings) -> str:
    """Look whether we may write there at all: the client would try for long, and not say why.

    Raises: TopicsError.
    """
    from pipeline import grants, topics

    topic = topics.topic_name(settings, topics.CHANGES)
    admin, seen = topics.cluster(settings)
    if refused := grants.missing(admin, grants.change_writer(settings)):
        raise topics.TopicsError(grants.refusal(refused))
    if topic not in seen.topics:
        raise topics.TopicsError(f"topics are missing: {topic}. Run `burnline migrate`")
    return topic


def _framing(settings: Settings, topic: str) -> "Framing":
    from pipeline.changes import SCHEMA
    from pipeline.framing import SINGLE_OBJECT
    from pipeline.sources import registry

    url = settings.schema_registry_url
    try:
        return registry.framing(url, topic, {topic: SCHEMA}) if url else SINGLE_OBJECT
    except registry.RegistryError as error:
        _fail(str(error))


def _fail(why: str) -> NoReturn:
    typer.echo(f"{why}\n  -> `burnline doctor` says what is wrong with the set-up", err=True)
    raise typer.Exit(1)


def _kind(text: str) -> str:
    from pipeline.changes import KINDS
    from pipeline.spec.scalars import listed, nearest

    if text.upper() in KINDS:
        return text.upper()
    known = [kind.lower() for kind in KINDS]
    meant = nearest(text.lower(), known)
    remedy = f"did you mean {meant}?" if meant else f"write one of {listed(known)}"
    raise typer.BadParameter(f"{text!r} is no kind of change -> {remedy}", param_hint="--kind")


def _since(text: str) -> datetime:
    from pipeline.spec import scalars
    from pipeline.spec.problems import Refused

    try:
        return datetime.now(UTC) - timedelta(microseconds=scalars.duration(text))
    except Refused:
        return moment("--since", text)


def _time(time_us: int | None) -> datetime | None:
    return None if time_us is None else datetime.fromtimestamp(time_us / 1e6, UTC)
