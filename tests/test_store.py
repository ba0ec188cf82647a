"""Law: the batches of a derived partition, and their rows, are a function of its records alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import blocks
from pipeline.framing import UnknownSchema
from pipeline.records import HEADERS_MOST, Unit, UnitFacts
from pipeline.rows import Rows
from pipeline.store import STORED, Batch, CutSpec, MergingFold
from tests.derived import MIDNIGHT_S, counts_block, facts_of, slices_block
from tests.naive import store as naive
from tests.recorded import Recorded, block_of, blocks_of

TOPIC = "slo.counts"
FACTS = UnitFacts(TOPIC, 0, 1, 0, 0, 0)
CUT = CutSpec(batch_us=2_000_000, records_most=7)
MAKERS: dict[str, Any] = {"slo_counts": counts_block, "slo_slice": slices_block}
FLUSHES = st.lists(st.integers(0, 9_000_000), min_size=1, max_size=30)


def columns_of(schema: str, seed: int, flush_times_us: list[int]) -> list[dict[str, Any]]:
    """Blocks around midnight, so that batches hold two days."""
    rng = np.random.default_rng(seed)
    return [
        MAKERS[schema](
            rng, int(rng.integers(0, 9)), MIDNIGHT_S - 60 + i, **facts_of(i % 3, 100 * i, flushed, 10**6 * i)
        )
        for i, flushed in enumerate(flush_times_us)
    ]


def records_of(schema: str, columns: list[dict[str, Any]]) -> list[Recorded]:
    """Every third offset is a hole, as transactions leave them."""
    return [Recorded(3 * i // 2, blocks.encode(schema, c)) for i, c in enumerate(columns)]


def batches_of(schema: str, records: list[Recorded], cuts: list[int], cut: CutSpec = CUT) -> list[Batch]:
    """Fold records in blocks cut anywhere; one unit a block."""
    fold = MergingFold(schema, cut)
    units = [fold.fold([block], FACTS) for block in blocks_of(TOPIC, 0, records, cuts)]
    return [batch for unit in units for batch in unit.batches]


def told(batches: list[Batch]) -> list[tuple[Batch, tuple[Rows, ...]]]:
    """Batches with their rows, which are built when asked for and not compared otherwise."""
    return [(batch, batch.rows) for batch in batches]


@pytest.mark.parametrize("schema", MAKERS)
@given(seed=st.integers(0, 99), flushes=FLUSHES, cuts=st.lists(st.integers(0, 30)))
def test_batches_do_not_depend_on_the_blocks_they_arrive_in(
    schema: str, seed: int, flushes: list[int], cuts: list[int]
) -> None:
    records = records_of(schema, columns_of(schema, seed, flushes))
    assert told(batches_of(schema, records, cuts)) == told(batches_of(schema, records, []))


@pytest.mark.parametrize("schema", MAKERS)
@given(seed=st.integers(0, 99), flushes=FLUSHES)
def test_a_restart_behind_any_batch_goes_on_with_the_same_batches(schema: str, seed: int, flushes: list[int]) -> None:
    records = records_of(schema, columns_of(schema, seed, flushes))
    whole = batches_of(schema, records, [])
    for number, batch in enumerate(whole):
        rest = [record for record in records if record.offset > batch.last_offset]
        assert told(batches_of(schema, rest, [])) == told(whole[number + 1 :])


@given(flushes=FLUSHES)
def test_a_batch_ends_at_a_later_cell_or_when_it_is_full(flushes: list[int]) -> None:
    found = batches_of("slo_counts", records_of("slo_counts", columns_of("slo_counts", 1, flushes)), [])
    sizes = naive.cut(flushes, CUT.batch_us, CUT.records_most)
    firsts = np.cumsum([0, *sizes]).tolist()
    assert [b.first_offset for b in found] == [3 * i // 2 for i in firsts[:-1]]
    assert [b.last_offset for b in found] == [3 * (i - 1) // 2 for i in firsts[1:]]
    assert [b.token for b in found] == [f"{TOPIC}/0/{b.first_offset}" for b in found]


def test_a_batch_ends_before_its_values_grow_past_the_limit() -> None:
    records = records_of("slo_slice", columns_of("slo_slice", 3, [0] * 9))
    limit = len(records[0].value or b"") + len(records[1].value or b"")
    first = batches_of("slo_slice", records, [], CutSpec(records_most=100, bytes_most=limit))[0]
    assert first.last_offset == records[1].offset


TIERS = [("10s", 10), ("1m", 60), ("1h", 3_600)]


def totals(rows: list[Rows], table: str, keys: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Rows as key -> values; a key that comes twice is a failure."""
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for part in (r for r in rows if r.table == table):
        for row in zip(*part.columns.values(), strict=True):
            assert row[:keys] not in found
            assert row[keys - 1] // 86_400_000_000 == part.day
            found[row[:keys]] = row[keys:]
    return found


