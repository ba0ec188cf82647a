"""Files of controls: one YAML document with a section for each control, to the specs they are; or to every problem.

Pure. A section's keys are the fields of its spec, a frozen dataclass, in camel case and without the unit in their name,
since it is written with the value: `window_s: float` is `window: 15m`. What is not written has the spec's default; a
spec that refuses itself raises Refused in __post_init__. Fields of metadata NOT_WRITTEN are no keys.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from dataclasses import Field as DataField
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import schemas
from pipeline.spec import scalars
from pipeline.spec.document import Report, only_document
from pipeline.spec.files import bytes_of
from pipeline.spec.problems import Refused, SpecError
from pipeline.spec.reading import Field, Language, Reading, joined, read

DEFAULT = schemas.HOME / "controls" / "default.yaml"
NOT_WRITTEN: Mapping[str, Any] = {"is_written": False}  #: metadata of fields that come from elsewhere
ITEMS_MOST = 1_000  #: of a list


def seconds(text: str) -> float:
    return scalars.duration(text) / 1e6


def ratio(text: str) -> float:
    return float(scalars.fraction(scalars.share(text)))


def number(text: str) -> float:
    found = float(scalars.fraction(scalars.decimal(text)))
    if found < 0:
        raise Refused("must be 0 or more", "write a number such as 1.5")
    return found


#: unit that a field's name ends with -> how its text is read
UNITS: Mapping[str, Callable[[str], Any]] = {
    "_s": seconds, "_us": scalars.duration, "_ratio": ratio, "_picousd": scalars.money,
}  # fmt: skip
READ: Mapping[Any, Callable[[str], Any]] = {
    float: number, int: scalars.count, bool: scalars.boolean, str: scalars.text,
}  # fmt: skip


@dataclass(frozen=True)
class _Leaf:
    """One field of a spec: its key, and how it is read; `inner`: the dataclass of what stands in it."""

    name: str
    key: str
    read: Callable[[str], Any] | None = None
    inner: type[Any] | None = None
    many: bool = False
    is_needed: bool = False


def load(path: Path | None, sections: Mapping[str, type[Any]]) -> dict[str, Any]:
    """Read a file; None: the one that is shipped. Returns the spec of every section.

    Raises: SpecError with every problem.
    """
    path = path or DEFAULT
    return parse(str(path), bytes_of(path), sections)


def parse(name: str, data: bytes, sections: Mapping[str, type[Any]]) -> dict[str, Any]:
    """Read a file of controls.

    Raises: SpecError with every problem.
    """
    report, built = Report(name), dict[str, Any]()
    if (node := only_document(data, report, "Controls")) is not None:
        reading = read(language(sections), node, report)
        built = {section: _built(reading, spec, section) for section, spec in sections.items()}
    if report.problems:
        raise SpecError(report.all())
    return built


def language(sections: Mapping[str, type[Any]]) -> Language:
    """The fields of a file of controls."""
    found = {
        "apiVersion": Field(scalars.one_of(("burnline/v1",)), "write apiVersion: burnline/v1"),
        "kind": Field(scalars.one_of(("Controls",)), "write kind: Controls"),
    }
    for section, spec in sections.items():
        found |= _fields(spec, section)
    return Language(fields=found)


def _fields(spec: type[Any], path: str) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for leaf in _leaves(spec):
        below = joined(path, leaf.key)
        if leaf.inner is not None:
            found |= _fields(leaf.inner, joined(below, "#") if leaf.many else below)
        elif leaf.read is not None:
            found[below] = Field(leaf.read, f"write {leaf.key}: and what it is" if leaf.is_needed else "", leaf.many)
    return found


def _leaves(spec: type[Any]) -> list[_Leaf]:
    hints = get_type_hints(spec)
    return [_leaf(each, hints[each.name]) for each in fields(spec) if each.metadata.get("is_written", True)]


def _leaf(each: "DataField[Any]", hint: Any) -> _Leaf:
    """Say how a field is written.

    Raises: TypeError for a field of a kind that no file can hold.
    """
    kinds = [kind for kind in get_args(hint) if kind is not types.NoneType]
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = kinds
    many = get_origin(hint) is tuple
    kind = get_args(hint)[0] if many else hint
    is_needed = each.default is MISSING and each.default_factory is MISSING
    unit = next((unit for unit in UNITS if each.name.endswith(unit)), "")
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return _Leaf(each.name, key_of(each.name, ""), None, kind, many, is_needed)
    if kind not in READ:
        raise TypeError(f"{each.name}: {kind} cannot be written in a file of controls")
    return _Leaf(each.name, key_of(each.name, unit), UNITS.get(unit, READ[kind]), None, many, is_needed)


def key_of(name: str, unit: str) -> str:
    """Write a field's name as a key: lead_time_s -> leadTime."""
    first, *others = name.removesuffix(unit).split("_")
    return first + "".join(map(str.capitalize, others))


def _built(reading: Reading, spec: type[Any], path: str) -> Any:
    """Make a spec of what was read; None where that cannot be, which the report says."""
    values: dict[str, Any] = {}
    for leaf in _leaves(spec):
        below = joined(path, leaf.key)
        if leaf.inner is not None and leaf.many:
            if below in reading.lengths:
                items = [_built(reading, leaf.inner, f"{below}[{n}]") for n in range(reading.lengths[below])]
                values[leaf.name] = tuple(items)
        elif leaf.inner is not None:
            if reading.is_given(below):
                values[leaf.name] = _built(reading, leaf.inner, below)
        elif below in reading.values:
            values[leaf.name] = reading.get(below)
        elif leaf.is_needed:
            return None  # it is missing or refused, and told
    try:
        return spec(**values)
    except Refused as refused:
        reading.refuse(path, refused.rule, refused.remedy, value="{…}")
        return None
