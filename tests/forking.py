"""Processes to kill, forked from one that has imported everything: each would take seconds of processor for it.

Law: that one starts no threads and opens nothing, so that what is forked from it is as if started anew.
"""

import multiprocessing
import os
from collections.abc import Mapping, Sequence

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["pipeline.cli", "pipeline.app", "jobs.drain.command", "jobs.replay.command"])


def run_command(environment: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Run one `burnline` command, in such a process; what it prints is nobody's."""
    from pipeline.cli import app

    os.environ.update(environment)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        app(list(arguments))
