"""What autoscalers ask: always one row; fresh: of the last minute; stale: the greatest of the last known day."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_driver import Client

from pipeline.embedded import EmbeddedClickHouse
from tests.database import Database, insert

pytestmark = pytest.mark.servers
VIEWS = ("keda_throughput", "keda_concurrency", "keda_queue_delay", "keda_burn_rate")
STATE = "arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', arrayResize([], %d, %f))"


@pytest.fixture
def empty(clickhouse: EmbeddedClickHouse) -> Iterator[Client]:
    """A client of a database of its own: what is known of others' topics would be known here too."""
    with Database(clickhouse) as made, made.client() as client:
        yield client


def told(client: Client, known_at: datetime, topic: str = "events", partition: int = 0, **more: Any) -> None:
    """What ingest has read of a source partition up to an event time, or to its end, is stored in two partitions.

    `behind_s`: the other one of them is behind; `idle_s`: silent for so long; `derived`: the topic of both.
    """
    idle_s = more.get("idle_s", 0)
    for number, behind_s in enumerate((0, more.get("behind_s", 0))):
        at = known_at - timedelta(seconds=behind_s)
        insert(
            client, "marks", topic=more.get("derived", "slices"), partition=number, source_topic=topic,
            source_partition=partition, event_time_max=at - timedelta(seconds=idle_s), flushed_at=at, stored_at=at,
            idle_us=idle_s * 1_000_000, counters={},
        )  # fmt: skip


def slices(client: Client, tier: str, start: datetime, served: int, e2e_s: float, vantage: str = "GATEWAY") -> None:
    client.execute(
        f"INSERT INTO slices_{tier} (slice_start, service, request_model, vantage, success, e2e_state) SELECT "
        f"%(start)s, 'chat', 'm', %(vantage)s, {served}, {STATE % (served, e2e_s * 1e6)}",
        {"start": start, "vantage": vantage},
    )


def queued(client: Client, at: datetime, queue_us: int, ratio: float = 1.0, weight: int = 1) -> None:
    insert(
        client, "event_records", service="chat", request_model="m", counted_at=at, queue_us=queue_us,
        sample_ratio=ratio, sample_weight=weight,
    )  # fmt: skip


def judged(
    client: Client, instance: str, watermark: datetime, rates: list[float | None], service: str = "chat", **labels: str
) -> None:
    insert(
        client, "statuses", slo="s", instance=instance, service=service, labels=labels, watermark=watermark,
        windows_s=[3600, 300][: len(rates)], windows_burn_rate=rates,
    )  # fmt: skip


def asked(client: Client, view: str, service: str = "chat") -> tuple[float, float]:
    (row,) = client.execute(f"SELECT value, age_s FROM {view}(service='{service}', model='m')")
    return row[0], row[1]


@pytest.fixture
def filled(empty: Client) -> tuple[Client, datetime]:
    """Ten minutes ago was busier than now; what is known is told by the test."""
    now = datetime.now(UTC).replace(microsecond=0)
    now -= timedelta(seconds=now.second % 10)
    slices(empty, "1m", now - timedelta(minutes=10), 600, 4.0)
    slices(empty, "1m", now - timedelta(days=2), 60_000, 40.0)
    slices(empty, "10s", now - timedelta(seconds=30), 60, 2.0)
    slices(empty, "10s", now - timedelta(seconds=30), 30, 2.0, "ENGINE")
    queued(empty, now - timedelta(minutes=10), 9_000_000)
    for i in range(20):
        queued(empty, now - timedelta(seconds=20), 100_000 * i)
    queued(empty, now - timedelta(seconds=20), 50_000, 0.5, 1_000)  # one that stands for two thousand
    judged(empty, "a", now, [3.0, 1.5], request_model="m")
    judged(empty, "b", now, [30.0, 15.0], request_model="other")
    judged(empty, "c", now, [9.0, None])
    return empty, now


def test_without_anything_there_is_one_row_and_it_is_not_fresh(empty: Client) -> None:
    assert {view: asked(empty, view) for view in VIEWS} == dict.fromkeys(VIEWS, (0.0, 1e9))


