"""Law: rows of which a server kept only the token are found and inserted; what it has is never added twice."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.store import ClickHouseLedger
from pipeline.blocks import encode
from pipeline.embedded import EmbeddedClickHouse
from pipeline.records import Unit, UnitFacts
from pipeline.rows import TALLIES, Rows
from pipeline.sinks.clickhouse import ClickHouse
from pipeline.sinks.repeating import insert_again, lacking, sums
from pipeline.sinks.tables import TABLES
from pipeline.store import STORED, Batch, CutSpec
from tests.derived import counts_block, facts_of
from tests.naive import store as naive
from tests.recorded import Recorded, block_of
from tests.sinks.storing import TIERS, added, count_sums, settings_of, slice_sums, story_of
from tests.sinks.test_clickhouse import expected_slices, last_midnight_s
from tests.sinks.test_events import events_of, records_of

DAY_S = 86_400
SPANS_S = {"counts_10s": 10, "counts_1m": 60, "counts_1h": 3_600}
ALL = dict.fromkeys(SPANS_S, 0)  #: no tier has dropped anything


# -- which pieces a tier lacks
def pieces_of(entries: list[tuple[str, int, int]]) -> dict[str, list[Rows]]:
    """Name, second and good of entries, as the store's rows: each tier by itself, each day a piece."""
    found: dict[str, list[Rows]] = {}
    for table, span_s in SPANS_S.items():
        cells = Counter[tuple[int, str, int]]()
        for name, second, good in entries:
            cells[second // DAY_S, name, second // span_s * span_s] += good
        for day in sorted({day for day, _, _ in cells}):
            mine = [(name, start, good) for (at, name, start), good in sorted(cells.items()) if at == day]
            names: dict[str, list[Any]] = {
                "slo": [name for name, _, _ in mine],
                "instance": [""] * len(mine),
                "revision": [""] * len(mine),
            }
            columns: dict[str, list[Any]] = {
                "slice_start": [start * 1_000_000 for _, start, _ in mine],
                "good": [good for *_, good in mine],
            }
            rest: dict[str, list[Any]] = {"bad": [0] * len(mine), "excluded": [0] * len(mine)}
            found.setdefault(table, []).append(Rows(table, day, names | columns | rest))
    return found


ENTRIES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(DAY_S - 7_200, DAY_S + 7_199), st.integers(0, 5)),
    min_size=1, max_size=12,
)  # fmt: skip


@given(ENTRIES, ENTRIES, st.data())
def test_exactly_what_was_taken_is_lacking(before: Any, entries: Any, data: st.DataObject) -> None:
    """One tier at least has a piece: a server forgets one insert each time that it is killed."""
    adds = {table: [(rows, sums(rows, "counts")) for rows in pieces] for table, pieces in pieces_of(entries).items()}
    whole = data.draw(st.sampled_from(sorted(adds)))
    taken = [each for table, pieces in adds.items() if table != whole for each in pieces if data.draw(st.booleans())]
    earlier = {t: sum((sums(rows, "counts") for rows in p), Counter()) for t, p in pieces_of(before).items()}
    stored = {
        table: sum((one for rows, one in pieces if not any(rows is lost for lost, _ in taken)), earlier[table])
        for table, pieces in adds.items()
    }
    assert lacking(adds, stored, ALL) == [rows for rows, one in taken if one]


def test_what_no_piece_explains_is_not_mended() -> None:
    adds = {table: [(rows, sums(rows, "counts")) for rows in p] for table, p in pieces_of([("a", 5, 3)]).items()}
    stored = {table: Counter({("a", "", "", 0, "good"): 3}) for table in SPANS_S}
    assert lacking(adds, stored, ALL) == []
    stored["counts_1m"] = Counter({("a", "", "", 0, "good"): 2})
    assert lacking(adds, stored, ALL) is None
    stored["counts_1m"] = Counter({("a", "", "", 0, "good"): 7})  # another writer is about to write the other tiers
    assert lacking(adds, stored, ALL) is None


