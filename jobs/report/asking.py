"""What a report asks of ClickHouse: views of the contract only, a period at a time; counts as rows that add up.

An hour that lies in the period whole is read as such; where the period begins or ends within one, by the minute. Of an
SLO that was edited, each hour counts by the newest revision that has counts there, so that a replay counts once, even
one with other labels.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs.report.period import DAY_S, HOUR_S, Period
from pipeline.series import parse_label_text
from pipeline.slo import Accepted, Selector
from pipeline.spec import Slo

Ask = Callable[..., list[dict[str, Any]]]
Row = dict[str, Any]
TOP = 5
MINUTES_KEPT_S = 119 * DAY_S  #: counts by the minute, which corrections need

END_SQL = "SELECT toUnixTimestamp(maxOrNull(window_end)) AS end_s FROM compliance"

PROMISED_SQL = """\
SELECT c.slo AS slo, c.instance AS instance, c.service AS service, c.labels AS labels, c.target AS target,
       b.sla_target AS sla_target
FROM compliance AS c INNER JOIN error_budget AS b USING (slo, instance)
ORDER BY slo, instance"""

#: what budgets count: requests, slices of time, or the mean of several SLOs
COUNTED_SQL = "SELECT slo, any(counts) AS counts FROM compliance GROUP BY slo ORDER BY slo"

#: of every SLO its ways of counting, and how far each has come by now
REVISIONS_SQL = """\
SELECT slo, revision, toUnixTimestamp(max(slice_start)) AS last_s, min(slice_start) < fromUnixTimestamp({end:Int64})
       AS is_in
FROM (
    SELECT slo, revision, slice_start FROM slo_count_rows_1h WHERE slice_start >= fromUnixTimestamp({start:Int64})
    UNION ALL
    SELECT slo, revision, slice_start FROM slo_count_rows_1m
    WHERE (slice_start >= fromUnixTimestamp({start:Int64}) AND slice_start < fromUnixTimestamp({hours_start:Int64}))
       OR slice_start >= fromUnixTimestamp({latest:Int64})
)
WHERE position(slo, '>') = 0
GROUP BY slo, revision"""

_HOURS = """
    SELECT slo, instance, revision, slice_start, good, bad, excluded, 60 AS minutes FROM slo_count_rows_1h
    WHERE slice_start >= fromUnixTimestamp({hours_start:Int64}) AND slice_start < fromUnixTimestamp({hours_end:Int64})
    UNION ALL
    SELECT slo, instance, revision, slice_start, good, bad, excluded, 1 AS minutes FROM slo_count_rows_1m
    WHERE (slice_start >= fromUnixTimestamp({start:Int64}) AND slice_start < fromUnixTimestamp({hours_start:Int64}))
       OR (slice_start >= fromUnixTimestamp({hours_end:Int64}) AND slice_start < fromUnixTimestamp({end:Int64}))"""
_MINUTES = """
    SELECT slo, instance, revision, slice_start, good, bad, excluded, 1 AS minutes FROM slo_count_rows_1m
    WHERE slo IN {slos:Array(String)}
      AND slice_start >= fromUnixTimestamp({start:Int64}) AND slice_start < fromUnixTimestamp({end:Int64})"""
#: `edits` has every revision of SLOs that have several, the newest with the highest rank
_COUNTED = """\
WITH edits AS (
    SELECT edit.1 AS slo, edit.2 AS revision, edit.3 AS rank
    FROM (SELECT arrayJoin(JSONExtract({edits:String}, 'Array(Tuple(String, String, UInt32))')) AS edit)
), slices AS (%s
), ranked AS (
    SELECT s.slo AS slo, s.instance AS instance, s.slice_start AS slice_start, s.minutes AS minutes, s.good AS good,
           s.bad AS bad, s.excluded AS excluded, e.rank AS rank
    FROM (SELECT * FROM slices WHERE slo IN (SELECT slo FROM edits)) AS s
    INNER JOIN edits AS e ON s.slo = e.slo AND s.revision = e.revision
), counted AS (
    SELECT slo, instance, slice_start, minutes, good, bad, excluded FROM slices
    WHERE slo NOT IN (SELECT slo FROM edits)
    UNION ALL
    SELECT slo, instance, slice_start, minutes, good, bad, excluded FROM ranked
    WHERE (slo, slice_start, minutes, rank) IN (
        SELECT slo, slice_start, minutes, max(rank) FROM ranked GROUP BY slo, slice_start, minutes
    )
)
"""
TOTALS_SQL = (
    _COUNTED % _HOURS
    + """\
SELECT slo, instance, sum(good) AS good, sum(bad) AS bad, sum(excluded) AS excluded,
       60 * groupBitmapIf(intDiv(toUnixTimestamp(slice_start), 60), minutes = 60)
       + groupBitmapIf(intDiv(toUnixTimestamp(slice_start), 60), minutes = 1) AS minutes
FROM counted WHERE position(slo, '>') = 0
GROUP BY slo, instance ORDER BY slo, instance"""
)
HISTORY_SQL = (
    _COUNTED % _HOURS
    + """\
SELECT slo, toUnixTimestamp(dateTrunc({step:String}, slice_start, {zone:String})) AS at_s,
       sum(good) AS good, sum(bad) AS bad
FROM counted WHERE position(slo, '>') = 0
GROUP BY slo, at_s ORDER BY slo, at_s"""
)
#: counts of some SLOs in a range
LEFT_OUT_SQL = (
    _COUNTED % _MINUTES
    + """\
