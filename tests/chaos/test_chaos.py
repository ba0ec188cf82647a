"""The short form of `make chaos`, and that the harness would see what it is there to see."""

import asyncio
import contextlib
import os
import random
import struct
from pathlib import Path

import pytest

from pipeline.embedded.kafka_security import HOST
from tests.chaos import report
from tests.chaos.crew import one_of
from tests.chaos.faults import FAULTS, SHORT
from tests.chaos.lag import Sample, went_on_since, within_since_s
from tests.chaos.launcher import PHASES
from tests.chaos.load import LoadPlan, bursts
from tests.chaos.proxy import COMMITS, Proxy
from tests.chaos.session import Mark, Result, Session
from tests.chaos.verdict import Difference, alerts_of, difference

RATE = 2_500  #: beside other tests on two cores; `make chaos` takes its 20,000
SEED = int(os.environ.get("BURNLINE_TEST_SEED", "0")) or random.SystemRandom().randrange(1_000_000)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(480)
def test_a_worker_the_broker_and_clickhouse_are_killed_under_load_and_every_event_counts_once(tmp_path: Path) -> None:
    print(f"replay: BURNLINE_TEST_SEED={SEED} pytest {__file__}")
    with Session(tmp_path, SHORT, SEED, RATE, is_hurried=True) as session:
        result = session.run(rounds=1)
    report.show([result])
    assert result.problems == []
    assert result.events > RATE * 20
    assert [mark.fault for mark in result.marks] == [fault.name for fault in SHORT]


def test_what_is_missing_never_makes_up_for_what_is_too_much() -> None:
    assert difference({"a": 3, "b": 5}, {"a": 4, "b": 4}) == Difference(1, 1)
    assert difference({"a": 3}, {"a": 3}) == Difference(0, 0)
    assert difference({"a": 3}, {"b": 2}) == Difference(3, 2)


@pytest.mark.parametrize(
    ("told", "stored", "problems"),
    [
        pytest.param([("a-1", 1), ("a-1", 1)], {"a-1"}, 0, id="twice under one id"),
        pytest.param([], set(), 1, id="never"),
        pytest.param([("a-1", 2)], {"a-1"}, 1, id="another content"),
        pytest.param([("a-1", 1), ("a-1", 2)], {"a-1"}, 1, id="two contents of one id"),
        pytest.param([("a-1", 1), ("a-2", 1)], {"a-1", "a-2"}, 1, id="one that nobody expects"),
        pytest.param([("a-1", 1)], set(), 1, id="not stored"),
    ],
)
def test_alerts_come_at_least_once_under_one_id(told: list[tuple[str, int]], stored: set[str], problems: int) -> None:
    def alert(long_bad: int) -> dict[str, object]:
        return {"event": "FIRED", "long_bad": long_bad}

    found = alerts_of([(name, alert(bad)) for name, bad in told], {"a-1": alert(1)}, stored)
    assert len(found.problems) == problems


def test_a_burst_counts_when_it_has_been_whole() -> None:
    plan = LoadPlan("", "", "", quiet_s=10, burst_every_s=6, burst_s=8)
    assert [bursts(plan, at) for at in (0, 17.9, 18, 23.9, 24, 30)] == [0, 0, 1, 1, 2, 3]


def test_faults_have_names_of_their_own_and_phases_exist() -> None:
    assert len(FAULTS) == 22
    assert all(hasattr(owner, method) for owner, method, _, _ in PHASES.values())


def test_a_result_tells_how_to_live_through_it_again() -> None:
    command = report.replay(Result("worker-kill", 7, 2, 20_000))
    assert command == "python -m tests.chaos --seed 7 --fault worker-kill --rounds 2 --rate 20000"
    command = report.replay(Result("worker-kill+broker-kill", 7, None, 9_000))
    assert command == "python -m tests.chaos --seed 7 --fault worker-kill --fault broker-kill --together --rate 9000"


def test_a_run_that_failed_prints_its_replay_as_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    good = Result("worker-kill", 6, None, 20_000)
    failed = Result("+".join(FAULTS), 7, None, 20_000, problems=["counts: 3 missing, 4 extra"])
    report.show([good, failed])
    told = [line.strip() for line in capsys.readouterr().out.splitlines() if "replay" in line]
    assert told == [f"replay: {report.replay(failed)}"]


def test_what_a_seed_draws_later_does_not_hang_on_how_many_are_there_just_then() -> None:
    def drawn(sizes: list[int]) -> tuple[list[int], float]:
        chance = random.Random(7)
        return [one_of(chance, range(size)) for size in sizes], chance.random()

    assert drawn([1, 2, 3, 2])[1] == drawn([2, 2, 1, 2])[1]
    assert {one_of(random.Random(seed), "abc") for seed in range(50)} == set("abc")


