"""An Alertmanager that the deliverer tells, and the moment at which it has each alert, by its own clock."""

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.prometheus import free_port
from tests.delivery.alert_manager import BINARY, runnable

LOOK_S = 0.5  #: it is told again after a minute: its first time of an alert is seen long before
CONFIG: dict[str, Any] = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


@dataclass
class Held:
    """When it had alerts: (SLO, model) -> milliseconds since the epoch."""

    url: str = ""  # empty: there is no Alertmanager on this machine
    at_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    def look(self) -> None:
        """Ask for all alerts; who does not answer is asked again."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=10) as answer:
                alerts = json.load(answer)
        except (OSError, ValueError):
            return
        for alert in alerts:
            labels = alert["labels"]
            if labels.get("kind") == "burn-rate" and "request_model" in labels:
                updated = datetime.fromisoformat(alert["updatedAt"])
                self.at_ms.setdefault((labels["slo"], labels["request_model"]), round(updated.timestamp() * 1000))


@contextmanager
def manager(home: Path) -> Iterator[Held]:
    """Run one and note when it has each alert; without one on this machine, note nothing."""
    if BINARY is None:
        yield Held()
        return
    home.mkdir(parents=True)
    (home / "alertmanager.json").write_text(json.dumps(CONFIG))
    address = f"127.0.0.1:{free_port()}"
    binary, root = runnable(home)
    command: list[str | Path] = [
        binary, f"--config.file={home / 'alertmanager.json'}", f"--storage.path={home / 'data'}",
        f"--web.listen-address={address}", "--cluster.listen-address=", "--log.level=error",
    ]  # fmt: skip
    held, stop = Held(f"http://{address}"), threading.Event()

    def looking() -> None:
        while not stop.wait(LOOK_S):
            held.look()

    with (
        (home / "alertmanager.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=root) as process,
    ):
        thread = threading.Thread(target=looking, daemon=True)
        try:
            _answers(held.url, process)
            thread.start()
            yield held
        finally:
            stop.set()
            process.terminate()
    thread.join()


def _answers(url: str, process: subprocess.Popen[bytes], patience_s: float = 60.0) -> None:
    """Wait until it is ready.

    Raises: RuntimeError when it ends or does not answer.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"Alertmanager does not answer at {url}")
