"""Laws of the window of event ids: nobody's first coming is left out, and whoever reads again decides the same."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from numpy.typing import NDArray

from pipeline.decoding import EventFold, FoldSpec
from pipeline.duplicates import REDRIVEN, Window, WindowSpec
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold
from pipeline.kernels.reasons import GOOD, MALFORMED
from pipeline.records import RecordBlock
from tests.compiled import KERNELS
from tests.event_samples import START_US, objectives, sample
from tests.ingest_reading import HEADER, SPEC, decoded, facts_of, plain, read_back
from tests.naive import counts as naive_counts
from tests.naive import events as naive_events
from tests.naive.duplicates import Coming, left_out
from tests.recorded import Recorded, block_of

WINDOW_S, PARTITION = 10, 3
SPEC_OF_WINDOW = WindowSpec(WINDOW_S, 1_000)

ONE_IN_TEN = st.integers(0, 9).map(lambda n: n == 0)
GOOD_MOSTLY = st.booleans() | st.just(True)
COMINGS = st.lists(st.builds(Coming, st.integers(0, 6), st.integers(-1, 4), GOOD_MOSTLY, ONE_IN_TEN), max_size=60)


def in_time(steps: list[Coming]) -> list[Coming]:
    """Waits to seconds; a clock that steps back now and then."""
    second, records = 100, []
    for step in steps:
        second += step.second
        records.append(step._replace(second=second))
    return records


def sifted(window: Window, records: list[Coming], cuts: list[int]) -> list[bool]:
    """What a window leaves out of records that come in blocks, folded by somebody who knows which are good."""
    edges, found = [0, *sorted(min(cut, len(records)) for cut in cuts), len(records)], [True] * len(records)
    window.tell()
    for begin, end in pairwise(edges):
        block = block_of(
            "t", PARTITION,
            [Recorded(at, b"", headers=((REDRIVEN, b"{}"),) * each.is_redriven, append_time_ms=each.second * 1000 + 7)
             for at, each in enumerate(records[begin:end], begin)], begin,
        )  # fmt: skip

        def fold(part: RecordBlock) -> NDArray[np.uint8]:
            for at in part.offset.tolist():
                assert found[at], "folded twice"
                found[at] = False
            return np.array([GOOD if records[at].is_good else MALFORMED for at in part.offset.tolist()], np.uint8)

        ids = np.array([int(str(each.name)) << 8 for each in records[begin:end]], np.uint64)
        window.sift(block, ids, fold)
    told = window.tell()
    assert (told["duplicates"], told["event_ids_forgotten"]) == (sum(found), 0)
    return found


@given(COMINGS, st.lists(st.integers(0, 60), max_size=4))
def test_what_is_left_out_is_what_a_dictionary_says_however_blocks_are_cut(
    steps: list[Coming], cuts: list[int]
) -> None:
    records = in_time(steps)
    assert sifted(Window(SPEC_OF_WINDOW), records, cuts) == left_out(records, WINDOW_S)


@given(COMINGS, st.lists(st.integers(0, 60), max_size=2), st.integers(0, 60))
def test_nothing_is_lost_of_an_id_that_can_be_counted(steps: list[Coming], cuts: list[int], cut: int) -> None:
    """Also where a window begins anew with nothing in it: then more is counted, never less."""
    records, counted = in_time(steps), Counter[object]()
    for part in (records[:cut], records[cut:]):
        out = sifted(Window(SPEC_OF_WINDOW), part, cuts)
        counted.update(each.name for each, is_out in zip(part, out, strict=True) if each.is_good and not is_out)
    assert set(counted) == {each.name for each in records if each.is_good}


RETRIES = st.lists(st.builds(Coming, st.integers(0, 6), st.integers(-1, 4)), max_size=60)


@given(
    RETRIES, st.sets(st.integers(0, 6)), st.lists(st.integers(0, 60), max_size=3), st.integers(0, 60), st.integers(0, 9)
)
def test_a_window_that_reads_its_span_again_decides_as_one_that_read_all(
    steps: list[Coming], bad: set[int], cuts: list[int], cut: int, more: int
) -> None:
    """Retries are the same bytes: whether an id can be counted is the same each time."""
    records = in_time([step._replace(is_good=step.name not in bad) for step in steps])
    past, rest = records[:cut], records[cut:]
    whole, anew = Window(SPEC_OF_WINDOW), Window(SPEC_OF_WINDOW)
    sifted(whole, past, cuts)
    oldest = max((each.second for each in past), default=0) - WINDOW_S
    begin = next((at for at, each in enumerate(past) if each.second >= oldest), 0)
    sifted(anew, past[max(begin - more, 0) :], [])
    assert sifted(anew, rest, []) == sifted(whole, rest, cuts)


# -- in the fold
@pytest.fixture(scope="module")
def ingest() -> IngestFold:
    return IngestFold(SPEC, EventFold(FoldSpec(), objectives(), SINGLE_OBJECT, KERNELS))


def events_of(seed: int, n: int) -> list[tuple[dict[str, Any], int]]:
    """Events of which many come again, the same bytes, and some cannot be counted; with their append times."""
    random, now_ms = Random(seed), START_US // 1000 + 30_000
    events: list[tuple[dict[str, Any], int]] = []
    for number in range(n):
        event = sample(random) | {"event_id": random.choice(("", f"id {number}"))}
        if random.random() < 0.2:
            event |= {"e2e_us": -1}
        if events and random.random() < 0.4:
            event = random.choice(events)[0]
        now_ms += random.randrange(2_000)
        events.append((event, now_ms))
    return events


def blocks_of(events: list[tuple[dict[str, Any], int]], cuts: list[int]) -> list[RecordBlock]:
    records = [
        Recorded(at, HEADER + naive_events.write(event), append_time_ms=ms) for at, (event, ms) in enumerate(events)
    ]
    edges = [0, *sorted(min(cut, len(records)) for cut in cuts), len(records)]
    return [block_of("inference.events", PARTITION, records[a:b], a) for a, b in pairwise(edges)]


@settings(max_examples=3 if config.DISABLE_JIT else 25)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 60), max_size=4), st.integers(0, 5))
def test_a_fold_counts_each_id_once_and_tells_how_many_it_left_out(
    ingest: IngestFold, seed: int, cuts: list[int], crash: int
) -> None:
    """A crash in front of any unit: the next owner reads the window's span again, and counts as if nothing had been."""
    events = events_of(seed, 60)
    bad = [naive_events.refused(event) is not None for event, _ in events]
    comings = [Coming(e["event_id"], ms // 1000, not b) for (e, ms), b in zip(events, bad, strict=True)]
    out, wanted = left_out(comings, WINDOW_S), naive_counts.Totals()
    for (event, ms), is_out in zip(events, out, strict=True):
        if not is_out:
            naive_counts.add(wanted, event, ms, objectives())
    blocks, units, window = blocks_of(events, cuts), [], Window(SPEC_OF_WINDOW)
    for number, block in enumerate(blocks):
        if number == crash:
            ingest.fold([block], facts_of([block]), {PARTITION: window})  # dies before it is written
            window = Window(SPEC_OF_WINDOW)
            oldest_ms = (max([ms for _, ms in events[: block.first_offset]], default=0) // 1000 - WINDOW_S) * 1000
            again = [each for each in events[: block.first_offset] if each[1] >= oldest_ms]
            for each in blocks_of(again, []):
                ingest.remember(each, window)
        units.append(ingest.fold([block], facts_of([block]), {PARTITION: window}))
    assert plain(read_back(units)) == plain(wanted)
    tallied = Counter[str]()
    for unit in units:
        tallied.update(next(b["counters"] for _, b in decoded(unit)[1] if b["counters"]))
    assert tallied["duplicates"] == sum(out)
    assert tallied["records"] == tallied["events"] + tallied["dead_letters"] + tallied["duplicates"] == len(events)


def test_without_a_window_a_fold_writes_what_it_wrote_before(ingest: IngestFold) -> None:
    [block] = blocks_of(events_of(1, 40), [])
    unit = ingest.fold([block], facts_of([block]))
    assert all("duplicates" not in b["counters"] for _, b in decoded(unit)[1])
    other = replace(facts_of([block]), partition=PARTITION + 1)
    block.partition = PARTITION + 1  # a window of another partition does not see it
    again = ingest.fold([block], other, {PARTITION: Window(SPEC_OF_WINDOW)})
    assert plain(read_back([again])) == plain(read_back([unit]))


def test_remembering_counts_nothing(ingest: IngestFold) -> None:
    [block] = blocks_of(events_of(2, 40), [])
    before = ingest.fold([block], facts_of([block]))
    ingest.remember(block, Window(SPEC_OF_WINDOW))
    empty = ingest.fold([], facts_of([]))
    assert read_back([empty]) == naive_counts.Totals()
    assert plain(read_back([ingest.fold([block], facts_of([block]))])) == plain(read_back([before]))


def test_ids_that_have_to_make_room_are_told() -> None:
    window, ids = Window(WindowSpec(WINDOW_S, 1)), np.arange(1, 12, dtype=np.uint64) << np.uint64(8)
    block = block_of("t", PARTITION, [Recorded(at, b"", append_time_ms=100_000) for at in range(11)])
    window.sift(block, ids, lambda part: np.full(len(part), GOOD, np.uint8))
    assert window.tell() == Counter(event_ids_forgotten=3) and window.tell() == Counter()
