"""Benchmark `views`: how long each view takes for one SLO, with 10,000 SLO instances and 30 days of history.

A hundred SLOs of a hundred instances; every instance counted in every slice. Hours are there for all of 30 days;
minutes for all instances of the newest days, and of 30 days for the SLO that is asked about and its neighbours; slices
of ten seconds likewise: what is in front of an SLO and behind it in the primary key is not read.
Half of the corrections are about that SLO, and one of them recurs nightly. The server makes the rows itself, so that
filling takes a minute. Every question is asked as the reader asks it, answer and transfer included.
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from pipeline.sinks.migrations import migrate
from pipeline.sinks.refreshed import REFRESHED, due, refresh
from tests.bench import page, stored
from tests.bench.report import GOAL, OURS, figure, finish
from tests.sinks.storing import reader_of
from tests.view_contract import KEDA
from tests.web.chromium import PROGRAM

if TYPE_CHECKING:
    from clickhouse_driver import Client

DAY_S = 86_400
GOAL_MS = 100
FLEET_GOAL_MS, P99_GOAL_MS = 500, 200
ASKED = "slo-005"
MEMORY_BYTES = 12 << 30  #: the embedded server's own count of what it holds runs away while it fills itself
FILL = {"optimize_on_insert": 0, "max_insert_threads": 2, "max_memory_usage": 3 << 30}
SKETCH = (
    "arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', "
    "arrayMap(x -> 1000. + cityHash64(x, s.k, t.at) % 99000, range(20)))"
)


class Size(NamedTuple):
    """How much there is."""

    slos: int = 100
    instances: int = 100  # of each SLO
    days: int = 30
    neighbours: int = 10  # SLOs whose minutes reach back as far as their hours, and the one asked about among them
    newest_s: int = 3 * DAY_S  # minutes of all others
    series: int = 300
    alerts: int = 10_000
    corrections: int = 20
    looks: int = 900_000  # at replicas
    events: int = 2_000_000  # that are kept whole


@dataclass
class Answer:
    """How long one view took."""

    view: str
    goal_ms: float
    cpu_ms: float  # of the server, the least of all runs
    least_ms: float  # of a machine that does other things too
    median_ms: float
    most_ms: float
    rows: int


#: view -> what somebody asks it about one SLO, or about one service
QUESTIONS = {
    "compliance": "SELECT * FROM compliance WHERE slo = %(slo)s",
    "error_budget": "SELECT * FROM error_budget WHERE slo = %(slo)s",
    "burn_rate": "SELECT * FROM burn_rate WHERE slo = %(slo)s",
    "compliance_corrected": "SELECT * FROM compliance_corrected WHERE slo = %(slo)s",
    "error_budget_corrected": "SELECT * FROM error_budget_corrected WHERE slo = %(slo)s",
    "alerts": "SELECT * FROM alerts WHERE slo = %(slo)s",
    "alert_log": "SELECT * FROM alert_log WHERE slo = %(slo)s",
    "alert_corrections": "SELECT * FROM alert_corrections WHERE slo = %(slo)s",
    "late_events": "SELECT * FROM late_events WHERE slo = %(slo)s",
    "slo_counts": "SELECT slice_start, sum(good), sum(bad) FROM slo_counts WHERE slo = %(slo)s "
    "AND slice_start >= now() - INTERVAL 1 HOUR GROUP BY slice_start",
    "slo_counts_1m": "SELECT slice_start, sum(good), sum(bad) FROM slo_counts_1m WHERE slo = %(slo)s "
    "AND slice_start >= now() - INTERVAL 1 DAY GROUP BY slice_start",
    "slo_counts_1h": "SELECT slice_start, sum(good), sum(bad) FROM slo_counts_1h WHERE slo = %(slo)s "
    "GROUP BY slice_start",
    "slo_count_rows_1m": "SELECT slice_start, sum(good), sum(bad) FROM slo_count_rows_1m WHERE slo = %(slo)s "
    "AND slice_start >= now() - INTERVAL 1 DAY GROUP BY slice_start",
    "slo_count_rows_1h": "SELECT slice_start, sum(good), sum(bad) FROM slo_count_rows_1h WHERE slo = %(slo)s "
    "GROUP BY slice_start",
    "sli": "SELECT request_model, sum(requests), quantilesDDMerge(0.01, 0.5, 0.99)(e2e_state) FROM sli "
    "WHERE service = 'service-5' AND slice_start >= now() - INTERVAL 1 HOUR GROUP BY request_model",
    "sli_1m": "SELECT request_model, sum(requests), quantilesDDMerge(0.01, 0.5, 0.99)(e2e_state) FROM sli_1m "
    "WHERE service = 'service-5' AND slice_start >= now() - INTERVAL 1 DAY GROUP BY request_model",
    "sli_1h": "SELECT request_model, sum(requests), quantilesDDMerge(0.01, 0.5, 0.99)(e2e_state) FROM sli_1h "
    "WHERE service = 'service-5' GROUP BY request_model",
    "corrections": "SELECT * FROM corrections WHERE is_in_force",
    "correction_ranges": "SELECT * FROM correction_ranges WHERE range_end > now() - INTERVAL 30 DAY",
    "dead_letters": "SELECT reason, count(), max(dead_at) FROM dead_letters GROUP BY reason",
    "pipeline_health": "SELECT * FROM pipeline_health",
    "silences": "SELECT * FROM silences WHERE is_in_force",
    "events": "SELECT request_id, e2e_us FROM events WHERE service = 'service-5' "
    "AND counted_at >= now() - INTERVAL 1 DAY ORDER BY e2e_us DESC LIMIT 20",
    "config_changes": "SELECT * FROM config_changes WHERE service = 'service-5'",
    "signals": "SELECT * FROM signals WHERE service = 'service-5' AND model IN ('', 'model-5')",
    "forecast": "SELECT * FROM forecast WHERE service = 'service-5' AND model = 'model-5'",
    "signal_log": "SELECT evaluated_at, state, value FROM signal_log WHERE service = 'service-5' AND model = 'model-5' "
    "AND name = 'scale' AND evaluated_at >= now() - INTERVAL 1 DAY",
    "snapshots": "SELECT endpoint_id, argMax(running, snapshot_at) FROM snapshots WHERE service = 'service-5' "
    "AND snapshot_at >= now() - INTERVAL 5 MINUTE GROUP BY endpoint_id",
    "cost": "SELECT request_model, sum(cost_picousd), sum(idle_picousd) FROM cost WHERE service = 'service-5' "
    "AND slice_start >= now() - INTERVAL 1 DAY GROUP BY request_model",
    "config_hours": "SELECT variant, sum(requests) FROM config_hours WHERE service = 'service-5' "
    "AND slice_start >= now() - INTERVAL 1 DAY GROUP BY variant",
    "config_frontier": "SELECT * FROM config_frontier WHERE service = 'service-5'",
    "known_until": "SELECT * FROM known_until",
    **{
        name: f"SELECT * FROM {name} WHERE service = 'service-5'"
        for name in ("capacity", "class_compliance", "cold_starts", "endpoints", "quota_usage", "tenant_usage")
    },
    **{
        name: f"SELECT value FROM {name}(service='service-5', model='model-5')"
        for name in sorted(KEDA)
    },
    "alert_notes": "SELECT * FROM alert_notes WHERE slo = %(slo)s",
}  # fmt: skip


#: what a page of the whole fleet asks, of all SLO instances
FLEET = {
    "fleet: compliance": "SELECT slo, instance, target, compliance_ratio, coverage_ratio, state, window_end "
    "FROM compliance",
    "fleet: budgets": "SELECT slo, instance, budget_remaining_ratio, time_to_exhaustion_s FROM error_budget",
    "fleet: burning": "SELECT slo, instance, max(burn_rate) AS burn FROM burn_rate GROUP BY slo, instance "
    "ORDER BY burn DESC NULLS LAST LIMIT 100",
    "fleet: a day of bad": "SELECT slo, instance, sum(good), sum(bad) FROM slo_count_rows_1h "
    "WHERE slice_start >= now() - INTERVAL 1 DAY GROUP BY slo, instance",
    "fleet: alerts of a day": "SELECT slo, instance, severity, fired_at, resolved_at FROM alert_log "
    "WHERE fired_at >= now() - INTERVAL 1 DAY ORDER BY fired_at DESC LIMIT 100",
}
P99 = {
    "P99 of a model, 30 d": "SELECT quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(e2e_state) FROM sli_1h "
    "WHERE request_model = 'model-5'",
    "P99 by hour, 30 d": "SELECT slice_start, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(e2e_state) FROM sli_1h "
    "WHERE service = 'service-5' AND request_model = 'model-5' GROUP BY slice_start",
}
GOALS = {**dict.fromkeys(QUESTIONS, GOAL_MS), **dict.fromkeys(FLEET, FLEET_GOAL_MS), **dict.fromkeys(P99, P99_GOAL_MS)}
ALL = {**QUESTIONS, **FLEET, **P99}


def measure(size: Size, home: Path, repeats: int = 7, events: int = 400_000) -> dict[str, Any]:
    """Fill a server and ask everything; then store events on another one."""
    with EmbeddedClickHouse(home / "views", memory_bytes=MEMORY_BYTES) as server:
        with server.client() as client:
            migrate(client)
            began = time.monotonic()
            fill(client, size)
            filled_s = time.monotonic() - began
            refreshed = count_kept(client)
            rows = {table: count for table, count in client.execute(STORED_SQL)}
        with server.client(READER) as reader, server.client() as admin:
            answers = [asked(reader, admin, question, repeats) for question in ALL]
        seen = page.measure(reader_of(server)) if PROGRAM.exists() else None
    with EmbeddedClickHouse(home / "stored") as server, server.client() as admin:
        migrate(admin)
        kept = stored.measure(server, admin, events, 1_000, home)
    return {
        "size": size._asdict(), "filled_s": filled_s, "rows": rows, "goal_ms": GOAL_MS,
        "answers": [asdict(each) for each in answers], "stored": kept, "refreshed": refreshed, "page": seen,
    }  # fmt: skip


def count_kept(client: "Client") -> list[dict[str, Any]]:
    """Count kept answers as workers do, one part after the other; tell how long each part took."""
    told = []
    for of in REFRESHED:
        took_s = []
        for part in due(client, of):
            began = time.monotonic()
            refresh(client, of, part.name)
            took_s.append(time.monotonic() - began)
        told.append({"table": of.table, "parts": len(took_s), "median_s": median(took_s), "sum_s": sum(took_s)})
    return told


STORED_SQL = (
    "SELECT table, sum(rows) FROM system.parts WHERE active AND database = currentDatabase() "
    "GROUP BY table ORDER BY table"
)


CPU = (
    "SELECT min(ProfileEvents['UserTimeMicroseconds'] + ProfileEvents['SystemTimeMicroseconds']) / 1000 "
    "FROM system.query_log WHERE type = 'QueryFinish' AND query_id IN %(ids)s"
)


def asked(reader: "Client", admin: "Client", question: str, repeats: int) -> Answer:
    """Ask once to warm up, then so many times; the server tells what it spent."""
    took: list[float] = []
    ids = [uuid.uuid4().hex for _ in range(repeats + 1)]
    for query_id in ids:
        began = time.perf_counter()
        rows = reader.execute(ALL[question], {"slo": ASKED}, query_id=query_id)
        took.append((time.perf_counter() - began) * 1e3)
    admin.execute("SYSTEM FLUSH LOGS")
    ((cpu_ms,),) = admin.execute(CPU, {"ids": tuple(ids[1:])})
    return Answer(question, GOALS[question], cpu_ms, min(took[1:]), median(took[1:]), max(took[1:]), len(rows))


def fill(client: "Client", size: Size) -> None:
    """Put everything in, statement by statement."""
    for statement in (*counts(size), *slices(size), *records(size), *controls(size)):
        client.execute(statement, settings=FILL)


def instances(size: Size, first: int, last: int) -> str:
    """Name the instances of SLOs [first, last)."""
    number, count = f"{first} + intDiv(number, {size.instances})", (last - first) * size.instances
    return (
        f"(SELECT toLowCardinality(concat('slo-', leftPad(toString({number}), 3, '0'))) AS slo, "
        f"number % {size.instances} AS n, toLowCardinality(concat("
        f"'region=eu-west,request_model=model-', leftPad(toString(n), 4, '0'))) AS instance FROM numbers({count}))"
    )


def times(step_s: int, since_s: int, until_s: int = 0) -> str:
    """Starts of slices from so long ago until so long ago, up to the last whole hour."""
    return (
        f"(SELECT toDateTime64(toUnixTimestamp(toStartOfHour(now())) - {since_s} + number * {step_s}, 6, 'UTC') AS at "
        f"FROM numbers({(since_s - until_s) // step_s}))"
    )


def counts(size: Size) -> Iterator[str]:
    """Fill the three tiers of counts."""
    near, whole_s, newest_s = min(size.neighbours, size.slos), size.days * DAY_S, min(size.newest_s, size.days * DAY_S)
    parts = [("1h", 3_600, 0, size.slos, whole_s, 0), ("1m", 60, 0, near, whole_s, newest_s)]
    parts += [("1m", 60, 0, size.slos, newest_s, 0), ("10s", 10, 0, size.slos, min(3_600, whole_s), 0)]
    parts += [("10s", 10, 5, 6, whole_s - day * DAY_S, whole_s - day * DAY_S - DAY_S) for day in range(size.days)]
    for tier, step_s, first, last, since_s, until_s in parts:
        if last > first and since_s > until_s:
            yield (
                f"INSERT INTO counts_{tier} SELECT i.slo, 'i1', i.instance, t.at, {100 * step_s} - (rand() % 50 = 0), "
                f"rand() % 50 = 0, rand(1) % 3 FROM {instances(size, first, last)} AS i "
                f"CROSS JOIN {times(step_s, since_s, until_s)} AS t"
            )


def slices(size: Size) -> Iterator[str]:
    """Fill the three tiers of series."""
    series = (
        f"(SELECT number AS k, concat('service-', toString(number % {size.slos})) AS service, "
        f"concat('model-', toString(number)) AS model FROM numbers({size.series}))"
    )
    hour_s, whole_s = 3_600, size.days * DAY_S
    for tier, step_s, since_s in (("1h", hour_s, whole_s), ("1m", 60, DAY_S), ("10s", 10, hour_s)):
        yield (
            f"INSERT INTO slices_{tier} (slice_start, service, request_model, vantage, success, e2e_state, ttft_state, "
            f"tpot_state) SELECT t.at, s.service, s.model, 'GATEWAY', 100, {SKETCH} AS state, state, state "
            f"FROM {series} AS s CROSS JOIN {times(step_s, since_s)} AS t"
        )


def records(size: Size) -> Iterator[str]:
    """Fill judgements, alerts, corrections, dead letters and marks."""
    window_us = size.days * DAY_S * 1_000_000
    yield (
        "INSERT INTO statuses (slo, instance, revision, service, labels, target, window_us, watermark, window_start, "
        "window_end, judged_at, state, severity, good, bad, excluded, compliance_ratio, coverage_ratio, budget_events, "
        "budget_remaining_ratio, budget_minutes, windows_s, windows_good, windows_bad, windows_coverage_ratio, "
        "windows_burn_rate, late, is_deleted, counts_revision) "
        "SELECT i.slo, i.instance, 'r1', 'service-5', map('region', 'eu-west', 'request_model', toString(i.n)), 0.999, "
        f"{window_us}, toStartOfHour(now()) AS until, until - INTERVAL {size.days} DAY, until, until, 'OK', 'NONE', "
        "1000, 1, 0, 0.999, 1, 1, 0, 43.2, [300, 3600, 7200, 86400], [1, 2, 3, 4], [0, 0, 0, 0], [1, 1, 1, 1], "
        f"[0, 0, 0, 0], 0, 0, 'i1' FROM {instances(size, 0, size.slos)} AS i"
    )
    yield (
        "INSERT INTO alert_events (slo, dedup_key, sequence, revision, instance, service, labels, event, severity, "
        "metric, target, burn_rate_factor, long_window_s, short_window_s, started_at, window_end, watermark, "
        "evaluated_at, reason) "
        f"SELECT concat('slo-', leftPad(toString(number % {size.slos}), 3, '0')) AS name, "
        "concat(name, '|', toString(intDiv(number, 1000))), number * 10 + e.1, 'r1', toString(intDiv(number, 1000)), "
        "'service-5', map('region', 'eu-west'), e.2, 'CRITICAL', 'e2e', 0.999, 10, 3600, 300, "
        f"toDateTime64(now() - number % {size.days * DAY_S // 60} * 60, 6, 'UTC') AS fired, "
        f"fired + toIntervalMinute(e.1), fired, fired, 'burns' FROM numbers({size.alerts}) "
        "ARRAY JOIN [(0, 'FIRED'), (5, 'UPDATED'), (9, 'RESOLVED')] AS e"
    )
    yield (
        "INSERT INTO correction_versions (correction, version, state, reason, who, recorded_at, digest, source, times, "
        "selects, where_labels, where_values, where_none_of, where_prefixes, starts, ends, known_until, stored_at) "
        "SELECT concat('c-', toString(number)), 1, 'APPLIED', 'maintenance', 'team', now(), '', '', '', '', ['slo'], "
        f"[[if(number % 2 = 0, '{ASKED}', 'slo-001')]], [[]], [[]], "
        f"arrayMap(i -> toDateTime64(toStartOfHour(now()) - toIntervalDay(i) - toIntervalMinute(90), 6, 'UTC'), "
        f"if(number = 0, range({size.days}), [number % {size.days}])) AS starts, "
        "arrayMap(at -> at + toIntervalMinute(45), starts), NULL, now() "
        f"FROM numbers({size.corrections})"
    )
    yield (
        "INSERT INTO dead_letter_records (dead_at, reason, topic, dlq_topic, dlq_offset) SELECT now() - number, "
        "'malformed', 'inference.events', 'inference.events.dlq', number FROM numbers(10000)"
    )
    yield (
        "INSERT INTO marks (topic, partition, source_topic, source_partition, first_offset, last_offset, flushed_at, "
        "stored_at) SELECT 'slo.counts', number % 16, 'inference.events', intDiv(number, 16), 0, 1000, now(), now() "
        "FROM numbers(256)"
    )


def controls(size: Size) -> Iterator[str]:
    """Fill what controls say, and what they look at: replicas, events that are kept whole, changes."""
    names = "[('scale', ''), ('shed', 'LOW'), ('capacity', 'v1'), ('forecast', 'load:5m'), ('gate', ''), ('cost', '')]"
    for table, moments in (("signal_records", 1), ("signal_history", 288)):  # a day of what is said every five minutes
        yield (
            f"INSERT INTO {table} (service, model, name, scope, state, value, inputs, evaluated_at, expires_at) SELECT "
            f"concat('service-', toString(s.number % {size.slos})), concat('model-', toString(s.number)), "
            f"(arrayJoin({names}) AS n).1, n.2, 'well', rand(), map('peak', 1.), now() - m.number * 300 AS at, "
            f"at + 600 FROM numbers({size.series}) AS s CROSS JOIN numbers({moments}) AS m"
        )
    yield (
        "INSERT INTO signal_records (service, name, scope, state, value, details, evaluated_at, watermark, expires_at) "
        f"SELECT concat('service-', toString(number % {size.slos})), 'quota', concat('tokens/', toString(number)), "
        "'near', 0.9, map('tenant_id', toString(number), 'quota', 'tokens'), now(), now(), now() + 600 "
        f"FROM numbers({20 * size.slos})"
    )
    week_s = 7 * DAY_S
    for ago_s, replica, service, looks in (
        # of a thousand replicas, every four seconds of an hour; of those of one service, every quarter minute of a week
        ("intDiv(number, 1000) * 4", "number % 1000", f"replica % {size.slos}", size.looks),
        ("intDiv(number, 10) * 15", f"5 + {size.slos} * (number % 10)", "5", min(size.looks, week_s * 10 // 15)),
    ):
        yield (
            "INSERT INTO snapshot_records (snapshot_at, endpoint_id, service, model, engine, running, ready, finished, "
            f"gpu_count, gpu_hour_picousd, started_at) SELECT now() - {ago_s}, toString({replica} AS replica), "
            f"concat('service-', toString({service} AS s)), concat('model-', toString(s)), 'vllm', rand() % 64, 1, "
            f"number, 1, 2000000000000, toStartOfDay(now()) FROM numbers({looks})"
        )
    yield (
        "INSERT INTO event_records (counted_at, completed_at, service, request_model, tenant_id, vantage, accelerator, "
        "output_tokens, e2e_us, is_bad, sample_ratio, sample_weight, source_topic, source_offset) SELECT "
        f"now() - intDiv(number * {week_s}, {size.events}) AS at, at, "
        f"concat('service-', toString(number % {size.series} % {size.slos})), "
        f"concat('model-', toString(number % {size.series})), '', 'GATEWAY', 'H100', 200, 1000 + rand() % 99000, "
        f"number % 3 = 0 AS is_bad, if(is_bad, 1, 0.01), 1, 'inference.events', number FROM numbers({size.events})"
    )
    yield (
        "INSERT INTO change_records (service, change_id, at, kind, title, config_epoch) SELECT "
        f"concat('service-', toString(number % {size.slos})), toString(number), now() - number * 120, 'deploy', 'new', "
        f"concat('epoch-', toString(intDiv(number, {size.slos}))) FROM numbers({50 * size.slos})"
    )


NAMES = ("goal_ms", "cpu_ms", "least_ms", "median_ms", "most_ms")


def rows(result: dict[str, Any]) -> list[list[str]]:
    """Lay out a result for people."""
    return [[each["view"], *(f"{each[name]:.0f}" for name in NAMES), f"{each['rows']:,}"] for each in result["answers"]]


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw what each question cost the server, and how long its answer took."""
    size, answers = result["size"], result["answers"]
    title = f"One SLO of {size['slos']}, {size['slos'] * size['instances']:,} instances, {size['days']} days"
    drawn, axes = figure(title, "ms of the server's processors; thin: to the answer, least; red: the goal", "")
    names = [each["view"] for each in answers]
    axes.barh(names, [each["cpu_ms"] for each in answers], color=OURS)
    axes.hlines(names, 0, [each["least_ms"] for each in answers], color=OURS, linewidth=0.8)
    axes.plot([each["goal_ms"] for each in answers], names, "|", color=GOAL, markersize=9)
    axes.set_xscale("log")
    axes.invert_yaxis()
    drawn.set_figheight(0.2 * len(names))  # a line of text for each
    finish(drawn, path)
