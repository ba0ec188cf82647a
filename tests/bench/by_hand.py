"""The ingest job as it is written by hand: fastavro and dictionaries, one event at a time.

What both rivals share. Leaves out what Burnline's job has beyond the comparison (token and cost sums, headers it does
not know, refusals, watermarks), and logical types, whose conversion costs fastavro a third.
"""

import io
import json
import math
from collections import Counter
from typing import Any

import fastavro
import numpy as np
from numpy.typing import NDArray

from pipeline.framing import SINGLE_OBJECT
from pipeline.kernels.ddsketch import TOP_BIN
from schemas import avro_text
from tests.naive.blocks import bare

SCHEMA = fastavro.parse_schema(bare(json.loads(avro_text("inference_event"))))
HEADER = SINGLE_OBJECT.header("inference_event")
LOG_GAMMA = math.log(1.01 / 0.99)
E2E_US_MAX, TTFT_US_MAX = 2_000_000, 1_000_000
GOOD, BAD, EXCLUDED = range(3)
MESSAGE_LINES = 200


class ByHand:
    """Counts per objective, instance and second; three sketches per series and 10 s."""

    def __init__(self) -> None:
        self.counts: dict[Any, list[int]] = {}
        self.sketches: dict[Any, tuple[dict[int, int], ...]] = {}

    def add(self, value: bytes) -> None:
        """Take one event."""
        if value[:10] != HEADER:
            raise ValueError(f"not an event: {value[:10]!r}")
        event: Any = fastavro.schemaless_reader(io.BytesIO(value[10:]), SCHEMA, None)
        service, at = event["service"], event["completed_at"]
        instance = f"request_model={event['request_model']},region={event['region'] or ''}"
        for name, verdict in zip(("errors", "e2e", "ttft"), verdicts(event), strict=True):
            key = f"{service}-{name}", instance, at // 1_000_000
            line = self.counts.get(key)
            if line is None:
                line = self.counts[key] = [0, 0, 0]
            line[verdict] += 1
        self._sketch(event, at // 10_000_000)

    def _sketch(self, event: Any, cell: int) -> None:
        priority = event["priority"]
        kind = "standard" if priority == 0 else "critical" if priority > 0 else "sheddable"
        key = (event["service"], event["request_model"], event["tenant_id"], event["region"] or "", event["operation"],
               kind, event["variant"] or "", event["vantage"], cell)  # fmt: skip
        found = self.sketches.get(key)
        if found is None:
            found = self.sketches[key] = {}, {}, {}
        for bins, value in zip(found, shown(event), strict=True):
            if value is not None:
                index = 1 + math.floor(math.log(value) / LOG_GAMMA) if value >= 1 else 0
                bins[index] = bins.get(index, 0) + 1

    def flush(self) -> list[bytes]:
        """Hand out what was gathered, as JSON in messages of less than a megabyte, and begin anew."""
        counts = [[*key, *line] for key, line in self.counts.items()]
        sketches = [[*key, *(list(bins.items()) for bins in found)] for key, found in self.sketches.items()]
        self.counts, self.sketches = {}, {}
        named = (("counts", counts), ("sketches", sketches))
        return [
            json.dumps({name: lines[at : at + MESSAGE_LINES]}).encode()
            for name, lines in named
            for at in range(0, len(lines), MESSAGE_LINES)
        ]


def verdicts(event: Any) -> tuple[int, int, int]:
    """Judge an event for errors, e2e and ttft: definition 4.4."""
    outcome, e2e, ttft = event["outcome"], event["e2e_us"], event["ttft_us"]
    seen = EXCLUDED if ttft is None else BAD if ttft > TTFT_US_MAX else GOOD
    if outcome == "SUCCESS" and not _failed(event):
        return GOOD, BAD if e2e > E2E_US_MAX else GOOD, seen
    if outcome in {"SUCCESS", "ERROR"}:
        return BAD, EXCLUDED, seen if event["failure_kind"] == "TRUNCATED" else EXCLUDED
    if outcome == "TIMEOUT":
        return BAD, BAD, EXCLUDED
    if outcome == "CANCELLED":
        waited = BAD if ttft is None and event["stream"] and e2e > TTFT_US_MAX else seen
        return EXCLUDED, BAD if e2e > E2E_US_MAX else EXCLUDED, waited
    return BAD if outcome == "SHED" and event["priority"] >= 0 else EXCLUDED, EXCLUDED, EXCLUDED


def _failed(event: Any) -> bool:
    return event["failure_kind"] != "NONE" or (event["http_status"] or 0) >= 500


def shown(event: Any) -> tuple[float | None, float | None, float | None]:
    """Return what enters the sketches of e2e, ttft and tpot."""
    outcome, ttft = event["outcome"], event["ttft_us"]
    failed = _failed(event)
    complete = outcome == "SUCCESS" and not failed
    truncated = outcome in {"SUCCESS", "ERROR"} and event["failure_kind"] == "TRUNCATED"
    tokens, tpot = event["output_tokens"], None
    if complete and ttft is not None and tokens is not None and tokens >= 2:
        decode = event["e2e_us"] - ttft if event["decode_us"] is None else event["decode_us"]
        tpot = decode / (tokens - 1) if decode >= 0 else None
    return (
        event["e2e_us"] if complete else None,
        ttft if complete or truncated or outcome == "CANCELLED" else None,
        tpot,
    )


class Sums:
    """What flushes or derived blocks add up to: the same shape for every rival."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, int, int]] = Counter()  # slo, instance, second, verdict
        self.sketched: dict[tuple[Any, ...], NDArray[np.int64]] = {}  # labels, cell, metric -> count of each bin

    def bins(self, key: tuple[Any, ...]) -> NDArray[np.int64]:
        """Return the counts of one sketch, to be added to."""
        found = self.sketched.get(key)
        if found is None:
            found = self.sketched[key] = np.zeros(TOP_BIN + 1, np.int64)
        return found

    def add_flush(self, text: bytes) -> None:
        """Add what `flush` handed out."""
        flushed = json.loads(text)
        for slo, instance, second, *line in flushed.get("counts", ()):
            for verdict, count in enumerate(line):
                self.counts[slo, instance, second, verdict] += count
        for *labels, cell, e2e, ttft, tpot in flushed.get("sketches", ()):
            for metric, found in (("e2e", e2e), ("ttft", ttft), ("tpot", tpot)):
                for index, count in found:
                    self.bins((*labels, cell, metric))[index] += count

    def times(self, factor: int) -> "Sums":
        """Return the sums of the same events `factor` times."""
        many = Sums()
        many.counts = Counter({key: count * factor for key, count in self.counts.items()})
        many.sketched = {key: bins * factor for key, bins in self.sketched.items()}
        return many

    def differences(self, other: "Sums") -> int:
        """How many sums are not equal."""
        keys = self.sketched.keys() | other.sketched.keys()
        none = np.zeros(TOP_BIN + 1, np.int64)
        bins = sum(int((self.sketched.get(k, none) != other.sketched.get(k, none)).sum()) for k in keys)
        return bins + sum(self.counts[k] != other.counts[k] for k in self.counts.keys() | other.counts.keys())
