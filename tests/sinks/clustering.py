"""Two servers that are the two shards of a cluster, and a story that fills every table through the store's own path."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from clickhouse_driver import Client

from pipeline.blocks import encode
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import ADMIN_GRANTS, WRITER, user
from pipeline.records import UnitFacts
from pipeline.rows import Rows
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.sinks.corrections import record
from pipeline.spec import parse, presets
from pipeline.spec.correction_versions import steps
from pipeline.store import STORED, CutSpec
from tests.database import insert
from tests.recorded import Recorded, block_of
from tests.refreshing import refresh_for
from tests.sinks.storing import story_of
from tests.sinks.test_events import events_of, records_of
from tests.test_changes import value
from tests.test_views import alert, status

CLUSTER = "both"
OWNER = "cluster_admin"  #: who migrates on a cluster may also make tables that read other servers
PASSWORD = "of every user of both servers"
SHARD = (
    "<shard><replica><host>127.0.0.1</host><port>{port}</port>"
    f"<user>{WRITER}</user><password>{PASSWORD}</password></replica></shard>"
)
HOUR = timedelta(hours=1)
START_S = int(time.time()) // 3600 * 3600 - 6 * 3600  #: hours ago: what autoscalers ask is stale whenever they ask
NOW_S = int(time.time())
START = datetime.fromtimestamp(START_S, UTC)
SLOS = ("checkout", "search", "upload", "chat")


@contextmanager
def two_shards(root: Path) -> Iterator[list[EmbeddedClickHouse]]:
    """Start both; each may connect to the other and to itself, and to nobody else."""
    ports = [free_port(), free_port()]
    shards = "".join(SHARD.format(port=port) for port in ports)
    owner = user(OWNER, PASSWORD, "default", (*ADMIN_GRANTS, "GRANT REMOTE ON *.*"))
    with ExitStack() as stack:
        servers = []
        for port in ports:
            home = root / str(port)
            for name, text in (
                ("etc/config.d/cluster.xml", f"<remote_servers><{CLUSTER}>{shards}</{CLUSTER}></remote_servers>"),
                ("etc/users.d/owner.xml", f"<users>{owner}</users>"),
            ):
                (home / name).parent.mkdir(parents=True)
                (home / name).write_text(f"<clickhouse>{text}</clickhouse>", encoding="utf-8")
            for name in ("admin", "writer", "reader"):
                (home / f"{name}.password").write_text(PASSWORD, encoding="utf-8")
            servers.append(stack.enter_context(EmbeddedClickHouse(home, port, memory_bytes=1 << 30, peers=ports)))
        yield servers


def free_port() -> int:
    """A port nobody has now: each server's configuration names both before either runs."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def settings_of(server: EmbeddedClickHouse, database: str, cluster: str = "") -> Settings:
    """As the writer of the cluster, whose database is `burnline`; as the owner elsewhere."""
    who = WRITER if cluster else OWNER
    return Settings(
        clickhouse_url=f"clickhouse://{who}@127.0.0.1:{server.port}/{database}",
        clickhouse_password_file=server.password_file,
        clickhouse_admin_username=OWNER,
        clickhouse_admin_password_file=server.password_file,
        clickhouse_cluster=cluster,
    )


def put(sink: ClickHouse, topic: str, base: str, records: list[Recorded], partition: int = 0) -> None:
    """Store records as a worker does; every batch twice, as one that is cut off after its last insert would."""
    unit = STORED[base](CutSpec()).fold([block_of(topic, partition, records)], UnitFacts(topic, partition, 1, 0, 0, 0))
    for batch in [*unit.batches] * 2:
        for rows in batch.rows:
            sink.insert(rows, batch.token)


