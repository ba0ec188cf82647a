"""What a report asks of ClickHouse: views of the contract only, a period at a time.

An hour that lies in the period whole is read as such; where the period begins or ends within one, by the minute. Of an
SLO that was edited, each hour counts by the newest revision that has counts there, so that a replay counts once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jobs.report.period import HOUR_S, Period
from pipeline.slo import Accepted, Selector

Ask = Callable[..., list[dict[str, Any]]]
Row = dict[str, Any]
TOP = 5

END_SQL = "SELECT toUnixTimestamp(maxOrNull(window_end)) AS end_s FROM compliance"

PROMISED_SQL = """\
SELECT c.slo AS slo, c.instance AS instance, c.service AS service, c.labels AS labels, c.target AS target,
       b.sla_target AS sla_target
FROM compliance AS c INNER JOIN error_budget AS b USING (slo, instance)
ORDER BY slo, instance"""

#: what budgets count: requests, slices of time, or the mean of several SLOs
COUNTED_SQL = "SELECT slo, any(counts) AS counts FROM compliance_corrected GROUP BY slo ORDER BY slo"

_COUNTS = """\
WITH slices AS (
    SELECT slo, instance, revision, slice_start, good, bad, excluded, 60 AS minutes FROM slo_counts_1h
    WHERE slice_start >= fromUnixTimestamp({hours_start:Int64}) AND slice_start < fromUnixTimestamp({hours_end:Int64})
    UNION ALL
    SELECT slo, instance, revision, slice_start, good, bad, excluded, 1 AS minutes FROM slo_counts_1m
    WHERE (slice_start >= fromUnixTimestamp({start:Int64}) AND slice_start < fromUnixTimestamp({hours_start:Int64}))
       OR (slice_start >= fromUnixTimestamp({hours_end:Int64}) AND slice_start < fromUnixTimestamp({end:Int64}))
), counted AS (
    SELECT slo, instance, slice_start, minutes, argMax((good, bad, excluded), (last, revision)) AS counts
    FROM (
        SELECT *, max(slice_start) OVER (PARTITION BY slo, instance, revision) AS last FROM slices
    )
    GROUP BY slo, instance, slice_start, minutes
)
"""
TOTALS_SQL = (
    _COUNTS
    + """\
SELECT slo, instance, sum(counts.1) AS good, sum(counts.2) AS bad, sum(counts.3) AS excluded,
       count() AS slices, sum(minutes) AS minutes
FROM counted WHERE position(slo, '>') = 0
GROUP BY slo, instance ORDER BY slo, instance"""
)
REVISIONS_SQL = (
    _COUNTS
    + """\
SELECT slo, uniqExact(revision) AS revisions FROM slices WHERE position(slo, '>') = 0 GROUP BY slo ORDER BY slo"""
)
HISTORY_SQL = (
    _COUNTS
    + """\
SELECT slo, toUnixTimestamp(dateTrunc({step:String}, slice_start, {zone:String})) AS at_s,
       sum(counts.1) AS good, sum(counts.2) AS bad
FROM counted WHERE position(slo, '>') = 0
GROUP BY slo, at_s ORDER BY slo, at_s"""
)

ALERTS_SQL = """\
SELECT slo, instance, service, kind, severity, toUnixTimestamp(fired_at) AS fired_s,
       toUnixTimestamp(resolved_at) AS resolved_s, peak_burn_rate, detection_delay_ms, reason, acknowledged_by, notes,
       corrections
FROM alert_log
WHERE fired_at < fromUnixTimestamp({end:Int64})
  AND (isNull(resolved_at) OR resolved_at >= fromUnixTimestamp({start:Int64}))
ORDER BY fired_at, slo, instance, kind"""

RANGES_SQL = """\
SELECT r.correction AS correction, toUnixTimestamp(r.range_start) AS start_s, toUnixTimestamp(r.range_end) AS end_s,
       r.where_labels AS where_labels, r.where_values AS where_values, r.where_none_of AS where_none_of,
       r.where_prefixes AS where_prefixes, c.reason AS reason, c.who AS who
FROM correction_ranges AS r
LEFT JOIN (SELECT correction, reason, who FROM corrections WHERE is_in_force) AS c ON r.correction = c.correction
WHERE r.range_start < fromUnixTimestamp({end:Int64}) AND r.range_end > fromUnixTimestamp({start:Int64})
ORDER BY start_s, correction"""

#: counts of some instances in some ranges, which no two overlap
LEFT_OUT_SQL = """\
SELECT slo, instance, sum(counts.1) AS good, sum(counts.2) AS bad
FROM (
    SELECT slo, instance, slice_start, argMax((good, bad), (last, revision)) AS counts
    FROM (
        SELECT slo, instance, revision, slice_start, good, bad,
               max(slice_start) OVER (PARTITION BY slo, instance, revision) AS last
        FROM slo_counts_1m
        WHERE slice_start >= fromUnixTimestamp({start:Int64}) AND slice_start < fromUnixTimestamp({end:Int64})
    )
    WHERE slice_start >= fromUnixTimestamp({start:Int64}) AND slice_start < fromUnixTimestamp({end:Int64})
    GROUP BY slo, instance, slice_start
)
GROUP BY slo, instance"""

FAILED = ("error", "timeout", "shed")
_SLI = f"""\
SELECT service, vantage, {{by}} AS name, sum(requests) AS requests, {", ".join(f"sum({o}) AS {o}" for o in FAILED)},
       {" + ".join(FAILED)} AS failed, sum(cost_picousd) AS cost_picousd, sum(output_tokens) AS output_tokens
