"""Changes over HTTP: one JSON change becomes a record of inference.changes, answered once the broker has it.

Law: what is taken here is what `burnline change add` takes (pipeline/changes.py). Told again with the same change_id
it is the same change, so whoever got no answer tells again. Who may tell has a token of its own: reading is no right
to write. No cookies, and JSON alone: a browser asks before it sends that for another site's page, and is told no.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from pipeline.changes import KINDS, SCHEMA, drafted
from pipeline.foreign import VALUE_BYTES_MOST
from pipeline.grants import change_writer
from pipeline.periods import in_zone, us_of
from pipeline.publishing import Writer
from pipeline.settings import PREFIX
from pipeline.topics import CHANGES, TopicsError
from pipeline.web.answers import Answer, Time, Wrong
from pipeline.web.doors import is_token
from pipeline.web.respond import problem

if TYPE_CHECKING:
    from pipeline.settings import Settings

PATH = "/changes"
KIND = "application/json"
BODY_BYTES_MOST = 2 * VALUE_BYTES_MOST  #: JSON is longer than Avro
CHUNK_BYTES = 1 << 14
BROKER_S = 5.0  #: to find a broker, and for it to take a record
ANSWER_S = 15.0  #: within which there is an answer, whatever the broker does; the door closes after 30 s
WAITING_MOST = 8  #: who wait for the broker at once
RETRY_S = 5.0
VALUE_CHARS_MOST = 60  #: of a value that is repeated
WRONG_MOST = 100  #: that are told: a body holds thousands of wrong fields, and an answer would be fifty times as long
TIME_RULE = "a time is written as 2026-11-26T18:00Z"
TELL_OTHERWISE = "tell of it by `burnline change add`, or by a record of inference.changes"


def _time_of(said: object) -> datetime:
    """Read ISO 8601, in UTC where no zone is said. Raises: ValueError."""
    try:
        found = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        found = None
    if found is None:
        raise ValueError(TIME_RULE)
    return in_zone(found)


Moment = Annotated[datetime, BeforeValidator(_time_of)]
Knobs = dict[str, str]


class Change(Answer):
    """A change, as it is told."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    service: str = Field(description="which service, as its events name it")
    kind: str = Field(description=f"one of {', '.join(kind.lower() for kind in KINDS)}")
    title: str = Field(description="in a few words, as people are to read it in a notification")
    change_id: str = Field(
        "", description="its name: told again it is the same change; made of all that is said without"
    )
    at: Moment | None = Field(None, description="from when on, ISO 8601; now when it is not said")
    until: Moment | None = Field(None, description="until when, as of a maintenance")
    request_model: str | None = Field(None, description="only of this model; of all when it is not said")
    variant: str | None = Field(None, description="only of this variant")
    region: str | None = Field(None, description="only in this region")
    before: Knobs = Field({}, description="knob -> its value until then")
    after: Knobs = Field({}, description="knob -> its value from then on")
    actor: str = Field("", description="who did it: a person, a pipeline, a controller")
    url: str | None = Field(None, description="where to read more")
    config_epoch: str | None = Field(
        None, description="the configuration behind it; the variant, or a hash of the knobs"
    )


class TakenChange(Answer):
    """A change that the broker has; the store keeps it within seconds."""

    change_id: str
    service: str
    kind: str
    at: Time
    config_epoch: str | None


class Refused(ValueError):
    """What was sent is no change; `errors` says all that is wrong with it."""

    def __init__(self, errors: list[Wrong]) -> None:
        super().__init__("; ".join(f"{each.field}: {each.rule}" if each.field else each.rule for each in errors[:3]))
        self.errors = errors


def read(body: bytes, now_us: int) -> dict[str, Any]:
    """Read a change as JSON; return the columns of its record. Raises: Refused."""
    try:
        said = Change.model_validate_json(body)
    except ValidationError as error:
        raise Refused([_wrong(each) for each in error.errors(include_url=False)[:WRONG_MOST]]) from None
    times = {name: None if (at := getattr(said, name)) is None else us_of(at) for name in ("at", "until")}
    scope = {name: getattr(said, name) or None for name in ("request_model", "variant", "region", "url")}
    columns, flaws = drafted({**said.model_dump(), **times, **scope}, now_us)
    if flaws:
        given = said.model_dump(mode="json", exclude_unset=True)
        raise Refused([Wrong(field=each.field, value=_short(given, each.field), rule=each.detail) for each in flaws])
    return columns


