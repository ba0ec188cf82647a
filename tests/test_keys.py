"""Label keys back to label values."""

import json
from types import ModuleType
from typing import Any

import avro.schema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import EventDecoder, event_layout
from pipeline.kernels.avro import Generator
from pipeline.keys import read_key
from tests.naive import events as naive
from tests.naive.blocks import write

NAMES = ("service", "region", "vantage", "stream", "priority_class", "tenant_id")
FIELDS: list[dict[str, Any]] = [
    {"name": "region", "type": ["null", "string"]},
    {"name": "service", "type": "string"},
    {"name": "stream", "type": "boolean"},
    {"name": "vantage", "type": {"type": "enum", "name": "V", "symbols": ["EDGE", "ENGINE", "GATEWAY"]}},
]


def decoder_of(fields: list[Any]) -> EventDecoder:
    """A decoder without its module: reading keys needs none."""
    needed = [f for f in naive.READER["fields"] if f["name"] in {"received_at", "completed_at", "e2e_us", "outcome"}]
    schema = {"type": "record", "name": "E", "fields": [*needed, *fields]}
    layout = event_layout(NAMES, (("service", "priority_class"),))
    made = Generator(avro.schema.parse(json.dumps(schema)), layout)
    return EventDecoder("", ModuleType("none"), tuple(made.keys.types), made.keys.types, layout, made.keys.span_bytes)


def key_of(tier: int, sign: int, *parts: tuple[Any, Any]) -> bytes:
    return bytes([tier, sign]) + b"".join(write(kind, value) for kind, value in parts)


@given(
    st.text(max_size=20),
    st.one_of(st.none(), st.text(max_size=200)),
    st.booleans(),
    st.sampled_from(["ENGINE", "GATEWAY"]),
)
def test_a_key_reads_as_the_labels_it_was_made_of(service: str, region: str | None, stream: bool, vantage: str) -> None:
    kinds = [f["type"] for f in FIELDS]
    key = key_of(0, 1, *zip(kinds, (region, service, stream, vantage), strict=True))
    labels = dict(zip(NAMES, read_key(decoder_of(FIELDS), key, NAMES), strict=True))
    assert labels == {
        "service": service,
        "region": region or "",
        "vantage": vantage,
        "stream": "true" if stream else "false",
        "priority_class": "standard",
        "tenant_id": "default",
    }


@pytest.mark.parametrize(("sign", "shown"), [(0, "sheddable"), (1, "standard"), (2, "critical"), (3, "other")])
def test_the_sign_of_the_priority_is_the_class(sign: int, shown: str) -> None:
    key = key_of(1, sign, ("string", "chat"))
    labels = dict(zip(NAMES, read_key(decoder_of(FIELDS), key, NAMES), strict=True))
    assert labels["priority_class"] == shown
    assert (labels["service"], labels["region"]) == ("chat", "other")  # this tier left the region out


def test_an_unknown_symbol_is_the_default_and_broken_text_is_shown_escaped() -> None:
    key = key_of(0, 1, (["null", "string"], None)) + b"\x04\xff\xfe" + write("boolean", False) + b"\x00"
    labels = dict(zip(NAMES, read_key(decoder_of(FIELDS), key, NAMES), strict=True))
    assert labels["vantage"] == "UNKNOWN" and labels["service"] == "\\xff\\xfe"
