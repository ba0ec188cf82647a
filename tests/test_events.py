"""Decoders of other writers' schemas against fastavro's resolution."""

import json
from random import Random
from typing import Any

import avro.schema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from pipeline.decoding import EventFold, FoldSpec
from pipeline.events import COLUMNS, SchemaMismatch, decoder_for, event_layout, load_module, reader_fields
from pipeline.framing import Framing, confluent_header
from pipeline.ingest import IngestFold
from pipeline.kernels import avro as generator
from pipeline.kernels.avro import NULL, Column, Layout
from pipeline.kernels.bits import PAD, address_of
from pipeline.kernels.intern import Dictionary
from pipeline.kernels.reasons import GOOD, MALFORMED, TODO
from pipeline.kernels.slots import FOLD_WORDS, LANES, SERIES_OF_KEY
from pipeline.sli import FAILURE_KINDS, OUTCOMES, VANTAGES
from schemas import avro_text
from tests.compiled import KERNELS
from tests.event_samples import objectives, sample
from tests.ingest_reading import SPEC, block_of, facts_of, plain, read_back
from tests.naive import counts as naive_counts
from tests.naive import events as naive

EXAMPLES = 4 if config.DISABLE_JIT else 30
NEEDED = {
    "event_id", "request_id", "received_at", "completed_at", "emitted_at", "e2e_us", "outcome", "service",
    "request_model", "stream", "ttft_us", "output_tokens",
}  # fmt: skip


def changed(field: dict[str, Any]) -> dict[str, Any]:
    """Fields as a later version of the schema might have them."""
    kind, name = field["type"], field["name"]
    field = {"name": name, "type": kind}
    if isinstance(kind, dict) and kind["type"] == "enum":
        more = {"outcome": "PREEMPTED", "failure_kind": "GPU_LOST", "vantage": "EDGE"}.get(name, "NEW")
        return field | {"type": kind | {"symbols": [more, *kind["symbols"][::-1]]}}
    if name == "variant":
        return field | {"type": "string"}
    return field | {"type": kind[::-1]} if isinstance(kind, list) else field


def added(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind}


LONGS = {"type": "array", "items": "long"}
POINT = {"type": "record", "name": "Point", "fields": [added("x", "double"), added("y", ["null", "string"])]}
MINIMAL = {
    **naive.READER,
    "fields": [
        {"name": f["name"], "type": {"e2e_us": "int", "output_tokens": "int"}.get(f["name"], f["type"])}
        for f in naive.READER["fields"]
        if f["name"] in NEEDED
    ],
}
LATER = {
    **naive.READER,
    "fields": [
        added("points", {"type": "array", "items": POINT}),
        *(changed(f) for f in naive.READER["fields"][::-1] if f["name"] != "provider"),
        added("nothing", "null"),
        added("digest", {"type": "fixed", "name": "Digest", "size": 5}),
        added("many", ["string", "null", "double", {"type": "map", "values": LONGS}]),
        added("point", "Point"),
        added("mode", {"type": "enum", "name": "Mode", "symbols": ["A", "B"]}),
        added("raw", "bytes"), added("ratio", "float"), added("flag", "boolean"), added("other", "long"),
    ],
}  # fmt: skip
FRAMING = Framing(registered={1: json.dumps(MINIMAL), 2: json.dumps(LATER)})


@pytest.fixture(scope="module")
def ingest() -> IngestFold:
    return IngestFold(SPEC, EventFold(FoldSpec(), objectives(), FRAMING, KERNELS))


def minimal(random: Random) -> dict[str, Any]:
    event = sample(random)
    event["e2e_us"] = min(event["e2e_us"], (1 << 31) - 1)
    event["output_tokens"] = event["output_tokens"] or 0
    return {name: event[name] for name in NEEDED}


def later(random: Random) -> dict[str, Any]:
    """A sample under the later schema, with symbols we do not know and values of every type."""
    event = sample(random)
    for name, symbol in (("outcome", "PREEMPTED"), ("failure_kind", "GPU_LOST"), ("vantage", "EDGE")):
        if random.random() < 0.2:
            event[name] = symbol
    points = [{"x": random.random(), "y": random.choice((None, "ü"))} for _ in range(random.randrange(4))]
    return event | {
        "variant": event["variant"] or "",
        "points": points,
        "nothing": None,
        "digest": b"12345",
        "many": random.choice((None, "s", 0.5, {"k": [1, -1, 1 << 62]}, {})),
        "point": {"x": 1.0, "y": None},
        "mode": random.choice("AB"),
        "raw": random.randbytes(random.randrange(200)),
        "ratio": 0.5,
        "flag": True,
        "other": -1,
    }


