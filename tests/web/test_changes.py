"""Changes over HTTP: what the command takes is taken here, what it refuses is refused with every reason at once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typer.testing import CliRunner

from pipeline import changes
from pipeline.commands.change import app
from pipeline.embedded import EmbeddedKafka
from pipeline.settings import Settings
from pipeline.topics import CHANGES
from pipeline.web.changes import BODY_BYTES_MOST, PATH, Refused, Telling, read
from pipeline.web.server import Endpoints, Health, Server
from pipeline.web.site import API, Site
from tests.agents.delivering import make_topic
from tests.jobs.consumed import consumed

NOW_US = 1_795_000_000_000_000
NOWHERE = {"kafka_brokers": "127.0.0.1:1", "clickhouse_url": "clickhouse://nobody@127.0.0.1:1/burnline"}
MINIMAL = {"service": "chat", "kind": "deploy", "title": "vllm 0.9.1"}
WRITER = {"Authorization": "Bearer sesame", "Content-Type": "application/json"}
SETTINGS = Settings(**NOWHERE, http_write_token=SecretStr("sesame"))

Asking = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def asked(settings: Settings, ask: Asking, has_brokers: bool = True, token: str | None = None) -> httpx.Response:
    """Ask a site's own port."""

    async def work() -> httpx.Response:
        site = Site(settings, dict, has_brokers=has_brokers)
        server = Server(Endpoints(None, Health, Health, site), "127.0.0.1:0", token)
        await server.start()
        try:
            async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
                return await ask(client)
        finally:
            await server.stop()

    return asyncio.run(work())


def posted(body: bytes, headers: dict[str, str] | None = None, path: str = API + PATH) -> Asking:
    return lambda client: client.post(path, content=body, headers=WRITER if headers is None else headers)


def whole(**fields: Any) -> bytes:
    return json.dumps({**MINIMAL, **fields}).encode()


def wrong(body: bytes) -> dict[str, tuple[str | None, str]]:
    """Everything that is wrong, by field."""
    with pytest.raises(Refused) as refused:
        read(body, NOW_US)
    return {each.field: (each.value, each.rule) for each in refused.value.errors}


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        pytest.param(whole(), {}, 401, "HTTP_WRITE_TOKEN_FILE", id="nobody"),
        pytest.param(whole(), {"Authorization": "Bearer sesam"}, 401, "HTTP_WRITE_TOKEN_FILE", id="nearly the token"),
        pytest.param(whole(), {**WRITER, "Content-Type": "text/plain"}, 415, "application/json", id="as a form would"),
        pytest.param(whole(), {"Authorization": WRITER["Authorization"]}, 415, "application/json", id="of no type"),
        pytest.param(whole(), {**WRITER, "Content-Encoding": "gzip"}, 415, "not packed", id="packed"),
        pytest.param(b" " * (BODY_BYTES_MOST + 1), WRITER, 413, "at most", id="too long"),
        pytest.param(b" " * BODY_BYTES_MOST, WRITER, 422, "JSON", id="as long as may be, and nothing in it"),
        pytest.param(b"{", WRITER, 422, "JSON", id="no JSON"),
        pytest.param(b"[]", WRITER, 422, "", id="no object"),
        pytest.param(b'{"service": "\\ud800"}', WRITER, 422, "", id="half a character"),
        pytest.param(whole(kind="deplyo"), WRITER, 422, "did you mean deploy?", id="no kind"),
    ],
)
def test_what_is_refused_is_refused_before_kafka_is_asked(
    body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    answer = asked(SETTINGS, posted(body, headers))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]
    assert ("errors" in answer.json()) == (status == 422)
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


def test_nobody_is_let_in_where_no_token_is_set_or_there_is_no_kafka() -> None:
    closed = asked(Settings(**NOWHERE), posted(whole()))
    assert closed.status_code == 501 and "set BURNLINE_HTTP_WRITE_TOKEN_FILE" in closed.json()["detail"]
    alone = asked(SETTINGS, posted(whole()), has_brokers=False)
    assert alone.status_code == 501 and "BURNLINE_KAFKA_BROKERS is not set" in alone.json()["detail"]