def tell(sink: ClickHouse, client: Client) -> None:
    """Fill every table that a view reads."""
    for part in (_counted, _judged, _alerted, _put_aside, _changed, _kept_whole, _reported, _controlled):
        part(sink)
    _corrected(client)
    for i, slo in enumerate(SLOS * 2):
        insert(
            client, "alert_remarks", slo=slo, dedup_key=f"{slo}|", started_at=START, written_at=START + HOUR,
            what="ACK" if i % 2 else "NOTE", who="ann", text=f"seen {i}",
        )  # fmt: skip
        for ends in (2, 9):
            insert(
                client, "silence_versions", silence=f"{slo} {i}", starts_at=START, ends_at=START + ends * HOUR,
                reason="moved", who="ann", recorded_at=START + ends * HOUR,
            )  # fmt: skip
    for slo in SLOS:
        for variant in "abcd":
            insert(
                client,
                "slices_1h",
                service=slo,
                variant=variant,
                slice_start=START - 2 * HOUR,
                vantage="GATEWAY",
                success=9,
            )
    refresh_for(client, "compliance_corrected config_frontier")


def _counted(sink: ClickHouse) -> None:
    for slo in SLOS[:2]:
        for base in ("slo.counts", "slo.slices"):
            for batch in story_of(base, f"{slo}.", slo, START_S, count=6).batches * 2:
                for rows in batch.rows:
                    sink.insert(rows, batch.token)


def _judged(sink: ClickHouse) -> None:
    records = []
    for i, slo in enumerate(SLOS):
        for region in "abcd":
            judged = {
                "instance": f"region={region}", "labels": {"region": region}, "service": slo,
                "counts_revision": "r1",
            }  # fmt: skip
            records += [status(slo, START_S + 600 * step + i, good=900 + step, **judged) for step in (0, 1)]
    records = [Recorded(i, each.value, each.key, (), START_S * 1000) for i, each in enumerate(records)]
    gone = Recorded(len(records), None, b"chat|region=d", (), (START_S + 7200) * 1000)
    put(sink, "slo.status", "slo.status", [*records, gone])
    put(sink, "again.slo.status", "slo.status", records[:9])


def _alerted(sink: ClickHouse) -> None:
    records = []
    for i, slo in enumerate(SLOS):
        started = START_S + 60 * i
        records += [alert(slo, "FIRED", started, started), alert(slo, "UPDATED", started + 300, started)]
        records += [alert(slo, "RESOLVED", started + 600, started)] if i % 2 else []
    records.sort(key=lambda each: each.offset)
    put(sink, "slo.alerts", "slo.alerts", records)
    put(sink, "again.slo.alerts", "slo.alerts", [alert(SLOS[0], "FIRED", START_S, START_S, delay_ms=90_000)])


def _put_aside(sink: ClickHouse) -> None:
    base = "inference.events.dlq"
    for partition in range(4):
        headers = (("reason", b"MALFORMED"), ("detail", b"why"), ("topic", b"t"), ("partition", b"3"), ("offset", b"9"))
        letters = [Recorded(i, b"\xff", b"k", headers, START_S * 1000 + i) for i in range(5)]
        put(sink, base, base, letters, partition)
        fed = {"dlq_topic": base, "dlq_partition": partition, "first_offset": 1, "last_offset": 2 + partition % 2}
        fed["redriven_at"] = START_S * 1_000_000
        sink.insert(Rows("redriven_letters", -1, {name: [each] for name, each in fed.items()}), f"fed/{partition}")


def _changed(sink: ClickHouse) -> None:
    base = "inference.changes"
    values = [value(service=slo, change_id=f"run-{i}", title=f"of {slo}") for slo in SLOS for i in range(3)]
    put(sink, base, base, [Recorded(i, each, b"k", (), START_S * 1000 + i) for i, each in enumerate(values * 2)])


#: one of each name that a view is made of
SAID = (
    {"name": "scale", "scope": ""},
    {"name": "capacity", "scope": ""},
    {"name": "shed", "scope": "LOW"},
    {"name": "forecast", "scope": "load:5m"},
    {"name": "quota", "scope": "tokens/acme", "details": {"tenant_id": "acme", "quota": "tokens"}},
)


