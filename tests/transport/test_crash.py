"""Every number counts once, in sums and in a step's memory, through kill -9 and SIGSTOP of workers under load."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.embedded import EmbeddedKafka
from tests.transport.counting import SESSION_S, Numbers, create_topics, sums_written, totals_written

pytestmark = [pytest.mark.servers, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
REPEAT = int(os.environ.get("BURNLINE_TEST_REPEAT", "1"))  # longer runs by hand
RATE = 2000
READY = "takes orders\n"  #: what a worker prints first


class Workers:
    """Two workers and their supervisor: who dies is started again."""

    def __init__(self, brokers: str, prefix: str, home: Path) -> None:
        self._arguments = [sys.executable, "-m", "tests.transport.crash_worker", brokers, prefix, str(home)]
        self._home = home
        self._logs: dict[int, Path] = {}
        self.processes = [self._started() for _ in range(2)]

    def _started(self) -> "subprocess.Popen[bytes]":
        path = self._home / f"worker-{len(self._logs)}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(self._arguments, cwd=ROOT, stdout=log, stderr=log)
        self._logs[process.pid] = path
        return process

    def logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self._logs.values())

    def supervise(self) -> None:
        self.processes = [p if p.poll() is None else self._started() for p in self.processes]

    def stop(self) -> list[int]:
        """Return the exit codes; who was just started is let to begin first."""
        deadline = time.monotonic() + 90
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            while READY not in self._logs[process.pid].read_text() and time.monotonic() < deadline:
                time.sleep(0.05)
            process.terminate()
        try:
            return [process.wait(90) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
                process.wait()


@contextmanager
def under_load(numbers: Numbers) -> Iterator[None]:
    ended = threading.Event()

    def load() -> None:
        sent, began_s = 0, time.monotonic()
        while not ended.is_set():
            due = int((time.monotonic() - began_s) * RATE)
            numbers.send(range(sent, due))
            sent = max(sent, due)
            time.sleep(0.02)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        numbers.flush()


def let_run(workers: Workers, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        workers.supervise()
        time.sleep(0.1)


def wait_until_exact(workers: Workers, brokers: str, prefix: str, numbers: Numbers) -> None:
    deadline = time.monotonic() + 120
    while totals_written(brokers, prefix) != numbers.truth and time.monotonic() < deadline:
        let_run(workers, 0.5)
    assert sums_written(brokers, prefix) == numbers.truth
    assert totals_written(brokers, prefix) == numbers.truth


def kill(workers: Workers, chance: random.Random) -> None:
    chance.choice(workers.processes).kill()
    let_run(workers, chance.uniform(2, 4))


def sleep_past_the_session(workers: Workers, chance: random.Random) -> None:
    """A worker that was stopped while its partitions went to the other wakes up with old memory."""
    process = chance.choice(workers.processes)
    process.send_signal(signal.SIGSTOP)
    let_run(workers, SESSION_S + 2)
    process.send_signal(signal.SIGCONT)
    let_run(workers, 2)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "accidents",
    [
        pytest.param([kill] * 4, id="kill -9"),
        pytest.param([sleep_past_the_session], id="SIGSTOP and SIGCONT"),
    ],
)
def test_every_number_counts_once_through(
    accidents: list[Callable[[Workers, random.Random], None]],
    kafka: EmbeddedKafka,
    topic_prefix: str,
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("BURNLINE_TEST_SEED", "7"))
    chance = random.Random(seed)
    create_topics(kafka.brokers, topic_prefix, PARTITIONS)
    numbers = Numbers(kafka.brokers, topic_prefix, PARTITIONS)
    workers = Workers(kafka.brokers, topic_prefix, tmp_path)
    try:
        with under_load(numbers):
            let_run(workers, 4)
            for accident in accidents * REPEAT:
                accident(workers, chance)
        wait_until_exact(workers, kafka.brokers, topic_prefix, numbers)
        assert workers.stop() == [0, 0]
    except BaseException:
        print(f"seed {seed}", workers.logs())
        raise
    finally:
        workers.stop()
