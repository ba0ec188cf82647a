"""What happened beside an SLO: corrections, changes, notes, requests kept whole; and names that nobody would choose."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from pipeline.embedded import EmbeddedClickHouse
from tests.database import Database, insert
from tests.fleet_story import judged
from tests.refreshing import refresh_for
from tests.web.serving import Served, serving
from tests.web.test_api import get

pytestmark = pytest.mark.servers
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
NAMES = ["plain", 'it\'s \\ "odd"|a/b %41 {slo:String} $view', "\u00e9\U0001f525\n\t"]
EU = "region=eu"


@pytest.fixture(scope="module")
def server(clickhouse: EmbeddedClickHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    database = Database(clickhouse)
    with database.client() as client:
        for name in NAMES:
            told(client, name)
        changed(client)
        corrected(client)
        kept(client)
        replicas(client)
        refresh_for(client, "compliance_corrected")
    files = tmp_path_factory.mktemp("slo")
    (files / "replicas.yaml").write_text(REPLICAS)
    with serving(database.settings(files)) as served:
        yield served
    database.drop()


REPLICAS = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: replicas}
spec:
  service: batch
  indicator:
    metric: error_rate
    where: {priority_class: critical, provider: ours, request_model: {prefix: llama}, stream: "true"}
    groupBy: [endpoint_id]
  target: 0.99
  timeWindow: {duration: 30d, isRolling: true}
"""


def replicas(client: Any) -> None:
    """Requests of a replica that is judged, and others that differ from them in one thing each."""
    judged(client, "replicas", "endpoint_id=e1", 99, 1, service="batch")
    right = {
        "service": "batch", "endpoint_id": "e1", "provider": "ours", "priority": 1, "stream": True, "e2e_us": 1_000,
        "outcome": "ERROR", "is_bad": True, "counted_at": NOW - HOUR, "request_model": "llama", "vantage": "GATEWAY",
    }  # fmt: skip
    for number, other in enumerate(
        ({}, {"request_model": "qwen"}, {"endpoint_id": "e2"}, {"provider": "theirs"}, {"priority": 0},
         {"stream": False}, {"endpoint_id": None}),
    ):  # fmt: skip
        insert(client, "event_records", event_id=f"r{number}", request_id=f"r{number}", **(right | other))


def told(client: Any, slo: str) -> None:
    """An SLO with two instances, three alerts that fired at once, and a note on each."""
    for region in ("eu", "us"):
        judged(client, slo, f"region={region}", 99, 1, service="chat")
        for tier, step in (("1m", timedelta(minutes=1)), ("1h", HOUR)):
            at = NOW.replace(second=0, minute=NOW.minute if tier == "1m" else 0) - step
            row = {
                "slo": slo,
                "revision": "r1",
                "instance": f"region={region}",
                "slice_start": at,
                "good": 99,
                "bad": 1,
            }
            insert(client, f"counts_{tier}", **row)
    for suffix in ("", "|no-data", "|budget"):
        key = f"{slo}|{EU}{suffix}"
        insert(
            client, "alert_events", slo=slo, dedup_key=key, sequence=1, instance=EU, service="chat", event="FIRED",
            severity="WARNING", started_at=NOW - HOUR, window_end=NOW - HOUR, evaluated_at=NOW - HOUR, reason=key,
        )  # fmt: skip
        insert(
            client, "alert_remarks", slo=slo, dedup_key=key, started_at=NOW - HOUR, written_at=NOW - HOUR / 2,
            what="ACK", who="ann", text="looking",
        )  # fmt: skip


def changed(client: Any) -> None:
    """A deploy everywhere, a knob in another region, and a maintenance that began before."""
    for kind, region, at, until in (
        ("DEPLOY", "", NOW - HOUR, None), ("KNOB", "us", NOW - HOUR, None),
        ("MAINTENANCE", "eu", NOW - 9 * HOUR, NOW - HOUR / 2), ("SCALE", "", NOW - 8 * HOUR, None),
    ):  # fmt: skip
        insert(
            client, "change_records", change_id=kind, at=at, until=until, kind=kind, service="chat", title="v2",
            region=region, before={"batch": "8"}, after={"batch": "16"}, actor="bob",
        )  # fmt: skip


def corrected(client: Any) -> None:
    """An hour of one SLO's European instance does not count."""
    insert(
        client, "correction_versions", correction="night", version=1, state="APPLIED", reason="switch", who="ann",
        recorded_at=NOW, where_labels=["slo", "region"], where_values=[["plain"], ["eu"]], where_none_of=[[], []],
        where_prefixes=[[], []], starts=[NOW - 2 * HOUR], ends=[NOW - HOUR], stored_at=NOW,
    )  # fmt: skip


def kept(client: Any) -> None:
    """Four requests: two of Europe, of which one is bad, one of another region, one of long ago."""
    for number, (region, is_bad, age) in enumerate(
        (("eu", False, HOUR), ("eu", True, HOUR), ("us", True, HOUR), ("eu", True, 30 * HOUR))
    ):
        insert(
            client, "event_records", event_id=str(number), request_id=f"q{number}", trace_id=f"t{number}",
            service="chat", region=region, outcome="ERROR" if is_bad else "SUCCESS", e2e_us=1_000 - number,
            is_bad=is_bad, counted_at=NOW - age, request_model="llama", vantage="GATEWAY",
        )  # fmt: skip


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60) as asking:
        yield asking


