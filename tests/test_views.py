"""The views of the contract: each answers in plain SQL, explains itself, and is null without data."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pipeline.blocks import encode
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from pipeline.kernels.ddsketch import TABLE, bins_of
from pipeline.records import UnitFacts
from pipeline.series import BASE_LABELS
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.store import STORED, CutSpec
from tests.naive import store as naive
from tests.recorded import Recorded, block_of
from tests.sinks.storing import settings_of, story_of
from tests.view_contract import CONTRACT, KEDA, OUTCOMES

pytestmark = pytest.mark.servers
STAR = "* EXCEPT (e2e_state, ttft_state, tpot_state)"  #: clickhouse-driver cannot read states


@pytest.fixture
def store(clickhouse: EmbeddedClickHouse) -> Iterator[Any]:
    """store(base topic, prefix, records): through the store's fold into the tables."""
    sink = ClickHouse(settings_of(clickhouse))

    def put(base: str, prefix: str, records: list[Recorded]) -> None:
        topic = prefix + base
        fold = STORED[base](CutSpec())
        for batch in fold.fold([block_of(topic, 0, records)], UnitFacts(topic, 0, 1, 0, 0, 0)).batches:
            for rows in batch.rows:
                sink.insert(rows, batch.token)

    yield put
    sink.close()


def ask(server: EmbeddedClickHouse, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """Ask as the reader, as any query writer would."""
    with server.client(READER) as client:
        rows, columns = client.execute(sql, parameters, with_column_types=True)
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]


@pytest.mark.parametrize("view", CONTRACT)
def test_a_view_answers_and_describes_itself_and_every_column(clickhouse: EmbeddedClickHouse, view: str) -> None:
    ask(
        clickhouse,
        f"SELECT {STAR if view.startswith(('sli', 'config_hours')) else '*'} FROM {view} LIMIT 1",
    )
    columns = {row["name"]: row for row in ask(clickhouse, f"DESCRIBE TABLE {view}")}
    assert CONTRACT[view] <= set(columns)
    assert not [name for name, row in columns.items() if not row["comment"]]
    times = {row["type"] for row in columns.values() if "DateTime" in row["type"]}
    kinds = ("{}", "Nullable({})", "Array({})")
    assert times <= {kind.format("DateTime64(6, 'UTC')") for kind in kinds}
    sql = "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = %(view)s"
    assert ask(clickhouse, sql, view=view)[0]["comment"]


def test_every_view_there_is_belongs_to_the_contract(clickhouse: EmbeddedClickHouse) -> None:
    sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"
    assert {row["name"] for row in ask(clickhouse, sql)} == set(CONTRACT) | KEDA


def test_every_column_of_every_view_explains_itself(clickhouse: EmbeddedClickHouse) -> None:
    with clickhouse.client() as client:
        silent = client.execute(
            "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' AND table IN "
            "(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View')"
        )
    assert silent == []


def status(slo: str, second: int, **changes: Any) -> Recorded:
    """A judgement of `slo`, watermark at `second`."""
    now_us = second * 1_000_000
    columns = {
        "slo": slo, "revision": "r1", "instance": "region=eu", "service": "chat", "labels": {"region": "eu"},
        "target": 0.99, "window_us": 86_400_000_000, "watermark": now_us,
        "window_start": now_us - 86_400_000_000,
        "window_end": now_us, "judged_at": now_us + 5_000, "state": "FIRING", "severity": "CRITICAL",
        "good": 970, "bad": 30, "excluded": 4, "compliance_ratio": 0.97, "coverage_ratio": 0.9,
        "budget_events": 10.0, "budget_remaining_ratio": -2.0, "budget_minutes": 14.4,
        "time_to_exhaustion_s": 0.0,
        "windows_s": [300, 3600], "windows_good": [0, 90], "windows_bad": [0, 10],
        "windows_coverage_ratio": [0.0, 1.0], "windows_burn_rate": [None, 10.0], "late": 7,
        "exhaustion_burn_rate": 10.0, "exhaustion_window_s": 3600, "sla_target": 0.9,
        "sla_budget_remaining_ratio": 0.7, "budget_alert_ratio": 1.0, "sla_alert_ratio": None, **changes,
    }  # fmt: skip
    return Recorded(second, encode("slo_status", columns), f"{slo}|region=eu".encode())


