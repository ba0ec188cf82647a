"""Last month of a small fleet, told to a real ClickHouse: a burst, planned time, an edit that was replayed, silence.

Everything lies in the calendar month before this one, so that nothing is too old to be kept.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.database import insert
from tests.fleet_story import judged

NOW = datetime.now(UTC)
THIS_MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
MONTH = (THIS_MONTH - timedelta(days=1)).replace(day=1)
PERIOD = f"{MONTH:%Y-%m}"
SERVICE = "report-service"
CHAT, BATCH, IDLE = "report-chat", "report-batch", "report-idle"
QUIET_SERVICE = "report-quiet-service"  #: of what was judged once, and what was counted otherwise once
QUIET, FILED, REGROUPED = "report-quiet", "report-filed", "report-regrouped"
HOURS = 24 * 5
BURST = MONTH + timedelta(days=2, hours=6)  #: an hour in which a fifth is bad, half of it planned
PLANNED = BURST, BURST + timedelta(minutes=30)
#: good and bad of an hour
WELL, BURNT = (999, 1), (800, 200)

SLOS = f"""\
apiVersion: burnline/v1
kind: SLO
metadata:
  name: {CHAT}
  labels: {{owner: serving}}
  annotations: {{budget-policy: releases of chat wait for its owner}}
spec:
  service: {SERVICE}
  indicator: {{metric: ttft, op: lte, threshold: 1s, groupBy: [region]}}
  target: 0.999
  timeWindow: {{duration: 30d, isRolling: true}}
  alerting: {{preset: default}}
  sla: {{target: 0.99, consequence: 10 % credit}}
---
apiVersion: burnline/v1
kind: SLO
metadata: {{name: {FILED}, labels: {{owner: serving}}}}
spec:
  service: {QUIET_SERVICE}
  indicator: {{metric: ttft, op: lte, threshold: 1s, groupBy: [request_model]}}
  target: 0.9
  timeWindow: {{duration: 1d, isRolling: true}}
  alerting: {{preset: default}}
"""


def hours(instance: str) -> list[tuple[datetime, tuple[int, int]]]:
    """What each hour of the month's first days counted."""
    every = [MONTH + timedelta(hours=hour) for hour in range(HOURS)]
    return [(at, BURNT if at == BURST and instance == "region=eu" else WELL) for at in every]


def tell(client: Any, slo_dir: Path) -> None:
    (slo_dir / "chat.yaml").write_text(SLOS)
    for instance in ("region=eu", "region=us"):
        judged(client, CHAT, instance, 1, 0, service=SERVICE, target=0.999, sla_target=0.99)
        _counted(client, CHAT, instance)
    judged(client, BATCH, "", 1, 0, service=SERVICE, target=0.99)
    _counted(client, BATCH, "")
    _counted(client, BATCH, "", revision="r2", until=HOURS + 1)  # the same again, by other rules: it counts once
    judged(client, IDLE, "", 0, 0, service=SERVICE, target=0.99)
    _minutes_of_the_burst(client)
    _alerts(client)
    _series(client)
    _quiet(client)
    insert(
        client, "correction_versions", correction="report-drill", version=1, state="APPLIED", reason="a drill",
        who="zoe", where_labels=["slo"], where_values=[[CHAT]], where_none_of=[[]], where_prefixes=[[]],
        starts=[PLANNED[0]], ends=[PLANNED[1]], recorded_at=NOW, stored_at=NOW,
    )  # fmt: skip


def quiet_counts() -> dict[str, dict[tuple[str, str], dict[int, tuple[int, int]]]]:
    """Of SLOs by revision and instance what each hour of the month counted."""
    early, late = {hour: (10, 90) for hour in range(10)}, {hour: (100, 1) for hour in range(5, 15)}
    return {
        QUIET: {("r1", "request_model=new"): {1: (1_000, 0)}, ("r1", "request_model=old"): {2: (500, 500)}},
        FILED: {("r1", "request_model=a"): {3: (95, 5)}, ("r1", "request_model=b"): {3: (80, 20)}},
        # counted by region from the fifth hour on, and still is: the older way has a name that sorts behind
        REGROUPED: {("z", ""): early | dict.fromkeys(range(10, 15), (0, 7)), ("a", "region=eu"): late,
                    ("a", "region=us"): late | {24 * 40: (1, 0)}},
    }  # fmt: skip


def _quiet(client: Any) -> None:
    """Judged are only one of two instances, none, and those of the newer way to count."""
    judged(client, QUIET, "request_model=new", 1, 0, service=QUIET_SERVICE, target=0.99, sla_target=0.9)
    for instance in ("region=eu", "region=us"):
        judged(client, REGROUPED, instance, 1, 0, service=QUIET_SERVICE, target=0.9)
    rows = [
        (slo, revision, instance, MONTH + timedelta(hours=hour), *count)
        for slo, every in quiet_counts().items()
        for (revision, instance), of_hours in every.items()
        for hour, count in of_hours.items()
    ]
    client.execute("INSERT INTO counts_1h (slo, revision, instance, slice_start, good, bad) VALUES", rows)


def _counted(client: Any, slo: str, instance: str, revision: str = "r1", until: int = HOURS) -> None:
    rows = [(slo, revision, instance, at, *count) for at, count in hours(instance)]
    rows += [(slo, revision, instance, MONTH + timedelta(hours=hour), 0, 0) for hour in range(HOURS, until)]
    rows += [
        (slo, revision, instance, THIS_MONTH, 0, 5_000),
        (slo, revision, instance, MONTH - timedelta(hours=1), 0, 7),
    ]
    client.execute("INSERT INTO counts_1h (slo, revision, instance, slice_start, good, bad) VALUES", rows)


def _minutes_of_the_burst(client: Any) -> None:
    """The burst by the minute: all of what was bad is in its first half."""
    rows = [
        (CHAT, "r1", "region=eu", BURST + timedelta(minutes=m), 10, 190 * (m == 3) + 10 * (m == 45)) for m in range(60)
    ]
    client.execute("INSERT INTO counts_1m (slo, revision, instance, slice_start, good, bad) VALUES", rows)


def _alerts(client: Any) -> None:
    for sequence, event, after in ((0, "FIRED", 5), (1, "RESOLVED", 65)):
        at = BURST + timedelta(minutes=after)
        insert(
            client, "alert_events", slo=CHAT, dedup_key=f"{CHAT}|region=eu", sequence=sequence, kind="BURN_RATE",
            event=event, severity="CRITICAL", started_at=BURST + timedelta(minutes=5), window_end=at, watermark=at,
            evaluated_at=at + timedelta(seconds=2), long_burn_rate=40.0, short_burn_rate=200.0, instance="region=eu",
            service=SERVICE, revision="r1", reason="200 of 1,000 took <b>longer</b> | than a second",
        )  # fmt: skip


def _series(client: Any) -> None:
    columns = (
        "slice_start, service, vantage, request_model, tenant_id, success, error, timeout, output_tokens, cost_picousd"
    )
    rows = [
        (BURST, SERVICE, "GATEWAY", "m-big", "acme", 700, 90, 10, 1_000, 2 * 10**12),
        (BURST, SERVICE, "GATEWAY", "m-small", "zen", 200, 0, 0, 1_000, 0),
        (BURST, SERVICE, "ENGINE", "m-big", "acme", 9_999, 999, 0, 1_000, 0),
    ]
    client.execute(f"INSERT INTO slices_1h ({columns}) VALUES", rows)
