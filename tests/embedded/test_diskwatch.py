"""Whoever fills the disk to its last byte: the embedded ClickHouse never writes there, and loses nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from clickhouse_driver.errors import Error

from pipeline.embedded import EmbeddedClickHouse, EmbeddedError
from pipeline.embedded.diskwatch import LEAST_S, MOST_S, kept_bytes, pause_s, stands
from tests import disks

KEPT = 1000


@pytest.mark.parametrize(
    ("free", "is_standing", "expected"),
    [
        pytest.param(1000, False, False, id="as much as is kept"),
        pytest.param(500, False, False, id="half of it: inserts are refused, reads are not"),
        pytest.param(499, False, True, id="less than half of it"),
        pytest.param(999, True, True, id="not yet all of it again"),
        pytest.param(1000, True, False, id="all of it again"),
    ],
)
def test_it_stands_below_half_of_what_is_kept_until_all_of_it_is_free(
    free: int, is_standing: bool, expected: bool
) -> None:
    assert stands(free, KEPT, is_standing) == expected


def test_the_fuller_the_disk_the_closer_the_watch() -> None:
    assert pause_s(0, 256 << 20) == pause_s(128 << 20, 256 << 20) == LEAST_S
    assert pause_s(1 << 40, 256 << 20) == MOST_S
    assert LEAST_S < pause_s(256 << 20, 256 << 20) < pause_s(1 << 30, 256 << 20) < MOST_S


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk that can be filled."""
    place = tmp_path_factory.mktemp("disk") / "clickhouse"
    try:
        disks.mount(place)
        yield place
    except disks.NoDisk as why:
        pytest.skip(str(why))
    finally:
        disks.unmount(place)


class Inserter:
    """Inserts a row again and again, each until it is acknowledged, as the store does."""

    def __init__(self, server: EmbeddedClickHouse) -> None:
        self.acknowledged = 0
        self.refusals: set[int] = set()
        self._server, self._stop = server, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        client = self._server.client()
        while not self._stop.is_set():
            token = {"insert_deduplication_token": str(self.acknowledged)}
            try:
                client.execute("INSERT INTO filled SELECT number, 1 FROM numbers(10)", settings=token)
            except Error as error:
                self.refusals.add(error.code)
                self._stop.wait(0.05)
            else:
                self.acknowledged += 1

    def stop(self) -> int:
        self._stop.set()
        self._thread.join(120)
        return self.acknowledged


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_what_was_acknowledged_around_a_full_disk_is_there_once_and_the_server_starts_again(place: Path) -> None:
    with EmbeddedClickHouse(place) as server:
        admin, process = server.client(), psutil.Process(server.pid)
        admin.execute(
            "CREATE TABLE filled (n UInt64, times SimpleAggregateFunction(sum, UInt64))"
            "ENGINE = AggregatingMergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 50000"
        )
        logs = "SELECT count() FROM system.tables WHERE database = 'system' AND name IN ('query_log', 'part_log')"
        assert admin.execute(logs) == [(2,)]
        inserter = Inserter(server)
        wait_for(lambda: inserter.acknowledged > 20)

        ballast = disks.fill(place, left_bytes=kept_bytes(place) * 3 // 4)
        wait_for(lambda: inserter.refusals)
        assert inserter.refusals == {243}  # NOT_ENOUGH_SPACE
        assert admin.execute("SELECT count() > 0 FROM filled") == [(1,)]

        disks.fill(place)
        assert disks.free_bytes(place) < 1 << 20
        wait_for(lambda: process.status() == psutil.STATUS_STOPPED)
        before = inserter.acknowledged
        ballast.unlink()
        wait_for(lambda: inserter.acknowledged > before + 20)
        assert inserter.stop() * 10 == admin.execute("SELECT sum(times) FROM filled")[0][0]
        assert "stands still" in (place / "log" / "disk.log").read_text()
        server.stop()
        server.start()
        assert server.client().execute("SELECT sum(times) FROM filled") == [(inserter.acknowledged * 10,)]


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_a_server_that_stands_still_ends_when_it_is_told_to_and_does_not_start_on_a_full_disk(place: Path) -> None:
    with EmbeddedClickHouse(place) as server:
        process = psutil.Process(server.pid)
        ballast = disks.fill(place)
        wait_for(lambda: process.status() == psutil.STATUS_STOPPED)
        server.stop()
        assert not process.is_running()
        with pytest.raises(EmbeddedError, match="make room"):
            server.start()
        ballast.unlink()
        assert server.start().client().execute("SELECT 1") == [(1,)]
