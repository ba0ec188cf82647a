"""Processes of our commands, forked from one that has imported everything: each would take seconds of processor for it.

Law: that one starts no threads and opens nothing, so that what is forked from it is as if started anew.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

from pipeline.commands.children import Worker, environment
from pipeline.settings import Settings

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["pipeline.cli", "pipeline.app", "jobs.drain.command", "jobs.replay.command"])
Ran = subprocess.CompletedProcess[bytes]
ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def run_command(variables: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Run one `burnline` command, in such a process; what it prints is nobody's."""
    from pipeline.cli import app

    os.environ.update(variables)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        app(list(arguments))


def ran(variables: Mapping[str, str], arguments: Sequence[str], timeout_s: float = 120.0) -> Ran:
    """Run one `burnline` command to its end, as somebody would from a shell, with nothing but this environment.

    Raises: subprocess.TimeoutExpired, and the command is gone.
    """
    with tempfile.TemporaryDirectory() as home:
        places = [str(Path(home) / name) for name in ("out", "err")]
        process = FORKING.Process(target=_as_from_a_shell, args=(dict(variables), list(arguments), *places))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout_s)
        out, err = (Path(place).read_bytes() for place in places)
        return subprocess.CompletedProcess(list(arguments), process.exitcode, out, err)


def _as_from_a_shell(variables: Mapping[str, str], arguments: Sequence[str], out: str, err: str) -> None:
    _redirect((os.open(path, flags, 0o600) for path, flags in ((os.devnull, os.O_RDONLY), (out, ANEW), (err, ANEW))))
    _main(variables, arguments)


def _redirect(files: Iterable[int]) -> None:
    """Make these the standard input, output and error."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)


def _main(variables: Mapping[str, str], arguments: Sequence[str]) -> None:
    from pipeline.cli import main

    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["burnline", *arguments]
    main()


class Forked:
    """Such a process, as subprocess.Popen has one."""

    def __init__(self, process: Any, stdout: TextIO) -> None:
        process.start()
        self._process, self.pid, self.stdout, self.kill = process, process.pid, stdout, process.kill

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        return code


class ForkedWorker(Worker):
    """One `burnline worker` process that is forked instead of started; it ends with us, too."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        lifeline, self._lifeline = os.pipe()
        said, says = os.pipe()
        with Connection(lifeline, writable=False) as kept, Connection(says, readable=False) as out:
            given = {**os.environ, **environment(settings)}, str(log), out, kept
            self.process = Forked(FORKING.Process(target=_work, args=given, daemon=True), os.fdopen(said))


def _work(variables: Mapping[str, str], log: str, out: Connection, lifeline: Connection) -> None:
    os.setsid()
    added = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    _redirect((os.open(os.devnull, os.O_RDONLY), os.dup(out.fileno()), added))
    out.close()
    _main(variables, ["worker", "--json", "--lifeline-fd", str(lifeline.fileno())])
