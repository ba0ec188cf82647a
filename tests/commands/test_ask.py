"""The cookbook: each question, asked of a real ClickHouse that holds a small story, answers what the story says."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.table import Table
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands.ask import answer_table, question_of, questions, values_of
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from tests.refreshing import refresh_for
from tests.test_views import CONTRACT

TWO_SKETCHES = 0.021  #: relative error of a ratio of two quantiles, each within 1 %
NOW = datetime.now(UTC)
AFTER, BEFORE = (NOW.replace(second=0, microsecond=0) - timedelta(minutes=m) for m in (30, 90))
YESTERDAY = NOW.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
STATE = "arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', CAST([%s], 'Array(Float64)'))"
COLUMNS = (
    "tenant_id", "request_model", "region", "variant", "priority_class", "success", "error", "timeout", "shed",
    "rate_limited", "retries", "cold_starts", "output_tokens", "cost_picousd", "gpu_us",
)  # fmt: skip
SERIES = [  # minute, values of COLUMNS, milliseconds of e2e and of ttft
    (AFTER, ("cook-acme", "cook-big", "eu", "cook-a", "critical", 90, 6, 4, 0, 0, 20, 10, 2000, 4 * 10**9, 5 * 10**6),
     1000, 400),
    (BEFORE, ("cook-acme", "cook-big", "eu", "cook-a", "critical", 99, 0, 1, 0, 0, 0, 0, 1000, 10**9, 10**6), 500, 100),
    (AFTER, ("cook-zen", "cook-small", "us", "cook-b", "sheddable", 50, 0, 0, 30, 20, 0, 0, 1000, 10**9, 0), 200, 50),
]  # fmt: skip
COUNTS = [
    ("counts_1m", "region=eu", AFTER, 95, 5), ("counts_1m", "region=eu", BEFORE, 99, 1),
    ("counts_1m", "region=us", AFTER, 50, 0), ("counts_1h", "region=eu", AFTER.replace(minute=0), 194, 6),
]  # fmt: skip


@pytest.fixture(scope="module")
def told(clickhouse: EmbeddedClickHouse) -> Iterator[EmbeddedClickHouse]:
    """A ClickHouse that holds the story, as an operator's own would."""
    with clickhouse.client() as client:
        for minute, values, e2e_ms, ttft_ms in SERIES:
            for tier, start in (("1m", minute), ("1h", YESTERDAY)):
                client.execute(
                    f"INSERT INTO slices_{tier} (slice_start, service, vantage, {', '.join(COLUMNS)}, e2e_state, "
                    f"ttft_state) SELECT %(start)s, 'cook-chat', 'GATEWAY', {', '.join(map(repr, values))}, "
                    f"{STATE % (e2e_ms * 1000)}, {STATE % (ttft_ms * 1000)}",
                    {"start": start},
                )
        _insert(  # what is another service's is nobody's here
            client, "slices_1m", slice_start=AFTER, service="cook-other", vantage="GATEWAY", tenant_id="cook-yon",
            request_model="cook-other", success=1, cost_picousd=7 * 10**12,
        )  # fmt: skip
        for table, instance, start, good, bad in COUNTS:
            row = ("cook-slo", "r1", instance, start, good, bad)
            client.execute(f"INSERT INTO {table} (slo, revision, instance, slice_start, good, bad) VALUES", [row])
        _tell_judgements(client)
        _tell_the_rest(client)
        refresh_for(client, "compliance_corrected", "cook-slo")
    yield clickhouse


def _insert(client: Any, table: str, **row: Any) -> None:
    client.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES", [tuple(row.values())])


def _tell_judgements(client: Any) -> None:
    for instance, good, bad, left in (("region=eu", 194, 6, -2.0), ("region=us", 50, 0, 1.0)):
        _insert(
            client, "statuses", slo="cook-slo", instance=instance, revision="r1", service="cook-chat",
            labels=dict([instance.split("=")]), target=0.99, window_us=86_400_000_000, watermark=NOW,
            window_start=NOW - timedelta(days=1), window_end=NOW, judged_at=NOW, good=good, bad=bad,
            compliance_ratio=good / (good + bad), coverage_ratio=1.0, budget_events=(good + bad) / 100,
            budget_remaining_ratio=left, budget_minutes=14.4, state="FIRING", severity="CRITICAL",
            time_to_exhaustion_s=7200.0 if bad else None, exhaustion_burn_rate=3.0 if bad else None,
            exhaustion_window_s=86400, sla_target=0.95, sla_budget_remaining_ratio=0.4 if bad else 1.0, late=bad,
            windows_s=[300], windows_good=[good], windows_bad=[bad], windows_coverage_ratio=[1.0],
            windows_burn_rate=[100.0 * bad / (good + bad)], counts_revision="r1",
        )  # fmt: skip
    for sequence, event, at in ((0, "FIRED", AFTER), (1, "RESOLVED", AFTER + timedelta(minutes=10))):
        _insert(
            client, "alert_events", slo="cook-slo", dedup_key="cook-slo|region=eu", sequence=sequence, kind="BURN_RATE",
            event=event, severity="CRITICAL" if event == "FIRED" else "NONE", started_at=AFTER, window_end=at,
            watermark=at, evaluated_at=at + timedelta(milliseconds=1500), long_burn_rate=12.0, short_burn_rate=20.0,
            instance="region=eu", service="cook-chat", revision="r1",
            exemplar_trace_ids=["cook-trace"] if event == "FIRED" else [],
        )  # fmt: skip


