"""A Prometheus beside: the same SLOs as recording and alerting rules, scraping an exporter of the same stream.

    scrape every 15 s ─► rate over each window, recorded every 30 s ─► both windows >= factor: the alert

It is asked when each alert became active, which is the time of the evaluation: sending it on takes longer still.
"""

import json
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

SCRAPE_S, EVALUATION_S = 15, 30
UNPACKED = Path(".burnline/prometheus/usr/bin/prometheus")  #: of Debian's package, by `make promtool`
PROMETHEUS = shutil.which("prometheus") or shutil.which(UNPACKED)
LOOK_S = 1.0


@dataclass(frozen=True)
class RuleSpec:
    """One SLO of a ratio of bad requests, by model."""

    name: str
    target: float
    factor: float
    windows_s: tuple[int, int]  # long, short


def rules(specs: Sequence[RuleSpec]) -> dict[str, Any]:
    """Write recording rules for every window, and one alert for each SLO."""
    windows = sorted({window for spec in specs for window in spec.windows_s})
    recorded = [{"record": f"model:bad_ratio:rate{w}s", "expr": _ratio(w)} for w in windows]
    alerts = [
        {
            "alert": spec.name,
            "expr": " and ".join(
                f"model:bad_ratio:rate{w}s >= {spec.factor * (1 - spec.target):.6f}" for w in spec.windows_s
            ),
            "labels": {"severity": "critical"},
        }
        for spec in specs
    ]
    return {"groups": [{"name": "slos", "rules": [*recorded, *alerts]}]}


def _ratio(window_s: int) -> str:
    bad, every = (
        f"sum by (request_model) (rate({name}[{window_s}s]))" for name in ("requests_bad_total", "requests_total")
    )
    return f"{bad} / {every}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Watched:
    """When alerts became active: (alert, model) -> milliseconds since the epoch."""

    active_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    failures: int = 0  # questions that nobody answered

    def look(self, address: str) -> None:
        try:
            with urllib.request.urlopen(f"{address}/api/v1/alerts", timeout=10) as answer:
                alerts = json.load(answer)["data"]["alerts"]
        except (OSError, ValueError, KeyError):
            self.failures += 1
            return
        for alert in alerts:
            if alert["state"] == "firing":
                key = alert["labels"]["alertname"], alert["labels"]["request_model"]
                since = datetime.fromisoformat(alert["activeAt"][:26].rstrip("Z") + "+00:00")
                self.active_ms.setdefault(key, round(since.timestamp() * 1000))


@contextmanager
def beside(specs: Sequence[RuleSpec], exporter_port: int, home: Path) -> Iterator[Watched]:
    """Run it with these rules, and note when each alert is first active."""
    home.mkdir(parents=True)
    (home / "rules.json").write_text(json.dumps(rules(specs)))
    config = {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{EVALUATION_S}s"},
        "rule_files": ["rules.json"],
        "scrape_configs": [{"job_name": "stream", "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"]}]}],
    }
    (home / "prometheus.json").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        PROMETHEUS or "prometheus", f"--config.file={home / 'prometheus.json'}", f"--web.listen-address={address}",
        f"--storage.tsdb.path={home / 'data'}", "--log.level=error",
    ]  # fmt: skip
    watched, stop = Watched(), threading.Event()

    def looking() -> None:
        while not stop.wait(LOOK_S):
            watched.look(f"http://{address}")

    with (home / "prometheus.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        thread = threading.Thread(target=looking, daemon=True)
        thread.start()
        try:
            yield watched
        finally:
            stop.set()
            thread.join()
            process.terminate()
