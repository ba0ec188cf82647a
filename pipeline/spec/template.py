"""The file that `burnline slo new` writes: a valid SLO, with a comment for every choice.

Pure. Law: what `template` returns is read without a problem, for every metric and every name that is allowed.
"""

from fractions import Fraction

from pipeline.sli import METRICS
from pipeline.spec.scalars import written

#: metric -> (target, threshold) of a new file, after definition 3's typical targets
STARTING_POINTS = {
    "error_rate": ("0.999", ""),
    "availability": ("0.999", ""),
    "e2e": ("0.99", "2s"),
    "ttft": ("0.99", "1s"),
    "tpot": ("0.99", "100ms"),
    "ttfo": ("0.99", "5s"),
    "queue": ("0.99", "500ms"),
    "prefill": ("0.99", "1s"),
    "decode": ("0.99", "10s"),
    "itl_max": ("0.99", "500ms"),
}
COMMENT_COLUMN = 48
_WORDS_OF_YAML = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}

#: a line, and what is said about it
_LINES = (
    ("# {metric}: {formula}", ""),
    ("# Typical: {typical}. Check this file with `burnline slo lint`, read it with `burnline slo show`.", ""),
    ("apiVersion: burnline/v1", ""),
    ("kind: SLO", ""),
    ("metadata:", ""),
    ("  name: {name}", "unique over all files"),
    ("  {labels}", "who answers for it"),
    ("  # annotations: {{runbook: https://...}}", "sent with every alert"),
    ("spec:", ""),
    ("  description: {description}", ""),
    ("  service: {service}", "`service` of the events"),
    ("  indicator:", ""),
    ("    metric: {metric}", ""),
    ("    op: lte", "good when the time is at most the threshold"),
    ("    threshold: {threshold}", "a unit is required: us, ms, s, m, h"),
    ("    # where: {{tenant_id: [a, b]}}", "which events count; also {not: a} and {prefix: a}"),
    ("    # groupBy: [request_model, region]", "one budget and one alert for each combination"),
    ("    # vantage: GATEWAY", "where the time was taken: GATEWAY, ENGINE or CLIENT"),
    ("    # attempts: all", "`final`, the default, counts what users see"),
    ("    # policy: {{shed: excluded, cancelled: bad}}", "cases that this SLO judges otherwise than others do"),
    ("  target: {target}", "a ratio: this share of eligible requests must be good"),
    ("  timeWindow: {{duration: 30d, isRolling: true}}", ""),
    ("  alerting: {{preset: default}}", "or workbook, or pairs: [{severity, factor, long, short}]"),
    ("  guards: {{minEvents: 30, minBad: 3}}", "less evidence than this never fires"),
    ("  # sla: {{target: 0.95, consequence: ...}}", "a contract, looser, with its own budget"),
)


def template(name: str, metric: str, service: str, target: str = "", threshold: str = "", team: str = "") -> str:
    """Write an SLO file; what is left empty starts from a typical value, or is left out.

    Values must be what `pipeline.spec.scalars` accepts for their fields; any `service` and `team` is safe.
    """
    spec = METRICS[metric]
    usual_target, usual_threshold = STARTING_POINTS.get(metric, ("0.99", "1s"))
    target, threshold = target or usual_target, threshold or usual_threshold
    promise = f"have {metric} of at most {threshold}" if spec.has_threshold else "do not fail"
    parts = {
        "metric": metric, "formula": spec.formula, "typical": spec.typical, "name": name,
        "labels": f"labels: {{team: {_quoted(team)}}}" if team else "# labels: {team: ...}",
        "description": _quoted(f"{written(Fraction(target) * 100)} % of {service} requests {promise}"),
        "service": _quoted(service), "threshold": threshold, "target": target,
    }  # fmt: skip
    compared = ("    op:", "    threshold:")
    lines = (line for line in _LINES if spec.has_threshold or not line[0].startswith(compared))
    return "".join(f"{_commented(left.format(**parts), comment)}\n" for left, comment in lines)


def _commented(line: str, comment: str) -> str:
    return f"{line:<{COMMENT_COLUMN - 1}} # {comment}" if comment else line


def _quoted(text: str) -> str:
    """Write text as a YAML scalar that every reader reads back as it is; quoted unless it is a plain word."""
    is_word = text.isascii() and text[0].isalpha() and text.replace("-", "").replace("_", "").isalnum()
    return text if is_word and text.lower() not in _WORDS_OF_YAML else "'" + text.replace("'", "''") + "'"
