"""Writes golden bytes of a release: `python -m tests.schemas.golden 2 slo_counts`. A released version never changes."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from pipeline.framing import single_object_header
from schemas import HOME, avro_text
from tests.naive.blocks import schema_of, write

NAMES = (
    "burn_rate_alert", "config_change", "control_signal", "engine_snapshot", "inference_event", "slo_counts",
    "slo_slice", "slo_status",
)  # fmt: skip


def value_of(kind: Any, number: int) -> Any:
    """A value that differs from field to field, and from every default."""
    if isinstance(kind, list):
        return value_of(kind[1], number)
    if not isinstance(kind, dict):
        simple = {
            "int": number,
            "long": number << 32,
            "double": number / 8,
            "float": number / 4,
            "boolean": True,
        }
        return simple.get(kind, f"text {number} é" if kind == "string" else "")
    if kind["type"] == "enum":
        return kind["symbols"][-1]
    if kind["type"] == "array":
        return [value_of(kind["items"], number + i) for i in range(3)]
    if kind["type"] == "map":
        return {"k": value_of(kind["values"], number)}
    return value_of(kind["type"], number)


def record_of(name: str) -> dict[str, Any]:
    """A whole record as JSON has it: bytes as Latin-1 text."""
    return {f["name"]: value_of(f["type"], i + 1) for i, f in enumerate(schema_of(name)["fields"])}


def with_bytes(schema: Any, record: dict[str, Any]) -> dict[str, Any]:
    """JSON's text of a bytes field as bytes."""
    is_bytes = {f["name"] for f in schema["fields"] if "bytes" in f["type"]}
    return {k: v.encode("latin-1") if k in is_bytes else v for k, v in record.items()}


def main(version: int, names: Sequence[str] = NAMES) -> None:
    for name in names:
        home = HOME / "golden" / name
        home.mkdir(parents=True, exist_ok=True)
        record = record_of(name)
        (home / f"v{version}.avsc").write_text(avro_text(name), encoding="utf-8")
        (home / f"v{version}.json").write_text(
            json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        payload = write(schema_of(name), with_bytes(schema_of(name), record))
        (home / f"v{version}.avro").write_bytes(single_object_header(avro_text(name)) + payload)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or NAMES)
