"""`burnline tail`: inference events as they come, each a line, decoded from Kafka and never more than can be read."""

import json
import math
import time
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pipeline.commands.following import Batch, follow, until_interrupted
from pipeline.commands.screen import screen
from pipeline.commands.status import Json
from pipeline.delivery.words_figures import quickly
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.framing import Framing

SCHEMA = "inference_event"
#: outcome -> colour
OUTCOMES = {
    "SUCCESS": "green", "ERROR": "red", "TIMEOUT": "red", "SHED": "yellow", "RATE_LIMITED": "yellow",
    "REJECTED": "yellow", "CANCELLED": "cyan", "UNKNOWN": "dim",
}  # fmt: skip


class Choice(NamedTuple):
    """Which events; empty: all."""

    service: str = ""
    model: str = ""
    tenant: str = ""
    outcomes: frozenset[str] = frozenset()

    def fits(self, event: dict[str, Any]) -> bool:
        wanted = (("service", self.service), ("request_model", self.model), ("tenant_id", self.tenant))
        if any(value and event[name] != value for name, value in wanted):
            return False
        return not self.outcomes or event["outcome"] in self.outcomes


class Room:
    """How many lines a second may still be shown; and how many were not since the last second began."""

    def __init__(self, most: int) -> None:
        """0: any number."""
        self._most, self._second, self._used, self._held = most, -1, 0, 0

    def takes(self, now_s: float) -> bool:
        """Whether there is room for one more."""
        if int(now_s) != self._second:
            self._second, self._used = int(now_s), 0
        self._used += 1
        is_room = not self._most or self._used <= self._most
        self._held += not is_room
        return is_room

    def held(self, now_s: float) -> int:
        """How many had no room, once their second is over."""
        if int(now_s) == self._second:
            return 0
        held, self._held = self._held, 0
        return held


def tail(
    service: Annotated[str, typer.Option(help="only of this service")] = "",
    model: Annotated[str, typer.Option(help="only of this request_model")] = "",
    tenant: Annotated[str, typer.Option(help="only of this tenant_id")] = "",
    outcome: Annotated[list[str] | None, typer.Option(help=f"only these: {', '.join(OUTCOMES).lower()}")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="end after so many; 0: never")] = 0,
    most: Annotated[int, typer.Option(min=0, help="most lines a second; the rest is counted. 0: any number")] = 100,
    as_json: Json = False,
) -> None:
    """Inference events as they come, decoded from Kafka, until Ctrl-C.

    Reads from the end on, joins no consumer group, and holds nobody up: who cannot keep up is put to the end again.

    \b
    burnline tail --service chat
    burnline tail --model llama-3-70b --outcome error --outcome timeout
    burnline tail -n 1 --json | jq .                           one event with all its fields
    burnline tail --most 0 --json | jq -r .tenant_id | sort | uniq -c
    """
    wanted = frozenset(word.upper() for word in outcome or ())
    if odd := sorted(wanted - set(OUTCOMES)):
        raise typer.BadParameter(f"{odd[0]!r} is none of {', '.join(OUTCOMES).lower()}", param_hint="--outcome")
    with until_interrupted():
        _show(Settings(), Choice(service, model, tenant, wanted), Room(most), count, as_json)


def _show(settings: Settings, choice: Choice, room: Room, count: int, as_json: bool) -> None:
    from pipeline.topics import EVENTS, topic_name

    topic = topic_name(settings, EVENTS)
    framing, console, shown = _framing(settings, topic), screen(), 0
    for at, batch in enumerate(follow(settings, topic)):
        if not at:
            typer.echo(f"following {topic}; Ctrl-C ends", err=True)
        for event in events_of(batch, framing):
            if choice.fits(event) and room.takes(time.monotonic()):
                _print(event, console, as_json)
                shown += 1
                if count and shown >= count:
                    return
        if held := room.held(time.monotonic()):
            typer.echo(f"{held:,} more fit, and were not shown; --most 0 shows all", err=True)
        if batch.left_out:
            typer.echo(f"{batch.left_out:,} events were left out: they come faster than they are read here", err=True)


def _framing(settings: Settings, topic: str) -> "Framing":
    """What the registry knows of events; nothing is registered."""
    from pipeline.framing import SINGLE_OBJECT
    from pipeline.sources import registry

    url = settings.schema_registry_url
    return registry.framing(url, topic, {}) if url else SINGLE_OBJECT


def events_of(batch: Batch, framing: "Framing") -> list[dict[str, Any]]:
    """Decode the records of a batch; what cannot be decoded is told, and left to ingest, which puts it aside."""
    found: list[dict[str, Any]] = []
    unreadable: list[str] = []
    for record in batch.records:
        try:
            found.append(decoded(record.value() or b"", framing))
        except Exception as error:  # whatever a decoder raises for bytes that are no event
            unreadable.append(f"{type(error).__name__}: {error}")
    if unreadable:
        typer.echo(f"{len(unreadable)} records are no events: {unreadable[0][:200]}", err=True)
    return found


def decoded(value: bytes, framing: "Framing") -> dict[str, Any]:
    """Read one event as its newest schema has it.

    Raises: UnknownSchema, ValueError, and whatever fastavro raises for bytes that do not fit their schema.
    """
    from fastavro import schemaless_reader

    from schemas import avro_text

    writer, start = framing.split(SCHEMA, value)
    avro = BytesIO(value[start:])
    found = schemaless_reader(avro, _parsed(writer), _parsed(avro_text(SCHEMA)), handle_unicode_errors="replace")
    if left := avro.read():
        raise ValueError(f"{len(left)} bytes come after the event")
    assert isinstance(found, dict)
    return found


@cache
def _parsed(text: str) -> Any:
    """A schema without `uuid`: an id that is none is shown as it is."""
    from fastavro import parse_schema

    schema = json.loads(text)
    for field in schema["fields"]:
        if isinstance(field["type"], dict) and field["type"].get("logicalType") == "uuid":
            field["type"] = field["type"]["type"]
    return parse_schema(schema)


def _print(event: dict[str, Any], console: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(as_json_text(event))
    else:
        console.print(line(event), soft_wrap=True)


def as_json_text(event: dict[str, Any]) -> str:
    """Write an event as one line of JSON, which has no numbers but finite ones: others are null."""
    finite = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in event.items()}
    return json.dumps(finite, default=_plain, allow_nan=False)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def line(event: dict[str, Any]) -> str:
    """Write an event as a line: when, how it ended, where, who, how long, how much."""
    colour = OUTCOMES[event["outcome"]]
    why = _joined((event["http_status"], event["error_type"], event["drop_reason"]))
    tokens = f"{_known(event['input_tokens'])} -> {_known(event['output_tokens'])} tokens"
    return "  ".join((
        f"{event['completed_at']:%H:%M:%S.%f}"[:-3],
        f"[{colour}]{event['outcome']:<12}[/{colour}]",
        _joined((event["service"], event["request_model"], event["region"], event["tenant_id"])),
        f"e2e {quickly(event['e2e_us'])}",
        f"ttft {_known(event['ttft_us'], quickly)}",
        tokens, *([why] if why else []), f"[dim]{event['request_id']}[/dim]",
    ))  # fmt: skip


def _known(value: Any, shown: Any = str) -> str:
    return "-" if value is None else shown(value)


def _joined(parts: Iterable[Any]) -> str:
    return " ".join(str(part) for part in parts if part not in {None, ""})
