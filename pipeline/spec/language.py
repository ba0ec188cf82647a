"""The language of SLO files, burnline/v1, as tables: every field, what it must be, and what comes later.

Pure. Rules that need more than one field are in `pipeline.spec.rules`.
"""

from pipeline.sli import OBJECTIVES, VANTAGES
from pipeline.spec import calendars, classification, scalars
from pipeline.spec.reading import Field, Language
from pipeline.spec.scalars import one_of

API_VERSION = "burnline/v1"
PAIRS_MAX = 8  # windows the judge keeps a ring for
MEMBERS_MAX = 25  # of a composite
NODES_MIN = 10  # no document that is an SLO has fewer YAML nodes
OPS = ("lte", "lt", "gte", "gt")
ATTEMPTS = ("final", "all")
RULES = ("weightedMean", "worstOf")  # of a composite: definition 5.3

_ANEW = "write it as burnline/v1; `burnline slo new NAME` writes a template"
_OPENSLO_KINDS = ("DataSource", "SLI", "AlertPolicy", "AlertCondition", "AlertNotificationTarget", "Service")
_ROLLING = "write timeWindow: {duration: 30d, isRolling: true}"
_COMPOSITE = "write spec.composite: {rule: weightedMean, objectives: [{ref: NAME, weight: 1}]}"

#: the two fields that say which language a document is in; read first, alone
ENVELOPE = Language(
    {
        "apiVersion": Field(
            one_of((API_VERSION, "openslo/v1"), dict.fromkeys(("openslo/v1alpha", "openslo.com/v2alpha"), _ANEW)),
            f"write apiVersion: {API_VERSION}",
        ),
        "kind": Field(
            one_of(
                ("SLO", "Correction"),
                {
                    "CompositeSLO": f"write kind: SLO, and {_COMPOSITE}",
                    **dict.fromkeys(_OPENSLO_KINDS, "write apiVersion: openslo/v1"),
                },
            ),
            "write kind: SLO, or Correction",
        ),
    }
)


def alert_fields(prefix: str) -> dict[str, Field]:
    """Return the fields of window pairs and the clear rule: those of `spec.alerting` and of preset files."""
    return {
        f"{prefix}pairs.#.severity": Field(scalars.severity, "write severity: info, warning or critical"),
        f"{prefix}pairs.#.factor": Field(scalars.factor, "write factor: 10"),
        f"{prefix}pairs.#.long": Field(scalars.window, "write long: 1h"),
        f"{prefix}pairs.#.short": Field(scalars.window, "write short: 5m"),
        f"{prefix}clear.margin": Field(scalars.margin),
        f"{prefix}clear.hold": Field(scalars.window),
    }


PRESET = Language(
    {"source": Field(scalars.text, "write source: and who recommends these pairs"), **alert_fields("")},
    required={"pairs": "write pairs: [...]"},
    items_max={"pairs": PAIRS_MAX},
)

#: metrics a model's preset may have a threshold for
MODEL_METRICS = ("ttft", "tpot", "e2e")
#: files of thresholds by model
MODEL_PRESETS = Language(
    {
        "source": Field(scalars.text, "write source: and where the thresholds are from"),
        **{f"presets.*.{metric}": Field(scalars.duration) for metric in MODEL_METRICS},
        "presets.*.note": Field(scalars.text),
    },
    required={"presets": "write presets: {MODEL/CLASS: {ttft: 1s}}"},
    keys={"presets": scalars.word},
)

