"""Pacing: when a stretch of event time is due on the wall, and the shell's only clock of replays.

    event time   start ───────────────► start + x
    wall         began ──x / factor──► due

Real time is factor 1, compressed time any other; without a factor nothing waits.
"""

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from pipeline.periods import in_zone

WALL_STEP_S = 0.1  #: a paced replay sends so often


class PaceError(ValueError):
    """A speed or a time that cannot be read; the message says what is expected."""


def parse_speed(text: str) -> float | None:
    """Read `real`, `full` (or `max`), `x60` or `60`; None: as fast as it goes.

    Raises: PaceError.
    """
    if text in {"full", "max"}:
        return None
    match = re.fullmatch(r"x?(\d+(?:\.\d+)?)", text.replace("real", "1") if text == "real" else text)
    if not match or not float(match[1]) > 0:
        raise PaceError(f"{text!r} is no speed; write real, full or a factor such as x60")
    return float(match[1])


def parse_time_us(text: str) -> int:
    """Read ISO 8601 (UTC unless it says otherwise) or `now`.

    Raises: PaceError.
    """
    if text == "now":
        return time.time_ns() // 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PaceError(f"{text!r} is no time; write now or 2026-01-31T12:00:00Z") from None
    return round(in_zone(moment).timestamp() * 1_000_000)


class Pace:
    """Maps event time to the wall, from the moment it is made."""

    def __init__(self, start_us: int, factor: float | None) -> None:
        """Let event time `start_us` be now."""
        self.start_us, self.factor = start_us, factor
        self._began = time.monotonic()

    @property
    def step_us(self) -> int | None:
        """Event time that passes between two sends; None when nothing waits."""
        return None if self.factor is None else max(round(WALL_STEP_S * self.factor * 1_000_000), 1)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def wait(self, event_us: int, stop: threading.Event) -> bool:
        """Wait until event time is due; True when told to stop."""
        if self.factor is None:
            return stop.is_set()
        left = (event_us - self.start_us) / 1e6 / self.factor - self.elapsed_s
        return stop.wait(left) if left > 0 else stop.is_set()


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or SIGTERM sets, to finish what was begun; a second one interrupts."""
    stop = threading.Event()
    before = {}

    def ask(number: int, frame: object) -> None:
        del frame
        stop.set()
        signal.signal(number, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
