"""Trace ids in slo.counts: of bad events, for their own instance, few of them, and none where nothing was bad."""

import json
from collections import defaultdict
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from pipeline import blocks, trace_ids
from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT, Framing
from pipeline.ingest import IngestFold
from pipeline.sli import METRICS, SUMS
from schemas import avro_text
from tests.compiled import KERNELS
from tests.event_samples import START_US, objectives, sample, spoilt
from tests.ingest_reading import APPEND_MS, HEADER, SPEC, block_of, facts_of, framed
from tests.naive import counts as naive
from tests.naive import events as naive_events

EXAMPLES = 3 if config.DISABLE_JIT else 30


@pytest.fixture(scope="module")
def ingest() -> IngestFold:
    return IngestFold(SPEC, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))


def told(unit: Any) -> dict[tuple[str, str], list[str]]:
    """Trace ids by SLO and instance, as a reader of the topic finds them."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in unit.records:
        if record.topic == SPEC.counts_topic:
            columns = blocks.decode("slo_counts", record.value)
            for at, trace_id in zip(columns["exemplar_instances"], columns["exemplar_trace_ids"], strict=True):
                found[columns["slos"][at], columns["instances"][at]].append(trace_id)
    return found


def bad_ones(events: list[dict[str, Any]]) -> dict[tuple[str, str], list[str | None]]:
    """Trace ids of the events that are bad, by SLO and instance, one event at a time; in a sum no event is."""
    found: dict[tuple[str, str], list[str | None]] = defaultdict(list)
    judged = [each for each in objectives() if METRICS[each.indicator.metric].kind not in SUMS]
    for event in events:
        totals = naive.Totals()
        naive.add(totals, event, APPEND_MS, judged)
        for (slo, instance, _), counter in totals.counts.items():
            if counter["bad"]:
                found[slo, instance].append(event["trace_id"])
    return found


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 60))
def test_every_trace_id_is_of_an_event_that_is_bad_for_its_instance(ingest: IngestFold, seed: int, n: int) -> None:
    random = Random(seed)
    events = [spoilt(random) if random.random() < 0.1 else sample(random) for _ in range(n)]
    parts = [block_of(framed(events[: n // 2])), block_of(framed(events[n // 2 :]), n // 2)]
    found, bad = told(ingest.fold(parts, facts_of(parts))), bad_ones(events)
    for key, ids in found.items():
        assert len(ids) == 1
        assert ids[0] in bad[key]
    assert sum(map(len, found.values())) <= trace_ids.MOST
    always = {key for key, ids in bad.items() if None not in ids}  # whichever was read, it had one
    assert always <= set(found) or sum(map(len, bad.values())) > trace_ids.MOST


def test_a_stream_without_bad_events_names_none(ingest: IngestFold) -> None:
    random = Random(1)
    events = [event for event in (sample(random) for _ in range(400)) if not any(bad_ones([event]).values())]
    assert len(events) > 20
    block = block_of(framed(events))
    assert told(ingest.fold([block], facts_of([block]))) == {}


def test_of_a_flood_of_bad_events_few_are_read_and_the_next_unit_has_its_own(ingest: IngestFold) -> None:
    bad = {"service": "chat", "outcome": "ERROR", "final_attempt": True}
    events = [sample(Random(i)) | bad | {"request_model": f"m{i}", "trace_id": f"t{i}"} for i in range(200)]
    for first in (0, 200):
        block = block_of(framed(events), first)
        assert sum(map(len, told(ingest.fold([block], facts_of([block]))).values())) == trace_ids.MOST


def test_an_instance_whose_first_bad_events_have_no_trace_is_named_by_a_later_one(ingest: IngestFold) -> None:
    event = sample(Random(1)) | {"service": "embed", "outcome": "ERROR", "final_attempt": True}  # bad for one instance
    traces = (None, "", "x" * (trace_ids.LONGEST + 1), "found")
    events = [event | {"completed_at": START_US + i * 1_000_000, "received_at": START_US} for i in range(4)]
    values = framed(e | {"trace_id": trace_id} for e, trace_id in zip(events, traces, strict=True))
    block = block_of(values)
    assert set(map(tuple, told(ingest.fold([block], facts_of([block]))).values())) == {("found",)}


def test_what_fastavro_cannot_name_is_no_reason_to_stop(ingest: IngestFold) -> None:
    random = Random(2)
    event = next(e for e in (sample(random) for _ in range(999)) if e["trace_id"] and any(bad_ones([e]).values()))
    spoiled = HEADER + naive_events.write({**event, "trace_id": "t" * 32}).replace(b"t" * 32, b"\xff" * 32)
    block = block_of([spoiled])
    found = told(ingest.fold([block], facts_of([block])))
    assert found
    assert all(ids == ["\N{REPLACEMENT CHARACTER}" * 32] for ids in found.values())


def test_a_default_of_another_type_is_no_reason_to_stop() -> None:
    """avro.schema takes such a schema, and the kernel counts its events; fastavro refuses it."""
    writer = json.loads(avro_text("inference_event"))
    next(each for each in writer["fields"] if each["name"] == "attempt")["default"] = "1"
    framing = Framing(registered={7: json.dumps(writer)})
    random = Random(2)
    event = next(e for e in (sample(random) for _ in range(999)) if e["trace_id"] and any(bad_ones([e]).values()))
    block = block_of([b"\0" + (7).to_bytes(4, "big") + naive_events.write(event)])
    fold = IngestFold(SPEC, EventFold(FoldSpec(), objectives(), framing, KERNELS))
    assert set(map(tuple, told(fold.fold([block], facts_of([block]))).values())) == {(event["trace_id"],)}