#: of a document that stands for SLOs, with an indicator or composed
_COMMON = {
    "apiVersion": Field(scalars.word),
    "kind": Field(scalars.word),
    "metadata.name": Field(scalars.name, "write name: chat-ttft"),
    "metadata.labels.*": Field(scalars.word),
    "metadata.annotations.*": Field(scalars.text),
    "spec.description": Field(scalars.text),
}
_PROMISE = {
    "spec.target": Field(scalars.target, "write target: 0.99"),
    "spec.budgetingMethod": Field(one_of(calendars.METHODS)),
    "spec.timeSliceWindow": Field(scalars.window),
    "spec.timeSliceTarget": Field(scalars.slice_target),
    "spec.timeWindow.duration": Field(calendars.duration, "write duration: 30d"),
    "spec.timeWindow.isRolling": Field(scalars.boolean),
    "spec.timeWindow.calendar.startTime": Field(calendars.local_time, "write startTime: 2026-01-01"),
    "spec.timeWindow.calendar.timeZone": Field(calendars.zone, "write timeZone: UTC, or one as Europe/Berlin"),
}
_ALERTING = {
    "spec.alerting.preset": Field(scalars.word),
    **alert_fields("spec.alerting."),
    "spec.guards.minEvents": Field(scalars.count),
    "spec.guards.minBad": Field(scalars.count),
    "spec.guards.minCoverage": Field(scalars.share),
    "spec.sla.target": Field(scalars.target, "write target: 0.95"),
    "spec.sla.consequence": Field(scalars.text, "write consequence: and what happens when it is missed"),
}
_KEYS = {"metadata.labels": scalars.word, "metadata.annotations": scalars.word}
_REQUIRED = {
    "metadata": "write metadata: {name: chat-ttft}",
    "spec": "write spec: with service, indicator, target and timeWindow",
    "spec.timeWindow": _ROLLING,
}
_LATER = {
    "metadata.displayName": "write it as spec.description",
    "spec.timeWindow.startTime": "write it in timeWindow.calendar",
    "spec.timeWindow.timeZone": "write it in timeWindow.calendar",
    "spec.objectives": f"write one SLO for each objective, with its spec.target; or {_COMPOSITE}",
    "spec.members": _COMPOSITE,
    "spec.indicatorRef": "write the indicator here",
    "spec.alertPolicies": "write spec.alerting",
    "spec.corrections": "write a document of kind: Correction",
}

SLO = Language(
    fields={
        **_COMMON,
        "spec.service": Field(scalars.word, "write service: and the service's name in the events"),
        "spec.indicator.metric": Field(scalars.metric, "write metric: ttft, or another of the catalogue"),
        "spec.indicator.op": Field(one_of(OPS)),
        "spec.indicator.threshold": Field(scalars.threshold),
        "spec.indicator.offered": Field(scalars.rate),
        "spec.indicator.objectives.*": Field(scalars.objective),
        "spec.indicator.strict": Field(scalars.boolean),
        "spec.indicator.preset": Field(scalars.word),
        "spec.indicator.where.*": Field(scalars.label_value, many=True),
        "spec.indicator.where.*.in": Field(scalars.label_value, many=True),
        "spec.indicator.where.*.not": Field(scalars.label_value, many=True),
        "spec.indicator.where.*.notIn": Field(scalars.label_value, many=True),
        "spec.indicator.where.*.prefix": Field(scalars.prefix, many=True),
        "spec.indicator.groupBy": Field(scalars.label_name, many=True),
        "spec.indicator.vantage": Field(one_of(VANTAGES)),
        "spec.indicator.attempts": Field(one_of(ATTEMPTS)),
        "spec.indicator.policy.*": Field(one_of(classification.NAMES)),
        **_PROMISE,
        **_ALERTING,
    },
    required={**_REQUIRED, "spec.indicator": "write indicator: {metric: error_rate}"},
    keys={
        **_KEYS,
        "spec.indicator.where": scalars.label_name,
        "spec.indicator.policy": one_of(classification.CASES),
        "spec.indicator.objectives": one_of(OBJECTIVES),
    },
    later={
        **_LATER,
        "spec.indicator.thresholdMetric": "write metric, op and threshold",
        "spec.indicator.ratioMetric": "write metric: error_rate or availability",
        "spec.indicator.metricSource": "write metric, op and threshold",
        "spec.indicator.metadata": "write metric, op and threshold",
        "spec.indicator.spec": "write metric, op and threshold",
    },
    items_max={"spec.alerting.pairs": PAIRS_MAX},
)

#: a document with `spec.composite`
COMPOSITE = Language(
    fields={
        **_COMMON,
        "spec.composite.rule": Field(one_of(RULES), "write rule: weightedMean, or worstOf"),
        "spec.composite.objectives.#.ref": Field(scalars.name, "write ref: and the name of an SLO"),
        "spec.composite.objectives.#.weight": Field(scalars.weight),
        **_PROMISE,
        **_ALERTING,
    },
    required={**_REQUIRED, "spec.composite.objectives": "write objectives: [{ref: NAME, weight: 1}]"},
    keys=_KEYS,
    later=_LATER,
    items_max={"spec.alerting.pairs": PAIRS_MAX, "spec.composite.objectives": MEMBERS_MAX},
)
