"""Silences: who is not to be told of what, from when until when, and why.

Pure. A silence selects alerts by their labels, as routes do. It holds back what is new: a receiver that was told of an
alert is told of its end too. What is still open when a silence ends is told then. Kept in `silence_versions`, where
`burnline alerts silence` writes them, and read from Alertmanager, whose regular expressions match whole values.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.delivery.matching import Selection, is_match
from pipeline.periods import EPOCH
from pipeline.slo import Accepted, Selector

PATTERN_MOST = 1_000  #: characters of a regular expression of Alertmanager's
REPEATS_MOST = 3  #: in a row: as many times the length of a value is what one more costs

_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)  # escapes and sets: each is one character
_OPENING = re.compile(r"\(\?(?:[a-zA-Z-]*:|P?<\w+>)")
_INNERMOST = re.compile(r"\(([^()]*)\)")
_VARYING, _REPEAT = re.compile(r"[*+?{|]"), re.compile(r"[*+{]")

#: columns of table `silence_versions` and of view `silences`
COLUMNS = (
    "silence", "starts_at", "ends_at", "reason", "who", "recorded_at", "where_labels", "where_values", "where_none_of",
    "where_prefixes",
)  # fmt: skip


@dataclass(frozen=True)
class Silence:
    """One silence. Law: in force over [starts_us, ends_us)."""

    name: str
    selects: Selection
    starts_us: int
    ends_us: int
    reason: str
    who: str


@dataclass(frozen=True)
class Pattern:
    """What Alertmanager's matchers accept of one label: a regular expression, or a negation; answers `value in`."""

    text: str
    is_not: bool = False

    def __contains__(self, value: object) -> bool:
        return (re.fullmatch(self.text, str(value)) is not None) is not self.is_not


def silencing(silences: Iterable[Silence], labels: Mapping[str, str], now_us: int) -> Silence | None:
    """Return the silence that holds back an alert with these labels; None: none does."""
    return next(
        (each for each in silences if each.starts_us <= now_us < each.ends_us and is_match(each.selects, labels)), None
    )


def of_row(row: Mapping[str, Any]) -> Silence:
    """Make a silence of a row of view `silences`; of each label all that is said must hold."""
    selects = tuple(
        (label, tuple(values) if values else Selector(tuple(none_of), tuple(prefixes)))
        for label, values, none_of, prefixes in zip(
            row["where_labels"], row["where_values"], row["where_none_of"], row["where_prefixes"], strict=True
        )
    )
    starts, ends = ((row[name] - EPOCH).total_seconds() * 1e6 for name in ("starts_at", "ends_at"))
    return Silence(row["silence"], selects, round(starts), round(ends), row["reason"], row["who"])


def is_expired(said: Mapping[str, Any]) -> bool:
    """Whether an entry of Alertmanager's is of the past."""
    return bool(said.get("status", {}).get("state") == "expired")


def of_alertmanager(said: Mapping[str, Any]) -> Silence | None:
    """Make a silence of an entry of Alertmanager's `GET /api/v2/silences`; None: it cannot be read."""
    try:
        selects = tuple((str(each["name"]), _accepted(each)) for each in said["matchers"])
        starts, ends = (
            (datetime.fromisoformat(said[name]) - EPOCH).total_seconds() * 1e6 for name in ("startsAt", "endsAt")
        )
        name, reason, who = (str(said.get(key, "")) for key in ("id", "comment", "createdBy"))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, re.error):
        return None
    return Silence(name, selects, round(starts), round(ends), reason, who) if selects else None


def may_explode(pattern: str) -> bool:
    """Whether backtracking may take for ever, where Alertmanager's own expressions do not: (.*,)* or .*.*.*.*.

    Law: a group that may match in several ways is not repeated, and no branch repeats more than REPEATS_MOST times.
    """
    flat = _OPENING.sub("(", _ATOM.sub("x", pattern))
    while group := _INNERMOST.search(flat):
        varies = _VARYING.search(group[1]) is not None
        if varies and flat[group.end() : group.end() + 1] in {"*", "+", "{"}:
            return True
        flat = f"{flat[: group.start()]}x{'?' * varies}{'*' * _repeats(group[1])}{flat[group.end() :]}"
    return _repeats(flat) > REPEATS_MOST


def _repeats(flat: str) -> int:
    return max(len(_REPEAT.findall(branch)) for branch in flat.split("|"))


def _accepted(matcher: Mapping[str, Any]) -> Accepted:
    value, is_equal = str(matcher["value"]), matcher.get("isEqual", True)
    if not matcher["isRegex"]:
        return (value,) if is_equal else Selector((value,))
    if len(value) > PATTERN_MOST:
        raise ValueError("the pattern is too long")
    if may_explode(value):
        raise ValueError("the pattern may take for ever")
    re.compile(value)
    return Pattern(value, is_not=not is_equal)  # type: ignore[return-value]