def check(ingest: IngestFold, number: int, schema: Any, events: list[dict[str, Any]]) -> None:
    payloads = [naive.write(event, schema) for event in events]
    block = block_of([confluent_header(number) + payload for payload in payloads], append_ms=-1)
    totals = naive_counts.Totals()
    for payload in payloads:
        resolved = naive.read(payload, schema)
        assert resolved is not None
        naive_counts.add(totals, resolved, -1, objectives())
    assert plain(read_back([ingest.fold([block], facts_of([block]))])) == plain(totals)


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32))
def test_a_minimal_writer_is_read_with_promotions_and_defaults(ingest: IngestFold, seed: int) -> None:
    random = Random(seed)
    check(ingest, 1, MINIMAL, [minimal(random) for _ in range(20)])


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32))
def test_a_later_writer_is_read_by_name_and_its_news_is_skipped(ingest: IngestFold, seed: int) -> None:
    random = Random(seed)
    check(ingest, 2, LATER, [later(random) for _ in range(20)])


@settings(max_examples=EXAMPLES * 4)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_damaged_values_of_a_later_writer_never_pass_for_events(
    ingest: IngestFold, seed: int, data: st.DataObject
) -> None:
    random = Random(seed)
    value = bytearray(naive.write(later(random), LATER))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.sampled_from((0, 1, 2, 127, 128, 254, 255)))
    del value[data.draw(st.one_of(st.just(len(value)), st.integers(1, len(value)))) :]
    block = block_of([confluent_header(2) + bytes(value)], append_ms=-1)
    found = read_back([ingest.fold([block], facts_of([block]))])
    resolved = naive.read(bytes(value), LATER)
    if resolved is None:
        assert found.refused.total() == 1
    elif not found.refused:
        totals = naive_counts.Totals()
        naive_counts.add(totals, resolved, -1, objectives())
        assert plain(found) == plain(totals)


SMALL = Layout(
    (
        Column("priority", default=7),
        Column("size", optional=True, aliases=("length",)),
        Column("on", default=1),
    ),
    ("city",),
    label_aliases={"town": "city"},
)


def small_rows(schema: Any, payloads: list[bytes]) -> tuple[list[int], np.ndarray, list[bytes]]:
    """Codes, rows and keys that the bare decoder makes of values."""
    text, made = generator.module_text(avro.schema.parse(json.dumps(schema)), SMALL)
    module = load_module(text, KERNELS)
    values = [b"H" + payload for payload in payloads]
    n = len(values)
    lengths = np.array([len(v) for v in values], np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)])
    buffer = np.frombuffer(b"".join(values) + bytes(PAD), np.uint8).copy()
    reasons, rows, origins = np.full(n, TODO, np.uint8), np.zeros((n, 4), np.int64), np.zeros(n, np.int64)
    header = np.frombuffer(b"H" + bytes(31) + b"\xff" + bytes(31), np.uint8)
    spans, scratch, keys = np.zeros(n * made.keys.span_bytes, np.uint8), np.zeros(500, np.uint8), Dictionary(9, 900)
    limits, overflow, words = np.full(3, 9), np.zeros(2, np.int64), np.zeros(FOLD_WORDS, np.int64)
    series_of_key = np.arange(9, dtype=np.int32)  # a series of its own for each key
    words[[SERIES_OF_KEY, LANES]] = address_of(series_of_key), address_of(words)
    wanted = (buffer, starts, lengths, reasons, header, rows, spans, origins)
    b, s, ln, why, h, r, w, o = map(address_of, wanted)
    good = module.decode(b, buffer.size - PAD, s, ln, why, 0, n, h, 1, 1000, 300, 9, r, w, o, keys.head)
    rest = address_of(scratch), keys.head, address_of(limits), address_of(overflow), address_of(words)
    module.look_up(r, w, good, *rest)
    return reasons.tolist(), rows[:good], [keys[i] for i in range(len(keys))]


def test_aliases_name_columns_and_labels_and_missing_ones_take_defaults() -> None:
    fields = [added("town", "string"), added("length", ["null", "int"])]
    schema = {"type": "record", "name": "Small", "fields": fields}
    records: list[dict[str, Any]] = [
        {"town": "Aa", "length": 5},
        {"town": "Bb", "length": None},
        {"town": "Aa", "length": -3},
    ]
    codes, rows, keys = small_rows(schema, [naive.write(r, schema) for r in records])
    assert codes == [int(GOOD)] * 3
    assert rows.tolist() == [[7, 5, 1, 0], [7, NULL, 1, 1], [7, -3, 1, 0]]
    assert [key[2:] for key in keys] == [b"\x04Aa", b"\x04Bb"]


