"""What the controls of shedding and quotas ask of ClickHouse, as readers, and the views of what they say."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.controls import quotas, shedding
from pipeline.controls.classes import ServiceClass
from pipeline.controls.costing import CostSpec
from pipeline.controls.questions import Question, files
from pipeline.controls.quotas import Quota, QuotaSpec
from pipeline.controls.shedding import SheddingSpec
from pipeline.controls.signal import Signal
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse import HOST
from pipeline.embedded.clickhouse_config import ADMIN
from pipeline.slo import Indicator, Objective, Ratio
from tests.database import Database, insert

pytestmark = pytest.mark.servers
US = 1_000_000
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
KNOWN = MIDNIGHT + timedelta(hours=5, minutes=30, seconds=7)
CELL = KNOWN.replace(second=0)  #: of 10 s, the one that is known last ends here
COUNTERS = ("success", "shed", "rate_limited", "rejected", "input_tokens", "output_tokens", "cost_picousd")


@pytest.fixture
def client(clickhouse: EmbeddedClickHouse) -> Iterator[Client]:
    """A database of its own, in which everything is known up to KNOWN."""
    with Database(clickhouse) as made, made.client() as client:
        insert(client, "marks", topic="slo.slices", partition=0, source_topic="e", source_partition=0,
               event_time_max=KNOWN, flushed_at=KNOWN, stored_at=KNOWN, counters={})  # fmt: skip
        yield client


def slices(client: Client, at: datetime, tiers: str = "10s", **row: Any) -> None:
    about = {"service": "chat", "request_model": "m", "tenant_id": "acme", "vantage": "GATEWAY"} | row
    for tier in tiers.split():
        size = {"10s": timedelta(seconds=10), "1m": timedelta(minutes=1), "1h": timedelta(hours=1)}[tier]
        start = MIDNIGHT + (at - MIDNIGHT) // size * size
        insert(client, f"slices_{tier}", slice_start=start, **about)


def answered(client: Client, questions: list[Question]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for question in questions:
        options = {"server_side_params": 1} if question.values else {}
        rows, columns = client.execute(question.sql, dict(question.values) or None, True, settings=options)
        found[question.name] = [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]
    return found


def publish(client: Client, signals: list[Signal]) -> None:
    for signal in signals:
        columns = {**signal.columns, "appended_at": KNOWN}
        for name in ("evaluated_at", "expires_at", "watermark"):
            columns[name] = None if columns[name] is None else datetime.fromtimestamp(columns[name] / US, UTC)
        insert(client, "signal_records", **columns)


def judged(client: Client, instance: str, good: int, bad: int, **labels: str) -> None:
    insert(client, "statuses", slo="ttft", instance=instance, service="chat", labels=labels, target=0.99, good=900,
           bad=9, severity="NONE", watermark=KNOWN)  # fmt: skip
    for ago_s, share in ((10, 0.5), (20, 0.5), (30, 9.0)):  # what is older than the last seconds does not count
        insert(client, "counts_10s", slo="ttft", instance=instance, slice_start=CELL - timedelta(seconds=ago_s),
               good=round(good * share), bad=round(bad * share))  # fmt: skip


def event(client: Client, priority: int, objective: str | None, **more: Any) -> None:
    about = {"outcome": "SUCCESS", "sample_weight": 1, "sample_ratio": 0.5, "is_bad": False, "endpoint_id": "e1"}
    insert(client, "event_records", event_id=uuid.uuid4().hex, service="chat", request_model="m", priority=priority,
           objective=objective, counted_at=CELL - timedelta(seconds=60), **(about | more))  # fmt: skip


OBJECTIVE = Objective(
    "ttft", "chat", Indicator("ttft", 1_000_000, group_by=("priority_class", "request_model")), Ratio(99, 100), 1
)


def test_shedding_asks_and_is_told_how_classes_fare(client: Client) -> None:
    judged(client, "a", 100, 40, priority_class="critical", request_model="m")
    judged(client, "b", 200, 0, priority_class="standard", request_model="m")
    for priority, shed in (("critical", 0), ("standard", 0), ("sheddable", 20)):
        for ago_s in (10, 20, 30):
            slices(client, CELL - timedelta(seconds=ago_s), priority_class=priority, success=100 - shed, shed=shed,
                   rate_limited=7, input_tokens=600, output_tokens=100)  # fmt: skip
    for _ in range(3):
        event(client, 0, "throughput", queue_us=2_000_000, input_tokens=10, output_tokens=5)
    event(client, 0, None, is_bad=True, sample_ratio=1.0, endpoint_id="e2")
    event(client, -1, None, outcome="SHED", is_bad=True, sample_ratio=0.25, endpoint_id=None)  # a share of a flood
    spec, now_us = SheddingSpec(), round(KNOWN.timestamp() * US)
    rows = answered(client, shedding.ask(spec, [OBJECTIVE], now_us))
    assert [row["endpoints"] for row in rows["shed_endpoints"]] == [2]
    weights = {(row["priority_class"], row["objective"]): row["requests"] for row in rows["shed_split"]}
    assert weights == {("standard", "throughput"): 6.0, ("standard", ""): 1.0, ("sheddable", ""): 4.0}
    slow = next(row for row in rows["shed_split"] if row["objective"] == "throughput")
    assert (slow["queued_s"], slow["request_work"]) == ([2.0] * 11, [30.0] * 11)

    signals = {each.scope: each for each in shedding.step(spec, {}, rows, now_us)}
    assert signals[""].state == "shed"
    assert signals[""].inputs["offered_rps"] == 30.0
    critical, slow_class, nobody = (signals[each].inputs for each in ("CRITICAL", "HIGH_SLOW", "NO_SLO"))
    assert (critical["good"], critical["bad"], critical["window_good"]) == (100.0, 40.0, 900.0)
    assert slow_class["offered_rps"] == pytest.approx(10 * 6 / 7)
    assert (nobody["offered_rps"], nobody["shed_ratio"]) == (10.0, 0.2)

    publish(client, list(signals.values()))
    found = client.execute("SELECT class, slo, good, bad, shed_ratio, shed_share, load FROM class_compliance")
    by_class = {row[0]: row[1:] for row in found}
    assert set(by_class) <= set(ServiceClass.__members__)
    assert by_class["CRITICAL"] == ("ttft", 100, 40, 0.0, 0.0, "exact")
    assert by_class["NO_SLO"][:4] == ("", None, None, 0.2)


def test_quotas_ask_and_are_told_what_was_used(clickhouse: EmbeddedClickHouse, client: Client, tmp_path: Path) -> None:
    now = KNOWN
    yesterday, before_midnight = MIDNIGHT - timedelta(days=1), MIDNIGHT - timedelta(hours=1)
    for at, tokens in ((now, 100), (now - timedelta(minutes=20), 10), (MIDNIGHT, 7), (before_midnight, 1_000)):
        slices(client, at, "1m 1h", success=2, shed=1, rate_limited=3, input_tokens=tokens, output_tokens=tokens)
        slices(client, at, "1m 1h", success=1, input_tokens=5, vantage="ENGINE")
    slices(client, now, "1m 1h", tenant_id="zen", service="search", success=9, cost_picousd=4)
    spec = QuotaSpec(quotas=(
        Quota("an-hour", "hour", tokens=200), Quota("a-day", "day", tokens=300), Quota("a-month", "month", tokens=9999),
        Quota("requests", "day", requests=9, service="search"), Quota("spend", "day", cost_picousd=5, tenants=("zen",)),
    ))  # fmt: skip
    rows = answered(client, list(quotas.ask(spec, (), 0)))
    signals = quotas.step(spec, {}, rows, round(now.timestamp() * US))
    used = {each.scope: each.details["used"] for each in signals if "tenant_id" in each.details}
    is_same_month = yesterday.month == now.month
    assert used == {
        "an-hour/acme": "220", "a-day/acme": "234", "a-month/acme": "2234" if is_same_month else "234",
        "an-hour/zen": "0", "a-day/zen": "0", "a-month/zen": "0", "requests/zen": "9", "spend/zen": "4",
    }  # fmt: skip

    publish(client, signals)
    columns = (
        "quota, tenant_id, used, remaining, over, state, turned_away, recent_per_s * 3600, period_start, exhausted_at"
    )
    found = client.execute(f"SELECT {columns} FROM quota_usage WHERE tenant_id = 'acme' ORDER BY quota")
    day, hour = found[0], found[2]
    assert day[:7] == ("a-day", "acme", 234, 66, 0, "within", 9) and day[8] == MIDNIGHT
    assert hour[:7] == ("an-hour", "acme", 220, 0, 20, "exceeded", 6)
    assert hour[7] == pytest.approx(20) and hour[9] == hour[8] + timedelta(minutes=30, seconds=7)
    assert_the_command_says_the_same(clickhouse, client, tmp_path)


def test_sums_of_more_than_64_bits_of_pico_usd_are_told_as_they_are(client: Client) -> None:
    """They would end at nine million USD, and an exceeded quota would be one that nobody has used."""
    for hour in (1, 2):
        slices(client, MIDNIGHT + timedelta(hours=hour), "1h", success=1, output_tokens=1000, cost_picousd=6 * 10**18)
    slices(client, KNOWN - timedelta(minutes=20), "1m", success=1, cost_picousd=6 * 10**18)
    slices(client, KNOWN - timedelta(minutes=21), "1m", success=1, cost_picousd=6 * 10**18)
    spec = QuotaSpec(quotas=(Quota("spend", "day", cost_picousd=10**18),))
    rows = answered(client, list(quotas.ask(spec, (), 0)))
    (signal,) = (each for each in quotas.step(spec, {}, rows, round(KNOWN.timestamp() * US)) if "/" in each.scope)
    assert (signal.details["used"], signal.state) == (str(12 * 10**18), "exceeded")
    assert signal.inputs["recent_per_s"] == pytest.approx(12e18 / 3600)
    publish(client, [signal])
    assert client.execute("SELECT used, over FROM quota_usage") == [(12 * 10**18, 11 * 10**18)]
    (concern,) = quotas.concerns(spec, {signal.key: signal}, signal.evaluated_at_us)
    assert (concern.figures["long_good"], concern.figures["long_bad"]) == (10**18, 2**63 - 1)  # an alert has 64 bits

    (row,) = answered(client, list(files("cost")(CostSpec(window_s=10 * 86_400.0), (), 0)))["cost"]
    assert row["cost_picousd"] == 12 * 10**18


QUOTAS = """\
apiVersion: burnline/v1
kind: Controls
quota:
  quotas:
    - {name: an-hour, per: hour, tokens: 200}
    - {name: spend, per: day, cost: 0.000000000005 USD, tenants: zen, near: 0.9}
