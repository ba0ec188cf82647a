"""Seeded blocks of slo.counts and slo.slices, as a few ingest workers would write them."""

from typing import Any

import numpy as np

from pipeline.kernels.ddsketch import TOP_BIN
from pipeline.series import BASE_LABELS

COUNTERS = (
    "success", "error", "timeout", "cancelled", "shed", "rate_limited", "rejected", "unknown", "retries",
    "cold_starts", "input_tokens", "output_tokens", "cost_picousd", "gpu_us",
)  # fmt: skip
MIDNIGHT_S = 1_763_164_800  #: 2025-11-15


def facts_of(source: int, first: int, flushed_at_us: int, event_time_us: int | None) -> dict[str, Any]:
    """What every block says of the unit it comes from."""
    return {
        "source_topic": "inference.events", "source_partition": source, "source_partitions": 3,
        "first_offset": first, "next_offset": first + 100, "max_event_time": event_time_us,
        "flushed_at": flushed_at_us,
    }  # fmt: skip


def counts_block(
    rng: np.random.Generator, entries: int, start_s: int, slo: str = "chat", **facts: Any
) -> dict[str, Any]:
    """Counts of up to four instances in the minutes from `start_s`."""
    instances = int(rng.integers(1, 5)) if entries else 0
    columns = {
        "slos": [slo] * instances,
        "revisions": ["r1"] * instances,
        "instances": [f"region={chr(97 + i)}" for i in rng.permutation(instances)],
        "instance_index": rng.integers(0, max(instances, 1), entries),
        "slice_start_s": start_s + rng.integers(0, 120, entries),
    }
    return {
        **facts,
        **columns,
        **{name: rng.integers(0, 50, entries) for name in ("good", "bad", "excluded")},
    }


def slices_block(
    rng: np.random.Generator, entries: int, start_s: int, service: str = "chat", series: int = 4, **facts: Any
) -> dict[str, Any]:
    """Slices of up to `series` series in the minutes from `start_s`, labels in any order and one too many."""
    names = [*rng.permutation(BASE_LABELS).tolist(), "adapter"]
    count = int(rng.integers(1, series + 1)) if entries else 0
    labels = [_label(name, i, service) for i in rng.permutation(series)[:count].tolist() for name in names]
    columns: dict[str, Any] = {
        "label_names": names, "labels": labels, "series_index": rng.integers(0, max(count, 1), entries),
        "slice_start_s": start_s // 10 * 10 + 10 * rng.integers(0, 12, entries),
        "counters": {"events": entries, "clamped": int(rng.integers(0, 3))},
    }  # fmt: skip
    columns |= {name: rng.integers(0, 1000, entries) for name in COUNTERS}
    for sketch in ("e2e", "ttft", "tpot"):
        runs = [np.unique(rng.integers(0, TOP_BIN + 1, rng.integers(0, 30))) for _ in range(entries)]
        bins = np.concatenate([np.empty(0, np.int64), *runs]).astype(np.int64)
        columns[f"{sketch}_lengths"] = np.array([len(run) for run in runs], np.int64)
        columns[f"{sketch}_bins"], columns[f"{sketch}_counts"] = bins, rng.integers(1, 90, len(bins))
    return {**facts, **columns}


def _label(name: str, series: int, service: str) -> str:
    # the last two series differ in `adapter` alone, which is no base label: they are one row
    return service if name == "service" else f"{name}-{series if name == 'adapter' else min(series, 2)}"
