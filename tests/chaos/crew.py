"""Workers and their supervisor: who dies is started again, as a service manager would."""

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from pipeline.commands.children import Worker
from pipeline.settings import Settings
from tests.chaos.launcher import CALL, PHASE

RESTART_S = 0.3
READY_S = 240.0  # kernels compile first, beside others on a busy machine
T = TypeVar("T")


def one_of(chance: Random, things: Sequence[T]) -> T:
    """Choose by one draw, however many there are just then: what is drawn later does not hang on it."""
    return things[int(chance.random() * len(things))]


class Crew:
    """So many workers on one site; `size` may change."""

    def __init__(self, settings: Settings, log_dir: Path, size: int, extra: Mapping[str, str] | None = None) -> None:
        self.settings, self.size, self.extra = settings, size, dict(extra or {})
        self.extra.setdefault("NUMBA_CACHE_DIR", str(settings.kernels_dir))
        self.members: list[Worker] = []
        self.deaths: list[int] = []  # exit codes
        self.is_on_leave = False  # nobody is started again
        self._log_dir, self._started = log_dir, 0
        self._addresses: dict[int, str] = {}
        self._turn, self._stop = threading.RLock(), threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start all, wait until they are ready, then watch over them."""
        with self._turn:
            self.members = [self._new() for _ in range(self.size)]
        self.wait_ready()
        self._thread.start()

    def _new(self, extra: Mapping[str, str] | None = None, module: str = "pipeline.cli") -> Worker:
        self._started += 1
        worker = Worker(
            self.settings, self._log_dir / f"worker-{self._started}.log", self.extra | dict(extra or {}), module
        )
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: Worker) -> None:
        try:
            self._addresses[worker.process.pid] = str(worker.ready()["http"])
        except Exception:  # it ended before it was ready; the supervisor sees that
            return

    def wait_ready(self, patience_s: float = READY_S) -> None:
        """Wait until everybody has partitions.

        Raises: TimeoutError.
        """
        deadline = time.monotonic() + patience_s
        while any(worker.process.pid not in self._addresses for worker in list(self.members)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"workers are not ready; see {self._log_dir}")
            time.sleep(0.1)

    def _supervise(self) -> None:
        while not self._stop.wait(RESTART_S):
            with self._turn:
                gone = [worker for worker in self.members if worker.process.poll() is not None]
                for worker in gone:
                    self.deaths.append(worker.stop())
                    self.members.remove(worker)
                if not self.is_on_leave:
                    self.members += [self._new() for _ in range(self.size - len(self.members))]

    # -- accidents
    def kill(self, chance: Random) -> None:
        """kill -9 of one of those who run."""
        with self._turn:
            one_of(chance, [worker for worker in self.members if worker.process.poll() is None] or self.members).kill()

    def kill_all(self) -> None:
        """kill -9 of everybody; nobody comes back before `is_on_leave` ends."""
        with self._turn:
            self.is_on_leave = True
            for worker in self.members:
                worker.kill()
                worker.process.wait()

    def doom(self, phase: str, call: int) -> Worker:
        """Replace a worker by one that dies at a point; return it."""
        with self._turn:
            self.members.pop(0).stop()
            doomed = self._new({PHASE: phase, CALL: str(call)}, "tests.chaos.launcher")
            self.members.append(doomed)
            return doomed

    def resize(self, size: int) -> None:
        """Stop whoever is too many, in order, or start more."""
        self.size = size
        with self._turn:
            leaving, self.members = self.members[size:], self.members[:size]
        for worker in leaving:
            worker.stop()
        time.sleep(2 * RESTART_S)
        self.wait_ready()

    def replace_in_turn(self) -> None:
        """SIGTERM one after the other, the next once the last one's successor is ready."""
        for worker in list(self.members):
            worker.process.send_signal(signal.SIGTERM)
            worker.process.wait(40)
            time.sleep(2 * RESTART_S)
            self.wait_ready()

    # -- what they say
    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in list(self.members)]

    def reading(self, name: str) -> float:
        """Sum of a metric over all workers and labels."""
        return sum(value for worker in list(self.members) for value in self._values(worker, name))

    def _values(self, worker: Worker, name: str) -> list[float]:
        address = self._addresses.get(worker.process.pid)
        if address is None or worker.process.poll() is not None:
            return []
        families: Any = text_string_to_metric_families(httpx.get(f"{address}/metrics", timeout=10).text)
        return [sample.value for family in families for sample in family.samples if sample.name.startswith(name)]

    def stop(self) -> None:
        """Stop everybody in order."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for worker in self.members:
            worker.process.send_signal(signal.SIGCONT)
        for worker in self.members:
            worker.stop(25)
        self.members = []
