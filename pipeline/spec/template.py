"""The file that `burnline slo new` writes: a valid SLO, with a comment for every choice.

Pure. Law: what `template` returns is read without a problem, for every metric and every name that is allowed.
"""

from collections.abc import Callable
from fractions import Fraction

from pipeline.sli import METRICS, SUMS, Kind, MetricSpec
from pipeline.spec import thresholds
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
    "throughput_rps": ("0.99", "10/s"),
    "throughput_tps": ("0.99", "1000/s"),
    "concurrency": ("0.99", "64"),
    "cost_per_1k_tokens": ("0.99", "0.002 USD"),
    "goodput": ("0.95", ""),
    "shed_rate": ("0.99", ""),
    "retry_amplification": ("0.95", ""),
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
    ("    op: {op}", "good when it is {op_text} the threshold"),
    ("    threshold: {threshold}", "{unit_text}"),
    ("    offered: 5/s", "judged where so many requests are offered"),
    ("    objectives: {{ttft: 1s, tpot: 100ms, e2e: 10s}}", "met as far as they apply"),
    ("    # strict: true", "what a request has no value for is missed too"),
    ("    # where: {{tenant_id: [a, b]}}", "which events count; also {{not: a}} and {{prefix: a}}"),
    ("    # groupBy: [request_model, region]", "one budget and one alert for each combination"),
    ("    # vantage: GATEWAY", "where the time was taken: GATEWAY, ENGINE or CLIENT"),
    ("    # attempts: all", "`final`, the default, counts what users see"),
    ("    # policy: {{shed: excluded, cancelled: bad}}", "cases that this SLO judges otherwise than others do"),
    ("  target: {target}", "a ratio: this share of eligible {counted} must be good"),
    ("  budgetingMethod: Timeslices", "a slice of time is good or bad as a whole"),
    ("  timeSliceWindow: 1m", ""),
    ("  timeWindow: {{duration: 30d, isRolling: true}}", ""),
    ("  alerting: {{preset: default}}", "or workbook, or pairs: [{{severity, factor, long, short}}]"),
    ("  guards: {{minEvents: 30, minBad: 3}}", "less evidence than this never fires"),
    ("  # sla: {{target: 0.95, consequence: ...}}", "a contract, looser, with its own budget"),
)


#: lines that are not for every metric
_ONLY: dict[str, Callable[[MetricSpec], bool]] = {
    "op:": lambda metric: metric.has_threshold,
    "threshold:": lambda metric: metric.has_threshold,
    "offered:": lambda metric: metric.kind is Kind.TOKENS,
    "objectives:": lambda metric: metric.kind is Kind.GOODPUT,
    "# strict:": lambda metric: metric.kind is Kind.GOODPUT,
    "# attempts:": lambda metric: metric.kind not in thresholds.ALL_ATTEMPTS,
    "# policy:": lambda metric: metric.kind not in SUMS,
    "budgetingMethod:": lambda metric: metric.is_of_slices,
    "timeSliceWindow:": lambda metric: metric.is_of_slices,
    "guards:": lambda metric: not metric.is_of_slices,
}
_PROMISES = {
    "goodput": "are served within their objectives", "shed_rate": "are not shed",
    "retry_amplification": "are first attempts",
}  # fmt: skip
_UNITS = {
    "us": "a unit is required: us, ms, s, m, h", "requests": "requests in flight",
    "1/s": "a unit is required: /s, /m, /h", "USD": "the currency is required",
}  # fmt: skip


def template(name: str, metric: str, service: str, target: str = "", threshold: str = "", team: str = "") -> str:
    """Write an SLO file; what is left empty starts from a typical value, or is left out.

    Values must be what `pipeline.spec.scalars` accepts for their fields; any `service` and `team` is safe.
    """
    spec = METRICS[metric]
    usual_target, usual_threshold = STARTING_POINTS.get(metric, ("0.99", "1s"))
    target, threshold = target or usual_target, threshold or usual_threshold
    op = thresholds.FLOORS.get(spec.kind, "lte")
    op_text = "at least" if op == "gte" else "at most"
    promise = f"have {metric} of {op_text} {threshold}" if spec.has_threshold else _PROMISES.get(metric, "do not fail")
    counted = "slices" if spec.is_of_slices else "requests"
    parts = {
        "op": op, "op_text": op_text, "unit_text": _UNITS.get(spec.unit, ""), "counted": counted,
        "metric": metric, "formula": spec.formula, "typical": spec.typical, "name": name,
        "labels": f"labels: {{team: {_quoted(team)}}}" if team else "# labels: {team: ...}",
        "description": _quoted(f"{written(Fraction(target) * 100)} % of {service} {counted} {promise}"),
        "service": _quoted(service), "threshold": threshold, "target": target,
    }  # fmt: skip
    wanted = (line for line in _LINES if _ONLY.get(_key(line[0]), bool)(spec))
    written_out = (_commented(left.format(**parts), comment.format(**parts)) for left, comment in wanted)
    return "".join(f"{line}\n" for line in written_out)


def _key(line: str) -> str:
    """What a line says something about: `op:`, or `# strict:`."""
    return line.strip().partition(":")[0] + ":"


def _commented(line: str, comment: str) -> str:
    return f"{line:<{COMMENT_COLUMN - 1}} # {comment}" if comment else line


def _quoted(text: str) -> str:
    """Write text as a YAML scalar that every reader reads back as it is; quoted unless it is a plain word."""
    is_word = text.isascii() and text[0].isalpha() and text.replace("-", "").replace("_", "").isalnum()
    return text if is_word and text.lower() not in _WORDS_OF_YAML else "'" + text.replace("'", "''") + "'"
