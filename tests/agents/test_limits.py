"""Everything has a limit, and the limit has a counter: each is reached here, and what /metrics says of it moves.

Limits of SLO files are problems with a line and a remedy: tests/spec. The queues and their waits: tests/transport.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from numba import config

from pipeline import exemplars, trace_ids
from pipeline.agents.ingest import LimitedFold, PartitionFold, fold_spec, window_spec
from pipeline.agents.judge import COUNTED
from pipeline.dead_letters import LimitSpec
from pipeline.decoding import EventFold
from pipeline.duplicates import Window
from pipeline.framing import SINGLE_OBJECT
from pipeline.ingest import IngestFold, IngestSpec
from pipeline.metrics import CATALOGUE, Reading, render
from pipeline.records import UnitFacts
from pipeline.settings import Settings
from pipeline.transport.record_blocks import RawMemoryRecords, RawPartitionRecords
from tests.compiled import KERNELS
from tests.event_samples import START_US, objectives, sample
from tests.ingest_reading import APPEND_MS, block_of, facts_of, framed
from tests.judging import T0, Driver, counts, record_block, spec, steady, watched
from tests.naive.record_batches import GZIP, Batch, Record, written

Values = Iterable[bytes | None]


def events(count: int, vary: Callable[..., dict[str, Any]]) -> Values:
    return framed(sample(Random(1)) | {"service": "chat", "region": "eu"} | vary(n) for n in range(count))


def one(**fields: Any) -> Values:
    return events(1, lambda _: fields)


def read(readings: Iterable[Reading], name: str, *labels: str) -> float:
    """One metric's value, as /metrics shows it; 0: it is not there yet."""
    said = render(readings).decode()
    label = f'{{{CATALOGUE[name].labels[0]}="{labels[0]}"}}' if labels else ""
    suffix = "_total" if CATALOGUE[name].kind == "counter" else ""
    found = [line for line in said.splitlines() if line.startswith(f"{name}{suffix}{label} ")]
    return float(found[0].split()[-1]) if found else 0


@pytest.fixture
def folding() -> Callable[..., Any]:
    """Fold values under settings; gives readings before and behind."""

    def fold(values: Values, append_ms: int = APPEND_MS, **limits: Any) -> tuple[list[Reading], list[Reading]]:
        letter_bytes = limits.pop("letter_bytes", 15 << 20)
        settings = Settings(**limits)
        made = IngestSpec(
            "slo.counts", "slo.slices", "inference.events.dlq", 3, 2,
            max_block_bytes=settings.limit_block_bytes, max_dead_letter_bytes=letter_bytes,
        )  # fmt: skip
        within = EventFold(fold_spec(settings), objectives(), SINGLE_OBJECT, KERNELS)
        limited = LimitedFold(IngestFold(made, within), LimitSpec(1.0, 1, 1_000_000))
        window = window_spec(settings)
        mine = limited if window is None else PartitionFold(limited, 3, Window(window))
        before, block = list(limited.readings()), block_of(values, append_ms=append_ms)
        mine.fold([block], facts_of([block]))
        return before, list(limited.readings())

    return fold


