"""The ingest fold against one-by-one counting in dictionaries."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT, Framing, confluent_header
from pipeline.ingest import SLICE_COUNTERS, IngestFold, IngestSpec, warm
from pipeline.records import RecordBlock, UnitFacts
from pipeline.sli import METRICS, SUMS
from schemas import avro_text
from tests.compiled import KERNELS
from tests.event_samples import START_US, objectives, sample, spoilt
from tests.ingest_reading import (
    APPEND_MS,
    HEADER,
    SPEC,
    block_of,
    decoded,
    expected,
    facts_of,
    framed,
    plain,
    read_back,
)
from tests.naive import counts as naive
from tests.naive import events as naive_events
from tests.spec.samples import SHORT, load_text

EXAMPLES = 4 if config.DISABLE_JIT else 40
LARGEST = 60 if config.DISABLE_JIT else 150


@pytest.fixture(scope="module")
def ingest() -> IngestFold:
    """One fold for all tests of this file: it keeps nothing between units."""
    return IngestFold(SPEC, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32), n=st.integers(0, LARGEST))
def test_a_unit_holds_exactly_what_counting_one_by_one_gives(ingest: IngestFold, seed: int, n: int) -> None:
    random = Random(seed)
    events = [spoilt(random) if random.random() < 0.1 else sample(random) for _ in range(n)]
    for event in events[::17]:
        event["completed_at"] += 3_600_000_000  # far in the future: clamped to the append time
        event["queue_us"] = event["itl_max_us"] = -1  # none: what only some SLOs look at refuses no event
    block = block_of(framed(events))
    assert plain(read_back([ingest.fold([block], facts_of([block]))])) == plain(expected(events))


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, LARGEST), max_size=5), units=st.booleans())
def test_splitting_a_batch_anywhere_changes_no_sum(ingest: IngestFold, seed: int, cuts: list[int], units: bool) -> None:
    random = Random(seed)
    events = [sample(random) for _ in range(LARGEST)]
    edges = [0, *sorted(cuts), LARGEST]
    parts = [block_of(framed(events[a:b]), a) for a, b in pairwise(edges)]
    folded = [ingest.fold([p], facts_of([p])) for p in parts] if units else [ingest.fold(parts, facts_of(parts))]
    assert plain(read_back(folded)) == plain(expected(events))


def test_order_does_not_matter(ingest: IngestFold) -> None:
    events = [sample(Random(3)) for _ in range(LARGEST)]
    values = framed(events)
    one, two = block_of(values), block_of(values[::-1])
    assert plain(read_back([ingest.fold([one], facts_of([one]))])) == plain(
        read_back([ingest.fold([two], facts_of([two]))])
    )


def test_a_weight_of_n_counts_like_n_events(ingest: IngestFold) -> None:
    random = Random(5)
    events = [sample(random) | {"sample_weight": 1} for _ in range(20)]
    heavy = block_of(framed(event | {"sample_weight": 7} for event in events))
    many = block_of(framed(event for event in events for _ in range(7)))
    assert plain(read_back([ingest.fold([heavy], facts_of([heavy]))])) == plain(
        read_back([ingest.fold([many], facts_of([many]))])
    )


def test_every_record_is_counted_or_a_dead_letter(ingest: IngestFold) -> None:
    """good + bad + excluded is every event an objective matched; events + dead letters is every record."""
    random = Random(11)
    events = [spoilt(random) if i % 5 == 0 else sample(random) | {"sample_weight": 1} for i in range(LARGEST)]
    block = block_of(framed(events))
    counts, slices, letters = decoded(ingest.fold([block], facts_of([block])))
    of_events = [o for o in objectives() if METRICS[o.indicator.metric].kind not in SUMS]
    matched = sum(naive.matches(o, e) for o in of_events for e in events if naive_events.refused(e) is None)
    single = [o.name for o in of_events]
    events_of = [np.isin(np.array(b["slos"])[b["instance_index"]], single) for _, b in counts if b["slos"]]
    counted = (b for _, b in counts if b["slos"])
    columns = ("good", "bad", "excluded")
    assert sum(int(b[n][w].sum()) for b, w in zip(counted, events_of, strict=True) for n in columns) == matched
    counters = [b["counters"] for _, b in slices if b["counters"]]
    assert len(counters) == 1  # in exactly one block of a unit
    assert counters[0]["records"] == LARGEST == counters[0]["events"] + counters[0]["dead_letters"]
    assert counters[0]["dead_letters"] == len(letters) == len([e for e in events if naive_events.refused(e)])
    outcomes = SLICE_COUNTERS[:8]
    assert sum(int(b[n].sum()) for _, b in slices for n in outcomes) == counters[0]["events"]


def test_an_empty_unit_is_a_heartbeat_to_every_derived_partition(ingest: IngestFold) -> None:
    facts = UnitFacts("inference.events", 3, 8, 40, 40, START_US, idle_us=5_000_000)
    counts, slices, letters = decoded(ingest.fold([], facts))
    assert [p for p, _ in counts] == [0, 1, 2] and [p for p, _ in slices] == [0, 1] and not letters
    for _, block in (*counts, *slices):
        assert (block["first_offset"], block["next_offset"], block["idle_us"]) == (40, 40, 5_000_000)
        assert (block["source_partition"], block["source_partitions"], block["flushed_at"]) == (
            3,
            8,
            START_US,
        )
        assert block["max_event_time"] is None and block["measured_slices"].size == 0
        assert block["slice_start_s"].size == 0


def test_watermark_facts_stand_in_every_partition(ingest: IngestFold) -> None:
    events = [sample(Random(i)) for i in range(30)]
    block = block_of(framed(events))
    counts, slices, _ = decoded(ingest.fold([block], facts_of([block])))
    cells = sorted({e["completed_at"] // 10_000_000 for e in events})
    for _, found in (*counts, *slices):
        assert found["max_event_time"] == max(e["completed_at"] for e in events)
        assert found["measured_slices"].tolist() == cells


def test_a_large_unit_is_cut_into_parts_that_sum_to_the_whole() -> None:
    random = Random(9)
    events = [sample(random) for _ in range(LARGEST)]
    small = IngestSpec("slo.counts", "slo.slices", "inference.events.dlq", 3, 2, max_block_bytes=2_000)
    fold = IngestFold(small, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))
    block = block_of(framed(events))
    unit = fold.fold([block], facts_of([block]))
    assert plain(read_back([unit])) == plain(expected(events))
    _counts, slices, _ = decoded(unit)
    assert max(len(r.value or b"") for r in unit.records) < 4_000
    for partition in range(2):
        mine = [b for p, b in slices if p == partition]
        assert [b["part"] for b in mine] == list(range(len(mine))) and {b["parts"] for b in mine} == {len(mine)}
        assert len(mine) > 1
        assert [b["max_event_time"] is None for b in mine] == [True] * (len(mine) - 1) + [False]


def test_an_slo_with_a_policy_counts_otherwise_than_one_without_and_as_another_revision() -> None:
    own = SHORT.replace("short", "own").replace("error_rate", "error_rate, policy: {shed: excluded, cancelled: bad}")
    two = load_text(f"{SHORT}---\n{own}").checked().objectives
    fold = IngestFold(SPEC, EventFold(FoldSpec(), (*objectives(), *two), SINGLE_OBJECT, KERNELS))
    plainly = {"service": "chat", "priority": 0, "failure_kind": "NONE", "http_status": None, "sample_weight": 1}
    many = {"SUCCESS": 1, "ERROR": 2, "SHED": 4, "CANCELLED": 8, "RATE_LIMITED": 16}
    events = [GOOD_EVENT | plainly | {"outcome": what, "final_attempt": True} for what, n in many.items()]
    events = [event for event in events for _ in range(many[event["outcome"]])]
    block = block_of(framed(events))
    counts, _, _ = decoded(fold.fold([block], facts_of([block])))
    sums = {}
    for _, found in counts:
        for i, name in enumerate(found["slos"]):
            mine = found["instance_index"] == i
            sums[name, found["revisions"][i]] = [int(found[n][mine].sum()) for n in ("good", "bad", "excluded")]
    assert sums["short", two[0].indicator_revision] == [1, 2 + 4, 8 + 16]
    assert sums["own", two[1].indicator_revision] == [1, 2 + 8, 4 + 16]
    assert two[0].indicator_revision != two[1].indicator_revision


def overlong(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"region": "x" * 257}


GOOD_EVENT = sample(Random(1)) | {"region": "eu"}
DAMAGED: list[tuple[str, bytes | None, str, str]] = [
    ("null", None, "null_value", "null"),
    (
        "too large",
        HEADER + bytes(1 << 20),
        "too_large",
        "1048586 bytes are more than limit_event_bytes = 1048576",
    ),
    ("empty", b"", "unframed", "nothing"),
    ("json", b'{"event_id": 1}', "unframed", "7b226576"),
    ("half a header", HEADER[:9], "unframed", "c301"),
    ("unknown fingerprint", b"\xc3\x01" + bytes(8) + b"rest", "unknown_schema", "c3010000000000000000"),
    ("unknown id", confluent_header(99) + b"rest", "unknown_schema", "0000000063"),
    ("header only", HEADER, "malformed", "event_id"),
    ("cut", HEADER + naive_events.write(GOOD_EVENT)[:-1], "malformed", "attributes"),
    ("extended", HEADER + naive_events.write(GOOD_EVENT) + b"\0", "malformed", "1 bytes are left over"),
    (
        "long label",
        HEADER + naive_events.write(overlong(GOOD_EVENT)),
        "label_too_long",
        "region has 257 bytes, more than limit_label_bytes",
    ),
    (
        "negative",
        HEADER + naive_events.write(GOOD_EVENT | {"e2e_us": -5}),
        "negative_duration",
        "e2e_us = -5",
    ),
    (
        "weightless",
        HEADER + naive_events.write(GOOD_EVENT | {"sample_weight": 0}),
        "bad_weight",
        "sample_weight = 0",
    ),
]


@pytest.mark.parametrize(("value", "reason", "detail"), [pytest.param(*rest, id=i) for i, *rest in DAMAGED])
def test_a_dead_letter_says_what_is_wrong_and_where_it_came_from(
    ingest: IngestFold, value: bytes | None, reason: str, detail: str
) -> None:
    good = framed([GOOD_EVENT])[0]
    block = block_of([good, value, good], first=100)
    _, slices, letters = decoded(ingest.fold([block], facts_of([block])))
    [letter] = letters
    headers = {name: text.decode() for name, text in letter.headers}
    assert (letter.value, letter.key) == (value, b"key-1")
    assert headers["reason"] == reason and detail in headers["detail"]
    assert (headers["topic"], headers["partition"], headers["offset"]) == ("inference.events", "3", "101")
    assert slices[0][1]["counters"]["events"] == 2


def test_a_label_of_exactly_the_limit_is_taken(ingest: IngestFold) -> None:
    events = [GOOD_EVENT | {"region": "x" * n, "tenant_id": "y" * n} for n in (255, 256)]
    block = block_of(framed(events))
    assert plain(read_back([ingest.fold([block], facts_of([block]))])) == plain(expected(events))


def test_a_flood_of_unknown_headers_leaves_no_trace_behind(ingest: IngestFold) -> None:
    values = [confluent_header(i) + b"x" for i in range(1, 400)] + framed([GOOD_EVENT])
    block = block_of(values)
    _, slices, letters = decoded(ingest.fold([block], facts_of([block])))
    assert len(letters) == 399 and slices[0][1]["counters"]["events"] == 1
    assert len(ingest.events._writers) <= 1


def test_an_oversized_dead_letter_is_cut_to_what_the_broker_takes() -> None:
    spec = IngestSpec("c", "s", "inference.events.dlq", 1, 1, max_dead_letter_bytes=50)
    fold = IngestFold(spec, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))
    block = block_of([b"z" * 60])
    [letter] = [r for r in fold.fold([block], facts_of([block])).records if r.topic == spec.dead_letters_topic]
    assert letter.value == b"z" * 45 and b"only the first 45 of its 60 bytes" in (dict(letter.headers)["detail"] or b"")


def test_records_without_append_time_are_taken_as_they_are_until_the_year_2106(ingest: IngestFold) -> None:
    events = [
        GOOD_EVENT | {"completed_at": (1 << 32) * 1_000_000 - 1},
        GOOD_EVENT | {"completed_at": (1 << 32) * 1_000_000},
    ]
    block = block_of(framed(events), append_ms=-1)
    counts, _slices, letters = decoded(ingest.fold([block], facts_of([block])))
    assert [dict(r.headers)["reason"] for r in letters] == [b"far_future"]
    assert {b["max_event_time"] for _, b in counts} == {events[0]["completed_at"]}


def test_past_the_cap_of_series_labels_become_other_and_are_counted() -> None:
    """Objectives stay exact while labels that none of them uses become `other`."""
    limits = FoldSpec(limit_series=5, limit_instances=20)
    fold = IngestFold(SPEC, EventFold(limits, objectives(), SINGLE_OBJECT, KERNELS))
    events = [sample(Random(1)) | {"service": "chat", "variant": f"v{i}", "sample_weight": 1} for i in range(30)]
    block = block_of(framed(events))
    _counts, slices, letters = decoded(fold.fold([block], facts_of([block])))
    counters = next(b["counters"] for _, b in slices if b["counters"])
    assert not letters and counters["events"] == 30 and counters["series_overflow"] == 25
    totals, whole = read_back([fold.fold([block], facts_of([block]))]), expected(events)
    assert {k: +v for k, v in totals.counts.items()} == {k: +v for k, v in whole.counts.items() if +v}
    assert sum(c["success"] + c["error"] for c in totals.slices.values()) == sum(
        c["success"] + c["error"] for c in whole.slices.values()
    )
    assert any("other" in labels for labels, _ in totals.slices)


def test_past_the_cap_of_instances_groups_become_other_and_are_counted() -> None:
    fold = IngestFold(SPEC, EventFold(FoldSpec(limit_instances=8), objectives(), SINGLE_OBJECT, KERNELS))
    events = [sample(Random(1)) | {"service": "chat", "request_model": f"m{i}"} for i in range(40)]
    block = block_of(framed(events))
    _counts, slices, _ = decoded(fold.fold([block], facts_of([block])))
    counters = next(b["counters"] for _, b in slices if b["counters"])
    assert counters["instances_refused"] > 0
    totals = read_back([fold.fold([block], facts_of([block]))])
    assert any("other" in text for _, text, _ in totals.counts)
    by_slo = Counter[str]()
    for (slo, _, _), counter in totals.counts.items():
        by_slo[slo] += counter.total()
    wanted = Counter[str]()
    for (slo, _, _), counter in expected(events).counts.items():
        wanted[slo] += counter.total()
    assert by_slo == wanted


def test_series_that_differ_only_in_unstored_labels_become_one(ingest: IngestFold) -> None:
    events = [GOOD_EVENT | {"endpoint_id": f"pod-{i}", "stream": i % 2 == 0} for i in range(12)]
    block = block_of(framed(events))
    _, slices, _ = decoded(ingest.fold([block], facts_of([block])))
    assert sum(len(b["series_index"]) for _, b in slices) == 1


def test_confluent_and_single_object_values_of_one_schema_count_alike() -> None:
    framing = Framing(registered={7: avro_text("inference_event")})
    fold = IngestFold(SPEC, EventFold(FoldSpec(), objectives(), framing, KERNELS))
    events = [sample(Random(i)) for i in range(20)]
    values = [(confluent_header(7) if i % 3 else HEADER) + naive_events.write(e) for i, e in enumerate(events)]
    block = block_of(values)
    assert plain(read_back([fold.fold([block], facts_of([block]))])) == plain(expected(events))


def test_many_slots_and_keys_in_one_unit_grow_the_memory_and_give_it_back(ingest: IngestFold) -> None:
    random = Random(21)
    span = 40 if config.DISABLE_JIT else 6000
    events = [sample(random, span * 1_000_000) for _ in range(span)]
    block = block_of(framed(events), append_ms=APPEND_MS + span * 1000)
    unit = ingest.fold([block], facts_of([block]))
    assert plain(read_back([unit])) == plain(expected(events, APPEND_MS + span * 1000))
    small = block_of(framed(events[:10]), append_ms=APPEND_MS + span * 1000)
    for _ in range(4):
        again = ingest.fold([small], facts_of([small]))
    assert plain(read_back([again])) == plain(expected(events[:10], APPEND_MS + span * 1000))


@settings(max_examples=EXAMPLES * 4)
@given(data=st.data())
def test_fuzzed_bytes_are_dead_letters_or_events_that_fastavro_reads_alike(
    ingest: IngestFold, data: st.DataObject
) -> None:
    """Damaged values stand at the very end of the buffer, where a read out of bounds would be a fault."""
    random = Random(data.draw(st.integers(0, 2**32)))
    value = bytearray(HEADER + naive_events.write(sample(random)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(len(HEADER), max(len(value) - 1, len(HEADER))))
        kind = data.draw(st.sampled_from(("set", "delete", "insert", "cut")))
        if kind == "cut":
            del value[at:]
        elif kind == "insert":
            value[at:at] = random.randbytes(random.randrange(1, 12))
        elif at < len(value):
            value[at : at + 1] = (
                bytes([random.choice((0, 1, 127, 128, 255, random.randrange(256)))]) if kind == "set" else b""
            )
    block = block_of([bytes(value)], append_ms=-1)
    found = read_back([ingest.fold([block], facts_of([block]))])
    event = naive_events.read(bytes(value[len(HEADER) :]))
    if event is None:
        assert sum(found.refused.values()) == 1
    elif not found.refused:
        assert plain(found) == plain(expected([event], -1))


def test_warming_compiles_everything_and_says_how_far_it_is() -> None:
    said: list[tuple[str, int, int]] = []
    warm(KERNELS, SINGLE_OBJECT, objectives(), lambda *progress: said.append(progress))
    assert [done for _, done, _ in said] == list(range(len(said)))
    assert said[-1][0] == "done" and said[-1][1] == said[-1][2]


def test_of_a_unit_that_failed_nothing_is_in_the_next(ingest: IngestFold) -> None:
    """Steps of a worker share the fold: what is left of one partition would be written by another."""
    good = block_of(framed([sample(Random(1)) for _ in range(5)]))
    before = ingest.fold([good], facts_of([good]))

    class Failed(RuntimeError):
        pass

    def one_and_then_none() -> Iterator[RecordBlock]:
        yield good
        raise Failed

    with pytest.raises(Failed):
        ingest.fold(one_and_then_none(), facts_of([good]))  # type: ignore[arg-type]
    assert [r.value for r in ingest.fold([good], facts_of([good])).records] == [r.value for r in before.records]
