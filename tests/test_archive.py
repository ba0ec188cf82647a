"""Events as rows: each column says what fastavro reads of the same bytes, whichever schema wrote them."""

import json
import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import archive
from pipeline.blocks import Malformed
from pipeline.framing import SINGLE_OBJECT, Framing, UnknownSchema, confluent_header
from pipeline.rows import Rows
from schemas import avro_text
from tests.event_samples import sample
from tests.ingest_reading import framed
from tests.naive import events as naive

NEWEST = json.loads(avro_text("inference_event"))
DAY_US = 86_400_000_000


def block_of(values: list[bytes], append_ms: int = -1, **columns: Any) -> dict[str, Any]:
    count = len(values)
    return {
        "source_topic": "events", "source_partition": 3, "event_values": b"".join(values),
        "event_ratios": np.full(count, 0.25),
        "event_lengths": np.array([len(value) for value in values]), "event_offsets": np.arange(100, 100 + count),
        "event_append_ms": np.full(count, append_ms), "event_is_bad": np.arange(count) % 2, **columns,
    }  # fmt: skip


def told(rows: list[Rows]) -> dict[int, dict[str, Any]]:
    """Each row by its offset, as the server would have it."""
    found = {}
    for each in rows:
        for i, offset in enumerate(each.columns["source_offset"]):
            found[offset] = {name: _had(name, column[i]) for name, column in each.columns.items()}
    return found


def _had(name: str, value: Any) -> Any:
    if value == archive.NULL or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        return (value if name == "itl_sketch" else value.decode()) or (None if name in archive.OPTIONAL else "")
    return value


def expected(event: dict[str, Any]) -> dict[str, Any]:
    """The server keeps no text that is empty and may be missing."""
    return {name: None if name in archive.OPTIONAL and value in ("", b"") else value for name, value in event.items()}


