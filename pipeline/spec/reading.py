"""Reading: a tree against a table of fields. Every problem is reported; what could be read is kept by path.

Pure. A pattern is a dotted path, `*` for any key, `#` for any item of a list: spec.alerting.pairs.#.factor.
A field that has fields below it may be written as a value or as a mapping. Null is the same as not written.
Knows no field of the language: see `pipeline.spec.language`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.spec import document
from pipeline.spec.document import Node, Report, Scalar, is_empty
from pipeline.spec.problems import FILE_START, Place, Refused, shown
from pipeline.spec.scalars import Read, listed, nearest

ITEMS_MAX = 1000  # of a list of values
KEYS_MAX = 100  # of a mapping


@dataclass(frozen=True)
class Field:
    """One leaf: how its text is read, and what to do when it is missing (empty: it may be)."""

    read: Read
    missing: str = ""
    many: bool = False  # a list of such values, or one of them
    is_tree: bool = False  # anything at all: the node itself is the value


@dataclass(frozen=True)
class Language:
    """The fields of a kind of document, and what is known of the branches above them."""

    fields: Mapping[str, Field]
    required: Mapping[str, str] = field(default_factory=dict)  # branch -> what to do when it is missing
    keys: Mapping[str, Read] = field(default_factory=dict)  # branch with `*` -> reader of its keys
    later: Mapping[str, str] = field(default_factory=dict)  # pattern -> what to write instead
    items_max: Mapping[str, int] = field(default_factory=dict)  # list branch -> most items
    may_be_empty: frozenset[str] = frozenset()  # list branches

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Branch -> the segments under it."""
        found: dict[str, list[str]] = {}
        for pattern in self.fields:
            parts = pattern.split(".")
            for depth, part in enumerate(parts):
                under = found.setdefault(".".join(parts[:depth]), [])
                if part not in under:
                    under.append(part)
        return found

    def home_of(self, key: str) -> str:
        """Return the branches that a misplaced key belongs to, or ""."""
        homes = (path.rpartition(".")[0] for path in self.fields if path.rpartition(".")[2] == key)
        return " or ".join(dict.fromkeys(homes)).replace(".#", "[]")


@dataclass(frozen=True)
class Value:
    """One value that was read, and where it stands."""

    value: Any
    place: Place
    path: str
    text: str
    items: tuple["Value", ...] = ()  # of a field with many values


@dataclass
class Reading:
    """One document: values by path, places of branches, and the report that problems go to."""

    report: Report
    place: Place = FILE_START
    values: dict[str, Value] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of branches with `*`
    lengths: dict[str, int] = field(default_factory=dict)  # of list branches
    is_incomplete: bool = False  # something was refused before it was read

    def get(self, path: str, default: Any = None) -> Any:
        """Return what was read at a path; the default when it is missing or refused."""
        found = self.values.get(path)
        return default if found is None else found.value

    def is_given(self, path: str) -> bool:
        """Tell whether the file says something there, right or wrong."""
        return path in self.places

    def at(self, *paths: str) -> Place:
        """Return the place of the first of these paths that the file has; else that of the document."""
        return next((self.places[path] for path in paths if path in self.places), self.place)

    def refuse(self, path: str, rule: str, remedy: str, place: Place | None = None, value: str | None = None) -> None:
        """Report a problem with what was read at a path."""
        found = self.values.get(path)
        text = value if value is not None else "" if found is None else shown(found.text)
        self.report.add(place or self.at(path), path, text, rule, remedy)


def read(language: Language, node: Node, report: Report) -> Reading:
    """Read one document; problems go to the report."""
    reading = Reading(report, node.place)
    _branch(language, reading, node, "", "")
    return reading


def _branch(language: Language, reading: Reading, node: Node, pattern: str, path: str) -> None:
    reading.places[path] = node.place
    if isinstance(node, document.Unknown):
        reading.is_incomplete = True
        return
    under = language.children[pattern]
    if under == ["#"]:
        _list(language, reading, node, pattern, path)
    elif not isinstance(node, document.Mapping):
        remedy = "write `name: value` lines" if under == ["*"] else f"write keys of {listed(under)}"
        reading.refuse(path, "must be a mapping", remedy, node.place, _glance(node))
    elif len(node.entries) > KEYS_MAX:
        reading.refuse(path, f"must have at most {KEYS_MAX} keys", "split it", node.place, _glance(node))
    elif under == ["*"]:
        _free_keys(language, reading, node, pattern, path)
    else:
        _fixed_keys(language, reading, node, pattern, path)


