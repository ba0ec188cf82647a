"""What goes in comes out or is explained: replay, dead letters fed again, and a stop before too many of them.

One pipeline for all: events of hours that are over, some of them unusable until a fix, the judge and store running.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from jobs.replay.source import ReplayFailed
from jobs.replay.swapping import Replay
from pipeline.app import parts_of
from pipeline.commands.children import environment
from pipeline.embedded.site import Site
from pipeline.topics import DEAD_LETTERS, EVENTS, topic_name
from tests.acceptance import killed_replay
from tests.acceptance.harness import Pipeline, pipeline_on
from tests.acceptance.test_bad_input import SLO, Feed, encoded
from tests.forking import FORKING

pytestmark = [pytest.mark.servers, pytest.mark.slow]

EVENTS_GOOD, RETRIES, LETTERS = 3_000, 500, 300
#: the least session that brokers grant: who is killed is followed soon
OPTIONS = {"duplicates_window_s": 3_600, "session_timeout_s": 6}
HOUR_US = 3_600_000_000
NOW_US = time.time_ns() // 1000  #: one for all: an hour may end between two tests


def slos(home: Path, service: str = "steady") -> Path:
    (home / "slo.yaml").write_text(SLO.format(service=service, label="request_model"))
    return home


def past(hours: int) -> int:
    """A moment in an hour that is over."""
    return (NOW_US // HOUR_US - hours) * HOUR_US + 600_000_000


def text(moment_us: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment_us / 1e6))


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    """Events of two hours that are over."""
    return [
        encoded(
            completed_at=past(3 + n % 2) + n * 10_000, request_model=f"accounts-{n % 5}", tenant_id="accounts",
            outcome="SUCCESS" if n % 50 else "ERROR",
        )
        for n in range(EVENTS_GOOD)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory, values: list[bytes]) -> Iterator[Pipeline]:
    """Those events stored, some of them sent again; on a site of its own, since a replay answers for all of a table."""
    with (
        Site(tmp_path_factory.mktemp("accounts")) as own,
        pipeline_on(own, "accounts", slos(tmp_path_factory.mktemp("slo")), **OPTIONS) as running,
    ):
        worker = running.begin_worker()
        send(running, values)
        send(running, values[:RETRIES])
        worker.ready()
        running.wait_until(lambda: left_out(running) == RETRIES, "retries left out")
        running.wait_until(lambda: stored(running) == EVENTS_GOOD, "all events stored")
        yield running


def send(running: Pipeline, values: list[bytes]) -> None:
    """As a producer does, and does again when it heard no answer: equal keys go to equal partitions."""
    producer = Producer({"bootstrap.servers": running.settings.kafka_brokers})
    for value in values:
        producer.produce(topic_name(running.settings, EVENTS), value=value, key=md5(value).digest())
        producer.poll(0)
    assert producer.flush(60) == 0


def left_out(running: Pipeline) -> int:
    ask = "SELECT sum(duplicates) FROM pipeline_health WHERE stage = 'ingest' AND topic = 'accounts.inference.events'"
    return int(running.ask(ask)[0][0])


def stored(running: Pipeline, table: str = "sli") -> int:
    return int(running.ask(f"SELECT sum(requests) FROM {table} WHERE tenant_id = 'accounts'")[0][0] or 0)


def counted(running: Pipeline) -> int:
    """Events counted of the model whose counts `damage` takes away."""
    where = "slo = 'bad-steady' AND endsWith(instance, 'accounts-0')"
    return int(running.ask(f"SELECT sum(good + bad + excluded) FROM slo_counts WHERE {where}")[0][0])


def replayed(running: Pipeline, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = running.run("replay", "--from", text(past(4)), "--to", text(past(3)), *more)
    return found


def tables(report: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Slices that differ, that are missing, that are extra; of tables where any does."""
    return {
        each["table"]: (each["different"], each["missing"], each["extra"])
        for each in report["tables"]
        if each["different"]
    }


def test_a_replay_of_what_is_stored_finds_it_equal(fed: Pipeline) -> None:
    report = replayed(fed)
    assert tables(report) == {}, [each["examples"][:2] for each in report["tables"]]
    assert report["is_equal"] and report["records"] == EVENTS_GOOD + RETRIES and not report["swapped"]
    by_table = {each["table"]: each for each in report["tables"]}
    assert set(by_table) == {f"{kind}_{tier}" for kind in ("counts", "slices") for tier in ("10s", "1m", "1h")}
    for table in ("counts_10s", "counts_1m", "counts_1h"):
        sums = by_table[table]["stored"]
        assert (sums["good"] + sums["bad"], sums) == (EVENTS_GOOD, by_table[table]["recomputed"])


