"""`burnline forecast` on a real ClickHouse: what it asks and prints, and what the view shows."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from clickhouse_driver import Client
from typer.testing import CliRunner

from jobs.forecast import asking
from jobs.forecast.finding import Found, Wanted, find
from jobs.forecast.telling import rows
from pipeline.cli import app
from pipeline.embedded import EmbeddedClickHouse
from tests.database import Database, insert_rows
from tests.jobs.test_forecast import HOUR_US, TRIED, season

NOW = datetime.now(UTC)
NOW_US = round(NOW.timestamp() * 1e6)
UNTIL = NOW.replace(minute=0, second=0, microsecond=0)
HOURS_STORED = 14 * 24
WANTED = Wanted("chat", "", ("load", "tokens", "cost"), 10, 5, TRIED, 900, 86_400)


Server = tuple[Database, Client]


@pytest.fixture(scope="module")
def server(clickhouse: EmbeddedClickHouse) -> Iterator[Server]:
    """A database of its own: what is known of others' topics would be known here too."""
    with Database(clickhouse) as made, made.client() as client:
        tell(client)
        yield made, client


def tell(client: Client) -> None:
    """Two weeks of a service by the hour, two hours by the minute; an outage of everything; a campaign; a budget."""
    loads = season(HOURS_STORED, rate=3_600)
    begin = UNTIL - timedelta(hours=HOURS_STORED)
    silent = range(200, 205)
    insert_rows(client, "slices_1h", *(
        {"slice_start": begin + timedelta(hours=hour), "service": "chat", "request_model": "m", "tenant_id": tenant,
         "vantage": vantage, "success": int(load * share), "error": 1, "output_tokens": 10 * int(load),
         "rate_limited": 500, "rejected": 70}
        for hour, load in enumerate(loads) if hour not in silent
        for tenant, vantage, share in (("a", "GATEWAY", 0.75), ("b", "GATEWAY", 0.25), ("a", "ENGINE", 0.5))
    ))  # fmt: skip
    insert_rows(client, "slices_1m", *(
        {"slice_start": UNTIL - timedelta(minutes=minute), "service": "chat", "request_model": "m",
         "vantage": "GATEWAY", "success": 600}
        for minute in range(1, 121)
    ))  # fmt: skip
    insert_rows(client, "marks", {
        "topic": "slices", "partition": 0, "source_topic": "events", "source_partition": 0, "event_time_max": UNTIL,
        "flushed_at": UNTIL, "stored_at": UNTIL, "idle_us": 0, "counters": {},
    })  # fmt: skip
    insert_rows(client, "change_records", {
        "change_id": "c1", "at": begin + timedelta(hours=300), "until": begin + timedelta(hours=310), "kind": "NOTE",
        "service": "chat", "title": "a sale", "after": {"campaign": "sale"}, "before": {}, "appended_at": begin,
    })  # fmt: skip
    judged = {
        "slo": "ttft", "instance": "", "revision": "r1", "counts_revision": "r1", "service": "chat", "target": 0.99,
        "labels": {}, "window_us": 240 * HOUR_US, "watermark": UNTIL, "window_start": UNTIL - timedelta(hours=240),
        "window_end": UNTIL, "judged_at": UNTIL, "state": "OK", "severity": "NONE", "good": 99, "bad": 1,
        "budget_events": 100.0, "budget_remaining_ratio": 0.5, "budget_minutes": 144.0,
    }  # fmt: skip
    insert_rows(client, "statuses", judged)
    insert_rows(client, "counts_1h", *(
        {"slo": "ttft", "revision": revision, "instance": "", "slice_start": begin + timedelta(hours=hour),
         "good": 1_000, "bad": bad}
        for hour in range(HOURS_STORED) for revision, bad in (("r0", 500), ("r1", 2))
        if revision == "r1" or hour < HOURS_STORED - 1
    ))  # fmt: skip


def asked(client: Client) -> Any:
    def ask(sql: str, **parameters: Any) -> list[dict[str, Any]]:
        options = {"server_side_params": 1} if parameters else {}
        found, names = client.execute(sql, parameters or None, with_column_types=True, settings=options)
        return [dict(zip((name for name, _ in names), row, strict=True)) for row in found]

    return ask


@pytest.fixture(scope="module")
def found(server: Server) -> Found:
    made = find(asked(server[1]), WANTED, NOW_US, lambda *_: None)
    assert made is not None
    return made


@pytest.mark.servers
def test_loads_are_asked_by_the_vantage_that_reports_most_and_total_silence_was_not_measured(found: Found) -> None:
    of = {(each.series.quantity, each.grid.name): each for each in found.tried}
    assert set(of) >= {("load", "hours"), ("tokens", "hours")}
    assert ("cost", "hours") not in of  # it is never told, so it is not 0
    load = of["load", "hours"].series
    expected = season(HOURS_STORED, rate=3_600)[1:]  # the first is taken for not whole
    assert np.flatnonzero(np.isnan(load.values)).tolist() == list(range(199, 204))
    is_known = ~np.isnan(load.values)
    assert load.values[is_known] * 3_600 == pytest.approx(expected[is_known], abs=4)
    assert load.start_us == round((UNTIL - timedelta(hours=HOURS_STORED - 1)).timestamp() * 1e6)
    assert np.nansum(of["tokens", "hours"].series.values) == pytest.approx(20 * expected[is_known].sum(), rel=0.001)


