"""Label keys: the raw Avro bytes a decoder interned -> label values. One key, one series; the slow side of
interning.

Pure. A key is: tier, sign of the priority, then the labels' own Avro encodings in wire order.
"""

from typing import Any

from pipeline.events import EventDecoder, reader_fields
from pipeline.kernels.avro import branches
from pipeline.series import OTHER, PRIORITY_CLASSES


def read_key(decoder: EventDecoder, key: bytes, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the label values of a key in the order of `names`; labels its tier left out are `other`.

    A label that the writer does not have takes the schema's default, a null is the empty string, an enum
    symbol we do not know is the enum's default. Invalid UTF-8 is shown escaped.
    """
    tier, sign = key[0], key[1]
    values = {name: OTHER if name in decoder.labels else _default(name) for name in names}
    values["priority_class"] = PRIORITY_CLASSES.get(sign - 1, OTHER)
    position = 2
    for name in decoder.wire_labels(tier):
        text, position = _read(decoder.label_types[name], key, position)
        values[name] = _known_symbol(name, text)
    return tuple(values[name] for name in names)


def _default(name: str) -> str:
    value = reader_fields()[name].get("default") if name in reader_fields() else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _known_symbol(name: str, text: str) -> str:
    kind = reader_fields()[name]["type"]
    if isinstance(kind, dict) and kind["type"] == "enum" and text not in kind["symbols"]:
        return str(kind["default"])
    return text


def _read(kind: Any, key: bytes, position: int) -> tuple[str, int]:
    if kind.type == "union":
        null, other = branches(kind, "label")
        index, position = _read_long(key, position)
        return ("", position) if index == null else _read(other, key, position)
    number, position = _read_long(key, position)
    if kind.type == "enum":
        return kind.symbols[number], position
    if kind.type == "boolean":
        return ("true" if number else "false"), position
    if kind.type in {"string", "bytes"}:
        end = position + number
        return key[position:end].decode("utf-8", "backslashreplace"), end
    return str(number), position


def _read_long(key: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = key[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (value >> 1) ^ -(value & 1), position
