"""The block codec against fastavro, both ways, for every schema we ship."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import blocks
from pipeline.framing import Framing, UnknownSchema, confluent_header, single_object_header
from pipeline.resolution import conversion
from schemas import HOME, avro_text
from tests.naive import blocks as naive

NAMES = sorted(path.stem for path in (HOME / "avro").glob("*.avsc"))
INTS, LONGS = st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 63), (1 << 63) - 1)
#: mostly numbers as they come, some of the longest
SOME_LONGS = st.one_of(st.integers(0, 300), st.integers(-(1 << 35), 1 << 35), LONGS)
LEAVES = {
    "int": INTS,
    "long": LONGS,
    "double": st.floats(allow_nan=False),
    "float": st.floats(allow_nan=False, width=32),
    "string": st.text(max_size=12),
    "bytes": st.binary(max_size=12),
    "boolean": st.booleans(),
    "null": st.none(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of an Avro type."""
    if isinstance(kind, list):
        return st.one_of(*(values_of(branch) for branch in kind))
    if not isinstance(kind, dict):
        return LEAVES[kind]
    if kind["type"] == "enum":
        return st.sampled_from(kind["symbols"])
    if kind["type"] == "array":
        numbers = kind["items"] == "long"
        return st.lists(SOME_LONGS if numbers else values_of(kind["items"]), max_size=20)
    if kind["type"] == "map":
        return st.dictionaries(st.text(max_size=5), values_of(kind["values"]), max_size=3)
    return LEAVES[kind["type"]]


def records_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({f["name"]: values_of(f["type"]) for f in naive.schema_of(name)["fields"]})


def as_plain(columns: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in columns.items()}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_what_we_write_fastavro_reads_and_what_it_writes_we_read(name: str, data: st.DataObject) -> None:
    record = data.draw(records_of(name))
    value = blocks.encode(name, record)
    header = single_object_header(avro_text(name))
    assert value == header + naive.write(naive.schema_of(name), record)
    assert as_plain(blocks.decode(name, value)) == record


@given(st.lists(st.lists(SOME_LONGS, min_size=1, max_size=40), max_size=4), st.booleans())
def test_arrays_in_several_blocks_read_as_one(parts: list[list[int]], sized: bool) -> None:
    """A writer may cut an array into blocks and put a size behind a negative count."""
    encoded = b""
    for part in parts:
        items = b"".join(naive.write("long", x) for x in part)
        count = (
            naive.write("long", -len(part)) + naive.write("long", len(items))
            if sized
            else naive.write("long", len(part))
        )
        encoded += count + items
    record = counts_record()
    whole = blocks.encode("slo_counts", {**record, "measured_slices": []})
    marked = blocks.encode("slo_counts", {**record, "measured_slices": [77777]})
    at = marked.index(b"\x02" + naive.write("long", 77777) + b"\x00")
    value = whole[:at] + encoded + b"\x00" + marked[at + 2 + len(naive.write("long", 77777)) :]
    assert blocks.decode("slo_counts", value)["measured_slices"].tolist() == [x for p in parts for x in p]


def counts_record() -> dict[str, Any]:
    return {
        "source_topic": "t", "source_partition": 3, "source_partitions": 8, "first_offset": 10,
        "next_offset": 20, "flushed_at": 1_700_000_000_000_000,
        "slos": ["a", "b"], "revisions": ["1", "2"], "instances": ["", "m=x"],
        "instance_index": np.array([0, 1, 1]), "slice_start_s": np.array([5, 5, 6]),
        "good": np.array([1, 2, 3]),
        "bad": np.array([0, 0, 1 << 40]), "excluded": np.array([0, 9, 0]),
    }  # fmt: skip


def test_columns_come_back_as_arrays_and_missing_ones_as_defaults() -> None:
    columns = blocks.decode("slo_counts", blocks.encode("slo_counts", counts_record()))
    assert columns["bad"].dtype == np.int64 and columns["bad"].tolist() == [0, 0, 1 << 40]
    assert columns["instance_index"].dtype == np.int64
    assert (columns["part"], columns["parts"], columns["max_event_time"]) == (0, 1, None)
    assert columns["measured_slices"].dtype == np.int64 and columns["measured_slices"].size == 0


