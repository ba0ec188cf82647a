"""Records that anybody may write: the columns that they are, or why they cannot be used. Whatever comes, nobody stops.

Law: `decoded` returns columns of its schema or raises Unusable, for whatever bytes. Pure.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.blocks import Malformed, decode
from pipeline.framing import CONFLUENT_MAGIC, SINGLE_OBJECT, SINGLE_OBJECT_MAGIC, Framing, UnknownSchema, header_of

VALUE_BYTES_MOST = 64 << 10  #: of a record
TEXT_BYTES_MOST = 1 << 10  #: of a text
BEHIND_US = 86_400_000_000  #: so long a record may wait until it is sent
AHEAD_US = 60_000_000  #: so far a clock may be ahead: for so long what it says would outdo what others say of now
TIME_END_US = 4_102_444_800_000_000  #: 2100: times that ClickHouse can add a retention to


class Flaw(NamedTuple):
    """Why a record cannot be used: a short name, a sentence, and the field it is about."""

    reason: str
    detail: str
    field: str = ""


class Unusable(ValueError):
    """A record that is not what its topic holds; `flaw` says why."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.detail)
        self.flaw = flaw


def decoded(schema: str, value: bytes, framing: Framing = SINGLE_OBJECT) -> dict[str, Any]:
    """Decode one record.

    Raises: Unusable.
    """
    if len(value) > VALUE_BYTES_MOST:
        raise Unusable(Flaw("too_large", f"{len(value)} bytes are more than {VALUE_BYTES_MOST}"))
    try:
        return decode(schema, value, framing)
    except UnknownSchema as error:
        is_framed = value.startswith((SINGLE_OBJECT_MAGIC, CONFLUENT_MAGIC))
        raise Unusable(Flaw("unknown_schema", str(error)) if is_framed else _unframed(value)) from error
    except Malformed as error:
        raise Unusable(Flaw("malformed", str(error))) from error
    except (ValueError, TypeError, LookupError, RecursionError) as error:  # of the registry's schema: anybody's
        raise Unusable(Flaw("schema_mismatch", f"its writer's schema is no record: {error!r}")) from error


def _unframed(value: bytes) -> Flaw:
    begins = value[:10].hex() or "nothing"
    detail = f"the value begins with {begins}: neither 00 and a schema id nor c301 and a fingerprint"
    return Flaw("unframed", detail)


def too_long(field: str, text: str) -> Flaw | None:
    """Say whether a text is longer than anybody reads."""
    if (length := len(text.encode())) <= TEXT_BYTES_MOST:
        return None
    return Flaw("too_long", f"{field} has {length} bytes, more than {TEXT_BYTES_MOST}", field)


def schema_id(value: bytes | None) -> str:
    """The header that a record came with, in hex."""
    return header_of(value or b"").hex()


def far_away(field: str, time_us: int, appended_us: int) -> Flaw | None:
    """Say whether a time is far from when the broker took the record (negative: it did not say)."""
    if not 0 <= time_us < TIME_END_US:
        return Flaw("no_time", f"{field} is before 1970 or past 2100: is it in microseconds?", field)
    if appended_us >= 0 and not appended_us - BEHIND_US <= time_us <= appended_us + AHEAD_US:
        return Flaw("far_away", f"{field} is far from when the broker took it: is its clock right?", field)
    return None


def not_finite(figures: Mapping[str, float | None]) -> Flaw | None:
    """Say whether one of some figures is none."""
    odd = [name for name, figure in figures.items() if figure is not None and not math.isfinite(figure)]
    return Flaw("not_finite", f"{odd[0]} is {figures[odd[0]]}; leave out what is not known", odd[0]) if odd else None
