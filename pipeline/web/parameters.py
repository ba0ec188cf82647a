"""Parameters of a request: read strictly, refused by name.

Pure: now is an argument. Law: what is not understood is refused, never ignored; what comes back is bounded.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from pipeline.alerts import Kind
from pipeline.periods import in_zone
from pipeline.standing import STANDINGS

LIMIT, LIMIT_MOST = 200, 1000
LIVE_MOST = 500  #: rows that a live stream keeps up
TEXT_MOST = 1024  #: characters of a value; labels are far shorter
SPAN_MOST_S = 400 * 86_400
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
RELATIVE = re.compile(r"-(\d{1,6})([smhd])")

SORTS = ("standing", "slo", "service", "compliance", "budget", "burn", "coverage", "exhaustion")
ALERT_STATES = ("all", "open", "resolved")
SEVERITIES = ("CRITICAL", "WARNING", "INFO", "NONE")
KINDS = tuple(Kind.__members__)


class BadParameter(ValueError):
    """A parameter that cannot be used; the message says what can."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name


class FleetQuery(NamedTuple):
    """Which SLO instances, in which order, and how many."""

    words: tuple[str, ...] = ()
    slo: str = ""
    service: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    standings: tuple[str, ...] = ()
    sort: str = "standing"
    is_turned: bool = False
    group: str = ""
    limit: int = LIMIT
    after: tuple[Any, ...] | None = None
    has_trend: bool = True

    @property
    def signature(self) -> str:
        """Tell apart what a cursor belongs to."""
        return _signature(self._replace(limit=0, after=None, has_trend=True))


class AlertQuery(NamedTuple):
    """Which alerts."""

    state: str
    since: int
    until: int
    slo: str = ""
    service: str = ""
    instance: str | None = None
    severity: str = ""
    kind: str = ""
    limit: int = LIMIT
    after: tuple[Any, ...] | None = None

    @property
    def signature(self) -> str:
        """Tell apart what a cursor belongs to; `from` moves with the clock."""
        return _signature(self._replace(limit=0, after=None, since=0, until=0))


class Span(NamedTuple):
    """Time that is asked for: half open, whole seconds."""

    since: int
    until: int


def _signature(query: tuple[Any, ...]) -> str:
    return sha256(repr(query).encode()).hexdigest()[:10]


def known(found: Iterable[tuple[str, str]], names: Sequence[str], repeatable: Sequence[str] = ()) -> dict[str, Any]:
    """Return values by name; of what is repeatable a list.

    Raises: BadParameter for names that are unknown or come twice, and for values that are too long.
    """
    values: dict[str, Any] = {name: [] for name in repeatable}
    for name, value in found:
        if name not in names and name not in repeatable:
            raise BadParameter(name[:50], f"there is no such parameter; there are {', '.join((*names, *repeatable))}")
        if name in repeatable:
            values[name].append(readable(name, value))
        elif name in values:
            raise BadParameter(name, "only once")
        else:
            values[name] = readable(name, value)
    return values


def readable(name: str, value: str) -> str:
    """Return a value that may be asked for.

    Raises: BadParameter.
    """
    if len(value) > TEXT_MOST or "\x00" in value:
        raise BadParameter(name, f"at most {TEXT_MOST} characters, and no zero among them")
    return value


FLEET_NAMES = ("q", "slo", "service", "standing", "sort", "group", "limit", "cursor", "trend")


def fleet_query(
    found: Iterable[tuple[str, str]], names: Sequence[str] = FLEET_NAMES, most: int = LIMIT_MOST
) -> FleetQuery:
    """Read which SLO instances are asked for, `most` of them at once.

    Raises: BadParameter.
    """
    values = known(found, names, ("label",))
    sort = values.get("sort", "standing")
    query = FleetQuery(
        tuple(values.get("q", "").lower().split()), values.get("slo", ""), values.get("service", ""),
        tuple(_label(text) for text in values["label"]),
        tuple(_choice("standing", each, STANDINGS) for each in _listed(values.get("standing", ""))),
        _choice("sort", sort.removeprefix("-"), SORTS), sort.startswith("-"),
        _group(values.get("group", "")), number("limit", values.get("limit"), LIMIT, most),
        has_trend=_choice("trend", values.get("trend", "1"), ("0", "1")) == "1",
    )  # fmt: skip
    return query._replace(after=unsealed(values.get("cursor"), query.signature))


