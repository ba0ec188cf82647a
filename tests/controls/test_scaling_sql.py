"""What scaling asks ClickHouse, on rows that are known; and what KEDA asks it of what was decided."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_driver import Client

from pipeline.controls import scaling
from pipeline.controls.scaling_facts import facts_of
from pipeline.embedded import EmbeddedClickHouse
from tests.database import Database, insert_rows

pytestmark = pytest.mark.servers
SPEC = scaling.ScaleSpec()
CELLS = 30


@pytest.fixture(scope="module")
def client(clickhouse: EmbeddedClickHouse) -> Iterator[Client]:
    """A client of a database of its own: what is known of others' topics would be known here too."""
    with Database(clickhouse) as made, made.client() as client:
        yield client


def answers(client: Client) -> dict[str, list[dict[str, Any]]]:
    """Ask as the agent does."""
    slos = [{"slo": "ttft", "metric": "ttft"}, {"slo": "e", "metric": "error_rate"}, {"slo": "e2e", "metric": "e2e"}]
    found: dict[str, list[dict[str, Any]]] = {"slos": slos}
    for question in scaling.ask(SPEC, (), 0):
        values = dict(question.values) or None
        options = {"readonly": 1, "server_side_params": 1} if values else {"readonly": 1}
        rows, columns = client.execute(question.sql, values, with_column_types=True, settings=options)
        found[question.name] = [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]
    return found


def recent(seconds: int = 20) -> datetime:
    """A moment of late, at the begin of ten seconds."""
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds)
    return now - timedelta(seconds=now.second % 10)


def served(client: Client, at: datetime, variant: str, requests: int, vantage: str = "GATEWAY", **more: int) -> None:
    for tier in ("10s", "1h"):
        start = at if tier == "10s" else at.replace(minute=0, second=0)
        insert_rows(
            client, f"slices_{tier}",
            {"slice_start": start, "service": "chat", "request_model": "m", "variant": variant, "vantage": vantage,
             "success": requests, **more},
        )  # fmt: skip


def looked(known: datetime, ago_s: float, endpoint: str, running: int | None, **more: Any) -> dict[str, Any]:
    """A look at a replica; running None: it is not ready."""
    return {
        "snapshot_at": known - timedelta(seconds=ago_s), "endpoint_id": endpoint, "service": "chat", "model": "m",
        "variant": "a", "accelerator": "h100", "ready": running is not None, "running": running,
        "waiting": None if running is None else more.get("waiting", 0), "started_at": more.get("started_at"),
    }  # fmt: skip


def fill(client: Client) -> datetime:
    """Two variants at a gateway, an engine's own view, replicas that start and stop answering, burn rates."""
    known = recent()
    mark = {
        "topic": "slices", "partition": 0, "source_topic": "events", "source_partition": 0, "event_time_max": known,
        "flushed_at": known, "stored_at": known, "idle_us": 0, "counters": {},
    }  # fmt: skip
    insert_rows(client, "marks", mark)
    served(client, known - timedelta(seconds=10), "a", 60, rate_limited=50, rejected=7)
    served(client, known - timedelta(seconds=10), "b", 30)
    served(client, known - timedelta(seconds=10), "", 0, shed=9)
    served(client, known - timedelta(seconds=300), "a", 210)
    served(client, known - timedelta(seconds=310), "a", 990)  # too long ago
    served(client, known - timedelta(seconds=10), "a", 99, "ENGINE")
    insert_rows(
        client, "snapshot_records",
        looked(known, 12, "one", 5), looked(known, 2, "one", 7, waiting=3),
        looked(known, 12, "two", 4), looked(known, 1, "two", None),
        looked(known, 12, "four", 30), looked(known, 3, "four", 32), looked(known, 1, "four", None),
        looked(known, 12, "five", 6), looked(known, 2, "five", 6),
        # cold starts: 40 s from the first look; a look that failed, which is none; 90 s by its own word
        looked(known, 5_000, "three", None), looked(known, 4_970, "three", None), looked(known, 4_960, "three", 1),
        looked(known, 4_950, "three", None), looked(known, 4_940, "three", 1), looked(known, 4_000, "three", None),
        looked(known, 3_920, "three", 0, started_at=known - timedelta(seconds=4_010)),
    )  # fmt: skip
    of = {
        "service": "chat", "request_model": "m", "variant": "b", "vantage": "GATEWAY", "accelerator": "l4",
        "counted_at": known - timedelta(seconds=5),
    }  # fmt: skip
    cold = {"cold_start": True, "sample_ratio": 1.0, "sample_weight": 1}
    insert_rows(
        client, "event_records",
        {**of, "queue_us": 2_000_000, "cold_start": False, "sample_ratio": 0.1, "sample_weight": 3},
        *({**of, "queue_us": second * 1_000_000, **cold} for second in range(20)),
    )  # fmt: skip
    for slo, labels, rates in (
        ("ttft", {"request_model": "m"}, [3.0, 1.5]), ("e", {}, [90.0, 80.0]),
        ("e2e", {}, [90.0, 0.0]),  # it burnt within the hour, and is over
    ):  # fmt: skip
        status = {
            "slo": slo, "instance": "i", "service": "chat", "labels": labels, "watermark": known, "window_end": known,
            "windows_s": [3600, 300], "windows_good": [9, 9], "windows_bad": [1, 1],
            "windows_coverage_ratio": [1.0, 1.0], "windows_burn_rate": rates,
        }  # fmt: skip
        insert_rows(client, "statuses", status)
    return known


