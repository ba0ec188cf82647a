"""JSON schema of the SLO language, made of the tables that validate it, so that editors complete and check it.

Pure. Law: what validates here may still be refused by a rule over several fields or a limit; what this refuses,
the language refuses. A feature that is not judged yet is in it, marked deprecated, with what is missing.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pipeline.sli import METRICS
from pipeline.spec import calendars, corrections, language, matrix, recurrence, scalars, thresholds
from pipeline.spec.language import API_VERSION
from pipeline.spec.reading import ITEMS_MAX, KEYS_MAX, Field, Language, joined
from pipeline.spec.rules import Presets
from pipeline.spec.scalars import OneOf, Read

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)$"
_LENGTH = r"^(\d+(\.\d+)?(us|ms|s|m|h|d|w))+$"
_RATE = r"^ *(\d+(\.\d*)?|\.\d+) */ *[smh] *$"
_DAY = r"\d{4}-\d\d-\d\d"
_TEXT: Schema = {"type": ["string", "number", "boolean"]}


def _numeric(**limits: Any) -> Schema:
    return {"anyOf": [{"type": "number", **limits}, {"type": "string", "pattern": _NUMBER}]}


def _text(pattern: str) -> Schema:
    return {"type": ["string", "number"], "pattern": pattern}


#: reader -> what it accepts
READERS: Mapping[Callable[[str], Any], Schema] = {
    scalars.target: _numeric(exclusiveMinimum=0, exclusiveMaximum=1),
    scalars.share: _numeric(minimum=0, maximum=1),
    scalars.margin: _numeric(minimum=0, exclusiveMaximum=1),
    scalars.factor: _numeric(exclusiveMinimum=0),
    scalars.weight: _numeric(exclusiveMinimum=0),
    scalars.slice_target: _numeric(exclusiveMinimum=0, maximum=1),
    scalars.count: {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+$"}]},
    scalars.boolean: {"enum": [True, False, "true", "false"]},
    scalars.severity: {"enum": ["info", "warning", "critical"]},
    scalars.duration: {"type": "string", "pattern": _LENGTH},
    scalars.window: {"type": "string", "pattern": _LENGTH},
    scalars.threshold: {"type": ["string", "integer"], "examples": ["500ms", "64", "10/s", "0.002 USD"]},
    scalars.requests: {"anyOf": [{"type": "integer", "minimum": 0}, _text(r"^\d+( ?requests)?$")]},
    scalars.money: _text(r"^(\d+(\.\d*)?|\.\d+)\s*USD$"),
    scalars.rate: {"type": "string", "pattern": _RATE, "examples": ["10/s", "600/m"]},
    scalars.objective: {
        "anyOf": [{"type": "string", "pattern": _LENGTH}, {"const": scalars.PER_REQUEST}],
        "examples": ["1s"],
    },
    calendars.duration: {"type": "string", "pattern": rf"{_LENGTH}|^[1-9]\d{{0,2}}[dwMQyY]$"},
    calendars.local_time: {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?$"},
    corrections.moment: {"type": "string", "pattern": rf"^{_DAY}([T ]\d\d:\d\d(:00)?(Z|[+-]\d\d:?\d\d)?)?$"},
    corrections.sentence: {**_TEXT, "minLength": 1},
    recurrence.rule: {
        "type": "string",
        "pattern": r"^(RRULE:)?[A-Z]+=[A-Z0-9,+-]+(;[A-Z]+=[A-Z0-9,+-]+)*$",
        "examples": ["FREQ=WEEKLY;BYDAY=SU", "FREQ=MONTHLY;BYDAY=1SU"],
    },
    calendars.zone: {"type": "string", "examples": ["UTC", "Europe/Berlin", "America/New_York"]},
    scalars.name: _text(r"^[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?$"),
    scalars.text: _TEXT,
    scalars.word: {**_TEXT, "minLength": 1, "maxLength": 256},
    scalars.label_value: _TEXT,
    scalars.prefix: {**_TEXT, "minLength": 1},
}

#: path -> what an editor shows
ABOUT = {
    "metadata.name": "unique over all files",
    "metadata.labels": "owner or team: who answers for it",
    "metadata.annotations": "runbook, and budget-policy (what to do when it is spent): sent with every alert",
    "spec.service": "`service` of the events",
    "spec.indicator.metric": "; ".join(f"{m.name}: {m.formula}" for m in METRICS.values()),
    "spec.indicator.threshold": "with the metric's unit: 500ms; 64 requests; 10/s, /m or /h; 0.002 USD",
    "spec.indicator.offered": "of a throughput: the rate of requests from which on a slice is judged",
    "spec.indicator.objectives": "of goodput: a duration for each metric, or perRequest: slo_ttft_ms, slo_tpot_ms",
    "spec.indicator.strict": "of goodput: an objective that a request has no value for is missed",
    "spec.indicator.preset": "thresholds that others promise for a model, such as llama2-70b/interactive",
    "spec.indicator.where": "which events count: a value, a list of values, or {in, not, notIn, prefix}",
    "spec.indicator.groupBy": "one budget and one alert for each combination of values",
    "spec.indicator.attempts": "final: what users see",
    "spec.indicator.policy": "where this SLO judges a case otherwise than others do",
    "spec.target": "a ratio: 0.99, not 99",
    "spec.timeWindow.duration": "30d rolls; 1M needs a calendar",
    "spec.alerting.preset": "default, workbook, or pairs of your own",
    "spec.guards": "the least evidence that fires",
    "spec.who": "who says so",
    "spec.from": "on the wall clock of timeZone, or with an offset; whole minutes; of the first time of rrule",
    "spec.to": "half open: the first minute that counts again",
    "spec.rrule": "RFC 5545, for maintenance that comes again: FREQ=WEEKLY;BYDAY=SU",
    "spec.except": "times of rrule that are left out, by their day or their start",
    "spec.timeZone": "UTC when it is not given",
    "spec.where": "which SLO instances: all, or by slo, service and the labels that SLOs are grouped by",
    "spec.sla": "a contract beside it, looser, with its own budget",
}


#: `$(key)` of a matrix may stand for any value
PARAMETER: Schema = {"type": "string", "pattern": r"\$\([a-z][a-zA-Z0-9_]{0,31}\)"}
_PARAMETERS = r"^[a-z][a-zA-Z0-9_]{0,31}$"
_VALUE: Schema = READERS[scalars.word]
MATRIX: Schema = {
    "description": "one document for many SLOs: write $(key) where a value of it belongs, in metadata.name too",
    "anyOf": [
        {"type": "object", "minProperties": 1, "propertyNames": {"pattern": _PARAMETERS},
         "additionalProperties": {"anyOf": [_VALUE, {"type": "array", "minItems": 1, "items": _VALUE}]}},
        {"type": "array", "minItems": 1, "maxItems": matrix.EXPANSIONS_MAX,
         "items": {"type": "object", "minProperties": 1, "propertyNames": {"pattern": _PARAMETERS},
                   "additionalProperties": _VALUE}},
        {"type": "null"},
    ],
}  # fmt: skip


#: of an indicator: the threshold is written in the metric's unit
THRESHOLDS: list[Schema] = [
    {
        "if": {"properties": {"metric": {"enum": [m.name for m in METRICS.values() if m.unit == unit]}}},
        "then": {"properties": {"threshold": {"anyOf": [READERS[reader], PARAMETER, {"type": "null"}]}}},
    }
    for unit, reader in thresholds.READERS.items()
]


def json_schema(presets: Presets) -> Schema:
    """Return the schema of one document of burnline/v1."""
    definitions: Schema = {}
    languages = (language.SLO, language.COMPOSITE, corrections.LANGUAGE)
    slo, composite, correction = (_Maker(each, presets, definitions).branch("") for each in languages)
    return {
        "$schema": DIALECT,
        "title": f"SLO or Correction, {API_VERSION}",
        "description": "One document of an SLO file. `burnline slo validate` checks more.",
        "if": {"required": ["kind"], "properties": {"kind": {"const": corrections.KIND}}},
        "then": correction,
        "else": {
            "if": {"required": ["spec"], "properties": {"spec": {"type": "object", "required": ["composite"]}}},
            "then": composite,
            "else": slo,
        },
        "$defs": definitions,
    }


class _Maker(NamedTuple):
    """Makes the schema of one language."""

    language: Language
    presets: Presets
    definitions: Schema

    def branch(self, pattern: str) -> Schema:
        """Make the schema of a branch, written as a mapping or a list."""
        under = self.language.children[pattern]
        if under == ["#"]:
            items = {"type": "array", "minItems": 1, "items": self.node(joined(pattern, "#"))}
            return {**items, "maxItems": self.language.items_max.get(pattern, ITEMS_MAX)}
        if under == ["*"]:
            return self._free(pattern)
        properties = {name: self._optional(joined(pattern, name)) for name in under}
        if pattern == "":
            kind = {"const": corrections.KIND if self.language is corrections.LANGUAGE else "SLO"}
            properties = {**properties, "apiVersion": {"const": API_VERSION}, "kind": kind, "matrix": MATRIX}
        made: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
        required = [name for name in under if self._is_required(joined(pattern, name))]
        made |= {"required": required} if required else {}
        return made | ({"allOf": THRESHOLDS} if pattern == thresholds.INDICATOR else {})

    def _free(self, pattern: str) -> Schema:
        key, value = self.language.keys[pattern], self.node(joined(pattern, "*"))
        made: Schema = {"type": "object", "maxProperties": KEYS_MAX}
        if isinstance(key, OneOf):
            self.definitions[pattern] = value
            properties = {name: {"$ref": f"#/$defs/{pattern}"} for name in key.known}
            return {**made, "additionalProperties": False, "properties": properties}
        return {**made, "additionalProperties": value}

    def _is_required(self, pattern: str) -> bool:
        leaf = self.language.fields.get(pattern)
        return pattern in language.ENVELOPE.fields or pattern in self.language.required or bool(leaf and leaf.missing)

    def _optional(self, pattern: str) -> Schema:
        """Null is the same as not written."""
        made = self.node(pattern)
        return made if self._is_required(pattern) else _any(made, {"type": "null"})

    def node(self, pattern: str) -> Schema:
        leaf = self.language.fields.get(pattern)
        written = [] if leaf is None else [self._leaf(leaf, pattern)]
        written += [self.branch(pattern)] if pattern in self.language.children else []
        made = _any(*written)
        return {"description": ABOUT[pattern], **made} if pattern in ABOUT else made

    def _leaf(self, leaf: Field, pattern: str) -> Schema:
        named = {"spec.alerting.preset": self.presets.windows, "spec.indicator.preset": self.presets.models}
        value = {"enum": list(named[pattern])} if pattern in named else schema_of(leaf.read)
        value = value if value == _TEXT else _any(value, PARAMETER)
        if not leaf.many:
            return value
        return _any(value, {"type": "array", "minItems": 1, "maxItems": ITEMS_MAX, "items": value})


def schema_of(reader: Read) -> Schema:
    """Return what a reader accepts of a value."""
    return {"enum": list(reader.known)} if isinstance(reader, OneOf) else READERS[reader]


def _any(*schemas: Schema) -> Schema:
    """One of some schemas; nested choices become one, and what is said of one is said of all."""
    flat: list[Schema] = []
    said: Schema = {}
    for each in schemas:
        notes: Schema = {key: each[key] for key in ("description", "deprecated") if key in each}
        rest = {key: value for key, value in each.items() if key not in notes}
        said |= notes
        flat += rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    return {**said, **flat[0]} if len(flat) == 1 else {**said, "anyOf": flat}


def written(presets: Presets) -> str:
    """Write the schema as it is shipped."""
    return f"{json.dumps(json_schema(presets), indent=1, ensure_ascii=False)}\n"
