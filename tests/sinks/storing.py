"""Seeded batches for a real ClickHouse, and what its tables must then add up to."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from clickhouse_driver import Client

from pipeline import blocks
from pipeline.embedded import EmbeddedClickHouse
from pipeline.records import UnitFacts
from pipeline.settings import Settings
from pipeline.store import STORED, Batch, CutSpec
from tests.derived import COUNTERS, counts_block, facts_of, slices_block
from tests.recorded import Recorded, blocks_of

TIERS = ("10s", "1m", "1h")
MERGE = "quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)"


def settings_of(server: EmbeddedClickHouse) -> Settings:
    return Settings(clickhouse_url=server.url, clickhouse_password_file=server.password_file)


def reader_of(server: EmbeddedClickHouse) -> Settings:
    """As somebody has it who only reads."""
    return Settings(clickhouse_url=server.reader_url, clickhouse_password_file=server.reader_password_file)


@dataclass(frozen=True)
class Story:
    """Columns of the records of one derived partition, and the batches they make."""

    topic: str
    columns: list[dict[str, Any]]
    records: list[Recorded]
    batches: list[Batch]

    @property
    def stored(self) -> list[dict[str, Any]]:
        """The columns of the finished batches."""
        last = self.batches[-1].last_offset
        return [c for c, r in zip(self.columns, self.records, strict=True) if r.offset <= last]


def story_of(base: str, prefix: str, name: str, start_s: int, seed: int = 1, count: int = 12) -> Story:
    """Twelve records over six batches, around `start_s`; `name` is the SLO's or the service's."""
    rng = np.random.default_rng(seed)
    schema = {"slo.counts": "slo_counts", "slo.slices": "slo_slice"}[base]
    columns = []
    for i in range(count):
        facts = facts_of(i % 3, 100 * i, i * 1_000_000, start_s * 1_000_000 + i)
        if base == "slo.counts":
            columns.append(counts_block(rng, 6, start_s - 60, name, **facts))
        else:
            columns.append(slices_block(rng, 6, start_s - 60, name, **facts))
    records = [Recorded(2 * i, blocks.encode(schema, c)) for i, c in enumerate(columns)]
    fold, topic = STORED[base](CutSpec()), prefix + base
    found = blocks_of(topic, 0, records, [random.Random(seed).randrange(count)])
    unit = fold.fold(found, UnitFacts(topic, 0, 1, 0, 0, 0))
    return Story(topic, columns, records, unit.batches)


def count_sums(client: Client, tier: str, slo: str) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = client.execute(
        f"SELECT sum(good), sum(bad), sum(excluded) FROM counts_{tier} WHERE slo = %(slo)s", {"slo": slo}
    )
    return rows


def slice_sums(client: Client, tier: str, service: str) -> tuple[Any, ...]:
    """Every counter of a service, and its three sketches, merged."""
    sums = ", ".join(f"sum({name})" for name in COUNTERS)
    states = ", ".join(f"hex({MERGE}({name}_state))" for name in ("e2e", "ttft", "tpot"))
    (row,) = client.execute(
        f"SELECT {sums}, {states} FROM slices_{tier} WHERE service = %(service)s", {"service": service}
    )
    return tuple(row)


def added(totals: Mapping[tuple[Any, ...], tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*totals.values(), strict=True))


def bins_of(columns: Sequence[Mapping[str, Any]], sketch: str) -> list[tuple[int, int]]:
    total: dict[int, int] = defaultdict(int)
    for block in columns:
        for index, count in zip(block[f"{sketch}_bins"], block[f"{sketch}_counts"], strict=True):
            total[int(index)] += int(count)
    return sorted(total.items())
