"""Matrix: one document that stands for many, one for each combination of some values.

    matrix: {model: [a, b], region: [eu, us]}            every combination
    matrix: [{model: a, limit: 50ms}, {model: b, limit: 25ms}]     these rows

Pure. `$(model)` in any value of the document is replaced by the value; `$$(` stands for `$(`. Trees in, trees
out, at the same places. Limits: EXPANSIONS_MAX of one document, EXPANDED_CHARS_MAX of one value.
"""

import re
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import NamedTuple

from pipeline.spec import document
from pipeline.spec.document import NODES_MAX, Mapping, Node, Report, Scalar, Sequence, is_empty
from pipeline.spec.problems import Place, Refused, shown
from pipeline.spec.reading import Field, Language, Reading, read
from pipeline.spec.scalars import listed, nearest, word

KEY = "matrix"
EXPANSIONS_MAX = 500
EXPANDED_CHARS_MAX = 8192

_KEY = re.compile(r"[a-z][a-zA-Z0-9_]{0,31}", re.ASCII)
_PARAMETER = re.compile(r"\$(\$?)\(([^()]*)\)")


def parameter(value: str) -> str:
    """Read the name of a parameter."""
    if not _KEY.fullmatch(value):
        raise Refused("must be a letter, then up to 31 letters, digits or _", "write a name such as model")
    return value


COMBINED = Language({"*": Field(word, many=True)}, keys={"": parameter})
ROWS = Language({"#.*": Field(word)}, keys={"#": parameter}, items_max={"": EXPANSIONS_MAX})


class Expansion(NamedTuple):
    """One document, and the values it was made with."""

    node: Node
    values: dict[str, str]


def expand(node: Node, report: Report) -> list[Expansion]:
    """Return the documents that one stands for: itself when it has no matrix, none when the matrix is wrong."""
    if not isinstance(node, Mapping) or is_empty(node.get(KEY)):
        return [Expansion(node, {})]
    key, given = next(entry for entry in node.entries if entry[0].text == KEY)
    rows = _rows(given, report, key.place)
    rest = Mapping(tuple(entry for entry in node.entries if entry[0].text != KEY), node.place)
    size = _size(rest)
    if rows and size * len(rows) > NODES_MAX:
        many = f"must not make more than {NODES_MAX} YAML nodes; {len(rows)} documents of {size} are more"
        report.add(key.place, KEY, "", many, "write fewer values")
        return []
    if not rows or not _names_are_known(rest, rows[0], report, key.place):
        return []
    try:
        return [Expansion(_replaced(rest, row), row) for row in rows]
    except Refused as refused:
        report.refuse(key.place, KEY, "", refused)
        return []


def _rows(given: Node, report: Report, place: Place) -> list[dict[str, str]]:
    inner = Report(report.file)
    reading = read(ROWS if isinstance(given, Sequence) else COMBINED, given, inner)
    for each in inner.problems:
        at = f"{KEY}{'' if each.path[:1] in {'', '['} else '.'}{each.path}"
        report.add(Place(each.line, each.column), at, each.value, each.rule, each.remedy)
    if inner.problems or reading.is_incomplete:
        return []
    return _listed_rows(reading, report) if isinstance(given, Sequence) else _combinations(reading, report, place)


def _combinations(reading: Reading, report: Report, place: Place) -> list[dict[str, str]]:
    names = reading.keys[""]
    values = [reading.get(name) for name in names]
    count = prod(map(len, values))
    if not names or count > EXPANSIONS_MAX:
        rule = f"must have 1 to {EXPANSIONS_MAX} combinations; it has {count if names else 0}"
        report.add(place, KEY, "", rule, "write fewer values" if names else "write {model: [a, b]}")
        return []
    return [dict(zip(names, each, strict=True)) for each in product(*values)]


def _listed_rows(reading: Reading, report: Report) -> list[dict[str, str]]:
    rows = [
        {name: reading.get(f"[{index}].{name}") for name in reading.keys.get(f"[{index}]", ())}
        for index in range(reading.lengths[""])
    ]
    for index, row in enumerate(rows):
        if set(row) != set(rows[0]) or not row:
            rule = f"must have the same keys as the first, {listed(rows[0]) or 'and at least one'}"
            place = reading.at(f"[{index}]")
            report.add(place, f"{KEY}[{index}]", listed(row), rule, "write a value for each of them")
            return []
    return rows


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _scalars(item)
    elif isinstance(node, Mapping):
        for _, child in node.entries:
            yield from _scalars(child)


def _size(node: Node) -> int:
    if isinstance(node, Sequence):
        return 1 + sum(map(_size, node.items))
    return 1 + sum(1 + _size(child) for _, child in node.entries) if isinstance(node, Mapping) else 1


def _names_are_known(node: Node, row: dict[str, str], report: Report, place: Place) -> bool:
    """Every parameter that is used is given, every one that is given is used."""
    used = [(scalar, match[2]) for scalar in _scalars(node) for match in _PARAMETER.finditer(scalar.text)
            if not match[1]]  # fmt: skip
    unknown = [(scalar, name) for scalar, name in used if name not in row]
    for scalar, name in unknown:
        meant = nearest(name, row)
        remedy = f"did you mean $({meant})?" if meant else f"known are {listed(row)}; $$( writes $( as it stands"
        report.add(scalar.place, "", shown(f"$({name})"), "is no key of matrix", remedy)
    unused = [] if unknown else [name for name in row if name not in {name for _, name in used}]
    for name in unused:
        remedy = f"write $({name}) in metadata.name, or remove the key"
        report.add(place, f"{KEY}.{name}", "", "is used nowhere", remedy)
    return not unknown and not unused


def _replaced(node: Node, row: dict[str, str]) -> Node:
    if isinstance(node, Scalar):
        if "$" not in node.text:
            return node
        text = _PARAMETER.sub(lambda match: f"$({match[2]})" if match[1] else row[match[2]], node.text)
        if len(text) > EXPANDED_CHARS_MAX:
            rule = f"must not make a value of more than {EXPANDED_CHARS_MAX} characters"
            raise Refused(rule, "use fewer parameters in one value")
        return document.Scalar(text, node.plain, node.place)
    if isinstance(node, Sequence):
        return Sequence(tuple(_replaced(item, row) for item in node.items), node.place)
    if isinstance(node, Mapping):
        return Mapping(tuple((key, _replaced(child, row)) for key, child in node.entries), node.place)
    return node
