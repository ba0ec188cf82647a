"""`burnline capacity`, and the SQL behind it: what it says of events is what the kernels counted them as."""

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from clickhouse_driver import Client
from typer.testing import CliRunner, Result

from pipeline.cli import app
from pipeline.controls.capacity import CapacitySpec
from pipeline.controls.headroom import ask, is_judged, step
from pipeline.controls.predicates import WHAT, verdict
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse import HOST
from pipeline.embedded.clickhouse_config import ADMIN
from pipeline.sli import METRICS
from pipeline.slo import Selector
from tests import event_samples
from tests.controls.test_headroom import row as capacity_row
from tests.naive import capacity as naive

pytestmark = pytest.mark.servers
NOW = datetime.now(UTC).replace(microsecond=0)
SLOS = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: quick}
spec:
  service: plant
  indicator: {metric: ttft, op: lte, threshold: 1s}
  target: 0.99
  timeWindow: {duration: 30d, isRolling: true}
---
apiVersion: burnline/v1
kind: SLO
metadata: {name: crowd}
spec:
  service: plant
  indicator: {metric: concurrency, op: lte, threshold: "40"}
  target: 0.99
  timeWindow: {duration: 30d, isRolling: true}
"""


class Site(NamedTuple):
    """A database in which the views that are asked are tables of the test's."""

    client: Client
    name: str
    environment: dict[str, str]

    def insert(self, events: list[dict[str, Any]]) -> None:
        self.client.execute(f"INSERT INTO events ({', '.join(events[0])}) VALUES", events)

    def asked(self, *words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["capacity", *words], env=self.environment)
        assert result.exit_code == code, result.output
        return result


@pytest.fixture
def site(clickhouse: EmbeddedClickHouse, tmp_path: Path) -> Iterator[Site]:
    name = f"capacity_{uuid.uuid4().hex[:8]}"
    with clickhouse.client() as admin:
        admin.execute(f"CREATE DATABASE {name}")
        admin.execute(f"CREATE TABLE {name}.events AS event_records ENGINE = MergeTree ORDER BY counted_at")
        admin.execute(f"CREATE TABLE {name}.known_until ENGINE = Memory AS SELECT * FROM known_until WHERE 0")
        admin.execute(f"INSERT INTO {name}.known_until VALUES", [(NOW, 1.0)])
        (tmp_path / "slos.yaml").write_text(SLOS)
        environment = {
            "BURNLINE_CLICKHOUSE_URL": f"clickhouse://{ADMIN}@{HOST}:{clickhouse.port}/{name}",
            "BURNLINE_CLICKHOUSE_PASSWORD_FILE": str(clickhouse.admin_password_file),
            "BURNLINE_SLO_DIR": str(tmp_path),
        }
        with clickhouse.client(database=name) as client:
            yield Site(client, name, environment)
        admin.execute(f"DROP DATABASE {name}")


def kept(random: Random) -> dict[str, Any]:
    """One event as it is stored, at some moment of the last hours, with its corners."""
    event = event_samples.sample(random) | {"itl_sketch": None}
    times = {name: NOW - timedelta(minutes=1) for name in ("received_at", "completed_at", "emitted_at")}
    stored = {"counted_at": NOW - timedelta(minutes=random.randrange(600)), "is_bad": False, "appended_at": NOW}
    running = {"adm_running": random.choice((None, -1, 0, 7, 31, 32, 33, 64, 65, 1000)), "adm_waiting": None}
    if random.random() < 0.3:
        running["adm_waiting"] = random.choice((-1, 0, 1, 40))
    return event | times | stored | running | {"sample_ratio": random.choice((1.0, 0.5))}


def test_sql_says_of_every_event_what_it_counts_as(site: Site) -> None:
    """Its bins hold what was counted, of every model, variant and SLO."""
    random = Random(5)
    events = [kept(random) for _ in range(500)]
    site.insert(events)
    samples = [each for each in event_samples.objectives() if not METRICS[each.indicator.metric].is_of_slices]
    open_ones = {"strict": (("tenant_id", Selector(none_of=("acme", "it's"), prefixes=("z", "n\\"))),)}
    objectives = [_selecting(each, open_ones[each.name]) if each.name in open_ones else each for each in samples]
    columns = ", ".join(verdict(each) for each in objectives)
    found = site.client.execute(f"SELECT {WHAT} AS what, [{columns}] FROM events ORDER BY event_id, request_id, e2e_us")
    events.sort(key=lambda each: (each["event_id"].encode(), each["request_id"].encode(), each["e2e_us"]))
    for event, (_, said) in zip(events, found, strict=True):
        for objective, one in zip(objectives, said, strict=True):
            assert one == naive.verdict(event, objective), (objective.name, event)
    asked = [each for each in objectives if is_judged(each) and each.service == "chat"]
    (question,) = ask(CapacitySpec(), asked, 0)
    rows = _rows(site.client, question.sql, question.values)
    told = {(row["model"], row["variant"], row["least"]): _pairs(row) for row in rows}
    assert told == naive.tallied([each for each in events if each["service"] == "chat"], asked)
    assert {row["most"] >= row["least"] for row in rows} == {True}
    wanted = naive.spreads([each for each in events if each["service"] == "chat"], asked)
    assert any(cells for each in wanted.values() for cells in each)
    for row in rows:
        spread = [dict(zip(cells, weight, strict=True)) for cells, weight, _ in row["spreads"]]
        assert spread == [pytest.approx(cells) for cells in wanted[row["model"], row["variant"], row["least"]]]


