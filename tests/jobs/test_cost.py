"""Views and commands of cost, on a real ClickHouse that holds a small story, against sums made by hand."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

from jobs.cost.what_if import REPLICAS_SQL
from jobs.report.provisioning import MONEY_SQL
from pipeline.cli import app
from pipeline.controls.cost import HEADROOM, MONTH_H
from pipeline.controls.costing import CostSpec, step
from pipeline.controls.questions import files
from pipeline.embedded import EmbeddedClickHouse
from tests.database import Database, insert
from tests.naive import cost as naive
from tests.refreshing import refresh_for

pytestmark = pytest.mark.servers

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOURS = [NOW - timedelta(hours=back) for back in range(8, 3, -1)]  #: the change comes within the third
SERVICE, MODEL = "cost-service", "m"
USD = 10**12
HOUR_PRICE, GPUS = 3 * USD, 2
FAST, CHEAP = "fast", "cheap"
#: variant, tenant -> requests, output tokens, metered, accelerator time in s, bad requests with their tokens, e2e in ms
SERVED = {
    (FAST, "acme"): (900, 90_000, USD, 1_000, 3, 100),
    (FAST, "zen"): (300, 30_001, USD // 3, 333, 0, 100),
    (CHEAP, "acme"): (900, 90_000, USD // 2, 1_500, 9, 400),
}
MINUTES_UP = {FAST: 30, CHEAP: 60}  #: of one replica, an hour


class Site(NamedTuple):
    """A database with the story, and how commands find it."""

    client: Any
    environment: dict[str, str]

    def ask(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        refresh_for(self.client, sql)
        rows, columns = self.client.execute(sql, values or None, with_column_types=True)
        return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]

    def run(self, *words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(words), env=self.environment)
        assert result.exit_code == code, result.output
        return result

    def json(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run(*words, "--json").stdout)
        return found


@pytest.fixture(scope="module")
def site(clickhouse: EmbeddedClickHouse) -> Iterator[Site]:
    """A database of its own: how far anything is known is a matter of all of one."""
    with Database(clickhouse) as made, made.client() as client:
        tell(client)
        yield Site(client, made.environment)


@pytest.fixture
def ask(site: Site) -> Any:
    return site.ask


STATE = "arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', [toFloat64({e2e_us})])"


def tell(client: Any) -> None:
    for hour in HOURS:
        for (variant, tenant), (requests, tokens, cost, gpu_s, bad, e2e_ms) in SERVED.items():
            row = {
                "slice_start": f"fromUnixTimestamp({int(hour.timestamp())})", "service": f"'{SERVICE}'",
                "request_model": f"'{MODEL}'", "tenant_id": f"'{tenant}'", "priority_class": "'standard'",
                "variant": f"'{variant}'", "vantage": "'GATEWAY'", "success": requests, "output_tokens": tokens,
                "input_tokens": 7, "cost_picousd": cost, "gpu_us": gpu_s * 1_000_000,
                "e2e_state": STATE.format(e2e_us=e2e_ms * 1000),
            }  # fmt: skip
            client.execute(f"INSERT INTO slices_1h ({', '.join(row)}) SELECT {', '.join(map(str, row.values()))}")
            for number in range(max(bad, 1)):
                _event(client, hour, variant, tenant, number, is_bad=bad > 0)
        for variant, minutes in MINUTES_UP.items():
            _snapshots(client, hour, variant, minutes)
    _snapshots(client, NOW - timedelta(hours=20), FAST, 6)  # up, and nobody came
    insert(
        client, "marks", topic="slices", source_topic="events", event_time_max=NOW, flushed_at=NOW, stored_at=NOW,
        counters={},
    )  # fmt: skip
    seen_elsewhere = {"slice_start": HOURS[0], "service": SERVICE, "vantage": "ENGINE"}  # never added up
    insert(client, "slices_1h", **seen_elsewhere, success=99_999, cost_picousd=77)
    at = HOURS[2] + timedelta(minutes=10)
    change = {"service": SERVICE, "at": at, "appended_at": at}
    insert(client, "change_records", **change, change_id="c1", kind="KNOB", variant=FAST, config_epoch="batch-16")
    insert(client, "change_records", **change, change_id="c2", kind="NOTE", config_epoch=None)


def _event(client: Any, hour: datetime, variant: str, tenant: str, number: int, is_bad: bool) -> None:
    """One event that is kept; a bad one stands for itself and for another that was not."""
    insert(
        client, "event_records", service=SERVICE, request_model=MODEL, tenant_id=tenant, priority=0, variant=variant,
        vantage="GATEWAY", counted_at=hour + timedelta(minutes=5), is_bad=is_bad, sample_ratio=0.5, sample_weight=1,
        output_tokens=10, accelerator=f"gpu-{variant}", event_id=str(number),
    )  # fmt: skip


def _snapshots(client: Any, hour: datetime, variant: str, minutes: int) -> None:
    """Two looks a minute at one replica, and one minute in which it was not ready."""
    columns = "snapshot_at, endpoint_id, service, model, variant, ready, gpu_count, gpu_hour_picousd"
    rows = [
        (hour + timedelta(minutes=m, seconds=s), f"{variant}-0", SERVICE, MODEL, variant, m < minutes, GPUS, HOUR_PRICE)
        for m in range(min(minutes + 1, 60))
        for s in (1, 31)
    ]
    client.execute(f"INSERT INTO snapshot_records ({columns}) VALUES", rows)


def test_cost_is_metered_and_paid_and_what_stood_idle_is_told_apart(ask: Any) -> None:
    found = ask("SELECT * FROM cost WHERE service = %(s)s AND slice_start = %(at)s", s=SERVICE, at=HOURS[0])
    assert {(row["variant"], row["tenant_id"]) for row in found} == set(SERVED)
    for variant in (FAST, CHEAP):
        mine = {key: each for key, each in SERVED.items() if key[0] == variant}
        truth = naive.paid([each[3] * 1_000_000 for each in mine.values()], MINUTES_UP[variant], GPUS, HOUR_PRICE)
        for (key, (requests, tokens, cost, gpu_s, bad, _)), (used, idle) in zip(mine.items(), truth, strict=True):
            (row,) = (row for row in found if (row["variant"], row["tenant_id"]) == key)
            assert (row["requests"], row["output_tokens"], row["cost_picousd"]) == (requests, tokens, cost)
            assert row["gpu_us"] == gpu_s * 1_000_000
            assert row["used_picousd"] == pytest.approx(float(used), abs=1)
            assert row["idle_picousd"] == pytest.approx(float(idle), abs=2)
            assert row["good_tokens"] == tokens - 20 * bad
            assert row["usd_per_1k_tokens"] == pytest.approx(1000 * cost / tokens / USD)
            assert row["usd_per_1k_good_tokens"] == pytest.approx(1000 * cost / (tokens - 20 * bad) / USD)
            assert row["paid_usd_per_1k_tokens"] == pytest.approx(1000 * (float(used) + float(idle)) / tokens / USD)


def test_replicas_that_were_up_for_nobody_are_paid_for_too(ask: Any) -> None:
    (row,) = ask("SELECT * FROM cost WHERE service = %(s)s AND requests = 0", s=SERVICE)
    assert (row["tenant_id"], row["variant"], row["slice_start"]) == ("", FAST, NOW - timedelta(hours=20))
    assert row["idle_picousd"] == row["paid_picousd"] == 6 * GPUS * HOUR_PRICE // 60
    assert (row["usd_per_1k_tokens"], row["paid_usd_per_1k_tokens"]) == (None, None)


def test_all_that_is_spent_is_somebody_s(ask: Any) -> None:
    (row,) = ask(
        "SELECT sum(cost_picousd) AS cost, sum(paid_picousd) AS paid FROM cost WHERE service = %(s)s", s=SERVICE
    )
    assert row["cost"] == len(HOURS) * sum(each[2] for each in SERVED.values())
    paid = (
        len(HOURS) * sum(minutes * GPUS * HOUR_PRICE // 60 for minutes in MINUTES_UP.values())
        + 6 * GPUS * HOUR_PRICE // 60
    )
    assert 0 <= paid - row["paid"] <= 2 * len(HOURS) * len(SERVED)


def test_where_no_event_or_snapshot_is_kept_good_tokens_and_what_was_paid_are_not_known(site: Site) -> None:
    row = {"slice_start": HOURS[0], "service": "cost-dark", "request_model": MODEL, "vantage": "ENGINE"}
    insert(site.client, "slices_1h", **row, success=5, output_tokens=100, cost_picousd=USD)
    (row,) = site.ask("SELECT * FROM cost WHERE service = 'cost-dark'")
    unknown = ("good_tokens", "paid_picousd", "used_picousd", "idle_picousd", "usd_per_1k_good_tokens")
    assert [row[name] for name in unknown] == [None] * len(unknown)
    assert (row["requests"], row["usd_per_1k_tokens"]) == (5, 10.0)


def test_millions_are_told_as_they_are(site: Site) -> None:
    """In pico-USD 64 bits end at nine million, and at nine thousand when it is multiplied by a thousand tokens."""
    same = {"service": "cost-large", "request_model": MODEL, "vantage": "GATEWAY"}
    for at in HOURS[:2]:
        insert(site.client, "slices_1h", **same, slice_start=at, success=5, output_tokens=10**9,
               cost_picousd=6_000_000 * USD)  # fmt: skip
    for view, rows in (("cost", 2), ("config_frontier", 1)):
        found = site.ask(f"SELECT usd_per_1k_tokens AS usd FROM {view} WHERE service = 'cost-large'")
        assert [row["usd"] for row in found] == pytest.approx([6.0] * rows)
    (told,) = site.json("cost", "--by", "service", "--service", "cost-large")
    assert (told["cost_picousd"], told["usd_per_1k_tokens"]) == (12_000_000 * USD, pytest.approx(6.0))
    span = {"start": int(HOURS[0].timestamp()), "end": int(NOW.timestamp())}
    reported = site.client.execute(MONEY_SQL, span, settings={"server_side_params": 1})
    assert ("cost-large", 12_000_000 * USD) in [row[:2] for row in reported]


def test_epochs_are_apart_and_the_hour_of_a_change_is_of_none(ask: Any) -> None:
    sql = "SELECT variant, config_epoch, is_mixed FROM config_hours WHERE service = %(s)s AND tenant_id = 'acme'"
    found = ask(f"{sql} ORDER BY variant, slice_start", s=SERVICE)
    assert [row["config_epoch"] for row in found if row["variant"] == CHEAP] == [""] * 5
    assert [row["config_epoch"] for row in found if row["variant"] == FAST] == ["", "", "", "batch-16", "batch-16"]
    assert [row["is_mixed"] for row in found if row["variant"] == FAST] == [False, False, True, False, False]
    assert not any(row["is_mixed"] for row in found if row["variant"] == CHEAP)


def test_a_configuration_is_measured_and_placed_among_its_rivals(ask: Any) -> None:
    found = {
        (row["variant"], row["config_epoch"]): row
        for row in ask("SELECT * FROM config_frontier WHERE service = %(s)s", s=SERVICE)
    }
    assert set(found) == {(CHEAP, ""), (FAST, ""), (FAST, "batch-16")}
    cheap, early = found[CHEAP, ""], found[FAST, ""]
    assert (cheap["hours"], cheap["requests"], cheap["is_enough"], cheap["on_frontier"]) == (5, 4_500, True, False)
    assert (early["hours"], early["is_enough"], early["on_frontier"]) == (2, False, None)
    assert cheap["compliance_ratio"] == pytest.approx(1 - 18 / 900)
    assert (cheap["basis"], cheap["accelerators"]) == ("paid", ["gpu-cheap"])
    assert cheap["usd_per_1k_tokens"] == pytest.approx(1000 * GPUS * 3 / 90_000)
    assert cheap["e2e_p99_us"] == pytest.approx(400_000, rel=0.01)
    assert cheap["tokens_per_gpu_s"] == pytest.approx(90_000 / (GPUS * 3600))
    assert cheap["ttft_p99_us"] is None
    assert (cheap["is_running"], found[FAST, "batch-16"]["is_running"], early["is_running"]) == (True, True, False)


def test_what_another_vantage_keeps_tells_nothing_of_what_was_good(site: Site) -> None:
    """The engine's events are kept; the gateway's, which count, are not."""
    same = {"service": "cost-vantage", "request_model": MODEL, "tenant_id": "acme", "variant": "seen"}
    for vantage, requests in (("GATEWAY", 10), ("ENGINE", 8)):
        insert(site.client, "slices_1h", **same, slice_start=HOURS[0], vantage=vantage, success=requests,
               output_tokens=100, cost_picousd=USD, priority_class="standard")  # fmt: skip
    kept = {"counted_at": HOURS[0] + timedelta(minutes=1), "sample_ratio": 1.0, "sample_weight": 1, "output_tokens": 10}
    insert(site.client, "event_records", **same, **kept, vantage="ENGINE", is_bad=True)
    sql = "SELECT requests, good_tokens FROM cost WHERE service = 'cost-vantage'"
    assert site.ask(sql) == [{"requests": 10, "good_tokens": None}]
    insert(site.client, "event_records", **same, **kept, vantage="GATEWAY", is_bad=True)
    assert site.ask(sql) == [{"requests": 10, "good_tokens": 90.0}]


# -- the command
def test_the_command_says_what_was_spent_by_any_dimension(site: Site, tmp_path: Path) -> None:
    (whole,) = site.json("cost", "--by", "service", "--service", SERVICE)
    assert whole["cost_picousd"] == len(HOURS) * sum(each[2] for each in SERVED.values())
    assert whole["good_tokens"] == len(HOURS) * sum(each[1] - 20 * each[4] for each in SERVED.values())
    assert whole["judged_tokens"] == whole["output_tokens"]
    by_tenant = site.json("cost", "--by", "tenant,variant", "--service", SERVICE)
    assert {(row["tenant"], row["variant"]) for row in by_tenant} == {(t, v) for v, t in SERVED} | {("", FAST)}
    assert sum(row["paid_picousd"] for row in by_tenant) == whole["paid_picousd"]
    prices = tmp_path / "prices.yaml"
    prices.write_text("apiVersion: burnline/v1\nkind: PriceList\nversion: v\noverhead: 0.5\n"
                      "accelerators: [{name: a, hour: 1 USD}]\n")  # fmt: skip
    (more,) = site.json("cost", "--by", "service", "--service", SERVICE, "--prices", str(prices))
    assert more["paid_picousd"] == whole["paid_picousd"] * 3 // 2
    assert "output tokens" in site.run("cost", "--by", "model").stdout
    assert "none of service, model" in site.run("cost", "--by", "region", code=2).output.replace("\n", " ")
    prices.write_text("kind: PriceList\n")
    assert "write version" in site.run("cost", "--prices", str(prices), code=2).output


def test_a_price_that_was_announced_and_that_the_list_does_not_know_is_said_beside_the_answer(
    site: Site, tmp_path: Path
) -> None:
    at = NOW - timedelta(hours=2)
    change = {"service": "priced", "appended_at": NOW, "kind": "PRICE", "request_model": MODEL}
    knobs = {"before": {"output": "0.79 USD/1M"}, "after": {"output": "0.69 USD/1M"}}
    insert(site.client, "change_records", **change, **knobs, at=at, change_id="p1", title="cheaper output")
    insert(site.client, "change_records", **change, at=at - timedelta(days=40), change_id="p0", title="long replaced")
    insert(site.client, "change_records", **change, at=at - timedelta(days=5), change_id="p2", title="in force before",
           config_epoch="list-9")  # fmt: skip
    for words in (
        ("cost", "--service", "priced", "--json"),
        ("cost", "what-if", "priced", "--threshold", "1s", "--json"),
    ):
        done = site.run(*words)
        assert json.loads(done.stdout) == []  # nothing else is there
        assert "list-1 do not know" in done.stderr and "rerate" in done.stderr
        assert "priced, " + MODEL + ": cheaper output (output: 0.79 USD/1M -> 0.69 USD/1M)" in done.stderr
        assert "long replaced" not in done.stderr
        assert ("in force before" in done.stderr) == ("what-if" not in words)
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "apiVersion: burnline/v1\nkind: PriceList\nversion: list-9\nprices:\n"
        f"  - {{model: {MODEL}, from: '{at.isoformat()}', input: 1 USD/1M, output: 0.69 USD/1M}}\n"
    )
    assert site.run("cost", "--service", "priced", "--prices", str(prices)).stderr == ""


def test_the_signal_says_what_the_view_says(site: Site) -> None:
    spec = CostSpec()
    (question,) = files("cost")(spec, [], 0)
    rows, columns = site.client.execute(
        question.sql, dict(question.values), with_column_types=True, settings={"server_side_params": 1}
    )
    found = [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]
    (signal,) = (each for each in step(spec, {}, {"cost": found}, 1) if each.service == SERVICE and each.model)
    (row,) = site.json("cost", "--by", "model", "--service", SERVICE, "--period", "24h")
    assert (signal.state, signal.value) == ("idle", pytest.approx(row["usd_per_1k_tokens"]))
    assert signal.inputs["idle_ratio"] == pytest.approx(row["idle_ratio"])
    assert signal.inputs["usd_per_1k_good_tokens"] == pytest.approx(row["usd_per_1k_good_tokens"])


def test_of_events_and_snapshots_no_more_is_read_than_of_the_hours_that_are_asked_for(site: Site) -> None:
    (question,) = files("cost")(CostSpec(), [], 0)
    told = site.client.execute(
        f"EXPLAIN indexes = 1 {question.sql}", dict(question.values), settings={"server_side_params": 1}
    )
    _, *reads = "\n".join(line for (line,) in told).split("ReadFromMergeTree")
    by_time = {
        table: read.partition("Condition: ")[2].partition("\n")[0]  # of least and greatest times of parts
        for read in reads
        for table in ("slices_1h", "event_records", "snapshot_records")
        if table in read.partition("\n")[0]
    }
    assert set(by_time) == {"slices_1h", "event_records", "snapshot_records"}
    assert all("+Inf" in condition for condition in by_time.values()), by_time


def test_the_frontier_is_told_and_drawn(site: Site, tmp_path: Path) -> None:
    drawn = tmp_path / "frontier.svg"
    found = {row["variant"] + row["epoch"]: row for row in site.json("frontier", SERVICE, "--plot", str(drawn))}
    assert set(found) == {CHEAP, FAST, f"{FAST}batch-16"}
    views = {row["variant"] + row["config_epoch"]: row for row in site.ask("SELECT * FROM config_frontier")}
    for name, row in found.items():
        assert row["usd_per_1k_tokens"] == pytest.approx(views[name]["usd_per_1k_tokens"])
        assert row["p99_us"] == pytest.approx(views[name]["e2e_p99_us"])
        assert row["tokens_per_gpu_s"] == pytest.approx(views[name]["tokens_per_gpu_s"])
        assert row["is_running"] == views[name]["is_running"]
    assert (found[CHEAP]["state"], found[FAST]["state"], found[CHEAP]["basis"]) == ("breaking", "thin", "paid")
    assert "breaks its objectives" in drawn.read_text() and "cheap" in drawn.read_text()
    assert "breaking" in site.run("frontier", SERVICE).stdout
    assert "no data" in site.run("frontier", "nobody").stdout
    assert "must be one of e2e" in " ".join(site.run("frontier", "--latency", "speed", code=2).output.split())


def test_a_replica_is_what_its_snapshots_said_last(site: Site) -> None:
    """What it was before, and what cost more then, is over."""
    for hours, gpus, price in ((72, 8, 9), (3, 4, 3), (1, 2, 2)):
        insert(site.client, "snapshot_records", service="what-if-replicas", model=MODEL, variant=FAST, gpu_count=gpus,
               gpu_hour_picousd=price * USD, snapshot_at=NOW - timedelta(hours=hours))  # fmt: skip
    for window_s, found in ((86_400.0, [(MODEL, FAST, 2, 2 * USD)]), (60.0, [])):
        values = {"service": "what-if-replicas", "window_s": window_s}
        rows = site.client.execute(REPLICAS_SQL, values, settings={"server_side_params": 1})
        assert [row[:4] for row in rows] == found


def test_what_was_paid_counts_by_the_hours_that_snapshots_are_kept_of(site: Site) -> None:
    state = STATE.format(e2e_us=50_000)
    for hours, tokens in ((9 * 24, 900_000), (3, 60_000), (2, 60_000), (1, 60_000)):
        at = NOW - timedelta(hours=hours)
        about = {"service": "'frontier-old'", "request_model": "'m'", "variant": "'v'", "vantage": "'GATEWAY'"}
        row = {"slice_start": f"fromUnixTimestamp({int(at.timestamp())})", **about, "success": 1000,
               "output_tokens": tokens, "e2e_state": state}  # fmt: skip
        site.client.execute(f"INSERT INTO slices_1h ({', '.join(row)}) SELECT {', '.join(map(str, row.values()))}")
        if hours < 24:
            insert(site.client, "snapshot_records", snapshot_at=at, service="frontier-old", model="m", variant="v",
                   ready=True, gpu_count=1, gpu_hour_picousd=60 * USD)  # fmt: skip
    (view,) = site.ask("SELECT * FROM config_frontier WHERE service = 'frontier-old'")
    assert (view["hours"], view["requests"], view["basis"]) == (4, 4_000, "paid")
    assert view["usd_per_1k_tokens"] == pytest.approx(1000 * 3 / 180_000)
    assert view["tokens_per_gpu_s"] == pytest.approx(60_000 / 60)
    (told,) = site.json("frontier", "frontier-old")
    assert (told["basis"], told["hours"]) == ("paid", 4)
    for name in ("usd_per_1k_tokens", "tokens_per_gpu_s"):
        assert told[name] == pytest.approx(view[name])


def test_an_hour_that_is_not_known_to_its_end_is_no_hour_of_the_frontier(site: Site) -> None:
    """All is known until NOW: the hour that begins then goes on, and its ten requests would weigh as much as others."""
    state, about = STATE.format(e2e_us=50_000), {"service": "'frontier-now'", "request_model": "'m'", "variant": "'v'"}
    for hours, requests in ((0, 10), (1, 900), (2, 900), (3, 900)):
        at = f"fromUnixTimestamp({int((NOW - timedelta(hours=hours)).timestamp())})"
        row = {"slice_start": at, **about, "vantage": "'GATEWAY'", "success": requests, "cost_picousd": USD,
               "output_tokens": 100 * requests, "e2e_state": state}  # fmt: skip
        site.client.execute(f"INSERT INTO slices_1h ({', '.join(row)}) SELECT {', '.join(map(str, row.values()))}")
    (view,) = site.ask("SELECT * FROM config_frontier WHERE service = 'frontier-now'")
    (told,) = site.json("frontier", "frontier-now")
    assert (view["hours"], view["requests"], told["hours"]) == (3, 2_700, 3)
    assert view["usd_per_1k_tokens"] == pytest.approx(told["usd_per_1k_tokens"])


def test_an_objective_is_planned_from_what_loads_did(site: Site) -> None:
    """Up to 8 in flight all are fast, at 16 every third is slow; a tenth of a second each, and 40 come a second."""
    same = {
        "service": "what-if", "request_model": MODEL, "variant": FAST, "vantage": "GATEWAY", "adm_waiting": 0,
        "e2e_us": 100_000, "stream": True, "outcome": "SUCCESS", "failure_kind": "NONE", "final_attempt": True,
        "sample_ratio": 1.0, "sample_weight": 1,
    }  # fmt: skip
    columns = (*same, "counted_at", "adm_running", "ttft_us")
    rows = [
        (*same.values(), NOW - timedelta(minutes=1 + number % 50), load, 900_000 if is_slow else 50_000)
        for load in (4, 8, 16)
        for number in range(600)
        for is_slow in [load == 16 and number % 3 == 0]
    ]
    site.client.execute(f"INSERT INTO event_records ({', '.join(columns)}) VALUES", rows)
    about = ("what-if", MODEL, "GATEWAY")
    minutes = [(NOW - timedelta(minutes=minute), *about, 60 * 40, 60 * 9, 60) for minute in range(2, 60)]
    names = "slice_start, service, request_model, vantage, success, rate_limited, rejected"
    site.client.execute(f"INSERT INTO slices_1m ({names}) VALUES", minutes)
    objectives = ("--threshold", "500ms", "--threshold", "2s", "--target", "0.9", "--replica-hour", "5 USD")
    strict, loose = (each for each in site.json("cost", "what-if", "what-if", *objectives) if each["variant"] == FAST)
    assert (strict["state"], strict["in_flight"]) == ("measured", 8)
    assert strict["rps_per_replica"] == pytest.approx({"least": 80, "likely": 120, "most": 160})
    assert strict["peak_rps"] == {"least": 40.0, "likely": 40.0, "most": 40.0}
    assert strict["replicas"]["most"] == -(-40 * HEADROOM // 80)
    assert strict["usd_a_month"]["most"] == pytest.approx(5 * MONTH_H * strict["replicas"]["most"])
    assert not strict["is_least"]
    assert (loose["state"], loose["in_flight"], loose["is_least"]) == ("at_least", 16, True)
    assert "what it takes" in site.run("cost", "what-if", "what-if", *objectives).stdout
    assert "no objective" in site.run("cost", "what-if", "what-if", "--metric", "speed", code=2).output
    assert "no data" in site.run("cost", "what-if", "nobody", "--threshold", "1s").output