def test_what_a_tier_has_dropped_for_its_age_is_not_missed_and_hides_nothing_that_is() -> None:
    old, new = ("a", "", "", 1, "good"), ("a", "", "", 400, "good")
    tables = pieces_of([("a", 3_605, 3), ("a", 400 * 3_600, 2)])
    since = ALL | {"counts_10s": 100}
    adds = {table: [(rows, sums(rows, "counts", since[table])) for rows in pieces] for table, pieces in tables.items()}
    whole = Counter({old: 9, new: 5})
    assert lacking(adds, {table: whole for table in tables} | {"counts_10s": Counter({new: 5})}, since) == []
    stored = {"counts_10s": Counter({new: 3}), "counts_1m": Counter({old: 6, new: 5}), "counts_1h": whole}
    assert lacking(adds, stored, since) == [tables["counts_10s"][1], tables["counts_1m"][0]]


def test_sums_are_of_hours() -> None:
    columns = {
        "slo": ["a"] * 3,
        "instance": [""] * 3,
        "revision": ["r"] * 3,
        "slice_start": [0, 3_599_999_999, 3_600_000_000],
    }
    rows = Rows("counts_10s", 0, columns | {name: [1, 2, 0] for name in TALLIES})
    assert sums(rows, "counts") == {("a", "", "r", 0, name): 3 for name in TALLIES}


# -- a real server
@pytest.fixture
def sink(clickhouse: EmbeddedClickHouse) -> Iterator[ClickHouse]:
    found = ClickHouse(settings_of(clickhouse))
    yield found
    found.close()


def cut_off(server: EmbeddedClickHouse, sink: ClickHouse, batch: Batch, done: int) -> None:
    """Insert some pieces of a batch; of the last the server keeps the token alone, as after kill -9 between the two."""
    last = batch.rows[done - 1]
    table = last.table
    with server.client() as client:
        client.execute(f"SYSTEM STOP MERGES {table}")
        for rows in batch.rows[:done]:
            sink.insert(rows, batch.token)
        ((path,),) = client.execute(
            "SELECT path FROM system.parts WHERE active AND database = currentDatabase() AND table = %(table)s "
            "ORDER BY max_block_number DESC LIMIT 1",
            {"table": table},
        )
        client.execute(f"DETACH TABLE {table} SYNC")
        try:
            shutil.rmtree(Path(path))
        finally:
            client.execute(f"ATTACH TABLE {table}")
        client.execute(f"SYSTEM STOP MERGES {table}")
        before = client.execute(f"SELECT count() FROM {table}")
        sink.insert(last, batch.token)
        assert client.execute(f"SELECT count() FROM {table}") == before  # the token alone is believed
        client.execute(f"SYSTEM START MERGES {table}")


@pytest.mark.servers
@pytest.mark.parametrize(("kind", "cut"), [("slices", (1, 4, 6, 7)), ("counts", (2, 3, 5))])
def test_a_piece_of_which_only_the_token_was_kept_is_inserted_again_and_no_other(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str, kind: str, cut: tuple[int, ...]
) -> None:
    """Two days in three tiers, and the mark: of each batch another one is what was cut off."""
    story = story_of(f"slo.{kind}", topic_prefix, topic_prefix, last_midnight_s())
    left = list(cut)
    for batch in story.batches:
        if left and len(batch.rows) == 7:
            cut_off(clickhouse, sink, batch, left.pop())
        insert_again(sink, batch)
    assert not left
    insert_again(sink, story.batches[1])
    with clickhouse.client() as client:
        for tier in TIERS:
            if kind == "slices":
                assert slice_sums(client, tier, topic_prefix) == expected_slices(story), tier
            else:
                assert count_sums(client, tier, topic_prefix) == [added(naive.count_totals(story.stored))], tier
    assert sink.high_mark(story.topic, 0) == story.batches[-1].last_offset


@pytest.mark.servers
def test_a_mark_of_which_only_the_token_was_kept_does_not_hold_the_store_for_ever(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str
) -> None:
    story = story_of("slo.counts", topic_prefix, topic_prefix, last_midnight_s())
    batch = story.batches[0]
    cut_off(clickhouse, sink, batch, len(batch.rows))
    assert sink.high_mark(story.topic, 0) is None
    insert_again(sink, batch)
    assert sink.high_mark(story.topic, 0) == batch.last_offset