def _selecting(objective: Any, where: Any) -> Any:
    from dataclasses import replace

    return replace(objective, indicator=replace(objective.indicator, where=where))


def _rows(client: Client, sql: str, values: Any) -> list[dict[str, Any]]:
    found, columns = client.execute(sql, dict(values), with_column_types=True, settings={"server_side_params": 1})
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in found]


def _pairs(row: dict[str, Any]) -> list[float]:
    return [figure for pair in zip(row["good"], row["bad"], strict=True) for figure in pair]


def plant(load: int, slow: int, minute: int, **more: Any) -> dict[str, Any]:
    """An event of an endpoint that is slow for one in `slow` of its requests."""
    at = NOW - timedelta(minutes=minute, seconds=1)
    return {
        "service": "plant", "request_model": "m", "variant": "v", "outcome": "SUCCESS", "failure_kind": "NONE",
        "vantage": "GATEWAY", "final_attempt": True, "counted_at": at, "e2e_us": 2_000_000, "stream": True,
        "ttft_us": 2_000_000 if minute % slow == 0 else 400_000, "adm_running": load, "sample_ratio": 1.0,
        "sample_weight": 1, **more,
    }  # fmt: skip


def test_capacity_is_told_with_what_limits_it_and_what_room_is_left(site: Site) -> None:
    site.insert([plant(10, 10_000, minute) for minute in range(1, 700)])
    site.insert([plant(20, 10_000, minute) for minute in range(1, 700)])
    site.insert([plant(30, 5, minute) for minute in range(10, 70)])  # none of it now
    (any_variant, told) = json.loads(site.asked("plant", "--json").output)
    assert (told["scope"], told["state"], told["value"], told["inputs"]["broken_at"]) == ("v", "measured", 20.0, 30.0)
    assert any_variant["value"] == 20.0 and told["details"]["limited_by"] == "quick"
    assert told["inputs"]["now"] == 15 and told["inputs"]["sustained_ratio"] == pytest.approx(20 / 15)
    assert told["inputs"]["rps_per_endpoint"] == pytest.approx(10) and told["inputs"]["peak"] == 30
    assert told["samples"] == 699 + 699 + 60
    shown = site.asked("plant", "--variant", "v").output
    assert "measured" in shown and "quick" in shown
    bins = json.loads(site.asked("--bins", "--json", "--variant", "v").output)
    assert [(each["slo"], each["in_flight_least"], each["least"] >= 0.99) for each in bins] == [
        ("quick", 10, True), ("quick", 20, True), ("quick", 30, False),
    ]  # fmt: skip
    assert "broken" in site.asked("plant", "--bins").output
    assert json.loads(site.asked("plant", "--json", "--window", "1m").output) == []


def test_a_service_that_no_slo_is_about_is_a_question_that_cannot_be_asked(site: Site) -> None:
    assert "services: plant" in site.asked("nobody", code=2).output.replace("\n", " ")


def test_the_view_says_what_the_signal_says(clickhouse: EmbeddedClickHouse) -> None:
    service, seen = f"c{uuid.uuid4().hex[:10]}", ((10, 1), (20, 1), (40, 300))
    loads = [capacity_row(load, 5_000, bad, service=service, variant="v") for load, bad in seen]
    signals = step(CapacitySpec(), {}, {"capacity": loads}, time.time_ns() // 1000)
    with clickhouse.client() as client:
        for each in signals:
            times = {name: _moment(each.columns[name]) for name in ("evaluated_at", "expires_at", "watermark")}
            columns = each.columns | times | {"appended_at": NOW}
            client.execute(f"INSERT INTO signal_records ({', '.join(columns)}) VALUES", [columns])
        sql = "SELECT * FROM capacity WHERE service = {service:String} AND variant = 'v'"
        (told,) = _rows(client, sql, {"service": service})
    (signal,) = (each for each in signals if each.scope == "v")
    assert (told["state"], told["capacity"], told["broken_at"]) == ("measured", 20, 40)
    same = ("peak", "headroom_ratio", "sustained_ratio", "burst_2x_s", "burst_3x_s", "rps_per_endpoint", "residence_s")
    assert {name: told[name] for name in same} == {name: signal.inputs[name] for name in same}
    assert told["burst_1_5x_s"] is None and told["in_flight_now"] == 10 and told["limited_by"] == "it's quick"
    assert not told["is_expired"] and told["age_s"] < 600


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)