LETTERS = "burnline_dead_letters"
LATER_MS = START_US // 1000 + 900
OLD = {"completed_at": START_US, "received_at": START_US}
VARIANTS, MODELS = (events(60, lambda n, name=name: {name: f"v{n}"}) for name in ("variant", "request_model"))
BAD = {"outcome": "ERROR", "final_attempt": True}
EVENT = list(one())
SIZE = len(EVENT[0] or b"")
IDS, ONE_ID = events(30, lambda n: {"event_id": f"id {n}"}), events(3, lambda n: {"event_id": "same"})
THREE = dict.fromkeys("abc", "v")
SOME = None  #: more than none
INGEST = [
    pytest.param(VARIANTS, {"limit_series": 4}, "burnline_series_overflow", 56, id="series"),
    pytest.param(MODELS, {"limit_instances": 8}, "burnline_instances_refused", SOME, id="instances"),
    pytest.param(one(region="x" * 9), {"limit_label_bytes": 8}, f"{LETTERS} label_too_long", 1, id="label bytes"),
    pytest.param(EVENT, {"limit_event_bytes": SIZE - 1}, f"{LETTERS} too_large", 1, id="event bytes"),
    pytest.param(one(attributes=THREE), {"limit_attributes": 2}, f"{LETTERS} too_many_attributes", 1, id="attributes"),
    pytest.param(one(**OLD), {"limit_age_s": 0.899, "append_ms": LATER_MS}, f"{LETTERS} too_old", 1, id="age"),
    pytest.param([b"x" * 90], {"letter_bytes": 94}, "burnline_dead_letters_cut", 1, id="dead letter bytes"),
    pytest.param(one(**BAD, trace_id="t" * 129), {}, "burnline_trace_ids_too_long", SOME, id="a trace id"),
    pytest.param(VARIANTS, {"limit_block_bytes": 900}, "burnline_cut_blocks", SOME, id="block bytes"),
    pytest.param(IDS, {"limit_event_ids": 1, "duplicates_window_s": 60}, "burnline_event_ids_forgotten", 22, id="ids"),
    pytest.param(ONE_ID, {"duplicates_window_s": 60}, "burnline_duplicates", 2, id="duplicates"),
]


@pytest.mark.parametrize(("values", "limits", "metric", "moves"), INGEST)
def test_a_limit_of_ingest_is_reached_and_counted(
    folding: Any, values: Values, limits: dict[str, Any], metric: str, moves: int | None
) -> None:
    before, behind = folding(values, **limits)
    moved = read(behind, *metric.split()) - read(before, *metric.split())
    assert moved == moves if moves is not SOME else moved > 0


AT = [
    pytest.param(VARIANTS, {"limit_series": 60}, "burnline_series_overflow", id="series"),
    pytest.param(MODELS, {}, "burnline_instances_refused", id="instances"),
    pytest.param(one(region="x" * 9), {"limit_label_bytes": 9}, f"{LETTERS} label_too_long", id="label bytes"),
    pytest.param(EVENT, {"limit_event_bytes": SIZE}, f"{LETTERS} too_large", id="event bytes"),
    pytest.param(one(attributes=THREE), {"limit_attributes": 3}, f"{LETTERS} too_many_attributes", id="attributes"),
    pytest.param(one(**OLD), {"limit_age_s": 0.9, "append_ms": LATER_MS}, f"{LETTERS} too_old", id="age"),
    pytest.param([b"x" * 90], {"letter_bytes": 95}, "burnline_dead_letters_cut", id="dead letter bytes"),
    pytest.param(one(**BAD, trace_id="t" * 128), {}, "burnline_trace_ids_too_long", id="a trace id"),
    pytest.param(VARIANTS, {}, "burnline_cut_blocks", id="block bytes"),
    pytest.param(IDS, {"duplicates_window_s": 60}, "burnline_event_ids_forgotten", id="ids"),
    pytest.param(IDS, {"duplicates_window_s": 60}, "burnline_duplicates", id="duplicates"),
    pytest.param(ONE_ID, {}, "burnline_duplicates", id="duplicates that nobody looks for"),
]


@pytest.mark.parametrize(("values", "limits", "metric"), AT)
def test_at_a_limit_of_ingest_nothing_is_left_out(
    folding: Any, values: Values, limits: dict[str, Any], metric: str
) -> None:
    _, behind = folding(values, **limits)
    assert read(behind, *metric.split()) == 0