def test_what_is_stored_is_what_scaling_knows(client: Client) -> None:
    known = fill(client)
    first, second = facts_of(answers(client), {})
    assert (first.service, first.model, first.scope, second.scope) == ("chat", "m", "a", "b")
    assert first.known_at_us == known.timestamp() * 1e6
    assert 0 < first.age_s < 60
    assert (len(first.loads), len(second.loads)) == (CELLS, CELLS)
    # Of a: 60 in 10 s, nine tenths of the 9 that were shed, as it served, and 7 more in flight: 7 + 3 for 5, 32 for 30;
    # what a replica holds that does not answer now is not known, and is not gone.
    assert first.share == pytest.approx(270 / 300)
    assert first.loads[0] == pytest.approx(6 + 0.9 * 0.9 + 0.7)
    assert first.loads[1:] == (*[0] * 28, 21)
    assert second.loads[0] == pytest.approx(3 + 0.1 * 0.9)
    assert (first.waiting, first.ready) == (3, 2)
    assert (first.cold_start_s, first.accelerator) == (90, "h100")
    assert (first.burn_rate, first.burn_slo, first.burn_window_s) == (1.5, "ttft", 300)
    assert second.ready is None
    assert second.waiting == pytest.approx((2 * 30 + sum(range(20))) / 60)
    assert (second.cold_start_s, second.accelerator) == (pytest.approx(18, abs=1), "l4")


def told(client: Client, scope: str, ago_s: float, value: float | None, ttl_s: float = 120.0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    insert_rows(
        client, "signal_history",
        {"service": "chat", "model": "k", "name": "scale", "scope": scope, "state": "steady" if value else "unknown",
         "value": value, "evaluated_at": at, "expires_at": at + timedelta(seconds=ttl_s), "appended_at": at},
    )  # fmt: skip


def asked(client: Client) -> tuple[float | None, float]:
    ((value, age_s),) = client.execute("SELECT value, age_s FROM keda_desired_replicas(service='chat', model='k')")
    return value, age_s


def test_keda_gets_one_row_that_is_safe_when_the_control_is_away(client: Client) -> None:
    assert asked(client) == (None, 1e9), "never told of"
    told(client, "a", 100_000, 50)  # more than a day before what was told last
    told(client, "a", 4_000, 9)
    told(client, "a", 600, 5)
    assert asked(client) == (9, pytest.approx(600, abs=60)), "the control is away: the most of its last day"
    told(client, "b", 60, 2)
    assert asked(client)[0] == 2, "a variant of which nothing is said any more needs none"
    told(client, "a", 30, 4)
    assert asked(client) == (6, pytest.approx(30, abs=30))
    told(client, "a", 10, None)
    told(client, "b", 10, None)
    assert asked(client)[0] == 11, "nothing is known: the most of each within its last day"
    day = {(row["model"], row["variant"], row["replicas"]) for row in answers(client)["scale_day"]}
    assert day == {("k", "a", 9), ("k", "b", 2)}
    told(client, "b", 5, 3)
    assert asked(client)[0] == 12, "of one variant nothing is known: it counts with its most"
    told(client, "a", 4, 7, ttl_s=3.9)
    assert asked(client)[0] == 12, "the control went away, and of one variant it has expired first"
    told(client, "b", 1, 3)
    assert asked(client)[0] == 3, "the control went on without it"
    told(client, "c", 1, None)
    assert asked(client)[0] is None, "nobody ever knew"


def test_nothing_is_known_of_an_empty_database(client: Client) -> None:
    for table in ("marks", "slices_10s", "slices_1h", "snapshot_records", "event_records", "statuses"):
        client.execute(f"TRUNCATE TABLE {table}")
    assert [rows for name, rows in answers(client).items() if name not in ("slos", "scale_day")] == [[]] * 6
    assert facts_of(answers(client), {}) == []
