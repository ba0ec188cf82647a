"""Matching: the labels of an alert, and whether a selection of routes, silences or inhibitions is about it.

Pure. An alert has the labels of its SLO's file, of its instance, and its own: slo, service, instance, severity, kind
and alertname. What is not there is the empty text, as in Prometheus.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.alerts import Kind, Severity
from pipeline.delivery.notification import AlertEvent

#: label -> what it may be, each of which answers `value in`
Selection = tuple[tuple[str, Any], ...]

ALERT_NAMES = {
    Kind.BURN_RATE: "BurnlineBurnRate",
    Kind.NO_DATA: "BurnlineNoData",
    Kind.BUDGET: "BurnlineBudgetSpent",
    Kind.SLA: "BurnlineSlaAtRisk",
    Kind.LAGGING: "BurnlinePipelineLags",
    Kind.STALE_SOURCE: "BurnlineStaleSource",
    Kind.RECEIVER_DOWN: "BurnlineReceiverDown",
    Kind.QUOTA: "BurnlineQuotaExceeded",
}
SEVERITIES = tuple(severity.name.lower() for severity in Severity if severity is not Severity.NONE)


def kind_name(kind: Kind) -> str:
    """Name a kind as files and labels do: burn-rate."""
    return kind.name.lower().replace("_", "-")


def labels_of(event: AlertEvent, of_slo: Mapping[str, str]) -> dict[str, str]:
    """All labels of an alert; its own win over its instance's, those over its SLO's."""
    return {
        **of_slo, **event.labels, "alertname": ALERT_NAMES[event.kind], "slo": event.slo, "service": event.service,
        "instance": event.instance, "severity": event.severity.name.lower(), "kind": kind_name(event.kind),
    }  # fmt: skip


def is_match(selection: Selection, labels: Mapping[str, str]) -> bool:
    """Whether every condition holds; no condition selects everything."""
    return all(labels.get(label, "") in accepted for label, accepted in selection)
