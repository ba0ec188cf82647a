"""Columns to Avro: byte for byte what fastavro writes of the same rows."""

import io
import json
import uuid
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.encoding import NULL, EncodingError, EventColumns, EventEncoder, Identifiers, Words, texts
from pipeline.framing import SINGLE_OBJECT, Framing
from schemas import avro_text

SCHEMA = json.loads(avro_text("inference_event"))
PARSED = fastavro.parse_schema(json.loads(avro_text("inference_event")))
IDENTIFIERS = {"event_id": True, "trace_id": False}  # name -> dashed


def parts(declared: dict[str, Any]) -> tuple[str, bool, list[str]]:
    kind = declared["type"]
    nullable = isinstance(kind, list)
    kind = kind[1] if nullable else kind
    return (kind["type"], nullable, kind.get("symbols", [])) if isinstance(kind, dict) else (kind, nullable, [])


def values_of(declared: dict[str, Any]) -> st.SearchStrategy[Any]:
    kind, nullable, symbols = parts(declared)
    plain = {
        "string": st.text(max_size=30),
        "bytes": st.binary(max_size=30),
        "int": st.integers(-(1 << 31), (1 << 31) - 1),
        "long": st.integers(NULL + 1, (1 << 63) - 1),
        "float": st.floats(width=32, allow_nan=False),
        "boolean": st.booleans(),
        "enum": st.sampled_from(symbols or [""]),
        "map": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    }[kind]
    if declared["name"] in IDENTIFIERS:
        plain = st.uuids() if IDENTIFIERS[declared["name"]] else st.uuids().map(lambda u: u.hex)
    return st.none() | plain if nullable else plain


EVENTS = st.lists(
    st.fixed_dictionaries({declared["name"]: values_of(declared) for declared in SCHEMA["fields"]}),
    max_size=6,
)


def column_of(declared: dict[str, Any], values: list[Any]) -> Any:
    kind, _, symbols = parts(declared)
    if declared["name"] in IDENTIFIERS:
        numbers = [0 if v is None else uuid.UUID(str(v)).int for v in values]
        high = np.array([number >> 64 for number in numbers], np.uint64)
        low = np.array([number & ((1 << 64) - 1) for number in numbers], np.uint64)
        return Identifiers(high, low, IDENTIFIERS[declared["name"]], np.array([v is not None for v in values], bool))
    if kind in {"string", "bytes", "map"}:
        return Words([v for v in values if v is not None], codes(values))
    if kind == "enum":
        return np.array([symbols.index(v) for v in values], np.int32)
    if kind == "float":
        return np.array([np.nan if v is None else v for v in values], np.float64)
    return np.array([NULL if v is None else v for v in values], bool if kind == "boolean" else np.int64)


def codes(values: list[Any]) -> np.ndarray:
    seen, out = 0, []
    for value in values:
        out.append(-1 if value is None else seen)
        seen += value is not None
    return np.array(out, np.int32)


def columns_of(rows: list[dict[str, Any]], left_out: frozenset[str] = frozenset()) -> EventColumns:
    fields = [declared for declared in SCHEMA["fields"] if declared["name"] not in left_out]
    return EventColumns({f["name"]: column_of(f, [row[f["name"]] for row in rows]) for f in fields})


def written(row: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, PARSED, row)
    return SINGLE_OBJECT.header("inference_event") + buffer.getvalue()


@settings(max_examples=60)
@given(EVENTS)
def test_the_bytes_are_those_fastavro_writes(rows: list[dict[str, Any]]) -> None:
    assert EventEncoder().encode(columns_of(rows)).records() == [written(row) for row in rows]


@settings(max_examples=30)
@given(EVENTS, st.sets(st.sampled_from([f["name"] for f in SCHEMA["fields"] if "default" in f])))
def test_a_column_that_is_not_given_has_its_default(rows: list[dict[str, Any]], left_out: set[str]) -> None:
    defaults = {f["name"]: f["default"] for f in SCHEMA["fields"] if f["name"] in left_out}
    encoded = EventEncoder().encode(columns_of(rows, frozenset(left_out)))
    assert encoded.records() == [written({**row, **defaults}) for row in rows]