ALERT_NAMES = ("state", "from", "to", "slo", "service", "instance", "severity", "kind", "limit", "cursor")


def alert_query(found: Iterable[tuple[str, str]], now_s: float) -> AlertQuery:
    """Read which alerts are asked for.

    Raises: BadParameter.
    """
    values = known(found, ALERT_NAMES)
    query = AlertQuery(
        _choice("state", values.get("state", "all"), ALERT_STATES),
        *span_of(values, now_s, "-7d"),
        values.get("slo", ""), values.get("service", ""), values.get("instance"),
        _choice("severity", values.get("severity", "").upper(), ("", *SEVERITIES)),
        _choice("kind", values.get("kind", "").upper(), ("", *KINDS)),
        number("limit", values.get("limit"), LIMIT, LIMIT_MOST),
    )  # fmt: skip
    return query._replace(after=unsealed(values.get("cursor"), query.signature))


def span_of(values: Mapping[str, Any], now_s: float, default: str = "-6h") -> Span:
    """Read `from` and `to`.

    Raises: BadParameter.
    """
    since, until = (
        time_of(name, values.get(name, or_else), now_s) for name, or_else in (("from", default), ("to", "now"))
    )
    if not since < until <= since + SPAN_MOST_S:
        raise BadParameter("from", f"it is before `to`, by {SPAN_MOST_S // 86_400} days at most")
    return Span(since, until)


def time_of(name: str, text: str, now_s: float) -> int:
    """Read a time: epoch seconds, ISO 8601, now, or -6h.

    Raises: BadParameter.
    """
    if text == "now":
        return int(now_s)
    if match := RELATIVE.fullmatch(text):
        return int(now_s) - int(match[1]) * UNITS[match[2]]
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return int(text)
    return int(instant(name, text).timestamp())


def instant(name: str, text: str) -> datetime:
    """Read a time as ISO 8601.

    Raises: BadParameter.
    """
    try:
        at = in_zone(datetime.fromisoformat(text))
        if 1 <= at.timestamp() < 1 << 33:
            return at
    except (ValueError, OverflowError):
        pass
    raise BadParameter(name, "a time is epoch seconds, ISO 8601, `now`, or as -6h, -30m, -7d")


def number(name: str, text: str | None, default: int, most: int) -> int:
    """Read a whole number of [1, most].

    Raises: BadParameter.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise BadParameter(name, f"a whole number from 1 to {most}")
    return int(text)


def sealed(key: Sequence[Any], signature: str) -> str:
    """Write a cursor: after which row a page begins, and of which list."""
    return base64.urlsafe_b64encode(json.dumps([signature, *key]).encode()).decode()


def unsealed(text: str | None, signature: str) -> tuple[Any, ...] | None:
    """Read a cursor.

    Raises: BadParameter when it is none of this list.
    """
    if not text:
        return None
    try:
        of, *key = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
    except (ValueError, binascii.Error, TypeError, RecursionError):
        of, key = None, []
    if of != signature or not key or not all(each is None or isinstance(each, str | int | float) for each in key):
        raise BadParameter("cursor", "it belongs to another list: leave it out to begin anew")
    return tuple(key)


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _choice(name: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise BadParameter(name, f"one of {', '.join(filter(None, choices))}")
    return value


def _label(text: str) -> tuple[str, str]:
    key, is_pair, value = text.partition(":")
    if not (key and is_pair):
        raise BadParameter("label", "written as key:value, for example region:eu")
    return key, value


def _group(text: str) -> str:
    if text and text not in {"slo", "service", "standing"} and not (text.startswith("label:") and len(text) > 6):
        raise BadParameter("group", "one of slo, service, standing, or label: and a label's name, as label:team")
    return text
