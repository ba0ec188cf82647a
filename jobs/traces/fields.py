"""The fields a mapping can fill, out of the schema of InferenceEvent, and how cells become values. Pure."""

import json
import math
from dataclasses import dataclass
from typing import Any

from schemas import avro_text

#: unit of a column -> how many of the field's own unit (microseconds, pico-USD) it is
UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "picousd": 1, "usd": 1_000_000_000_000}
_INT_MAX = {"int": (1 << 31) - 1, "long": (1 << 63) - 1}
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class CellError(ValueError):
    """A cell that does not fit its field; the message says why."""


@dataclass(frozen=True)
class Field:
    """One field of the schema: its Avro type, whether it may be missing, its default."""

    name: str
    type: str
    nullable: bool
    symbols: tuple[str, ...]
    has_default: bool
    default: Any


def _field(declared: dict[str, Any]) -> Field:
    kind = declared["type"]
    nullable = isinstance(kind, list)
    kind = next(k for k in kind if k != "null") if nullable else kind
    symbols = tuple(kind["symbols"]) if isinstance(kind, dict) and kind["type"] == "enum" else ()
    name = kind["type"] if isinstance(kind, dict) else kind
    return Field(declared["name"], name, nullable, symbols, "default" in declared, declared.get("default"))


FIELDS = {declared["name"]: _field(declared) for declared in json.loads(avro_text("inference_event"))["fields"]}


def convert(kind: Field, value: Any, unit: str | None = None) -> Any:
    """Return a cell as its field's value: numbers scaled to the field's unit, symbols checked.

    Raises: CellError.
    """
    if kind.type in _INT_MAX:
        return _integer(kind, value, UNITS[unit] if unit else 1)
    if kind.type in {"float", "double"}:
        return _number(value)
    if kind.type == "boolean":
        truth = _TRUTHS.get(str(value).strip().lower())
        if truth is None:
            raise CellError(f"{value!r} is neither true nor false")
        return truth
    if kind.symbols:
        if value not in kind.symbols:
            raise CellError(f"{value!r} is none of {', '.join(kind.symbols)}")
        return value
    if kind.type == "bytes":
        return value if isinstance(value, bytes) else str(value).encode()
    return str(value)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise CellError(f"{value!r} is no number") from None
    if not math.isfinite(number):
        raise CellError(f"{value!r} is not finite")
    return number


def _integer(kind: Field, value: Any, scale: int) -> int:
    """Round to the field's whole unit; durations and counts are never negative."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value * scale
    elif isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        number = int(value) * scale
    else:
        number = round(_number(value) * scale)
    if abs(number) > _INT_MAX[kind.type]:
        raise CellError(f"{value!r} is too large for {kind.name}")
    if number < 0 and kind.name != "priority":
        raise CellError(f"{value!r} is negative")
    return number
