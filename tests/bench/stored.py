"""What events cost once they are stored: bytes on disk of each way to keep them, and how fast the writer is.

A simulated fleet's events go through ingest's fold and the store's into a real server, in batches as a site makes them.
Every event is kept whole, so that slices stand beside the raw events that they are made of. Back-pressure is what the
server says of it: inserts that it delayed or refused, and how many parts were left to merge.
"""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.decoding import EventFold, FoldSpec
from pipeline.embedded import EmbeddedClickHouse
from pipeline.encoding import EventEncoder
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.records import UnitFacts
from pipeline.sampling import SampleSpec
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.spec import load
from pipeline.store import STORED, Batch, CutSpec
from tests.bench.fleet_events import START_US, fleet_columns, write_slos
from tests.bench.kernel import blocks_of
from tests.recorded import Recorded, block_of

if TYPE_CHECKING:
    from clickhouse_driver import Client

UNIT_EVENTS = 20_000
SIZES = (
    "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts "
    "WHERE active AND database = currentDatabase() AND table IN ('event_records', 'slices_10s', 'slices_1m', "
    "'slices_1h', 'counts_10s', 'counts_1m', 'counts_1h') "
    "GROUP BY table ORDER BY table"
)
SAID = "SELECT event, value FROM system.events WHERE event IN ('DelayedInserts', 'RejectedInserts', 'InsertQuery')"


def batches_of(events: int, series: int, home: Path, kernels: Path, ratio: float) -> Iterator[Batch]:
    """Fold a fleet's events as ingest and the store do; batches follow each other as in one partition."""
    columns = fleet_columns(events, series)
    shift = time.time_ns() // 1000 - 3_600_000_000 - START_US  # an hour ago: no time to live has come
    for name in ("received_at", "completed_at", "emitted_at"):
        columns.columns[name][:] += shift  # type: ignore[index]
    blocks = blocks_of(EventEncoder().encode(columns), UNIT_EVENTS)
    objectives = load([write_slos(home / "slo")]).checked().objectives
    spec = IngestSpec("slo.counts", "slo.slices", "dlq", 1, 1, sample=SampleSpec(ratio, 2 << 20))
    fold = IngestFold(spec, EventFold(FoldSpec(future_us=1 << 50), objectives, SINGLE_OBJECT, kernels))
    records: dict[str, list[Recorded]] = {"slo.counts": [], "slo.slices": []}
    for block in blocks:
        block.append_time_ms += shift // 1000
    for i, unit in enumerate([*([block] for block in blocks), []]):  # what comes later ends the last batch
        facts = UnitFacts("inference.events", 0, 1, i, i + 1, (i + 10 * (not unit)) * 1_000_000)
        for record in fold.fold(unit, facts).records:
            records[record.topic].append(Recorded(len(records[record.topic]), record.value))
    for topic, found in records.items():
        end = UnitFacts(topic, 0, 1, 0, len(found), 0)
        yield from STORED[topic](CutSpec()).fold([block_of(topic, 0, found)], end).batches


def inserted(server: EmbeddedClickHouse, database: str, batches: list[Batch], threads: int) -> float:
    """Insert batches, as many at once as the store does; return the seconds it took."""
    url = f"{server.admin_url.rpartition('/')[0]}/{database}"
    sink = ClickHouse(Settings(clickhouse_url=url, clickhouse_password_file=server.admin_password_file))

    def write(batch: Batch) -> None:
        for rows in batch.rows:
            sink.insert(rows, batch.token)

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, batches))
    took = time.perf_counter() - began
    sink.close()
    return took


def measure(server: EmbeddedClickHouse, admin: "Client", events: int, series: int, home: Path) -> dict[str, Any]:
    """Store a fleet's events, whole ones and slices; look at the disk when all is merged."""
    kernels = Path(".burnline") / "kernels"
    batches = list(batches_of(events, series, home, kernels, 1.0))
    rows = sum(len(each) for batch in batches for each in batch.rows)
    stored = int(sum(len(r) for b in batches for r in b.rows if r.table == "event_records"))
    before = Counter(dict(admin.execute(SAID)))
    took = inserted(server, admin.connection.database, batches, 4)
    said = Counter(dict(admin.execute(SAID)))
    said.subtract(before)
    parts = {table: count for table, _, _, count in admin.execute(SIZES)}
    sizes = {}
    for table in parts:
        admin.execute(f"OPTIMIZE TABLE {table} FINAL")
    for table, count, size, _ in admin.execute(SIZES):
        sizes[table] = {"rows": count, "bytes": size, "bytes_a_row": round(size / max(count, 1), 1)}
    return {
        "events": stored, "series": series, "batches": len(batches), "rows": rows, "seconds": took,
        "rows_per_s": rows / took, "events_per_s": stored / took, "tables": sizes, "parts": parts,
        "said": {name: int(value) for name, value in said.items()},
        "raw_bytes_an_event": sizes["event_records"]["bytes"] / stored,
        "slices_bytes_an_event": sum(s["bytes"] for t, s in sizes.items() if t != "event_records") / stored,
    }  # fmt: skip


def rows(result: dict[str, Any]) -> list[list[str]]:
    """Lay out a result for people."""
    return [
        [table, f"{each['rows']:,}", f"{each['bytes'] / 1e3:,.0f}", f"{each['bytes_a_row']:.1f}",
         f"{each['bytes'] / result['events']:.2f}", str(result["parts"][table])]
        for table, each in result["tables"].items()
    ]  # fmt: skip
