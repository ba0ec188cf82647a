"""Schema resolution: what makes values of one version's types those of another's.

Law: what is accepted is what the Avro specification 1.12 promotes ("Schema Resolution"), nothing else. Pure.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.wire import column_type, type_of

_PROMOTIONS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("int", "float"): float, ("int", "double"): float, ("long", "float"): float, ("long", "double"): float,
    ("string", "bytes"): str.encode, ("bytes", "string"): bytes.decode,
}  # fmt: skip
_WIDER = {("int", "long"), ("float", "double")}


def conversion(theirs: Any, ours: Any) -> Callable[[Any], Any] | None:
    """Return what makes a value of the writer's type one of ours, None when nothing does.

    A symbol without a counterpart and a null where we need a value raise IndexError when they come.
    """
    if isinstance(theirs, list):
        return _of_optional(theirs, ours)
    if isinstance(ours, list):
        return conversion(theirs, ours[1 - ours.index("null")])
    pair = type_of(theirs), type_of(ours)
    if pair in _PROMOTIONS:
        return _PROMOTIONS[pair]
    if pair == ("enum", "enum"):
        return _of_enum(ours)
    if pair in {("array", "array"), ("map", "map")}:
        part = "items" if pair[0] == "array" else "values"
        return _of_many(conversion(theirs[part], ours[part]), ours)
    return (lambda value: value) if pair[0] == pair[1] or pair in _WIDER else None


def _of_optional(theirs: Any, ours: Any) -> Callable[[Any], Any] | None:
    inner = conversion(theirs[1 - theirs.index("null")], ours)
    if inner is None:
        return None

    def convert(value: Any) -> Any:
        if value is None and not isinstance(ours, list):
            raise IndexError("a null where this version needs a value")
        return None if value is None else inner(value)

    return convert


def _of_enum(ours: Any) -> Callable[[Any], Any]:
    def convert(symbol: str) -> Any:
        if symbol not in ours["symbols"] and "default" not in ours:
            raise IndexError(f"{symbol} is unknown to this version")
        return symbol if symbol in ours["symbols"] else ours["default"]

    return convert


def _of_many(inner: Callable[[Any], Any] | None, ours: Any) -> Callable[[Any], Any] | None:
    """Convert item by item; columns of numbers as a whole."""
    if inner is None:
        return None
    dtype = column_type(ours)
    if dtype is not None:
        return lambda column: np.asarray(column, dtype)
    if type_of(ours) == "map":
        return lambda value: {key: inner(entry) for key, entry in value.items()}
    return lambda value: [inner(entry) for entry in value]
