"""Changes: records of inference.changes, which anybody may write, as what can be kept; or why they cannot be used.

Law: `read(value)` gives columns that `flaw` finds nothing wrong with, or raises Unusable. A change is named by its
service and its change_id; whoever sends it twice has changed one thing. Pure.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pipeline.blocks import encode
from pipeline.foreign import TIME_END_US, VALUE_BYTES_MOST, Flaw, Unusable, decoded, too_long
from pipeline.framing import SINGLE_OBJECT, Framing

SCHEMA = "config_change"
KINDS = ("DEPLOY", "ROLLBACK", "KNOB", "SCALE", "MAINTENANCE", "PRICE", "NOTE")  #: symbols of ChangeKind
NEEDED = ("change_id", "service", "title")
SCOPE = ("request_model", "variant", "region")  #: labels that a change may be limited to
KNOBS_MOST = 100
KIND_CHARS_SHOWN = 40
AHEAD_US = 366 * 86_400_000_000  #: maintenance is announced, but not for years


def read(value: bytes | None, appended_us: int, framing: Framing = SINGLE_OBJECT) -> dict[str, Any]:
    """Decode one record that the broker took at `appended_us` (negative: it did not say).

    Raises: Unusable.
    """
    if value is None:
        raise Unusable(Flaw("null_value", "the value is null; a change cannot be deleted: send it again, corrected"))
    columns = decoded(SCHEMA, value, framing)
    if (found := flaw(columns, appended_us)) is not None:
        raise Unusable(found)
    return columns


def drafted(given: Mapping[str, Any], now_us: int) -> tuple[dict[str, Any], list[Flaw]]:
    """Complete what somebody tells of a change, and say all that is wrong with it; nothing: it may be written.

    `given`: columns but `change_id`, `at` and `config_epoch`, which may be empty or None; `kind` in any case.
    """
    columns = {**given, "at": now_us if given["at"] is None else given["at"], "kind": given["kind"].upper()}
    columns["config_epoch"] = given["config_epoch"] or epoch_of(given["variant"], given["after"])
    columns["change_id"] = given["change_id"] or id_of({name: columns[name] for name in columns if name != "change_id"})
    found = [*_flaws_of_kind(given["kind"]), *flaws(columns, now_us)]
    return columns, found or list(_flaws_of_size(columns))


def flaw(columns: Mapping[str, Any], now_us: int) -> Flaw | None:
    """Say what is wrong with a change, if anything; `now_us` negative: nobody knows."""
    return next(flaws(columns, now_us), None)


def flaws(columns: Mapping[str, Any], now_us: int) -> Iterator[Flaw]:
    """Say all that is wrong with a change."""
    for field in NEEDED:
        if not columns[field].strip():
            yield Flaw("empty_field", f"{field} is empty", field)
    for field, text in _texts(columns):
        if (found := too_long(field, text)) is not None:
            yield found
    for field in ("before", "after"):
        if len(columns[field]) > KNOBS_MOST:
            yield Flaw("too_many_knobs", f"{field} has more than {KNOBS_MOST} knobs", field)
    yield from _flaws_of_times(columns["at"], columns["until"], now_us)


def _flaws_of_times(at_us: int, until_us: int | None, now_us: int) -> Iterator[Flaw]:
    end_us = min(now_us + AHEAD_US, TIME_END_US) if now_us >= 0 else TIME_END_US
    if at_us < 0:
        yield Flaw("too_old", "at is before 1970", "at")
    if at_us >= end_us:
        yield Flaw("far_future", "at is more than a year ahead: is it in microseconds?", "at")
    if until_us is not None and until_us <= at_us:
        yield Flaw("ends_first", "until is not behind at", "until")
    if until_us is not None and until_us >= TIME_END_US:
        yield Flaw("far_future", "until is past 2100: is it in microseconds?", "until")


def _flaws_of_kind(text: str) -> Iterator[Flaw]:
    if text.upper() not in KINDS:  # as it is written: a few letters are lower ones of others
        known = [kind.lower() for kind in KINDS]
        meant = get_close_matches(text.lower(), known, n=1)
        remedy = f"did you mean {meant[0]}?" if meant else f"write one of {', '.join(known)}"
        yield Flaw("no_kind", f"{text[:KIND_CHARS_SHOWN]!r} is no kind of change -> {remedy}", "kind")


def _flaws_of_size(columns: Mapping[str, Any]) -> Iterator[Flaw]:
    """Refuse what is too large for a record, as the store would, behind the writer's back."""
    length = len(encode(SCHEMA, columns, SINGLE_OBJECT))  # whose header is no shorter than a registry's
    if length > VALUE_BYTES_MOST:
        why = (
            f"all of it has {length:,} bytes, more than {VALUE_BYTES_MOST:,} -> tell of fewer knobs, or of shorter ones"
        )
        yield Flaw("too_large", why, "after")


def _texts(columns: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every text of a change and the field it is in; what is not given is none."""
    given = [(field, columns[field]) for field in (*NEEDED, *SCOPE, "actor", "url", "config_epoch")]
    knobs = [(field, text) for field in ("before", "after") for pair in columns[field].items() for text in pair]
    return [(field, text) for field, text in (*given, *knobs) if text is not None]


def epoch_of(variant: str | None, after: Mapping[str, str]) -> str | None:
    """Name the configuration behind a change: the variant's name, else its knobs' values in short; None: neither."""
    return variant or (_hash(sorted(after.items())) if after else None)


def id_of(columns: Mapping[str, Any]) -> str:
    """Name a change by all that is told of it, so that the same told twice is the same change."""
    return f"c-{_hash(sorted(columns.items()))}"


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
