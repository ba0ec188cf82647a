"""`burnline alerts`: what fires now, what fired lately, and, following the topic, what comes.

Rows are asked of ClickHouse in plain SQL; what follows is read from slo.alerts, as every receiver reads it.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands import alerts_notes, alerts_replay, alerts_silence, alerts_test_route
from pipeline.commands.fleet import COLOURS, labelled
from pipeline.commands.screen import harmless, screen
from pipeline.commands.status import Json, print_json, rows, shown
from pipeline.commands.tables import Table
from pipeline.delivery.words_figures import lasting
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.delivery.notification import AlertEvent

ALERTS_SQL = """\
SELECT slo, instance, kind, severity, fired_at, resolved_at, peak_burn_rate, detection_delay_ms, exemplar_trace_ids,
       dedup_key, acknowledged_by, notes, reason, runbook
FROM alert_log
WHERE ({slo:String} = '' OR slo = {slo:String}) AND ({firing:UInt8} = 0 OR isNull(resolved_at))
ORDER BY isNull(resolved_at) DESC, fired_at DESC LIMIT {limit:UInt32}"""
POLL_S = 0.5
COLUMNS = ("SLO", "instance", "kind", "severity", "fired", "cleared", "peak burn", "delay", "who", "traces")
SPARE = ("delay", "traces", "kind", "who", "peak burn")

app = typer.Typer(
    help="Alerts: those that fire, those that fired, silences, acknowledgements and notes, and what would have paged."
)


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many: those that fire, then the newest")] = 50,
    slo: Annotated[str, typer.Option(help="of this SLO only")] = "",
    firing: Annotated[bool, typer.Option("--firing", help="only those that fire now")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on, a line an event as it comes")] = False,
    as_json: Json = False,
) -> None:
    """Alerts, what fires now on top: of what, since when, how fast the budget burnt, who has acknowledged it."""
    if context.invoked_subcommand:
        return
    if follow:
        _follow(Settings(), slo, as_json)
        return
    found = rows(ALERTS_SQL, limit=limit, slo=slo, firing=int(firing))
    if as_json:
        print_json(found)
        return
    screen().print(alerts_table(found))


def alerts_table(found: list[dict[str, Any]]) -> Table:
    """Lay out rows of alert_log for people."""
    table = Table(*COLUMNS, spare=SPARE)
    for row in found:
        severity = row["severity"].lower()
        if not row["resolved_at"] and severity in COLOURS:
            severity = f"[{COLOURS[severity]}]{severity}[/{COLOURS[severity]}]"
        first, *more = row["exemplar_trace_ids"] or ["-"]
        traces = f"{first} +{len(more)}" if more else first
        cleared = shown(row["resolved_at"]) if row["resolved_at"] else "[red]still firing[/red]"
        notes = f" ({len(row['notes'])} notes)" if row["notes"] else ""
        table.add_row(
            row["slo"], labelled(row["instance"]), row["kind"].lower().replace("_", " "), severity,
            shown(row["fired_at"]), cleared, shown(row["peak_burn_rate"], "factor"),
            _lasting_ms(row["detection_delay_ms"]), f"{row['acknowledged_by'] or '-'}{notes}", traces,
        )  # fmt: skip
    return table


def _lasting_ms(delay_ms: float | None) -> str:
    return shown(None) if delay_ms is None else lasting(delay_ms / 1000)


def _follow(settings: Settings, slo: str, as_json: bool) -> None:
    """Print each event as it comes: its title, or one JSON object a line."""
    for event in incoming(settings):
        if slo in {"", event.slo}:
            title = titled(event)
            told = {"title": title, **event.columns}
            typer.echo(json.dumps(told) if as_json else harmless(f"{shown_second(event)}  {title}"))


def titled(event: "AlertEvent") -> str:
    """Its title; of times that are none only what whoever wrote it said."""
    from pipeline.delivery.words import notification_of, words

    try:
        return words(notification_of(event)).title
    except (OverflowError, ValueError):
        return f"[{event.severity.name}] {event.slo}: {event.reason}"


def shown_second(event: "AlertEvent") -> str:
    """The judged second, for people; one that no calendar has as it is."""
    from pipeline.periods import EPOCH

    try:
        return f"{EPOCH.fromtimestamp(event.sequence, EPOCH.tzinfo):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return f"second {event.sequence}"


def incoming(settings: Settings) -> Iterator["AlertEvent"]:
    """Read slo.alerts from its end on, for ever; what cannot be decoded is left to the store, which keeps it.

    Raises: typer.Exit with 1, after saying why, when Kafka or the registry cannot be used.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    from pipeline.blocks import Malformed, decode
    from pipeline.delivery.notification import AlertEvent
    from pipeline.framing import SINGLE_OBJECT, UnknownSchema
    from pipeline.sources import registry
    from pipeline.topics import ALERTS, cluster, confluent_config, topic_name

    topic, url = topic_name(settings, ALERTS), settings.schema_registry_url
    consumer: Any = None
    try:
        framing = registry.framing(url, topic, {topic: "burn_rate_alert"}) if url else SINGLE_OBJECT
        seen = cluster(settings)[1].topics.get(topic)
        options = {"group.id": "burnline-alerts", "enable.auto.commit": False, "isolation.level": "read_committed"}
        consumer = Consumer({**confluent_config(settings), **options})
        partitions = [TopicPartition(topic, number) for number in (seen.partitions if seen else ())]
        for each in partitions:
            each.offset = consumer.get_watermark_offsets(each, timeout=10.0)[1]
        consumer.assign(partitions)
        typer.echo(f"following {topic}, {len(partitions)} partitions; Ctrl-C ends", err=True)
        while True:
            message = consumer.poll(POLL_S)
            if message is None or message.error() or message.value() is None:
                continue
            try:
                yield AlertEvent.of(decode("burn_rate_alert", message.value(), framing))
            except (Malformed, UnknownSchema, KeyError, ValueError) as error:
                typer.echo(f"an event of {topic} cannot be read: {error}", err=True)
    except (KafkaException, registry.RegistryError) as error:
        typer.echo(f"{error}\n  -> `burnline doctor` says what is wrong with the set-up", err=True)
        raise typer.Exit(1) from error
    finally:
        if consumer is not None:
            consumer.close()


app.command("silence")(alerts_silence.silence)
app.command("silences")(alerts_silence.silences)
app.command("unsilence")(alerts_silence.unsilence)
app.command("ack")(alerts_notes.ack)
app.command("note")(alerts_notes.note)
app.command("replay")(alerts_replay.replay)
app.command("test-route")(alerts_test_route.test_route)
