"""The worker's port: who may listen where, and what it answers."""

import asyncio

import httpx
import pytest

from pipeline.metrics import OPENMETRICS, PLAIN_TEXT, Reading, render
from pipeline.web.server import BindRefused, Endpoints, Health, Server, parse_bind


def serve(bind: str, token: str | None, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    sick = Health(("judge has made no progress for 61 s",))

    async def ask() -> httpx.Response:
        server = Server(
            Endpoints(lambda accept: render([Reading("burnline_series", 1)], accept), Health, lambda: sick), bind, token
        )
        await server.start()
        try:
            async with httpx.AsyncClient() as client:
                return await client.get(server.address + path, headers=headers or {})
        finally:
            await server.stop()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "status"),
    [("/metrics", 200), ("/healthz", 200), ("/readyz", 503), ("/nowhere", 404), ("/../etc/passwd", 404)],
)
def test_each_path_answers_with_its_status_and_security_headers(path: str, status: int) -> None:
    response = serve("127.0.0.1:0", None, path)
    assert response.status_code == status
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_readiness_says_why_not() -> None:
    assert serve("127.0.0.1:0", None, "/readyz").json()["reasons"] == ["judge has made no progress for 61 s"]


@pytest.mark.parametrize(
    ("said", "status"),
    [(None, 401), ("Bearer wrong", 401), ("Bearer right", 200)],
    ids=["no token", "wrong token", "right token"],
)
def test_metrics_want_the_token_when_there_is_one(said: str | None, status: int) -> None:
    assert serve("127.0.0.1:0", "right", "/metrics", {"Authorization": said} if said else {}).status_code == status


def test_an_address_off_loopback_needs_a_token() -> None:
    with pytest.raises(BindRefused, match="BURNLINE_HTTP_TOKEN_FILE"):
        parse_bind("0.0.0.0:8080", None)
    assert parse_bind("0.0.0.0:8080", "secret") == ("0.0.0.0", 8080)


def test_no_port_is_an_error_that_says_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"host:port"):
        parse_bind("localhost", None)


@pytest.mark.parametrize(
    ("accept", "kind", "end"),
    [
        ("", PLAIN_TEXT, b"burnline_folded_series 0.0\n"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", OPENMETRICS, b"# EOF\n"),
    ],
    ids=["Prometheus", "OpenMetrics"],
)
def test_metrics_come_in_the_form_that_is_asked_for(accept: str, kind: str, end: bytes) -> None:
    answer = serve("127.0.0.1:0", None, "/metrics", {"Accept": accept})
    assert answer.headers["Content-Type"] == kind
    assert answer.content.endswith(end) and b"burnline_series 1.0\n" in answer.content