@pytest.mark.parametrize(("tier", "span_s"), TIERS)
@given(seed=st.integers(0, 999))
def test_count_rows_of_every_tier_are_the_sums_of_the_entries(seed: int, tier: str, span_s: int) -> None:
    columns = columns_of("slo_counts", seed, [0, 1, 2, 3, 2_000_000])
    (batch,) = batches_of("slo_counts", records_of("slo_counts", columns), [])
    assert totals(list(batch.rows), f"counts_{tier}", 4) == naive.count_totals(columns[:-1], span_s)


@pytest.mark.parametrize(("tier", "span_s"), TIERS)
@given(seed=st.integers(0, 999))
def test_slice_rows_of_every_tier_are_the_sums_of_the_entries_and_their_sketches_merged(
    seed: int, tier: str, span_s: int
) -> None:
    columns = columns_of("slo_slice", seed, [0, 1, 2, 3, 2_000_000])
    (batch,) = batches_of("slo_slice", records_of("slo_slice", columns), [])
    assert totals(list(batch.rows), f"slices_{tier}", 9) == naive.slice_totals(columns[:-1], span_s)


def test_tiers_and_days_come_in_order_and_the_mark_last() -> None:
    columns = columns_of("slo_slice", 5, [0, 1, 2, 3, 2_000_000])
    (batch,) = batches_of("slo_slice", records_of("slo_slice", columns), [])
    day = MIDNIGHT_S // 86_400
    tiers = [(f"slices_{tier}", each) for tier, _ in TIERS for each in (day - 1, day)]
    assert [(r.table, r.day) for r in batch.rows] == [*tiers, ("marks", -1)]


def test_a_day_with_more_rows_than_a_server_can_hold_is_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = columns_of("slo_counts", 5, [0, 1, 2, 3, 2_000_000])
    (whole,) = batches_of("slo_counts", records_of("slo_counts", columns), [])
    monkeypatch.setattr("pipeline.rows.ROWS_MOST", 3)
    (cut,) = batches_of("slo_counts", records_of("slo_counts", columns), [])
    assert max(len(rows) for rows in cut.rows) == 3
    assert len({(rows.table, rows.day, rows.piece) for rows in cut.rows}) == len(cut.rows)
    for tier, _ in TIERS:
        table = f"counts_{tier}"
        assert totals(list(cut.rows), table, 4) == totals(list(whole.rows), table, 4)


def test_the_mark_says_how_far_each_source_is_and_adds_its_counters() -> None:
    columns = columns_of("slo_slice", 5, [7, 8, 9, 10, 2_000_000])
    columns[1]["max_event_time"] = None
    (batch,) = batches_of("slo_slice", records_of("slo_slice", columns), [])
    mark = batch.rows[-1].columns
    assert mark["source_partition"] == [0, 1, 2]
    assert mark["first_offset"] == [0, 0, 0]
    assert mark["last_offset"] == [4, 4, 4]
    assert mark["source_next_offset"] == [400, 200, 300]
    assert mark["event_time_max"] == [3_000_000, None, 2_000_000]
    assert mark["flushed_at"] == [10, 8, 9]
    clamped = columns[0]["counters"]["clamped"] + columns[3]["counters"]["clamped"]
    assert mark["counters"][0]["clamped"] == clamped


def _twisted(schema: str, **changes: Any) -> list[Recorded]:
    """A record that does not fit, and one with which its batch is over."""
    columns, good = columns_of(schema, 11, [0, 9_000_000])
    columns |= MAKERS[schema](np.random.default_rng(1), 5, MIDNIGHT_S)
    columns |= {name: change(columns[name]) for name, change in changes.items()}
    return records_of(schema, [columns, good])