def damage(running: Pipeline) -> None:
    """Spoil stored rows in every way: one lost, one doubled, one that nobody counted, a sketch that is too slow."""
    client = running.site.clickhouse.client()
    try:
        settings = {"lightweight_deletes_sync": 2}
        client.execute(
            "DELETE FROM counts_10s WHERE slo = 'bad-steady' AND instance = 'request_model=accounts-0'",
            settings=settings,
        )
        client.execute("INSERT INTO counts_1h SELECT * FROM counts_1h WHERE instance = 'request_model=accounts-1'")
        at = f"fromUnixTimestamp64Micro({past(3)})"
        row = f"{at} AS slice_start, 'ghost' AS service, 'accounts' AS tenant_id, 7 AS success"
        client.execute(f"INSERT INTO slices_1m (slice_start, service, tenant_id, success) SELECT {row}")
        state = "arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', [9e9, 9e9, 9e9])"
        columns = "slice_start, service, request_model, tenant_id, region, operation, priority_class, variant, vantage"
        client.execute(
            f"INSERT INTO slices_10s ({columns}, e2e_state) SELECT {columns}, {state} FROM slices_10s "
            "WHERE tenant_id = 'accounts' ORDER BY slice_start LIMIT 1"
        )
    finally:
        client.disconnect()


def test_a_replay_finds_what_was_spoilt_changes_nothing_unasked_and_mends_it_once(fed: Pipeline) -> None:
    damage(fed)
    found = replayed(fed)
    assert not found["is_equal"] and not found["swapped"]
    differs = tables(found)
    assert set(differs) == {"counts_10s", "counts_1h", "slices_10s", "slices_1m"}
    assert differs["counts_10s"][0] == differs["counts_10s"][1] > 0  # missing
    assert differs["slices_1m"] == (1, 0, 1) and differs["slices_10s"] == (1, 0, 0)
    assert tables(replayed(fed)) == differs  # looking changed nothing
    mended = replayed(fed, "--apply")
    assert set(mended["swapped"]) == set(differs)
    again = replayed(fed, "--apply")
    assert again["is_equal"] and not again["swapped"]
    assert [stored(fed, table) for table in ("sli", "sli_1m", "sli_1h")] == [EVENTS_GOOD] * 3