"""


def assert_the_command_says_the_same(clickhouse: EmbeddedClickHouse, client: Client, home: Path) -> None:
    (home / "controls.yaml").write_text(QUOTAS)
    environment = {
        "BURNLINE_CLICKHOUSE_URL": f"clickhouse://{ADMIN}@{HOST}:{clickhouse.port}/{client.connection.database}",
        "BURNLINE_CLICKHOUSE_PASSWORD_FILE": str(clickhouse.admin_password_file),
        "BURNLINE_CONTROLS_FILE": str(home / "controls.yaml"),
    }

    def asked(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["quotas", *words], env=environment)
        assert result.exit_code == code, result.output
        return result.output

    found = {(row["quota"], row["tenant_id"]): row for row in json.loads(asked("--json"))}
    hour = found["an-hour", "acme"]
    assert (hour["used"], hour["limit"], hour["over"], hour["state"]) == (220, 200, 20, "exceeded")
    assert found["spend", "zen"]["used"] == 4 and found["spend", "zen"]["state"] == "within"
    assert ("spend", "acme") not in found
    (worst,) = json.loads(asked("--json", "--exceeded", code=1))
    assert worst["tenant_id"] == "acme"
    assert json.loads(asked("zen", "--json", "--exceeded")) == []
    table = asked("acme", "--quota", "an-hour")
    assert "exceeded" in table and "acme" in table and "spend" not in table
    assert "did you mean spend" in asked("--quota", "spent", code=2)
    (home / "controls.yaml").write_text(QUOTAS.partition("quota:")[0])
    assert "there are no quotas" in asked(code=2)
