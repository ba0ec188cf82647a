"""Which labels make a key, and in how many runs; the ids that come of it are tested in tests/test_events.py."""

import json
from typing import Any

import avro.schema
import pytest

from pipeline.kernels.avro import Column, Layout
from pipeline.kernels.avro_keys import LabelKeys

LAYOUT = Layout(
    (Column("priority", default=0),),
    ("service", "model", "region"),
    (("service", "region"), ("service",)),
    label_aliases={"zone": "region"},
)


def keys(*names: str) -> LabelKeys:
    fields: Any = [{"name": name, "type": "string"} for name in names]
    return LabelKeys(avro.schema.parse(json.dumps({"type": "record", "name": "E", "fields": fields})).fields, LAYOUT)


@pytest.mark.parametrize(
    ("written", "labels", "runs"),
    [
        (("service", "model", "region"), ["service", "model", "region"], [("service", "region")]),
        (("region", "x", "service"), ["region", "service"], [("region", "region"), ("service", "service")]),
        (("zone", "region", "service"), ["region", "service"], [("region", "region"), ("service", "service")]),
        (("x",), [], []),
    ],
    ids=["neighbours are one run", "in the order of the wire", "by an alias, and once", "none"],
)
def test_labels_are_found_and_joined(written: tuple[str, ...], labels: list[str], runs: list[tuple[str, str]]) -> None:
    found = keys(*written)
    assert list(found.types) == labels and found.runs(LAYOUT.labels) == runs


def test_spans_hold_the_hash_and_the_addresses_of_every_tier_once() -> None:
    """The whole key is one run from a0 to b2; the smaller ones leave out model, label 1."""
    found = keys("service", "model", "region")
    assert found.span_bytes == 8 * (1 + 4)
    assert [line for line in found.keep_lines(0) if line.startswith("st_")] == [
        "st_u64(w, h)", "st_i64(w + 8, a0)", "st_i64(w + 16, b2)", "st_i64(w + 24, b0)", "st_i64(w + 32, a2)",
    ]  # fmt: skip


def test_the_look_up_is_code() -> None:
    compile(keys("service", "x", "region").look_up_text(0), "generated", "exec")