def test_items_encoded_before_are_written_as_they_are() -> None:
    names = ["a", "bé" * 40]
    ready = blocks.Encoded(2, b"".join(naive.write("string", n) for n in names))
    plain = blocks.encode("slo_counts", {**counts_record(), "slos": names})
    assert blocks.encode("slo_counts", {**counts_record(), "slos": ready}) == plain


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"colour": 1}, KeyError, id="unknown column"),
        pytest.param({"source_partition": 1 << 31}, OverflowError, id="int too large"),
        pytest.param({"instance_index": np.array([1 << 31])}, OverflowError, id="int column too large"),
        pytest.param({"first_offset": 1 << 63}, OverflowError, id="long too large"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        blocks.encode("slo_counts", {**counts_record(), **change})


def test_a_missing_column_without_default_is_named() -> None:
    record = counts_record()
    del record["good"]
    with pytest.raises(KeyError, match="good"):
        blocks.encode("slo_counts", record)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_damaged_bytes_are_malformed_or_what_fastavro_reads_too(name: str, data: st.DataObject) -> None:
    """Mutated, cut or extended values never crash, never ask for absurd memory, or say what is not there."""
    value = bytearray(blocks.encode(name, data.draw(records_of(name))))
    header = len(single_object_header(avro_text(name)))
    kind = data.draw(st.sampled_from(["mutate", "cut", "extend"]))
    if kind == "mutate" and len(value) > header:
        for _ in range(data.draw(st.integers(1, 3))):
            value[data.draw(st.integers(header, len(value) - 1))] = data.draw(st.integers(0, 255))
    elif kind == "cut":
        value = value[: data.draw(st.integers(header, len(value)))]
    else:
        value += data.draw(st.binary(max_size=9))
    try:
        columns = blocks.decode(name, bytes(value))
    except blocks.Malformed:
        return
    expected = naive.read(naive.schema_of(name), bytes(value[header:]))
    for key, found in as_plain(columns).items():
        assert found == expected[key] or str(found) == str(expected[key])


@pytest.mark.parametrize("name", ["slo_counts", "slo_slice"])
@given(data=st.data())
def test_a_column_read_alone_is_what_the_whole_value_has(name: str, data: st.DataObject) -> None:
    value = blocks.encode(name, data.draw(records_of(name)))
    assert blocks.peek(name, value, "flushed_at") == blocks.decode(name, value)["flushed_at"]
    assert blocks.peek(name, value + b"more", "flushed_at") == blocks.decode(name, value)["flushed_at"]


def test_a_column_of_an_older_writer_is_read_too() -> None:
    older = (HOME / "golden" / "slo_slice" / "v1.avro").read_bytes()
    assert blocks.peek("slo_slice", older, "flushed_at") == blocks.decode("slo_slice", older)["flushed_at"]


def test_a_count_larger_than_the_value_is_refused_before_memory_is_taken() -> None:
    value = blocks.encode("slo_counts", counts_record())
    at = value.rindex(naive.write("long", 3))
    with pytest.raises(blocks.Malformed):
        blocks.decode("slo_counts", value[:at] + naive.write("long", 1 << 61) + value[at + 1 :])


def test_an_unknown_header_is_named_in_the_error() -> None:
    with pytest.raises(UnknownSchema, match="0000000007"):
        blocks.decode("slo_counts", confluent_header(7) + b"rest")


def test_older_and_newer_writers_are_read_with_defaults_and_without_what_is_unknown() -> None:
    schema = json.loads(avro_text("slo_counts"))
    newest = counts_record() | {"idle_us": 5}
    older = {**schema, "fields": [f for f in schema["fields"] if f["name"] not in {"idle_us", "parts"}]}
    newer = {**schema, "fields": [*schema["fields"], {"name": "colour", "type": "string"}]}
    framing = Framing(registered={1: json.dumps(older), 2: json.dumps(newer)})
    record = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in newest.items()}
    filled = as_plain(blocks.decode("slo_counts", blocks.encode("slo_counts", newest)))
    for number, written, idle in ((1, older, 0), (2, newer, 5)):
        value = confluent_header(number) + naive.write(written, {**record, "colour": "red"})
        columns = blocks.decode("slo_counts", value, framing)
        assert columns["good"].dtype == np.int64
        assert as_plain(columns) == {**filled, "idle_us": idle}
        with pytest.raises(blocks.Malformed):
            blocks.decode("slo_counts", value[:-1], framing)
        with pytest.raises(blocks.Malformed):
            blocks.decode("slo_counts", value + b"\0", framing)


