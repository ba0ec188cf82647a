"""Changes: records of inference.changes, which anybody may write, as what can be kept; or why they cannot be used.

Law: `read(value)` gives columns that `flaw` finds nothing wrong with, or raises Unusable. A change is named by its
service and its change_id; whoever sends it twice has changed one thing. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.blocks import Malformed, decode
from pipeline.framing import CONFLUENT_MAGIC, SINGLE_OBJECT, SINGLE_OBJECT_MAGIC, Framing, UnknownSchema, header_of

SCHEMA = "config_change"
KINDS = ("DEPLOY", "ROLLBACK", "KNOB", "SCALE", "MAINTENANCE", "PRICE", "NOTE")  #: symbols of ChangeKind
NEEDED = ("change_id", "service", "title")
SCOPE = ("request_model", "variant", "region")  #: labels that a change may be limited to
VALUE_BYTES_MOST = 64 << 10  #: of a record
TEXT_BYTES_MOST = 1 << 10  #: of a text
KNOBS_MOST = 100
AHEAD_US = 366 * 86_400_000_000  #: maintenance is announced, but not for years
TIME_END_US = 4_102_444_800_000_000  #: 2100: times that ClickHouse can add a retention to


class Flaw(NamedTuple):
    """Why a record cannot be used: a short name, a sentence, and the field it is about."""

    reason: str
    detail: str
    field: str = ""


class Unusable(ValueError):
    """A record that is no change; `flaw` says why."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.detail)
        self.flaw = flaw


def read(value: bytes | None, appended_us: int, framing: Framing = SINGLE_OBJECT) -> dict[str, Any]:
    """Decode one record that the broker took at `appended_us` (negative: it did not say).

    Raises: Unusable.
    """
    if value is None:
        raise Unusable(Flaw("null_value", "the value is null; a change cannot be deleted: send it again, corrected"))
    if len(value) > VALUE_BYTES_MOST:
        raise Unusable(Flaw("too_large", f"{len(value)} bytes are more than {VALUE_BYTES_MOST}"))
    try:
        columns = decode(SCHEMA, value, framing)
    except UnknownSchema as error:
        is_framed = value.startswith((SINGLE_OBJECT_MAGIC, CONFLUENT_MAGIC))
        raise Unusable(Flaw("unknown_schema", str(error)) if is_framed else _unframed(value)) from error
    except Malformed as error:
        raise Unusable(Flaw("malformed", str(error))) from error
    except (ValueError, TypeError, LookupError, RecursionError) as error:  # of the registry's schema: anybody's
        raise Unusable(Flaw("schema_mismatch", f"its writer's schema is no record: {error!r}")) from error
    if (found := flaw(columns, appended_us)) is not None:
        raise Unusable(found)
    return columns


def _unframed(value: bytes) -> Flaw:
    begins = value[:10].hex() or "nothing"
    detail = f"the value begins with {begins}: neither 00 and a schema id nor c301 and a fingerprint"
    return Flaw("unframed", detail)


def flaw(columns: Mapping[str, Any], now_us: int) -> Flaw | None:
    """Say what is wrong with a change, if anything; `now_us` negative: nobody knows."""
    for field in NEEDED:
        if not columns[field].strip():
            return Flaw("empty_field", f"{field} is empty", field)
    for field, text in _texts(columns):
        if (length := len(text.encode())) > TEXT_BYTES_MOST:
            return Flaw("too_long", f"{field} has {length} bytes, more than {TEXT_BYTES_MOST}", field)
    for field in ("before", "after"):
        if len(columns[field]) > KNOBS_MOST:
            return Flaw("too_many_knobs", f"{field} has more than {KNOBS_MOST} knobs", field)
    return _flaw_of_times(columns["at"], columns["until"], now_us)


def _flaw_of_times(at_us: int, until_us: int | None, now_us: int) -> Flaw | None:
    end_us = min(now_us + AHEAD_US, TIME_END_US) if now_us >= 0 else TIME_END_US
    if at_us < 0:
        return Flaw("too_old", "at is before 1970", "at")
    if at_us >= end_us:
        return Flaw("far_future", "at is more than a year ahead: is it in microseconds?", "at")
    if until_us is not None and until_us <= at_us:
        return Flaw("ends_first", "until is not behind at", "until")
    if until_us is not None and until_us >= TIME_END_US:
        return Flaw("far_future", "until is past 2100: is it in microseconds?", "until")
    return None


def _texts(columns: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every text of a change and the field it is in; what is not given is none."""
    given = [(field, columns[field]) for field in (*NEEDED, *SCOPE, "actor", "url", "config_epoch")]
    knobs = [(field, text) for field in ("before", "after") for pair in columns[field].items() for text in pair]
    return [(field, text) for field, text in (*given, *knobs) if text is not None]


def schema_id(value: bytes | None) -> str:
    """The header that a record came with, in hex."""
    return header_of(value or b"").hex()


def epoch_of(variant: str | None, after: Mapping[str, str]) -> str | None:
    """Name the configuration behind a change: the variant's name, else its knobs' values in short; None: neither."""
    return variant or (_hash(sorted(after.items())) if after else None)


def id_of(columns: Mapping[str, Any]) -> str:
    """Name a change by all that is told of it, so that the same told twice is the same change."""
    return f"c-{_hash(sorted(columns.items()))}"


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
