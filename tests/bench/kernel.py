"""Benchmark `kernel`: decoding and folding alone, in this process, on one core: nanoseconds of processor per event.

Two writers: all 58 fields, and the 16 that an emitter with little to say would send (other fields have defaults).
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.decoding import EventFold, FoldSpec
from pipeline.encoding import EventColumns, EventEncoder
from pipeline.framing import Framing, confluent_header
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.records import PADDING, RecordBlock, UnitFacts
from pipeline.spec import load
from schemas import avro_text
from tests.bench.fleet_events import START_US, fleet_columns, write_slos

#: required fields, and what the three objectives, the labels and the sketches are made of
FEW = (
    "event_id", "request_id", "received_at", "completed_at", "emitted_at", "e2e_us", "ttft_us", "output_tokens",
    "outcome", "http_status", "tenant_id", "service", "request_model", "region", "variant", "priority",
)  # fmt: skip
FEW_ID, ALL_ID = 1, 2
EVENTS_PER_BLOCK = 25_000


@dataclass
class Cost:
    """What one event of a writer costs."""

    fields: int
    mean_bytes: float
    fold_ns: float  # decode and fold
    unit_ns: float  # with columns, encoding of the derived blocks and all
    events: int
    good: int


def few_text() -> str:
    """Write the schema of the 16 fields."""
    schema = json.loads(avro_text("inference_event"))
    schema["fields"] = [field for field in schema["fields"] if field["name"] in FEW]
    return json.dumps(schema)


def blocks_of(values: Any, size: int = EVENTS_PER_BLOCK) -> list[RecordBlock]:
    """Cut encoded events into blocks as a fetch would."""
    found, offsets = [], values.offsets
    for first in range(0, len(offsets) - 1, size):
        ends = offsets[first : first + size + 1]
        n = len(ends) - 1
        buffer = np.zeros(int(ends[-1] - ends[0]) + PADDING, np.uint8)
        buffer[:-PADDING] = values.buffer[ends[0] : ends[-1]]
        none = np.full(n, -1, np.int64)
        found.append(
            RecordBlock(
                "inference.events", 0, first, first + n, buffer, (ends[:-1] - ends[0]).astype(np.int64),
                np.diff(ends).astype(np.int32), none, none.astype(np.int32),
                np.full(n, START_US // 1000 + 20_000), np.arange(first, first + n),
            )
        )  # fmt: skip
    return found


def measure(events: int, series: int, repeats: int, home: Path, data_dir: Path) -> dict[str, Any]:
    """Fold the same events again and again; of each block's times the best is the least disturbed."""
    columns = fleet_columns(events, series)
    framing = Framing(registered={FEW_ID: few_text(), ALL_ID: avro_text("inference_event")})
    objectives = load([write_slos(home / "slo")]).checked().objectives
    writers = {
        "16 fields": (few_text(), FEW_ID, EventColumns({name: columns[name] for name in FEW})),
        "58 fields": (avro_text("inference_event"), ALL_ID, columns),
    }
    costs = {}
    for name, (text, number, chosen) in writers.items():
        encoded = EventEncoder(text, confluent_header(number)).encode(chosen)
        fold = EventFold(FoldSpec(), objectives, framing, data_dir / "kernels")
        fields = len(json.loads(text)["fields"])
        costs[name] = asdict(_cost(fold, fields, blocks_of(encoded), encoded.offsets[-1] / events, repeats))
    return {"events": events, "series": series, "repeats": repeats, "costs": costs}


def _cost(fold: EventFold, fields: int, blocks: list[RecordBlock], mean_bytes: float, repeats: int) -> Cost:
    spec = IngestSpec("slo.counts", "slo.slices", "inference.events.dlq", 4, 4, fold.framing)
    ingest, events = IngestFold(spec, fold), sum(map(len, blocks))
    good = sum(int((fold.add(block)[0] == 0).sum()) for block in blocks)  # binds series, grows the unit
    fold.take()
    facts = UnitFacts("inference.events", 0, 8, 0, events, START_US)
    pairs = [blocks[i : i + 2] for i in range(0, len(blocks), 2)]
    folds, units = [], []
    for _ in range(repeats):
        folds.append([_spent_ns(partial(fold.add, block)) for block in blocks])
        fold.take()
        units.append([_spent_ns(partial(ingest.fold, pair, facts)) for pair in pairs])
    fold_ns, unit_ns = (sum(map(min, zip(*times, strict=True))) for times in (folds, units))
    return Cost(fields, mean_bytes, fold_ns / events, unit_ns / events, events, good)


def _spent_ns(work: Callable[[], Any]) -> int:
    began = time.thread_time_ns()
    work()
    return time.thread_time_ns() - began