def test_confluent_framing_is_written_when_the_registry_gave_an_id() -> None:
    framing = Framing(output_ids={"slo_counts": 42}, registered={42: avro_text("slo_counts")})
    value = blocks.encode("slo_counts", counts_record(), framing)
    assert value[:5] == b"\x00\x00\x00\x00\x2a"
    assert blocks.decode("slo_counts", value, framing)["good"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("theirs", "ours", "value", "expected"),
    [
        pytest.param("int", "long", 5, 5, id="int to long"),
        pytest.param("int", ["null", "double"], 5, 5.0, id="int to optional double"),
        pytest.param("float", "double", 0.5, 0.5, id="float to double"),
        pytest.param(["null", "long"], "long", 7, 7, id="optional to required"),
        pytest.param("string", "bytes", "é", "é".encode(), id="string to bytes"),
        pytest.param(
            {"type": "map", "values": "int"},
            {"type": "map", "values": "double"},
            {"a": 1},
            {"a": 1.0},
            id="map",
        ),
        pytest.param(
            {"type": "array", "items": "string"},
            {"type": "array", "items": "bytes"},
            ["a"],
            [b"a"],
            id="array",
        ),
    ],
)
def test_promotions_follow_the_specification(theirs: Any, ours: Any, value: Any, expected: Any) -> None:
    convert = conversion(theirs, ours)
    assert convert is not None and convert(value) == expected
    reader = {"type": "record", "name": "R", "fields": [{"name": "x", "type": ours}]}
    writer = {"type": "record", "name": "R", "fields": [{"name": "x", "type": theirs}]}
    assert naive.read(writer, naive.write(writer, {"x": value}), reader) == {"x": expected}


@pytest.mark.parametrize(
    ("theirs", "ours"), [("long", "int"), ("double", "long"), ("string", "long"), ("long", "string")]
)
def test_types_that_do_not_become_ours_are_refused(theirs: str, ours: str) -> None:
    assert conversion(theirs, ours) is None


def test_an_unknown_symbol_is_the_enum_default() -> None:
    theirs = {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}
    ours = {"type": "enum", "name": "E", "symbols": ["A", "B"], "default": "A"}
    convert = conversion(theirs, ours)
    assert convert is not None and [convert(s) for s in "ABC"] == ["A", "B", "A"]
    strict = conversion(theirs, {"type": "enum", "name": "E", "symbols": ["A", "B"]})
    assert strict is not None
    with pytest.raises(IndexError, match="C"):
        strict("C")


def test_a_writer_that_lacks_what_we_need_is_malformed() -> None:
    schema = json.loads(avro_text("slo_counts"))
    short = {**schema, "fields": [f for f in schema["fields"] if f["name"] != "good"]}
    odd = {
        **schema,
        "fields": [{**f, "type": "string"} if f["name"] == "good" else f for f in schema["fields"]],
    }
    for text in (json.dumps(short), json.dumps(odd)):
        with pytest.raises(blocks.Malformed, match="good"):
            blocks.decode("slo_counts", confluent_header(1) + b"\0" * 20, Framing(registered={1: text}))