def _wrong(error: Mapping[str, Any]) -> Wrong:
    """Say what the JSON's form breaks."""
    field = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return Wrong(field=field, value=None, rule=f"{field} is needed")
    if error["type"] == "extra_forbidden":
        known = ", ".join(Change.model_fields)
        return Wrong(field=field, value=_shown(error["input"]), rule=f"no field of a change; these are: {known}")
    said = error["ctx"]["error"] if error["type"] == "value_error" else error["msg"]
    return Wrong(field=field, value=_shown(error["input"]), rule=str(said))


def _short(given: Mapping[str, Any], field: str) -> str | None:
    return _shown(given[field]) if field in given else None


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= VALUE_CHARS_MOST else f"{text[:VALUE_CHARS_MOST]}.."


class Telling:
    """Takes changes, where a site allows it."""

    def __init__(
        self, settings: "Settings", has_brokers: bool, now: Callable[[], datetime], broker_s: float = BROKER_S
    ) -> None:
        """`has_brokers`: whether it was said where Kafka is. Raises: SettingsError."""
        self._settings, self._now, self._broker_s = settings, now, broker_s
        self._token = settings.secret("http_write_token")
        self._closed = _closed(has_brokers, settings.takes_changes)
        self._threads = ThreadPoolExecutor(1, "changes")  # not those that the page's answers need
        self._writer: Writer | None = None
        self._waiting = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a POST."""
        if self._closed:
            return problem(501, self._closed)
        if self._token and not is_token(request.headers.get("Authorization", ""), self._token):
            refused = problem(401, f"the bearer token of {PREFIX}HTTP_WRITE_TOKEN_FILE is needed")
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        if request.content_type != KIND or "Content-Encoding" in request.headers:
            return problem(415, f"a change is sent as Content-Type: {KIND}, and not packed")
        if (body := await _body(request)) is None:
            return problem(413, f"a change has at most {BODY_BYTES_MOST:,} bytes")
        try:
            columns = read(body, us_of(self._now()))
        except Refused as refusal:
            return problem(422, str(refusal), errors=refusal.errors)
        try:
            await self._tell(columns)
        except TopicsError as error:
            return problem(503, str(error), retry_after_s=RETRY_S)
        return _taken(columns)

    async def _tell(self, columns: Mapping[str, Any]) -> None:
        """Return once the broker has it. Raises: TopicsError."""
        if self._waiting >= WAITING_MOST:
            raise TopicsError("too many wait for Kafka; tell again later")
        self._waiting += 1
        writing = asyncio.get_running_loop().run_in_executor(self._threads, self._write, columns)
        try:
            async with asyncio.timeout(ANSWER_S):
                await writing
        except TimeoutError:
            raise TopicsError("Kafka does not answer: whether it has the change is not known; tell again") from None
        finally:
            self._waiting -= 1

    def _write(self, columns: Mapping[str, Any]) -> None:
        """Write a record; after a failure the next one looks anew what is wrong. Raises: TopicsError."""
        writer, self._writer = self._writer, None
        if writer is None:
            needed = change_writer(self._settings)
            writer = Writer(self._settings, CHANGES, SCHEMA, needed, ack_s=self._broker_s, timeout_s=self._broker_s)
        writer.write([(columns["service"], columns)])
        self._writer = writer

    def close(self) -> None:
        """Take no more; what is being written is written."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._writer = None


def _closed(has_brokers: bool, takes_changes: bool) -> str:
    """Say why no changes are taken here; the empty string: they are."""
    if not has_brokers:
        return f"nothing can be told here: {PREFIX}KAFKA_BROKERS is not set. Tell a worker's port, or {TELL_OTHERWISE}"
    if not takes_changes:
        return f"nobody may tell of changes here: set {PREFIX}HTTP_WRITE_TOKEN_FILE, or {TELL_OTHERWISE}"
    return ""


async def _body(request: web.Request) -> bytes | None:
    """Read a body; None: it is too long."""
    found = bytearray()
    async for chunk in request.content.iter_chunked(CHUNK_BYTES):
        found += chunk
        if len(found) > BODY_BYTES_MOST:
            return None
    return bytes(found)


def _taken(columns: Mapping[str, Any]) -> web.Response:
    told = {name: columns[name] for name in ("change_id", "service", "kind", "config_epoch")}
    said = TakenChange(**told, at=datetime.fromtimestamp(columns["at"] / 1e6, UTC))
    return web.Response(body=said.model_dump_json().encode(), status=201, content_type=KIND)
