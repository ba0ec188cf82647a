"""A real Alertmanager of Debian's package, unpacked by `make promtool`; ends with the test that started it."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

UNPACKED = Path(".burnline/prometheus/usr/bin/prometheus-alertmanager")
BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or shutil.which(UNPACKED)
DEADLINE_S = 60.0
#: where Debian's looks for its templates, and the same length of a path that begins where it is started
INSTALLED, RELATIVE = b"/usr/share/prometheus/alertmanager", b"usr//share/prometheus/alertmanager"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def runnable(home: Path) -> tuple[Path, Path]:
    """Return a binary that finds its templates though the package is only unpacked, and where to start it."""
    assert BINARY is not None
    root = Path(BINARY).resolve().parents[2]
    if root == Path("/"):
        return Path(BINARY), home
    moved = home / "alertmanager"
    moved.write_bytes(Path(BINARY).read_bytes().replace(INSTALLED, RELATIVE))
    moved.chmod(0o700)
    return moved.resolve(), root


class Alertmanager:
    """One server on 127.0.0.1 that tells `hook` of what it gets."""

    def __init__(self, home: Path, hook: str) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        config = {
            "route": {
                "receiver": "hook", "group_by": ["service"], "group_wait": "300ms", "group_interval": "300ms",
                "repeat_interval": "1h",
            },
            "receivers": [{"name": "hook", "webhook_configs": [{"url": hook, "send_resolved": True}]}],
            "inhibit_rules": [
                {"source_matchers": ['slo="gateway"'], "target_matchers": ['slo=~"held-.*"'], "equal": ["region"]}
            ],
        }  # fmt: skip
        (home / "alertmanager.yml").write_text(json.dumps(config))  # JSON is YAML

    def start(self, is_empty: bool = False) -> None:
        """Start; `is_empty`: without what it remembered."""
        data = self.home / "data"
        if is_empty:
            shutil.rmtree(data, ignore_errors=True)
        binary, root = runnable(self.home)
        with (self.home / "alertmanager.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, f"--config.file={self.home / 'alertmanager.yml'}", f"--storage.path={data}",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="],
                stdout=log, stderr=subprocess.STDOUT, cwd=root,
            )  # fmt: skip
        deadline = time.monotonic() + DEADLINE_S
        while not self._is_ready():
            assert time.monotonic() < deadline and self._process.poll() is None
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_S)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def alerts(self, slo: str = "") -> list[dict[str, Any]]:
        """What it has now, silenced and inhibited ones too."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False).json()
        return [each for each in found if slo in {"", each["labels"]["slo"]}]

    def silence(self, slo: str, seconds: int) -> str:
        now = time.time()
        times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (now - 5, now + seconds)]
        said = {
            "matchers": [{"name": "slo", "value": slo, "isRegex": False, "isEqual": True}],
            "startsAt": times[0], "endsAt": times[1], "createdBy": "a test", "comment": "quiet",
        }  # fmt: skip
        answer = httpx.post(f"{self.url}/api/v2/silences", json=said, trust_env=False)
        return str(answer.json()["silenceID"])

    def unsilence(self, name: str) -> None:
        assert httpx.delete(f"{self.url}/api/v2/silence/{name}", trust_env=False).status_code == 200
