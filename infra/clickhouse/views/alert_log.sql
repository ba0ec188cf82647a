-- Alerts from fired to resolved, with what people said of them, and which corrections touch what they were judged on.

CREATE OR REPLACE VIEW alert_log (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    dedup_key String COMMENT 'the alert',
    kind LowCardinality(String) COMMENT 'what it is about: BURN_RATE, NO_DATA, BUDGET, SLA or QUOTA; of Burnline itself LAGGING, STALE_SOURCE or RECEIVER_DOWN',
    fired_at DateTime64(6, 'UTC') COMMENT 'event time at which it fired',
    resolved_at Nullable(DateTime64(6, 'UTC')) COMMENT 'event time at which it cleared; null: still firing',
    severity LowCardinality(String) COMMENT 'the highest it had',
    current_severity LowCardinality(String) COMMENT 'that of its last event: alerts ease',
    peak_burn_rate Nullable(Float64) COMMENT 'the highest burn rate of either window in any of its events',
    detection_delay_ms Nullable(Float64) COMMENT 'from the event time it fired at to the processing time of that judgement',
    events UInt64 COMMENT 'how many events it had',
    reason String COMMENT 'in words, of the last event',
    exemplar_trace_ids Array(String) COMMENT 'traces of bad requests, of the last event that has some',
    runbook Nullable(String) COMMENT 'address',
    corrections Array(String) COMMENT 'corrections in force of time it was judged on, or open in; none silences it',
    acknowledged_at Nullable(DateTime64(6, 'UTC')) COMMENT 'when somebody first took care of it; null: nobody has',
    acknowledged_by String COMMENT 'who did; empty: nobody has',
    notes Array(String) COMMENT 'what people wrote about it, in the order of time'
) AS
SELECT
    a.slo AS slo,
    argMax(a.revision, a.sequence) AS revision,
    any(a.instance) AS instance,
    any(a.service) AS service,
    a.dedup_key AS dedup_key,
    any(a.kind) AS kind,
    a.started_at AS fired_at,
    maxIf(toNullable(a.window_end), a.event = 'RESOLVED') AS resolved_at,
    argMax(a.severity, transform(a.severity, ['NONE', 'INFO', 'WARNING', 'CRITICAL'], [0, 1, 2, 3], -1)) AS severity,
    argMax(a.severity, a.sequence) AS current_severity,
    nullIf(max(greatest(ifNull(a.long_burn_rate, -1), ifNull(a.short_burn_rate, -1))), -1) AS peak_burn_rate,
    minIf(toNullable(dateDiff('microsecond', a.window_end, a.evaluated_at)), a.event = 'FIRED') / 1000 AS detection_delay_ms,
    count() AS events,
    argMax(a.reason, a.sequence) AS reason,
    argMaxIf(a.exemplar_trace_ids, a.sequence, notEmpty(a.exemplar_trace_ids)) AS exemplar_trace_ids,
    argMax(a.runbook, a.sequence) AS runbook,
    any(k.corrections) AS corrections,
    nullIf(any(r.acknowledged_at), toDateTime64(0, 6, 'UTC')) AS acknowledged_at,
    any(r.acknowledged_by) AS acknowledged_by,
    any(r.notes) AS notes
FROM alert_events AS a FINAL
LEFT JOIN (
    SELECT slo, dedup_key, started_at, arraySort(groupUniqArray(correction)) AS corrections
    FROM alert_corrections
    GROUP BY slo, dedup_key, started_at
) AS k ON a.slo = k.slo AND a.dedup_key = k.dedup_key AND a.started_at = k.started_at
LEFT JOIN (
    SELECT
        slo, dedup_key, started_at,
        minIf(written_at, what = 'ACK') AS acknowledged_at,
        argMinIf(who, written_at, what = 'ACK') AS acknowledged_by,
        arrayMap(each -> each.2, arraySort(groupArrayIf((written_at, concat(who, ': ', text)), text != ''))) AS notes
    FROM alert_remarks FINAL
    GROUP BY slo, dedup_key, started_at
) AS r ON a.slo = r.slo AND a.dedup_key = r.dedup_key AND a.started_at = r.started_at
GROUP BY a.slo, a.dedup_key, a.started_at
COMMENT 'Alerts from fired to resolved: one row is one alert';