@settings(max_examples=30)
@given(EVENTS, EVENTS, st.randoms())
def test_joining_and_taking_columns_is_joining_and_taking_rows(a: Any, b: Any, random: Any) -> None:
    both = EventColumns.concatenate([columns_of(a), columns_of(b)])
    chosen = [i for i in range(len(a) + len(b)) if random.random() < 0.5]
    encoder = EventEncoder()
    records = encoder.encode(both).records()
    assert records == [written(row) for row in a + b]
    assert encoder.encode(both.take(np.array(chosen, int))).records() == [records[i] for i in chosen]


def test_a_buffer_that_was_guessed_too_small_grows() -> None:
    row = {"service": "s" * 3000, "request_model": "m" * 3000}
    n = 2000
    columns: dict[str, Any] = {name: Words([text], np.zeros(n, np.int32)) for name, text in row.items()}
    numbers = {name: np.arange(n) for name in ("received_at", "completed_at", "emitted_at", "e2e_us", "outcome")}
    numbers["outcome"] = np.ones(n, np.int32)
    identifiers = Identifiers(np.arange(n, dtype=np.uint64), np.zeros(n, np.uint64))
    events = EventColumns({**columns, **numbers, "event_id": identifiers, "request_id": identifiers})
    records = EventEncoder().encode(events).records()
    last = fastavro.schemaless_reader(io.BytesIO(records[-1][10:]), PARSED)
    assert len(records) == n and last["e2e_us"] == n - 1 and last["service"] == row["service"]


def test_keys_are_the_text_of_their_column() -> None:
    ids = [uuid.uuid4() for _ in range(3)]
    column = column_of({"name": "event_id", "type": "string"}, ids)
    assert texts(column) == [str(i).encode() for i in ids]
    assert texts(Words(["a", "ü"], np.array([1, -1, 0], np.int32))) == ["ü".encode(), b"", b"a"]


def test_it_frames_as_the_process_does() -> None:
    rows = [{f["name"]: f.get("default") for f in SCHEMA["fields"]}]
    rows[0] |= dict.fromkeys(("received_at", "completed_at", "emitted_at", "e2e_us"), 0)
    rows[0] |= {"event_id": uuid.UUID(int=0), "request_id": "r", "service": "s", "request_model": "m",
                "outcome": "SUCCESS"}  # fmt: skip
    encoder = EventEncoder.framed(Framing(output_ids={"inference_event": 7}))
    assert encoder.encode(columns_of(rows)).records() == [b"\x00\x00\x00\x00\x07" + written(rows[0])[10:]]


def a_word(*codes: int) -> Words:
    return Words(["a"], np.array(codes, np.int32))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        pytest.param({"surprise": np.zeros(1)}, "no such field: surprise", id="unknown column"),
        pytest.param({"event_id": a_word(0), "request_id": a_word(0, 0)}, "request_id: 2 rows", id="other length"),
        pytest.param({"attempt": np.ones(1, int)}, "event_id: required", id="required column missing"),
        pytest.param({"event_id": np.ones(1, int)}, "event_id: numbers for a field of type", id="wrong kind"),
        pytest.param({"event_id": a_word(-1)}, r"event_id: codes must be in 0\.\.0", id="null where none may be"),
        pytest.param({"event_id": a_word(1)}, r"event_id: codes must be in 0\.\.0", id="code past the words"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(columns: Any, message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        EventEncoder().encode(EventColumns(columns))


def test_a_number_too_large_for_an_int_is_refused() -> None:
    rows = [{f["name"]: f.get("default") for f in SCHEMA["fields"]}]
    rows[0] |= dict.fromkeys(("received_at", "completed_at", "emitted_at", "e2e_us"), 0)
    rows[0] |= {"event_id": uuid.UUID(int=0), "request_id": "r", "service": "s", "request_model": "m",
                "outcome": "SUCCESS", "input_tokens": 1 << 31}  # fmt: skip
    with pytest.raises(EncodingError, match="input_tokens: a value does not fit in 32 bits"):
        EventEncoder().encode(columns_of(rows))