def _list(language: Language, reading: Reading, node: Node, pattern: str, path: str) -> None:
    most = language.items_max.get(pattern, ITEMS_MAX)
    least = 0 if pattern in language.may_be_empty else 1
    if not isinstance(node, document.Sequence) or not least <= len(node.items) <= most:
        rule = f"must be a list of {least} to {most} items"
        reading.refuse(path, rule, "write `- ` items", node.place, _glance(node))
        return
    reading.lengths[path] = len(node.items)
    for index, item in enumerate(node.items):
        _node(language, reading, item, joined(pattern, "#"), f"{path}[{index}]")


def _free_keys(language: Language, reading: Reading, node: document.Mapping, pattern: str, path: str) -> None:
    names = []
    for key, child in node.entries:
        below = joined(path, shown(key.text))
        try:
            names.append(language.keys[pattern](key.text))
        except Refused as refused:
            reading.report.refuse(key.place, below, key.text, refused)
            continue
        if is_empty(child):
            reading.refuse(below, "must have a value", "write one, or remove the key", key.place, "(empty)")
        else:
            _node(language, reading, child, joined(pattern, "*"), below)
    reading.keys[path] = tuple(names)


def _fixed_keys(language: Language, reading: Reading, node: document.Mapping, pattern: str, path: str) -> None:
    known = language.children[pattern]
    for key, child in node.entries:
        if key.text not in known:
            _unknown_key(language, reading, key, child, pattern, path)
        elif not is_empty(child):
            _node(language, reading, child, joined(pattern, key.text), joined(path, key.text))
    for name in known:
        below = joined(pattern, name)
        remedy = language.fields[below].missing if below in language.fields else language.required.get(below, "")
        if remedy and is_empty(node.get(name)):
            reading.refuse(joined(path, name), "is missing", remedy, node.place, "")


def _unknown_key(language: Language, reading: Reading, key: Scalar, child: Node, pattern: str, path: str) -> None:
    below = joined(path, shown(key.text))
    later = language.later.get(joined(pattern, key.text))
    if later:
        reading.refuse(below, "is not supported yet", later, key.place, _glance(child))
        return
    known = language.children[pattern]
    home = language.home_of(key.text)
    meant = nearest(key.text, known)
    remedy = f"move it to {home}" if home else f"did you mean {meant}?" if meant else f"known keys are {listed(known)}"
    reading.refuse(below, "is an unknown key", remedy, key.place, _glance(child))


def _node(language: Language, reading: Reading, node: Node, pattern: str, path: str) -> None:
    leaf = language.fields.get(pattern)
    under = language.children.get(pattern, ())
    is_list = isinstance(node, document.Sequence) and under == ["#"]
    if leaf is None or is_list or (isinstance(node, document.Mapping) and under):
        _branch(language, reading, node, pattern, path)
        return
    reading.places[path] = node.place
    if leaf.is_tree:
        reading.values[path] = Value(node, node.place, path, _glance(node))
        return
    value = _many(reading, node, path, leaf.read) if leaf.many else _one(reading, node, path, leaf.read)
    if value is not None:
        reading.values[path] = value


def _one(reading: Reading, node: Node, path: str, read_text: Read) -> Value | None:
    if isinstance(node, document.Unknown):
        reading.is_incomplete = True
        return None
    if not isinstance(node, Scalar):
        reading.refuse(
            path,
            "must be a single value",
            "write it on one line, without brackets",
            node.place,
            _glance(node),
        )
        return None
    try:
        return Value(read_text(node.text), node.place, path, node.text)
    except Refused as refused:
        reading.report.refuse(node.place, path, node.text, refused)
        return None


def _many(reading: Reading, node: Node, path: str, read_text: Read) -> Value | None:
    if not isinstance(node, document.Sequence):
        single = _one(reading, node, path, read_text)
        return single and Value((single.value,), single.place, path, single.text, (single,))
    if not 0 < len(node.items) <= ITEMS_MAX:
        reading.refuse(path, f"must be 1 to {ITEMS_MAX} values", "write [one, two]", node.place, _glance(node))
        return None
    read_items = [_one(reading, item, f"{path}[{index}]", read_text) for index, item in enumerate(node.items)]
    items = tuple(item for item in read_items if item is not None)
    seen = set()
    for item in items:
        if item.value in seen:
            reading.refuse(item.path, "is given twice", "remove one of them", item.place, shown(item.text))
        seen.add(item.value)
    if len(items) < len(node.items):
        return None
    return Value(tuple(item.value for item in items), node.place, path, listed(item.text for item in items), items)


def joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _glance(node: Node) -> str:
    """Write what a node is, in a few characters."""
    if isinstance(node, Scalar):
        return "" if is_empty(node) else shown(node.text)
    return {document.Mapping: "{…}", document.Sequence: "[…]"}.get(type(node), "")
