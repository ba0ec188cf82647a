"""Run as a program: `burnline replay --apply` that kills itself at one step; the settings are the environment's.

python -m tests.acceptance.killed_replay FROM_US TO_US WHAT NUMBER
"""

import asyncio
import os
import signal
import sys
import threading

from jobs.replay.swapping import Replay
from pipeline.app import parts_of
from pipeline.settings import Settings


def main(from_us: int, to_us: int, what: str, number: int) -> None:
    """Replay until the step begins; never return from there."""

    def progress(step: str, done: int, total: int) -> None:
        del total
        if (step, done) == (what, number):
            os.kill(os.getpid(), signal.SIGKILL)

    replay = Replay(parts_of(Settings()), from_us, to_us, progress)
    asyncio.run(replay.compare(60, threading.Event()))
    asyncio.run(replay.swap(60, threading.Event()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
