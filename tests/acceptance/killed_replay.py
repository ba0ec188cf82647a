"""What a process of its own does: `burnline replay --apply`, until it kills itself at one step."""

import asyncio
import os
import signal
import threading
from collections.abc import Mapping

from jobs.replay.swapping import Replay
from pipeline.app import parts_of
from pipeline.settings import Settings


def replay(environment: Mapping[str, str], from_us: int, to_us: int, what: str, number: int) -> None:
    """Replay until the step begins; never return from there."""

    def progress(step: str, done: int, total: int) -> None:
        del total
        if (step, done) == (what, number):
            os.kill(os.getpid(), signal.SIGKILL)

    os.environ.update(environment)
    running = Replay(parts_of(Settings()), from_us, to_us, progress)
    asyncio.run(running.compare(60, threading.Event()))
    asyncio.run(running.swap(60, threading.Event()))