FROM sli_1h
WHERE slice_start >= fromUnixTimestamp({{start:Int64}}) AND slice_start < fromUnixTimestamp({{end:Int64}})
GROUP BY service, vantage, name
ORDER BY service, vantage, failed DESC, requests DESC, name
LIMIT {TOP} BY service, vantage"""
#: what failed requests have in common
DRIVERS = {"all": "''", "model": "request_model", "tenant": "tenant_id", "variant": "variant"}
SERIES_SQL = """\
SELECT service, uniqExact(request_model, tenant_id, region, operation, priority_class, variant, vantage) AS series
FROM sli_1h
WHERE slice_start >= fromUnixTimestamp({start:Int64}) AND slice_start < fromUnixTimestamp({end:Int64})
GROUP BY service ORDER BY service"""


@dataclass(frozen=True)
class Gathered:
    """Rows as they were answered."""

    data_end_s: int
    promised: list[Row]
    counted: dict[str, str]
    totals: dict[tuple[str, str], Row]
    revisions: dict[str, int]
    history: dict[str, list[tuple[int, int, int]]]
    alerts: list[Row]
    corrections: list[Row]
    left_out: dict[tuple[str, str], tuple[int, int]]
    drivers: dict[str, list[Row]]
    series: dict[str, int]


def data_end_s(ask: Ask) -> int | None:
    """Event time up to which was judged; None: nothing was."""
    (row,) = ask(END_SQL)
    found: int | None = row["end_s"]
    return found


def gather(ask: Ask, period: Period, end_s: int) -> Gathered:
    """Ask all there is to ask of a period."""
    hours_start = -(-period.start_s // HOUR_S) * HOUR_S
    hours_end = max(period.end_s // HOUR_S * HOUR_S, hours_start)
    span = {"start": period.start_s, "end": period.end_s}
    slices = {**span, "hours_start": min(hours_start, period.end_s), "hours_end": min(hours_end, period.end_s)}
    promised, ranges = ask(PROMISED_SQL), ask(RANGES_SQL, **span)
    history: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for row in ask(HISTORY_SQL, **slices, step=period.step, zone=period.zone):
        history[row["slo"]].append((row["at_s"], row["good"], row["bad"]))
    return Gathered(
        end_s,
        promised,
        {row["slo"]: row["counts"] for row in ask(COUNTED_SQL)},
        {(row["slo"], row["instance"]): row for row in ask(TOTALS_SQL, **slices)},
        {row["slo"]: row["revisions"] for row in ask(REVISIONS_SQL, **slices)},
        dict(history),
        ask(ALERTS_SQL, **span),
        ranges,
        _left_out(ask, period, promised, ranges),
        {name: ask(_SLI.replace("{by}", by), **span) for name, by in DRIVERS.items()},
        {row["service"]: row["series"] for row in ask(SERIES_SQL, **span)},
    )


def _left_out(
    ask: Ask, period: Period, promised: Iterable[Row], ranges: list[Row]
) -> dict[tuple[str, str], tuple[int, int]]:
    """Good and bad that corrections leave out, of each instance that some correction is about."""
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in promised:
        names = {**row["labels"], "slo": row["slo"], "service": row["service"]}
        mine = [
            (max(r["start_s"], period.start_s), min(r["end_s"], period.end_s)) for r in ranges if is_about(r, names)
        ]
        spans[row["slo"], row["instance"]] = merged(mine)
    found: dict[tuple[str, str], tuple[int, int]] = {key: (0, 0) for key, mine in spans.items() if mine}
    for start, end in sorted({span for mine in spans.values() for span in mine}):
        for row in ask(LEFT_OUT_SQL, start=start, end=end):
            key = row["slo"], row["instance"]
            if (start, end) in spans.get(key, ()):
                found[key] = found[key][0] + row["good"], found[key][1] + row["bad"]
    return found


def is_about(correction: Row, names: dict[str, str]) -> bool:
    """Whether a correction is about an instance with these labels."""
    conditions = zip(
        *(correction[f"where_{part}"] for part in ("labels", "values", "none_of", "prefixes")), strict=True
    )
    for label, values, none_of, prefixes in conditions:
        accepted: Accepted = tuple(values) or Selector(tuple(none_of), tuple(prefixes))
        if label not in names or names[label] not in accepted:
            return False
    return True


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of which no two overlap or touch, that hold the same."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