def killed_at(running: Pipeline, what: str, number: int) -> None:
    """Kill a replay that applies what it finds when a step of it begins; later steps are never reached."""
    span = (past(4) // HOUR_US * HOUR_US, past(2) // HOUR_US * HOUR_US)
    replay = FORKING.Process(target=killed_replay.replay, args=(environment(running.settings), *span, what, number))
    replay.start()
    replay.join(120)
    assert replay.exitcode == -signal.SIGKILL


def test_a_replay_killed_at_any_step_of_its_swap_and_run_again_loses_nothing_and_doubles_nothing(fed: Pipeline) -> None:
    """Each finds what the one before left: an hour taken out, an hour half mended, all mended and nobody told."""
    damage(fed)
    killed_at(fed, "swapping", 1)  # counts_10s: out, and not yet in
    killed_at(fed, "swapping", 6)  # between two tables
    killed_at(fed, "swapping", 7)  # slices_10s: out, and not yet in
    assert stored(fed) < EVENTS_GOOD
    killed_at(fed, "swapping", 12)  # behind the last table
    assert replayed(fed, "--apply")["is_equal"]
    assert [stored(fed, table) for table in ("sli", "sli_1m", "sli_1h")] == [EVENTS_GOOD] * 3


def test_a_late_event_that_a_swap_takes_out_is_told_and_the_next_replay_puts_it_back(
    fed: Pipeline,
) -> None:
    damage(fed)
    late: list[int] = []

    def progress(what: str, done: int, total: int) -> None:
        del total
        if (what, done) == ("swapping", 0):
            before, counts = stored(fed), counted(fed)
            send(fed, [encoded(completed_at=past(3), request_model="accounts-0", tenant_id="accounts")])
            fed.becomes(lambda: (stored(fed), counted(fed)), (before + 1, counts + 1))
            late.append(before + 1)

    replay = Replay(parts_of(fed.settings), past(4) // HOUR_US * HOUR_US, past(2) // HOUR_US * HOUR_US, progress)
    try:
        assert not asyncio.run(replay.compare(60, threading.Event())).is_equal
        with pytest.raises(ReplayFailed, match=r"were swapped, and .*counts_10s.* differ"):
            asyncio.run(replay.swap(60, threading.Event()))
    finally:
        replay.close()
    assert replayed(fed, "--apply")["swapped"]
    assert [stored(fed, table) for table in ("sli", "sli_1m", "sli_1h")] == late * 3


PRICES = """\
apiVersion: burnline/v1
kind: PriceList
version: list-2
prices: [{models}]
"""


def test_costs_are_rated_anew_in_a_shadow_and_swapped_only_when_asked(fed: Pipeline, tmp_path: Path) -> None:
    """Nine tokens at 2 USD for a million, of four models of five; a replay would bring back that nothing was paid."""
    models = (f"{{model: accounts-{n}, input: 0 USD/1M, output: 2 USD/1M}}" for n in range(4))
    (tmp_path / "prices.yaml").write_text(PRICES.format(models=", ".join(models)))
    span = ("--from", text(past(4)), "--to", text(past(3)), "--prices", str(tmp_path / "prices.yaml"))
    mine = "tenant_id = 'accounts' AND request_model != 'accounts-4'"
    total = f"SELECT sum(requests), sum(cost_picousd) FROM {{}} WHERE {mine}"
    ((requests, before),) = fed.ask(total.format("sli_1h"))
    found = fed.run("cost", "rerate", *span)
    assert (before, found["stored_picousd"], found["rated_picousd"]) == (0, 0, requests * 9 * 2_000_000)
    assert found["rated"]["unpriced"].keys() == {"accounts-4"} and not found["swapped"]
    assert fed.ask(total.format("sli_1h")) == [(requests, 0)]
    assert set(fed.run("cost", "rerate", *span, "--apply")["swapped"]) == {"slices_10s", "slices_1m", "slices_1h"}
    for tier in ("sli", "sli_1m", "sli_1h"):
        assert fed.ask(total.format(tier)) == [(requests, found["rated_picousd"])]
    again = fed.run("cost", "rerate", *span, "--apply")
    assert (again["different_slices"], again["swapped"]) == (0, [])
    assert set(tables(replayed(fed))) == {"slices_10s", "slices_1m", "slices_1h"}


def test_a_range_that_is_not_over_is_refused(fed: Pipeline) -> None:
    with pytest.raises(AssertionError, match=r"(?s)Invalid\s+value.*widened"):
        fed.run("replay", "--from", text(past(3)), "--to", text(time.time_ns() // 1000))


def test_dead_letters_fed_again_are_counted_once_and_those_that_fail_again_say_so(fed: Pipeline) -> None:
    before, feed = stored(fed), Feed(fed)
    for _ in range(LETTERS):
        feed.send(b"no event at all", "unframed")
    feed.flush()
    ask = (
        "SELECT count(), countIf(redrives = 1), countIf(redriven_at IS NOT NULL) FROM dead_letters "
        "WHERE topic = 'accounts.inference.events'"
    )
    fed.wait_until(lambda: fed.ask(ask)[0][0] == LETTERS, "letters stored")
    good = [encoded(completed_at=past(3), request_model="accounts-0", tenant_id="accounts") for _ in range(10)]
    put_aside(fed, good)
    report = fed.run("drain-dead-letters")
    assert (report["fed"], report["by_reason"]) == (LETTERS + 10, {"unframed": LETTERS, "unknown_schema": 10})
    fed.wait_until(lambda: fed.ask(ask)[0] == (2 * LETTERS + 10, LETTERS, LETTERS + 10), "letters stored again")
    fed.becomes(lambda: stored(fed), before + 10)
    again = fed.run("drain-dead-letters", "--max-redrives", "1")
    assert (again["fed"], again["left"]["fed too often"]) == (0, LETTERS)


def put_aside(running: Pipeline, values: list[bytes]) -> None:
    """Letters of a worker that did not know the schema yet, which is known now."""
    from tests.jobs.test_drain import about

    producer = Producer({"bootstrap.servers": running.settings.kafka_brokers})
    for n, value in enumerate(values):
        headers = list(about("unknown_schema", n, topic=topic_name(running.settings, EVENTS)))
        producer.produce(topic_name(running.settings, DEAD_LETTERS), value=value, key=b"k", headers=headers)
    assert producer.flush(60) == 0


def test_retries_behind_a_crash_are_left_out_too(fed: Pipeline, values: list[bytes]) -> None:
    """The next owner of the partitions reads again what came within the window."""
    before, counted = left_out(fed), stored(fed)
    fed.workers[-1].process.kill()
    worker = fed.begin_worker()
    send(fed, values[-RETRIES:])
    address = worker.ready()["http"]
    fed.becomes(lambda: left_out(fed), before + RETRIES)
    assert stored(fed) == counted
    said = httpx.get(f"{address}/metrics", timeout=60).text
    assert f"burnline_duplicates_total {RETRIES:.1f}" in said and "burnline_event_ids_forgotten_total 0.0" in said


def test_too_many_dead_letters_stop_ingest_until_somebody_decides(site: Site, tmp_path: Path) -> None:
    with pipeline_on(site, "deploy", slos(tmp_path, "deploy"), limit_dead_letter_records=100) as running:
        worker, feed = running.begin_worker(), Feed(running)
        for _ in range(40):
            feed.send(encoded(service="deploy", request_model="deploy", tenant_id="deploy"))
        feed.flush()
        address = worker.ready()["http"]
        for _ in range(500):
            feed.send(b"what a new release writes", "unframed")
        feed.flush()

        def said(path: str) -> httpx.Response:
            return httpx.get(address + path, timeout=60)

        running.wait_until(lambda: "ingest has stopped" in said("/readyz").text, "ingest stops")
        assert said("/readyz").status_code == 503 and "LIMIT_DEAD_LETTER_RATIO" in said("/readyz").text
        assert said("/healthz").status_code == 200  # a restart would not help
        assert 'burnline_stopped{step="ingest"} 1.0' in said("/metrics").text
        put = len(list(running.records(DEAD_LETTERS)))
        assert put < 100
        assert worker.stop(120) == 1
        running.settings = running.settings.model_copy(update={"limit_dead_letter_ratio": 1.0})
        running.start_worker()
        running.becomes(lambda: len(list(running.records(DEAD_LETTERS))), 500)