def _controlled(sink: ClickHouse) -> None:
    """What controls said, twice of each, and looks at replicas."""
    said: list[bytes] = []
    looks: list[bytes] = []
    for i, slo in enumerate(SLOS):
        for moment in (START_S * 1_000_000 + i, START_S * 1_000_000 + i + 60_000_000):
            times = {"evaluated_at": moment, "expires_at": moment + 120_000_000}
            told = {"service": slo, "model": f"m{i}", "state": "out", "value": 2.0 + i, "inputs": {"rps": 3.5}, **times}
            said += [encode("control_signal", {**told, **each}) for each in SAID]
            is_ready = moment > (START_S + 30) * 1_000_000
            look = {"snapshot_at": moment, "endpoint_id": f"pod-{i}", "service": slo, "running": i, "ready": is_ready}
            looks.append(encode("engine_snapshot", look))
        now = {"snapshot_at": NOW_S * 1_000_000, "endpoint_id": f"pod-{i}", "service": slo, "running": i, "ready": True}
        looks.append(encode("engine_snapshot", now))
    for base, values in (("slo.signals", said), ("inference.snapshots", looks)):
        put(sink, base, base, [Recorded(i, each, b"k", (), NOW_S * 1000) for i, each in enumerate(values)])
        put(sink, f"again.{base}", base, [Recorded(0, values[0], b"k", (), NOW_S * 1000)])


def _kept_whole(sink: ClickHouse) -> None:
    put(sink, "whole.slo.slices", "slo.slices", records_of(events_of("whole"), "whole"))


def _reported(sink: ClickHouse) -> None:
    for i, worker in enumerate(("one", "two", "three", "one")):
        row = {
            "worker": worker, "step": "store", "reason": "", "reported_at": int(time.time()) * 1_000_000 + i,
            "records": i, "dead_letters": 0, "late": 0, "backlog_records": 0, "watermark_lag_s": None,
            "oldest_in_flight_s": 0.0, "open_transaction_s": 0.0, "is_lagging": 0,
        }  # fmt: skip
        sink.insert(Rows("worker_reports", -1, {name: [each] for name, each in row.items()}), f"{worker}/{i}")


def _corrected(client: Client) -> None:
    documents = [
        f"apiVersion: burnline/v1\nkind: Correction\nmetadata: {{name: moved-{slo}}}\n"
        f"spec: {{reason: moved, who: anna, from: '{start:%Y-%m-%dT%H:%MZ}', to: '{start + HOUR:%Y-%m-%dT%H:%MZ}', "
        f"where: {{slo: [{slo}]}}}}\n"
        for slo, start in zip(SLOS, (START, START - HOUR, START - 9 * HOUR, START), strict=True)
    ]
    found = parse({"c.yaml": "---\n".join(documents).encode()}, presets())
    assert found.problems == ()
    record(client, [step.row for step in steps(found.corrections, {}, START) if step.row])


def ordered(ask: Callable[[str], Any], view: str) -> list[Any]:
    """All that a view answers, but for what depends on when it is asked."""
    what = "value" if view.startswith("keda_") else WHAT.get(view, "*")
    rows = ask(f"SELECT {what} FROM {view}")
    # clickhouse-driver makes 0 or False of a Bool, as the server packs the column
    return sorted(repr([int(each) if isinstance(each, bool) else each for each in row]) for row in rows)


SKETCHES = ", ".join(f"hex({name}_state) AS {name}_state" for name in ("e2e", "ttft", "tpot"))
OF_STATES = f"* REPLACE ({SKETCHES})"  #: clickhouse-driver cannot read states
OF_SIGNALS = ("capacity", "class_compliance", "forecast", "quota_usage", "signals")
WHAT = {
    **dict.fromkeys(("sli", "sli_1m", "sli_1h", "config_hours"), OF_STATES),
    "pipeline_health": "* EXCEPT (watermark_lag_s, stored_lag_s, stored_at, flushed_at)",
    **dict.fromkeys(("compliance_corrected", "error_budget_corrected", "config_frontier"), "* EXCEPT refreshed_at"),
    "known_until": "known_at",
    "endpoints": "* EXCEPT age_s",
    **dict.fromkeys(OF_SIGNALS, "* EXCEPT (age_s, is_expired)"),
}