def test_the_latest_judgement_is_the_one_that_is_shown(
    clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str
) -> None:
    store(
        "slo.status",
        topic_prefix,
        [status(topic_prefix, 1_800_000_000), status(topic_prefix, 1_800_000_001, good=971)],
    )
    store("slo.status", topic_prefix, [status(topic_prefix, 1_799_999_999, good=1)])  # a replay does not go back
    (row,) = ask(clickhouse, "SELECT * FROM compliance WHERE slo = %(slo)s", slo=topic_prefix)
    end = datetime.fromtimestamp(1_800_000_001, UTC)
    assert row == {
        "slo": topic_prefix, "revision": "r1", "instance": "region=eu", "service": "chat",
        "labels": {"region": "eu"}, "target": 0.99, "window_start": end - timedelta(days=1),
        "window_end": end, "counts": "",
        "good": 971, "bad": 30, "excluded": 4, "eligible": 1001, "compliance_ratio": 0.97,
        "coverage_ratio": 0.9,
        "state": "FIRING", "severity": "CRITICAL", "judged_at": end + timedelta(milliseconds=5),
    }  # fmt: skip
    (budget,) = ask(clickhouse, "SELECT * FROM error_budget WHERE slo = %(slo)s", slo=topic_prefix)
    assert (budget["budget_events"], budget["budget_remaining_ratio"], budget["budget_minutes"]) == (
        10.0,
        -2.0,
        14.4,
    )
    assert (budget["exhaustion_burn_rate"], budget["exhaustion_window_s"]) == (10.0, 3600)
    assert (budget["sla_target"], budget["sla_budget_remaining_ratio"]) == (0.9, 0.7)
    assert (budget["budget_alert_ratio"], budget["sla_alert_ratio"]) == (1.0, None)
    (late,) = ask(clickhouse, "SELECT * FROM late_events WHERE slo = %(slo)s", slo=topic_prefix)
    assert late["late"] == 7


def test_each_window_has_its_burn_rate_and_no_data_is_null(
    clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str
) -> None:
    store("slo.status", topic_prefix, [status(topic_prefix, 1_800_000_000)])
    sql = "SELECT * FROM burn_rate WHERE slo = %(slo)s ORDER BY window_s"
    found = [(r["window_s"], r["eligible"], r["burn_rate"]) for r in ask(clickhouse, sql, slo=topic_prefix)]
    assert found == [(300, 0, None), (3600, 100, 10.0)]


def test_compliance_of_nothing_is_null_whatever_the_judgement_says(
    clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str
) -> None:
    nothing = {
        "good": 0,
        "bad": 0,
        "compliance_ratio": 1.0,
        "budget_remaining_ratio": 1.0,
        "time_to_exhaustion_s": None,
    }
    store("slo.status", topic_prefix, [status(topic_prefix, 1_800_000_000, **nothing)])
    (row,) = ask(clickhouse, "SELECT * FROM compliance WHERE slo = %(slo)s", slo=topic_prefix)
    assert (row["eligible"], row["compliance_ratio"]) == (0, None)
    (budget,) = ask(clickhouse, "SELECT * FROM error_budget WHERE slo = %(slo)s", slo=topic_prefix)
    assert (budget["budget_remaining_ratio"], budget["time_to_exhaustion_s"]) == (None, None)
    assert budget["sla_budget_remaining_ratio"] is None


def test_a_deleted_judgement_leaves_every_view(clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str) -> None:
    gone = Recorded(1_800_000_001, None, f"{topic_prefix}|region=eu".encode(), (), 1_800_000_001_000)
    store("slo.status", topic_prefix, [status(topic_prefix, 1_800_000_000), gone])
    for view in ("compliance", "error_budget", "burn_rate", "late_events"):
        assert ask(clickhouse, f"SELECT * FROM {view} WHERE slo = %(slo)s", slo=topic_prefix) == []