def one(name: str) -> str:
    return f"/api/v1/slos/{quote(name, safe='')}"


@pytest.mark.parametrize("name", NAMES, ids=["plain", "odd", "beyond ASCII"])
def test_a_name_may_hold_anything_and_leads_to_itself_alone(client: httpx.Client, name: str) -> None:
    assert [row["slo"] for row in get(client, "/api/v1/slos", slo=name)["items"]] == [name, name]
    assert get(client, one(name))["instances_total"] == 2
    counts = get(client, f"{one(name)}/counts", instance=EU)
    assert [each for each in counts["bad"] if each is not None] == [1]
    alerts = get(client, "/api/v1/alerts", slo=name, instance=EU)["items"]
    assert {alert["dedup_key"] for alert in alerts} == {f"{name}|{EU}{end}" for end in ("", "|no-data", "|budget")}
    for alert in alerts:
        found = get(client, f"/api/v1/alerts/{quote(alert['dedup_key'], safe='')}", fired_at=alert["fired_at"])
        assert {**found["alert"], "duration_s": 0} == {**alert, "duration_s": 0} and len(found["events"]) == 1
        assert (alert["acknowledged_by"], alert["notes"]) == ("ann", ["ann: looking"])


@pytest.mark.parametrize("limit", [1, 2, 4, 8])
def test_alerts_that_fired_at_once_come_once_each(client: httpx.Client, limit: int) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = get(client, "/api/v1/alerts", limit=limit, cursor=cursor)
        seen += [alert["dedup_key"] for alert in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 3 * len(NAMES)


def test_marks_are_of_this_instance_and_this_time(client: httpx.Client) -> None:
    marks = get(client, f"{one('plain')}/marks", instance=EU, **{"from": "-3h"})["items"]
    found = {(mark["kind"], mark["title"]) for mark in marks if mark["kind"] != "alert"}
    assert found == {
        ("change", "Deploy: v2"), ("change", "Maintenance: v2"), ("correction", "Correction night"),
        ("note", "Acknowledged by ann"),
    }  # fmt: skip
    assert sum(mark["kind"] == "alert" for mark in marks) == 3
    deploy = next(mark for mark in marks if mark["title"] == "Deploy: v2")
    assert deploy["detail"] == "batch: 8 -> 16 (bob)" and deploy["change_id"] == "DEPLOY"
    assert {mark["title"] for mark in marks if mark["change_id"] is not None} == {"Deploy: v2"}
    assert [mark["at"] for mark in marks] == sorted(mark["at"] for mark in marks)


def test_what_a_change_did_is_told_of_the_instance_as_the_command_says_it(client: httpx.Client) -> None:
    said = get(client, f"{one('plain')}/compared", instance=EU, change="DEPLOY")
    assert (said["slo"], said["instance"], said["title"]) == ("plain", EU, "v2")
    assert said["verdict"] == "not_yet" and said["reason"]
    elsewhere = client.get(f"{one('plain')}/compared", params={"instance": EU, "change": "KNOB"})
    assert elsewhere.status_code == 404, "it was in another region"
    assert client.get(f"{one('plain')}/compared", params={"instance": EU}).status_code == 400


def test_a_correction_is_told_beside_what_is_judged(client: httpx.Client) -> None:
    assert get(client, one("plain"), instance=EU)["corrections"]["names"] == ["night"]
    assert get(client, one("plain"), instance="region=us")["corrections"] is None


def test_requests_that_are_kept_are_bad_ones_first_and_of_this_instance(client: httpx.Client) -> None:
    said = get(client, f"{one('plain')}/requests", instance=EU, **{"from": "-6h"})
    assert [(each["request_id"], each["is_bad"], each["value_us"]) for each in said["items"]] == [
        ("q1", True, 999), ("q0", False, 1_000),
    ]  # fmt: skip
    assert get(client, f"{one('plain')}/requests", instance=EU, **{"from": "-1m"})["note"] is not None


def test_requests_are_of_the_labels_it_is_about_and_what_they_cannot_be_narrowed_to_is_said(
    client: httpx.Client,
) -> None:
    said = get(client, f"{one('replicas')}/requests", instance="endpoint_id=e1", **{"from": "-6h"})
    assert {each["request_id"] for each in said["items"]} == {"r0", "r1"}  # of every model, and that is said
    assert said["note"] == "Of all values of request_model: this list cannot be narrowed to it"
    assert get(client, f"{one('plain')}/requests", instance=EU, **{"from": "-6h"})["note"] is None


def test_without_files_charts_are_drawn_and_say_what_they_do_not_know(client: httpx.Client) -> None:
    assert get(client, one("plain"), instance=EU)["definition"] is None
    assert get(client, f"{one('plain')}/burn", instance=EU)["thresholds"] == []
    assert get(client, f"{one('plain')}/budget", instance=EU)["remaining_ratio"][-1] == pytest.approx(0.0)