@pytest.mark.parametrize(
    ("schema", "changes"),
    [
        pytest.param("slo_counts", {"instance_index": lambda c: c + 10}, id="an instance that is not there"),
        pytest.param("slo_counts", {"good": lambda c: c[1:]}, id="a short column"),
        pytest.param("slo_counts", {"revisions": lambda c: [*c, "r2"]}, id="too many revisions"),
        pytest.param("slo_slice", {"series_index": lambda c: c - 10}, id="a negative series"),
        pytest.param("slo_slice", {"e2e_bins": lambda c: c + 1184}, id="a bin past the last"),
        pytest.param("slo_slice", {"e2e_counts": lambda c: -c}, id="negative counts"),
        pytest.param("slo_slice", {"ttft_lengths": lambda c: c + 1}, id="lengths past the bins"),
        pytest.param("slo_slice", {"labels": lambda c: c[1:]}, id="a label too few"),
        pytest.param("slo_slice", {"label_names": lambda c: ["a"] * len(c)}, id="labels nobody knows"),
    ],
)
def test_columns_that_do_not_fit_are_refused_with_their_place(schema: str, changes: Any) -> None:
    [batch] = batches_of(schema, _twisted(schema, **changes), [])
    with pytest.raises(blocks.Malformed, match=r"slo.counts/0 offset 0: column \w+ does not fit"):
        _ = batch.rows


def test_a_record_that_breaks_before_its_flush_time_is_refused_with_its_place() -> None:
    [whole, _] = _twisted("slo_counts")
    with pytest.raises(blocks.Malformed, match=r"slo.counts/0 offset 7: a slo_counts of 20 bytes breaks"):
        batches_of("slo_counts", [Recorded(7, (whole.value or b"")[:20])], [])


def test_a_value_of_an_unknown_schema_is_never_skipped() -> None:
    with pytest.raises(UnknownSchema):
        batches_of("slo_counts", [Recorded(0, b"\xc3\x01" + bytes(20))], [])


def unit_of(base_topic: str, records: list[Recorded]) -> Unit:
    facts = UnitFacts(base_topic, 2, 4, 0, 0, 0)
    unit: Unit = STORED[base_topic](CutSpec()).fold([block_of(base_topic, 2, records)], facts)
    return unit


