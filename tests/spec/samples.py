"""One good SLO file with every field, and ways to spoil it."""

from pipeline.spec import Problem, SloSet, parse, presets

GOOD = """\
apiVersion: burnline/v1
kind: SLO
metadata:
  name: chat-ttft
  labels: {team: serving}
  annotations: {runbook: "https://runbooks.example/chat-ttft"}
spec:
  description: First token of streamed chat within a second
  service: chat
  indicator:
    metric: ttft
    op: lte
    threshold: 1s
    where: {operation: chat, tenant_id: [zen, acme]}
    groupBy: [request_model, region]
    vantage: GATEWAY
    attempts: all
  target: 0.99
  budgetingMethod: Occurrences
  timeWindow: {duration: 30d, isRolling: true}
  alerting:
    pairs:
      - {severity: critical, factor: 14.4, long: 1h, short: 5m}
      - {severity: warning, factor: 2, long: 1d, short: 2h}
    clear: {margin: 0.2, hold: 5m}
  guards: {minEvents: 50, minBad: 5, minCoverage: 0.25}
  sla: {target: 0.95, consequence: 10 % credit}
"""

#: the same service and target, nothing but what must be there
SHORT = """\
apiVersion: burnline/v1
kind: SLO
metadata: {name: short}
spec:
  service: chat
  indicator: {metric: error_rate}
  target: 0.999
  timeWindow: {duration: 30d}
"""


def load_text(text: str, file: str = "f.yaml") -> SloSet:
    return parse({file: text.encode()}, presets())


def problems(text: str) -> list[str]:
    return [str(problem) for problem in load_text(text).problems]


def places(found: list[Problem]) -> list[tuple[int, int, str]]:
    return [(problem.line, problem.column, problem.path) for problem in found]


def spoiled(*changes: tuple[str, str], text: str = GOOD) -> str:
    """Replace parts of a file; each must be there once."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
