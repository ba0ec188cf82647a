"""`burnline web`: the page alone, on an address it says, ended by Ctrl-C; or a word on why not."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands.web import SloFiles
from pipeline.embedded import EmbeddedClickHouse
from pipeline.settings import Settings, SettingsError

SLO = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: chat-errors}
spec: {service: chat, indicator: {metric: error_rate}, target: 0.999, timeWindow: {duration: 30d, isRolling: true}}
"""


@pytest.mark.servers
def test_it_serves_what_clickhouse_has_until_ctrl_c(clickhouse: EmbeddedClickHouse, tmp_path: Path) -> None:
    (tmp_path / "slo.yaml").write_text(SLO)
    environment = {
        **os.environ, "BURNLINE_CLICKHOUSE_URL": clickhouse.url, "BURNLINE_SLO_DIR": str(tmp_path),
        "BURNLINE_CLICKHOUSE_PASSWORD_FILE": str(clickhouse.password_file),
    }  # fmt: skip
    command = [sys.executable, "-m", "pipeline.cli", "web", "--bind", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as web:
        assert web.stdout is not None and web.stderr is not None
        line = web.stdout.readline()
        try:
            assert line, web.stderr.read()
            looked_at(json.loads(line)["http"])
            web.send_signal(signal.SIGINT)
            assert web.wait(60) == 0
            assert (web.stdout.read(), web.stderr.read()) == ("", "")
        finally:
            web.kill()


def looked_at(address: str) -> None:
    """Ask for a bit of everything."""
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/healthz").json()["status"] == "ok"
        assert client.get("/").headers["content-type"].startswith("text/html")
        assert client.get("/metrics").status_code == 404
        assert client.get("/api/v1/slos").status_code == 200
        deadline = time.monotonic() + 60
        while (one := client.get("/api/v1/slos/chat-errors")).status_code == 404:  # files are read beside
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert one.json()["definition"]["metric"] == "error_rate"
        assert client.get("/readyz").status_code == 200


def test_off_loopback_it_wants_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BURNLINE_HTTP_TOKEN_FILE", raising=False)
    said = CliRunner().invoke(app, ["web", "--bind", "0.0.0.0:0"])
    assert said.exit_code == 2
    assert "BURNLINE_HTTP_TOKEN_FILE" in said.output


def test_so_does_the_port_for_keda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BURNLINE_HTTP_TOKEN_FILE", raising=False)
    monkeypatch.setenv("BURNLINE_KEDA_BIND", "0.0.0.0:0")
    said = CliRunner().invoke(app, ["web", "--bind", "127.0.0.1:0", "--json"])
    assert isinstance(said.exception, SettingsError) and "BURNLINE_KEDA_TLS_CAFILE" in str(said.exception)
    assert said.stdout == "", "nobody is told that it is ready"


def test_what_is_no_address_is_a_usage_error() -> None:
    said = CliRunner().invoke(app, ["web", "--bind", "here"])
    assert said.exit_code == 2


def test_a_port_that_is_taken_is_said_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = CliRunner().invoke(app, ["web", "--bind", f"127.0.0.1:{taken.getsockname()[1]}"])
    assert said.exit_code == 1
    assert "127.0.0.1:0" in said.output


def test_a_token_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["web", "--token-file", str(tmp_path / "none")])
    assert said.exit_code != 0 and not isinstance(said.exception, AssertionError)
    assert "none" in str(said.exception)


def test_without_slo_files_it_goes_on_without_definitions(tmp_path: Path) -> None:
    files = SloFiles(Settings(slo_dir=tmp_path / "none", slo_reload_s=0))
    asyncio.run(files.run())
    assert files.slos == {}


async def until(files: SloFiles, look: asyncio.Task[None]) -> None:
    """Wait until there are SLOs."""
    async with asyncio.timeout(60):
        while not files.slos:
            assert not look.done()
            await asyncio.sleep(0.01)


def test_a_directory_that_comes_later_or_cannot_be_read_now_is_read_when_it_can_be(tmp_path: Path) -> None:
    home, real = tmp_path / "slo", tmp_path / "real"
    real.mkdir()
    (real / "slo.yaml").write_text(SLO)

    async def work() -> None:
        files = SloFiles(Settings(slo_dir=home, slo_reload_s=0.01))
        look = asyncio.create_task(files.run())
        await asyncio.sleep(0)
        assert not look.done()  # it is not there
        with capture_logs() as logs:
            home.symlink_to("x" * 300)  # no file system has such a name
            async with asyncio.timeout(60):
                while not logs:
                    await asyncio.sleep(0.01)
        home.unlink()
        home.symlink_to(real)
        await until(files, look)
        look.cancel()
        assert [(line["log_level"], line["directory"]) for line in logs] == [("error", str(home))]

    asyncio.run(work())


def test_files_that_are_refused_leave_those_before_in_place(tmp_path: Path) -> None:
    (tmp_path / "slo.yaml").write_text(SLO)
    files = SloFiles(Settings(slo_dir=tmp_path, slo_reload_s=0))
    asyncio.run(files.run())
    assert set(files.slos) == {"chat-errors"}
    (tmp_path / "slo.yaml").write_text(SLO.replace("0.999", "99"))
    asyncio.run(files.run())
    assert set(files.slos) == {"chat-errors"}
