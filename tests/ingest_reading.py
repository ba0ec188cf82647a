"""Blocks of events in, and the sums that a reader of the derived topics makes of what comes out."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from pipeline import blocks
from pipeline.bindings import route
from pipeline.framing import single_object_header
from pipeline.ingest import SLICE_COUNTERS, IngestSpec
from pipeline.kernels.bits import PAD
from pipeline.records import OutRecord, RecordBlock, Unit, UnitFacts
from pipeline.unit import SKETCHES
from schemas import avro_text
from tests.event_samples import START_US, objectives
from tests.naive import counts as naive
from tests.naive import events as naive_events

SPEC = IngestSpec("slo.counts", "slo.slices", "inference.events.dlq", 3, 2)
APPEND_MS = START_US // 1000 + 26_000
HEADER = single_object_header(avro_text("inference_event"))


def block_of(values: Iterable[bytes | None], first: int = 0, append_ms: int = APPEND_MS) -> RecordBlock:
    values = list(values)
    lengths = np.array([-1 if v is None else len(v) for v in values], np.int32)
    keys = [b"key-%d" % i for i in range(len(values))]
    whole = b"".join(k + (v or b"") for k, v in zip(keys, values, strict=True)) + bytes(PAD)
    key_lengths = np.array([len(k) for k in keys], np.int32)
    ends = np.cumsum(key_lengths.astype(np.int64) + np.maximum(lengths, 0))
    starts = ends - np.maximum(lengths, 0)
    n = len(values)
    return RecordBlock(
        "inference.events",
        3,
        first,
        first + n,
        np.frombuffer(whole, np.uint8).copy(),
        starts.astype(np.int64),
        lengths,
        (starts - key_lengths).astype(np.int64),
        key_lengths,
        np.full(n, append_ms, np.int64),
        np.arange(first, first + n),
    )


def facts_of(blocks_in: list[RecordBlock]) -> UnitFacts:
    first, last = (blocks_in[0].first_offset, blocks_in[-1].next_offset) if blocks_in else (7, 7)
    return UnitFacts("inference.events", 3, 8, first, last, START_US + 30_000_000)


def framed(events: Iterable[dict[str, Any]]) -> list[bytes | None]:
    return [HEADER + naive_events.write(event) for event in events]


def decoded(
    unit: Unit,
) -> tuple[list[tuple[int, dict[str, Any]]], list[tuple[int, dict[str, Any]]], list[OutRecord]]:
    """Counts blocks and slices blocks with their partitions, and dead letters."""

    def of(topic: str, name: str) -> list[tuple[int, dict[str, Any]]]:
        records = [r for r in unit.records if r.topic == topic]
        return [(r.partition, blocks.decode(name, r.value)) for r in records]  # type: ignore[misc, arg-type]

    return (
        of("slo.counts", "slo_counts"),
        of("slo.slices", "slo_slice"),
        [r for r in unit.records if r.topic == "inference.events.dlq"],
    )


def read_back(units: Iterable[Unit]) -> naive.Totals:
    """Sum what units wrote, as a reader that was told nothing else would."""
    totals = naive.Totals()
    for unit in units:
        counts, slices, letters = decoded(unit)
        for partition, block in counts:
            add_counts(totals, partition, block)
        for partition, block in slices:
            add_slices(totals, partition, block)
        totals.refused.update(dict(letter.headers)["reason"].decode() for letter in letters)
    return totals


def add_counts(totals: naive.Totals, partition: int, block: dict[str, Any]) -> None:
    lines = zip(
        *(block[n].tolist() for n in ("instance_index", "slice_start_s", "good", "bad", "excluded")),
        strict=True,
    )
    assert set(block["instance_index"].tolist()) == set(range(len(block["slos"])))  # only what has entries
    for i, second, good, bad, excluded in lines:
        slo, instance = block["slos"][i], block["instances"][i]
        assert route(f"{slo}|{instance}", SPEC.counts_partitions) == partition
        totals.counts[slo, instance, second] += Counter(good=good, bad=bad, excluded=excluded)
    if block["max_event_time"] is not None:
        totals.latest = max(totals.latest or 0, block["max_event_time"])


def add_slices(totals: naive.Totals, partition: int, block: dict[str, Any]) -> None:
    width = len(block["label_names"])
    series = [tuple(block["labels"][i : i + width]) for i in range(0, len(block["labels"]), width)]
    assert sorted(set(block["series_index"].tolist())) == list(range(len(series)))
    totals.clamped += block["counters"].get("clamped", 0)
    at = dict.fromkeys(SKETCHES, 0)
    for entry, (i, start) in enumerate(zip(block["series_index"], block["slice_start_s"], strict=True)):
        key = series[i], int(start)
        totals.slices[key] += Counter({name: int(block[name][entry]) for name in SLICE_COUNTERS})
        for name in SKETCHES:
            span = slice(at[name], at[name] + int(block[f"{name}_lengths"][entry]))
            at[name] = span.stop
            bins = block[f"{name}_bins"][span].tolist()
            assert bins == sorted(set(bins))
            totals.bins[*key, name] += Counter(dict(zip(bins, block[f"{name}_counts"][span].tolist(), strict=True)))


def plain(totals: naive.Totals) -> Any:
    """Without zeros and empty entries, which mean nothing."""
    return [
        {key: +counter for key, counter in table.items() if +counter}
        for table in (totals.counts, totals.slices, totals.bins)
    ] + [totals.refused, totals.latest, totals.clamped]


def expected(events: Iterable[dict[str, Any]], append_ms: int = APPEND_MS) -> naive.Totals:
    totals = naive.Totals()
    for event in events:
        naive.add(totals, event, append_ms, objectives())
    return totals