def _tell_the_rest(client: Any) -> None:
    for offset in range(3):
        _insert(
            client, "dead_letter_records", dead_at=AFTER, reason="unknown_schema", detail="cook", topic="cook-events",
            offset=offset, dlq_topic="cook-dlq", dlq_offset=offset,
        )  # fmt: skip
    for is_bad, replica, e2e_us, tokens, cost in (
        (True, "cook-pod-1", 9_000_000, 500, 3 * 10**9),
        (False, "cook-pod-2", 100_000, 10, 10**7),
    ):
        _insert(
            client, "event_records", counted_at=AFTER, service="cook-chat", request_model="cook-big", is_bad=is_bad,
            request_id="cook-slow" if is_bad else "cook-fast", trace_id="cook-trace" if is_bad else None,
            endpoint_id=replica, e2e_us=e2e_us, output_tokens=tokens, cost_picousd=cost, sample_weight=1,
            sample_ratio=1.0 if is_bad else 0.01,
        )  # fmt: skip
    _insert(
        client, "correction_versions", correction="cook-outage", version=1, state="APPLIED", reason="drill", who="me",
        where_labels=["slo"], where_values=[["cook-slo"]], where_none_of=[[]], where_prefixes=[[]],
        starts=[AFTER], ends=[AFTER + timedelta(minutes=1)], recorded_at=NOW, stored_at=NOW,
    )  # fmt: skip
    _insert(
        client, "change_records", change_id="cook-run", service="cook-chat", kind="DEPLOY", title="cook-deploy",
        at=NOW - timedelta(hours=1), appended_at=NOW,
    )  # fmt: skip
    _insert(
        client, "marks", topic="cook-slices", partition=0, source_topic="cook-events", source_partition=3,
        source_next_offset=7, event_time_max=AFTER, flushed_at=AFTER, stored_at=AFTER,
        counters={"records": 7, "dead_letters": 3},
    )  # fmt: skip
    for signal, scope, state, value, inputs, details in (
        ("shed", "LOW", "shed", 1.0, {"shed_ratio": 0.5, "with_shed_ratio": 0.4}, {"slo": "cook-slo"}),
        ("quota", "cook-quota/cook-zen", "exceeded", 1.2, {}, {"tenant_id": "cook-zen", "used": "120", "limit": "100"}),
    ):
        _insert(
            client, "signal_records", service="cook-chat", name=signal, scope=scope, state=state, value=value,
            inputs=inputs, details=details, watermark=NOW, evaluated_at=NOW, expires_at=NOW + timedelta(minutes=1),
        )  # fmt: skip
    looks = [(300, 0, 9, 100, ""), (240, 2, 10, 100, ""), (120, 2, 10, 150, ""), (60, 2, 10, 150, ""),
             (10, None, None, None, "no answer")]  # fmt: skip
    for seconds, running, finished, tokens, error in looks:
        for replica, more in (("cook-pod-1", 0), ("cook-pod-2", 300 - seconds)):  # the second one goes on
            _insert(
                client, "snapshot_records", snapshot_at=NOW - timedelta(seconds=seconds), endpoint_id=replica,
                service="cook-chat", model="cook-big", engine="vllm", ready=not error, running=running, waiting=0,
                finished=None if finished is None else finished + more, output_tokens=tokens, error=error,
            )  # fmt: skip