def alert(slo: str, event: str, second: int, started: int, delay_ms: int = 700, **changes: Any) -> Recorded:
    now_us = second * 1_000_000
    columns = {
        "dedup_key": f"{slo}|", "sequence": second, "slo": slo, "revision": "r1", "instance": "",
        "service": "chat",
        "event": event, "severity": "WARNING", "metric": "e2e", "target": 0.99, "burn_rate_factor": 2.0,
        "long_window_s": 3600, "short_window_s": 300, "long_good": 90, "long_bad": 10, "short_good": 9,
        "short_bad": 1, "long_burn_rate": 10.0, "short_burn_rate": None, "started_at": started * 1_000_000,
        "window_end": now_us, "watermark": now_us, "evaluated_at": now_us + 1000 * delay_ms,
        "late_ratio": 0.0,
        "provisional": False, "exemplar_trace_ids": ["t1", "t2"], "runbook": "https://r",
        "reason": f"it {event}",
        **changes,
    }  # fmt: skip
    time_text = datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z").encode()
    headers = (("ce_id", f"{slo}|{second}".encode()), ("ce_type", b"slo.burnrate"), ("ce_time", time_text))
    return Recorded(second, encode("burn_rate_alert", columns), slo.encode(), headers, now_us // 1000)


def test_alert_events_become_alerts_and_a_replay_keeps_the_first_delay(
    clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str
) -> None:
    now = int(time.time())
    first = [
        alert(topic_prefix, "FIRED", now - 900, now - 900),
        alert(topic_prefix, "UPDATED", now - 800, now - 900, severity="CRITICAL", short_burn_rate=77.0),
        alert(topic_prefix, "RESOLVED", now - 700, now - 900, severity="CRITICAL", long_burn_rate=None),
    ]
    second = alert(topic_prefix, "FIRED", now - 100, now - 100, delay_ms=1234)
    store("slo.alerts", topic_prefix, [*first, second])
    replayed = alert(topic_prefix, "FIRED", now - 900, now - 900, delay_ms=900_000)
    store("slo.alerts", f"{topic_prefix}again.", [replayed])
    events = ask(clickhouse, "SELECT * FROM alerts WHERE slo = %(slo)s ORDER BY sequence", slo=topic_prefix)
    assert [(e["event"], e["severity"], e["short_burn_rate"]) for e in events] == [
        ("FIRED", "WARNING", None), ("UPDATED", "CRITICAL", 77.0), ("RESOLVED", "CRITICAL", None),
        ("FIRED", "WARNING", None),
    ]  # fmt: skip
    assert (events[0]["ce_id"], events[0]["ce_time"]) == (
        f"{topic_prefix}|{now - 900}",
        datetime.fromtimestamp(now - 900, UTC),
    )
    log = ask(clickhouse, "SELECT * FROM alert_log WHERE slo = %(slo)s ORDER BY fired_at", slo=topic_prefix)
    names = ("severity", "peak_burn_rate", "detection_delay_ms", "events", "reason")
    assert [tuple(a[name] for name in names) for a in log] == [
        ("CRITICAL", 77.0, 700.0, 3, "it RESOLVED"), ("WARNING", 10.0, 1234.0, 1, "it FIRED"),
    ]  # fmt: skip
    assert [a["resolved_at"] for a in log] == [datetime.fromtimestamp(now - 700, UTC), None]


def test_kinds_of_alerts_are_told_apart_and_the_log_shows_the_last_traces(
    clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str
) -> None:
    now = int(time.time())
    silent = {"dedup_key": f"{topic_prefix}||no-data", "kind": "NO_DATA", "long_burn_rate": None}
    burning = [
        alert(topic_prefix, "FIRED", now - 900, now - 900),
        alert(topic_prefix, "UPDATED", now - 800, now - 900, exemplar_trace_ids=["t3", "t4"]),
        alert(topic_prefix, "RESOLVED", now - 700, now - 900, exemplar_trace_ids=[]),
    ]
    blind = alert(topic_prefix, "FIRED", now - 900, now - 900, exemplar_trace_ids=[], **silent)
    spent = {"dedup_key": f"{topic_prefix}||budget", "kind": "BUDGET", "exhaustion_burn_rate": 1.5}
    half = alert(topic_prefix, "FIRED", now - 900, now - 900, exemplar_trace_ids=[], **spent)
    store("slo.alerts", topic_prefix, [*burning, blind, half])
    kinds = ask(clickhouse, "SELECT kind, count() AS n FROM alerts WHERE slo = %(s)s GROUP BY kind", s=topic_prefix)
    assert {row["kind"]: row["n"] for row in kinds} == {"BURN_RATE": 3, "BUDGET": 1, "NO_DATA": 1}
    rates = ask(clickhouse, "SELECT exhaustion_burn_rate AS r FROM alerts WHERE slo = %(s)s", s=topic_prefix)
    assert {row["r"] for row in rates} == {None, 1.5}
    log = ask(clickhouse, "SELECT * FROM alert_log WHERE slo = %(s)s ORDER BY kind", s=topic_prefix)
    assert [(a["kind"], a["peak_burn_rate"], a["exemplar_trace_ids"]) for a in log] == [
        ("BUDGET", 10.0, []), ("BURN_RATE", 10.0, ["t3", "t4"]), ("NO_DATA", None, []),
    ]  # fmt: skip


def test_a_dead_letter_keeps_every_byte_and_comes_once(
    clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str
) -> None:
    raw = bytes(range(256))
    headers = (
        ("reason", b"MALFORMED"),
        ("detail", b"why"),
        ("topic", b"t"),
        ("partition", b"3"),
        ("offset", b"9"),
    )
    letters = [Recorded(i, raw, b"\xff\x00", headers, int(time.time() * 1000)) for i in (4, 5)]
    store("inference.events.dlq", topic_prefix, letters)
    store("inference.events.dlq", topic_prefix, letters[:1])
    sql = (
        "SELECT reason, detail, topic, partition, offset, hex(key) AS key, hex(value) AS value "
        "FROM dead_letters WHERE dlq_topic = %(t)s"
    )
    row = {"reason": "MALFORMED", "detail": "why", "topic": "t", "partition": 3, "offset": 9, "key": "FF00"}
    assert ask(clickhouse, sql, t=f"{topic_prefix}inference.events.dlq") == [{**row, "value": raw.hex().upper()}] * 2


def test_sketches_merge_in_plain_sql_to_the_true_quantiles(
    clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str
) -> None:
    """Two series, four slices and an empty sketch: one quantile over all of it, within 1 %."""
    rng, start_s = np.random.default_rng(2), int(time.time()) // 3600 * 3600
    values = np.exp(rng.normal(12, 1.2, (8, 500)))
    bins = np.empty(4000, np.int64)
    bins_of(values.ravel(), TABLE, bins)
    runs = [np.unique(row, return_counts=True) for row in bins.reshape(8, 500)]
    names = list(BASE_LABELS)
    block = {
        "source_topic": "e", "source_partition": 0, "source_partitions": 1, "first_offset": 0,
        "next_offset": 1,
        "label_names": names,
        "labels": [topic_prefix if n == "service" else f"{n}{i}" for i in range(2) for n in names],
        "series_index": np.repeat([0, 1], 4), "slice_start_s": start_s + 10 * np.tile(np.arange(4), 2),
        **dict.fromkeys((*OUTCOMES, "retries", "cold_starts"), np.full(8, 2)),
        **dict.fromkeys(("input_tokens", "output_tokens", "cost_picousd", "gpu_us"), np.full(8, 5)),
        **{f"{s}_lengths": np.array([len(b) for b, _ in runs]) for s in ("e2e", "ttft")},
        **{f"{s}_bins": np.concatenate([b for b, _ in runs]) for s in ("e2e", "ttft")},
        **{f"{s}_counts": np.concatenate([n for _, n in runs]) for s in ("e2e", "ttft")},
        "tpot_lengths": np.zeros(8, np.int64), "tpot_bins": np.empty(0, np.int64),
        "tpot_counts": np.empty(0, np.int64),
    }  # fmt: skip
    flushed = [
        encode("slo_slice", {**block, "flushed_at": 0}),
        encode("slo_slice", {**block, "flushed_at": 10**9}),
    ]
    store("slo.slices", topic_prefix, [Recorded(i, value) for i, value in enumerate(flushed)])
    ordered = np.sort(values.ravel())
    truth = [ordered[int(q * (len(ordered) - 1))] for q in (0.5, 0.95, 0.99)]
    for view in ("sli", "sli_1m", "sli_1h"):
        merged = "quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(e2e_state)"
        sql = f"SELECT {merged} AS q, sum(requests) AS n FROM {view} WHERE service = %(s)s"
        (row,) = ask(clickhouse, sql, s=topic_prefix)
        assert row["n"] == 8 * 16
        assert row["q"] == pytest.approx(truth, rel=0.0101)
    one = ask(
        clickhouse,
        f"SELECT {STAR} FROM sli WHERE service = %(s)s ORDER BY region, slice_start LIMIT 1",
        s=topic_prefix,
    )[0]
    assert one["e2e_p99_us"] == pytest.approx(np.sort(values[0])[494], rel=0.0101)
    assert (one["tpot_p50_us"], one["tpot_p95_us"], one["tpot_p99_us"]) == (None, None, None)


def test_health_tells_how_far_each_stage_is(clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str) -> None:
    story = story_of("slo.slices", topic_prefix, topic_prefix, int(time.time()))
    for columns in story.columns:
        columns["source_topic"] = topic_prefix
    records = [Recorded(r.offset, encode("slo_slice", c)) for r, c in zip(story.records, story.columns, strict=True)]
    store("slo.slices", topic_prefix, records)
    sql = "SELECT * FROM pipeline_health WHERE startsWith(topic, %(p)s) ORDER BY stage, partition"
    *sources, stored = ask(clickhouse, sql, p=topic_prefix)
    of = [[c for c in story.stored if c["source_partition"] == p] for p in range(3)]
    assert [(s["stage"], s["partition"], s["next_offset"]) for s in sources] == [
        ("ingest", p, max(c["next_offset"] for c in of[p])) for p in range(3)
    ]
    for name in ("events", "clamped"):
        assert [s[name] for s in sources] == [sum(c["counters"][name] for c in of[p]) for p in range(3)]
    assert all(0 <= s["watermark_lag_s"] < 60 for s in sources)
    assert (stored["stage"], stored["next_offset"]) == ("store", story.batches[-1].last_offset + 1)
    store("slo.status", topic_prefix, [status(topic_prefix, 1_800_000_000)])
    (judge,) = ask(clickhouse, "SELECT * FROM pipeline_health WHERE stage = 'judge'")
    assert judge["late"] >= 7
    assert judge["event_time_max"] is not None


def test_counts_are_one_row_a_slice_even_while_unmerged(
    clickhouse: EmbeddedClickHouse, store: Any, topic_prefix: str
) -> None:
    story = story_of("slo.counts", topic_prefix, topic_prefix, int(time.time()) // 86_400 * 86_400)
    store("slo.counts", topic_prefix, story.records)
    sql = (
        "SELECT slo, revision, instance, toUnixTimestamp64Micro(slice_start) AS t, good, bad, excluded "
        "FROM slo_counts WHERE slo = %(slo)s"
    )
    rows = ask(clickhouse, sql, slo=topic_prefix)
    found = {tuple(row.values())[:4]: tuple(row.values())[4:] for row in rows}
    assert len(found) == len(rows)
    assert found == naive.count_totals(story.stored)
