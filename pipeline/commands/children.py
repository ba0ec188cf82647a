"""Worker processes started by us: they die with us, however we end.

Each holds the read end of a pipe whose write end only we hold: EOF means stop, in order.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipeline.settings import Settings

#: who has not stopped in order by then goes all the same, and nothing that counts is lost; an orphan's servers often
#: end with who started them all, and it would wait for a broker that is gone
PATIENCE_S, ORPHAN_PATIENCE_S = 20.0, 5.0


def environment(settings: Settings) -> dict[str, str]:
    """Settings as BURNLINE_* variables; secrets stay in their files."""
    values = settings.model_dump(exclude_none=True)
    return {f"BURNLINE_{name.upper()}": str(v) for name, v in values.items() if not isinstance(v, SecretStr)}


class WorkerFailed(RuntimeError):
    """A worker ended before it was ready; the message is the end of its log."""


class Worker:
    """One `burnline worker` process."""

    def __init__(
        self, settings: Settings, log: Path, extra: Mapping[str, str] | None = None, module: str = "pipeline.cli"
    ) -> None:
        """Start `python -m module worker`; `extra` are environment variables."""
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        read_end, self._lifeline = os.pipe()
        with log.open("a") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "worker", "--json", "--lifeline-fd", str(read_end)],
                env={**os.environ, **environment(settings), **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                pass_fds=[read_end],
                start_new_session=True,
                text=True,
            )
        os.close(read_end)

    def ready(self) -> dict[str, Any]:
        """Wait for the worker's first line: its addresses.

        Raises: WorkerFailed when it ends without one.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise WorkerFailed(f"a worker ended before it was ready; its log ends:\n{self.log.read_text()[-2000:]}")
        said: dict[str, Any] = json.loads(line)
        return said

    def stop(self, patience_s: float = 30.0) -> int:
        """Stop in order; kill after `patience_s`. Idempotent."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def kill(self) -> None:
        """Kill as kill -9 does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


def stop_at_eof(fd: int) -> None:
    """Ask this process to stop when the other end of `fd` is closed."""
    parent = os.getppid()

    def wait() -> None:
        while os.read(fd, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while os.getppid() == parent and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(ORPHAN_PATIENCE_S)
        os._exit(1)  # nobody is there to do it for us

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
