"""However the parent ends, its servers end with it: no process, no open port, no lock left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka

pytestmark = pytest.mark.servers

PARENT = """
import json, signal, sys
from pipeline.embedded import EmbeddedClickHouse, EmbeddedKafka
root = sys.argv[1]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
with EmbeddedKafka(root + "/kafka") as kafka, EmbeddedClickHouse(root + "/clickhouse") as clickhouse:
    ports = [kafka.port, clickhouse.port, clickhouse.http_port]
    print(json.dumps({"pids": [kafka.pid, clickhouse.pid], "ports": ports}), flush=True)
    signal.pause()
"""
ORPHANER = """
import signal, sys
from pipeline.embedded import EmbeddedClickHouse
server = EmbeddedClickHouse(sys.argv[1]).start()
print("ready", flush=True)
signal.pause()
"""
GONE_S = 90.0  # Kafka's orderly end takes one or two seconds, more on a busy machine


def processes_of(directory: Path) -> list[psutil.Process]:
    """Every process whose command line names the directory, however it is related to us."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(directory) in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda end: end.name)
def test_servers_end_with_their_parent(tmp_path: Path, end: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    said = json.loads(parent.stdout.readline())
    running = processes_of(tmp_path)
    assert {parent.pid, *said["pids"]} <= {process.pid for process in running}
    assert all(map(is_open, said["ports"]))

    parent.send_signal(end)
    parent.wait(GONE_S)
    _, alive = psutil.wait_procs(running, timeout=GONE_S)
    assert not alive
    assert not processes_of(tmp_path)
    assert not any(map(is_open, said["ports"]))


def test_the_directory_of_a_killed_parent_serves_again_at_once(tmp_path: Path) -> None:
    """The lock is held until the orphaned server has ended, and no longer."""
    parent = subprocess.Popen([sys.executable, "-c", ORPHANER, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline()
    parent.kill()
    with EmbeddedClickHouse(tmp_path) as server:
        assert server.client().execute("SELECT 1") == [(1,)]
    parent.wait()


def test_a_killed_guard_takes_the_broker_with_it(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the kernel ends a child with its parent on Linux only")
    broker = EmbeddedKafka(tmp_path).start()
    java = psutil.Process(broker.pid)
    os.kill(java.ppid(), signal.SIGKILL)
    java.wait(60)
    broker.stop()


def test_a_stopped_server_is_reaped_and_its_pipes_are_closed(tmp_path: Path) -> None:
    before = set(os.listdir("/dev/fd"))
    server = EmbeddedClickHouse(tmp_path).start()
    server.stop()
    started = time.monotonic()
    assert not psutil.pid_exists(server.pid)
    assert set(os.listdir("/dev/fd")) == before
    server.stop()
    assert time.monotonic() - started < 5  # it waits for nobody