@pytest.mark.parametrize(
    ("lags", "since_s"),
    [
        pytest.param([1, 9, 9, 3, 2], 3, id="from the first look after the last two that were past it"),
        pytest.param([1, 9, 2, 9, 2], 0, id="never two in a row"),
        pytest.param([1, 2, 9, 9], None, id="not yet"),
        pytest.param([9, 9, 2, 9], 2, id="a lone one at the end"),
    ],
)
def test_a_fault_is_over_when_lags_stay_within_their_limits(lags: list[float], since_s: float | None) -> None:
    samples = [Sample(at_s, 0.0, lag, 0.0, 0, 0) for at_s, lag in enumerate(lags)]
    assert within_since_s(samples, (5_000.0, 3.0, 3.0)) == since_s


@pytest.mark.parametrize(
    ("judge_s", "store_s", "went_on"),
    [
        pytest.param(6.0, 49.0, True, id="however far behind"),
        pytest.param(6.0, 51.0, False, id="the store stands still"),
        pytest.param(16.0, 9.0, False, id="the judge stands still"),
        pytest.param(6.0, float("inf"), False, id="the store does not answer"),
    ],
)
def test_everybody_is_at_work_who_has_got_further(judge_s: float, store_s: float, went_on: bool) -> None:
    before = [Sample(9.0, 0.0, 4.0, 39.0, 0, 0), Sample(10.0, 0.0, 5.0, float("inf"), 0, 0)]
    assert not went_on_since(before, 10.0)
    assert went_on_since([*before, Sample(20.0, 0.0, judge_s, store_s, 0, 0)], 10.0) == went_on


def test_from_the_start_everybody_is_at_work_who_did_something_that_came_after_it() -> None:
    assert not went_on_since([], 0.0)
    assert not went_on_since([Sample(5.0, 0.0, 2.0, 1.7e9, 0, 0)], 0.0)
    assert went_on_since([Sample(5.0, 0.0, 2.0, 4.5, 0, 0)], 0.0)


def test_runs_are_kept_side_by_side_and_told_of_as_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, another, failed = (
        Result("log-truncated", 7, 1, 20_000, 500, 20_000.0, {"counts": Difference(20, 0), "slices": Difference(10, 0)},
               marks=[Mark("log-truncated", 1.0, 2.0, 0.25, 0.5)], lost_events=10),
        Result("log-truncated+broker-kill", 8, 1, 20_000, 300, 19_000.0,
               marks=[Mark("log-truncated", 1.0, 2.0, 0.75, 1.5), Mark("broker-kill", 3.0, 4.0, 6.0, 7.0)]),
        Result("worker-kill", 7, 1, 20_000, 200, 1.0, {"counts": Difference(3, 4)},
               marks=[Mark("worker-kill", 1.0, 2.0)], problems=["counts: 3 missing, 4 extra"]),
    )  # fmt: skip
    for result in (one, another, failed):
        report.save(result, {"cores": 2}, tmp_path)
    found = report.saved(tmp_path)
    assert sorted(found, key=lambda result: result.events, reverse=True) == [one, another, failed]
    report.summarise(found, ["log-truncated", "worker-kill", "worker-zombie"], tmp_path / "recovery.png")
    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [" ".join(row) for row in rows] == [
        "log-truncated 2 2 800 (10 lost) 19,000 0 0 0 0.5, 0.8 1.0, 1.5 ok",
        "worker-kill 1 1 200 1 3 4 0 inf, inf inf, inf FAILED",
        "worker-zombie 0 NOT RUN",
    ]
    assert (tmp_path / "recovery.png").stat().st_size > 5_000


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


def _request(kind: int, text: bytes) -> bytes:
    return struct.pack(">ihh", len(text) + 4, kind, 0) + text


async def _through(proxy: Proxy, *requests: bytes) -> bytes:
    """What comes back of requests through the proxy to an echo; short when the connection was cut."""
    server = await asyncio.start_server(_echo, HOST, 0)
    proxy.target = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    writer.write(b"".join(requests))
    found = b""
    with contextlib.suppress(OSError):
        while len(found) < sum(map(len, requests)) and (data := await asyncio.wait_for(reader.read(1 << 16), 10)):
            found += data
    writer.close()
    server.close()
    return found


def test_a_proxy_forwards_delays_and_refuses_commits_only() -> None:
    produce, commit = _request(0, b"records" * 1000), _request(26, b"end")
    proxy = Proxy(seed=3)
    try:
        assert asyncio.run(_through(proxy, produce, commit)) == produce + commit
        proxy.refused = COMMITS
        assert asyncio.run(_through(proxy, produce, produce)) == produce + produce
        assert all(len(asyncio.run(_through(proxy, *[commit] * 20))) < 20 * len(commit) for _ in range(3))
        assert proxy.cuts == 3
    finally:
        proxy.stop()