def test_fresh_values_are_of_the_last_minute(filled: tuple[Client, datetime]) -> None:
    client, now = filled
    told(client, now)
    found = {view: asked(client, view) for view in VIEWS}
    assert max(age for _, age in found.values()) < 60
    assert found["keda_throughput"][0] == 1.0
    assert found["keda_concurrency"][0] == pytest.approx(2.0, rel=0.011)
    assert found["keda_queue_delay"][0] == 0.05
    assert found["keda_burn_rate"][0] == 1.5
    told(client, now, partition=1, idle_s=4_000)  # read to its end and silent: known all the same
    assert asked(client, "keda_throughput") == (1.0, pytest.approx(found["keda_throughput"][1], abs=50))


def test_a_service_without_traffic_is_known_to_have_none(filled: tuple[Client, datetime]) -> None:
    client, now = filled
    told(client, now)
    for view in VIEWS:
        value, age_s = asked(client, view, "silent")
        assert (value, age_s < 60) == (0.0, True)


BEHIND = ("a source behind", "a stored partition behind")


@pytest.mark.parametrize("stale", [*BEHIND, "all silent for days"])
def test_stale_values_are_the_greatest_of_the_last_day_that_is_known(
    filled: tuple[Client, datetime], stale: str
) -> None:
    client, now = filled
    if stale in BEHIND:
        told(client, now, behind_s=300 if stale == BEHIND[1] else 0)
        told(client, now - timedelta(seconds=300 if stale == BEHIND[0] else 0), partition=1)
    else:
        client.execute("ALTER TABLE slices_1m DELETE WHERE true SETTINGS mutations_sync = 1")
        slices(client, "1m", now - timedelta(days=9, minutes=3), 600, 4.0)
        told(client, now - timedelta(days=9))
    found = {view: asked(client, view) for view in VIEWS}
    assert min(age for _, age in found.values()) > 60
    assert found["keda_throughput"][0] == 10.0
    assert found["keda_concurrency"][0] == pytest.approx(40.0, rel=0.011)
    assert found["keda_burn_rate"][0] == 9.0
    if stale in BEHIND:
        assert found["keda_queue_delay"][0] == 9.0


def test_a_topic_that_was_given_up_makes_nothing_stale(filled: tuple[Client, datetime]) -> None:
    client, now = filled
    told(client, now - timedelta(days=3), topic="older.events")
    told(client, now - timedelta(days=3), derived="older.slices")
    told(client, now)
    assert asked(client, "keda_throughput")[0] == 1.0


def test_a_busy_service_of_which_no_event_says_its_queue_is_not_said_to_have_none(
    filled: tuple[Client, datetime],
) -> None:
    client, now = filled
    told(client, now)
    client.execute(
        "ALTER TABLE event_records DELETE WHERE counted_at > now() - INTERVAL 5 MINUTE SETTINGS mutations_sync = 1"
    )
    assert asked(client, "keda_queue_delay")[0] == 9.0


def test_the_queue_of_a_busy_service_of_which_no_event_ever_says_is_not_known(filled: tuple[Client, datetime]) -> None:
    client, now = filled
    told(client, now)
    client.execute("TRUNCATE TABLE event_records")
    assert asked(client, "keda_queue_delay") == (0.0, 1e9)
    assert asked(client, "keda_queue_delay", "silent")[1] < 60


def test_burn_rates_are_known_as_far_as_anything_is_judged_though_nothing_changes(empty: Client) -> None:
    now = datetime.now(UTC)
    earlier = now - timedelta(minutes=10)
    judged(empty, "a", earlier, [3.0, 1.5])
    told(empty, now, idle_s=600)
    value, age_s = asked(empty, "keda_burn_rate")
    assert (value, age_s < 60) == (1.5, True), "all are silent"
    told(empty, now)
    value, age_s = asked(empty, "keda_burn_rate")
    assert (value, age_s) == (3.0, pytest.approx(600)), "events are not judged"
    judged(empty, "b", now, [8.0, 7.0], service="other")
    value, age_s = asked(empty, "keda_burn_rate")
    assert (value, age_s < 60) == (1.5, True), "this one alone is silent"
