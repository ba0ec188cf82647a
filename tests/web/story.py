"""A small fleet with one bad hour, as workers would have stored it: what the page is shown in tests and screenshots.

`chat-ttft` in eu-west answers slowly since forty minutes and pages; others are well, spent, frozen, without data.
Everything follows from `now`, and judgements say what the stored counts say.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.spec import load

SLOS = """\
apiVersion: burnline/v1
kind: SLO
metadata:
  name: chat-ttft
  labels: {team: serving}
  annotations: {runbook: https://runbooks.example/chat-ttft}
spec:
  description: First token of streamed chat within a second
  service: chat
  indicator: {metric: ttft, op: lte, threshold: 1s, groupBy: [region, request_model]}
  target: 0.99
  timeWindow: {duration: 30d, isRolling: true}
  alerting: {preset: default}
  sla: {target: 0.95, consequence: 10 % credit}
---
apiVersion: burnline/v1
kind: SLO
metadata: {name: chat-errors, labels: {team: serving}}
spec:
  description: Chat answers without an error
  service: chat
  indicator: {metric: error_rate, groupBy: [region]}
  target: 0.999
  timeWindow: {duration: 30d, isRolling: true}
---
apiVersion: burnline/v1
kind: SLO
metadata: {name: embed-e2e, labels: {team: search}}
spec:
  description: Embeddings within 200 ms
  service: embed
  indicator: {metric: e2e, op: lte, threshold: 200ms, groupBy: [request_model]}
  target: 0.995
  timeWindow: {duration: 7d, isRolling: true}
"""
REGIONS = ("eu-west", "us-east", "ap-south")
GATE = "0 open, 1 caution, 2 frozen"  #: what the number of a gate's signal means
MODELS = ("llama-3.3-70b", "qwen3-32b", "mixtral-8x22b", "deepseek-r1")
HERO = "region=eu-west,request_model=llama-3.3-70b"
WINDOWS_S = (300, 3600, 7200, 86_400)
INCIDENT, MINUTE, MINUTES = timedelta(minutes=40), timedelta(minutes=1), 3 * 1440
Cell = tuple[datetime, int, int]
TRACES = ["4bf92f3577b34da6a3ce929d0e0e4736", "9c1e22aa0b7d4f0f8a3d5be1b02c7e11"]
#: what is not as all others: state, severity, burn rate
ODD: dict[tuple[str, str], tuple[str, str, float]] = {
    ("chat-ttft", "region=us-east,request_model=qwen3-32b"): ("FIRING", "WARNING", 3.0),
    ("chat-errors", "region=us-east"): ("FIRING", "WARNING", 2.4),
    ("embed-e2e", "request_model=mixtral-8x22b"): ("OK", "NONE", 1.1),
    ("chat-ttft", "region=ap-south,request_model=qwen3-32b"): ("PENDING", "NONE", 0.8),
    ("chat-errors", "region=ap-south"): ("RECOVERING", "NONE", 0.9),
    ("embed-e2e", "request_model=qwen3-32b"): ("FROZEN", "NONE", 0.5),
}
SILENT = ("chat-ttft", "region=ap-south,request_model=deepseek-r1")
#: a sketch of so many latencies, spread as such things are, of which a share is over the objective
STATE = (
    "arrayReduce('quantilesDDState(0.01, 0.5, 0.95, 0.99)', arrayMap(i -> {objective_us} * exp(0.3 * "
    "(log(cell.3 / (cell.2 - cell.3)) + log((i + 0.5) / (cell.2 - i - 0.5)))), range(toUInt32(cell.2))))"
)
FRESH = timedelta(hours=9)  #: judged so far ahead of the story that it does not grow stale while it is looked at


def write_files(folder: Path) -> Path:
    """Write the SLO files into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fleet.yaml").write_text(SLOS, encoding="utf-8")
    return folder


def instances() -> Iterator[tuple[str, str, dict[str, str], str, float, int]]:
    """SLO, instance, labels, service, target, days of the window."""
    for region in REGIONS:
        for model in MODELS:
            labels = {"region": region, "request_model": model}
            yield "chat-ttft", text_of(labels), labels, "chat", 0.99, 30
        yield "chat-errors", f"region={region}", {"region": region}, "chat", 0.999, 30
    for model in MODELS:
        yield "embed-e2e", f"request_model={model}", {"request_model": model}, "embed", 0.995, 7


def text_of(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def insert(client: Any, table: str, rows: list[dict[str, Any]]) -> None:
    client.execute(f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES", [tuple(row.values()) for row in rows])


def share_bad(slo: str, instance: str, target: float, age: timedelta) -> float:
    """Which share of the requests of a cell is bad, by how long ago it was."""
    pace = ODD.get((slo, instance), ("", "", 0.3))[2]
    if (slo, instance) == ("chat-ttft", HERO):
        pace = 26.0 if age < INCIDENT else 9.0 if timedelta(hours=20) < age < timedelta(hours=21) else 0.35
    return pace * (1 - target) * (1 + 0.3 * math.sin(age.total_seconds() / 5000))


def minutes_of(key: tuple[str, str], target: float, now: datetime, number: int) -> list[Cell]:
    """The last whole minutes."""
    end = now.replace(second=0, microsecond=0)
    return [_cell(key, target, now, end - back * MINUTE, 1) for back in range(number, 0, -1)]


def hours_of(key: tuple[str, str], target: float, now: datetime, number: int) -> list[Cell]:
    """The last hours; the one that is not over yet has the minutes that are."""
    end = now.replace(minute=0, second=0, microsecond=0)
    hours = [_cell(key, target, now, end - back * timedelta(hours=1), 60) for back in range(number - 1, 0, -1)]
    return [*hours, _cell(key, target, now, end, now.minute)] if now.minute else hours


def _cell(key: tuple[str, str], target: float, now: datetime, start: datetime, minutes: int) -> Cell:
    """Start, good and bad; what is bad is looked at each five minutes."""
    requests = round((600 + 200 * math.sin(start.timestamp() / 13_751)) * minutes)
    shares = [share_bad(*key, target, now - start - minute * MINUTE) for minute in range(0, minutes, 5)]
    bad = round(requests * sum(shares) / len(shares))
    return start, requests - bad, bad


def tell(client: Any, now: datetime, slo_dir: Path) -> None:
    """Store the whole story."""
    revisions = {name: slo.objective.indicator_revision for name, slo in load([slo_dir]).told.items()}
    tables: dict[str, list[dict[str, Any]]] = {"counts_1h": [], "counts_1m": [], "statuses": []}
    for slo, instance, labels, service, target, days in instances():
        key, is_silent = (slo, instance), (slo, instance) == SILENT
        hours = [] if is_silent else hours_of(key, target, now, days * 24)
        minutes = [] if is_silent else minutes_of(key, target, now, MINUTES if instance == HERO else 300)
        for table, cells in (("counts_1h", hours), ("counts_1m", minutes)):
            same = {"slo": slo, "revision": revisions[slo], "instance": instance}
            tables[table] += [{**same, "slice_start": at, "good": good, "bad": bad} for at, good, bad in cells]
        tables["statuses"].append(status(key, labels, service, target, days, now, hours, revisions[slo], minutes))
    for table, rows in tables.items():
        insert(client, table, rows)
    tell_latencies(client, now)
    tell_alerts(client, now)
    tell_pipeline(client, now)
    tell_signals(client, now)


def status(
    key: tuple[str, str], labels: dict[str, str], service: str, target: float, days: int, now: datetime,
    hours: Sequence[Cell], revision: str, minutes: Sequence[Cell] = (),
) -> dict[str, Any]:  # fmt: skip
    """Judge as the judge would, near enough for a picture."""
    good, bad = sum(cell[1] for cell in hours), sum(cell[2] for cell in hours)
    eligible, is_hero = good + bad, key == ("chat-ttft", HERO)
    state, severity, _ = ("FIRING", "CRITICAL", 0.0) if is_hero else ODD.get(key, ("OK", "NONE", 0.0))
    windows = [_window(minutes, now, window_s, target) for window_s in WINDOWS_S]
    left = 1 - bad / (eligible * (1 - target)) if eligible else None
    burning = windows[1][2]
    is_burning = bool(left is not None and left > 0 and burning and burning >= 1)
    return {
        "slo": key[0], "instance": key[1], "revision": revision, "counts_revision": revision, "service": service,
        "labels": labels, "target": target, "window_us": days * 86_400_000_000, "watermark": now,
        "window_start": now - timedelta(days=days), "window_end": now, "judged_at": now + FRESH, "state": state,
        "severity": severity, "good": good, "bad": bad, "excluded": eligible // 900, "late": bad % 5,
        "compliance_ratio": good / eligible if eligible else None,
        "coverage_ratio": 0.31 if state == "FROZEN" else 0.998 if eligible else 0.0,
        "budget_events": eligible * (1 - target), "budget_remaining_ratio": left,
        "budget_minutes": (1 - target) * days * 1440,
        "time_to_exhaustion_s": left * days * 86_400 / burning if is_burning and left and burning else None,
        "exhaustion_burn_rate": burning, "exhaustion_window_s": 3600,
        "sla_target": 0.95 if key[0] == "chat-ttft" else None,
        "sla_budget_remaining_ratio": 1 - bad / (eligible * 0.05) if eligible and key[0] == "chat-ttft" else None,
        "windows_s": list(WINDOWS_S), "windows_good": [w[0] for w in windows], "windows_bad": [w[1] for w in windows],
        "windows_coverage_ratio": [1.0] * len(windows), "windows_burn_rate": [w[2] for w in windows],
    }  # fmt: skip


def _window(minutes: Sequence[Cell], now: datetime, window_s: int, target: float) -> tuple[int, int, float | None]:
    inside = [cell for cell in minutes if cell[0] >= now - timedelta(seconds=window_s)]
    good, bad = sum(cell[1] for cell in inside), sum(cell[2] for cell in inside)
    return good, bad, bad / (good + bad) / (1 - target) if good + bad else None


def tell_latencies(client: Any, now: datetime) -> None:
    """Sketches of the requests of one model in one region: as slow as they are counted."""
    for slo, instance, target, objective_us in (
        ("chat-ttft", HERO, 0.99, 1_000_000), ("embed-e2e", "request_model=llama-3.3-70b", 0.995, 200_000),
    ):  # fmt: skip
        cells = [(at, good + bad, bad or 0.5) for at, good, bad in minutes_of((slo, instance), target, now, 26 * 60)]
        client.execute(
            "INSERT INTO slices_1m (slice_start, service, request_model, region, vantage, success, e2e_state, "
            f"ttft_state) SELECT cell.1, '{slo.partition('-')[0]}', 'llama-3.3-70b', 'eu-west', 'GATEWAY', cell.2, "
            f"{STATE.format(objective_us=objective_us)} AS state, state FROM (SELECT arrayJoin(arrayZip("
            "%(starts)s, %(requests)s, %(slow)s)) AS cell)",
            dict(zip(("starts", "requests", "slow"), map(list, zip(*cells, strict=True)), strict=True)),
        )


def tell_alerts(client: Any, now: datetime) -> None:
    """Two that are open, three that are over."""
    told = [
        ("chat-ttft", HERO, "CRITICAL", timedelta(minutes=37), None, 26.2),
        ("chat-ttft", "region=us-east,request_model=qwen3-32b", "WARNING", timedelta(hours=3), None, 3.1),
        ("chat-errors", "region=us-east", "WARNING", timedelta(hours=5), None, 2.5),
        ("chat-ttft", HERO, "WARNING", timedelta(hours=20, minutes=40), timedelta(hours=1, minutes=10), 9.4),
        ("embed-e2e", "request_model=mixtral-8x22b", "CRITICAL", timedelta(days=2), timedelta(minutes=25), 14.0),
        ("chat-errors", "region=ap-south", "CRITICAL", timedelta(days=4, hours=7), timedelta(minutes=48), 31.0),
    ]  # fmt: skip
    sequences: dict[str, int] = {}
    for slo, instance, severity, age, lasted, burn_rate in told:
        key = f"{slo}|{instance}"
        for event, at in (("FIRED", now - age), *((("RESOLVED", now - age + lasted),) if lasted else ())):
            sequences[key] = sequences.get(key, -1) + 1
            insert(
                client,
                "alert_events",
                [_event(slo, instance, key, sequences[key], event, severity, now - age, at, burn_rate)],
            )


def _event(
    slo: str,
    instance: str,
    key: str,
    sequence: int,
    event: str,
    severity: str,
    fired: datetime,
    at: datetime,
    burn: float,
) -> dict[str, Any]:
    short = burn * 1.1 if event == "FIRED" else 0.2
    words = (
        f"{burn:.1f}x over 1 h and {short:.1f}x over 5 min"
        if event == "FIRED"
        else "the short window is under the factor"
    )
    return {
        "slo": slo, "dedup_key": key, "sequence": sequence, "kind": "BURN_RATE", "event": event,
        "severity": severity if event == "FIRED" else "NONE", "started_at": fired, "window_end": at, "watermark": at,
        "evaluated_at": at + timedelta(milliseconds=840), "long_burn_rate": burn, "short_burn_rate": short,
        "instance": instance, "service": slo.split("-", maxsplit=1)[0], "revision": "r1", "burn_rate_factor": 10.0,
        "long_window_s": 3600, "short_window_s": 300, "long_good": 27_000, "long_bad": 9_500, "short_good": 2_200,
        "short_bad": 790, "budget_remaining_ratio": 0.31, "reason": words,
        "exemplar_trace_ids": TRACES if event == "FIRED" else [], "runbook": "https://runbooks.example/" + slo,
    }  # fmt: skip


def tell_pipeline(client: Any, now: datetime) -> None:
    """Two partitions that are read, and three records that could not be."""
    for partition in range(2):
        insert(client, "marks", [{
            "topic": "slo.counts", "partition": partition, "source_topic": "inference.events",
            "source_partition": partition, "source_next_offset": 812_000, "event_time_max": now, "flushed_at": now,
            "stored_at": now,
            "counters": {"records": 812_000, "events": 811_990, "bytes": 93_000_000, "dead_letters": 3 * partition},
        }])  # fmt: skip
    for offset in range(3):
        insert(client, "dead_letter_records", [{
            "dead_at": now - timedelta(minutes=9), "reason": "unknown_schema", "detail": "schema 77 is in no registry",
            "topic": "inference.events", "offset": offset, "dlq_topic": "inference.events.dlq", "dlq_offset": offset,
        }])  # fmt: skip


def tell_signals(client: Any, now: datetime) -> None:
    """What controls say of chat: all but the forecast is in force, and of the cost nothing is known."""
    said: list[tuple[str, str, str, str, float | None, str, str]] = [
        ("", "gate", "", "frozen", 2.0, GATE, "chat-ttft: what burns is mended first: a critical alert is open"),
        (MODELS[0], "scale", "", "out", 6.0, "replicas", "31 requests a second come, 6 replicas bear 34"),
        (MODELS[0], "capacity", "h100-fp8", "at_least", 24.0, "requests", "at 25 in flight chat-ttft breaks"),
        (MODELS[0], "shed", "LOW", "shed", 0.5, "share of the class to shed", "CRITICAL burns at 26x"),
        (MODELS[0], "cost", "", "unknown", None, "", "no event has a price"),
        (MODELS[0], "forecast", "", "forecast", 33.0, "requests/s", "a model that beats the season"),
    ]
    insert(client, "signal_records", [
        {
            "service": "chat", "model": model, "name": name, "scope": scope, "state": state, "value": value,
            "unit": unit, "reason": reason, "evaluated_at": now - MINUTE, "watermark": now - MINUTE,
            "expires_at": now if name == "forecast" else now + FRESH, "appended_at": now - MINUTE,
            "inputs": {"requests_per_s": 31.0}, "samples": 1860, "confidence": 0.9,
        }
        for model, name, scope, state, value, unit, reason in said
    ])  # fmt: skip


def tell_more(client: Any, now: datetime) -> None:
    """What is told only where somebody wants it: a deploy before the bad hour, and requests that were kept whole."""
    at = now - INCIDENT - 2 * MINUTE
    insert(client, "change_records", [{
        "change_id": "d1", "at": at, "kind": "DEPLOY", "service": "chat", "title": "vllm 0.14 to eu-west",
        "region": "eu-west", "before": {"image": "0.13"}, "after": {"image": "0.14"}, "actor": "deploy-bot",
        "appended_at": at,
    }])  # fmt: skip
    insert(client, "event_records", [
        {
            "event_id": str(number), "request_id": f"q{number}", "trace_id": TRACES[number % 2], "received_at": now,
            "completed_at": now, "emitted_at": now, "counted_at": now - (number + 1) * MINUTE, "e2e_us": 9_000_000,
            "ttft_us": 2_400_000 - 310_000 * number, "output_tokens": 220, "outcome": "SUCCESS", "tenant_id": "acme",
            "service": "chat", "operation": "chat", "request_model": "llama-3.3-70b", "region": "eu-west",
            "vantage": "GATEWAY", "stream": True, "is_bad": number < 4, "sample_ratio": 1.0,
        }
        for number in range(6)
    ])  # fmt: skip


def tell_many(client: Any, now: datetime, number: int) -> None:
    """As many instances more, which are well: rows like all others, made by the server."""
    client.execute(
        "INSERT INTO statuses (slo, instance, revision, service, labels, target, window_us, watermark, window_start, "
        "window_end, judged_at, state, severity, good, bad, compliance_ratio, coverage_ratio, budget_events, "
        "budget_remaining_ratio, budget_minutes, windows_s, windows_good, windows_bad, windows_coverage_ratio, "
        "windows_burn_rate) SELECT concat('many-', toString(number %% 50)), concat('tenant_id=t', toString(number)), "
        "'r1', 'many', map('tenant_id', concat('t', toString(number))), 0.99, 2592000000000, %(now)s, "
        "%(now)s - INTERVAL 30 DAY, %(now)s, %(now)s + INTERVAL 9 HOUR, 'OK', 'NONE', 9970, 30, 0.997, 1.0, 100, 0.7, "
        "432, [300, 3600], [100, 1000], [0, 3], [1, 1], [(number %% 90) / 100, 0.3] FROM numbers(%(number)s)",
        {"now": now, "number": number},
    )
