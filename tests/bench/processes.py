"""Processes under measurement: what they use, and an end for all of them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]


@dataclass
class Usage:
    """Samples of one process: seconds since the first, resident bytes, processor seconds, what it says of itself."""

    seconds: list[float] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    told: list[Mapping[str, float]] = field(default_factory=list)

    @property
    def peak_bytes(self) -> int:
        return max(self.rss_bytes, default=0)

    @property
    def cpu(self) -> float:
        return self.cpu_seconds[-1] - self.cpu_seconds[0] if self.cpu_seconds else 0.0


class Watch:
    """Samples a process in a thread until `stop`."""

    def __init__(self, pid: int, every_s: float = 0.2, tell: Callable[[], Mapping[str, float]] = lambda: {}) -> None:
        self.usage, self._process, self._every_s, self._tell = Usage(), psutil.Process(pid), every_s, tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began = time.monotonic()
        self._thread.start()

    def stop(self) -> Usage:
        """Take the last sample and return all of them."""
        self._stop.set()
        self._thread.join()
        return self.usage

    def _run(self) -> None:
        while True:
            is_last = self._stop.wait(self._every_s if self.usage.seconds else 0)
            try:
                with self._process.oneshot():
                    times, memory = self._process.cpu_times(), self._process.memory_info()
            except psutil.NoSuchProcess:
                return
            self.usage.seconds.append(time.monotonic() - self._began)
            self.usage.rss_bytes.append(memory.rss)
            self.usage.cpu_seconds.append(times.user + times.system)
            self.usage.told.append(self._tell())
            if is_last:
                return


@contextmanager
def module(name: str, *arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m name ...`; it is killed when the block is left."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-m", name, *map(str, arguments)], env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def finished(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for a process that has to succeed.

    Raises: RuntimeError when it fails; subprocess.TimeoutExpired.
    """
    if process.wait(patience_s):
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
