"""A signal: what one control says of a service, a model and a scope now, for others to act on; nothing here acts.

Law: a signal is named by service, model, name and scope; the newest of a name is in force until it expires, and whoever
reads an expired one knows nothing. What is unknown has no value: never 0, never NaN, never infinity. The signal that
was published last is all the state that a control has. Pure.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from pipeline.spec.problems import Refused

#: those that others act on first, what there is of each tenant last
NAMES = ("scale", "capacity", "shed", "gate", "forecast", "cost", "frontier", "quota")
UNKNOWN = "unknown"  #: the state of what nothing is known of
SCHEMA = "control_signal"
SEPARATOR = "|"
TEXT_BYTES_MOST = 1_000  #: of a reason or a detail: what is longer is cut
FIGURES_MOST = 100  #: of inputs, and of details


T = TypeVar("T")


class Untellable(ValueError):
    """A control said what no signal may say; `signal`: what it was to be, where its key and its times are sound."""

    def __init__(self, why: str, signal: "Signal | None" = None) -> None:
        super().__init__(why)
        self.signal = signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What a control says; times in microseconds of the epoch.

    Raises: Untellable, for a value that is not finite, or one of what is unknown.
    """

    service: str
    model: str  # "": all models of the service
    name: str  # of NAMES
    scope: str  # "": all; else a variant, a class, a tenant, a horizon
    state: str  # a word of the control's own enum; UNKNOWN
    value: float | None
    unit: str
    reason: str  # a sentence
    evaluated_at_us: int
    expires_at_us: int
    watermark_us: int | None = None  # event time that it is based on
    window_s: int = 0  # how much event time it looked at
    samples: int = 0  # how many requests, or what the control counts
    confidence: float | None = None  # between 0 and 1
    inputs: Mapping[str, float] = field(default_factory=dict)  # the figures it was made of
    details: Mapping[str, str] = field(default_factory=dict)  # what a consumer may need beside the value

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise Untellable(f"{self.name!r} is no name of a signal: {', '.join(NAMES)}")
        if self.expires_at_us <= self.evaluated_at_us:
            raise Untellable(f"{self.key}: it expires before it is evaluated")
        figures = {"value": self.value, "confidence": self.confidence, **self.inputs}
        for name, figure in figures.items():
            if figure is not None and not math.isfinite(figure):
                why = f"{self.key}: {name} is {figure}; what is not known is None, or not among the inputs"
                raise Untellable(why, self)
        if max(len(self.inputs), len(self.details)) > FIGURES_MOST:
            raise Untellable(f"{self.key}: more than {FIGURES_MOST} inputs or details", self)
        if self.state == UNKNOWN and self.value is not None:
            raise Untellable(f"{self.key}: a value of {self.value} of what is unknown", self)

    @property
    def key(self) -> str:
        """Its key in slo.signals."""
        return key_of(self.service, self.model, self.name, self.scope)

    @property
    def is_known(self) -> bool:
        return self.state != UNKNOWN

    def is_expired(self, now_us: int) -> bool:
        return now_us >= self.expires_at_us

    @property
    def columns(self) -> dict[str, Any]:
        """As schemas/avro/control_signal.avsc has it."""
        columns = {each.name.removesuffix("_us"): getattr(self, each.name) for each in fields(self)}
        columns["reason"] = _cut(self.reason)
        columns["inputs"] = {name: float(figure) for name, figure in self.inputs.items()}
        columns["details"] = {name: _cut(text) for name, text in self.details.items()}
        return columns

    @classmethod
    def read(cls, columns: Mapping[str, Any]) -> Self:
        """Read it back: `Signal.read(signal.columns) == signal`."""
        names = {each.name: each.name.removesuffix("_us") for each in fields(cls)}
        return cls(**{name: columns[column] for name, column in names.items()})


def _cut(text: str) -> str:
    return text.encode()[:TEXT_BYTES_MOST].decode(errors="ignore")


def check_life(every_s: float, ttl_s: float) -> None:
    """See that a signal is renewed before it expires. Raises: Refused."""
    if ttl_s < 2 * every_s:
        raise Refused("ttl must be at least twice as long as every", "what is looked at again must not expire first")


def key_of(service: str, model: str, name: str, scope: str = "") -> str:
    """Write the key of a signal: service|model|name, and |scope when there is one.

    Law: different signals have different keys, whatever is in their names.
    """
    parts = (service, model, name, *([scope] if scope else []))
    return SEPARATOR.join(part.replace("%", "%25").replace(SEPARATOR, "%7C") for part in parts)


def unknown(name: str, service: str, model: str, reason: str, now_us: int, ttl_s: float, scope: str = "") -> Signal:
    """Say that nothing is known, and why."""
    return Signal(
        service=service, model=model, name=name, scope=scope, state=UNKNOWN, value=None, unit="", reason=reason,
        evaluated_at_us=now_us, expires_at_us=now_us + round(ttl_s * 1e6),
    )  # fmt: skip


def every(make: Callable[[T], Signal], found: Iterable[T]) -> list[Signal]:
    """Tell of everything that was found; of what cannot be told, that it is unknown and why: others are told of.

    Raises: Untellable, for a signal that has no sound key.
    """
    told = []
    for each in found:
        try:
            told.append(make(each))
        except Untellable as error:
            if (signal := error.signal) is None:
                raise
            why, ttl_us = f"it cannot be told: {error}", signal.expires_at_us - signal.evaluated_at_us
            about = (signal.name, signal.service, signal.model, why, signal.evaluated_at_us)
            told.append(unknown(*about, ttl_us / 1e6, signal.scope))
    return told


def due(signals: Iterable[Signal], previous: Mapping[str, Signal], now_us: int) -> list[Signal]:
    """Return what is worth publishing: what says something else than the last one did, or would soon expire."""
    return [each for each in signals if _is_news(each, previous.get(each.key), now_us)]


def _is_news(signal: Signal, last: Signal | None, now_us: int) -> bool:
    if last is None or 2 * (now_us - last.evaluated_at_us) >= last.expires_at_us - last.evaluated_at_us:
        return True
    return _said(signal) != _said(last)


def _said(signal: Signal) -> Signal:
    """What consumers act on: figures that a decision was made of change all the time."""
    return replace(
        signal, evaluated_at_us=0, expires_at_us=1, watermark_us=None, samples=0, confidence=None, inputs={}, reason=""
    )
