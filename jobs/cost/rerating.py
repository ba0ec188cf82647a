"""Events rated anew: blocks of inference.events whose events carry what they cost by another price list.

Law: of an event only cost_picousd, cost_source and price_version change; one that cannot be read, has no price, or has
tokens that nobody counted keeps its bytes. What a provider charged, or an accelerator's time cost, is a fact and stays,
unless it is asked for. Pure.
"""

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from pipeline.controls.cost import PriceList, Usage, metered
from pipeline.framing import Framing, UnknownSchema, single_object_header
from pipeline.records import PADDING, RecordBlock
from schemas import avro_text

SCHEMA = "inference_event"
RATED = ("PRICE_TABLE", "NONE")  #: whose cost is ours to say
SOURCES = ("PRICE_TABLE", "NONE", "GPU_TIME", "PROVIDER")


@dataclass
class Found:
    """What was rated, of events that completed in the range."""

    events: int = 0
    rated: int = 0
    changed: int = 0
    kept: int = 0  # facts that are not ours to say
    uncounted: int = 0  # tokens are not known
    before_picousd: int = 0  # of what was rated, sample weights included
    after_picousd: int = 0
    unpriced: Counter[str] = field(default_factory=Counter)  # model -> events

    @property
    def told(self) -> dict[str, Any]:
        """As JSON says it."""
        return {**vars(self), "unpriced": {model: count for model, count in self.unpriced.items() if count}}


class Rerating:
    """Rates blocks; what it found is in `found`."""

    def __init__(
        self, prices: PriceList, framing: Framing, span: tuple[int, int], sources: Collection[str] = RATED
    ) -> None:
        """`span`: from and to, of what is told; `sources`: which costs are rated anew."""
        self._prices, self._framing, self._span, self._sources = prices, framing, span, frozenset(sources)
        self.found = Found()

    def __call__(self, block: RecordBlock) -> RecordBlock:
        """Return the same records, with what they cost."""
        starts, lengths = block.value_start.copy(), block.value_length.copy()
        used = block.buffer.size - PADDING
        parts: list[bytes] = []
        for index in range(len(block)):
            value = self._rated(block.value(index))
            if value is not None:
                starts[index], lengths[index] = used, len(value)
                parts.append(value)
                used += len(value)
        if not parts:
            return block
        added = np.frombuffer(b"".join(parts) + bytes(PADDING), np.uint8)
        return RecordBlock(
            block.topic, block.partition, block.first_offset, block.next_offset,
            np.concatenate([block.buffer[: block.buffer.size - PADDING], added]), starts, lengths,
            block.key_start, block.key_length, block.append_time_ms, block.offset,
        )  # fmt: skip

    def _rated(self, value: bytes | None) -> bytes | None:
        """One event with its cost; None: it stays as it is."""
        event = _event(value, self._framing)
        if event is None:
            return None
        is_told = self._span[0] <= event["completed_at"] < self._span[1]
        self.found.events += is_told
        if event["cost_source"] not in self._sources:
            self.found.kept += is_told
            return None
        costs = self._cost(event, is_told)
        if costs is None:
            return None
        had = event["cost_picousd"]
        if is_told:
            weight = max(event["sample_weight"], 1)
            self.found.rated += 1
            self.found.changed += (had or 0) != costs
            self.found.before_picousd += (had or 0) * weight
            self.found.after_picousd += costs * weight
        if (had or 0) == costs:
            return None
        version = self._prices.version
        return _written({**event, "cost_picousd": costs, "cost_source": "PRICE_TABLE", "price_version": version})

    def _cost(self, event: dict[str, Any], is_told: bool) -> int | None:
        """By the price of the model that served, else of the one that was asked for."""
        at_us = event["completed_at"]
        for model in (event["response_model"], event["request_model"]):
            price = self._prices.price(model, event["provider"], at_us) if model else None
            if price is not None:
                costs = metered(usage_of(event), price)
                self.found.uncounted += is_told and costs is None
                return costs
        self.found.unpriced[event["request_model"]] += is_told
        return None


def usage_of(event: dict[str, Any]) -> Usage:
    """What an event used."""
    return Usage(
        event["input_tokens"], event["output_tokens"], event["cached_input_tokens"], event["cache_write_input_tokens"],
        event["reasoning_output_tokens"], event["outcome"],
    )  # fmt: skip


def _event(value: bytes | None, framing: Framing) -> dict[str, Any] | None:
    """Read an event; None for what ingest puts aside: it has no cost."""
    if value is None:
        return None
    try:
        text, start = framing.split(SCHEMA, value)
        rest = BytesIO(value[start:])
        found: Any = schemaless_reader(rest, _plain(text), _plain(avro_text(SCHEMA)))
    except (UnknownSchema, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, AttributeError):
        return None
    return found if isinstance(found, dict) and not rest.read(1) else None


def _written(event: dict[str, Any]) -> bytes:
    """An event under its newest schema, which every worker knows without a registry."""
    out = BytesIO()
    out.write(_header())
    schemaless_writer(out, _plain(avro_text(SCHEMA)), event)
    return out.getvalue()


@cache
def _header() -> bytes:
    return single_object_header(avro_text(SCHEMA))


@cache
def _plain(text: str) -> Any:
    """A schema whose times are numbers and whose ids are texts: nothing is turned into objects and back."""
    return parse_schema(_without_logic(json.loads(text)))


def _without_logic(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_logic(each) for key, each in node.items() if key != "logicalType"}
    return [_without_logic(each) for each in node] if isinstance(node, list) else node