@given(st.integers(0, 10_000))
def test_a_row_says_what_the_event_says(seed: int) -> None:
    random = Random(seed)
    events = [sample(random, 3 * DAY_US) for _ in range(random.randrange(1, 30))]
    values = [value for value in framed(events) if value is not None]
    rows = archive.event_rows(
        [block_of(values[:3]), block_of(values[3:], event_offsets=np.arange(103, 100 + len(values)))], SINGLE_OBJECT
    )
    found = told(rows)
    assert sorted(found) == list(range(100, 100 + len(values)))
    for i, value in enumerate(values):
        row, event = found[100 + i], naive.read(value[10:])
        assert event is not None
        assert {name: row[name] for name in event} == expected(event)
        assert (row["source_topic"], row["source_partition"], row["sample_ratio"]) == ("events", 3, 0.25)
    for each in rows:
        assert {at // DAY_US for at in each.columns["counted_at"]} == {each.day}


def test_an_event_of_the_far_future_counts_at_its_append_time() -> None:
    event = sample(Random(1)) | {"completed_at": 5 * DAY_US, "received_at": 4 * DAY_US}
    values = [value for value in framed([event]) if value]
    (late,), (plain,) = (
        archive.event_rows([block_of(values, ms)], SINGLE_OBJECT) for ms in (3 * 86_400_000, 5 * 86_400_000)
    )
    assert (late.day, late.columns["counted_at"], late.columns["completed_at"]) == (3, [3 * DAY_US], [5 * DAY_US])
    assert (plain.day, plain.columns["counted_at"]) == (5, [5 * DAY_US])


def written(schema: Any, event: dict[str, Any]) -> list[Rows]:
    framing = Framing(registered={9: json.dumps(schema)})
    return archive.event_rows([block_of([confluent_header(9) + naive.write(event, schema)])], framing)


def without(*names: str) -> list[Any]:
    return [field for field in NEWEST["fields"] if field["name"] not in names]


def test_a_writer_with_fields_of_its_own_in_another_order_is_read_by_name() -> None:
    inner = {"type": "record", "name": "Inner", "fields": [
        {"name": "x", "type": {"type": "fixed", "name": "Three", "size": 3}}, {"name": "y", "type": ["null", "Three"]},
    ]}  # fmt: skip
    own = [
        {"name": "own", "type": ["null", inner]}, {"name": "more", "type": inner | {"name": "Second", "fields": []}},
        {"name": "list", "type": {"type": "array", "items": "double"}}, {"name": "nothing", "type": "null"},
    ]  # fmt: skip
    schema = {**NEWEST, "fields": [*own, *reversed(without("tenant_id", "attempt", "adm_kv_usage"))]}
    event = sample(Random(5))
    for nested in (None, {"x": b"abc", "y": None}, {"x": b"abc", "y": b"def"}):
        (rows,) = written(schema, {**event, "own": nested, "more": {}, "list": [1.0, 2.0], "nothing": None})
        row = told([rows])[100]
        assert (row["tenant_id"], row["attempt"], row["adm_kv_usage"]) == ("default", 1, None)
        assert row["request_model"] == event["request_model"]
        assert row["attributes"] == event["attributes"]


def test_symbols_that_only_the_writer_knows_are_kept() -> None:
    outcome = {"type": "enum", "name": "Outcome", "symbols": ["LOST", "SUCCESS"]}
    schema = {**NEWEST, "fields": [*without("outcome"), {"name": "outcome", "type": outcome}]}
    assert told(written(schema, sample(Random(5)) | {"outcome": "LOST"}))[100]["outcome"] == "LOST"


@pytest.mark.parametrize(
    "kind", [["null", "int", "string"], {"type": "array", "items": {"type": "array", "items": "int"}}],
    ids=["a union of three", "a list of lists"],
)  # fmt: skip
def test_events_that_no_program_can_read_have_no_rows(kind: Any) -> None:
    schema = {**NEWEST, "fields": [*NEWEST["fields"], {"name": "own", "type": kind}]}
    assert written(schema, {**sample(Random(5)), "own": None if isinstance(kind, list) else []}) == []


def test_writers_of_several_schemas_and_cut_bytes_stand_side_by_side() -> None:
    schema = {**NEWEST, "fields": list(reversed(NEWEST["fields"]))}
    event = sample(Random(6))
    framing = Framing(registered={9: json.dumps(schema)})
    one, two = framed([event])[0] or b"", confluent_header(9) + naive.write(event, schema)
    rows = archive.event_rows([block_of([one, two, one[:-1], one])], framing)
    assert sorted(told(rows)) == [100, 101, 103]
    assert len({(each.day, each.piece) for each in rows}) == len(rows)


def test_what_a_schema_wrote_that_is_not_known_yet_is_never_skipped() -> None:
    event = sample(Random(6))
    block = block_of([framed([event])[0] or b"", confluent_header(9) + naive.write(event, NEWEST)])
    with pytest.raises(UnknownSchema, match="0000000009"):
        archive.event_rows([block], SINGLE_OBJECT)
    assert sorted(told(archive.event_rows([block], Framing(registered={9: json.dumps(NEWEST)})))) == [100, 101]


def test_a_text_at_an_edge_is_kept_whole() -> None:
    odd = {
        "error_type": "ends with zeros\0\0",
        "drop_reason": "x" * 300,
        "finish_reason": "",
        "attributes": {"k\0": "v\0"},
    }
    row = told(archive.event_rows([block_of([v for v in framed([sample(Random(7)) | odd]) if v])], SINGLE_OBJECT))[100]
    assert {name: row[name] for name in odd} == {**odd, "finish_reason": None}


@pytest.mark.parametrize("name", ["lengths", "offsets", "is_bad", "ratios"])
def test_columns_that_do_not_fit_together_are_refused(name: str) -> None:
    block = block_of([value for value in framed([sample(Random(1)) for _ in range(3)]) if value])
    block[f"event_{name}"] = block[f"event_{name}"][1:]
    with pytest.raises(Malformed, match="do not fit"):
        archive.event_rows([block], SINGLE_OBJECT)


def test_blocks_without_events_have_no_rows() -> None:
    assert archive.event_rows([{"source_topic": "events"}], SINGLE_OBJECT) == []