def test_who_may_read_may_not_write_and_the_other_way_round() -> None:
    reader = {**WRITER, "Authorization": "Bearer reading"}
    assert asked(SETTINGS, posted(b"{", reader), token="reading").status_code == 401
    assert asked(SETTINGS, posted(b"{"), token="reading").status_code == 422
    assert (
        asked(SETTINGS, lambda client: client.get("/api/v1/slos", headers=WRITER), token="reading").status_code == 401
    )


@pytest.mark.parametrize(
    ("more", "status"),
    [
        pytest.param({}, 422, id="where the site allows it"),
        pytest.param({"http_token": SecretStr("reading")}, 501, id="not where reading wants a token"),
        pytest.param({"http_write_token": SecretStr("sesame")}, 401, id="not where writing wants one"),
    ],
)
def test_on_loopback_nobody_says_who_they_are_where_no_token_is_set_at_all(more: dict[str, Any], status: int) -> None:
    settings = Settings(**NOWHERE, http_write_on_loopback=True, **more)
    assert asked(settings, posted(b"{", {"Content-Type": "application/json"})).status_code == status


def test_another_site_s_page_is_told_no_and_no_other_path_takes_a_body() -> None:
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = asked(SETTINGS, lambda client: client.options(API + PATH, headers=preflight))
    assert answer.status_code == 405 and "access-control-allow-origin" not in answer.headers
    assert asked(SETTINGS, posted(whole(), {**WRITER, "Host": "evil.example"})).status_code == 421
    assert asked(SETTINGS, posted(whole(), path="/api/v1/slos")).status_code == 413
    put = asked(SETTINGS, lambda client: client.put(API + PATH, content=whole(), headers=WRITER))
    assert put.status_code == 413


def test_every_field_that_is_wrong_is_named_with_its_value_and_the_rule() -> None:
    found = wrong(b'{"kind": 7, "titel": "x", "at": "soon", "after": {"batch": 16}}')
    assert set(found) == {"service", "title", "kind", "titel", "at", "after.batch"}
    assert found["service"] == (None, "service is needed")
    assert found["at"] == ("soon", "a time is written as 2026-11-26T18:00Z")
    assert found["titel"][0] == "x" and "title" in found["titel"][1]
    assert found["after.batch"][0] == "16" and "string" in found["after.batch"][1]
    many = {str(n): "v" for n in range(101)}
    later = wrong(whole(title=" ", until="1999-01-01T00:00Z", before=many, url="u" * 2000, kind="picnic"))
    assert set(later) == {"title", "until", "before", "url", "kind"}
    assert later["url"] == ("u" * 60 + "..", "url has 2000 bytes, more than 1024")
    assert later["kind"][0] == "picnic" and "write one of deploy, rollback" in later["kind"][1]


def test_of_a_body_full_of_what_is_wrong_no_more_is_told_than_anybody_reads() -> None:
    body = json.dumps({**MINIMAL, **{f"{n:x}": 1 for n in range(14_000)}}, separators=(",", ":")).encode()
    assert len(body) <= BODY_BYTES_MOST
    answer = asked(SETTINGS, posted(body))
    assert answer.status_code == 422 and 0 < len(answer.content) < 2 * len(body)


BROKEN = [
    pytest.param({"title": ""}, ["--title", ""], id="no title"),
    pytest.param({"service": " "}, ["--service", " "], id="no service"),
    pytest.param({"kind": "deplyo"}, ["--kind", "deplyo"], id="no kind"),
    pytest.param({"kind": "\N{KELVIN SIGN}nob"}, ["--kind", "\N{KELVIN SIGN}nob"], id="a kind but for a letter"),
    pytest.param({"at": "2126-01-01T00:00Z"}, ["--at", "2126-01-01T00:00Z"], id="a far future"),
    pytest.param({"at": "1926-01-01T00:00Z"}, ["--at", "1926-01-01T00:00Z"], id="a far past"),
    pytest.param({"until": "2026-01-01T00:00Z"}, ["--until", "2026-01-01T00:00Z"], id="an end before its beginning"),
    pytest.param({"actor": "é" * 513}, ["--actor", "é" * 513], id="a long name"),
    pytest.param(
        {"after": {f"k{n}": "x" * 1000 for n in range(70)}},
        [word for n in range(70) for word in ("--set", f"k{n}={'x' * 1000}")],
        id="all of it is too long",
    ),
]


