"""Law: what anybody writes to inference.changes becomes a row, or a dead letter that says why; no store stops."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import blocks, changes
from pipeline.foreign import Unusable
from pipeline.framing import Framing, confluent_header, single_object_header
from pipeline.records import UnitFacts
from pipeline.rows import Rows
from pipeline.store import STORED, CutSpec
from schemas import avro_text
from tests.naive.blocks import schema_of, write
from tests.recorded import Recorded, block_of, blocks_of

TOPIC = "inference.changes"
AT_US = 1_767_323_045_000_000  # 2026-01-02 03:04:05
APPENDED_MS = AT_US // 1000 + 7
YEAR_US = 366 * 86_400_000_000
MINIMAL = {"change_id": "run-7", "at": AT_US, "kind": "DEPLOY", "service": "chat", "title": "vllm 0.9.1"}
WHOLE = {
    **MINIMAL, "kind": "KNOB", "request_model": "llama", "variant": "h100-fp8", "region": "eu",
    "before": {"max_num_seqs": "256"}, "after": {"max_num_seqs": "512"}, "actor": "ann", "url": "https://ci/7",
    "until": AT_US + 60_000_000, "config_epoch": "h100-fp8",
}  # fmt: skip


def value(**fields: Any) -> bytes:
    """Write a change as another program would, by fastavro."""
    record = {f["name"]: f.get("default") for f in schema_of(changes.SCHEMA)["fields"]}
    payload = write(schema_of(changes.SCHEMA), {**record, **MINIMAL, **fields})
    return single_object_header(avro_text(changes.SCHEMA)) + payload


def rows_of(*values: bytes | None, appended_ms: int = APPENDED_MS) -> dict[str, Rows]:
    """Store records; return the rows by table."""
    records = [Recorded(3 * i, each, b"chat", (("run", b"7"),), appended_ms) for i, each in enumerate(values)]
    return stored(records)


def stored(records: list[Recorded]) -> dict[str, Rows]:
    unit = STORED[TOPIC](CutSpec()).fold([block_of(TOPIC, 0, records)], UnitFacts(TOPIC, 0, 1, 0, 0, 0))
    (batch,) = unit.batches
    return {rows.table: rows for rows in batch.rows}


def first(rows: Rows) -> dict[str, Any]:
    return {name: column[0] for name, column in rows.columns.items()}


def test_what_is_not_said_of_a_change_is_of_all_or_unknown() -> None:
    found = rows_of(value())
    assert set(found) == {"change_records", "marks"}
    nothing = {"before": {}, "after": {}, "actor": "", "url": None, "until": None, "config_epoch": None}
    scope = {"request_model": "", "variant": "", "region": ""}
    assert first(found["change_records"]) == {**MINIMAL, **nothing, **scope, "appended_at": APPENDED_MS * 1000}


def test_all_that_is_said_is_kept() -> None:
    assert first(rows_of(value(**WHOLE))["change_records"]) == {**WHOLE, "appended_at": APPENDED_MS * 1000}


def test_what_cannot_be_used_is_a_dead_letter_where_it_lies_and_its_neighbours_are_kept() -> None:
    found = rows_of(value(change_id="a"), b"no change", value(change_id="b"))
    assert found["change_records"].columns["change_id"] == ["a", "b"]
    assert first(found["dead_letter_records"]) == {
        "dlq_topic": TOPIC, "dlq_partition": 0, "dlq_offset": 3, "dead_at": APPENDED_MS * 1000, "reason": b"unframed",
        "detail": b"the value begins with 6e6f206368616e6765: neither 00 and a schema id nor c301 and a fingerprint",
        "topic": TOPIC.encode(), "partition": 0, "offset": 3, "schema_id": b"6e6f206368",
        "appended_at": APPENDED_MS * 1000, "is_whole": 1, "headers": {"run": b"7"}, "key": b"chat",
        "value": b"no change",
    }  # fmt: skip
    assert found["marks"].columns["last_offset"] == [6]


UNUSABLE = [
    pytest.param(None, "null_value", "cannot be deleted", id="a tombstone"),
    pytest.param(b"", "unframed", "begins with nothing", id="nothing"),
    pytest.param(b"\xc3\x01" + bytes(9), "unknown_schema", "c301", id="a schema nobody knows"),
    pytest.param(confluent_header(7) + b"x", "unknown_schema", "0000000007", id="an id nobody knows"),
    pytest.param(value()[:-1], "malformed", "breaks at byte", id="cut off"),
    pytest.param(value() + b"x", "malformed", "ends at byte", id="followed by more"),
    pytest.param(value(title="x" * 70_000), "too_large", "65536", id="a book"),
    pytest.param(value(change_id=""), "empty_field", "change_id", id="no name"),
    pytest.param(value(service=" "), "empty_field", "service", id="no service"),
    pytest.param(value(title=""), "empty_field", "title", id="no title"),
    pytest.param(value(title="é" * 513), "too_long", "title has 1026 bytes", id="a long title"),
    pytest.param(value(url="x" * 1025), "too_long", "url", id="a long address"),
    pytest.param(value(after={"k": "v" * 1025}), "too_long", "after", id="a long value of a knob"),
    pytest.param(value(before={str(i): "" for i in range(101)}), "too_many_knobs", "before", id="too many knobs"),
    pytest.param(value(at=-1), "too_old", "1970", id="before 1970"),
    pytest.param(value(at=APPENDED_MS * 1000 + YEAR_US), "far_future", "microseconds", id="in a year"),
    pytest.param(value(until=AT_US), "ends_first", "until", id="over as it begins"),
    pytest.param(value(until=1 << 62), "far_future", "2100", id="for ever"),
]


@pytest.mark.parametrize(("record", "reason", "detail"), UNUSABLE)
def test_a_record_that_is_no_change_says_why(record: bytes | None, reason: str, detail: str) -> None:
    letter = first(rows_of(record)["dead_letter_records"])
    assert letter["reason"] == reason.encode()
    assert detail in letter["detail"].decode()
    assert letter["value"] == (record or b"")


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(value(at=0), id="in 1970"),
        pytest.param(value(at=APPENDED_MS * 1000 + YEAR_US - 1), id="in almost a year"),
        pytest.param(value(title="é" * 512, after={str(i): "" for i in range(100)}), id="as long as may be"),
        pytest.param(value(until=AT_US + 1), id="for a microsecond"),
    ],
)
def test_at_the_edge_it_is_a_change(record: bytes) -> None:
    assert "dead_letter_records" not in rows_of(record)


@pytest.mark.parametrize("appended_ms", [-1, 1 << 62])
def test_a_topic_without_the_brokers_own_time_does_not_stop_the_store(appended_ms: int) -> None:
    found = rows_of(value(), b"x", appended_ms=appended_ms)
    times = [*found["change_records"].columns["appended_at"], *found["dead_letter_records"].columns["dead_at"]]
    assert all(0 <= each <= 120_000 * 86_400_000_000 for each in [*times, *found["marks"].columns["flushed_at"]])


def test_a_schema_of_the_registry_is_read() -> None:
    framing = Framing(registered={7: avro_text(changes.SCHEMA)})
    assert changes.read(confluent_header(7) + value()[10:], AT_US, framing)["change_id"] == "run-7"


@pytest.mark.parametrize("schema", ['"string"', "[]", "no JSON", '{"type": "record", "name": "x", "fields": []}'])
def test_a_schema_of_the_registry_that_is_no_change_s_does_not_stop_the_store(schema: str) -> None:
    with pytest.raises(Unusable) as refused:
        changes.read(confluent_header(7) + value()[10:], AT_US, Framing(registered={7: schema}))
    assert refused.value.flaw.reason in {"schema_mismatch", "malformed"}


@given(st.binary(max_size=200) | st.integers(0, 200).map(lambda cut: value(**WHOLE)[:cut]))
def test_whatever_is_written_is_a_change_or_unusable(record: bytes) -> None:
    try:
        columns = changes.read(record, AT_US)
    except Unusable as unusable:
        assert unusable.flaw.reason and unusable.flaw.detail
    else:
        assert changes.flaw(columns, AT_US) is None


@given(cuts=st.lists(st.integers(1, 5), max_size=3))
def test_rows_do_not_depend_on_the_blocks_they_arrive_in(cuts: list[int]) -> None:
    records = [Recorded(i, value(change_id=str(i)) if i % 3 else b"x", b"chat", (), APPENDED_MS + i) for i in range(6)]
    fold = STORED[TOPIC](CutSpec())
    found: dict[str, dict[str, list[Any]]] = {}
    for block in blocks_of(TOPIC, 0, records, cuts):
        for batch in fold.fold([block], UnitFacts(TOPIC, 0, 1, 0, 0, 0)).batches:
            for rows in batch.rows:
                columns = found.setdefault(rows.table, {name: [] for name in rows.columns})
                for name, column in rows.columns.items():
                    columns[name] += column
    whole = stored(records)
    for table in ("change_records", "dead_letter_records"):
        assert found[table] == whole[table].columns


def test_the_same_told_twice_is_the_same_change_and_anything_else_another() -> None:
    told = blocks.decode(changes.SCHEMA, value(**WHOLE))
    del told["change_id"]
    names = {changes.id_of(told), changes.id_of(dict(reversed(told.items())))}
    assert len(names) == 1
    assert all(changes.id_of({**told, name: f"{each}!"}) not in names for name, each in told.items())


@pytest.mark.parametrize(
    ("variant", "after", "same_as"),
    [
        pytest.param("h100", {"a": "1"}, ("h100", {}), id="a variant names its configuration"),
        pytest.param(None, {"a": "1", "b": "2"}, ("", {"b": "2", "a": "1"}), id="knobs in any order"),
    ],
)
def test_the_same_configuration_is_the_same_epoch(variant: Any, after: Any, same_as: Any) -> None:
    assert changes.epoch_of(variant, after) == changes.epoch_of(*same_as)
    assert changes.epoch_of(None, {}) is None
    assert changes.epoch_of(None, {"a": "1"}) != changes.epoch_of(None, {"a": "2"})
