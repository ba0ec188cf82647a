"""What goes in comes out or is explained: replay, dead letters fed again, and a stop before too many of them.

One pipeline for all: events of hours that are over, some of them unusable until a fix, the judge and store running.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.embedded.site import Site
from pipeline.topics import DEAD_LETTERS, EVENTS, topic_name
from tests.acceptance.harness import Pipeline, pipeline_on
from tests.acceptance.test_bad_input import SLO, Feed, encoded

pytestmark = [pytest.mark.servers, pytest.mark.slow]

EVENTS_GOOD, LETTERS = 3_000, 300
HOUR_US = 3_600_000_000


def slos(home: Path, service: str = "steady") -> Path:
    (home / "slo.yaml").write_text(SLO.format(service=service, label="request_model"))
    return home


def past(hours: int) -> int:
    """A moment in an hour that is over."""
    return (time.time_ns() // 1000 // HOUR_US - hours) * HOUR_US + 600_000_000


def text(moment_us: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment_us / 1e6))


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Events of two hours that are over, stored; on a site of their own, since a replay answers for all of a table."""
    with (
        Site(tmp_path_factory.mktemp("accounts")) as own,
        pipeline_on(own, "accounts", slos(tmp_path_factory.mktemp("slo"))) as running,
    ):
        worker, feed = running.begin_worker(), Feed(running)
        for n in range(EVENTS_GOOD):
            outcome = {"outcome": "ERROR"} if n % 50 == 0 else {}
            at = past(3 + n % 2) + n * 10_000
            feed.send(encoded(completed_at=at, request_model=f"accounts-{n % 5}", tenant_id="accounts", **outcome))
        feed.flush()
        worker.ready()
        running.wait_until(lambda: stored(running) == EVENTS_GOOD, "all events stored")
        yield running


def stored(running: Pipeline, table: str = "sli") -> int:
    return int(running.ask(f"SELECT sum(requests) FROM {table} WHERE tenant_id = 'accounts'")[0][0] or 0)


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
    assert report["is_equal"] and report["records"] >= EVENTS_GOOD and not report["swapped"]
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
        row = "now64(6) - INTERVAL 3 HOUR AS slice_start, 'ghost' AS service, 'accounts' AS tenant_id, 7 AS success"
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
    good = encoded(completed_at=past(3), request_model="accounts-0", tenant_id="accounts")
    put_aside(fed, [good] * 10)
    report = fed.run("drain-dead-letters")
    assert (report["fed"], report["by_reason"]) == (LETTERS + 10, {"unframed": LETTERS, "unknown_schema": 10})
    fed.wait_until(lambda: fed.ask(ask)[0] == (2 * LETTERS + 10, LETTERS, LETTERS + 10), "letters stored again")
    fed.becomes(lambda: stored(fed), before + 10)
    again = fed.run("drain-dead-letters", "--max-redrives", "1")
    assert (again["fed"], again["left"]["fed too often"]) == (0, LETTERS)


def put_aside(running: Pipeline, values: list[bytes]) -> None:
    """Letters of a worker that did not know the schema yet, which is known now."""
    from confluent_kafka import Producer

    from tests.jobs.test_drain import about

    producer = Producer({"bootstrap.servers": running.settings.kafka_brokers})
    for n, value in enumerate(values):
        headers = list(about("unknown_schema", n, topic=topic_name(running.settings, EVENTS)))
        producer.produce(topic_name(running.settings, DEAD_LETTERS), value=value, key=b"k", headers=headers)
    assert producer.flush(30) == 0


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
        running.wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 503, "ingest has stopped")
        why = json.dumps(httpx.get(f"{address}/readyz").json())
        assert "ingest has stopped" in why and "LIMIT_DEAD_LETTER_RATIO" in why
        assert httpx.get(f"{address}/healthz").status_code == 200  # a restart would not help
        assert 'burnline_stopped{step="ingest"} 1.0' in httpx.get(f"{address}/metrics").text
        put = len(list(running.records(DEAD_LETTERS)))
        assert put < 100
        assert worker.stop() == 1
        running.settings = running.settings.model_copy(update={"limit_dead_letter_ratio": 1.0})
        running.start_worker()
        running.becomes(lambda: len(list(running.records(DEAD_LETTERS))), 500, 60)
