"""`burnline up`: one command, every address, and nothing left behind however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every process whose command line or environment names the directory."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            words = " ".join(process.info["cmdline"] or []) + process.environ().get("BURNLINE_DATA_DIR", "")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if str(data_dir) in words and process.pid != os.getpid():
            found.append(process)
    return found


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: what was left there starts again, and kernels compile once."""
    return tmp_path_factory.mktemp("up") / "site"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)],
    ids=["Ctrl-C", "SIGTERM", "kill -9"],
)
def test_up_gives_every_address_and_leaves_nothing_behind(
    data_dir: Path, tmp_path: Path, number: int, code: int
) -> None:
    command = [sys.executable, "-m", "pipeline.cli", "up", "--data-dir", str(data_dir), "--json"]
    with (tmp_path / "stderr").open("w") as log:
        up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert up.stdout is not None
    line = up.stdout.readline()
    assert line, (tmp_path / "stderr").read_text()
    said = json.loads(line)
    assert {"kafka_brokers", "clickhouse_url", "clickhouse_reader_password_file", "web_page", "workers"} <= set(said)
    assert Path(said["clickhouse_reader_password_file"]).stat().st_mode & 0o077 == 0
    address = said["workers"][0]["http"]
    assert httpx.get(f"{address}/readyz", timeout=60).status_code == 200
    assert b"burnline_units_total" in httpx.get(f"{address}/metrics", timeout=60).content
    assert httpx.get(said["web_page"], timeout=60).headers["content-type"].startswith("text/html")

    up.send_signal(number)
    assert up.wait(120) == code, (tmp_path / "stderr").read_text()
    deadline = time.monotonic() + 120
    while (left := processes_of(data_dir)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
