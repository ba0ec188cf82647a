"""Law: however much waits for the watermark, the judge's own entry is written in records that the broker takes."""

import pytest

from pipeline import windows
from pipeline.judgement import PARTITION_KEY
from tests.judging import T0, Driver, counts, spec, steady

MOST = 600  #: bytes, for a test


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr(windows, "PIECE_BYTES", MOST)
    return Driver(spec(snapshot_us=0), partitions=2)


def own(driver: Driver) -> list[bytes]:
    return sorted(key for key in driver.state if key.startswith(PARTITION_KEY.encode()))


def fed(driver: Driver, crashes: bool) -> Driver:
    """One source is ahead for a while, and then the other catches up; both say when they are."""
    driver.feed(counts(steady(T0, T0 + 30, 5), partitions=2), counts(newest=T0 + 30, partition=1, partitions=2))
    for begin in range(30, 630, 100):
        ahead = steady(T0 + begin, T0 + begin + 100, begin, begin % 7, labels=f"m={begin}")
        driver.feed(counts(ahead, partitions=2))
        if crashes:
            driver.crash()
    assert len(own(driver)) > 3 and all(len(driver.state[key]) <= MOST for key in own(driver))
    driver.feed(counts(newest=T0 + 700, partition=1, partitions=2), counts(newest=T0 + 700, partitions=2))
    return driver


@pytest.mark.parametrize("crashes", [False, True])
def test_what_waits_is_cut_into_records_and_withdrawn_when_it_is_judged(driver: Driver, crashes: bool) -> None:
    fed(driver, crashes)
    shrunk = own(driver)
    assert shrunk == [PARTITION_KEY.encode(), *(f"{PARTITION_KEY}.{n}".encode() for n in range(1, len(shrunk)))]
    before = driver.statuses
    driver.crash()
    driver.feed(counts(newest=T0 + 705, partition=1, partitions=2), counts(newest=T0 + 705, partitions=2))
    assert driver.fold.judgement.judged_s == T0 + 703
    good = {key: status["good"] for key, status in driver.statuses.items()}
    assert good == {key: status["good"] for key, status in before.items()}


def test_a_judge_that_crashed_between_all_of_it_comes_to_the_same(driver: Driver) -> None:
    calm, crashed = fed(driver, crashes=False), fed(Driver(driver.spec, partitions=2), crashes=True)
    told = ("good", "bad", "state", "window_end")
    assert {key: [status[each] for each in told] for key, status in calm.statuses.items()} == {
        key: [status[each] for each in told] for key, status in crashed.statuses.items()
    }
    assert calm.statuses["chat|m=530"]["good"] == 53_000
