"""Incidents and scenario files: what goes wrong, where, when and how badly.

Pure but for `load_scenario`, which reads one file. Times count from the scenario's zero,
which the caller picks.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.sli import FAILURE_KINDS
from pipeline.spec.plain import BYTES_MAX, plain_document

#: kind -> the one number it takes, and what it does
KINDS = {
    "errors": ("ratio", "this share of requests fails with `failure_kind`"),
    "latency": ("factor", "prefill, queue and tokens take this many times as long"),
    "outage": (
        "ratio",
        "this share is refused as UNAVAILABLE; with `recovers`, it then falls to 0 under cold starts",
    ),
    "traffic": ("factor", "this many times the load"),
    "capacity": ("ratio", "this share of the replicas is gone"),
}
LABELS = ("service", "operation", "request_model", "region", "variant", "tenant_id")
NUMBER_END = 1e9  # of requests a second, tenants, or times the load
_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


class ScenarioError(ValueError):
    """A scenario file that cannot be used; the message says where and what is expected."""


@dataclass(frozen=True)
class Incident:
    """One thing that goes wrong in [start_us, end_us) after zero, to requests whose labels match."""

    name: str
    kind: str
    start_us: int
    end_us: int
    amount: float
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    failure_kind: str = "EXECUTION"
    recovers_us: int = 0


@dataclass(frozen=True)
class Scenario:
    """A scenario file: incidents, and what it asks of the fleet (`rate`, `models`, `tenants`)."""

    name: str
    description: str
    incidents: tuple[Incident, ...]
    fleet: dict[str, Any] = field(default_factory=dict)
    duration_us: int | None = None


def duration_us(text: object) -> int:
    """Read `90s`, `1h30m`, `250ms`: a unit is required.

    Raises: ScenarioError.
    """
    parts = re.findall(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)", str(text))
    if not parts or "".join(number + unit for number, unit in parts) != str(text):
        raise ScenarioError(f"{text!r} is no duration; write 90s, 10m or 1h30m")
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts))


def load_scenario(path: Path) -> Scenario:
    """Read one scenario file.

    Raises: ScenarioError with file, path and what is expected.
    """
    try:
        with path.open("rb") as file:
            document = plain_document(file.read(BYTES_MAX + 1))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    try:
        return _scenario(document)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from error


def _scenario(document: Any) -> Scenario:
    if not isinstance(document, dict) or document.get("kind") != "Scenario":
        raise ScenarioError("kind: expected a document of kind Scenario")
    _only(document, {"apiVersion", "kind", "metadata", "spec"}, "")
    spec, metadata = _table(document.get("spec"), "spec"), _table(document.get("metadata"), "metadata")
    _only(spec, {"fleet", "duration", "incidents"}, "spec.")
    fleet = _fleet(_table(spec.get("fleet"), "spec.fleet"))
    given = spec.get("incidents") or []
    if not isinstance(given, list):
        raise ScenarioError("spec.incidents: expected a list")
    incidents = tuple(_incident(_table(i, f"spec.incidents[{n}]"), f"spec.incidents[{n}]") for n, i in enumerate(given))
    length = duration_us(spec["duration"]) if "duration" in spec else None
    return Scenario(str(metadata.get("name", "")), str(metadata.get("description", "")), incidents, fleet, length)


def _table(given: Any, where: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, dict):
        raise ScenarioError(f"{where}: expected a mapping")
    return given or {}


def _fleet(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, {"rate", "models", "tenants"}, "spec.fleet.")
    for name in given.keys() & {"rate", "tenants"}:
        if type(value := given[name]) not in {int, float} or not 0 < value < NUMBER_END:
            raise ScenarioError(f"spec.fleet.{name}: {value!r}; expected a number above 0")
    models = given.get("models", 1)
    are_names = isinstance(models, str) or (isinstance(models, list) and all(isinstance(each, str) for each in models))
    if not are_names and not (type(models) is int and models > 0):
        raise ScenarioError(f"spec.fleet.models: {models!r}; expected names, or how many")
    return given


def _only(given: dict[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(map(str, given)) - allowed)
    if unknown:
        raise ScenarioError(f"{where}{unknown[0]}: unknown; expected {', '.join(sorted(allowed))}")


def _incident(given: Any, path: str) -> Incident:
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ScenarioError(f"{path}.kind: {kind!r}; expected {', '.join(KINDS)}")
    number = KINDS[kind][0]
    optional = {"failure_kind"} if kind == "errors" else {"recovers"} if kind == "outage" else set()
    _only(given, {"name", "kind", "starts", "lasts", "where", number} | optional, f"{path}.")
    missing = [key for key in ("name", "starts", "lasts", number) if key not in given]
    if missing:
        raise ScenarioError(f"{path}.{missing[0]}: missing")
    start = duration_us(given["starts"])
    return Incident(
        name=str(given["name"]),
        kind=kind,
        start_us=start,
        end_us=start + duration_us(given["lasts"]),
        amount=_amount(given[number], number, path),
        where=_where(_table(given.get("where"), f"{path}.where"), path),
        failure_kind=_failure_kind(given.get("failure_kind", "EXECUTION"), path),
        recovers_us=duration_us(given["recovers"]) if "recovers" in given else 0,
    )


def _amount(value: Any, number: str, path: str) -> float:
    if type(value) not in {int, float} or not 0 <= value < NUMBER_END or (number == "ratio" and value > 1):
        raise ScenarioError(
            f"{path}.{number}: {value!r}; expected {'0 to 1' if number == 'ratio' else 'a number >= 0'}"
        )
    return float(value)


def _where(given: dict[str, Any], path: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    _only(given, set(LABELS), f"{path}.where.")
    lists = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return tuple((name, tuple(map(str, values))) for name, values in lists.items())


def _failure_kind(value: Any, path: str) -> str:
    if not isinstance(value, str) or value not in FAILURE_KINDS[1:]:
        raise ScenarioError(f"{path}.failure_kind: {value!r}; expected {', '.join(FAILURE_KINDS[1:])}")
    return str(value)
