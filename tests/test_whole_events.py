"""Ingest keeps whole what is bad for some SLO instance, and a share of all else; its counts do not change by it."""

from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.decoding import EventFold, FoldSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold
from pipeline.records import Unit
from pipeline.sampling import SampleSpec
from pipeline.sli import METRICS, SUMS
from tests.compiled import KERNELS
from tests.event_samples import objectives, sample, spoilt
from tests.ingest_reading import SPEC, block_of, decoded, expected, facts_of, framed, plain, read_back
from tests.naive import counts as naive
from tests.naive import events as naive_events
from tests.naive.sampling import is_in_share

LARGEST = 120


@cache
def fold_of(ratio: float, block_bytes: int = SPEC.max_block_bytes) -> IngestFold:
    kept = replace(SPEC, max_block_bytes=block_bytes, sample=SampleSpec(ratio, block_bytes // 2))
    return IngestFold(kept, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))


def kept_of(unit: Unit) -> dict[int, tuple[bytes, int]]:
    """Offset -> the event's bytes, and whether it is said to be bad."""
    found: dict[int, tuple[bytes, int]] = {}
    for partition, block in decoded(unit)[1]:
        at = 0
        columns = (block[f"event_{name}"].tolist() for name in ("lengths", "offsets", "is_bad"))
        for length, offset, is_bad in zip(*columns, strict=True):
            assert partition == block["source_partition"] % SPEC.slices_partitions
            assert offset not in found
            found[offset] = (block["event_values"][at : at + length], is_bad)
            at += length
    return found


def is_bad(event: dict[str, Any]) -> bool:
    asked = [o for o in objectives() if METRICS[o.indicator.metric].kind not in SUMS and naive.matches(o, event)]
    return any(naive_events.judged(event, each.indicator) == "bad" for each in asked)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), ratio=st.sampled_from([0.0, 0.3, 1.0]))
def test_what_is_bad_for_an_slo_is_kept_and_of_the_others_a_share(seed: int, ratio: float) -> None:
    random = Random(seed)
    events = [spoilt(random) if random.random() < 0.1 else sample(random) for _ in range(LARGEST)]
    values = framed(events)
    block = block_of(values, 1_000)
    unit = fold_of(ratio).fold([block], facts_of([block]))
    in_share = [is_in_share(offset, block.partition, ratio) for offset in block.offset.tolist()]
    usable = {i: is_bad(event) for i, event in enumerate(events) if naive_events.refused(event) is None}
    assert kept_of(unit) == {1_000 + i: (values[i], int(bad)) for i, bad in usable.items() if bad or in_share[i]}
    assert plain(read_back([unit])) == plain(expected(events))


def test_events_that_fill_several_blocks_are_all_there_and_counted_once() -> None:
    events = [sample(Random(3)) for _ in range(LARGEST)]
    blocks = [block_of(framed(events[:50]), 0), block_of(framed(events[50:]), 50)]
    unit = fold_of(1.0, 4_000).fold(blocks, facts_of(blocks))
    assert sorted(kept_of(unit)) == list(range(LARGEST))
    assert max(len(record.value or b"") for record in unit.records if record.topic == "slo.slices") < 3 * 4_000
    parts = [(b["part"], b["parts"]) for p, b in decoded(unit)[1] if p == 1]
    assert parts == [(i, len(parts)) for i in range(len(parts))]
    assert plain(read_back([unit])) == plain(expected(events))


def test_a_unit_that_failed_leaves_no_events_to_the_next() -> None:
    fold = fold_of(1.0)
    good, torn = (block_of(framed([sample(Random(i))])) for i in (1, 2))
    torn.append_time_ms = np.array(["never"])
    try:
        fold.fold([good, torn], facts_of([good]))
    except ValueError:
        pass
    else:
        raise AssertionError("a time that is no number was taken")
    block = block_of(framed([sample(Random(3))]), 7)
    assert list(kept_of(fold.fold([block], facts_of([block])))) == [7]