@pytest.mark.skipif(config.DISABLE_JIT, reason="thousands of events")
@pytest.mark.parametrize(("past", "cuts"), [(0, 0), (1, 1)])
def test_a_unit_of_too_many_slices_is_taken_in_pieces(folding: Any, past: int, cuts: int) -> None:
    values = events(4_096 + past, lambda n: {"completed_at": START_US + n * 10_000_000, "received_at": START_US})
    _, behind = folding(values, append_ms=START_US // 1000 + 60_000_000, limit_open_slices=4_096)
    assert read(behind, "burnline_cut_units") == cuts


def test_a_batch_that_inflates_too_far_is_counted() -> None:
    before = RawPartitionRecords.oversized
    raw = written(Batch(0, (Record(0, 1, None, bytes(100_000)),), 1, GZIP))
    for most, oversized in ((whole := 100_000 + 11, 0), (whole - 1, 1)):  # at it, and past it
        limits = (None, 0, None, None, True, 0, most)
        [block] = RawPartitionRecords(TopicPartition("t", 0), RawMemoryRecords(raw), *limits)
        assert (len(block), RawPartitionRecords.oversized - before) == (1, oversized)
    assert "burnline_oversized_batches" in CATALOGUE


FULL = (1 << 32) - 1 - 30 * 9  #: with the hour's other events
AHEAD = steady(T0 + 300, T0 + 330, 9)
MANY = [entry for label in "abc" for entry in steady(T0 + 40, T0 + 70, 9, labels=f"m={label}")]
JUDGE = [
    pytest.param({"limit_instances": 1}, MANY, 500, "burnline_judge_refused", 3, id="instances"),
    pytest.param({"limit_statuses": 1}, MANY, 500, "burnline_deferred_statuses", SOME, id="statuses of a unit"),
    pytest.param({}, steady(T0, T0 + 30, 9, slo="who"), 500, "burnline_unknown_entries", 30, id="SLOs not in force"),
    pytest.param({}, steady(T0 + 300, T0 + 330, 9), 100, "burnline_waiting_entries", 30, id="entries that wait"),
    pytest.param({"limit_waiting": 29}, AHEAD, 100, "burnline_hurried_entries", 16, id="entries judged early"),
    pytest.param({}, steady(T0 + 40, T0 + 70, 9), 100, "burnline_late_entries", 30, id="late entries"),
    pytest.param({}, steady(T0 + 200, T0 + 201, 1 << 40), 500, "burnline_clipped_events", SOME, id="events of a slice"),
]


AT_JUDGE = [
    pytest.param({"limit_instances": 4}, MANY, 500, "burnline_judge_refused", id="instances"),
    pytest.param({"limit_statuses": 4}, MANY, 500, "burnline_deferred_statuses", id="statuses of a unit"),
    pytest.param({"limit_waiting": 30}, AHEAD, 100, "burnline_hurried_entries", id="entries judged early"),
    pytest.param({}, steady(T0 + 200, T0 + 201, FULL), 500, "burnline_clipped_events", id="events of a slice"),
]


@pytest.mark.parametrize(("limits", "entries", "newest", "metric"), AT_JUDGE)
def test_at_a_limit_of_the_judge_nothing_is_put_off_or_left_out(
    limits: dict[str, Any], entries: Any, newest: int, metric: str
) -> None:
    driver = Driver(spec(watched(), **limits))
    driver.feed(counts(steady(T0, T0 + 30, 9), newest=T0 + 100), counts(entries, newest=T0 + newest))
    assert driver.fold.counters[COUNTED[metric]] == 0


@pytest.mark.parametrize(("limits", "entries", "newest", "metric", "moves"), JUDGE)
def test_a_limit_of_the_judge_is_reached_and_counted(
    limits: dict[str, Any], entries: Any, newest: int, metric: str, moves: int | None
) -> None:
    driver = Driver(spec(watched(), **limits))

    def told() -> float:
        return read([Reading(metric, driver.fold.counters[COUNTED[metric]], ("0",))], metric, "0")

    driver.feed(counts(steady(T0, T0 + 30, 9), newest=T0 + 100))
    assert told() == 0
    driver.feed(counts(entries, newest=T0 + newest))
    assert told() == moves if moves is not SOME else told() > 0


def test_a_block_of_counts_that_is_none_is_counted() -> None:
    driver = Driver(spec(watched()))
    driver.fold.fold([record_block([b"\xc3\x01nonsense", b""])], UnitFacts("slo.counts", 0, 1, 0, 2, 0))
    assert driver.fold.counters[COUNTED["burnline_unreadable_blocks"]] == 2
    assert "burnline_unreadable_blocks" in CATALOGUE


def test_ingest_passes_on_no_trace_id_that_the_judge_would_drop() -> None:
    assert exemplars.MOST_CHARACTERS == trace_ids.LONGEST