@pytest.mark.servers
def test_events_of_which_only_the_token_was_kept_are_there_once(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str
) -> None:
    block = block_of(f"{topic_prefix}slo.slices", 0, records_of(events_of(topic_prefix), topic_prefix))
    (batch,) = STORED["slo.slices"](CutSpec()).fold([block], UnitFacts(block.topic, 0, 1, 0, 5, 0)).batches
    done = [rows.table for rows in batch.rows].index("event_records") + 2
    cut_off(clickhouse, sink, batch, done)
    with clickhouse.client() as client:
        asked = "SELECT count(), uniqExact(source_offset) FROM event_records WHERE service = %(name)s"
        ((count, _),) = client.execute(asked, {"name": topic_prefix})
        assert count < 400
        insert_again(sink, batch)
        insert_again(sink, batch)
        assert client.execute(asked, {"name": topic_prefix}) == [(400, 400)]


def steady(prefix: str) -> list[Batch]:
    """Batches of one good event each, all of one instance and hour: the one before adds what the next one does."""
    columns = [
        counts_block(np.random.default_rng(1), 1, last_midnight_s(), prefix, **facts_of(0, i, i * 2_000_000, None))
        for i in range(4)
    ]
    records = [Recorded(i, encode("slo_counts", each)) for i, each in enumerate(columns)]
    block = block_of(f"{prefix}slo.counts", 0, records)
    return STORED["slo.counts"](CutSpec()).fold([block], UnitFacts(block.topic, 0, 1, 0, 4, 0)).batches


def once_each(batches: list[Batch], server: EmbeddedClickHouse, slo: str) -> None:
    """Every tier has what all these batches add, once."""
    for tier in TIERS:
        pieces = [rows for batch in batches for rows in batch.rows if rows.table == f"counts_{tier}"]
        sums_of = [sum(sum(rows.columns[name]) for rows in pieces) for name in TALLIES]
        with server.client() as client:
            assert count_sums(client, tier, slo) == [tuple(sums_of)], tier


@pytest.mark.servers
def test_what_another_writer_has_begun_of_its_next_batch_is_not_taken_for_what_is_lacking(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str
) -> None:
    """It stands still in between, for longer than two looks take."""
    first, second, *_ = steady(topic_prefix)
    for rows in first.rows:
        sink.insert(rows, first.token)
    sink.insert(second.rows[0], second.token)
    insert_again(sink, first)
    insert_again(sink, second)
    once_each([first, second], clickhouse, topic_prefix)


@pytest.mark.servers
def test_who_finds_a_batch_stored_by_another_looks_for_what_that_one_left_of_the_next(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str
) -> None:
    batches, ledger = steady(topic_prefix)[:2], ClickHouseLedger(settings_of(clickhouse))

    async def taken_over() -> None:
        tp = TP(batches[0].topic, 0)
        await ledger.open(tp)
        insert_again(sink, batches[0])
        cut_off(clickhouse, sink, batches[1], 1)
        await ledger.write(tp, Unit(batches=batches), UnitFacts(tp.topic, 0, 1, 0, 0, 0))
        await ledger.close()

    asyncio.run(taken_over())
    once_each(batches, clickhouse, topic_prefix)


class Replicated(ClickHouse):
    """As if Keeper were there."""

    def has_keeper(self) -> bool:
        return True


@pytest.mark.servers
def test_where_keeper_takes_token_and_part_at_once_what_a_replica_lags_behind_is_not_inserted_again(
    clickhouse: EmbeddedClickHouse, sink: ClickHouse, topic_prefix: str
) -> None:
    """What is missing here stands in for what has not come to the replica that is asked."""
    batch, replicated = steady(topic_prefix)[0], Replicated(settings_of(clickhouse))
    cut_off(clickhouse, sink, batch, 2)
    insert_again(replicated, batch)
    replicated.close()
    with clickhouse.client() as client:
        assert [count_sums(client, tier, topic_prefix)[0] != (0, 0, 0) for tier in TIERS] == [True, False, True]
    assert not sink.has_keeper()


@pytest.mark.servers
def test_all_other_tables_take_a_row_twice(clickhouse: EmbeddedClickHouse) -> None:
    looked_for = ("counts_", "slices_", "marks", "event_records")
    asked = "SELECT name, engine FROM system.tables WHERE database = currentDatabase()"
    with clickhouse.client() as client:
        engines = dict(client.execute(asked))
    others = {table: engines[table] for table in TABLES if not table.startswith(looked_for)}
    assert len(others) > 5 and set(others.values()) == {"ReplacingMergeTree"}
