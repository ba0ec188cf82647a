"""OpenSLO v1 in small: an SLO with a threshold, one with a ratio, and a document of every other kind."""

import schemas

THRESHOLD = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: chat
  labels: {team: serving}
  annotations: {runbook: "https://x"}
spec:
  service: chat
  description: Quick
  indicator:
    metadata: {name: ttft}
    spec:
      thresholdMetric:
        metricSource: {type: burnline, spec: {metric: ttft, unit: s, where: {operation: chat}}}
  timeWindow:
    - {duration: 30d, isRolling: true}
  budgetingMethod: Occurrences
  objectives:
    - {op: lte, value: 1, target: 0.99}
"""

RATIO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: errors}
spec:
  service: chat
  indicator:
    metadata: {name: errors}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: burnline, spec: {metric: availability}}}
        total: {metricSource: {type: burnline, spec: {metric: availability}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
"""

#: measured by somebody else
ELSEWHERE = RATIO.replace("burnline", "Prometheus").replace("metric: availability", "query: sum(up)")

SLI = """\
apiVersion: openslo/v1
kind: SLI
metadata: {name: sli}
spec:
  thresholdMetric:
    metricSource: {metricSourceRef: source, spec: {metric: ttft, unit: ms}}
"""
DATA_SOURCE = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {name: source}
spec: {type: burnline, connectionDetails: {any: [thing, {at: all}]}}
"""
POLICY = """\
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: policy}
spec:
  alertWhenBreaching: true
  conditions: [{conditionRef: condition}]
  notificationTargets: [{targetRef: target}]
"""
CONDITION = """\
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: condition}
spec:
  severity: page
  condition: {kind: burnrate, op: gte, threshold: 10, lookbackWindow: 1h}
"""
TARGET = """\
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: target}
spec: {target: email}
"""
SERVICE = """\
apiVersion: openslo/v1
kind: Service
metadata: {name: chat, labels: {tier: gold}}
spec: {description: Chat}
"""

BY_KIND = {
    "SLO": THRESHOLD, "SLI": SLI, "DataSource": DATA_SOURCE, "AlertPolicy": POLICY, "AlertCondition": CONDITION,
    "AlertNotificationTarget": TARGET, "Service": SERVICE,
}  # fmt: skip
EXAMPLES = schemas.HOME / "openslo"


def joined(*texts: str) -> str:
    return "---\n".join(texts)
