"""Events: what the fold reads of an InferenceEvent, and the compiled decoder of each writer's schema.

A decoder is generated from the writer's schema, kept as a module in the kernel cache directory under the hash
of its text and of the kernels it calls, and compiled once per machine. Pure but for that cache.
"""

import hashlib
import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import avro.schema

from pipeline.kernels import avro as generator
from pipeline.kernels.avro import NULL, Column, Layout, SchemaMismatch
from pipeline.sli import FAILURE_KINDS, OUTCOMES
from schemas import avro_text

__all__ = [
    "COLUMNS",
    "NULL",
    "EventDecoder",
    "SchemaMismatch",
    "decoder_for",
    "event_layout",
    "load_module",
    "reader_fields",
]

#: the numbers of a row, in the order of pipeline.kernels.verdicts
COLUMNS = (
    Column("received_at"),
    Column("completed_at"),
    Column("e2e_us"),
    Column("ttft_us", optional=True),
    Column("decode_us", optional=True),
    Column("input_tokens", optional=True),
    Column("output_tokens", optional=True),
    Column("outcome", symbols=OUTCOMES, fallback=OUTCOMES.index("UNKNOWN")),
    Column("failure_kind", symbols=FAILURE_KINDS, default=0, fallback=FAILURE_KINDS.index("OTHER")),
    Column("http_status", optional=True),
    Column("priority", default=0),
    Column("attempt", default=1),
    Column("final_attempt", default=1),
    Column("cold_start", default=0),
    Column("cost_picousd", optional=True),
    Column("gpu_us", optional=True),
    Column("sample_weight", default=1),
    Column("stream", default=0),
    Column("ttfo_us", optional=True),
    Column("queue_us", optional=True),
    Column("prefill_us", optional=True),
    Column("itl_max_us", optional=True),
    Column("adm_running", optional=True),
    Column("slo_ttft_ms", optional=True),
    Column("slo_tpot_ms", optional=True),
)
#: columns that are read only where some SLO looks at them
IF_NEEDED = frozenset(column.name for column in COLUMNS[-7:])

#: kernels whose code ends up in a compiled decoder; Numba does not see changes in callees of other files
_CALLEES = (
    "avro",
    "avro_keys",
    "avro_template",
    "bits",
    "varint",
    "intern",
    "counts",
    "verdicts",
    "classify",
    "ddsketch",
    "reasons",
    "slots",
)


@dataclass(frozen=True)
class EventDecoder:
    """A writer's schema, ready to fold: the compiled module and how its label keys read."""

    schema_text: str
    module: ModuleType
    labels: tuple[str, ...]  # in wire order
    label_types: dict[str, Any]
    layout: Layout
    span_bytes: int  # of a record's spans, see kernels.avro_keys

    def wire_labels(self, tier: int) -> tuple[str, ...]:
        """Labels a key of this tier holds, in wire order."""
        wanted = self.layout.labels if tier == 0 else self.layout.tiers[tier - 1]
        return tuple(name for name in self.labels if name in wanted)


@cache
def reader_fields() -> dict[str, Any]:
    """Fields of the newest InferenceEvent by name, as JSON."""
    return {field["name"]: field for field in json.loads(avro_text("inference_event"))["fields"]}


def event_layout(
    labels: tuple[str, ...], tiers: tuple[tuple[str, ...], ...], needed: frozenset[str] = frozenset()
) -> Layout:
    """The reader's side: columns, of some only those needed, labels some SLO or view needs, and the smaller keys."""
    names = tuple(name for name in labels if name != "priority_class")
    ours = reader_fields()
    aliases = {alias: name for name in names for alias in ours[name].get("aliases", ())}
    required = frozenset(name for name in names if "default" not in ours[name])
    return Layout(COLUMNS, names, tiers, aliases, required, IF_NEEDED - needed)


def _check_types(schema: Any, layout: Layout) -> None:
    """Refuse a writer whose types do not become ours. A long is read for an int: our rows have the room.

    Raises: SchemaMismatch, with the field and both types.
    """
    named = {alias: c.name for c in layout.columns for alias in c.aliases} | dict(layout.label_aliases)
    wanted = ({c.name for c in layout.columns} - layout.unread) | set(layout.labels)
    for field in schema.fields:
        name = named.get(field.name, field.name)
        if name in wanted:
            ours = reader_fields()[name]["type"]
            core = ours[1 - ours.index("null")] if isinstance(ours, list) else ours
            kind = core["type"] if isinstance(core, dict) else core
            theirs = generator.branches(field.type, name)[1] if field.type.type == "union" else field.type
            if theirs.type != kind and frozenset((theirs.type, kind)) not in _ALIKE:
                raise SchemaMismatch(f"field {name}: cannot read {theirs.type} as {kind}")


_ALIKE = {frozenset(("int", "long")), frozenset(("string", "bytes"))}


@cache
def _callees_digest() -> bytes:
    home = Path(generator.__file__).parent
    return b"".join((home / f"{name}.py").read_bytes() for name in _CALLEES)


def decoder_for(schema_text: str, layout: Layout, cache_dir: Path) -> EventDecoder:
    """Generate, or take from the cache, the decoder of one writer's schema.

    Raises: SchemaMismatch when the schema is no record or lacks what a reader cannot do without.
    """
    try:
        schema = avro.schema.parse(schema_text)
    except Exception as error:
        raise SchemaMismatch(f"not an Avro schema: {error}") from error
    if schema.type != "record":
        raise SchemaMismatch(f"an event is a record, this schema is {schema.type}")
    _check_types(schema, layout)
    try:
        text, made = generator.module_text(schema, layout)
    except RecursionError:
        raise SchemaMismatch("a type that holds itself, or holds others without end, cannot be read") from None
    keys = made.keys
    module = load_module(text, cache_dir)
    return EventDecoder(schema_text, module, tuple(keys.types), keys.types, layout, keys.span_bytes)


def load_module(text: str, cache_dir: Path) -> ModuleType:
    """Import generated code from a file named by its hash: what Numba's own cache needs to be sound."""
    name = "burnline_decoder_" + hashlib.sha256(text.encode() + _callees_digest()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)  # private: it is imported as code
    path = cache_dir / f"{name}.py"
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs, or Numba's cache stores `<dynamic>` and a second process fails
    spec.loader.exec_module(module)
    return module
