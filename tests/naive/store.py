"""The store the slow way: one record after another, rows in dictionaries, batches as lists of records."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tests.naive.states import state_of

BASE = (
    "service",
    "request_model",
    "tenant_id",
    "region",
    "operation",
    "priority_class",
    "variant",
    "vantage",
)
TALLIES = ("good", "bad", "excluded")
SUMS = (
    "success", "error", "timeout", "cancelled", "shed", "rate_limited", "rejected", "unknown", "retries",
    "cold_starts", "input_tokens", "output_tokens", "cost_picousd", "gpu_us",
)  # fmt: skip


def cut(flush_times_us: Iterable[int], batch_us: int, records_most: int) -> list[int]:
    """How many records each finished batch has."""
    sizes: list[int] = []
    size, cell = 0, 0
    for time_us in flush_times_us:
        if size and (time_us // batch_us > cell or size == records_most):
            sizes.append(size)
            size = 0
        if size == 0:
            cell = time_us // batch_us
        size += 1
    return sizes


def count_totals(blocks: Iterable[Mapping[str, Any]], span_s: int = 10) -> dict[tuple[str, ...], tuple[int, ...]]:
    """(slo, revision, instance, start in us) -> good, bad, excluded."""
    totals: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for block in blocks:
        for i, instance in enumerate(block["instance_index"]):
            start_us = int(block["slice_start_s"][i]) // span_s * span_s * 1_000_000
            names = (block["slos"][instance], block["revisions"][instance], block["instances"][instance])
            totals[*names, start_us].update({name: int(block[name][i]) for name in TALLIES})
    return {key: tuple(total[name] for name in TALLIES) for key, total in totals.items()}


def slice_totals(blocks: Iterable[Mapping[str, Any]], span_s: int = 10) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """(labels .., start in us) -> sums, then one state per sketch."""
    sums: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    bins: dict[tuple[Any, ...], list[list[tuple[int, int]]]] = defaultdict(lambda: [[], [], []])
    for block in blocks:
        at = [0, 0, 0]
        names = list(block["label_names"])
        for i, series in enumerate(block["series_index"]):
            labels = block["labels"][int(series) * len(names) : (int(series) + 1) * len(names)]
            start_us = int(block["slice_start_s"][i]) // span_s * span_s * 1_000_000
            key = (*(labels[names.index(name)] for name in BASE), start_us)
            sums[key].update({name: int(block[name][i]) for name in SUMS})
            for j, sketch in enumerate(("e2e", "ttft", "tpot")):
                end = at[j] + int(block[f"{sketch}_lengths"][i])
                pairs = zip(block[f"{sketch}_bins"][at[j] : end], block[f"{sketch}_counts"][at[j] : end], strict=True)
                bins[key][j] += [(int(b), int(n)) for b, n in pairs]
                at[j] = end
    return {k: (*(total[n] for n in SUMS), *(state_of(b) for b in bins[k])) for k, total in sums.items()}
