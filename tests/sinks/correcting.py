"""What workers write and readers ask, for tests of corrections: counts and judgements of SLOs of their own."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pipeline.blocks import encode
from pipeline.embedded import EmbeddedClickHouse
from pipeline.embedded.clickhouse_config import READER
from pipeline.records import UnitFacts
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.sinks.corrections import latest, record
from pipeline.spec import parse, presets
from pipeline.spec.correction_versions import Version, steps
from pipeline.store import STORED, CutSpec
from tests.naive import corrections as naive
from tests.recorded import Recorded, block_of
from tests.refreshing import refresh_for

NOW = datetime.now(UTC)
END_S = int(time.time()) // 3_600 * 3_600 - 86_400 + 1_234  #: of windows: yesterday, and no whole minute
HOUR_S = 3_600


@dataclass
class Site:
    """Writes what workers would write, and reads as a reader does."""

    server: EmbeddedClickHouse
    sink: ClickHouse

    def name(self) -> str:
        return f"c{uuid.uuid4().hex[:10]}"

    def store(self, base: str, records: Sequence[Recorded]) -> None:
        topic = f"{self.name()}.{base}"
        fold = STORED[base](CutSpec())
        for batch in fold.fold([block_of(topic, 0, records)], UnitFacts(topic, 0, 1, 0, 0, 0)).batches:
            for rows in batch.rows:
                self.sink.insert(rows, batch.token)

    def counts(self, slo: str, region: str, rows: Sequence[tuple[int, int, int, int]], revision: str = "r1") -> None:
        """Add (second, good, bad, excluded) of one instance."""
        seconds, good, bad, excluded = np.array(rows, np.int64).reshape(-1, 4).T
        block = {
            "source_topic": "inference.events", "source_partition": 0, "source_partitions": 1, "first_offset": 0,
            "next_offset": 1, "max_event_time": END_S * 1_000_000, "flushed_at": 0, "slos": [slo],
            "revisions": [revision], "instances": [instance(region)], "instance_index": np.zeros(len(rows), np.int64),
            "slice_start_s": seconds, "good": good, "bad": bad, "excluded": excluded,
        }  # fmt: skip
        later = {**block, "flushed_at": 10**9}  # cuts the batch, and stays in the next one
        self.store("slo.counts", [Recorded(i, encode("slo_counts", each)) for i, each in enumerate((block, later))])

    def status(self, slo: str, region: str, window_s: int, end_s: int = END_S, **changes: Any) -> None:
        """Judge one instance: only its window matters here."""
        end_us, window_us = end_s * 1_000_000, window_s * 1_000_000
        columns = {
            "slo": slo, "revision": "judged", "instance": instance(region), "service": "chat",
            "labels": {"region": region} if region else {}, "target": 0.99, "window_us": window_us, "watermark": end_us,
            "window_start": end_us - window_us, "window_end": end_us, "judged_at": end_us, "state": "OK",
            "severity": "NONE", "good": 0, "bad": 0, "excluded": 0, "compliance_ratio": None, "coverage_ratio": 1.0,
            "budget_events": 0.0, "budget_remaining_ratio": None, "budget_minutes": 0.0, "time_to_exhaustion_s": None,
            "windows_s": [], "windows_good": [], "windows_bad": [], "windows_coverage_ratio": [],
            "windows_burn_rate": [], "late": 0, "exhaustion_burn_rate": None, "exhaustion_window_s": None,
            "sla_target": None, "sla_budget_remaining_ratio": None, "counts_revision": "r1", **changes,
        }  # fmt: skip
        self.store("slo.status", [Recorded(0, encode("slo_status", columns), f"{slo}|{instance(region)}".encode())])

    def correct(self, cuts: Sequence[naive.Cut], now: datetime = NOW) -> list[str]:
        """Put corrections in force as `burnline slo correct` does."""
        return self.correct_by("---\n".join(map(document, cuts)), now)

    def correct_by(self, text: str, now: datetime = NOW) -> list[str]:
        found = parse({"c.yaml": text.encode()}, presets())
        assert found.problems == ()
        with self.server.client() as client:
            done = steps(found.corrections, latest(client), now)
            record(client, [step.row for step in done if step.row])
        return [step.what for step in done]

    def versions(self) -> dict[str, Version]:
        with self.server.client() as client:
            return latest(client)

    def ask(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        with self.server.client() as client:
            refresh_for(client, sql, parameters.get("slo"))
        with self.server.client(READER) as client:
            rows, columns = client.execute(sql, parameters, with_column_types=True)
        return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]


def instance(region: str) -> str:
    """An SLO without groupBy has no region."""
    return f"region={region}" if region else ""


def document(cut: naive.Cut) -> str:
    start, end = (f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%MZ}" for second in cut.ranges[0])
    where = ", ".join(f"{label}: [{', '.join(values)}]" for label, values in cut.where.items())
    return (
        f"apiVersion: burnline/v1\nkind: Correction\nmetadata: {{name: {cut.name}}}\n"
        f"spec: {{reason: moved, who: anna, from: '{start}', to: '{end}', where: {{{where}}}}}\n"
    )
