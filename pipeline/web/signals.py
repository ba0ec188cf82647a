"""What controls publish, over HTTP: a list for people, and flat numbers of one model for scalers and rollouts.

Law: a number that is expired or not known is not there, so that whoever reads it fails and holds, rather than acting on
what was. It is never 0 for want of a better one.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiohttp import web
from pydantic import Field

from pipeline.web.answers import Answer, Time
from pipeline.web.parameters import known
from pipeline.web.source import Source

NOTE = "No control has published a signal that fits"
MOST = 10_000  #: as signals.sql has it
CUT = f"These are the first {MOST:,}: ask for one service, or one name"


class SignalRow(Answer):
    """One signal: the newest of its service, model, name and scope."""

    service: str
    model: str = Field(description="empty: all models of the service")
    name: str
    scope: str = Field(description="a variant, a class, a tenant, a horizon; empty: nothing else")
    state: str = Field(description="what it says, in a word; unknown: nothing is known")
    value: float | None
    unit: str
    reason: str
    confidence: float | None
    samples: int
    inputs: dict[str, float] = Field(description="the figures that it was made of")
    details: dict[str, str]
    evaluated_at: Time
    watermark: Time | None = Field(description="event time up to which events are in it")
    window_s: int
    expires_at: Time = Field(description="from then on nothing is known")
    appended_at: Time
    age_s: float
    is_expired: bool

    @property
    def ttl_s(self) -> float:
        return round(max((self.expires_at - self.evaluated_at).total_seconds() - self.age_s, 0.0), 3)


class Signals(Answer):
    """What controls publish."""

    as_of: Time
    items: list[SignalRow]
    note: str | None
    sql: str


class ModelSignals(Answer):
    """What is in force for one model, as flat numbers: `values.scale` is all that KEDA's metrics-api needs."""

    as_of: Time
    service: str
    model: str
    values: dict[str, float] = Field(
        description="name -> value, of what is in force without a scope; the model's own before its service's"
    )
    states: dict[str, str] = Field(description="name -> what it says in a word, of the same and of what has no value")
    scopes: dict[str, dict[str, float]] = Field(description="name -> scope -> value, of what is in force with a scope")
    ttl_s: dict[str, float] = Field(description="name -> seconds until it says nothing any more")
    items: list[SignalRow] = Field(description="all of them, expired ones too")
    note: str | None
    sql: str


def signals(source: Source) -> Callable[[web.Request], Awaitable[Signals]]:
    """Make the handler of the list. Raises in it: BadParameter, NoAnswer."""

    async def handle(request: web.Request) -> Signals:
        chosen = known(request.query.items(), ("service", "name"))
        asked = {"service": chosen.get("service", ""), "model": "", "name": chosen.get("name", "")}
        found = await source.asking.ask("signals", asked)
        items = [SignalRow(**row) for row in found.rows()]
        return Signals(as_of=found.as_of, items=items, note=note_of(len(items)), sql=found.sql)

    return handle


def signals_of_model(source: Source) -> Callable[[web.Request], Awaitable[ModelSignals]]:
    """Make the handler of one model. Raises in it: BadParameter, NoAnswer."""

    async def handle(request: web.Request) -> ModelSignals:
        known(request.query.items(), ())
        service, model = request.match_info["service"], request.match_info["model"]
        found = await source.acted_on.ask("signals", {"service": service, "model": model, "name": ""})
        items = [SignalRow(**row) for row in found.rows()]
        return ModelSignals(
            as_of=found.as_of, service=service, model=model, **in_force(items), items=items,
            note=note_of(len(items)), sql=found.sql,
        )  # fmt: skip

    return handle


def note_of(count: int) -> str | None:
    """Say what a list does not show by itself; None: it shows all."""
    return NOTE if not count else CUT if count >= MOST else None


def in_force(items: Iterable[SignalRow]) -> Mapping[str, Any]:
    """Flatten what is in force; the model's own before what is said of all models."""
    flat: dict[str, SignalRow] = {}
    scoped: dict[str, dict[str, float]] = {}
    for item in sorted((each for each in items if not each.is_expired), key=lambda each: each.model != ""):
        if not item.scope:
            flat[item.name] = item
        elif item.value is not None:
            scoped.setdefault(item.name, {})[item.scope] = item.value
    return {
        "values": {name: item.value for name, item in flat.items() if item.value is not None},
        "states": {name: item.state for name, item in flat.items()},
        "scopes": scoped,
        "ttl_s": {name: item.ttl_s for name, item in flat.items()},
    }