@pytest.mark.parametrize(("fields", "words"), BROKEN)
def test_what_the_command_refuses_is_refused_here_in_the_same_words(fields: dict[str, Any], words: list[str]) -> None:
    given = {f"--{name}": text for name, text in MINIMAL.items() if f"--{name}" not in words}
    said = CliRunner().invoke(app, ["add", *(word for pair in given.items() for word in pair), *words])
    assert said.exit_code == 2
    squeezed = "".join(said.output.replace("│", "").split())
    for _, rule in wrong(whole(**fields)).values():
        assert "".join(rule.split()) in squeezed


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
GIVEN = st.fixed_dictionaries(
    {"service": TEXTS, "title": TEXTS, "kind": st.sampled_from(["deploy", "Price", "x", "\N{KELVIN SIGN}NOB"])},
    optional={
        "change_id": TEXTS, "actor": TEXTS, "request_model": st.none() | TEXTS, "variant": st.none() | TEXTS,
        "after": st.dictionaries(TEXTS, TEXTS, max_size=3), "url": st.none() | TEXTS,
        "at": st.integers(-10_000, 40_000).map(lambda day: (EPOCH + timedelta(day, 0.5)).isoformat()),
    },
)  # fmt: skip


@given(GIVEN)
def test_what_is_taken_is_what_the_store_takes_and_says_what_was_said(fields: dict[str, Any]) -> None:
    try:
        columns = read(json.dumps(fields).encode(), NOW_US)
    except Refused as refused:
        assert refused.errors
        return
    stored = changes.read(changes.encode(changes.SCHEMA, columns, changes.SINGLE_OBJECT), NOW_US)
    assert {name: stored[name] for name in ("service", "title")} == {
        name: fields[name] for name in ("service", "title")
    }
    assert stored["kind"] == fields["kind"].upper()
    assert "at" not in fields or EPOCH + timedelta(microseconds=stored["at"]) == datetime.fromisoformat(fields["at"])
    assert stored["change_id"] == (fields.get("change_id") or read(json.dumps(fields).encode(), NOW_US)["change_id"])


def test_a_broker_that_is_away_is_said_and_the_next_one_looks_anew() -> None:
    async def work() -> list[httpx.Response]:
        telling = Telling(SETTINGS, True, lambda: datetime.now(UTC), broker_s=0.01)
        site = web.Application()
        site.router.add_post(PATH, telling.handle)
        runner = web.AppRunner(site)
        await runner.setup()
        here = web.TCPSite(runner, "127.0.0.1", 0)
        await here.start()
        try:
            async with httpx.AsyncClient(base_url=str(here.name), timeout=60) as client:
                return [await client.post(PATH, content=whole(), headers=WRITER) for _ in range(2)]
        finally:
            telling.close()
            await runner.cleanup()

    for answer in asyncio.run(work()):
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        assert "no broker answers" in answer.json()["detail"]


@pytest.mark.servers
def test_a_change_is_answered_once_kafka_has_it_and_told_again_it_is_the_same(
    kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    settings = SETTINGS.model_copy(update={"kafka_brokers": kafka.brokers, "topic_prefix": topic_prefix})
    missing = asked(settings, posted(whole()))
    assert missing.status_code == 503 and "burnline migrate" in missing.json()["detail"]
    make_topic(settings, f"{topic_prefix}{CHANGES}")
    body = whole(change_id="run-7", at="2026-11-26T18:00:00Z", variant="h100")
    first, again, unnamed = (asked(settings, posted(each)) for each in (body, body, whole()))
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (
        201,
        {"change_id": "run-7", "service": "chat", "kind": "DEPLOY", "at": "2026-11-26T18:00:00.000000Z",
         "config_epoch": "h100"},
    )  # fmt: skip
    records = consumed(settings, CHANGES)
    assert {each.key for each in records} == {b"chat"}
    told = [changes.read(each.value, -1)["change_id"] for each in records]
    assert told == ["run-7", "run-7", unnamed.json()["change_id"]]
