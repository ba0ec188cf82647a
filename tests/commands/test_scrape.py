"""`burnline scrape`: every replica has a snapshot, whatever it answers."""

import gzip
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep, time_ns
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.blocks import encode
from pipeline.cli import app
from pipeline.snapshots import SNAPSHOT, read
from pipeline.sources.scraping import ANSWER_BYTES

HOME = Path(__file__).parents[1] / "sources" / "expositions"
ANSWERS: dict[str, Any] = {
    "/metrics": (200, (HOME / "vllm.txt").read_bytes()),
    "/prometheus/metrics": (200, (HOME / "tensorrt-llm.txt").read_bytes()),
    "/gone": (404, b""),
    "/page": (200, b"<html>"),
    "/big": (200, b"x" * (ANSWER_BYTES + 1)),
    "/moved": (302, b""),
    "/bomb": (200, gzip.compress(gzip.compress(bytes(1 << 24)))),
}


class Handler(BaseHTTPRequestHandler):
    """A replica; it answers those who bring the token, where one is wanted."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            sleep(1.5)
        status, body = ANSWERS.get(self.path, (200, b""))
        if self.path == "/secret":
            is_let_in = self.headers["Authorization"] == "Bearer sesame"
            status, body = ANSWERS["/metrics"] if is_let_in else (401, b"")
        self.send_response(status)
        self.send_header("Location", "/metrics")
        if self.path == "/bomb":
            self.send_header("Content-Encoding", "gzip, gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def scraped(home: Path, *targets: str, code: int = 0, words: tuple[str, ...] = ("--json",)) -> Result:
    file = home / "targets.yaml"
    lines = "".join(f"  - {{{each}, service: chat}}\n" for each in targets)
    file.write_text(f"apiVersion: burnline/v1\nkind: ScrapeTargets\ntargets:\n{lines}")
    result = CliRunner().invoke(app, ["scrape", "--targets", str(file), "--once", "--dry-run", *words])
    assert result.exit_code == code, result.output
    return result


def told(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_replica_is_seen_as_its_engine_says(address: str, tmp_path: Path) -> None:
    began = time_ns() // 1000
    trtllm = f"url: {address}, endpoint: b, engine: tensorrt-llm, model: mine, gpuCount: 2, gpuHour: 2 USD"
    first, second = told(scraped(tmp_path, f"url: {address}", trtllm))
    assert (first["engine"], first["running"], first["model"]) == ("vllm", 79, "llama-3.3-70b")
    assert (second["engine"], second["running"], second["model"]) == ("tensorrt-llm", 17, "mine")
    assert second["endpoint_id"] == "b" and second["gpu_hour_picousd"] == 2 * 10**12
    for each in (first, second):
        assert began <= each["snapshot_at"] <= time_ns() // 1000 and each["ready"] and not each["error"]
        assert read(SNAPSHOT, encode(SNAPSHOT, each), time_ns() // 1000)["running"] == each["running"]
    assert "79" in scraped(tmp_path, f"url: {address}", words=()).stdout


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/gone", "answers with 404: start it with --enable-metrics"),
        ("/page", "no metrics in Prometheus"),
        ("/big", "more than 8 MB"),
        ("/moved", "answers with 302"),
        ("/slow", "no answer within 1 s"),
        ("/secret", "answers with 401"),
        ("/bomb", "answers compressed"),
    ],
)
def test_a_replica_that_cannot_be_seen_is_not_ready_and_says_why(
    address: str, tmp_path: Path, path: str, says: str
) -> None:
    (found,) = told(scraped(tmp_path, f"url: '{address}{path}', engine: sglang", code=1))
    assert says in found["error"] and not found["ready"]
    assert (found["engine"], found["running"], found["service"]) == ("sglang", None, "chat")
    assert read(SNAPSHOT, encode(SNAPSHOT, found), time_ns() // 1000)["error"] == found["error"]


def test_a_replica_that_is_away_does_not_keep_others_from_being_seen(address: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("sesame\n")
    away, seen = told(
        scraped(tmp_path, "url: 'http://127.0.0.1:1'", f"url: '{address}/secret', tokenFile: {token}", code=1)
    )
    assert away["error"] and not away["ready"] and seen["running"] == 79


@pytest.mark.parametrize("token", [b"ses\name", b"\xff\xfe", "s\u00e9same".encode(), b""], ids=repr)
def test_what_is_no_token_is_neither_sent_nor_told(address: str, tmp_path: Path, token: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(token)
    (found,) = told(scraped(tmp_path, f"url: '{address}/secret', tokenFile: {file}", code=1))
    assert "holds no token" in found["error"]
    assert "ses" not in found["error"].replace(str(file), "")


def test_targets_that_cannot_be_used_are_told_with_their_place(tmp_path: Path) -> None:
    assert "engine" in scraped(tmp_path, "url: http://a, engine: nobody", code=2).output