#: question -> settings, which row (column, value), and what it says
ANSWERS: dict[str, tuple[dict[str, str], tuple[str, Any], dict[str, Any]]] = {
    "worst-tenants-by-ttft": (
        {"service": "cook-chat"},
        ("tenant_id", "cook-acme"),
        {"requests": 100, "ttft_p99_ms": 400},
    ),
    "latency-by-model": (
        {},
        ("request_model", "cook-small"),
        {"e2e_p50_ms": 200, "e2e_p99_ms": 200, "tpot_p99_ms": None},
    ),
    "variants-before-and-after": (
        {"model": "cook-big"},
        ("variant", "cook-a"),
        {
            "requests_before": 100,
            "requests_after": 100,
            "e2e_p99_before_ms": 500,
            "e2e_p99_after_ms": 1000,
            "times": 2.0,
        },
    ),
    "error-rate-by-model": (
        {},
        ("request_model", "cook-big"),
        {"success": 90, "error": 6, "timeout": 4, "error_ratio": 0.1},
    ),
    "is-it-one-variant": (
        {"service": "cook-chat"},
        ("variant", "cook-a"),
        {"requests": 100, "failed": 10, "share_of_requests": 0.5, "share_of_failures": 1.0},
    ),
    "shed-by-class": ({}, ("service", "cook-chat"), {"priority_class": "sheddable", "shed": 30, "shed_ratio": 0.3}),
    "whom-to-shed": (
        {},
        ("service", "cook-chat"),
        {"class": "LOW", "shed_ratio": 0.5, "with_shed_ratio": 0.4, "shed_share": 1.0},
    ),
    "near-a-quota": ({}, ("tenant_id", "cook-zen"), {"used": 120, "limit": 100, "state": "exceeded"}),
    "rate-limited-tenants": ({}, ("tenant_id", "cook-zen"), {"rate_limited": 20, "rate_limited_ratio": 0.2}),
    "retry-amplification": (
        {"hours": "1"},
        ("request_model", "cook-big"),
        {"attempts": 100, "retries": 20, "attempts_per_request": 1.25},
    ),
    "cold-starts": (
        {"hours": "1"},
        ("variant", "cook-a"),
        {"cold_starts": 10, "cold_start_ratio": 0.1, "ttft_p99_ms": 400},
    ),
    "throughput-by-model": (
        {"hours": "2"},
        ("request_model", "cook-big"),
        {"served": 189, "served_per_s": 0.026, "served_per_s_max": 1.65, "output_tokens_per_s_max": 33.333},
    ),
    "busiest-hours": ({"service": "cook-chat"}, ("hour_utc", 12), {"requests": 300}),
    "cost-per-1k-tokens": (
        {"hours": "1"},
        ("request_model", "cook-big"),
        {"cost_usd": 0.004, "usd_per_1k_tokens": 0.002},
    ),
    "cost-per-1k-good-requests": (
        {"slo": "cook-slo", "hours": "1"},
        ("service", "cook-chat"),
        {"good": 145, "cost_usd": 0.005, "usd_per_1k_good_requests": 5 / 145},
    ),
    "spend-by-tenant": ({"hours": "1"}, ("tenant_id", "cook-acme"), {"cost_usd": 0.004, "gpu_s": 5.0}),
    "burning-now": ({"factor": "2"}, ("slo", "cook-slo"), {"instance": "region=eu", "bad": 6, "burn_rate": 3.0}),
    "budget-league": ({}, ("slo", "cook-slo"), {"instance": "region=eu", "budget_remaining_ratio": -2.0, "bad": 6}),
    "exhausted-soon": ({}, ("slo", "cook-slo"), {"instance": "region=eu", "hours_left": 2.0, "at_burn_rate": 3.0}),
    "sla-at-risk": (
        {},
        ("slo", "cook-slo"),
        {"instance": "region=eu", "sla_target": 0.95, "sla_budget_remaining_ratio": 0.4},
    ),
    "who-burns-the-budget": (
        {"slo": "cook-slo"},
        ("instance", "region=eu"),
        {"good": 194, "bad": 6, "bad_ratio": 0.03, "share_of_bad": 1.0},
    ),
    "budget-by-hour": ({"slo": "cook-slo"}, ("bad", 6), {"good": 194, "share_of_budget": 2.4}),
    "budget-burnt-by-deploy": (
        {"slo": "cook-slo"},
        ("side", "after"),
        {"good": 145, "bad": 5, "bad_ratio": 5 / 150, "share_of_budget": 2.0},
    ),
    "budget-by-change": (
        {"service": "cook-chat"},
        ("title", "cook-deploy"),
        {
            "slo": "cook-slo",
            "kind": "deploy",
            "bad_before": 1,
            "bad_after": 5,
            "bad_before_ratio": 0.01,
            "bad_after_ratio": 5 / 150,
            "share_of_budget_after": 2.0,
        },
    ),
    "what-corrections-changed": (
        {},
        ("instance", "region=us"),
        {"corrections": ["cook-outage"], "corrected_minutes": 1},
    ),
    "noisiest-slos": (
        {},
        ("slo", "cook-slo"),
        {"alerts": 1, "critical": 1, "still_firing": 0, "minutes_firing": 10.0, "peak_burn_rate": 20.0},
    ),
    "detection-delay": ({}, ("severity", "CRITICAL"), {}),
    "silent-services": ({}, ("service", "cook-chat"), {"requests_today": 300}),
    "why-dead-letters": (
        {},
        ("topic", "cook-events"),
        {"reason": "unknown_schema", "records": 3, "newest_detail": "cook"},
    ),
    "slowest-requests": (
        {"service": "cook-chat"},
        ("request_id", "cook-slow"),
        {"e2e_ms": 9000.0, "trace_id": "cook-trace", "endpoint_id": "cook-pod-1"},
    ),
    "exemplars-of-alerts": (
        {"slo": "cook-slo"},
        ("trace_id", "cook-trace"),
        {"alert": "cook-slo|region=eu", "severity": "CRITICAL", "request_id": "cook-slow", "e2e_ms": 9000.0},
    ),
    "is-it-one-replica": (
        {"service": "cook-chat"},
        ("endpoint_id", "cook-pod-1"),
        {"requests": 1, "bad": 1, "bad_ratio": 1.0, "share_of_requests": 0.0099, "share_of_bad": 1.0},
    ),
    "cost-per-1k-good-tokens": (
        {"service": "cook-chat"},
        ("request_model", "cook-big"),
        {"output_tokens": 1500, "good_tokens": 1000, "cost_usd": 0.004, "usd_per_1k_good_tokens": 0.004},
    ),
    "hung-requests": (
        {"least_s": "60"},
        ("endpoint_id", "cook-pod-1"),
        {"running": 2, "oldest_inflight_s": 180.0, "stalled_s": 60.0},
    ),
    "who-is-late": ({}, ("slo", "cook-slo"), {"instance": "region=eu", "late": 6, "eligible": 200}),
    "is-burnline-behind": ({}, ("topic", "cook-events"), {"stage": "ingest", "records": 7, "dead_letters": 3}),
}


