"""Tokens: from a file or an endpoint, renewed in time, and every library gets the same."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from pipeline import topics
from pipeline.credentials import CredentialsError, TokenSource, read_token
from pipeline.settings import Settings, SettingsError
from tests.security.certificates import Signer

SECRET = "client-secret-3fd9"


class Endpoint(ThreadingHTTPServer):
    """A token endpoint; `answers` are what it says, the last one for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append((self.headers["Authorization"], form))
        status, body = self.server.answers[0]
        self.server.answers[1:] and self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Location", self.server.url)  # obeyed, it would be asked again
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def settings(**given: Any) -> Settings:
    return Settings(kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="OAUTHBEARER", **given)


def exchanging(endpoint: Endpoint) -> Settings:
    return settings(
        kafka_sasl_token_url=endpoint.url, kafka_sasl_username="burnline", kafka_sasl_password=SECRET,
        kafka_sasl_scope="kafka",
    )  # fmt: skip


def test_client_id_and_secret_are_exchanged_for_a_token_once(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, b'{"access_token": "opaque", "expires_in": 600}')]
    source = TokenSource(exchanging(endpoint))
    tokens = {source.current().value, source.current().value, asyncio.run(source.token())}
    assert tokens == {"opaque"} == {source.for_librdkafka("")[0]}
    basic = base64.b64encode(f"burnline:{SECRET}".encode()).decode()
    assert endpoint.asked == [(f"Basic {basic}", {"grant_type": ["client_credentials"], "scope": ["kafka"]})]
    assert 300 < source.current().expires_s - time.time() < 601


def test_a_token_whose_life_is_nearly_over_is_renewed(endpoint: Endpoint) -> None:
    endpoint.answers = [
        (200, b'{"access_token": "first", "expires_in": 0}'),
        (200, b'{"access_token": "second", "expires_in": 600}'),
    ]
    source = TokenSource(exchanging(endpoint))
    assert [source.current().value for _ in range(3)] == ["first", "second", "second"]


BAD_ANSWERS = [
    pytest.param((401, b'{"error": "invalid_client"}'), "refuses with 401", id="refused"),
    pytest.param((500, b"<html>"), "refuses with 500", id="broken"),
    pytest.param((302, b""), "refuses with 302", id="sent elsewhere"),
    pytest.param((307, b""), "refuses with 307", id="sent elsewhere with all it said"),
    pytest.param((200, b"<html>"), "no access_token", id="no JSON"),
    pytest.param((200, b"[]"), "no access_token", id="a list"),
    pytest.param((200, b"{}"), "no access_token", id="no token"),
    pytest.param((200, b'{"access_token": 5}'), "no access_token", id="a number"),
    pytest.param((200, b'{"access_token": "x", "expires_in": "soon"}'), "no access_token", id="no number"),
    pytest.param((200, b"[" * 100_000), "no access_token", id="deep nesting"),
]


@pytest.mark.parametrize(("answer", "says"), BAD_ANSWERS)
def test_a_bad_answer_says_which_setting_to_check_and_no_secret(
    endpoint: Endpoint, answer: tuple[int, bytes], says: str
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(CredentialsError, match=f"{says}.*BURNLINE_KAFKA_SASL_TOKEN_URL") as refused:
        TokenSource(exchanging(endpoint)).current()
    assert SECRET not in str(refused.value) and len(endpoint.asked) == 1


def test_an_endpoint_that_is_not_there_says_which_setting_to_check() -> None:
    given = {"kafka_sasl_token_url": "http://127.0.0.1:9/", "kafka_sasl_username": "u", "kafka_sasl_password": SECRET}
    with pytest.raises(CredentialsError, match="BURNLINE_KAFKA_SASL_TOKEN_URL"):
        TokenSource(settings(**given)).current()


def test_a_token_file_is_read_again_before_its_token_expires(tmp_path: Path) -> None:
    signer, file = Signer(tmp_path / "keys.json"), tmp_path / "token"
    file.write_text(signer.token("one", 1))
    source = TokenSource(settings(kafka_sasl_token_file=file))
    assert source.current().subject == "one"
    file.write_text(signer.token("two", 600))
    deadline = time.monotonic() + 60
    while source.current().subject == "one" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert source.current().subject == "two"


DEEP = f"a.{base64.urlsafe_b64encode(b'[' * 30_000).decode()}.c"


@pytest.mark.parametrize("text", ["", "\n", "a.b.c", "..", "x", f"a.{base64.b64encode(b'[1]').decode()}.c", DEEP])
def test_any_text_is_a_token_or_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    source = TokenSource(settings(kafka_sasl_token_file=tmp_path / "token"))
    if text.strip():
        assert source.current().value == text
    else:
        with pytest.raises(SettingsError, match="is empty"):
            source.current()


def test_claims_tell_expiry_and_subject() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 2_000, "sub": "worker"}).encode()).decode().rstrip("=")
    assert read_token(f"h.{claims}.s", 1_000.0)[1:] == (2_000.0, "worker")
    assert read_token("opaque", 1_000.0, 60.0).expires_s == 1_060.0


def test_every_library_is_given_the_same_source(tmp_path: Path) -> None:
    given = settings(kafka_sasl_token_file=tmp_path / "token")
    source = topics.token_source(given)
    assert topics.confluent_config(given)["oauth_cb"] == source.for_librdkafka
    assert topics.aiokafka_config(given)["sasl_oauth_token_provider"] is source
    assert topics.faust_config(given)["broker_credentials"].oauth_cb is source
    assert not any("password" in name for name in topics.confluent_config(given))


@pytest.mark.parametrize(
    "given",
    [{}, {"kafka_sasl_token_url": "http://x"}, {"kafka_sasl_token_url": "http://x", "kafka_sasl_username": "u"}],
)
def test_half_a_login_is_refused_with_what_is_missing(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="BURNLINE_KAFKA_SASL_TOKEN_FILE"):
        settings(**given)