@pytest.mark.servers
def test_changes_and_budgets_are_asked(server: Server, found: Found) -> None:
    begin = UNTIL - timedelta(hours=HOURS_STORED)
    (campaign,) = asking.changes(asked(server[1]), 0)["chat"]
    assert campaign[:2] == ("NOTE", "sale")
    assert (campaign.at_us, campaign.told_us) == (
        round((begin + timedelta(hours=300)).timestamp() * 1e6), round(begin.timestamp() * 1e6),
    )  # fmt: skip
    (spent,) = found.budgets
    assert (spent.budget.slo, spent.budget.window, spent.budget.left) == ("ttft", 240, None)
    assert spent.budget.bad.tolist() == [2.0] * HOURS_STORED  # of the newest revision alone
    assert (spent.state, spent.foreseen_s) == ("holds", 72 * 3600)


@pytest.mark.servers
def test_the_command_prints_what_the_view_shows_once_it_is_published(
    server: Server,
) -> None:
    database, client = server
    options = ["forecast", "--dry-run", "--by", "trend", "--quantity", "load"]
    done = CliRunner().invoke(app, [*options, "--json"], env=database.environment)
    assert done.exit_code == 0, done.output
    told = {(row["quantity"], row["horizon"]): row for row in json.loads(done.stdout)}
    assert {("load", "6h"), ("load", "1d"), ("budget", "ttft:")} <= set(told)
    assert told["load", "7d"]["state"] == "unknown"
    made = find(asked(client), WANTED, NOW_US, lambda *_: None)
    assert made is not None
    times = ("evaluated_at", "watermark", "expires_at")
    insert_rows(client, "signal_records", *(
        {**each.columns, **{at: _time(each.columns[at]) for at in times}, "appended_at": NOW} for each in made.told
    ))  # fmt: skip
    seen = {(row["quantity"], row["horizon"]): row for row in asked(client)("SELECT * FROM forecast")}
    assert set(seen) == {(row["quantity"], row["horizon"]) for row in rows(made.told)}
    day, expected = seen["load", "1d"], told["load", "1d"]
    assert (day["q10"], day["q50"], day["q90"]) == pytest.approx((expected["q10"], expected["q50"], expected["q90"]))
    assert (day["chosen"], day["state"], expected["chosen"]) == ("trend", "forecast", "trend")
    assert day["rivals"]["naive"] == float(expected["rival:naive"])
    assert (seen["load", "7d"]["q50"], seen["load", "7d"]["watermark"]) == (None, None)
    assert (seen["budget", "ttft:"]["state"], seen["budget", "ttft:"]["soonest_s"]) == ("holds", None)
    _forecasts_again_by_the_same_models(client, made)
    shown = CliRunner().invoke(
        app, [*options, "--budgets", "0", "--plot", "--service", "chat"], env=database.environment
    )
    assert "nothing was published" in shown.output and "load in requests/s" in shown.output


def _forecasts_again_by_the_same_models(client: Client, made: Found) -> None:
    later_us = NOW_US + 60_000_000
    renewed = find(asked(client), WANTED, later_us, lambda *_: None)
    assert renewed is not None and renewed.tried == []
    before, after = ({each.key: each for each in found.told} for found in (made, renewed))
    assert set(before) == set(after)
    for key, signal in after.items():
        assert (signal.evaluated_at_us, signal.expires_at_us) == (later_us, later_us + 900_000_000)
        assert (signal.state, signal.details) == (before[key].state, before[key].details)
        assert signal.inputs == pytest.approx(before[key].inputs)
    too_late = find(asked(client), WANTED, NOW_US + 86_401_000_000, lambda *_: None)
    assert too_late is not None and len(too_late.tried) == len(made.tried)


def _time(at_us: int | None) -> datetime | None:
    return None if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC)


def test_a_model_or_quantity_that_is_none_is_refused_with_those_that_are() -> None:
    for option in ("--by", "--quantity"):
        done = CliRunner().invoke(app, ["forecast", option, "magic"])
        assert done.exit_code == 2
        assert "'magic' is none of" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("counts", "silent"),
    [
        pytest.param([30, 30, 30, 30, 0, 30, 30, 30], [4], id="nothing came where much did a day before"),
        pytest.param([30, 30, 0, 30, 30, 30, 0, 30], [2], id="the same hour is empty every day"),
        pytest.param([3, 3, 3, 3, 0, 3, 3, 3], [], id="so little that it may be chance"),
        pytest.param([30, 30, 30, 30, 0, 0, 0, 0, 0, 0, 30], [4, 5, 6, 7, 8, 9], id="longer than a day"),
    ],
)
def test_silence_of_everything_is_told_from_hours_without_traffic(counts: list[int], silent: list[int]) -> None:
    assert np.flatnonzero(asking.silence(np.array(counts, float), 4)).tolist() == silent
