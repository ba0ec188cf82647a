"""The language of SLO files, burnline/v1, as tables: every field, what it must be, and what comes later.

Pure. Rules that need more than one field are in `pipeline.spec.rules`.
"""

from pipeline.sli import VANTAGES
from pipeline.spec import scalars
from pipeline.spec.reading import Field, Language
from pipeline.spec.scalars import one_of

API_VERSION = "burnline/v1"
PAIRS_MAX = 8  # windows the judge keeps a ring for
BUDGETING = "Occurrences"
OPS = ("lte", "lt", "gte", "gt")
ATTEMPTS = ("final", "all")

_ANEW = "write it as burnline/v1; `burnline slo new NAME` writes a template"
_OPENSLO_KINDS = ("DataSource", "SLI", "AlertPolicy", "AlertCondition", "AlertNotificationTarget", "Service")
_OCCURRENCES = f"write budgetingMethod: {BUDGETING}"
_ROLLING = "write timeWindow: {duration: 30d, isRolling: true}"
_ONE_BY_ONE = "write one SLO for each member"

#: the two fields that say which language a document is in; read first, alone
ENVELOPE = Language(
    {
        "apiVersion": Field(
            one_of((API_VERSION,), dict.fromkeys(("openslo/v1", "openslo/v1alpha", "openslo.com/v2alpha"), _ANEW)),
            f"write apiVersion: {API_VERSION}",
        ),
        "kind": Field(
            one_of(
                ("SLO",),
                {
                    "Correction": "remove the document: no time can be excluded yet",
                    "CompositeSLO": _ONE_BY_ONE,
                    **dict.fromkeys(_OPENSLO_KINDS, "say it in the SLO itself and remove this document"),
                },
            ),
            "write kind: SLO",
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


PRESET = Language(alert_fields(""), required={"pairs": "write pairs: [...]"}, items_max={"pairs": PAIRS_MAX})

SLO = Language(
    fields={
        "apiVersion": Field(scalars.word),
        "kind": Field(scalars.word),
        "metadata.name": Field(scalars.name, "write name: chat-ttft"),
        "metadata.labels.*": Field(scalars.word),
        "metadata.annotations.*": Field(scalars.text),
        "spec.description": Field(scalars.text),
        "spec.service": Field(scalars.word, "write service: and the service's name in the events"),
        "spec.indicator.metric": Field(scalars.metric, "write metric: ttft, or another of the catalogue"),
        "spec.indicator.op": Field(one_of(OPS)),
        "spec.indicator.threshold": Field(scalars.duration),
        "spec.indicator.where.*": Field(scalars.label_value, many=True),
        "spec.indicator.groupBy": Field(scalars.label_name, many=True),
        "spec.indicator.vantage": Field(one_of(VANTAGES)),
        "spec.indicator.attempts": Field(one_of(ATTEMPTS)),
        "spec.target": Field(scalars.target, "write target: 0.99"),
        "spec.budgetingMethod": Field(
            one_of((BUDGETING,), dict.fromkeys(("Timeslices", "RatioTimeslices"), _OCCURRENCES))
        ),
        "spec.timeWindow.duration": Field(scalars.window, "write duration: 30d"),
        "spec.timeWindow.isRolling": Field(scalars.boolean),
        "spec.alerting.preset": Field(scalars.word),
        **alert_fields("spec.alerting."),
        "spec.guards.minEvents": Field(scalars.count),
        "spec.guards.minBad": Field(scalars.count),
        "spec.guards.minCoverage": Field(scalars.share),
        "spec.sla.target": Field(scalars.target, "write target: 0.95"),
        "spec.sla.consequence": Field(scalars.text, "write consequence: and what happens when it is missed"),
    },
    required={
        "metadata": "write metadata: {name: chat-ttft}",
        "spec": "write spec: with service, indicator, target and timeWindow",
        "spec.indicator": "write indicator: {metric: error_rate}",
        "spec.timeWindow": _ROLLING,
    },
    keys={
        "metadata.labels": scalars.word,
        "metadata.annotations": scalars.word,
        "spec.indicator.where": scalars.label_name,
    },
    later={
        "metadata.displayName": "write it as spec.description",
        "spec.timeSliceWindow": f"remove it: {BUDGETING} counts events, not slices",
        "spec.timeSliceTarget": f"remove it: {BUDGETING} counts events, not slices",
        "spec.timeWindow.calendar": _ROLLING,
        "spec.timeWindow.startTime": _ROLLING,
        "spec.timeWindow.timeZone": _ROLLING,
        "spec.composite": _ONE_BY_ONE,
        "spec.members": _ONE_BY_ONE,
        "spec.objectives": "write one SLO for each objective, with its spec.target",
        "spec.indicatorRef": "write the indicator here",
        "spec.alertPolicies": "write spec.alerting",
        "spec.corrections": "remove it: no time can be excluded yet",
        "spec.indicator.thresholdMetric": "write metric, op and threshold",
        "spec.indicator.ratioMetric": "write metric: error_rate or availability",
        "spec.indicator.metricSource": "write metric, op and threshold",
        "spec.indicator.metadata": "write metric, op and threshold",
        "spec.indicator.spec": "write metric, op and threshold",
    },
    items_max={"spec.alerting.pairs": PAIRS_MAX},
)
