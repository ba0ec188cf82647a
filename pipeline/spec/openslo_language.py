"""OpenSLO v1 as tables: the seven kinds, every field, what it must be.

Pure. Follows the specification's text, and the rules of its go-sdk where the text is silent; where both allow
more than Burnline can judge, these tables allow it too, and `pipeline.spec.openslo_lowering` says so when the
SLO is to be judged. Rules that need more than one field are in `pipeline.spec.openslo_rules`.
"""

import re
from dataclasses import replace
from datetime import datetime

from pipeline.spec import calendars, scalars
from pipeline.spec.problems import Refused
from pipeline.spec.reading import Field, Language
from pipeline.spec.scalars import one_of

API_VERSION = "openslo/v1"
KINDS = ("SLO", "SLI", "Service", "AlertPolicy", "AlertCondition", "DataSource", "AlertNotificationTarget")
OPS = ("lte", "gte", "lt", "gt")
BUDGETING = ("Occurrences", "Timeslices", "RatioTimeslices")
DESCRIPTION_CHARS_MAX = 1050
DISPLAY_NAME_CHARS_MAX = 63  # the go-sdk's

#: RFC 1123 as all implementations must accept it, and the further characters and length they are encouraged to
_NAME = re.compile(r"[a-z0-9]([a-z0-9.|/\\-]{0,253}[a-z0-9])?", re.ASCII)
_KEY = r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_LABEL_KEY = re.compile(_KEY, re.ASCII)
_ANNOTATION_KEY = re.compile(rf"(?=.{{1,317}}$)([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_KEY}", re.ASCII)
_SHORTHAND = re.compile(r"[1-9][0-9]{0,8}[mhdwMQY]", re.ASCII)
_LONGEST = (("w", 604_800_000_000), ("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000))


def name(value: str) -> str:
    """Read the name of an object, or a reference to one."""
    if _NAME.fullmatch(value):
        return value
    proposal = re.sub(r"[^a-z0-9.|/\\]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", value).lower())[:63].strip(
        "-.|/\\"
    )
    remedy = f"write {proposal}" if _NAME.fullmatch(proposal) else "write a name such as chat-ttft"
    raise Refused("must be 1 to 255 of a-z, 0-9, dash, dot, |, / and \\, and start and end with a-z or 0-9", remedy)


def display_name(value: str) -> str:
    if not value.strip() or len(value) > DISPLAY_NAME_CHARS_MAX:
        raise Refused(f"must be 1 to {DISPLAY_NAME_CHARS_MAX} characters", "shorten it, or remove it")
    return value


def description(value: str) -> str:
    if len(value) > DESCRIPTION_CHARS_MAX:
        raise Refused(f"must be at most {DESCRIPTION_CHARS_MAX} characters", "shorten it")
    return value


def label_key(value: str) -> str:
    if not _LABEL_KEY.fullmatch(value):
        raise Refused("must be 1 to 63 letters, digits, dashes, underscores and dots", "rename it, as to team")
    return value


def annotation_key(value: str) -> str:
    if not _ANNOTATION_KEY.fullmatch(value):
        raise Refused("must be a name, or a DNS name, a slash and a name", "rename it, as to example.org/key")
    return value


def shorthand(value: str) -> str:
    """Read a duration: a whole number and one unit. The text is kept: months have no length of their own."""
    if _SHORTHAND.fullmatch(value):
        return value
    remedy = "write a whole number and one unit, such as 5m or 30d"
    try:
        length_us = scalars.duration(value)
    except Refused:
        pass
    else:
        unit, unit_us = next((each for each in _LONGEST if length_us % each[1] == 0), ("", 1))
        remedy = f"write {length_us // unit_us}{unit}" if unit else remedy
    raise Refused("must be a whole number and one of m, h, d, w, M, Q, Y", remedy)


def slice_window(value: str) -> str:
    """Read the length of a time slice; a bare number is minutes."""
    return shorthand(f"{value}m" if re.fullmatch(r"[0-9]+", value, re.ASCII) else value)


def target(value: str) -> str:
    """Read a ratio in [0, 1)."""
    if scalars.decimal(value).numerator != 0:
        _below_one(value)
    return value


def _below_one(value: str) -> None:
    ratio = scalars.decimal(value)
    if not 0 <= ratio.numerator < ratio.scale:
        try:
            scalars.target(value)  # refuses it, and knows percents
        except Refused as refused:
            raise Refused("must be a ratio in [0, 1)", refused.remedy) from refused


def target_percent(value: str) -> str:
    """Read a percentage in [0, 100)."""
    ratio = scalars.decimal(value.removesuffix("%").rstrip())
    if value.endswith("%"):
        raise Refused("must be a number without a sign", f"write {value.removesuffix('%').rstrip()}")
    if not 0 <= ratio.numerator < 100 * ratio.scale:
        raise Refused("must be a percentage in [0, 100)", "write a percentage such as 99.9")
    return value


def slice_target(value: str) -> str:
    ratio = scalars.decimal(value)
    if not 0 < ratio.numerator <= ratio.scale:
        raise Refused("must be a ratio in (0, 1]", "write a share such as 0.95")
    return value


def start_time(value: str) -> str:
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - the zone stands beside it
    except ValueError as error:
        raise Refused("must be a date and time of day, without zone", "write 2026-01-01 00:00:00") from error
    return value


def number(value: str) -> str:
    scalars.decimal(value)
    return value


def weight(value: str) -> str:
    if scalars.decimal(value).numerator <= 0:
        raise Refused("must be greater than 0", "write a weight such as 1")
    return value


def _under(prefix: str, *languages: Language) -> Language:
    """Put languages side by side, below a branch; "" leaves them where they are."""
    dot = f"{prefix}." if prefix else ""
    return Language(
        {dot + path: each for language in languages for path, each in language.fields.items()},
        {dot + path: each for language in languages for path, each in language.required.items()},
        {dot + path: each for language in languages for path, each in language.keys.items()},
        items_max={dot + path: each for language in languages for path, each in language.items_max.items()},
    )


def _also(language: Language, required: dict[str, str]) -> Language:
    return replace(language, required={**language.required, **required})


_DESCRIPTION = Language({"description": Field(description)})
_METADATA = Language(
    {
        "metadata.name": Field(name, "write name: and a name such as chat-ttft"),
        "metadata.displayName": Field(display_name),
        "metadata.labels.*": Field(scalars.word, many=True),
        "metadata.annotations.*": Field(scalars.text, is_tree=True),
    },
    keys={"metadata.labels": label_key, "metadata.annotations": annotation_key},
)
_METRIC = Language(
    {
        "metricSource.metricSourceRef": Field(name),
        "metricSource.type": Field(scalars.word),
        "metricSource.spec": Field(scalars.text, "write spec: {metric: error_rate}, or a query", is_tree=True),
    },
    required={"metricSource": "write metricSource: {type: burnline, spec: {metric: error_rate}}"},
)
_SLI = _under(
    "",
    _DESCRIPTION,
    _under("thresholdMetric", _METRIC),
    Language(
        {
            "ratioMetric.counter": Field(scalars.boolean),
            "ratioMetric.rawType": Field(one_of(("success", "failure"))),
        }
    ),
    *(_under(f"ratioMetric.{part}", _METRIC) for part in ("good", "bad", "total", "raw")),
)
_CONDITION = _under(
    "",
    _DESCRIPTION,
    Language(
        {
            "severity": Field(scalars.word, "write severity: critical, or another"),
            "condition.kind": Field(one_of(("burnrate",))),
            "condition.op": Field(one_of(OPS)),
            "condition.threshold": Field(number, "write threshold: 10"),
            "condition.lookbackWindow": Field(shorthand, "write lookbackWindow: 1h"),
            "condition.alertAfter": Field(shorthand),
        },
        required={"condition": "write condition: with kind, op, threshold and lookbackWindow"},
    ),
)
_TARGET = _under("", _DESCRIPTION, Language({"target": Field(scalars.word, "write target: and where alerts go")}))


def _reference_or_inline(reference: str, kind: str, spec: Language) -> Language:
    either = Language({reference: Field(name), "kind": Field(one_of((kind,)))})
    return _under("", either, _METADATA, _under("spec", spec))


_POLICY = _under(
    "",
    _DESCRIPTION,
    Language(
        {f"alertWhen{when}": Field(scalars.boolean) for when in ("NoData", "Resolved", "Breaching")}
        # of early OpenSLO; with at most one condition it joins nothing, and upstream's own good files have it
        | {"conditions.#.operator": Field(one_of(("and", "or")))},
        required={
            "conditions": "write conditions: [{conditionRef: and the name of an AlertCondition}]",
            "notificationTargets": "write notificationTargets: [{targetRef: and the name of a target}]",
        },
        items_max={"conditions": 1},
    ),
    _under("conditions.#", _reference_or_inline("conditionRef", "AlertCondition", _CONDITION)),
    _under("notificationTargets.#", _reference_or_inline("targetRef", "AlertNotificationTarget", _TARGET)),
)
_INDICATOR = _also(
    _under("indicator", _METADATA, _under("spec", _SLI)),
    {"indicator.metadata": "write metadata: {name: chat-ttft}", "indicator.spec": "write spec: with the metric"},
)
_OBJECTIVE = _under(
    "",
    Language(
        {
            "displayName": Field(display_name),
            "op": Field(one_of(OPS)),
            "value": Field(number),
            "target": Field(target),
            "targetPercent": Field(target_percent),
            "timeSliceTarget": Field(slice_target),
            "timeSliceWindow": Field(slice_window),
            "indicatorRef": Field(name),
            "compositeWeight": Field(weight),
        }
    ),
    _INDICATOR,
)
_SLO = _under(
    "",
    _DESCRIPTION,
    Language(
        {
            "service": Field(scalars.word, "write service: and the service's name in the events"),
            "indicatorRef": Field(name),
            "timeWindow.#.duration": Field(shorthand, "write duration: 30d"),
            "timeWindow.#.isRolling": Field(scalars.boolean),
            "timeWindow.#.calendar.startTime": Field(start_time, "write startTime: 2026-01-01 00:00:00"),
            "timeWindow.#.calendar.timeZone": Field(calendars.zone, "write timeZone: Europe/Berlin"),
            "budgetingMethod": Field(one_of(BUDGETING), "write budgetingMethod: Occurrences"),
            "alertPolicies.#": Field(name),  # the name alone, as before there was alertPolicyRef
        },
        required={"objectives": "write objectives: [{target: 0.99}]"},
        items_max={"timeWindow": 1},
    ),
    _INDICATOR,
    _under("objectives.#", _OBJECTIVE),
    _under("alertPolicies.#", _reference_or_inline("alertPolicyRef", "AlertPolicy", _POLICY)),
)
_DATA_SOURCE = _under(
    "",
    _DESCRIPTION,
    Language(
        {
            "type": Field(scalars.word, "write type: burnline, or another"),
            "connectionDetails": Field(scalars.text, "write connectionDetails: {}", is_tree=True),
        }
    ),
)


def _document(spec: Language) -> Language:
    envelope = Language({"apiVersion": Field(scalars.word), "kind": Field(scalars.word)})
    required = {"metadata": "write metadata: {name: chat-ttft}", "spec": "write spec:"}
    return _also(_under("", envelope, _METADATA, _under("spec", spec)), required)


LANGUAGES = {
    "SLO": _document(_SLO),
    "SLI": _document(_SLI),
    "Service": _document(_DESCRIPTION),
    "AlertPolicy": _document(_POLICY),
    "AlertCondition": _document(_CONDITION),
    "DataSource": _document(_DATA_SOURCE),
    "AlertNotificationTarget": _document(_TARGET),
}

#: the field that says which of the tables is meant; read first, alone
ENVELOPE = Language({"kind": Field(one_of(KINDS), f"write kind: {scalars.listed(KINDS[:-1])} or {KINDS[-1]}")})