def test_every_question_has_its_answer_here() -> None:
    assert set(ANSWERS) == set(questions()) and len(ANSWERS) >= 20


@pytest.mark.servers
@pytest.mark.parametrize("name", ANSWERS)
def test_a_question_answers_what_the_story_says(told: EmbeddedClickHouse, name: str) -> None:
    settings, (column, value), expected = ANSWERS[name]
    values = values_of(questions()[name], [f"{key}={each}" for key, each in settings.items()])
    with told.client(READER, settings={"server_side_params": 1}) as client:
        found, columns = client.execute(questions()[name].sql, values, with_column_types=True)
    rows = [dict(zip((column for column, _ in columns), row, strict=True)) for row in found]
    row = next(row for row in rows if row[column] == value)
    for key, wanted in expected.items():
        assert row[key] == (pytest.approx(wanted, rel=TWO_SKETCHES) if isinstance(wanted, float | int) else wanted), key


@pytest.mark.parametrize("name", questions())
def test_a_question_reads_views_of_the_contract_only(name: str) -> None:
    text = questions()[name].sql
    read = set(re.findall(r"(?:FROM|JOIN) ([a-z_0-9]+)", text))
    assert read and read <= set(CONTRACT)


def test_a_question_that_hides_a_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"says \[\] and uses \['hours'\]"):
        question_of("x", "-- What?\nSELECT {hours:UInt32}\n")


RUNNER = CliRunner()


def test_without_a_name_all_are_listed() -> None:
    found = RUNNER.invoke(app, ["ask"])
    assert found.exit_code == 0
    assert all(name in found.stdout for name in questions())


def test_the_sql_comes_as_it_stands() -> None:
    found = RUNNER.invoke(app, ["ask", "budget-league", "--sql"])
    assert (found.exit_code, found.stdout) == (0, questions()["budget-league"].sql)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["budget-legue"], "did you mean budget-league?", id="a name that is nearly one"),
        pytest.param(["burning-now", "--set", "days=3"], "takes name=value of factor", id="a parameter it has not"),
        pytest.param(["burning-now", "--set", "factor=much"], "factor is a number", id="no number"),
    ],
)
def test_a_wrong_question_is_a_usage_error(arguments: list[str], says: str) -> None:
    found = RUNNER.invoke(app, ["ask", *arguments])
    assert found.exit_code == 2
    assert says in " ".join(found.output.replace("│", " ").split())


def test_a_question_about_one_slo_asks_which_before_it_asks_anybody() -> None:
    told = CliRunner().invoke(app, ["ask", "who-burns-the-budget"])
    assert told.exit_code == 2
    assert "needs slo, name of the SLO" in " ".join(told.output.replace("│", " ").split())
    needing = {name: question.needed for name, question in questions().items() if question.needed}
    assert set(needing) == {
        "budget-burnt-by-deploy", "budget-by-hour", "cost-per-1k-good-requests", "exemplars-of-alerts",
        "who-burns-the-budget",
    }  # fmt: skip


def test_numbers_are_written_as_people_read_them() -> None:
    answer = answer_table(questions()["spend-by-tenant"], [{"output_tokens": 1.64176e8, "cost_usd": 1233.77}])
    assert isinstance(answer, Table)
    assert [next(column.cells) for column in answer.columns] == ["164,176,000", "1233.77"]