SELECT slo, instance, sum(good) AS good, sum(bad) AS bad FROM counted GROUP BY slo, instance"""
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

FAILED = ("error", "timeout", "shed")
_SLI = f"""\
SELECT service, vantage, {{by}} AS name, sum(requests) AS requests, {", ".join(f"sum({o}) AS {o}" for o in FAILED)},
       {" + ".join(FAILED)} AS failed, sum(toInt128(cost_picousd)) AS cost_picousd,
       sum(output_tokens) AS output_tokens
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
    revisions: Mapping[str, int]
    history: dict[str, list[tuple[int, int, int]]]
    alerts: list[Row]
    corrections: list[Row]
    left_out: dict[tuple[str, str], tuple[int, int] | None]  # None: not known any more
    drivers: dict[str, list[Row]]
    series: dict[str, int]


def data_end_s(ask: Ask) -> int | None:
    """Event time up to which was judged; None: nothing was."""
    (row,) = ask(END_SQL)
    found: int | None = row["end_s"]
    return found


def gather(ask: Ask, period: Period, end_s: int, files: Mapping[str, Slo]) -> Gathered:
    """Ask all there is to ask of a period."""
    hours_start = -(-period.start_s // HOUR_S) * HOUR_S
    hours_end = max(period.end_s // HOUR_S * HOUR_S, hours_start)
    span = {"start": period.start_s, "end": period.end_s}
    slices = {**span, "hours_start": min(hours_start, period.end_s), "hours_end": min(hours_end, period.end_s)}
    latest = end_s // HOUR_S * HOUR_S
    revisions = ask(REVISIONS_SQL, **span, hours_start=slices["hours_start"], latest=latest)
    edits = edits_of(revisions)
    totals = {(row["slo"], row["instance"]): row for row in ask(TOTALS_SQL, **slices, edits=edits)}
    promised, ranges = with_silent(ask(PROMISED_SQL), totals, files), ask(RANGES_SQL, **span)
    history: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for row in ask(HISTORY_SQL, **slices, edits=edits, step=period.step, zone=period.zone):
        history[row["slo"]].append((row["at_s"], row["good"], row["bad"]))
    return Gathered(
        end_s,
        promised,
        {row["slo"]: row["counts"] for row in ask(COUNTED_SQL)},
        totals,
        Counter(row["slo"] for row in revisions if row["is_in"]),
        dict(history),
        ask(ALERTS_SQL, **span),
        ranges,
        _left_out(partial(ask, LEFT_OUT_SQL, edits=edits), period, end_s - MINUTES_KEPT_S, promised, ranges),
        {name: ask(_SLI.replace("{by}", by), **span) for name, by in DRIVERS.items()},
        {row["service"]: row["series"] for row in ask(SERIES_SQL, **span)},
    )


def edits_of(revisions: Iterable[Row]) -> str:
    """Rank the ways of counting of SLOs that have several, as JSON: the one that has come furthest is the newest."""
    of_slo: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in revisions:
        if row["is_in"]:
            of_slo[row["slo"]].append((row["last_s"], row["revision"]))
    edited = {slo: sorted(found) for slo, found in of_slo.items() if len(found) > 1}
    return json.dumps([(slo, name, rank) for slo, found in edited.items() for rank, (_, name) in enumerate(found)])


def with_silent(promised: list[Row], counted: Iterable[tuple[str, str]], files: Mapping[str, Slo]) -> list[Row]:
    """What is promised, and with it what was: the judge forgets an instance that was silent for a window.

    Its promise is that of its SLO; where all of an SLO is silent, that of its file.
    """
    of_slo = {row["slo"]: row for row in reversed(promised)}
    judged = {(row["slo"], row["instance"]) for row in promised}
    silent = []
    for slo, instance in sorted(set(counted) - judged):
        if (like := of_slo.get(slo) or _promise(files.get(slo))) is not None:
            silent.append({**like, "slo": slo, "instance": instance, "labels": parse_label_text(instance)})
    return sorted([*promised, *silent], key=lambda row: (row["slo"], row["instance"]))


def _promise(file: Slo | None) -> Row | None:
    if file is None:
        return None
    objective = file.objective
    sla_target = None if objective.sla_target is None else float(objective.sla_target)
    return {"service": objective.service, "target": float(objective.target), "sla_target": sla_target}


def _left_out(
    ask: Ask, period: Period, oldest_s: int, promised: Iterable[Row], ranges: list[Row]
) -> dict[tuple[str, str], tuple[int, int] | None]:
    """Good and bad that corrections leave out, of each instance that some correction is about.

    None: some of it is older than `oldest_s`, and its minutes are no longer kept.
    """
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in promised:
        names = {**row["labels"], "slo": row["slo"], "service": row["service"]}
        mine = [
            (max(r["start_s"], period.start_s), min(r["end_s"], period.end_s)) for r in ranges if is_about(r, names)
        ]
        spans[row["slo"], row["instance"]] = merged(mine)
    forgotten = {key for key, mine in spans.items() if mine and mine[0][0] < oldest_s}
    known = {key: mine for key, mine in spans.items() if mine and key not in forgotten}
    found = dict.fromkeys(known, (0, 0))
    for start, end in sorted({span for mine in known.values() for span in mine}):
        slos = sorted({slo for (slo, _), mine in known.items() if (start, end) in mine})
        for row in ask(start=start, end=end, slos=slos):
            key = row["slo"], row["instance"]
            if (start, end) in known.get(key, ()):
                found[key] = found[key][0] + row["good"], found[key][1] + row["bad"]
    return {**found, **dict.fromkeys(forgotten)}


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