def test_a_dead_letter_keeps_its_bytes_and_says_where_it_came_from() -> None:
    headers = (
        ("trace", b"\xff1"), ("reason", b"of the producer"),
        ("reason", b"MALFORMED"), ("detail", b"breaks at byte 7"), ("topic", b"inference.events"),
        ("partition", b"3"), ("offset", b"1234567"), ("schema_id", b"c30100"), ("append_time", b"1700000000123"),
        ("kept", b"part"),
    )  # fmt: skip
    records = [
        Recorded(5, b"\x00\xff\xfe", b"k", headers, MIDNIGHT_S * 1000 - 1),
        Recorded(6, None, None, (), MIDNIGHT_S * 1000),
    ]
    (batch,) = unit_of("inference.events.dlq", records).batches
    old, new, mark = batch.rows
    assert {name: column[0] for name, column in old.columns.items()} == {
        "dlq_topic": "inference.events.dlq", "dlq_partition": 2, "dlq_offset": 5,
        "dead_at": (MIDNIGHT_S * 1000 - 1) * 1000, "reason": b"MALFORMED", "detail": b"breaks at byte 7",
        "topic": b"inference.events", "partition": 3, "offset": 1234567, "schema_id": b"c30100",
        "key": b"k", "value": b"\x00\xff\xfe", "appended_at": 1_700_000_000_123_000, "is_whole": 0,
        "headers": {"trace": b"\xff1"},
    }  # fmt: skip
    assert (new.day, new.columns["partition"], new.columns["value"]) == (MIDNIGHT_S // 86_400, [-1], [b""])
    assert (mark.columns["first_offset"], mark.columns["last_offset"]) == ([5], [6])
    assert batch.token == "inference.events.dlq/2/5-6"


@pytest.mark.parametrize(
    ("time_ms", "expected"),
    [
        pytest.param(b"1700000000123", 1_700_000_000_123_000, id="a time"),
        pytest.param(b"-1", None, id="not known"),
        pytest.param(b"9223372036854775807", None, id="past all time"),
        pytest.param(b"-9223372036854775808", None, id="before all time"),
        pytest.param(b"9" * 5_000, None, id="no number"),
    ],
)
def test_a_producers_time_that_is_none_does_not_stop_the_store(time_ms: bytes, expected: int | None) -> None:
    headers = (("reason", b"malformed"), ("append_time", time_ms))
    (batch,) = unit_of("inference.events.dlq", [Recorded(5, b"v", b"k", headers, 1_000)]).batches
    assert batch.rows[0].columns["appended_at"] == [expected]


def test_more_headers_than_anybody_reads_do_not_stop_the_store() -> None:
    headers = (*(("", b"") for _ in range(HEADERS_MOST)), ("reason", b"malformed"))
    records = [Recorded(5, b"v", b"k", headers, 1_000), Recorded(6, b"w", b"k", (("reason", b"unframed"),), 1_000)]
    (batch,) = unit_of("inference.events.dlq", records).batches
    letters, mark = batch.rows
    assert (letters.columns["value"], letters.columns["reason"]) == ([b"v", b"w"], [b"", b"unframed"])
    assert mark.columns["last_offset"] == [6]


def test_a_marker_among_dead_letters_says_which_were_fed_again_and_is_none_itself() -> None:
    records = [
        Recorded(5, b"value", b"k", (("reason", b"malformed"),), 1_000),
        Recorded(6, b"[[2, 4], [5, 5]]", None, (("x-burnline-marker", b"1"),), 2_000),
        Recorded(7, b"no list of ranges", None, (("x-burnline-marker", b"1"),), 2_000),
    ]
    (batch,) = unit_of("inference.events.dlq", records).batches
    letters, fed, mark = batch.rows
    assert letters.columns["dlq_offset"] == [5]
    assert (fed.table, fed.columns["first_offset"], fed.columns["last_offset"]) == ("redriven_letters", [2, 5], [4, 5])
    assert fed.columns["redriven_at"] == [2_000_000, 2_000_000]
    assert mark.columns["last_offset"] == [7]


def test_a_tombstone_deletes_its_slo_instance() -> None:
    records = [Recorded(9, None, b"chat-ttft|region=eu", (), 1_000)]
    (batch,) = unit_of("slo.status", records).batches
    columns = batch.rows[0].columns
    assert (columns["slo"], columns["instance"], columns["is_deleted"]) == (["chat-ttft"], ["region=eu"], [1])
    assert columns["watermark"] == [1_000_000]


def test_small_records_are_cut_into_batches_that_cover_them_all() -> None:
    records = [Recorded(i, bytes(1000), b"k") for i in range(100)]
    fold = STORED["inference.events.dlq"](CutSpec(bytes_most=10_000))
    unit = fold.fold([block_of("inference.events.dlq", 0, records)], UnitFacts("inference.events.dlq", 0, 1, 0, 0, 0))
    assert [(b.first_offset, b.last_offset) for b in unit.batches] == [(i, i + 9) for i in range(0, 100, 10)]


def test_small_blocks_of_one_unit_are_one_batch() -> None:
    blocks = [
        block_of("inference.events.dlq", 0, [Recorded(i, b"value %d" % i, b"key %d" % i) for i in range(at, at + 3)])
        for at in range(0, 12, 3)
    ]
    facts = UnitFacts("inference.events.dlq", 0, 1, 0, 12, 0)
    (batch,) = STORED["inference.events.dlq"](CutSpec()).fold(blocks, facts).batches
    rows, mark = batch.rows
    assert rows.columns["value"] == [b"value %d" % i for i in range(12)]
    assert rows.columns["key"] == [b"key %d" % i for i in range(12)]
    assert rows.columns["dlq_offset"] == list(range(12))
    assert mark.columns["counters"] == [{"records": 12}]
    assert STORED["inference.events.dlq"](CutSpec()).fold([], facts).batches == []


@given(
    st.lists(
        st.tuples(
            st.none() | st.binary(max_size=200),
            st.none() | st.binary(max_size=9),
            st.lists(st.tuples(st.text(max_size=80), st.binary(max_size=300)), max_size=4),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_block_gives_back_every_record_with_its_headers(given_records: list[Any]) -> None:
    block = block_of("t", 0, [Recorded(i, v, k, tuple(h)) for i, (v, k, h) in enumerate(given_records)])
    found = [(block.value(i), block.key(i), list(block.headers(i))) for i in range(len(block))]
    assert found == [(value, key, headers) for value, key, headers in given_records]
