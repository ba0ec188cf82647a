"""Problems: what is wrong with SLO files, as data. One line each, with its place, its rule and what to do.

Pure. A problem is an instruction to the writer of the file; nothing here decides whether something is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

VALUE_CHARS_MAX = 60  # a problem is one line on a terminal


class Place(NamedTuple):
    """Where something stands in a file, counted from 1."""

    line: int
    column: int


FILE_START = Place(1, 1)


@dataclass(frozen=True, order=True)
class Problem:
    """One broken rule; ordered by file and place."""

    file: str
    line: int
    column: int
    path: str  # of the field, as in spec.alerting.pairs[0].factor
    value: str  # as it stands in the file
    rule: str
    remedy: str

    def __str__(self) -> str:
        parts = (
            f"{self.file}:{self.line}:{self.column}",
            self.path,
            self.value,
            self.rule,
            f"-> {self.remedy}",
        )
        return "  ".join(part for part in parts if part)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for machines."""
        return {
            "file": self.file, "line": self.line, "column": self.column, "path": self.path,
            "value": self.value, "rule": self.rule, "remedy": self.remedy,
        }  # fmt: skip


class Origin(NamedTuple):
    """Where a part of a document that was made from others is written."""

    file: str
    path: str


def origin_of(origins: Mapping[str, Origin], path: str) -> Origin:
    """Return where a path of a lowered document is written, or would be; `origins` has one for ""."""
    known = path
    while known and known not in origins:
        known = known[: max(known.rfind("."), known.rfind("["), 0)]
    origin, rest = origins[known], path[len(known) :]
    return Origin(origin.file, (origin.path + rest).removeprefix("."))


class SpecError(Exception):
    """SLO files cannot be used as they stand; `problems` says all that is wrong with them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class Refused(Exception):
    """A value breaks a rule; caught where its place is known."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.remedy = remedy


def shown(text: str) -> str:
    """Write a value on one line: shortened, without control characters; what is empty looks empty."""
    printable = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: VALUE_CHARS_MAX + 1])
    if len(printable) > VALUE_CHARS_MAX:
        return f"{printable[:VALUE_CHARS_MAX]}…"
    return printable or "(empty)"