def test_integers_out_of_their_type_and_odd_booleans_are_malformed() -> None:
    schema, wide, loose = (
        {
            "type": "record",
            "name": "S",
            "fields": [added("size", size), added("on", on), added("city", "string")],
        }
        for size, on in (("int", "boolean"), ("long", "boolean"), ("int", "int"))
    )
    good: dict[str, Any] = {"size": 1, "on": True, "city": "x"}
    payloads = [
        naive.write(good, schema),
        naive.write(good | {"size": 1 << 31}, wide),
        naive.write(good | {"size": -(1 << 31) - 1}, wide),
        naive.write(good | {"on": 1}, loose),  # a byte of 2
    ]
    assert small_rows(schema, payloads)[0] == [int(GOOD)] + [int(MALFORMED)] * 3


def without(name: str) -> Any:
    return {**naive.READER, "fields": [f for f in naive.READER["fields"] if f["name"] != name]}


def retyped(name: str, kind: Any) -> Any:
    return {
        **naive.READER,
        "fields": [f | {"type": kind} if f["name"] == name else f for f in naive.READER["fields"]],
    }


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        pytest.param({"type": "string"}, "record", id="no record"),
        pytest.param(without("completed_at"), "completed_at", id="no event time"),
        pytest.param(without("service"), "service", id="no service"),
        pytest.param(retyped("e2e_us", "string"), "e2e_us", id="text for a number"),
        pytest.param(retyped("service", "long"), "service", id="number for a text"),
        pytest.param(retyped("final_attempt", "int"), "final_attempt", id="number for a boolean"),
        pytest.param(retyped("ttft_us", ["null", "long", "string"]), "ttft_us", id="union of three"),
    ],
)
def test_a_schema_that_cannot_be_read_as_events_is_refused_by_field(schema: Any, says: str) -> None:
    layout = event_layout(("service", "region"), ())
    with pytest.raises(SchemaMismatch, match=says):
        decoder_for(json.dumps(schema), layout, KERNELS)


def test_text_that_is_no_schema_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="not an Avro schema"):
        decoder_for("{]", event_layout((), ()), KERNELS)


def test_values_of_a_schema_that_cannot_be_read_are_dead_letters_that_say_so() -> None:
    framing = Framing(registered={5: json.dumps(without("service"))})
    fold = IngestFold(SPEC, EventFold(FoldSpec(), objectives(), framing, KERNELS))
    block = block_of([confluent_header(5) + b"abc"] * 3)
    letters = [r for r in fold.fold([block], facts_of([block])).records if r.topic == SPEC.dead_letters_topic]
    assert [dict(r.headers)["reason"] for r in letters] == [b"schema_mismatch"] * 3
    assert b"service is missing" in dict(letters[0].headers)["detail"]


CHAIN = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param(["null", CHAIN], b"holds itself", id="a list of itself"),
        pytest.param({"type": "fixed", "name": "F", "size": (1 << 63) - 1}, b"longer than any event", id="all memory"),
    ],
)
def test_a_schema_that_somebody_registered_stops_no_worker(kind: Any, said: bytes) -> None:
    writer = json.loads(avro_text("inference_event"))
    writer["fields"].append({"name": "more", "type": kind})
    framing = Framing(registered={5: json.dumps(writer)})
    fold = IngestFold(SPEC, EventFold(FoldSpec(), objectives(), framing, KERNELS))
    block = block_of([confluent_header(5) + b"abc"])
    [letter] = [r for r in fold.fold([block], facts_of([block])).records if r.topic == SPEC.dead_letters_topic]
    detail = dict(letter.headers)["detail"]
    assert dict(letter.headers)["reason"] == b"schema_mismatch" and detail is not None and said in detail


def test_columns_have_the_defaults_and_vocabularies_of_the_schema() -> None:
    fields = reader_fields()
    vocabularies = {"outcome": OUTCOMES, "failure_kind": FAILURE_KINDS, "vantage": VANTAGES}
    assert {n: tuple(fields[n]["type"]["symbols"]) for n in vocabularies} == vocabularies
    for column in COLUMNS:
        field = fields[column.name]
        assert column.optional == isinstance(field["type"], list)
        if column.symbols:
            assert column.symbols[column.fallback or 0] == field["type"]["default"]
            assert column.default is None or column.symbols[column.default] == field["default"]
        elif column.default is not None:
            assert column.default == field["default"]


def test_a_decoder_is_made_once_and_found_again() -> None:
    text, layout = json.dumps(MINIMAL), event_layout(("service",), ())
    one, two = decoder_for(text, layout, KERNELS), decoder_for(text, layout, KERNELS)
    assert one.module is two.module
    assert (KERNELS / f"{one.module.__name__}.py").exists()
